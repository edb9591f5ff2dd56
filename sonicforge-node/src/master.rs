//! Mastering: plan, render, report.

use napi::Result;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use sonicforge_core::error;
use sonicforge_core::master::{self, Plan, Report, Target};

use crate::analyze::listen;
use crate::enter::{Job, Work, enter, start};
use crate::io::write_options;
use crate::values::{Outcome, audio, from_json, to_json};

/// All named targets, as JSON.
#[napi]
pub fn targets() -> Result<String, String> {
    enter(|| to_json(&Target::all()))
}

/// A target from its name, or from a loudness as text; JSON.
#[napi]
pub fn target_parse(text: String) -> Result<String, String> {
    enter(|| to_json(&text.parse::<Target>()?))
}

/// A target from its name alone; JSON.
#[napi]
pub fn target_named(name: String) -> Result<String, String> {
    enter(|| to_json(&Target::named(&name)?))
}

/// A target from its numbers; JSON.
#[napi]
pub fn target_custom(loudness_lufs: f64, ceiling_dbtp: f64) -> Result<String, String> {
    enter(|| to_json(&Target::custom(loudness_lufs, ceiling_dbtp)?))
}

fn target(text: &str) -> error::Result<Target> {
    let target: Target = from_json("target", text)?;
    target.validate()?;
    Ok(target)
}

/// Plans how to bring a sound to a target; JSON.
#[napi]
pub fn plan(job: &Job, samples: &[f32], rate: u32, channels: u32, to: String) -> Result<AsyncTask<Work>, String> {
    let (buffer, to) = enter(|| Ok((audio(samples, rate, channels)?, target(&to)?)))?;
    Ok(start(job, move |watch| Ok(Outcome::Text(master::plan_for(&listen(&buffer, watch)?, &to)?.to_json()))))
}

/// Plans from what was measured; JSON.
#[napi]
pub fn plan_for(analysis: String, to: String) -> Result<String, String> {
    enter(|| Ok(master::plan_for(&from_json("analysis", &analysis)?, &target(&to)?)?.to_json()))
}

/// Plans from what was measured of a sound and of its reference; JSON.
#[napi]
pub fn plan_match(analysis: String, reference: String, parts: String) -> Result<String, String> {
    enter(|| {
        let (heard, like) = (from_json("analysis", &analysis)?, from_json("reference", &reference)?);
        Ok(master::plan_match(&heard, &like, &from_json("match", &parts)?)?.to_json())
    })
}

/// Masters a sound to a target: the sound, and the report as JSON.
#[napi(js_name = "master")]
pub fn master_sound(
    job: &Job,
    samples: &[f32],
    rate: u32,
    channels: u32,
    to: String,
) -> Result<AsyncTask<Work>, String> {
    let (buffer, to) = enter(|| Ok((audio(samples, rate, channels)?, target(&to)?)))?;
    Ok(start(job, move |watch| {
        let (audio, report) = master::master(&buffer, &to, watch)?;
        Ok(Outcome::Audio(audio, Some(report.to_json())))
    }))
}

/// Masters a file into a file: the report as JSON.
#[napi]
pub fn master_file(
    job: &Job,
    input: String,
    output: String,
    how: String,
    to: String,
) -> Result<AsyncTask<Work>, String> {
    let to = enter(|| target(&to))?;
    Ok(start(job, move |watch| {
        let report = master::master_file(input, output, &to, &write_options(&how)?, watch)?;
        Ok(Outcome::Text(report.to_json()))
    }))
}

fn valid_plan(text: &str) -> error::Result<Plan> {
    let plan: Plan = from_json("plan", text)?;
    plan.validate()?;
    Ok(plan)
}

/// Runs a plan: the sound, and the report as JSON.
#[napi]
pub fn plan_render(
    job: &Job,
    plan: String,
    samples: &[f32],
    rate: u32,
    channels: u32,
) -> Result<AsyncTask<Work>, String> {
    let (plan, buffer) = enter(|| Ok((valid_plan(&plan)?, audio(samples, rate, channels)?)))?;
    Ok(start(job, move |watch| {
        let (audio, report) = plan.render(&buffer, watch)?;
        Ok(Outcome::Audio(audio, Some(report.to_json())))
    }))
}

/// Runs a plan from a file to a file: the report as JSON.
#[napi]
pub fn plan_render_file(
    job: &Job,
    plan: String,
    input: String,
    output: String,
    how: String,
) -> Result<AsyncTask<Work>, String> {
    let plan = enter(|| valid_plan(&plan))?;
    Ok(start(job, move |watch| {
        let report = plan.render_file(input, output, &write_options(&how)?, watch)?;
        Ok(Outcome::Text(report.to_json()))
    }))
}

/// The original at the loudness of its master.
#[napi]
pub fn gain_matched(
    job: &Job,
    samples: &[f32],
    rate: u32,
    channels: u32,
    report: String,
) -> Result<AsyncTask<Work>, String> {
    let (buffer, report) = enter(|| Ok((audio(samples, rate, channels)?, from_json::<Report>("report", &report)?)))?;
    Ok(start(job, move |_| Ok(Outcome::Audio(master::gain_matched(&buffer, &report), None))))
}

/// A report in a few lines.
#[napi]
pub fn report_summary(report: String) -> Result<String, String> {
    enter(|| Ok(from_json::<Report>("report", &report)?.summary()))
}

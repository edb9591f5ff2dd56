//! `sonicforge_core::master`, from plan to report.

use std::path::PathBuf;

use numpy::PyArray2;
use pyo3::prelude::*;
use sonicforge_core::analyze::Analysis;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::Result;
use sonicforge_core::master::{self, Plan, Report, Target};

use crate::analyze::listen;
use crate::arrays::{self, Lent, Samples};
use crate::enter::{CancelToken, Watch, enter, enter_long};
use crate::io::How;
use crate::json;

type Array<'py> = Bound<'py, PyArray2<f32>>;
type Token<'a, 'py> = Option<&'a Bound<'py, CancelToken>>;

/// A target from its name or from a loudness in LUFS as text; JSON.
#[pyfunction]
fn target(py: Python<'_>, text: &str) -> PyResult<String> {
    enter(py, || json::write(&text.parse::<Target>()?))
}

/// All named targets; JSON.
#[pyfunction]
fn targets(py: Python<'_>) -> PyResult<String> {
    enter(py, || json::write(&Target::all()))
}

/// Listens to a sound and plans for a target; JSON.
#[pyfunction]
fn plan<'py>(
    py: Python<'py>,
    samples: Array<'py>,
    sample_rate: u32,
    target: &str,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, 'py>,
) -> PyResult<String> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    enter_long(py, Watch::new(progress, cancel), |progress| {
        let target = read_target(target)?;
        Ok(master::plan_for(&listen(audio, progress)?, &target)?.to_json())
    })
}

/// Plans from an analysis; JSON.
#[pyfunction]
fn plan_for(py: Python<'_>, analysis: &str, target: &str) -> PyResult<String> {
    enter(py, || Ok(master::plan_for(&Analysis::from_json(analysis)?, &read_target(target)?)?.to_json()))
}

/// Plans how one sound gets parts of another, from their analyses; JSON.
#[pyfunction]
fn plan_match(py: Python<'_>, analysis: &str, reference: &str, parts: &str) -> PyResult<String> {
    enter(py, || {
        let (analysis, reference) = (Analysis::from_json(analysis)?, Analysis::from_json(reference)?);
        Ok(master::plan_match(&analysis, &reference, &json::read("match", parts)?)?.to_json())
    })
}

/// Runs a plan on a sound, or plans for a target first: the master, and the report as JSON.
#[pyfunction]
fn render<'py>(
    py: Python<'py>,
    samples: Array<'py>,
    sample_rate: u32,
    plan: Option<&str>,
    target: &str,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, 'py>,
) -> PyResult<(Samples<'py>, String)> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    let (audio, report) = enter_long(py, Watch::new(progress, cancel), |progress| {
        let (audio, report) = match plan {
            Some(plan) => Plan::from_json(plan)?.render(audio, progress)?,
            None => master::master(audio, &read_target(target)?, progress)?,
        };
        Ok((audio, report.to_json()))
    })?;
    Ok((arrays::give(py, audio), report))
}

/// Runs a plan from a file to a file, or plans for a target first: the report as JSON.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // the facade names them
fn render_file(
    py: Python<'_>,
    input: PathBuf,
    output: PathBuf,
    how: How,
    plan: Option<&str>,
    target: &str,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, '_>,
) -> PyResult<String> {
    enter_long(py, Watch::new(progress, cancel), |progress| {
        let options = how.options()?;
        let report = match plan {
            Some(plan) => Plan::from_json(plan)?.render_file(input, output, &options, progress)?,
            None => master::master_file(input, output, &read_target(target)?, &options, progress)?,
        };
        Ok(report.to_json())
    })
}

/// The original at the loudness of its master.
#[pyfunction]
fn gain_matched<'py>(py: Python<'py>, samples: Array<'py>, sample_rate: u32, report: &str) -> PyResult<Samples<'py>> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    let matched = enter(py, || Ok(master::gain_matched(audio, &Report::from_json(report)?)))?;
    Ok(arrays::give(py, matched))
}

/// A report in a few lines.
#[pyfunction]
fn report_summary(py: Python<'_>, report: &str) -> PyResult<String> {
    enter(py, || Ok(Report::from_json(report)?.summary()))
}

fn read_target(text: &str) -> Result<Target> {
    let target: Target = json::read("target", text)?;
    target.validate()?;
    Ok(target)
}

/// A target, checked and written anew.
pub fn normalize_target(text: &str) -> Result<String> {
    json::write(&read_target(text)?)
}

/// Puts the functions of this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    for function in [
        wrap_pyfunction!(target, m)?,
        wrap_pyfunction!(targets, m)?,
        wrap_pyfunction!(plan, m)?,
        wrap_pyfunction!(plan_for, m)?,
        wrap_pyfunction!(plan_match, m)?,
        wrap_pyfunction!(render, m)?,
        wrap_pyfunction!(render_file, m)?,
        wrap_pyfunction!(gain_matched, m)?,
        wrap_pyfunction!(report_summary, m)?,
    ] {
        m.add_function(function)?;
    }
    Ok(())
}

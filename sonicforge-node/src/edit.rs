//! Edits of a whole sound.

use napi::Result;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error;

use crate::enter::{Job, Work, enter, start};
use crate::values::{Outcome, audio};

/// Changes the sample rate.
#[napi]
pub fn resample(job: &Job, samples: &[f32], rate: u32, channels: u32, to: u32) -> Result<AsyncTask<Work>, String> {
    let buffer = enter(|| audio(samples, rate, channels))?;
    Ok(start(job, move |_| Ok(Outcome::Audio(buffer.resample(to)?, None))))
}

fn edit(
    (samples, rate, channels): (&[f32], u32, u32),
    edit: impl FnOnce(AudioBuffer) -> error::Result<AudioBuffer>,
) -> Result<Outcome, String> {
    enter(|| edit(audio(samples, rate, channels)?).map(Outcome::Copied))
}

fn edit_in_place(
    raw: (&[f32], u32, u32),
    change: impl FnOnce(&mut AudioBuffer) -> error::Result<()>,
) -> Result<Outcome, String> {
    edit(raw, |mut buffer| change(&mut buffer).map(|()| buffer))
}

/// The part between two times in seconds.
#[napi]
pub fn trim(samples: &[f32], rate: u32, channels: u32, start_s: f64, end_s: f64) -> Result<Outcome, String> {
    edit((samples, rate, channels), |buffer| buffer.trim(start_s, end_s))
}

/// A fade in from silence.
#[napi]
pub fn fade_in(samples: &[f32], rate: u32, channels: u32, seconds: f64) -> Result<Outcome, String> {
    edit_in_place((samples, rate, channels), |buffer| buffer.fade_in(seconds))
}

/// A fade out to silence.
#[napi]
pub fn fade_out(samples: &[f32], rate: u32, channels: u32, seconds: f64) -> Result<Outcome, String> {
    edit_in_place((samples, rate, channels), |buffer| buffer.fade_out(seconds))
}

/// The sum with another buffer at a gain.
#[napi]
#[allow(clippy::too_many_arguments)] // two buffers of three arguments each
pub fn mix(
    samples: &[f32],
    rate: u32,
    channels: u32,
    other: &[f32],
    other_rate: u32,
    other_channels: u32,
    gain_db: f64,
) -> Result<Outcome, String> {
    edit_in_place((samples, rate, channels), |buffer| buffer.mix(&audio(other, other_rate, other_channels)?, gain_db))
}

/// One channel.
#[napi]
pub fn to_mono(samples: &[f32], rate: u32, channels: u32) -> Result<Outcome, String> {
    edit((samples, rate, channels), |buffer| Ok(buffer.to_mono()))
}

/// Two channels.
#[napi]
pub fn to_stereo(samples: &[f32], rate: u32, channels: u32) -> Result<Outcome, String> {
    edit((samples, rate, channels), |buffer| Ok(buffer.to_stereo()))
}

/// Louder or softer.
#[napi]
pub fn apply_gain(samples: &[f32], rate: u32, channels: u32, gain_db: f64) -> Result<Outcome, String> {
    edit_in_place((samples, rate, channels), |buffer| buffer.apply_gain_db(gain_db))
}

/// The loudest sample at a level.
#[napi]
pub fn normalize_peak(samples: &[f32], rate: u32, channels: u32, dbfs: f64) -> Result<Outcome, String> {
    edit_in_place((samples, rate, channels), |buffer| buffer.normalize_peak(dbfs))
}

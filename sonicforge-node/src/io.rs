//! Files in and out.

use std::path::PathBuf;

use napi::Result;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use serde::Deserialize;
use sonicforge_core::error;
use sonicforge_core::io::{self, Container, Dither, SampleFormat, WriteOptions};

use crate::enter::{Job, Work, enter, start};
use crate::values::{Outcome, audio, from_json, to_json};

/// How a file is written, as the facade spells it.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Options {
    container: Option<Container>,
    sample_format: SampleFormat,
    dither: Dither,
    seed: u64,
    tags_from: Option<PathBuf>,
}

/// The write options of the core; reads the tags of `tags_from`, so it belongs into a job.
pub fn write_options(text: &str) -> error::Result<WriteOptions> {
    let options: Options = from_json("write options", text)?;
    let tags = options.tags_from.map(io::tags).transpose()?.unwrap_or_default();
    let Options { container, sample_format, dither, seed, .. } = options;
    Ok(WriteOptions { container, sample_format, dither, seed, tags })
}

/// Decodes a file.
#[napi]
pub fn read(job: &Job, path: String) -> AsyncTask<Work> {
    start(job, move |_| Ok(Outcome::Audio(io::read(path)?, None)))
}

/// Decodes a file in memory.
#[napi]
pub fn read_bytes(job: &Job, bytes: &[u8]) -> AsyncTask<Work> {
    let bytes = bytes.to_vec();
    start(job, move |_| Ok(Outcome::Audio(io::read_bytes(bytes)?, None)))
}

/// What a file says about itself, as JSON.
#[napi]
pub fn info(job: &Job, path: String) -> AsyncTask<Work> {
    start(job, move |_| Ok(Outcome::Text(to_json(&io::info(path)?)?)))
}

/// The tags and pictures of a file.
#[napi]
pub fn tags(job: &Job, path: String) -> AsyncTask<Work> {
    start(job, move |_| Ok(Outcome::Tags(io::tags(path)?)))
}

/// Writes a file.
#[napi]
pub fn write(
    job: &Job,
    path: String,
    samples: &[f32],
    rate: u32,
    channels: u32,
    how: String,
) -> Result<AsyncTask<Work>, String> {
    let buffer = enter(|| audio(samples, rate, channels))?;
    Ok(start(job, move |_| io::write(path, &buffer, &write_options(&how)?).map(|()| Outcome::Done)))
}

/// Writes a file in memory.
#[napi]
pub fn write_bytes(
    job: &Job,
    samples: &[f32],
    rate: u32,
    channels: u32,
    how: String,
) -> Result<AsyncTask<Work>, String> {
    let buffer = enter(|| audio(samples, rate, channels))?;
    Ok(start(job, move |_| io::write_bytes(&buffer, &write_options(&how)?).map(Outcome::Bytes)))
}

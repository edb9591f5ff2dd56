//! Music from text: one model, its streams, and the looks that a host's own generator is given.

use std::ops::ControlFlow;

use napi::bindgen_prelude::{AsyncTask, Float32Array, ObjectFinalize, Uint32ArraySlice};
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{self, Error};
use sonicforge_core::generate::musicgen::{self, LoadOptions, QuantizeOptions};
use sonicforge_core::generate::{Checked, Generator, Request};
use sonicforge_core::progress::{NoProgress, Progress, Step};

use crate::enter::{Job, Work, enter, start};
use crate::stream::Shared;
use crate::values::{Outcome, audio, from_json, to_json};

/// A request as it crosses the border: JSON, and the sounds that belong to it.
#[napi(object, object_to_js = false)]
pub struct Wish {
    /// The fields of the core's `Request` that JSON can hold.
    pub text: String,
    /// Music to go on from.
    pub continue_from: Option<Sound>,
    /// A melody to follow.
    pub melody: Option<Sound>,
}

/// A sound that belongs to a request.
#[napi(object, object_to_js = false)]
pub struct Sound {
    /// Channel after channel.
    pub samples: Float32Array,
    /// In Hz.
    pub sample_rate: u32,
    /// 1 to 8.
    pub channels: u32,
}

impl Sound {
    fn read(&self) -> error::Result<AudioBuffer> {
        audio(&self.samples, self.sample_rate, self.channels)
    }
}

impl Wish {
    fn read(&self) -> error::Result<Request> {
        Ok(Request {
            continue_from: self.continue_from.as_ref().map(Sound::read).transpose()?,
            melody: self.melody.as_ref().map(Sound::read).transpose()?,
            ..from_json("request", &self.text)?
        })
    }
}

fn read_all(wishes: &[Wish]) -> Result<Vec<Request>, String> {
    enter(|| wishes.iter().map(Wish::read).collect())
}

/// How a model is loaded, as the facade spells it.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    device: String,
    quantization: Option<String>,
    threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { device: "cpu".to_owned(), quantization: None, threads: 0 }
    }
}

/// A loaded model.
#[napi(custom_finalize)]
pub struct MusicGen(musicgen::MusicGen);

impl MusicGen {
    /// Tells the collector how much it holds, which is not on its heap, when it comes (`1`) and goes (`-1`).
    pub fn weigh(&self, env: Env, sign: i64) -> napi::Result<()> {
        env.adjust_external_memory(sign * self.0.info().weight_bytes as i64).map(drop)
    }
}

impl ObjectFinalize for MusicGen {
    fn finalize(self, env: Env) -> napi::Result<()> {
        self.weigh(env, -1)
    }
}

/// Loads a checkpoint, a folder or one GGUF file; without a source the model that is part of the package.
#[napi]
pub fn load_music_gen(job: &Job, source: Option<String>, options: String) -> Result<AsyncTask<Work>, String> {
    let options = enter(|| {
        let Options { device, quantization, threads } = from_json("options", &options)?;
        let quantization = quantization.map(|word| word.parse()).transpose()?;
        Ok(LoadOptions { device: device.parse()?, quantization, threads, ..LoadOptions::default() })
    })?;
    Ok(start(job, move |watch| {
        let model = match source {
            Some(source) => musicgen::MusicGen::load_with(source, &options, watch),
            None => musicgen::MusicGen::load_default_with(&options, watch),
        };
        model.map(|model| Outcome::Model(MusicGen(model)))
    }))
}

#[napi]
impl MusicGen {
    /// What was loaded, as JSON.
    #[napi(getter)]
    pub fn info(&self) -> Result<String, String> {
        enter(|| to_json(self.0.info()))
    }

    /// Makes one piece per request, in one go.
    #[napi]
    pub fn generate(&self, job: &Job, wishes: Vec<Wish>) -> Result<AsyncTask<Work>, String> {
        let (model, requests) = (self.0.clone(), read_all(&wishes)?);
        Ok(start(job, move |watch| model.generate_batch(&requests, watch).map(Outcome::Sounds)))
    }

    /// Begins a piece that is heard while it is made.
    #[napi]
    pub fn stream(&self, job: &Job, wish: Wish) -> Result<AsyncTask<Work>, String> {
        let (model, request) = (self.0.clone(), enter(|| wish.read())?);
        Ok(start(job, move |_| Ok(Outcome::Stream(MusicStream(Shared::new(model.stream(&request)?))))))
    }

    /// Token ids of a prompt.
    #[napi]
    pub fn tokenize(&self, prompt: String) -> Result<Vec<u32>, String> {
        enter(|| self.0.tokenize(&prompt))
    }

    /// The codes of one piece.
    #[napi]
    pub fn generate_codes(&self, job: &Job, wish: Wish) -> Result<AsyncTask<Work>, String> {
        let (model, request) = (self.0.clone(), enter(|| wish.read())?);
        Ok(start(job, move |watch| {
            let mut codes = model.generate_codes(std::slice::from_ref(&request), watch)?;
            Ok(Outcome::Codes(codes.pop().unwrap_or_default()))
        }))
    }

    /// Audio of codes.
    #[napi]
    pub fn decode_codes(&self, job: &Job, codes: Vec<Uint32ArraySlice>) -> AsyncTask<Work> {
        let (model, codes) = (self.0.clone(), codes.iter().map(|book| book.to_vec()).collect::<Vec<_>>());
        start(job, move |watch| Ok(Outcome::Audio(model.decode_codes_with(&codes, watch)?, None)))
    }

    /// Codes of audio.
    #[napi]
    pub fn encode_audio(
        &self,
        job: &Job,
        samples: &[f32],
        rate: u32,
        channels: u32,
    ) -> Result<AsyncTask<Work>, String> {
        let (model, buffer) = (self.0.clone(), enter(|| audio(samples, rate, channels))?);
        Ok(start(job, move |_| model.encode_audio(&buffer).map(Outcome::Codes)))
    }
}

/// A piece that is being made.
#[napi]
pub struct MusicStream(Shared<musicgen::MusicStream>);

#[napi]
impl MusicStream {
    /// The next chunk, or nothing after the last.
    #[napi]
    pub fn next(&self, job: &Job) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |watch| {
            shared.with(|stream| {
                let chunk = stream.next_chunk(watch)?;
                let _ = watch.report(Step::new("generate", stream.fraction()));
                Ok(chunk.map_or(Outcome::Done, |chunk| Outcome::Audio(chunk, None)))
            })
        })
    }

    /// Stops it and lets go of its memory.
    #[napi]
    pub fn close(&self, job: &Job) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |_| {
            drop(shared.take());
            Ok(Outcome::Done)
        })
    }
}

/// Writes one GGUF file from a folder; its report as JSON.
#[napi]
pub fn quantize(
    job: &Job,
    folder: String,
    path: String,
    precision: String,
    compact: bool,
) -> Result<AsyncTask<Work>, String> {
    let mut options = QuantizeOptions::new(enter(|| precision.parse())?);
    options.compact = compact;
    Ok(start(job, move |watch| to_json(&musicgen::quantize_with(folder, path, options, watch)?).map(Outcome::Text)))
}

/// Requests with their defaults, as JSON; errors for what no generator can be asked.
#[napi]
pub fn check_requests(wishes: Vec<Wish>) -> Result<Vec<String>, String> {
    enter(|| {
        let requests = wishes.iter().map(Wish::read).collect::<error::Result<Vec<_>>>()?;
        // The core looks at all of them before it begins; here it is stopped there.
        let mut nobody = Checked(|_: &Request, _: &mut dyn Progress| Err(Error::Cancelled("generating")));
        match nobody.generate_batch(&requests, &mut |_: Step| ControlFlow::Break(())) {
            Ok(_) | Err(Error::Cancelled(_)) => requests.iter().map(to_json).collect(),
            Err(refused) => Err(refused),
        }
    })
}

/// Errors when a host's generator returned what cannot be an answer to the request.
#[napi]
pub fn check_made(wish: Wish, samples: &[f32], rate: u32, channels: u32) -> Result<(), String> {
    enter(|| {
        let (request, made) = (wish.read()?, audio(samples, rate, channels)?);
        let mut made = Some(made);
        let mut host = Checked(|_: &Request, _: &mut dyn Progress| {
            made.take().ok_or_else(|| Error::Internal("a generator was asked twice".to_owned()))
        });
        host.generate(&request, &mut NoProgress).map(|_| ())
    })
}

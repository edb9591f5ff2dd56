//! The chain and its presets. A single processor is a chain of one module.

use napi::Result;
use napi::bindgen_prelude::{AsyncTask, Float32ArraySlice};
use napi_derive::napi;
use sonicforge_core::error::Error;
use sonicforge_core::master::{MasteringChain, Preset, Processor, Spec};

use crate::enter::{Job, Work, enter, start};
use crate::values::{Outcome, audio, block, from_json};

/// Stages in order, run block by block in the host's memory, or over a whole sound.
#[napi]
pub struct Chain {
    chain: MasteringChain,
    spec: Option<Spec>,
}

#[napi]
impl Chain {
    /// The chain that a preset, given as JSON, describes.
    #[napi(constructor)]
    pub fn new(preset: String) -> Result<Self, String> {
        enter(|| Ok(Self { chain: MasteringChain::new(&from_json("preset", &preset)?)?, spec: None }))
    }

    /// Gets ready for blocks of at most `max_frames`; longer ones are cut.
    #[napi]
    pub fn prepare(&mut self, sample_rate: u32, channels: u32, max_frames: u32) -> Result<(), String> {
        let spec = Spec { sample_rate, channels: channels as usize, max_frames: max_frames as usize };
        self.spec = None;
        enter(|| self.chain.prepare(spec))?;
        self.spec = Some(spec);
        Ok(())
    }

    /// Works on the next frames, in place.
    #[napi]
    pub fn process(&mut self, mut channels: Vec<Float32ArraySlice>) -> Result<(), String> {
        enter(|| {
            let spec = self.spec.ok_or_else(|| Error::invalid("prepare comes before process"))?;
            let mut whole = block(&mut channels)?;
            if whole.channels() != spec.channels {
                let came = whole.channels();
                return Err(Error::invalid(format!("{came} channels came; it was prepared for {}", spec.channels)));
            }
            for from in (0..whole.frames()).step_by(spec.max_frames) {
                let to = whole.frames().min(from + spec.max_frames);
                self.chain.process(&mut whole.range(from, to));
            }
            Ok(())
        })
    }

    /// Forgets the past; parameters stay.
    #[napi]
    pub fn reset(&mut self) -> Result<(), String> {
        enter(|| {
            self.chain.reset();
            Ok(())
        })
    }

    /// By how many frames the output lags.
    #[napi(getter)]
    pub fn latency(&self) -> u32 {
        self.chain.latency() as u32
    }

    /// Samples that were NaN or infinite since `prepare` or `reset`.
    #[napi(getter)]
    pub fn non_finite_samples(&self) -> f64 {
        self.chain.non_finite_samples() as f64
    }

    /// The preset as it is now, as JSON.
    #[napi(getter)]
    pub fn preset(&self) -> String {
        self.chain.preset().to_json()
    }

    /// Glides to other parameters of one module.
    #[napi]
    pub fn set_module(&mut self, index: u32, module: String) -> Result<(), String> {
        enter(|| self.chain.set_module(index as usize, from_json("module", &module)?))
    }

    /// A whole sound through a fresh chain of the same preset, latency compensated.
    #[napi]
    pub fn render(&self, job: &Job, samples: &[f32], rate: u32, channels: u32) -> Result<AsyncTask<Work>, String> {
        let mut chain = enter(|| MasteringChain::new(self.chain.preset()))?;
        let mut buffer = enter(|| audio(samples, rate, channels))?;
        Ok(start(job, move |_| chain.render(&mut buffer).map(|()| Outcome::Audio(buffer, None))))
    }
}

/// The names of the presets that come with the library.
#[napi]
pub fn preset_names() -> Vec<&'static str> {
    Preset::names().to_vec()
}

/// One of them, as JSON.
#[napi]
pub fn preset_named(name: String) -> Result<String, String> {
    enter(|| Ok(Preset::named(&name)?.to_json()))
}

/// A preset in TOML, as JSON.
#[napi]
pub fn preset_from_toml(text: String) -> Result<String, String> {
    enter(|| Ok(Preset::from_toml(&text)?.to_json()))
}

/// A preset in JSON, as TOML.
#[napi]
pub fn preset_to_toml(text: String) -> Result<String, String> {
    enter(|| Ok(Preset::from_json(&text)?.to_toml()))
}

/// Reads a JSON or TOML file.
#[napi]
pub fn preset_load(job: &Job, path: String) -> AsyncTask<Work> {
    start(job, move |_| Ok(Outcome::Text(Preset::load(path)?.to_json())))
}

/// Writes a JSON or TOML file, by its extension.
#[napi]
pub fn preset_save(job: &Job, path: String, preset: String) -> AsyncTask<Work> {
    start(job, move |_| from_json::<Preset>("preset", &preset)?.save(path).map(|()| Outcome::Done))
}

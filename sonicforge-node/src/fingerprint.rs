//! Fingerprints: of a whole sound in one job, or block by block; their words and texts; AcoustID's parameters.

use std::sync::{Arc, Mutex, MutexGuard};

use napi::Result;
use napi::bindgen_prelude::{AsyncTask, Float32ArraySlice, Uint32Array};
use napi_derive::napi;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{self, Error};
use sonicforge_core::fingerprint::acoustid::{self, Submission};
use sonicforge_core::fingerprint::{self, Chromaprint, Constellation, Fingerprint, FingerprintParams};
use sonicforge_core::fingerprint::{QueryOptions, Sketch};
use sonicforge_core::progress::{Progress, Step};

use crate::enter::{Job, Watch, Work, enter, start};
use crate::values::{Outcome, audio, from_json, to_json};

/// How many frames are heard between two looks at the job.
const PIECE: usize = 1 << 18;

/// Hears a whole sound piece by piece, so that it can be watched and stopped.
fn remember(buffer: &AudioBuffer, params: &FingerprintParams, watch: &mut Watch) -> error::Result<Fingerprint> {
    let mut fingerprinter = fingerprint::Fingerprinter::new(buffer.sample_rate(), buffer.channels(), params)?;
    let frames = buffer.frames();
    for from in (0..frames).step_by(PIECE) {
        let to = frames.min(from + PIECE);
        let piece: Vec<_> = (0..buffer.channels()).map(|c| &buffer.channel(c)[from..to]).collect();
        fingerprinter.push_channels(&piece)?;
        if watch.report(Step::new("fingerprint", to as f64 / frames as f64)).is_break() {
            return Err(Error::Cancelled("the fingerprint"));
        }
    }
    Ok(fingerprinter.finish())
}

/// Of a whole sound; JSON, and so are the parameters.
#[napi(js_name = "fingerprint")]
pub fn fingerprint_whole(
    job: &Job,
    samples: &[f32],
    rate: u32,
    channels: u32,
    params: String,
) -> Result<AsyncTask<Work>, String> {
    let (buffer, params) = enter(|| Ok((audio(samples, rate, channels)?, from_json("options", &params)?)))?;
    Ok(start(job, move |watch| Ok(Outcome::Text(remember(&buffer, &params, watch)?.to_json()))))
}

/// Hears block by block.
#[napi]
pub struct Fingerprinter(Option<fingerprint::Fingerprinter>);

#[napi]
impl Fingerprinter {
    /// For blocks of this rate and this many channels; the parameters are JSON.
    #[napi(constructor)]
    pub fn new(sample_rate: u32, channels: u32, params: String) -> Result<Self, String> {
        enter(|| {
            let params: FingerprintParams = from_json("options", &params)?;
            Ok(Self(Some(fingerprint::Fingerprinter::new(sample_rate, channels as usize, &params)?)))
        })
    }

    /// Hears the next frames.
    #[napi]
    pub fn push(&mut self, channels: Vec<Float32ArraySlice>) -> Result<(), String> {
        let channels: Vec<&[f32]> = channels.iter().map(|channel| &**channel).collect();
        enter(|| self.0.as_mut().ok_or_else(finished)?.push_channels(&channels))
    }

    /// The fingerprint, as JSON; the fingerprinter is used up.
    #[napi]
    pub fn finish(&mut self) -> Result<String, String> {
        enter(|| Ok(self.0.take().ok_or_else(finished)?.finish().to_json()))
    }
}

fn finished() -> Error {
    Error::invalid("this fingerprinter has finished; make a new one")
}

/// The words of a Chromaprint, and which algorithm made them.
#[napi]
pub struct Chromaprint32(Chromaprint);

#[napi]
impl Chromaprint32 {
    /// From words that were kept.
    #[napi(constructor)]
    pub fn new(preset: String, words: Uint32Array) -> Result<Self, String> {
        enter(|| Ok(Self(Chromaprint::from_words(preset.parse()?, words.to_vec())?)))
    }

    /// From the compressed text.
    #[napi(factory)]
    pub fn decode(text: String) -> Result<Self, String> {
        enter(|| Ok(Self(Chromaprint::decode(&text)?)))
    }

    /// The compressed text.
    #[napi]
    pub fn encode(&self) -> String {
        self.0.encode()
    }

    /// A copy of the words.
    #[napi]
    pub fn words(&self) -> Uint32Array {
        Uint32Array::new(self.0.words().to_vec())
    }

    /// The name of the algorithm.
    #[napi]
    pub fn preset(&self) -> String {
        self.0.preset().to_string()
    }

    /// One word for the whole sound.
    #[napi]
    pub fn simhash(&self) -> u32 {
        self.0.simhash()
    }

    /// The compressed text of the first seconds.
    #[napi]
    pub fn first(&self, seconds: f64) -> String {
        self.0.first(seconds).encode()
    }
}

/// Many tracks, searched at once.
#[napi]
pub struct Index(Arc<Mutex<fingerprint::Index>>);

#[napi]
impl Index {
    /// An empty one.
    #[napi(constructor)]
    #[allow(clippy::new_without_default)] // JavaScript has no Default
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(fingerprint::Index::new())))
    }

    /// Adds a track.
    #[napi]
    pub fn insert(&self, id: String, landmarks: String) -> Result<(), String> {
        enter(|| {
            let landmarks = Constellation::decode(&landmarks)?;
            lock(&self.0)?.insert(&id, &landmarks)
        })
    }

    /// Takes a track out; whether it was there.
    #[napi]
    pub fn remove(&self, id: String) -> Result<bool, String> {
        enter(|| Ok(lock(&self.0)?.remove(&id)))
    }

    /// How many tracks there are.
    #[napi]
    pub fn size(&self) -> Result<u32, String> {
        enter(|| Ok(lock(&self.0)?.len() as u32))
    }

    /// The matches, as JSON; the options are JSON.
    #[napi]
    pub fn query(
        &self,
        job: &Job,
        samples: &[f32],
        rate: u32,
        channels: u32,
        options: String,
    ) -> Result<AsyncTask<Work>, String> {
        let (buffer, options) =
            enter(|| Ok((audio(samples, rate, channels)?, from_json::<QueryOptions>("options", &options)?)))?;
        let index = self.0.clone();
        Ok(start(job, move |watch| {
            let sketch = Sketch::of(&buffer)?;
            watch.check("the query")?;
            // A snapshot, so that others may insert meanwhile.
            let index = lock(&index)?.clone();
            Ok(Outcome::Text(to_json(&index.query(&sketch, &options)?)?))
        }))
    }
}

fn lock(index: &Mutex<fingerprint::Index>) -> error::Result<MutexGuard<'_, fingerprint::Index>> {
    index.lock().map_err(|_| Error::Internal("an earlier call on this index panicked; make a new one".to_owned()))
}

/// The parameters of a look-up, as JSON.
#[napi]
pub fn acoustid_lookup(client: String, seconds: f64, chromaprint: String, meta: Vec<String>) -> Result<String, String> {
    enter(|| {
        let meta: Vec<&str> = meta.iter().map(String::as_str).collect();
        to_json(&acoustid::lookup(&client, seconds, &Chromaprint::decode(&chromaprint)?, &meta)?)
    })
}

/// The parameters of a submission, as JSON. `tracks` is the JSON of [seconds, compressed text, what is known] of each.
#[napi]
pub fn acoustid_submit(client: String, user: String, tracks: String) -> Result<String, String> {
    enter(|| {
        let tracks: Vec<(f64, String, Submission)> = from_json("tracks", &tracks)?;
        let prints: Vec<Chromaprint> =
            tracks.iter().map(|(_, text, _)| Chromaprint::decode(text)).collect::<error::Result<_>>()?;
        let tracks: Vec<_> =
            tracks.iter().zip(&prints).map(|((seconds, _, known), print)| (*seconds, print, known)).collect();
        to_json(&acoustid::submit(&client, &user, &tracks)?)
    })
}

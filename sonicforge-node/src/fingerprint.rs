//! Fingerprints: of a whole sound in one job, or block by block; their words and texts; AcoustID's parameters.

use std::sync::{Arc, Mutex, MutexGuard};

use napi::Result;
use napi::bindgen_prelude::{AsyncTask, Float32ArraySlice, Uint32Array};
use napi_derive::napi;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{self, Error};
use sonicforge_core::fingerprint::acoustid::{self, Submission};
use sonicforge_core::fingerprint::{self, Chromaprint, Fingerprint, FingerprintParams};
use sonicforge_core::fingerprint::{
    Change, DuplicateOptions, DuplicateReport, IndexOptions, IndexTrack, Match, QueryOptions, ScanOptions, Sketch,
    Snapshot,
};
use sonicforge_core::plot;
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
pub struct Index(Arc<Mutex<Option<fingerprint::Index>>>);

type Held = Arc<Mutex<Option<fingerprint::Index>>>;

#[napi]
impl Index {
    /// An empty one in memory.
    #[napi(constructor)]
    #[allow(clippy::new_without_default)] // JavaScript has no Default
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(fingerprint::Index::new()))))
    }

    /// Puts the index of a folder in the place of this one; the options are JSON.
    #[napi]
    pub fn open(&self, job: &Job, path: String, options: String) -> Result<AsyncTask<Work>, String> {
        let options = enter(|| from_json::<IndexOptions>("options", &options))?;
        let held = self.0.clone();
        Ok(start(job, move |_| {
            let index = fingerprint::Index::open(path, &options)?;
            *lock(&held)? = Some(index);
            Ok(Outcome::Done)
        }))
    }

    /// Takes out, then puts in: the JSON of [id, fingerprint, note] of each. At once.
    #[napi]
    pub fn apply(&self, inserts: String, removes: Vec<String>) -> Result<(), String> {
        enter(|| with(&self.0, |index| index.apply(changes(&inserts, removes)?)))
    }

    /// The same, as a promise.
    #[napi]
    pub fn apply_later(&self, job: &Job, inserts: String, removes: Vec<String>) -> AsyncTask<Work> {
        let held = self.0.clone();
        start(job, move |_| {
            let changes = changes(&inserts, removes)?;
            with(&held, |index| index.apply(changes))?;
            Ok(Outcome::Done)
        })
    }

    /// Takes a track out; whether it was there.
    #[napi]
    pub fn remove(&self, id: String) -> Result<bool, String> {
        enter(|| with(&self.0, |index| index.remove(&id)))
    }

    /// How many tracks there are.
    #[napi]
    pub fn size(&self) -> Result<u32, String> {
        enter(|| with(&self.0, |index| Ok(index.len() as u32)))
    }

    /// Whether there is a track of this name.
    #[napi]
    pub fn has(&self, id: String) -> Result<bool, String> {
        enter(|| with(&self.0, |index| index.contains(&id)))
    }

    /// The names of all tracks.
    #[napi]
    pub fn ids(&self) -> Result<Vec<String>, String> {
        enter(|| snapshot(&self.0)?.ids())
    }

    /// A track as JSON, or null.
    #[napi]
    pub fn get(&self, id: String) -> Result<String, String> {
        enter(|| with(&self.0, |index| to_json(&index.get(&id)?)))
    }

    /// How large it is, as JSON.
    #[napi]
    pub fn stats(&self) -> Result<String, String> {
        enter(|| with(&self.0, |index| to_json(&index.stats())))
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
        let held = self.0.clone();
        Ok(start(job, move |watch| {
            let sketch = Sketch::of(&buffer)?;
            watch.check("the query")?;
            Ok(Outcome::Text(to_json(&snapshot(&held)?.query(&sketch, &options)?)?))
        }))
    }

    /// The picture of a match, which is given as JSON.
    #[napi]
    pub fn match_svg(
        &self,
        job: &Job,
        samples: &[f32],
        rate: u32,
        channels: u32,
        found: String,
    ) -> Result<AsyncTask<Work>, String> {
        let (buffer, found) = enter(|| Ok((audio(samples, rate, channels)?, from_json::<Match>("match", &found)?)))?;
        let held = self.0.clone();
        Ok(start(job, move |_| {
            let explained = snapshot(&held)?.explain(&Sketch::of(&buffer)?, &found)?;
            Ok(Outcome::Text(plot::match_svg(&explained)))
        }))
    }

    /// The report of duplicates, as JSON; the options are JSON.
    #[napi]
    pub fn duplicates(&self, job: &Job, options: String) -> Result<AsyncTask<Work>, String> {
        let options = enter(|| from_json::<DuplicateOptions>("options", &options))?;
        let held = self.0.clone();
        Ok(start(job, move |watch| Ok(Outcome::Text(snapshot(&held)?.duplicates(&options, watch)?.to_json()))))
    }

    /// The report of a scan, as JSON; the options are JSON.
    #[napi]
    pub fn scan(&self, job: &Job, folder: String, options: String) -> Result<AsyncTask<Work>, String> {
        let options = enter(|| from_json::<ScanOptions>("options", &options))?;
        let held = self.0.clone();
        Ok(start(job, move |watch| {
            with(&held, |index| Ok(Outcome::Text(to_json(&fingerprint::scan(folder, index, &options, watch)?)?)))
        }))
    }

    /// What takes a while and gives nothing back: `flush`, `check`, `export` and `import` of a path.
    #[napi]
    pub fn tend(&self, job: &Job, what: String, path: String) -> AsyncTask<Work> {
        let held = self.0.clone();
        start(job, move |_| {
            with(&held, |index| match &*what {
                "flush" => index.flush(),
                "check" => index.check(),
                "export" => index.export(path),
                "import" => index.import(path),
                _ => Err(Error::Internal(format!("nothing is called {what}"))),
            })?;
            Ok(Outcome::Done)
        })
    }

    /// In an index that only reads: shows what was written since. Whether there was anything.
    #[napi]
    pub fn refresh(&self) -> Result<bool, String> {
        enter(|| with(&self.0, fingerprint::Index::refresh))
    }

    /// Lets others write.
    #[napi]
    pub fn close(&self) -> Result<(), String> {
        enter(|| {
            *lock(&self.0)? = None;
            Ok(())
        })
    }
}

fn lock(index: &Held) -> error::Result<MutexGuard<'_, Option<fingerprint::Index>>> {
    index.lock().map_err(|_| Error::Internal("an earlier call on this index panicked; make a new one".to_owned()))
}

fn with<T>(held: &Held, work: impl FnOnce(&mut fingerprint::Index) -> error::Result<T>) -> error::Result<T> {
    let closed = || Error::invalid("this index was closed; open it again");
    work(lock(held)?.as_mut().ok_or_else(closed)?)
}

/// What there is now, so that others may change it meanwhile.
fn snapshot(held: &Held) -> error::Result<Snapshot> {
    with(held, |index| Ok(index.snapshot()))
}

fn changes(inserts: &str, removes: Vec<String>) -> error::Result<Vec<Change>> {
    let mut changes: Vec<Change> = removes.into_iter().map(Change::Remove).collect();
    for (id, print, note) in from_json::<Vec<(String, Fingerprint, String)>>("inserts", inserts)? {
        changes.push(Change::Insert(IndexTrack { note, ..IndexTrack::new(id, &print) }));
    }
    Ok(changes)
}

/// Of a file, block by block, as JSON.
#[napi]
pub fn fingerprint_file(job: &Job, path: String, options: String) -> Result<AsyncTask<Work>, String> {
    let params = enter(|| from_json::<FingerprintParams>("options", &options))?;
    Ok(start(job, move |_| Ok(Outcome::Text(fingerprint::fingerprint_file(path, &params)?.to_json()))))
}

/// The table of a report that is given as JSON.
#[napi]
pub fn duplicates_table(report: String) -> Result<String, String> {
    enter(|| Ok(from_json::<DuplicateReport>("report", &report)?.to_table()))
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

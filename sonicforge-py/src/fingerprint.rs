//! `sonicforge_core::fingerprint`.

use std::path::PathBuf;

use numpy::{PyArray1, PyArray2};
use pyo3::prelude::*;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::fingerprint::acoustid::{self, Submission};
use sonicforge_core::fingerprint::{self, Chromaprint, Fingerprint, FingerprintParams};
use sonicforge_core::fingerprint::{
    Change, DuplicateOptions, DuplicateReport, IndexOptions, IndexTrack, Match, QueryOptions, ScanOptions, Sketch,
    Snapshot,
};
use sonicforge_core::plot;
use sonicforge_core::progress::Step;

use crate::arrays::Lent;
use crate::enter::{CancelToken, Shared, Watch, enter, enter_long};
use crate::json;

/// Frames that are heard between two looks at the wish to stop.
const CHUNK: usize = 1 << 18;

fn params(preset: &str, silence_threshold: Option<u16>) -> Result<FingerprintParams> {
    Ok(FingerprintParams { preset: preset.parse()?, silence_threshold, ..FingerprintParams::default() })
}

/// Of a whole sound; the fingerprint comes as JSON.
#[pyfunction]
#[pyo3(name = "fingerprint")]
fn fingerprint_(
    py: Python<'_>,
    samples: Bound<'_, PyArray2<f32>>,
    sample_rate: u32,
    preset: &str,
    silence_threshold: Option<u16>,
    progress: Option<Py<PyAny>>,
    cancel: Option<&Bound<'_, CancelToken>>,
) -> PyResult<String> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    enter_long(py, Watch::new(progress, cancel), |progress| {
        let params = params(preset, silence_threshold)?;
        let mut fingerprinter = fingerprint::Fingerprinter::new(audio.sample_rate(), audio.channels(), &params)?;
        for start in (0..audio.frames()).step_by(CHUNK) {
            let end = (start + CHUNK).min(audio.frames());
            push(&mut fingerprinter, audio, start, end)?;
            if progress.report(Step::new("fingerprint", end as f64 / audio.frames() as f64)).is_break() {
                return Err(Error::Cancelled("fingerprint"));
            }
        }
        Ok(fingerprinter.finish().to_json())
    })
}

fn push(to: &mut fingerprint::Fingerprinter, audio: &AudioBuffer, start: usize, end: usize) -> Result<()> {
    let channels: Vec<&[f32]> = (0..audio.channels()).map(|c| &audio.channel(c)[start..end]).collect();
    to.push_channels(&channels)
}

/// Hears block by block.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Fingerprinter {
    inner: Shared<Option<fingerprint::Fingerprinter>>,
    sample_rate: u32,
}

#[pymethods]
impl Fingerprinter {
    #[new]
    fn new(
        py: Python<'_>,
        sample_rate: u32,
        channels: usize,
        preset: &str,
        silence_threshold: Option<u16>,
    ) -> PyResult<Self> {
        let inner =
            enter(py, || fingerprint::Fingerprinter::new(sample_rate, channels, &params(preset, silence_threshold)?))?;
        Ok(Self { inner: Shared::new(Some(inner)), sample_rate })
    }

    fn push(&self, py: Python<'_>, samples: Bound<'_, PyArray2<f32>>) -> PyResult<()> {
        let block = Lent::new(&samples, self.sample_rate)?;
        let block: &AudioBuffer = &block;
        self.inner.enter(py, |inner| push(inner.as_mut().ok_or_else(finished)?, block, 0, block.frames()))
    }

    /// The fingerprint as JSON. Nothing can be pushed after it.
    fn finish(&self, py: Python<'_>) -> PyResult<String> {
        self.inner.enter(py, |inner| Ok(inner.take().ok_or_else(finished)?.finish().to_json()))
    }
}

fn finished() -> Error {
    Error::invalid("this fingerprinter has finished; make a new one")
}

fn print(preset: &str, words: Vec<u32>) -> Result<Chromaprint> {
    Chromaprint::from_words(preset.parse()?, words)
}

/// The preset and the words of a compressed text.
#[pyfunction]
fn chromaprint_decode<'py>(py: Python<'py>, text: &str) -> PyResult<(String, Bound<'py, PyArray1<u32>>)> {
    let print = enter(py, || Chromaprint::decode(text))?;
    Ok((print.preset().to_string(), PyArray1::from_slice(py, print.words())))
}

/// The compressed text, the simhash and, cut to `seconds`, the number of words.
#[pyfunction]
fn chromaprint_encode(py: Python<'_>, preset: &str, words: Vec<u32>, seconds: f64) -> PyResult<(String, u32, usize)> {
    enter(py, || {
        let print = print(preset, words)?;
        Ok((print.encode(), print.simhash(), print.first(seconds).words().len()))
    })
}

/// Name and value of each parameter of a look-up.
#[pyfunction]
fn acoustid_lookup(
    py: Python<'_>,
    client: &str,
    seconds: f64,
    chromaprint: &str,
    meta: Vec<String>,
) -> PyResult<Vec<(String, String)>> {
    enter(py, || {
        let meta: Vec<&str> = meta.iter().map(String::as_str).collect();
        acoustid::lookup(client, seconds, &Chromaprint::decode(chromaprint)?, &meta)
    })
}

/// Name and value of each parameter of a submission; a track is its length, its compressed text, and what is known as JSON.
#[pyfunction]
fn acoustid_submit(
    py: Python<'_>,
    client: &str,
    user: &str,
    tracks: Vec<(f64, String, String)>,
) -> PyResult<Vec<(String, String)>> {
    enter(py, || {
        let read = |(seconds, text, known): &(f64, String, String)| {
            Ok((*seconds, Chromaprint::decode(text)?, json::read::<Submission>("known", known)?))
        };
        let tracks: Vec<(f64, Chromaprint, Submission)> = tracks.iter().map(read).collect::<Result<_>>()?;
        let tracks: Vec<_> = tracks.iter().map(|(seconds, print, known)| (*seconds, print, known)).collect();
        acoustid::submit(client, user, &tracks)
    })
}

/// Many tracks, searched at once.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Index(Shared<Option<fingerprint::Index>>);

fn closed() -> Error {
    Error::invalid("this index was closed; open it again")
}

impl Index {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut fingerprint::Index) -> Result<T> + Send,
    ) -> PyResult<T> {
        self.0.enter(py, |index| work(index.as_mut().ok_or_else(closed)?))
    }

    /// What there is now, so that others may change it meanwhile.
    fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.0.lock()?.as_ref().ok_or_else(closed)?.snapshot())
    }
}

#[pymethods]
impl Index {
    /// In memory, or in a folder; the options are JSON.
    #[new]
    fn new(py: Python<'_>, path: Option<PathBuf>, options: &str) -> PyResult<Self> {
        let index = enter(py, || match path {
            None => Ok(fingerprint::Index::new()),
            Some(path) => fingerprint::Index::open(path, &json::read::<IndexOptions>("options", options)?),
        })?;
        Ok(Self(Shared::new(Some(index))))
    }

    /// Takes out, then puts in: id, fingerprint as JSON, and note of each.
    fn apply(&self, py: Python<'_>, inserts: Vec<(String, String, String)>, removes: Vec<String>) -> PyResult<()> {
        self.with(py, |index| {
            let mut changes: Vec<Change> = removes.into_iter().map(Change::Remove).collect();
            for (id, print, note) in inserts {
                let print = Fingerprint::from_json(&print)?;
                changes.push(Change::Insert(IndexTrack { note, ..IndexTrack::new(id, &print) }));
            }
            index.apply(changes)
        })
    }

    fn remove(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.with(py, |index| index.remove(id))
    }

    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |index| Ok(index.len()))
    }

    fn contains(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.with(py, |index| index.contains(id))
    }

    fn ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        enter(py, || self.snapshot()?.ids())
    }

    /// A track as JSON.
    fn get(&self, py: Python<'_>, id: &str) -> PyResult<Option<String>> {
        self.with(py, |index| index.get(id)?.map(|track| json::write(&track)).transpose())
    }

    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |index| json::write(&index.stats()))
    }

    /// The matches as JSON; the options are JSON.
    fn query(
        &self,
        py: Python<'_>,
        samples: Bound<'_, PyArray2<f32>>,
        sample_rate: u32,
        options: &str,
    ) -> PyResult<String> {
        let audio = Lent::new(&samples, sample_rate)?;
        let audio: &AudioBuffer = &audio;
        enter(py, || {
            let options: QueryOptions = json::read("options", options)?;
            json::write(&self.snapshot()?.query(&Sketch::of(audio)?, &options)?)
        })
    }

    /// The picture of a match, which is given as JSON.
    fn match_svg(
        &self,
        py: Python<'_>,
        samples: Bound<'_, PyArray2<f32>>,
        sample_rate: u32,
        found: &str,
    ) -> PyResult<String> {
        let audio = Lent::new(&samples, sample_rate)?;
        let audio: &AudioBuffer = &audio;
        enter(py, || {
            let found: Match = json::read("match", found)?;
            Ok(plot::match_svg(&self.snapshot()?.explain(&Sketch::of(audio)?, &found)?))
        })
    }

    /// The matches of each sound as JSON.
    fn query_batch(
        &self,
        py: Python<'_>,
        sounds: Vec<(Bound<'_, PyArray2<f32>>, u32)>,
        options: &str,
        threads: usize,
    ) -> PyResult<String> {
        let lent = sounds.iter().map(|(samples, rate)| Lent::new(samples, *rate)).collect::<PyResult<Vec<_>>>()?;
        let sounds: Vec<&AudioBuffer> = lent.iter().map(|l| &**l).collect();
        enter(py, || {
            let options: QueryOptions = json::read("options", options)?;
            let sketches = sounds.into_iter().map(Sketch::of).collect::<Result<Vec<_>>>()?;
            json::write(&self.snapshot()?.query_batch(&sketches, &options, threads)?)
        })
    }

    /// The report as JSON; the options are JSON.
    fn duplicates(
        &self,
        py: Python<'_>,
        options: &str,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Bound<'_, CancelToken>>,
    ) -> PyResult<String> {
        enter_long(py, Watch::new(progress, cancel), |progress| {
            let options: DuplicateOptions = json::read("options", options)?;
            Ok(self.snapshot()?.duplicates(&options, progress)?.to_json())
        })
    }

    /// The report as JSON; the options are JSON.
    fn scan(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        options: &str,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Bound<'_, CancelToken>>,
    ) -> PyResult<String> {
        enter_long(py, Watch::new(progress, cancel), |progress| {
            let options: ScanOptions = json::read("options", options)?;
            let mut index = self.0.lock()?;
            json::write(&fingerprint::scan(folder, index.as_mut().ok_or_else(closed)?, &options, progress)?)
        })
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, fingerprint::Index::flush)
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, fingerprint::Index::refresh)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |index| index.check())
    }

    fn export_file(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.with(py, |index| index.export(path))
    }

    fn import_file(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.with(py, |index| index.import(path))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.enter(py, |index| {
            *index = None;
            Ok(())
        })
    }
}

/// Of a file, block by block; the fingerprint comes as JSON.
#[pyfunction]
fn fingerprint_file(py: Python<'_>, path: PathBuf, preset: &str, pcm_hash: bool) -> PyResult<String> {
    enter(py, || {
        let params = FingerprintParams { pcm_hash, ..params(preset, None)? };
        Ok(fingerprint::fingerprint_file(path, &params)?.to_json())
    })
}

/// The table of a report that is given as JSON.
#[pyfunction]
fn duplicates_table(py: Python<'_>, report: &str) -> PyResult<String> {
    enter(py, || Ok(json::read::<DuplicateReport>("report", report)?.to_table()))
}

/// A fingerprint, checked and written anew.
pub fn normalize(text: &str) -> Result<String> {
    Ok(Fingerprint::from_json(text)?.to_json())
}

/// Puts what is in this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(fingerprint_, m)?)?;
    m.add_function(wrap_pyfunction!(chromaprint_decode, m)?)?;
    m.add_function(wrap_pyfunction!(chromaprint_encode, m)?)?;
    m.add_function(wrap_pyfunction!(acoustid_lookup, m)?)?;
    m.add_function(wrap_pyfunction!(acoustid_submit, m)?)?;
    m.add_function(wrap_pyfunction!(fingerprint_file, m)?)?;
    m.add_function(wrap_pyfunction!(duplicates_table, m)?)?;
    m.add_class::<Index>()?;
    m.add_class::<Fingerprinter>()
}

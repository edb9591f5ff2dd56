//! `sonicforge_core::fingerprint`.

use numpy::{PyArray1, PyArray2};
use pyo3::prelude::*;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::fingerprint::acoustid::{self, Submission};
use sonicforge_core::fingerprint::{self, Chromaprint, Constellation, Fingerprint, FingerprintParams};
use sonicforge_core::fingerprint::{QueryOptions, Sketch};
use sonicforge_core::progress::Step;

use crate::arrays::Lent;
use crate::enter::{CancelToken, Shared, Watch, enter, enter_long};
use crate::json;

/// Frames that are heard between two looks at the wish to stop.
const CHUNK: usize = 1 << 18;

fn params(preset: &str, silence_threshold: Option<u16>) -> Result<FingerprintParams> {
    Ok(FingerprintParams { preset: preset.parse()?, silence_threshold })
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
struct Index(Shared<fingerprint::Index>);

#[pymethods]
impl Index {
    #[new]
    fn new() -> Self {
        Self(Shared::new(fingerprint::Index::new()))
    }

    fn insert(&self, py: Python<'_>, id: &str, landmarks: &str) -> PyResult<()> {
        self.0.enter(py, |index| index.insert(id, &Constellation::decode(landmarks)?))
    }

    fn remove(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.0.enter(py, |index| Ok(index.remove(id)))
    }

    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.enter(py, |index| Ok(index.len()))
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
            let sketch = Sketch::of(audio)?;
            // A snapshot, so that others may insert meanwhile.
            let index = self.0.lock()?.clone();
            json::write(&index.query(&sketch, &options)?)
        })
    }
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
    m.add_class::<Index>()?;
    m.add_class::<Fingerprinter>()
}

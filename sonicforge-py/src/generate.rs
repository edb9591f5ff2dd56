//! `sonicforge_core::generate::musicgen`.

use std::path::PathBuf;

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::Result;
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{self, LoadOptions, QuantizeOptions};
use sonicforge_core::progress::Progress;

use crate::arrays::{self, Codes, Lent, Samples};
use crate::enter::{CancelToken, Shared, Watch, enter, enter_long};
use crate::json;

type Token<'a, 'py> = Option<&'a Bound<'py, CancelToken>>;
type Sound<'py> = (Bound<'py, PyArray2<f32>>, u32);

/// A request as the facade spells it: a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Wish<'py> {
    prompt: Option<String>,
    token_ids: Option<Vec<u32>>,
    seconds: f64,
    seed: u64,
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    guidance_scale: Option<f32>,
    continue_from: Option<Sound<'py>>,
    continue_codes: Option<PyReadonlyArray2<'py, u32>>,
    keep_prompt: bool,
    melody: Option<Sound<'py>>,
}

impl Wish<'_> {
    fn read(self) -> PyResult<Request> {
        Ok(Request {
            continue_from: self.continue_from.map(own).transpose()?,
            melody: self.melody.map(own).transpose()?,
            prompt: self.prompt,
            token_ids: self.token_ids,
            seconds: self.seconds,
            seed: self.seed,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            guidance_scale: self.guidance_scale,
            continue_codes: self.continue_codes.as_ref().map(arrays::take_codes),
            keep_prompt: self.keep_prompt,
        })
    }
}

/// The requests of the core; their sounds are copied.
pub fn read_all(wishes: Vec<Wish<'_>>) -> PyResult<Vec<Request>> {
    wishes.into_iter().map(Wish::read).collect()
}

fn own((samples, sample_rate): Sound<'_>) -> PyResult<AudioBuffer> {
    Ok(AudioBuffer::clone(&*Lent::new(&samples, sample_rate)?))
}

/// A loaded model.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct MusicGen(musicgen::MusicGen);

#[pymethods]
impl MusicGen {
    #[new]
    fn new(
        py: Python<'_>,
        source: Option<PathBuf>,
        device: &str,
        quantization: Option<&str>,
        threads: usize,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, '_>,
    ) -> PyResult<Self> {
        let load = |progress: &mut dyn Progress| {
            let quantization = quantization.map(str::parse).transpose()?;
            let options = LoadOptions { device: device.parse()?, quantization, threads, ..LoadOptions::default() };
            match source {
                Some(source) => musicgen::MusicGen::load_with(source, &options, progress),
                None => musicgen::MusicGen::load_default_with(&options, progress),
            }
        };
        enter_long(py, Watch::new(progress, cancel), load).map(Self)
    }

    /// What was loaded, as JSON.
    fn info(&self, py: Python<'_>) -> PyResult<String> {
        enter(py, || json::write(self.0.info()))
    }

    /// One piece per request.
    fn generate<'py>(
        &self,
        py: Python<'py>,
        wishes: Vec<Wish<'py>>,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, 'py>,
    ) -> PyResult<Vec<Samples<'py>>> {
        let requests = read_all(wishes)?;
        let made = enter_long(py, Watch::new(progress, cancel), |progress| self.0.generate_batch(&requests, progress))?;
        Ok(made.into_iter().map(|audio| arrays::give(py, audio)).collect())
    }

    /// Begins a piece that is heard while it is made.
    fn stream(
        &self,
        py: Python<'_>,
        wish: Wish<'_>,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, '_>,
    ) -> PyResult<MusicStream> {
        let request = wish.read()?;
        let stream = enter_long(py, Watch::new(progress, cancel), |progress| self.0.stream_with(&request, progress))?;
        Ok(MusicStream(Shared::new(Some(Running { stream, made: None }))))
    }

    fn tokenize(&self, py: Python<'_>, prompt: &str) -> PyResult<Vec<u32>> {
        enter(py, || self.0.tokenize(prompt))
    }

    /// The codes of one piece per request.
    fn generate_codes<'py>(
        &self,
        py: Python<'py>,
        wishes: Vec<Wish<'py>>,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, 'py>,
    ) -> PyResult<Vec<Codes<'py>>> {
        let requests = read_all(wishes)?;
        let made = enter_long(py, Watch::new(progress, cancel), |progress| self.0.generate_codes(&requests, progress))?;
        Ok(made.into_iter().map(|codes| arrays::give_codes(py, codes)).collect())
    }

    fn decode_codes<'py>(
        &self,
        py: Python<'py>,
        codes: PyReadonlyArray2<'py, u32>,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, 'py>,
    ) -> PyResult<Samples<'py>> {
        let codes = arrays::take_codes(&codes);
        let audio =
            enter_long(py, Watch::new(progress, cancel), |progress| self.0.decode_codes_with(&codes, progress))?;
        Ok(arrays::give(py, audio))
    }

    fn encode_audio<'py>(
        &self,
        py: Python<'py>,
        samples: Bound<'py, PyArray2<f32>>,
        sample_rate: u32,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, 'py>,
    ) -> PyResult<Codes<'py>> {
        let audio = Lent::new(&samples, sample_rate)?;
        let audio: &AudioBuffer = &audio;
        let codes = enter_long(py, Watch::new(progress, cancel), |progress| self.0.encode_audio_with(audio, progress))?;
        Ok(arrays::give_codes(py, codes))
    }
}

/// A piece that is being made; `None` when it was closed.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct MusicStream(Shared<Option<Running>>);

struct Running {
    stream: musicgen::MusicStream,
    /// A chunk whose call was interrupted when it was done: the next call has it.
    made: Option<AudioBuffer>,
}

#[pymethods]
impl MusicStream {
    /// The next samples, or `None` after the last.
    fn next<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
        cancel: Token<'_, 'py>,
    ) -> PyResult<Option<Samples<'py>>> {
        enter_long(py, Watch::new(progress, cancel), |progress| {
            if let Some(running) = &mut *self.0.lock()?
                && running.made.is_none()
            {
                running.made = running.stream.next_chunk(progress)?;
            }
            Ok(())
        })?;
        let chunk = self.0.enter(py, |running| Ok(running.as_mut().and_then(|running| running.made.take())))?;
        Ok(chunk.map(|audio| arrays::give(py, audio)))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.enter(py, |stream| -> Result<()> {
            *stream = None;
            Ok(())
        })
    }
}

/// Writes a folder's checkpoint into one GGUF file; the report as JSON.
#[pyfunction]
fn quantize(
    py: Python<'_>,
    folder: PathBuf,
    path: PathBuf,
    quantization: &str,
    compact: bool,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, '_>,
) -> PyResult<String> {
    enter_long(py, Watch::new(progress, cancel), |progress| {
        let mut options = QuantizeOptions::new(quantization.parse()?);
        options.compact = compact;
        json::write(&musicgen::quantize_with(folder, path, options, progress)?)
    })
}

/// Puts what is in this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(quantize, m)?)?;
    m.add_class::<MusicGen>()?;
    m.add_class::<MusicStream>()
}

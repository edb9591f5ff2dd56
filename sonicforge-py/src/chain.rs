//! `sonicforge_core::master`, the processors: every one of them runs here as a chain, of one module or of many.

use std::path::PathBuf;

use numpy::{PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::master::{MasteringChain, Module, Preset, Processor, Spec};

use crate::arrays::{self, Lent, Samples};
use crate::enter::{CancelToken, Shared, Watch, enter, enter_long};
use crate::json;

/// A running chain, and what it was prepared for.
struct Running {
    chain: MasteringChain,
    spec: Option<Spec>,
}

impl Running {
    fn spec(&self) -> Result<Spec> {
        self.spec.ok_or_else(|| Error::invalid("call prepare(sample_rate=..., channels=...) first"))
    }
}

#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Chain(Shared<Running>);

#[pymethods]
impl Chain {
    #[new]
    fn new(py: Python<'_>, preset: &str) -> PyResult<Self> {
        let chain = enter(py, || MasteringChain::new(&Preset::from_json(preset)?))?;
        Ok(Self(Shared::new(Running { chain, spec: None })))
    }

    /// Gives one module other settings, which glide in.
    fn set_module(&self, py: Python<'_>, index: usize, module: &str) -> PyResult<()> {
        self.0.enter(py, |running| running.chain.set_module(index, json::read("module", module)?))
    }

    fn prepare(&self, py: Python<'_>, sample_rate: u32, channels: usize, max_frames: usize) -> PyResult<()> {
        let spec = Spec { sample_rate, channels, max_frames: max_frames.max(1) };
        self.0.enter(py, |running| {
            running.chain.prepare(spec)?;
            running.spec = Some(spec);
            Ok(())
        })
    }

    /// Works in place.
    fn process(&self, py: Python<'_>, samples: Bound<'_, PyArray2<f32>>) -> PyResult<()> {
        let channels = samples.shape()[0];
        let mut samples = arrays::exclusive(&samples)?;
        let samples = samples.as_slice_mut()?;
        self.0.enter(py, |running| {
            let spec = running.spec()?;
            if channels != spec.channels {
                return Err(Error::invalid(format!("{channels} channels; prepared for {}", spec.channels)));
            }
            let mut block = arrays::block(samples, channels)?;
            for start in (0..block.frames()).step_by(spec.max_frames) {
                let end = (start + spec.max_frames).min(block.frames());
                running.chain.process(&mut block.range(start, end));
            }
            Ok(())
        })
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.0.enter(py, |running| {
            running.chain.reset();
            Ok(())
        })
    }

    #[getter]
    fn latency(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.enter(py, |running| running.spec().map(|_| running.chain.latency()))
    }

    #[getter]
    fn non_finite_samples(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.enter(py, |running| Ok(running.chain.non_finite_samples()))
    }

    /// A whole sound, with the latency taken off.
    fn render<'py>(
        &self,
        py: Python<'py>,
        samples: Bound<'py, PyArray2<f32>>,
        sample_rate: u32,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Bound<'py, CancelToken>>,
    ) -> PyResult<Samples<'py>> {
        let audio = Lent::new(&samples, sample_rate)?;
        let audio: &AudioBuffer = &audio;
        let rendered = enter_long(py, Watch::new(progress, cancel), |progress| {
            let mut audio = audio.clone();
            self.0.lock()?.chain.render_with(&mut audio, progress)?;
            Ok(audio)
        })?;
        Ok(arrays::give(py, rendered))
    }
}

/// One module, checked and written anew with all its settings.
pub fn normalize_module(text: &str) -> Result<String> {
    let module: Module = json::read("module", text)?;
    module.validate()?;
    json::write(&module)
}

#[pyfunction]
fn preset_named(py: Python<'_>, name: &str) -> PyResult<String> {
    enter(py, || Ok(Preset::named(name)?.to_json()))
}

#[pyfunction]
fn preset_names() -> Vec<&'static str> {
    Preset::names().to_vec()
}

#[pyfunction]
fn preset_from_toml(py: Python<'_>, text: &str) -> PyResult<String> {
    enter(py, || Ok(Preset::from_toml(text)?.to_json()))
}

#[pyfunction]
fn preset_to_toml(py: Python<'_>, text: &str) -> PyResult<String> {
    enter(py, || Ok(Preset::from_json(text)?.to_toml()))
}

#[pyfunction]
fn preset_load(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    enter(py, || Ok(Preset::load(path)?.to_json()))
}

#[pyfunction]
fn preset_save(py: Python<'_>, path: PathBuf, text: &str) -> PyResult<()> {
    enter(py, || Preset::from_json(text)?.save(path))
}

/// Puts what is in this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    for function in [
        wrap_pyfunction!(preset_named, m)?,
        wrap_pyfunction!(preset_names, m)?,
        wrap_pyfunction!(preset_from_toml, m)?,
        wrap_pyfunction!(preset_to_toml, m)?,
        wrap_pyfunction!(preset_load, m)?,
        wrap_pyfunction!(preset_save, m)?,
    ] {
        m.add_function(function)?;
    }
    m.add_class::<Chain>()
}

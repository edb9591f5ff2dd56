//! `sonicforge_core::generate::Generator`, written by the host: a Python function behind the same door as ours.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use numpy::PyArray2;
use pyo3::prelude::*;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::generate::{Checked, Generator, Request};
use sonicforge_core::progress::{Progress, Step};

use crate::arrays::{self, Lent, Samples};
use crate::enter::{CancelToken, Watch, enter};
use crate::generate::{Wish, read_all};

/// Makes one piece per request with `function(index)`, which gives samples and their rate. It runs on the thread of the
/// call, where Python itself hears Ctrl-C. What it raises, or `progress` raises, comes out unchanged.
#[pyfunction]
fn generate_with<'py>(
    py: Python<'py>,
    function: Py<PyAny>,
    wishes: Vec<Wish<'py>>,
    progress: Option<Py<PyAny>>,
    cancel: Option<&Bound<'py, CancelToken>>,
) -> PyResult<Vec<Samples<'py>>> {
    let requests = read_all(wishes)?;
    let Watch { progress, cancel } = Watch::new(progress, cancel);
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let keep = |error: PyErr| *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    let mut index = 0;
    let host = |_: &Request, _: &mut dyn Progress| -> Result<AudioBuffer> {
        let made = Python::attach(|py| {
            let made = function.bind(py).call1((index,))?;
            let (samples, sample_rate): (Bound<'_, PyArray2<f32>>, u32) = made.extract()?;
            Ok(AudioBuffer::clone(&*Lent::new(&samples, sample_rate)?))
        });
        index += 1;
        made.map_err(|error| {
            keep(error);
            Error::Cancelled("generating")
        })
    };
    let mut tell = |step: Step| {
        if cancel.as_ref().is_some_and(|token| token.is_cancelled()) {
            return ControlFlow::Break(());
        }
        let Some(progress) = &progress else { return ControlFlow::Continue(()) };
        match Python::attach(|py| progress.call1(py, (step.stage, step.fraction)).map(drop)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                keep(error);
                ControlFlow::Break(())
            }
        }
    };
    let outcome = enter(py, || Checked(host).generate_batch(&requests, &mut tell));
    match raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(outcome?.into_iter().map(|audio| arrays::give(py, audio)).collect()),
    }
}

/// Puts the function of this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(generate_with, m)?)
}

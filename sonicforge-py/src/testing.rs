//! `sonicforge_core::testing`: the named signals of the golden vectors, and a panic to prove that the net holds.

use pyo3::prelude::*;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::testing::Signal;

use crate::arrays::{self, Samples};
use crate::enter::{Watch, enter, enter_long};

/// `seconds` of the signal that the JSON text describes.
#[pyfunction]
fn signal<'py>(
    py: Python<'py>,
    description: &str,
    sample_rate: u32,
    channels: usize,
    seconds: f64,
) -> PyResult<Samples<'py>> {
    let audio = enter(py, || {
        let signal: Signal = serde_json::from_str(description)
            .map_err(|e| Error::invalid(format!("no such signal: {e}; got {description}")))?;
        signal.render(sample_rate, channels, seconds)
    })?;
    Ok(arrays::give(py, audio))
}

/// Panics inside the core's border, on this thread or on a worker.
#[pyfunction]
fn panic(py: Python<'_>, message: String, long: bool) -> PyResult<()> {
    let fail = move || -> Result<()> { panic!("{message}") };
    if long { enter_long(py, Watch::default(), |_| fail()) } else { enter(py, fail) }
}

/// Puts the functions of this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(signal, m)?)?;
    m.add_function(wrap_pyfunction!(panic, m)?)
}

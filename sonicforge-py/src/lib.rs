//! The native half of the Python package `sonicforge`: a translation, with no audio maths of its own.
//!
//! Every call goes into the core through `enter`, numpy arrays through `arrays`, errors through `errors`; beside
//! them there is one thin file per room of the core. What a user sees is `python/sonicforge`.

mod analyze;
mod arrays;
mod audio;
mod chain;
mod enter;
mod errors;
mod fingerprint;
mod generate;
mod generator;
mod io;
mod json;
mod master;
mod optimize;
mod plot;
mod testing;

use pyo3::prelude::*;

/// Registers what `_sonicforge.pyi` describes.
#[pymodule(gil_used = false)]
fn _sonicforge(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", sonicforge_core::VERSION)?;
    m.add_class::<enter::CancelToken>()?;
    analyze::register(m)?;
    audio::register(m)?;
    chain::register(m)?;
    fingerprint::register(m)?;
    generate::register(m)?;
    generator::register(m)?;
    io::register(m)?;
    master::register(m)?;
    optimize::register(m)?;
    plot::register(m)?;
    m.add_function(wrap_pyfunction!(normalize, m)?)?;
    testing::register(m)
}

/// JSON text of a document (`analysis`, `module`, `preset` …), checked by the core and written anew.
#[pyfunction]
fn normalize(py: Python<'_>, kind: &str, text: &str) -> PyResult<String> {
    enter::enter(py, || match kind {
        "analysis" => analyze::normalize(text),
        "fingerprint" => fingerprint::normalize(text),
        "module" => chain::normalize_module(text),
        "preset" => Ok(sonicforge_core::master::Preset::from_json(text)?.to_json()),
        "plan" => Ok(sonicforge_core::master::Plan::from_json(text)?.to_json()),
        "prompt_report" => Ok(sonicforge_core::optimize::PromptReport::from_json(text)?.to_json()),
        "report" => Ok(sonicforge_core::master::Report::from_json(text)?.to_json()),
        "target" => master::normalize_target(text),
        _ => Err(sonicforge_core::error::Error::Internal(format!("no document is called {kind}"))),
    })
}

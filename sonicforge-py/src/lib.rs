//! The native half of the Python package `sonicforge`: a translation, with no audio maths of its own.
//!
//! Every call goes into the core through [`enter`], numpy arrays through [`arrays`], errors through [`errors`]; beside
//! them there is one thin file per room of the core. What a user sees is `python/sonicforge`.

mod arrays;
mod audio;
mod enter;
mod errors;
mod testing;

use pyo3::prelude::*;

/// Registers what `_sonicforge.pyi` describes.
#[pymodule(gil_used = false)]
fn _sonicforge(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", sonicforge_core::VERSION)?;
    m.add_class::<enter::CancelToken>()?;
    audio::register(m)?;
    testing::register(m)
}

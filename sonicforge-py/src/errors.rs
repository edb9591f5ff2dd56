//! The core's errors as the exceptions of `sonicforge/exceptions.py`.
//!
//! The classes are written in Python because each has two bases (`SonicForgeError` and the builtin that users already
//! catch), which neither `create_exception!` nor a `#[pyclass]` of the limited API can express.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use sonicforge_core::error::Error;

/// `exceptions._from_core`, looked up once: code, message, errno, filename → exception.
static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error of the core.
pub fn to_py(py: Python<'_>, error: Error) -> PyErr {
    let (errno, filename) = match &error {
        Error::Io { path, source, .. } => (source.raw_os_error(), path.to_str().filter(|p| !p.is_empty())),
        _ => (None, None),
    };
    raise(py, error.code(), &error.to_string(), errno, filename)
}

/// The exception for a fault in what the caller passed.
pub fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    to_py(py, Error::invalid(message))
}

fn raise(py: Python<'_>, code: &str, message: &str, errno: Option<i32>, filename: Option<&str>) -> PyErr {
    let made = FROM_CORE
        .get_or_try_init(py, || Ok(py.import("sonicforge.exceptions")?.getattr("_from_core")?.unbind()))
        .and_then(|from_core| from_core.bind(py).call1((code, message, errno, filename)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

//! One error for the whole library.
//!
//! A message names the thing, what came, what was expected and what to do next. [`Error::code`] is stable: the exceptions
//! of the Python package and the `code` of the Node package follow from it.

use std::path::{Path, PathBuf};

/// What every fallible call of the library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by whose turn it is to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller passed something out of range or of the wrong shape (`SF_INVALID_ARGUMENT`).
    #[error("{0}")]
    InvalidArgument(String),
    /// The operating system refused (`SF_IO`). The path is empty when bytes or a stream were read.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done, as in "cannot write".
        action: &'static str,
        /// The file it was done to.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not what they claim to be: damaged, truncated or hostile (`SF_FORMAT`).
    #[error("{0}")]
    Format(String),
    /// A model could not be loaded or run (`SF_MODEL`).
    #[error("{0}")]
    Model(String),
    /// Well formed, but not something this build or this call handles (`SF_UNSUPPORTED`).
    #[error("{0}")]
    Unsupported(String),
    /// A store could not be read or written (`SF_STORE`).
    #[error("{0}")]
    Store(String),
    /// The caller asked to stop (`SF_CANCELLED`).
    #[error("{0} was cancelled; nothing was written")]
    Cancelled(&'static str),
    /// A defect of the library itself (`SF_INTERNAL`). Please report it.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl Error {
    /// The stable code, one of `SF_INVALID_ARGUMENT SF_IO SF_FORMAT SF_MODEL SF_UNSUPPORTED SF_STORE SF_CANCELLED SF_INTERNAL`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::InvalidArgument(_) => "SF_INVALID_ARGUMENT",
            Error::Io { .. } => "SF_IO",
            Error::Format(_) => "SF_FORMAT",
            Error::Model(_) => "SF_MODEL",
            Error::Unsupported(_) => "SF_UNSUPPORTED",
            Error::Store(_) => "SF_STORE",
            Error::Cancelled(_) => "SF_CANCELLED",
            Error::Internal(_) => "SF_INTERNAL",
        }
    }

    /// An [`Error::InvalidArgument`] with this message.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::InvalidArgument(message.into())
    }

    /// An [`Error::Io`] on this path. `action` is a phrase such as "cannot write".
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.as_ref().to_path_buf(), source }
    }
}

/// `value` when it lies in `range` (both ends included) and is finite; else an error that names it.
pub(crate) fn in_range(name: &str, value: f64, low: f64, high: f64) -> Result<f64> {
    if value.is_finite() && value >= low && value <= high {
        Ok(value)
    } else {
        Err(Error::invalid(format!("{name} is {value}; expected a number from {low} to {high}")))
    }
}

//! Results, plans and presets cross as the JSON text that serde makes; the facade turns it into Python objects.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sonicforge_core::error::{Error, Result};

/// A value of the core as JSON text.
pub fn write<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal(format!("cannot be written as JSON: {e}")))
}

/// A value of the core from the facade's JSON text. `what` names it in the error.
pub fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::invalid(format!("{what}: {e}")))
}

//! The second half of `sonicforge-default-model`: a registry takes ten mebibytes a crate.

/// Bytes of the GGUF file from the half on.
pub static HALF: &[u8] = include_bytes!("../model.gguf.2");

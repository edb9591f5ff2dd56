//! Text to music.

#[cfg(feature = "generate")]
pub mod musicgen;

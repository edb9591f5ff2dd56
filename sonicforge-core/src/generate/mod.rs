//! Text to music.
//!
//! [`Request`] says what is wanted, a [`Generator`] makes it: [`musicgen::MusicGen`] (feature `generate`), or anything a
//! host writes.

pub mod delay_pattern;
mod generator;
#[cfg(feature = "generate")]
pub mod musicgen;
mod request;
pub mod sampling;

pub use generator::{Checked, Generator};
pub use request::Request;

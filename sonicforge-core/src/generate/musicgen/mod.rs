//! MusicGen on candle: text becomes codes, codes become audio.
//!
//! Source: Copet et al., "Simple and controllable music generation", 2023 (the language model); Défossez et al., "High
//! fidelity neural audio compression", 2022 (EnCodec); Raffel et al., 2020 (T5). Checkpoints are those of transformers'
//! `MusicgenForConditionalGeneration` and `MusicgenMelodyForConditionalGeneration`. This is the only folder that knows
//! candle.

mod blocks;
#[cfg(test)]
mod blocks_tests;
mod cache;
mod charsmap;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod chroma;
mod codec;
mod compute;
mod config;
mod config_parser;
mod decoder;
mod folder;
mod generator;
mod gguf;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(all(test, feature = "hub"))]
mod hub_tests;
mod kernels;
mod licence;
mod model;
mod ops;
#[cfg(test)]
mod parity;
mod precision;
mod q4_k;
mod quantize;
#[cfg(test)]
mod quantize_tests;
mod safetensors;
mod session;
mod storage;
mod stream;
mod text_encoder;
#[cfg(test)]
mod tiny;
mod tokenizer;
mod tokenizer_check;
mod weights;

pub use generator::{DeviceKind, LoadOptions, ModelInfo, MusicGen};
pub use precision::Precision;
pub use quantize::{QuantizeOptions, QuantizeReport, quantize, quantize_with};
pub use stream::MusicStream;

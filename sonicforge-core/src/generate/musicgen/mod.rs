//! MusicGen on candle.
#![allow(dead_code)] // While the rooms are being furnished.

mod checkpoint;
mod codec;
mod config;
#[cfg(feature = "hub")]
mod hub;
mod kernels;
mod quantize;
mod tokenizer;

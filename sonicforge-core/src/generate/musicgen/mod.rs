//! MusicGen on candle.
#![allow(dead_code)] // While the rooms are being furnished.

mod blocks;
#[cfg(test)]
mod blocks_tests;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod codec;
mod config;
mod config_parser;
mod folder;
mod gguf;
#[cfg(feature = "hub")]
mod hub;
mod kernels;
mod licence;
mod precision;
mod q4_k;
mod quantize;
#[cfg(test)]
mod quantize_tests;
mod safetensors;
mod storage;
#[cfg(test)]
mod tiny;
mod tokenizer;

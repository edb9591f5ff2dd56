//! MusicGen on candle.
#![allow(dead_code)] // While the rooms are being furnished.

mod blocks;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod codec;
mod config;
mod config_parser;
mod folder;
#[cfg(feature = "hub")]
mod hub;
mod kernels;
mod licence;
mod precision;
mod quantize;
mod safetensors;
mod storage;
#[cfg(test)]
mod tiny;
mod tokenizer;

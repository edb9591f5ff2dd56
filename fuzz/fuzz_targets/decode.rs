//! Any bytes, any format.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(init: common::init(), |bytes: &[u8]| common::decode(bytes.to_vec()));

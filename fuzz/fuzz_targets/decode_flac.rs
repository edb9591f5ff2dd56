//! FLAC.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(init: common::init(), |bytes: &[u8]| common::decode_after(b"fLaC\x00\x00\x00\x22", bytes));

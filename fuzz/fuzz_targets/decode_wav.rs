//! RIFF WAVE.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(init: common::init(), |bytes: &[u8]| common::decode_after(b"RIFF\xFF\xFF\xFF\xFFWAVE", bytes));

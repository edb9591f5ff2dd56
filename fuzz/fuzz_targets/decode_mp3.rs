//! MPEG audio.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(init: common::init(), |bytes: &[u8]| common::decode_after(b"\xFF\xFB\x90\x64", bytes));

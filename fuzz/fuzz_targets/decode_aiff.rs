//! AIFF.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(init: common::init(), |bytes: &[u8]| common::decode_after(b"FORM\x7F\xFF\xFF\xFFAIFF", bytes));

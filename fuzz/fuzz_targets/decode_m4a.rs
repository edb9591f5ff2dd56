//! MP4.
#![no_main]
mod common;

libfuzzer_sys::fuzz_target!(init: common::init(), |bytes: &[u8]| common::decode_after(b"\x00\x00\x00\x10ftypM4A \x00\x00\x00\x00", bytes));

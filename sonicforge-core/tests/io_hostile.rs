//! Truncated, damaged and lying files: an error or a sound, in bounded time and memory; never a panic.
#![cfg(feature = "io")]

use std::time::{Duration, Instant};

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::Result;
use sonicforge_core::io::{self, Container, Reader, SampleFormat, WriteOptions};
use sonicforge_core::testing::{Signal, Xorshift};

/// No damaged file of a few kB may take longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nor more memory.
const MEMORY_MIB: u64 = 512;

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e != "sh"))
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(p).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 29, "fixtures are missing");
    files
}

/// Reads everything there is, in blocks and at once, with the tags.
fn swallow(bytes: &[u8]) -> Result<AudioBuffer> {
    let began = Instant::now();
    let result = io::read_bytes(bytes);
    if let Ok(sound) = &result {
        let mut reader = Reader::from_bytes(bytes).unwrap();
        let mut block = AudioBuffer::new(sound.sample_rate(), sound.channels(), 1_000).unwrap();
        let mut frames = 0;
        loop {
            match reader.read(&mut block.block()).unwrap() {
                0 => break,
                n => frames += n,
            }
        }
        assert_eq!(frames, sound.frames());
        let _ = reader.tags().texts().count();
    }
    assert!(began.elapsed() < PATIENCE, "took {:?}", began.elapsed());
    result
}

/// The most memory this process ever had, in MiB (0 where the system does not say).
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) / 1_024
}

#[test]
fn a_file_that_is_cut_off_is_an_error_or_shorter() {
    for (name, bytes) in fixtures() {
        let whole = swallow(&bytes).map(|s| s.frames()).unwrap_or(0);
        // What ends before its header says is an error, down to the last frame.
        let exact = [".wav", ".aiff", ".flac"].iter().any(|e| name.ends_with(e)) || name.starts_with("alac");
        for cut in (0..bytes.len()).step_by(bytes.len() / 97 + 1).chain(bytes.len().saturating_sub(20)..bytes.len()) {
            match swallow(&bytes[..cut]) {
                Ok(sound) => {
                    assert!(sound.frames() <= whole, "{name} cut at {cut}: {} of {whole} frames", sound.frames());
                    assert!(
                        !exact || sound.frames() == whole,
                        "{name} cut at {cut}: {} of {whole} frames",
                        sound.frames()
                    );
                }
                Err(e) => assert!(["SF_FORMAT", "SF_UNSUPPORTED"].contains(&e.code()), "{name} cut at {cut}: {e}"),
            }
        }
    }
    assert!(peak_memory() < MEMORY_MIB, "{} MiB", peak_memory());
}

#[test]
fn a_file_with_wrong_bits_is_an_error_or_a_sound() {
    let mut random = Xorshift::new(2_026);
    let (mut sounds, mut errors, mut gave_up) = (0, 0, 0);
    // For a long night: SONICFORGE_ROUNDS=100000.
    let rounds = std::env::var("SONICFORGE_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(120);
    for (name, bytes) in fixtures() {
        for round in 0..rounds {
            let mut bad = bytes.clone();
            // Heads are where the sizes lie: half of the damage goes there.
            let reach = if round % 2 == 0 { bad.len().min(256) } else { bad.len() };
            for _ in 0..1 + random.next_u64() % 8 {
                let at = (random.next_u64() % reach as u64) as usize;
                match random.next_u64() % 4 {
                    0 => bad[at] ^= 1 << (random.next_u64() % 8),
                    1 => bad[at] = 0xFF,
                    2 => bad[at] = 0,
                    _ => bad[at] = random.next_u64() as u8,
                }
            }
            if round % 10 == 9 {
                bad.truncate((random.next_u64() % bad.len() as u64) as usize);
            }
            match swallow(&bad) {
                Ok(_) => sounds += 1,
                Err(e) => {
                    errors += 1;
                    assert!(["SF_FORMAT", "SF_UNSUPPORTED"].contains(&e.code()), "{name}: {e}");
                    if e.to_string().contains("gave up") {
                        gave_up += 1;
                        println!("{name}, round {round}: {e}");
                    }
                }
            }
        }
    }
    println!("{sounds} sounds, {errors} errors, {gave_up} of them panics of a decoder; {} MiB", peak_memory());
    assert!(sounds > 100 && errors > 100);
    assert!(peak_memory() < MEMORY_MIB, "{} MiB", peak_memory());
}

#[test]
fn noise_is_not_audio() {
    let mut random = Xorshift::new(7);
    for length in [0, 1, 2, 3, 4, 8, 12, 44, 100, 1_000, 100_000] {
        for prefix in [
            &b""[..],
            b"RIFF\xFF\xFF\xFF\xFFWAVE",
            b"RF64\xFF\xFF\xFF\xFFWAVEds64",
            b"FORM\x7F\xFF\xFF\xFFAIFF",
            b"fLaC",
            b"OggS",
            b"ID3\x04",
            b"\xFF\xFB\x90\x00",
            b"\xFF\xF1",
            b"\0\0\0\x18ftypM4A ",
        ] {
            let mut bytes = prefix.to_vec();
            bytes.extend((0..length).map(|_| random.next_u64() as u8));
            if let Err(e) = swallow(&bytes) {
                assert!(["SF_FORMAT", "SF_UNSUPPORTED"].contains(&e.code()), "{e}");
            }
        }
    }
    for text in ["", "hello", "<html>"] {
        assert_eq!(io::read_bytes(text).unwrap_err().code(), "SF_FORMAT");
    }
}

#[test]
fn a_header_that_claims_too_much_is_an_error() {
    let sound = Signal::Music { seed: 1 }.render(48_000, 2, 0.1).unwrap();
    let write = |container| {
        io::write_bytes(&sound, &WriteOptions { container: Some(container), ..WriteOptions::new(SampleFormat::Int16) })
            .unwrap()
    };
    // FLAC: 2^36 − 1 frames.
    let mut flac = write(Container::Flac);
    flac[21] |= 0x0F;
    flac[22..26].fill(0xFF);
    // WAV: just under 4 GiB of samples.
    let mut wav = write(Container::Wav);
    wav[4..8].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    let data = wav.windows(4).position(|w| w == b"data").unwrap();
    wav[data + 4..data + 8].copy_from_slice(&0xFFFF_FF00u32.to_le_bytes());
    // RF64: 2^60 bytes of samples.
    let mut rf64 = write(Container::Wav);
    rf64[..4].copy_from_slice(b"RF64");
    rf64[12..16].copy_from_slice(b"ds64");
    rf64[28..36].copy_from_slice(&(1u64 << 60).to_le_bytes());
    rf64[data + 4..data + 8].fill(0xFF);
    // AIFF: just under 4 GiB of samples.
    let (_, mut aiff) = fixtures().into_iter().find(|(n, _)| n == "s16.aiff").unwrap();
    aiff[4..8].copy_from_slice(&0xFFFF_FFF0u32.to_be_bytes());
    let ssnd = aiff.windows(4).position(|w| w == b"SSND").unwrap();
    aiff[ssnd + 4..ssnd + 8].copy_from_slice(&0xFFFF_FF00u32.to_be_bytes());
    for (name, bytes) in [("flac", flac), ("wav", wav), ("rf64", rf64), ("aiff", aiff)] {
        match swallow(&bytes) {
            Ok(sound) => panic!("{name}: {} frames", sound.frames()),
            Err(error) => assert_eq!(error.code(), "SF_FORMAT", "{name}: {error}"),
        }
    }
    assert!(peak_memory() < MEMORY_MIB, "{} MiB", peak_memory());
}

#[test]
fn rates_and_channels_outside_the_limits_are_refused() {
    let sound = Signal::Music { seed: 1 }.render(48_000, 1, 0.01).unwrap();
    let wav = io::write_bytes(&sound, &WriteOptions { container: Some(Container::Wav), ..Default::default() }).unwrap();
    let format = wav.windows(4).position(|w| w == b"fmt ").unwrap() + 8;
    for rate in [0u32, 1, 7_999, 384_001, u32::MAX] {
        let mut bytes = wav.clone();
        bytes[format + 4..format + 8].copy_from_slice(&rate.to_le_bytes());
        let error = io::read_bytes(bytes).unwrap_err();
        assert!(["SF_FORMAT", "SF_UNSUPPORTED"].contains(&error.code()), "{rate}: {error}");
    }
    for channels in [0u16, 9, 200, u16::MAX] {
        let mut bytes = wav.clone();
        bytes[format + 2..format + 4].copy_from_slice(&channels.to_le_bytes());
        bytes[format + 12..format + 14].copy_from_slice(&channels.wrapping_mul(3).to_le_bytes());
        let error = io::read_bytes(bytes).unwrap_err();
        assert!(["SF_FORMAT", "SF_UNSUPPORTED"].contains(&error.code()), "{channels}: {error}");
    }
}

//! Damaged and hostile checkpoints: an error with a code, or a model that works; never a panic, never memory that a file
//! merely claims.
#![cfg(feature = "generate")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sonicforge_core::error::Error;
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen, Precision, quantize};
use sonicforge_core::progress::NoProgress;
use sonicforge_core::testing::Xorshift;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate").join(name)
}

const FILES: [&str; 4] = ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"];

/// Loads, and if that succeeds makes a little music. Every error has to say something.
fn try_out(path: &Path, what: &str) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| -> Result<(), Error> {
        let options = LoadOptions { quantization: Some(Precision::F32), threads: 1, ..LoadOptions::default() };
        let model = MusicGen::load(path, &options)?;
        let prompt = Request { seconds: 1e-3, ..Request::new("warm piano") };
        model.generate(&prompt, &mut NoProgress)?;
        let ids = Request { seconds: 1e-3, token_ids: Some(vec![1]), ..Request::default() };
        model.generate(&ids, &mut NoProgress).map(drop)
    }));
    match outcome {
        Ok(Ok(())) => true,
        Ok(Err(e)) => {
            assert!(!e.to_string().is_empty() && e.code() != "SF_INTERNAL", "{what}: {e}");
            false
        }
        Err(_) => panic!("{what}: a panic left the library"),
    }
}

/// Flips, overwrites, cuts and doubles bytes, mostly among the first `reach`, where the structure is.
fn damage(bytes: &[u8], reach: usize, random: &mut Xorshift) -> Vec<u8> {
    let mut bad = bytes.to_vec();
    let below = |random: &mut Xorshift, n: usize| (random.next_u64() % n.max(1) as u64) as usize;
    for _ in 0..1 + below(random, 4) {
        let reach = if below(random, 8) == 0 { bad.len() } else { reach.min(bad.len()) };
        let at = below(random, reach);
        match below(random, 7) {
            0 => bad[at] ^= 1 << below(random, 8),
            1 => bad[at] = random.next_u64() as u8,
            2 => bad[at] = b"0123456789-eE.,:\"{}[]"[below(random, 21)],
            3 => bad.truncate(at.max(1)),
            4 => {
                let length = below(random, 12).min(bad.len() - at);
                let copy = bad[at..at + length].to_vec();
                bad.splice(at..at, copy);
            }
            5 => drop(bad.drain(at..(at + 1 + below(random, 8)).min(bad.len()))),
            // A number becomes another one.
            _ => {
                if let Some(digit) = (at..bad.len().min(at + 200)).find(|&i| bad[i].is_ascii_digit()) {
                    let huge: &[u8] = [&b"18446744073709551615"[..], b"0", b"-1", b"1e400", b"65537"][below(random, 5)];
                    bad.splice(digit..=digit, huge.iter().copied());
                }
            }
        }
        if bad.is_empty() {
            bad.push(b'{');
        }
    }
    bad
}

#[test]
fn mutated_folders() {
    let mut random = Xorshift::new(11);
    for name in ["mono", "melody"] {
        let whole: Vec<Vec<u8>> = FILES.iter().map(|f| fs::read(fixture(name).join(f)).unwrap()).collect();
        let work = tempfile::tempdir().unwrap();
        for (file, bytes) in FILES.iter().zip(&whole) {
            fs::write(work.path().join(file), bytes).unwrap();
        }
        assert!(try_out(work.path(), name), "{name} as it is");
        for (file, bytes) in FILES.iter().zip(&whole) {
            let reach = if *file == "model.safetensors" { 12_000 } else { bytes.len() };
            let (mut good, count) = (0, 120);
            for round in 0..count {
                fs::write(work.path().join(file), damage(bytes, reach, &mut random)).unwrap();
                good += usize::from(try_out(work.path(), &format!("{name}/{file}, round {round}")));
            }
            assert!(good < count, "{name}/{file}: no damage was noticed");
            fs::write(work.path().join(file), bytes).unwrap();
        }
    }
}

#[test]
fn mutated_files() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("model.gguf");
    quantize(fixture("mono"), &file, Precision::Q8_0, &mut NoProgress).unwrap();
    assert!(try_out(&file, "as it is"));
    let bytes = fs::read(&file).unwrap();
    let mut random = Xorshift::new(12);
    let mut good = 0;
    for round in 0..300 {
        fs::write(&file, damage(&bytes, 40_000, &mut random)).unwrap();
        good += usize::from(try_out(&file, &format!("round {round}")));
    }
    assert!(good < 300);
    // Cut anywhere.
    // (The last tensor may be followed by some bytes that only fill up.)
    for length in (0..bytes.len() - 64).step_by(bytes.len() / 60) {
        fs::write(&file, &bytes[..length]).unwrap();
        assert!(!try_out(&file, &format!("cut to {length}")));
    }
}

#[test]
fn damaged_weights_are_named() {
    let work = tempfile::tempdir().unwrap();
    for file in FILES {
        fs::copy(fixture("mono").join(file), work.path().join(file)).unwrap();
    }
    let path = work.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let about: serde_json::Value = serde_json::from_slice(&whole[8..header]).unwrap();
    for name in [
        "decoder.model.decoder.layers.1.fc1.weight",
        "decoder.lm_heads.2.weight",
        "decoder.model.decoder.layer_norm.bias",
    ] {
        let place = about[name]["data_offsets"][0].as_u64().unwrap() as usize + header;
        for number in [f32::NAN, f32::INFINITY] {
            let mut bad = whole.clone();
            bad[place + 8..place + 12].copy_from_slice(&number.to_le_bytes());
            fs::write(&path, bad).unwrap();
            let e = MusicGen::load(work.path(), &LoadOptions::default()).err().expect("a model with such a weight");
            assert!(e.code() == "SF_MODEL" && e.to_string().contains(name), "{e}");
        }
    }
    // A tensor that is missing, by name: it is there under another one.
    let name = "decoder.model.decoder.layers.0.fc2.weight";
    let text = String::from_utf8(whole[8..header].to_vec())
        .unwrap()
        .replace(name, "decoder.model.decoder.layers.0.fc2.weighs");
    fs::write(&path, [&whole[..8], text.as_bytes(), &whole[header..]].concat()).unwrap();
    let e = MusicGen::load(work.path(), &LoadOptions::default()).err().expect("a model without a tensor");
    assert!(e.code() == "SF_MODEL" && e.to_string().contains(name), "{e}");
}

/// A model that claims to know one position: its windows are small, but the music comes to its end.
#[test]
fn tiny_windows_end() {
    let work = tempfile::tempdir().unwrap();
    for file in FILES {
        fs::copy(fixture("stereo").join(file), work.path().join(file)).unwrap();
    }
    let path = work.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for positions in [1, 5, 17, 20, 23] {
        config["decoder"]["max_position_embeddings"] = positions.into();
        fs::write(&path, config.to_string()).unwrap();
        let model = MusicGen::load(work.path(), &LoadOptions::default()).unwrap();
        let ask = Request { seconds: 2.0, ..Request::new("warm piano") };
        let codes = model.generate_codes(&[ask], &mut NoProgress).unwrap();
        assert!(codes[0].iter().all(|book| book.len() == 100), "{positions}");
    }
}

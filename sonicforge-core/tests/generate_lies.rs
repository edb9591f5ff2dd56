//! Damaged and lying checkpoints through the public door: an error that says where, or a model that runs; in bounded memory,
//! never a panic.
//!
//! Here a lie has to get past the loaders into the layers of the model; `generate_hostile.rs` damages bytes.
#![cfg(feature = "generate")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen, Precision, quantize};
use sonicforge_core::progress::NoProgress;
use sonicforge_core::testing::Xorshift;
use tempfile::TempDir;

/// The largest piece of memory that was ever asked for.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// No file here has 2 MB, and no model of theirs needs a piece larger than this.
const ENOUGH: usize = 64 << 20;

struct Watching;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn fixture(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate").join(kind)
}

/// A copy of a fixture that may be spoiled.
fn copy(kind: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(fixture(kind).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// Loads, and does a little of everything.
fn run(path: &Path) -> Result<()> {
    let model = MusicGen::load(path, &LoadOptions { threads: 1, ..LoadOptions::default() })?;
    let info = model.info().clone();
    let request = Request { seconds: 3.0 / info.frame_rate, ..Request::new("slow drums") };
    model.generate(&request, &mut NoProgress)?;
    let sound = vec![vec![0.1; info.sample_rate as usize / 100]; info.channels];
    model.encode_audio(&AudioBuffer::from_channels(info.sample_rate, &sound).unwrap())?;
    Ok(())
}

#[track_caller]
fn assert_bounded() {
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < ENOUGH, "{largest} bytes were asked for at once");
}

#[track_caller]
fn assert_about_a_file(what: &str, error: &Error) {
    let codes = ["SF_FORMAT", "SF_MODEL", "SF_UNSUPPORTED", "SF_IO"];
    assert!(codes.contains(&error.code()), "{what}: {}: {error}", error.code());
}

/// Every key of every configuration, as everything that it is not.
#[test]
fn configurations_that_lie() {
    let lies = [
        json!(0),
        json!(1),
        json!(3),
        json!(7),
        json!(64),
        json!(1000),
        json!(65_536),
        json!(1u64 << 40),
        json!(-1),
        json!(0.5),
        json!(1e300),
        json!(null),
        json!(true),
        json!("x"),
        json!([]),
        json!([3]),
        json!({}),
    ];
    let (mut ran, mut refused) = (0, 0);
    for kind in ["mono", "melody"] {
        let folder = copy(kind);
        // mono's file spells out every key; melody's has its own beside them.
        let mut good: Value = serde_json::from_slice(&fs::read(fixture("mono").join("config.json")).unwrap()).unwrap();
        let own: Value = serde_json::from_slice(&fs::read(fixture(kind).join("config.json")).unwrap()).unwrap();
        merge(&mut good, &own);
        let sections = [None, Some("text_encoder"), Some("decoder"), Some("audio_encoder")];
        for section in sections {
            let keys: Vec<String> = section.map_or(&good, |s| &good[s]).as_object().unwrap().keys().cloned().collect();
            for key in keys {
                for lie in &lies {
                    let mut bad = good.clone();
                    let place = match section {
                        Some(section) => &mut bad[section],
                        None => &mut bad,
                    };
                    if place[&key] == *lie {
                        continue;
                    }
                    place[&key] = lie.clone();
                    fs::write(folder.path().join("config.json"), bad.to_string()).unwrap();
                    match run(folder.path()) {
                        Ok(()) => ran += 1,
                        Err(e) => {
                            refused += 1;
                            assert_about_a_file(&format!("{kind}, {section:?}, {key} = {lie}"), &e);
                        }
                    }
                    assert_bounded();
                }
            }
        }
    }
    println!("{ran} ran, {refused} refused");
    assert!(ran > 500 && refused > 500, "{ran} ran, {refused} refused");
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.iter().for_each(|(key, value)| merge(into.entry(key.clone()).or_insert(Value::Null), value));
        }
        (into, from) => *into = from.clone(),
    }
}

/// Each tensor missing, of another shape, of no float type, with a NaN.
#[test]
fn tensors_that_lie() {
    let folder = copy("mono");
    let path = folder.path().join("model.safetensors");
    let good = fs::read(&path).unwrap();
    let size = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&good[8..8 + size]).unwrap();
    let write = |header: &serde_json::Map<String, Value>, data: &[u8]| {
        let text = Value::Object(header.clone()).to_string();
        fs::write(&path, [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), data].concat()).unwrap();
    };
    let unused = ["embed_positions.weights", "cluster_size", "embed_avg", "inited"];
    let mut compared = 0;
    for (name, info) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let data = &good[8 + size..];
        let offsets: Vec<usize> = serde_json::from_value(info["data_offsets"].clone()).unwrap();
        let is_needed = !unused.iter().any(|end| name.ends_with(end));
        // Under another name it is missing under its own.
        let mut renamed = header.clone();
        renamed.remove(name);
        renamed.insert("stranger".into(), info.clone());
        let mut reshaped = header.clone();
        let count: u64 = info["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
        reshaped[name]["shape"] = json!([count, 1, 1, 1]);
        let mut retyped = header.clone();
        retyped[name]["dtype"] = json!("I32");
        for (what, header) in [("renamed", renamed), ("reshaped", reshaped), ("retyped", retyped)] {
            write(&header, data);
            check(name, what, is_needed, run(folder.path()));
        }
        let mut data = data.to_vec();
        data[offsets[1] - 4..offsets[1]].copy_from_slice(&f32::NAN.to_le_bytes());
        write(&header, &data);
        check(name, "with a NaN", is_needed, run(folder.path()));
        compared += 1;
    }
    assert!(compared >= 150, "{compared}");
    assert_bounded();

    fn check(name: &str, what: &str, is_needed: bool, result: Result<()>) {
        match result {
            Ok(()) => assert!(!is_needed, "{name}, {what}, was not missed"),
            Err(e) => {
                // It says "weight_g" where a file may have the newer spelling.
                let word = name.rsplit_once('.').map_or(name, |(front, _)| front);
                assert!(e.code() == "SF_MODEL" && e.to_string().contains(word), "{name}, {what}: {e}");
                // Stored positions may be absent, but not broken.
                assert!(is_needed || name.ends_with("embed_positions.weights"), "{name}, {what}: {e}");
            }
        }
    }
}

/// Bits that fell over on the way, anywhere in any file, and files that are cut off.
#[test]
fn damage() {
    let rounds = std::env::var("SONICFORGE_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(60);
    let mut random = Xorshift::new(7);
    let place = TempDir::new().unwrap();
    let gguf = place.path().join("model.gguf");
    let (mut ran, mut refused) = (0, 0);
    let mut count = |what: &str, result: Result<()>| match result {
        Ok(()) => ran += 1,
        Err(e) => {
            refused += 1;
            assert_about_a_file(what, &e);
        }
    };
    for (kind, precision) in [("mono", Precision::Q8_0), ("stereo", Precision::F16), ("melody", Precision::Q4K)] {
        let folder = copy(kind);
        quantize(folder.path(), &gguf, precision, &mut NoProgress).unwrap();
        let good = fs::read(&gguf).unwrap();
        for name in ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors", "model.gguf"] {
            let (path, opened, good) = match name {
                "model.gguf" => (gguf.clone(), gguf.clone(), good.clone()),
                name => {
                    let path = folder.path().join(name);
                    (path.clone(), folder.path().to_path_buf(), fs::read(path).unwrap())
                }
            };
            for round in 0..rounds {
                let mut bad = good.clone();
                let reach = if round % 2 == 0 { bad.len().min(4000) } else { bad.len() };
                for _ in 0..1 + random.next_u64() % 4 {
                    let at = (random.next_u64() % reach as u64) as usize;
                    bad[at] = if random.next_u64() % 2 == 0 { bad[at] ^ 1 << (random.next_u64() % 8) } else { b'9' };
                }
                if round % 8 == 7 {
                    bad.truncate((random.next_u64() % bad.len() as u64) as usize);
                }
                // Not in place: the old bytes may still be mapped.
                fs::remove_file(&path).unwrap();
                fs::write(&path, &bad).unwrap();
                count(&format!("{kind}, {name}, round {round}"), run(&opened));
            }
            fs::remove_file(&path).unwrap();
            fs::write(&path, &good).unwrap();
        }
    }
    println!("{ran} ran, {refused} refused");
    assert!(ran > rounds && refused > rounds, "{ran} ran, {refused} refused");
    assert_bounded();
}

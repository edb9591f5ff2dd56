//! Any bytes as one of the files of a checkpoint, or as a GGUF file: an error or a model that makes music, never a panic.
//! The first byte says which file; the others come from the fixtures.
#![no_main]

use std::fs;
use std::path::PathBuf;

use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen};
use sonicforge_core::progress::NoProgress;

const FILES: [&str; 4] = ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("sonicforge-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("room in the temporary folder");
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../sonicforge-core/tests/fixtures/generate/mono"));
    let mut path = folder.clone();
    match FILES.get(*first as usize % 5) {
        Some(file) => {
            for other in FILES {
                fs::copy(fixtures.join(other), folder.join(other)).expect("the fixtures are there");
            }
            fs::write(folder.join(file), bytes).expect("room in the temporary folder");
        }
        None => {
            path.push("model.gguf");
            fs::write(&path, bytes).expect("room in the temporary folder");
        }
    }
    let options = LoadOptions { threads: 1, ..LoadOptions::default() };
    if let Ok(model) = MusicGen::load(&path, &options) {
        let _ = model.generate(&Request { seconds: 1e-3, ..Request::new("piano") }, &mut NoProgress);
    }
});

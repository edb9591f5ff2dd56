//! From words to a mastered track: `song [PROMPT] [OUTPUT] [SECONDS] [SEED] [TARGET]`.
//!
//! The music comes from the default model, which is part of the program (feature `default-model`); what it made (-raw.flac) and
//! the report (.json) lie beside OUTPUT.

use std::path::PathBuf;
use std::process::ExitCode;

use sonicforge_core::error::{Error, Result};
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen};
use sonicforge_core::io::{self, WriteOptions};
use sonicforge_core::master::master_file;
use sonicforge_core::progress::NoProgress;

const PROMPT: &str = "slow ambient in D minor with warm pad and piano, 70 bpm";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize, otherwise| words.get(index).map_or(otherwise, String::as_str);
    let output = PathBuf::from(word(1, "song.wav"));
    let raw = output.with_file_name(format!("{}-raw.flac", output.file_stem().unwrap_or_default().to_string_lossy()));
    let report_file = output.with_extension("json");

    let model = MusicGen::load_default(&LoadOptions::default())?;
    let seconds = number("SECONDS", word(2, "10"))?;
    let request = Request { seconds, seed: number("SEED", word(3, "1"))?, ..Request::new(word(0, PROMPT)) };
    let made = model.generate(&request, &mut NoProgress)?;

    // The small model speaks 16 kHz mono; players expect more.
    io::write(&raw, &made.resample(48_000)?.to_stereo(), &WriteOptions::default())?;
    let options = WriteOptions::default();
    let report = master_file(&raw, &output, &word(4, "spotify").parse()?, &options, &mut NoProgress)?;
    std::fs::write(&report_file, report.to_json())
        .map_err(|e| Error::io("cannot write the report", &report_file, e))?;
    println!("{}", report.summary());
    println!("written: {}, {}, {}", raw.display(), output.display(), report_file.display());
    Ok(())
}

fn number<T: std::str::FromStr>(name: &str, word: &str) -> Result<T> {
    word.parse().map_err(|_| Error::invalid(format!("{name} is {word:?}; expected a number")))
}

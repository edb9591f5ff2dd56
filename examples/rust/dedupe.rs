//! Which files of a folder are one work? `dedupe MUSIC [INDEX] [REPORT.json]`.
//!
//! MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given).

use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use sonicforge_core::error::{Error, Result};
use sonicforge_core::fingerprint::{DuplicateOptions, Index, IndexOptions, ScanOptions, scan};
use sonicforge_core::progress::Step;

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
    let [music, rest @ ..] = &words[..] else {
        return Err(Error::invalid("usage: dedupe MUSIC [INDEX] [REPORT.json]"));
    };
    let mut progress = |step: Step| {
        eprint!("\r{:>12} {:>3.0} %", step.stage, 100.0 * step.fraction);
        let _ = std::io::stderr().flush();
        ControlFlow::Continue(())
    };
    let mut index = Index::open(rest.first().map_or("index", String::as_str), &IndexOptions::default())?;
    let scanned = scan(music, &mut index, &ScanOptions::default(), &mut progress)?;
    for (file, why) in scanned.failed {
        eprintln!("\rnot readable: {file}: {why}");
    }
    let report = index.duplicates(&DuplicateOptions::default(), &mut progress)?;
    eprintln!();
    println!("{}", report.to_table());
    if let Some(file) = rest.get(1) {
        std::fs::write(file, report.to_json()).map_err(|e| Error::io("cannot write", file, e))?;
    }
    Ok(())
}

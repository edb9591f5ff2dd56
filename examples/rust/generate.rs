//! Makes music from text: `generate CHECKPOINT PROMPT OUTPUT [SECONDS] [SEED]`.
//!
//! CHECKPOINT is a folder in the Hugging Face layout (such as a download of musicgen-small) or a GGUF file made of one. The
//! music is written (.wav or .flac) while it is made.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use sonicforge_core::error::{Error, Result};
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen};
use sonicforge_core::io::{WriteOptions, Writer};
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
    let [checkpoint, prompt, output, rest @ ..] = words.as_slice() else {
        return Err(Error::invalid("usage: generate CHECKPOINT PROMPT OUTPUT [SECONDS] [SEED]"));
    };
    let seconds = number("SECONDS", rest.first(), 10.0)?;
    let seed = number("SEED", rest.get(1), 0)?;

    let model = MusicGen::load(checkpoint, &LoadOptions::default())?;
    let info = model.info();
    eprintln!("{}, {} on {}; licence of the weights: {}", info.family, info.precision, info.device, info.licence);

    let mut progress = |step: Step| {
        eprint!("\r{:>8} {:>3.0} %", step.stage, 100.0 * step.fraction);
        let _ = std::io::stderr().flush();
        ControlFlow::Continue(())
    };
    let mut stream = model.stream(&Request { seconds, seed, ..Request::new(prompt) })?;
    let mut writer = Writer::create(output, stream.sample_rate(), stream.channels(), &WriteOptions::default())?;
    while let Some(mut chunk) = stream.next_chunk(&mut progress)? {
        writer.write(&mut chunk.block())?;
    }
    writer.finish()?;
    eprintln!();
    println!("written: {output}");
    Ok(())
}

fn number<T: std::str::FromStr>(name: &str, word: Option<&String>, otherwise: T) -> Result<T> {
    let Some(word) = word else { return Ok(otherwise) };
    word.parse().map_err(|_| Error::invalid(format!("{name} is {word:?}; expected a number")))
}

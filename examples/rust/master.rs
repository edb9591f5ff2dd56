//! Masters a file for a target: `master INPUT OUTPUT [TARGET] [--budget DB]`.
//!
//! Leaves OUTPUT (.wav or .flac) and, beside it, the report as JSON and (feature `plot`) as a page. TARGET is a name ("spotify") or a
//! loudness in LUFS ("-14"). `--budget` is how many dB the limiter may take at the loudest peak.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sonicforge_core::analyze::Analyzer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::io::{Reader, WriteOptions};
use sonicforge_core::master::{Report, Target, master_file, plan_for};
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
    let mut words = Vec::new();
    let mut budget_db = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--budget" {
            let value = args.next().and_then(|v| v.parse().ok());
            budget_db = Some(value.ok_or_else(|| Error::invalid("--budget takes a number of dB"))?);
        } else {
            words.push(arg);
        }
    }
    let (Some(input), Some(output)) = (words.first(), words.get(1).map(PathBuf::from)) else {
        return Err(Error::invalid("usage: master INPUT OUTPUT [TARGET] [--budget DB]"));
    };
    let target: Target = words.get(2).map_or("spotify", String::as_str).parse()?;
    let mut shown = 0;
    let mut progress = |step: Step| {
        let percent = (step.fraction * 100.0) as u32;
        if percent > shown {
            shown = percent;
            eprint!("\r{:>8} {percent:>3} %", step.stage);
            let _ = std::io::stderr().flush();
        }
        ControlFlow::Continue(())
    };
    let options = WriteOptions::default();
    let report = match budget_db {
        None => master_file(input, &output, &target, &options, &mut progress)?,
        Some(budget_db) => {
            let mut plan = plan_for(&listen(Path::new(input))?, &target)?;
            plan.max_gain_reduction_db = budget_db;
            plan.render_file(input, &output, &options, &mut progress)?
        }
    };
    eprintln!();
    leave(&report, &output)?;
    print!("{}", report.summary());
    Ok(())
}

/// Measures a file without holding it in memory.
fn listen(path: &Path) -> Result<sonicforge_core::analyze::Analysis> {
    let mut reader = Reader::open(path)?;
    let (rate, channels) = (reader.info().sample_rate, reader.info().channels);
    let mut analyzer = Analyzer::new(rate, channels)?;
    let mut piece = sonicforge_core::audio::AudioBuffer::new(rate, channels, 4_096)?;
    loop {
        match reader.read(&mut piece.block())? {
            0 => return Ok(analyzer.finish()),
            frames => analyzer.push(&piece.block_range(0, frames))?,
        }
    }
}

fn leave(report: &Report, output: &Path) -> Result<()> {
    let write =
        |path: PathBuf, text: String| std::fs::write(&path, text).map_err(|e| Error::io("cannot write", &path, e));
    #[cfg(feature = "plot")]
    write(output.with_extension("html"), sonicforge_core::plot::report_html(report))?;
    write(output.with_extension("json"), report.to_json())
}

//! Which track of a folder is this? `identify MUSIC EXCERPT [INDEX] [PICTURE.svg]`.
//!
//! MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given), so that the next
//! time only new files are heard. EXCERPT is a sound file of some seconds, recorded from wherever. The picture needs the feature `plot`.

use std::process::ExitCode;

use sonicforge_core::error::{Error, Result};
use sonicforge_core::fingerprint::{Index, IndexOptions, QueryOptions, ScanOptions, Sketch, scan};
use sonicforge_core::io;
use sonicforge_core::progress::NoProgress;

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
    let [music, excerpt, rest @ ..] = &words[..] else {
        return Err(Error::invalid("usage: identify MUSIC EXCERPT [INDEX] [PICTURE.svg]"));
    };
    let place = rest.first().map_or("index", String::as_str);
    let mut index = Index::open(place, &IndexOptions::default())?;
    let report = scan(music, &mut index, &ScanOptions::default(), &mut NoProgress)?;
    let (new, gone, failed) = (report.added.len(), report.removed.len(), report.failed.len());
    println!("{} tracks; {new} new, {gone} gone, {failed} not readable", index.len());
    let sketch = Sketch::of(&io::read(excerpt)?)?;
    let found = index.query(&sketch, &QueryOptions { limit: 3, ..QueryOptions::default() })?;
    for m in &found {
        println!(
            "{}: score {:.1}, {:.1} to {:.1} s of the excerpt are the track from {:.1} s on, pitch x {:.3}, tempo x {:.3}",
            m.id, m.score, m.query_start_s, m.query_end_s, m.track_start_s, m.pitch_factor, m.tempo_factor
        );
    }
    if found.is_empty() {
        println!("none of them");
    }
    #[cfg(feature = "plot")]
    if let (Some(best), Some(picture)) = (found.first(), rest.get(1)) {
        let svg = sonicforge_core::plot::match_svg(&index.snapshot().explain(&sketch, best)?);
        std::fs::write(picture, svg).map_err(|e| Error::io("cannot write", picture, e))?;
    }
    Ok(())
}

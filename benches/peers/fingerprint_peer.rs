//! Our side of benches/peers/chromaprint.py.
//!
//! ```text
//! fingerprint-peer words        lines "FILE.s16 RATE CHANNELS" from the standard input; five lines "PRESET SIMHASH TEXT" for each
//! fingerprint-peer time FILE.s16 RATE CHANNELS REPEATS    CPU seconds of each repetition, one a line
//! ```

use std::error::Error;
use std::io::{BufRead, Write};

use sonicforge_core::fingerprint::{Chromaprint, ChromaprintPreset, Chromaprinter};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["words"] => {
            let mut out = std::io::stdout();
            for line in std::io::stdin().lock().lines() {
                let line = line?;
                let mut fields = line.rsplitn(3, ' ');
                let (channels, rate) =
                    (fields.next().ok_or("channels")?.parse()?, fields.next().ok_or("rate")?.parse()?);
                let pcm = read(fields.next().ok_or("file")?)?;
                for preset in ChromaprintPreset::ALL {
                    let print = make(&pcm, rate, channels, preset)?;
                    writeln!(out, "{preset} {} {}", print.simhash(), print.encode())?;
                }
                out.flush()?;
            }
        }
        ["time", file, rate, channels, repeats] => {
            let pcm = read(file)?;
            let (rate, channels) = (rate.parse()?, channels.parse()?);
            for _ in 0..repeats.parse()? {
                let before = cpu_ns()?;
                let print = make(&pcm, rate, channels, ChromaprintPreset::Test2)?;
                let after = cpu_ns()?;
                println!("{:.6} {}", (after - before) as f64 / 1e9, print.words().len());
            }
        }
        _ => return Err("see the head of benches/peers/fingerprint_peer.rs".into()),
    }
    Ok(())
}

fn make(pcm: &[i16], rate: u32, channels: usize, preset: ChromaprintPreset) -> Outcome<Chromaprint> {
    let mut printer = Chromaprinter::new(rate, channels, preset)?;
    printer.push_i16(pcm);
    Ok(printer.finish())
}

fn read(path: &str) -> Outcome<Vec<i16>> {
    Ok(std::fs::read(path)?.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect())
}

/// Time that this process has spent on a processor (Linux).
fn cpu_ns() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().ok_or("schedstat is empty")?.parse()?)
}

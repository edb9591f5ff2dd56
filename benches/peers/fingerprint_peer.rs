//! Our side of benches/peers/chromaprint.py and landmarks.py.
//!
//! ```text
//! fingerprint-peer words        lines "FILE.s16 RATE CHANNELS" from the standard input; five lines "PRESET SIMHASH TEXT" for each
//! fingerprint-peer time FILE.s16 RATE CHANNELS REPEATS    CPU seconds of each repetition, one a line
//! fingerprint-peer landmarks    lines "track|query RATE BYTES NAME" and as many bytes of mono f32 from the standard input; a line
//!                               of JSON for each: the size of the index, or the best match whatever its score
//! ```

use std::error::Error;
use std::io::{BufRead, Read, Write};

use serde_json::json;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::fingerprint::{Chromaprint, ChromaprintPreset, Chromaprinter};
use sonicforge_core::fingerprint::{Fingerprint, Index, QueryOptions, Sketch};

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
        ["landmarks"] => landmarks()?,
        _ => return Err("see the head of benches/peers/fingerprint_peer.rs".into()),
    }
    Ok(())
}

fn landmarks() -> Outcome<()> {
    let (mut input, mut out) = (std::io::stdin().lock(), std::io::stdout());
    let (mut index, mut seconds, mut spent) = (Index::new(), 0.0, 0);
    let (mut stars, mut star_bytes, mut print_bytes) = (0, 0, 0);
    let threshold = QueryOptions::default().threshold;
    let options = QueryOptions { threshold: f64::MIN, ..QueryOptions::default() };
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let mut fields = line.trim_end().splitn(4, ' ');
        let mut field = || fields.next().ok_or("a line is too short");
        let (what, rate, bytes, name) = (field()?, field()?.parse()?, field()?.parse::<usize>()?, field()?);
        let mut data = vec![0; bytes];
        input.read_exact(&mut data)?;
        let samples = data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let audio = AudioBuffer::from_planar(rate, 1, samples)?;
        let before = cpu_ns()?;
        let said = if what == "track" {
            let print = Fingerprint::of(&audio)?;
            spent += cpu_ns()? - before;
            seconds += audio.seconds();
            stars += print.landmarks.len();
            star_bytes += print.landmarks.to_bytes().len();
            print_bytes += print.chromaprint.to_bytes().len();
            index.insert(name, &print)?;
            json!({
                "tracks": index.len(), "hours": seconds / 3_600.0, "times_real_time": seconds * 1e9 / spent as f64,
                "postings_per_s": index.stats().postings as f64 / seconds, "stars_per_s": stars as f64 / seconds,
                "star_mb_per_hour": star_bytes as f64 / seconds * 3.6e-3,
                "chromaprint_mb_per_hour": print_bytes as f64 / seconds * 3.6e-3, "threshold": threshold,
            })
        } else {
            let sketch = Sketch::of(&audio)?;
            let between = cpu_ns()?;
            let found = index.query(&sketch, &options)?;
            let query_ms = (cpu_ns()? - between) as f64 / 1e6;
            let mut said = found.first().map_or_else(
                || {
                    json!({ "id": "", "score": 0.0, "query_start_s": 0.0, "query_end_s": 0.0, "track_start_s": 0.0,
                            "pitch_factor": 1.0, "tempo_factor": 1.0 })
                },
                |m| json!(m),
            );
            said["query_ms"] = query_ms.into();
            said["sketch_ms"] = ((between - before) as f64 / 1e6).into();
            said
        };
        writeln!(out, "{said}")?;
        out.flush()?;
        line.clear();
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

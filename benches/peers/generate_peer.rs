//! Our side of `generate.py`: loads a model and says what its parts cost, as JSON on one line.
//!
//! ```text
//! generate-peer MODEL [--precision q8_0] [--threads 1] [--few 4] [--many 36] [--times 3]
//! generate-peer quantize FOLDER OUT.gguf PRECISION
//! generate-peer MODEL --wall SECONDS [--precision q8_0] [--threads 2]
//! ```
//! MODEL is a folder in the hub's layout or a GGUF file. CPU seconds are those of the whole process, all threads.

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use serde_json::{Map, json};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen, quantize};
use sonicforge_core::progress::NoProgress;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The same as in `generate.py`.
const PROMPTS: [&str; 4] = [
    "slow warm piano and soft strings at dawn",
    "fast drums and deep bass",
    "a gentle jazz waltz with brushes",
    "dark ambient pad",
];

/// Seconds of sound for the codec.
const CODEC_SECONDS: usize = 5;

fn main() -> Outcome<()> {
    let (mut words, mut options) = (Vec::new(), HashMap::new());
    let mut rest = std::env::args().skip(1);
    while let Some(word) = rest.next() {
        match word.strip_prefix("--") {
            Some(name) => drop(options.insert(name.to_owned(), rest.next().ok_or(format!("--{name} needs a value"))?)),
            None => words.push(word),
        }
    }
    if let [word, folder, gguf, precision] = &words[..] {
        if word == "quantize" {
            quantize(folder, gguf, precision.parse()?, &mut NoProgress)?;
            return Ok(());
        }
    }
    let path = words.first().ok_or("name a model: a folder or a GGUF file")?;
    let number = |name: &str, default: usize| options.get(name).map_or(Ok(default), |text| text.parse::<usize>());
    let mut load = LoadOptions { threads: number("threads", 1)?, ..LoadOptions::default() };
    load.quantization = options.get("precision").map(|text| text.parse()).transpose()?;
    let begun = cpu_seconds();
    let model = MusicGen::load(path, &load)?;
    let info = model.info();
    let mut said = Map::new();
    said.insert("load".into(), json!(cpu_seconds() - begun));
    said.insert(
        "versions".into(),
        json!(format!("sonicforge {} ({}, {})", env!("CARGO_PKG_VERSION"), info.precision, info.device)),
    );
    said.insert("weight_mib".into(), json!(info.weight_bytes as f64 / 1_048_576.0));
    if let Some(seconds) = options.get("wall") {
        let seconds: f64 = seconds.parse()?;
        let request = |seconds| Request { seconds, ..song(0, 3.0, 0.0) };
        model.generate(&request(0.2), &mut NoProgress)?; // warms up
        let start = Instant::now();
        let audio = model.generate(&request(seconds), &mut NoProgress)?;
        said.insert("song".into(), json!(start.elapsed().as_secs_f64() / audio.seconds()));
    } else {
        let times = number("times", 3)?;
        for (case, songs, guidance) in [("cfg", 1, 3.0), ("plain", 1, 1.0), ("batch 4", 4, 3.0)] {
            for (word, default) in [("few", 4), ("many", 36)] {
                let seconds = number(word, default)? as f64 / info.frame_rate;
                let requests: Vec<Request> = (0..songs).map(|i| song(i, guidance, seconds)).collect();
                let cost = least(times, || model.generate_codes(&requests, &mut NoProgress).map(drop))?;
                said.insert(format!("{word} {case}"), json!(cost));
            }
        }
        let samples = CODEC_SECONDS * info.sample_rate as usize;
        let tone: Vec<f32> = (0..samples).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
        let tone = AudioBuffer::from_planar(info.sample_rate, 1, tone)?;
        let frames = (CODEC_SECONDS as f64 * info.frame_rate) as usize;
        let codes: Vec<Vec<u32>> = (0..info.codebooks)
            .map(|k| (0..frames).map(|t| ((t * 7919 + k * 104_729 + t * t) % info.codebook_size) as u32).collect())
            .collect();
        let per_second = 1.0 / CODEC_SECONDS as f64;
        said.insert("codec decode".into(), json!(per_second * least(times, || model.decode_codes(&codes).map(drop))?));
        said.insert("peak_mib".into(), json!(peak_mib())); // a song needs no encoder
        said.insert("codec encode".into(), json!(per_second * least(times, || model.encode_audio(&tone).map(drop))?));
    }
    println!("{}", serde_json::Value::Object(said));
    Ok(())
}

/// Song `i` of the prompts.
fn song(i: usize, guidance: f32, seconds: f64) -> Request {
    Request {
        seconds,
        seed: i as u64,
        top_k: Some(250),
        temperature: Some(1.0),
        guidance_scale: Some(guidance),
        ..Request::new(PROMPTS[i])
    }
}

/// CPU seconds of the cheapest of some runs.
fn least<E: Error + 'static>(times: usize, mut work: impl FnMut() -> Result<(), E>) -> Outcome<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..times {
        let start = cpu_seconds();
        work()?;
        best = best.min(cpu_seconds() - start);
    }
    Ok(best)
}

/// Seconds of CPU that the threads of this process have used (Linux counts them in nanoseconds); NaN elsewhere.
fn cpu_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return f64::NAN };
    let one = |path: std::path::PathBuf| -> Option<f64> {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    threads.flatten().filter_map(|t| one(t.path())).sum::<f64>() * 1e-9
}

/// Peak resident memory in MiB (Linux).
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

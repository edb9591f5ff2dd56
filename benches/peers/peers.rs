//! Our side of the comparison with the peers: runs one thing on a file and says what it cost. Called by the scripts of this folder.
//!
//! ```text
//! peers time KERNEL IN [--preset FILE.json]      CPU seconds on the decoded file, and memory, as JSON
//! peers process PRESET.json IN OUT               a chain, rendered; float WAV out
//! peers limiter IN OUT --ceiling DB --mode MODE  streaming: one pass; offline: a plan of the limiter alone, rendered (which
//!                                                measures and corrects itself) without further drive. Float WAV out
//! peers master IN OUT --target LUFS [--ceiling DB] [--budget DB | --chain KERNEL] [--bits N] [--report FILE.json]
//! peers match IN OUT --reference FILE            float WAV out
//! peers write IN OUT --bits N --dither NAME
//! peers analyze IN                               the analysis as JSON
//! peers ebur128 IN                               the same by the crate ebur128, as far as it goes
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use biquad::{Biquad, Coefficients, DirectForm2Transposed, ToHertz, Type};
use ebur128::{EbuR128, Mode};
use serde_json::json;
use sonicforge_benches::kernel_preset;
use sonicforge_core::analyze::{Analysis, Analyzer, LoudnessMeter, TruePeakMeter, analyze};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::io::{self, Dither, SampleFormat, WriteOptions};
use sonicforge_core::master::{
    Limiter, LimiterParams, MasteringChain, MatchParts, Plan, Preset, Processor, Spec, Target, master_file, plan_for,
    plan_match,
};
use sonicforge_core::progress::NoProgress;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Frames a block of everything that streams.
const BLOCK: usize = 1_024;

fn main() -> Outcome<()> {
    let mut words = Vec::new();
    let mut options = HashMap::new();
    let mut rest = std::env::args().skip(1);
    while let Some(word) = rest.next() {
        match word.strip_prefix("--") {
            Some(name) => drop(options.insert(name.to_owned(), rest.next().ok_or(format!("--{name} needs a value"))?)),
            None => words.push(word),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["time", kernel, input] => time(kernel, input, &options),
        ["process", preset, input, output] => {
            let mut audio = io::read(input)?;
            MasteringChain::new(&Preset::load(preset)?)?.render(&mut audio)?;
            write_float(output, &audio)
        }
        ["master", input, output] => master(input, output, &options),
        ["match", input, output] => {
            let reference = options.get("reference").ok_or("--reference FILE is missing")?;
            let (heard, wanted) = (analyze_file(input)?, analyze_file(reference)?);
            let plan = plan_match(&heard, &wanted, &MatchParts::default())?;
            print!(
                "{}",
                plan.render_file(input, output, &WriteOptions::new(SampleFormat::Float32), &mut NoProgress)?.summary()
            );
            Ok(())
        }
        ["limiter", input, output] => limit(input, output, &options),
        ["write", input, output] => {
            let format = sample_format(&options)?;
            let mut how = WriteOptions::new(format);
            how.dither = match options.get("dither").map(String::as_str) {
                Some("none") => Dither::None,
                Some("shaped") => Dither::Shaped,
                _ => Dither::Tpdf,
            };
            Ok(io::write(output, &io::read(input)?, &how)?)
        }
        ["ebur128", input] => {
            let audio = io::read(input)?;
            let mut meter = EbuR128::new(audio.channels() as u32, audio.sample_rate(), Mode::all())?;
            let planes: Vec<&[f32]> = (0..audio.channels()).map(|c| audio.channel(c)).collect();
            meter.add_frames_planar_f32(&planes)?;
            let mut peak = 0.0_f64;
            for c in 0..audio.channels() {
                peak = peak.max(meter.true_peak(c as u32)?);
            }
            let (lufs, range) = (meter.loudness_global()?, meter.loudness_range()?);
            println!(
                "{}",
                json!({"integrated_lufs": lufs, "loudness_range_lu": range, "true_peak_dbtp": 20.0 * peak.log10()})
            );
            Ok(())
        }
        ["analyze", input] => {
            println!("{}", analyze(&io::read(input)?)?.to_json());
            Ok(())
        }
        _ => Err("peers time|process|limiter|master|match|write|analyze|ebur128 … (see the head of peers.rs)".into()),
    }
}

fn number(options: &HashMap<String, String>, name: &str, default: f64) -> Outcome<f64> {
    options
        .get(name)
        .map_or(Ok(default), |text| text.parse().map_err(|_| format!("--{name} {text} is no number").into()))
}

/// The analysis of a file that is read in pieces.
fn analyze_file(path: &str) -> Outcome<Analysis> {
    let mut reader = io::Reader::open(path)?;
    let (rate, channels) = (reader.info().sample_rate, reader.info().channels);
    let (mut analyzer, mut piece) = (Analyzer::new(rate, channels)?, AudioBuffer::new(rate, channels, 4_096)?);
    loop {
        match reader.read(&mut piece.block())? {
            0 => return Ok(analyzer.finish()),
            frames => analyzer.push(&piece.block_range(0, frames))?,
        }
    }
}

fn sample_format(options: &HashMap<String, String>) -> Outcome<SampleFormat> {
    Ok(match number(options, "bits", 24.0)? as u32 {
        16 => SampleFormat::Int16,
        24 => SampleFormat::Int24,
        _ => SampleFormat::Float32,
    })
}

fn write_float(path: &str, audio: &AudioBuffer) -> Outcome<()> {
    Ok(io::write(path, audio, &WriteOptions::new(SampleFormat::Float32))?)
}

/// Seconds of CPU this thread has used. Linux counts them in nanoseconds; elsewhere the clock on the wall has to do.
fn cpu_seconds(start: Instant) -> f64 {
    std::fs::read_to_string("/proc/self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds * 1e-9)
}

/// Peak resident memory in MiB (Linux).
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn time(kernel: &str, input: &str, options: &HashMap<String, String>) -> Outcome<()> {
    let mut audio = io::read(input)?;
    let (rate, channels, frames) = (audio.sample_rate(), audio.channels(), audio.frames());
    let loaded = peak_mib();
    let begin = Instant::now();
    let text = match options.get("preset") {
        Some(path) => Some(std::fs::read_to_string(path)?),
        None => kernel_preset(kernel).map(str::to_owned),
    };
    let cpu;
    if let Some(text) = text {
        let mut chain = MasteringChain::new(&Preset::from_json(&text)?)?;
        chain.prepare(Spec { sample_rate: rate, channels, max_frames: BLOCK })?;
        let start = cpu_seconds(begin);
        for at in (0..frames).step_by(BLOCK) {
            chain.process(&mut audio.block_range(at, (at + BLOCK).min(frames)));
        }
        cpu = cpu_seconds(begin) - start;
    } else {
        let start = cpu_seconds(begin);
        match kernel {
            "analyze" => drop(analyze(&audio)?),
            "analyzer-stream" => {
                let mut analyzer = Analyzer::new(rate, channels)?;
                for at in (0..frames).step_by(BLOCK) {
                    analyzer.push(&audio.block_range(at, (at + BLOCK).min(frames)))?;
                }
                drop(analyzer.finish());
            }
            "meters" => {
                let (mut loudness, mut peak) =
                    (LoudnessMeter::new(rate, channels)?, TruePeakMeter::new(rate, channels)?);
                for at in (0..frames).step_by(BLOCK) {
                    let block = audio.block_range(at, (at + BLOCK).min(frames));
                    loudness.push(&block)?;
                    peak.push(&block)?;
                }
                let _ = (loudness.integrated(), loudness.loudness_range(), peak.finish());
            }
            "decode" => {
                let mut reader = io::Reader::open(input)?;
                let mut block = AudioBuffer::new(rate, channels, 4_096)?;
                while reader.read(&mut block.block())? > 0 {}
            }
            "ebur128" => {
                let mut meter = EbuR128::new(channels as u32, rate, Mode::all())?;
                let mut planes: Vec<&[f32]> = Vec::with_capacity(channels);
                // In 100 ms pieces, so that M and S could be read on the way, as ours does.
                for at in (0..frames).step_by(rate as usize / 10) {
                    planes.clear();
                    planes.extend((0..channels).map(|c| &audio.channel(c)[at..(at + rate as usize / 10).min(frames)]));
                    meter.add_frames_planar_f32(&planes)?;
                    let _ = (meter.loudness_momentary()?, meter.loudness_shortterm()?);
                }
                let _ = (meter.loudness_global()?, meter.loudness_range()?, meter.true_peak(0)?);
            }
            "biquad-crate" => {
                for c in 0..channels {
                    let mut filters = (1..=5)
                        .map(|i| {
                            let shape = Type::PeakingEQ(1.5);
                            let at = (200.0 * f64::from(i * i)).hz();
                            Ok(DirectForm2Transposed::<f64>::new(
                                Coefficients::from_params(shape, f64::from(rate).hz(), at, 1.0)
                                    .map_err(|e| format!("{e:?}"))?,
                            ))
                        })
                        .collect::<Outcome<Vec<_>>>()?;
                    for sample in audio.channel_mut(c) {
                        *sample = filters.iter_mut().fold(f64::from(*sample), |x, f| f.run(x)) as f32;
                    }
                }
            }
            _ => return Err(format!("no kernel {kernel}").into()),
        }
        cpu = cpu_seconds(begin) - start;
    }
    // Looked at, so that nothing of the work can be left out.
    let check: f32 = (0..channels).map(|c| audio.channel(c).iter().step_by(997).sum::<f32>()).sum();
    println!(
        "{}",
        json!({"kernel": kernel, "cpu_s": cpu, "seconds": audio.seconds(), "peak_mib": peak_mib(), "loaded_mib": loaded, "check": check})
    );
    Ok(())
}

fn limit(input: &str, output: &str, options: &HashMap<String, String>) -> Outcome<()> {
    let source = io::read(input)?;
    let defaults = LimiterParams::default();
    let params = LimiterParams {
        ceiling_dbtp: number(options, "ceiling", -1.0)?,
        lookahead_ms: number(options, "lookahead", defaults.lookahead_ms)?,
        release_ms: number(options, "release", defaults.release_ms)?,
        slow_release_ms: number(options, "slow-release", defaults.slow_release_ms)?,
    };
    let streamed = limited(&source, params.clone())?;
    if options.get("mode").is_some_and(|m| m == "streaming") {
        return write_float(output, &streamed);
    }
    // The loudness that a drive of 0 dB comes to once its own meter passes it: the push stays that of the peers.
    let mut heard = analyze(&streamed)?;
    let mut lower = params.clone();
    for _ in 0..4 {
        let over = heard.true_peak_dbtp.unwrap_or(f64::NEG_INFINITY) - params.ceiling_dbtp;
        if over <= 0.0 {
            break;
        }
        lower.ceiling_dbtp -= over;
        heard = analyze(&limited(&source, lower.clone())?)?;
    }
    let loudness = heard.integrated_lufs.ok_or("silence has no loudness to aim at")?.min(-5.0);
    let mut plan = Plan::new(Target::custom(loudness, params.ceiling_dbtp)?, Preset::new("limiter alone", Vec::new()))?;
    plan.limiter = params;
    plan.max_gain_reduction_db = 40.0;
    let (audio, report) = plan.render(&source, &mut NoProgress)?;
    println!("{}", json!({"drive_db": report.drive_db, "passes": report.passes, "refusal": report.refusal}));
    write_float(output, &audio)
}

/// File to file, as a host would: `master_file`, or a plan with another budget or a chain that is named.
fn master(input: &str, output: &str, options: &HashMap<String, String>) -> Outcome<()> {
    let target = Target::custom(number(options, "target", -14.0)?, number(options, "ceiling", -1.0)?)?;
    let how = WriteOptions::new(sample_format(options)?);
    let report = match (options.get("budget"), options.get("chain")) {
        (None, None) => master_file(input, output, &target, &how, &mut NoProgress)?,
        (Some(_), _) => {
            let mut plan = plan_for(&analyze_file(input)?, &target)?;
            plan.max_gain_reduction_db = number(options, "budget", 0.0)?;
            plan.render_file(input, output, &how, &mut NoProgress)?
        }
        (None, Some(name)) => {
            let chain = Preset::from_json(kernel_preset(name).ok_or("no chain of that name")?)?;
            Plan::new(target, chain)?.render_file(input, output, &how, &mut NoProgress)?
        }
    };
    if let Some(path) = options.get("report") {
        std::fs::write(path, report.to_json())?;
    }
    print!("{}", report.summary());
    Ok(())
}

fn limited(source: &AudioBuffer, params: LimiterParams) -> Outcome<AudioBuffer> {
    let (rate, channels, frames) = (source.sample_rate(), source.channels(), source.frames());
    let mut limiter = Limiter::new(params)?;
    limiter.prepare(Spec { sample_rate: rate, channels, max_frames: BLOCK })?;
    let latency = limiter.latency();
    let padded: Vec<Vec<f32>> = (0..channels)
        .map(|c| source.channel(c).iter().copied().chain(std::iter::repeat_n(0.0, latency)).collect())
        .collect();
    let mut audio = AudioBuffer::from_channels(rate, &padded)?;
    for at in (0..frames + latency).step_by(BLOCK) {
        limiter.process(&mut audio.block_range(at, (at + BLOCK).min(frames + latency)));
    }
    let cut: Vec<&[f32]> = (0..channels).map(|c| &audio.channel(c)[latency..]).collect();
    Ok(AudioBuffer::from_channels(rate, &cut)?)
}

//! How close quantized weights are to the f32 they came from: logits of given codes, sizes, memory.
//!
//! ```text
//! closeness FOLDER [WORK]
//! ```
//! FOLDER is a checkpoint in the hub's layout (`generate.py` makes one of musicgen-small's shapes with seeded random
//! weights); the GGUF files are written to WORK. Prints a table. Each model runs in a process of its own, so that the peak
//! of memory is its own too.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen, Precision, quantize};
use sonicforge_core::progress::NoProgress;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Frames whose logits are compared, two and a half seconds.
const FRAMES: usize = 125;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--one", model, precision, out] => one(Path::new(model), precision, Path::new(out)),
        [folder] => all(Path::new(folder), &std::env::temp_dir()),
        [folder, work] => all(Path::new(folder), Path::new(work)),
        _ => Err("name a checkpoint: a folder in the hub's layout".into()),
    }
}

/// Writes the logits of one model.
fn one(model: &Path, precision: &str, out: &Path) -> Outcome<()> {
    let quantization = if precision == "file" { None } else { Some(precision.parse()?) };
    let model = MusicGen::load(model, &LoadOptions { quantization, threads: 1, ..LoadOptions::default() })?;
    let size = model.info().codebook_size;
    let codes: Vec<Vec<u32>> = (0..model.info().codebooks)
        .map(|k| (0..FRAMES).map(|f| ((f * 7919 + k * 104_729 + f * f) % size) as u32).collect())
        .collect();
    let request = Request { token_ids: Some((0..12).map(|i| 3 + 7 * i).chain([1]).collect()), ..Request::default() };
    let logits = model.logits(&request, &codes)?;
    std::fs::write(out, logits.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0 kB").trim().to_owned();
    println!("{size} {} {peak}", model.info().weight_bytes);
    Ok(())
}

/// A model's logits, codebook size, bytes of weights and peak memory in kB.
fn run(model: &Path, precision: &str, work: &Path) -> Outcome<(Vec<f32>, usize, f64, f64)> {
    let out = work.join("closeness.f32");
    let said = Command::new(std::env::current_exe()?)
        .arg("--one")
        .args([model.as_os_str(), precision.as_ref(), out.as_os_str()])
        .output()?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into_owned().into());
    }
    let text = String::from_utf8(said.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    let bytes = std::fs::read(&out)?;
    std::fs::remove_file(&out)?;
    let logits = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok((logits, numbers[0] as usize, numbers[1], numbers[2]))
}

fn all(folder: &Path, work: &Path) -> Outcome<()> {
    std::fs::create_dir_all(work)?;
    let (exact, size, weights, peak) = run(folder, "f32", work)?;
    println!("{} logits in rows of {size}, {FRAMES} frames; one thread", exact.len());
    println!("| weights | file MB | weights MB | peak memory MB | mean cosine | least cosine | same best code |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    println!("| f32 | {:.0} | {:.0} | {:.0} | 1 | 1 | 100 % |", disk(folder)?, weights / 1e6, peak * 1024.0 / 1e6);
    for precision in [Precision::F16, Precision::Q8_0, Precision::Q6K, Precision::Q4K] {
        let file: PathBuf = work.join(format!("closeness-{precision}.gguf"));
        quantize(folder, &file, precision, &mut NoProgress)?;
        let (logits, _, weights, peak) = run(&file, "file", work)?;
        let (mut total, mut least, mut same) = (0.0, 1.0f64, 0);
        let rows = exact.len() / size;
        for (a, b) in exact.chunks(size).zip(logits.chunks(size)) {
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            total += cosine;
            least = least.min(cosine);
            same += usize::from(best(a) == best(b));
        }
        println!(
            "| {precision} | {:.0} | {:.0} | {:.0} | {:.5} | {:.5} | {:.1} % |",
            std::fs::metadata(&file)?.len() as f64 / 1e6,
            weights / 1e6,
            peak * 1024.0 / 1e6,
            total / rows as f64,
            least,
            100.0 * same as f64 / rows as f64
        );
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

fn best(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
}

/// MB of the weights in a folder.
fn disk(folder: &Path) -> Outcome<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|e| e == "safetensors") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64 / 1e6)
}

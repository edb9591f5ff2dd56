//! Equal to transformers: the checkpoints of `tests/fixtures/generate` against the numbers beside them.
//!
//! `SONICFORGE_CHECKPOINTS` may list further folders (`make_fixtures.py random` writes them), separated by colons.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::compute::{Compute, values};
use super::model::Model;
use super::precision::Precision;
use super::session::Session;
use super::{LoadOptions, MusicGen};
use crate::audio::AudioBuffer;
use crate::generate::Request;
use crate::generate::delay_pattern::DelayPattern;
use crate::generate::sampling::Sampling;
use crate::progress::NoProgress;

/// Largest difference of logits, states and scores.
const SCORES: f64 = 1e-4;
/// Largest difference of samples.
const SAMPLES: f64 = 1e-5;

/// A checkpoint and its reference.
struct Case {
    name: String,
    folder: PathBuf,
    model: Arc<Model>,
    tensors: HashMap<String, Tensor>,
    json: Value,
}

impl Case {
    fn load(folder: &Path, portable: bool) -> Self {
        let compute =
            if portable { Compute::device(Device::Cpu, candle_core::DType::F32) } else { Compute::cpu(2) }.unwrap();
        let model = Model::load(|| Checkpoint::open(folder), compute, Some(Precision::F32), &mut NoProgress)
            .unwrap_or_else(|e| panic!("{folder:?}: {e}"));
        let json = std::fs::read_to_string(folder.join("reference.json")).unwrap();
        Self {
            name: format!(
                "{}{}",
                folder.file_name().unwrap().to_string_lossy(),
                if portable { ", portable" } else { "" }
            ),
            folder: folder.into(),
            model: Arc::new(model),
            tensors: candle_core::safetensors::load(folder.join("reference.safetensors"), &Device::Cpu).unwrap(),
            json: serde_json::from_str(&json).unwrap(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn dims(&self, name: &str) -> Vec<usize> {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.name)).dims().to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.dims(name);
        values(&self.tensors[name]).unwrap()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        self.dims(name);
        let t = self.tensors[name].flatten_all().unwrap();
        t.to_dtype(candle_core::DType::I64).unwrap().to_vec1().unwrap()
    }

    /// `[K][F]` of an integer tensor, song `b` where it has a batch.
    fn codes(&self, name: &str, song: usize) -> Vec<Vec<u32>> {
        let dims = self.dims(name);
        let (books, frames) = (dims[dims.len() - 2], dims[dims.len() - 1]);
        let all = self.integers(name);
        (0..books).map(|k| all[(song * books + k) * frames..][..frames].iter().map(|&c| c as u32).collect()).collect()
    }

    fn near(&self, what: &str, got: &[f32], expected: &[f32], tolerance: f64) {
        assert_eq!(got.len(), expected.len(), "{}: {what}", self.name);
        let mut worst = (0.0f64, 0);
        for (i, (g, e)) in got.iter().zip(expected).enumerate() {
            let difference = (f64::from(*g) - f64::from(*e)).abs();
            assert!(difference.is_finite(), "{}: {what} [{i}] is {g}, {e} expected", self.name);
            if difference > worst.0 {
                worst = (difference, i);
            }
        }
        assert!(worst.0 <= tolerance, "{}: {what}: {:e} at {}, {tolerance:e} allowed", self.name, worst.0, worst.1);
    }

    /// Token ids of a row of the text batch, without its padding.
    fn text(&self, row: usize) -> Vec<u32> {
        let length = self.dims("text.input_ids")[1];
        let (ids, mask) = (self.integers("text.input_ids"), self.integers("text.attention_mask"));
        (0..length).filter(|s| mask[row * length + s] == 1).map(|s| ids[row * length + s] as u32).collect()
    }

    /// A greedy request for `frames` new frames.
    fn request(&self, row: Option<usize>, guidance: f64, frames: usize) -> Request {
        let codec = &self.model.codec;
        Request {
            token_ids: row.map(|r| self.text(r)),
            seconds: frames as f64 * codec.hop() as f64 / f64::from(codec.sample_rate()),
            temperature: Some(0.0),
            guidance_scale: Some(guidance as f32),
            ..Request::default()
        }
    }

    fn nothing(&self) -> Vec<Vec<u32>> {
        vec![Vec::new(); self.model.decoder.config().codebooks]
    }

    fn books(&self) -> usize {
        self.model.decoder.config().codebooks
    }
}

/// Runs `test` on every checkpoint, on the kernels and on candle's operations.
fn each(test: impl Fn(&Case)) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate");
    let mut folders: Vec<PathBuf> = ["mono", "stereo", "melody"].iter().map(|n| base.join(n)).collect();
    if let Some(more) = std::env::var_os("SONICFORGE_CHECKPOINTS") {
        folders.extend(std::env::split_paths(&more));
    }
    for folder in folders {
        for portable in [false, true] {
            test(&Case::load(&folder, portable));
        }
    }
}

#[test]
fn tokens() {
    each(|case| {
        for entry in case.json["tokens"].as_array().expect("tokens of the reference") {
            let text = entry["text"].as_str().unwrap();
            let ids: Vec<u32> = entry["ids"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as u32).collect();
            assert_eq!(case.model.tokenize(text).unwrap(), ids, "{}: {text:?}", case.name);
        }
    });
}

#[test]
fn text_states() {
    each(|case| {
        let dims = case.dims("text.last_hidden_state");
        let (rows, length, width) = (dims[0], dims[1], dims[2]);
        let mask = case.integers("text.attention_mask");
        let expected = case.floats("text.last_hidden_state");
        let ids: Vec<Vec<u32>> = (0..rows).map(|r| case.text(r)).collect();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let together = case.model.text.encode(&ids).unwrap();
        for row in 0..rows {
            let wanted: Vec<f32> = (0..length)
                .filter(|s| mask[row * length + s] == 1)
                .flat_map(|s| expected[(row * length + s) * width..][..width].to_vec())
                .collect();
            let got = values(&together[row]).unwrap();
            case.near(&format!("text states {row}"), &got, &wanted, SCORES);
            // Prompts of other lengths beside it change nothing.
            let alone = values(&case.model.text.encode(&ids[row..=row]).unwrap()[0]).unwrap();
            if !case.model.compute.portable {
                assert_eq!(alone, got);
            }
        }
    });
}

#[test]
fn positions() {
    each(|case| {
        let width = case.model.decoder.config().hidden_size;
        let expected = case.floats("positions.values");
        for (line, position) in case.integers("positions.index").into_iter().enumerate() {
            let mut got = vec![0.0; width];
            case.model.decoder.add_position(position as usize, &mut got);
            let tolerance = 1e-6 + 1.5e-7 * position as f64;
            case.near(&format!("position {position}"), &got, &expected[line * width..][..width], tolerance);
        }
    });
}

#[test]
fn delay_pattern() {
    each(|case| {
        let config = case.model.decoder.config();
        let pattern = DelayPattern::new(config.codebooks, config.audio_channels);
        let books = config.codebooks;
        let prompt = case.codes("delay.prompt", 0);
        let cases = case.json["runs"]["delay"]["cases"].as_array().unwrap();
        for (i, run) in cases.iter().enumerate() {
            let mask = case.integers(&format!("delay.{i}.mask"));
            let length = mask.len() / books;
            if length < 2 * (books / config.audio_channels) - 1 {
                // The reference leaves the pattern off here; this library never does.
                continue;
            }
            let known = if run["prompted"].as_bool().unwrap() { prompt.clone() } else { vec![Vec::new(); books] };
            let frames = length - 1 - pattern.longest_delay();
            for k in 0..books {
                for position in 0..length {
                    let expected = mask[k * length + position];
                    let frame = pattern.frame(k, position).filter(|&f| f < frames);
                    match frame {
                        Some(f) if f < known[k].len() => assert_eq!(expected, i64::from(known[k][f])),
                        Some(_) => assert_eq!(expected, -1, "{} case {i}: {k} {position}", case.name),
                        None => assert_eq!(expected, i64::from(config.start_token_id)),
                    }
                }
            }
        }
    });
}

/// Logits `[K][T][V]` of one row through the whole decoder.
fn teacher(
    case: &Case,
    conditioned: bool,
    row: usize,
    prefix: &[f32],
    steps: usize,
) -> (Vec<Vec<f32>>, Vec<f32>, Vec<f32>) {
    let model = &case.model;
    let decoder = &model.decoder;
    let config = decoder.config();
    let h = config.hidden_size;
    let dims = case.dims("teacher.input_ids");
    let (books, t) = (dims[1], dims[2]);
    let ids = case.integers("teacher.input_ids");
    let before = prefix.len() / h;
    let mut x = prefix.to_vec();
    x.chunks_exact_mut(h).enumerate().for_each(|(p, x)| decoder.add_position(p, x));
    for step in 0..steps {
        let codes: Vec<u32> = (0..books).map(|k| ids[(row * books + k) * t + step] as u32).collect();
        let mut line = vec![0.0; h];
        decoder.embed(&codes, before + step, &mut line);
        x.extend(line);
    }
    let x = model.tensor(x, 1).unwrap();
    let mut cache = decoder.cache(1, before + steps).unwrap();
    let states = model.text.encode(&[&case.text(row)]).unwrap();
    let prompts = decoder.prompts(&[decoder.project(&states[0]).unwrap()]).unwrap();
    let mut layers = Vec::new();
    let looking = [0];
    let prompts = (conditioned && model.checkpoint.config().melody.is_none()).then_some((&prompts, &looking[..]));
    let states = decoder.layers_forward(x.clone(), &[0], &mut cache, prompts, &mut |x| layers.push(values(x).unwrap()));
    states.unwrap();
    let mut cache = decoder.cache(1, before + steps).unwrap();
    let states = decoder.forward(x, &[0], &mut cache, prompts).unwrap();
    // [T][K][V] to [K][T][V].
    let flat = decoder.logits(&states).unwrap();
    let size = config.vocab_size;
    let logits = (0..books)
        .flat_map(|k| (before..before + steps).map(move |s| (s * books + k) * size))
        .flat_map(|at| flat[at..at + size].to_vec())
        .collect();
    (layers, values(&states).unwrap(), logits)
}

#[test]
fn teacher_forced() {
    each(|case| {
        let melody = case.model.checkpoint.config().melody.is_some();
        let dims = case.dims("teacher.logits");
        let (rows, books, t, size) = (dims[0], dims[1], dims[2], dims[3]);
        let (expected, norm) = (case.floats("teacher.logits"), case.floats("teacher.norm"));
        let layers = case.floats("teacher.layers");
        let prefix = if melody { case.floats("teacher.prefix") } else { Vec::new() };
        if melody {
            // The prefix is made of the chroma and the text.
            let states = case.model.text.encode(&[&case.text(0)]).unwrap();
            let states = case.model.decoder.project(&states[0]).unwrap();
            let chroma = indices(&case.floats("melody.short"), 12);
            let made = case.model.conditioning(Some(states), Some(&chroma)).unwrap();
            case.near("prefix", &made.prefix.unwrap().0, &prefix, SCORES);
        }
        for row in 0..rows {
            let (seen, states, logits) = teacher(case, true, row, &prefix, t);
            let count = layers.len() / seen.len() / rows;
            for (i, layer) in seen.iter().enumerate() {
                case.near(&format!("layer {i}"), layer, &layers[(i * rows + row) * count..][..count], SCORES);
            }
            case.near("norm", &states, &norm[row * states.len()..][..states.len()], SCORES);
            case.near("logits", &logits, &expected[row * books * t * size..][..books * t * size], SCORES);
        }
        if case.has("teacher.null_logits") {
            let expected = case.floats("teacher.null_logits");
            let steps = case.dims("teacher.null_logits")[2];
            case.near("unconditional logits", &teacher(case, false, 0, &[], steps).2, &expected, SCORES);
        }
    });
}

/// Classes of one-hot frames.
fn indices(one_hot: &[f32], classes: usize) -> Vec<usize> {
    one_hot.chunks(classes).map(|f| f.iter().position(|&x| x == 1.0).unwrap()).collect()
}

/// Runs a greedy session to its end and compares codes and waveform with the reference run `name`.
fn greedy(case: &Case, name: &str, requests: &[Request], known: Vec<Vec<Vec<u32>>>, chroma: Option<&str>) {
    let model = case.model.clone();
    let mut heard = model.condition(requests, &mut || Ok(())).unwrap();
    if let Some(chroma) = chroma {
        let chroma = indices(&case.floats(chroma), 12);
        let states = model.text.encode(&[requests[0].token_ids.as_deref().unwrap()]).unwrap();
        heard = vec![model.conditioning(Some(model.decoder.project(&states[0]).unwrap()), Some(&chroma)).unwrap()];
    }
    let mut session = Session::with_conditionings(model, requests, known, heard).unwrap();
    let scores_name = format!("{name}.scores");
    let expected = if case.has(&scores_name) { Some(case.floats(&scores_name)) } else { None };
    let (books, size) = (case.books(), case.model.decoder.config().vocab_size);
    let pattern = case.model.pattern;
    let mut step = 0;
    let mut compared = 0;
    while !session.finished() {
        let mut spoke = false;
        session
            .scores(&mut |song, k, scores| {
                spoke = true;
                if let (Some(expected), true) = (&expected, song == 0 && step < 10) {
                    assert!(pattern.frame(k, step + 1).is_some());
                    case.near(
                        &format!("{name} step {step} book {k}"),
                        scores,
                        &expected[(step * books + k) * size..][..size],
                        SCORES,
                    );
                    compared += 1;
                }
            })
            .unwrap();
        // A pass may also only read what came before.
        step += usize::from(spoke);
    }
    assert!(expected.is_none() || compared >= books, "{}: no scores were compared", case.name);
    let generator = MusicGen::load(
        &case.folder,
        &LoadOptions {
            quantization: Some(Precision::F32),
            portable: case.model.compute.portable,
            ..LoadOptions::default()
        },
    )
    .unwrap();
    let waveform = case.floats(&format!("{name}.waveform"));
    let per_song = waveform.len() / requests.len();
    for song in 0..requests.len() {
        let codes = session.codes(song);
        assert_eq!(codes, case.codes(&format!("{name}.codes"), song), "{}: {name} {song}", case.name);
        let audio = generator.decode_codes(&codes).unwrap();
        let expected = &waveform[song * per_song..][..per_song];
        case.near(&format!("{name} waveform"), audio.samples(), expected, SAMPLES * peak(expected));
    }
}

/// The largest sample, at least full scale: random weights may be loud, and f32 is relative.
fn peak(samples: &[f32]) -> f64 {
    samples.iter().fold(1.0, |peak, x| f64::max(peak, f64::from(x.abs())))
}

fn frames_of(case: &Case, name: &str) -> usize {
    *case.dims(&format!("{name}.codes")).last().unwrap()
}

#[test]
fn greedy_generation() {
    each(|case| {
        let melody = case.model.checkpoint.config().melody.is_some();
        let short = melody.then_some("melody.short");
        for (name, row) in [("greedy3", 0), ("greedy1", 2)] {
            let run = &case.json["runs"][name];
            let guidance = run["guidance_scale"].as_f64().unwrap();
            let request = case.request(Some(row), guidance, frames_of(case, name));
            greedy(case, name, &[request], vec![case.nothing()], short);
        }
        if melody {
            for (name, chroma) in [("long", Some("melody.long")), ("plain", None)] {
                let guidance = case.json["runs"][name]["guidance_scale"].as_f64().unwrap();
                greedy(
                    case,
                    name,
                    &[case.request(Some(0), guidance, frames_of(case, name))],
                    vec![case.nothing()],
                    chroma,
                );
            }
        } else {
            let frames = frames_of(case, "unconditional");
            greedy(case, "unconditional", &[case.request(None, 1.0, frames)], vec![case.nothing()], None);
            // In a batch the reference pads the shorter prompt; here both are as they would be alone.
            let frames = frames_of(case, "batch");
            let requests = [case.request(Some(0), 3.0, frames), case.request(Some(1), 3.0, frames)];
            greedy(case, "batch", &requests, vec![case.nothing(), case.nothing()], None);
        }
    });
}

#[test]
fn continuation() {
    each(|case| {
        if !case.has("continuation.codes") {
            return;
        }
        let dims = case.dims("continuation.prompt");
        let samples = case.floats("continuation.prompt");
        let channels: Vec<&[f32]> = samples.chunks(dims[1]).collect();
        let audio = AudioBuffer::from_channels(case.model.codec.sample_rate(), &channels).unwrap();
        let known = case.model.encode("the audio", &audio, &mut |_| Ok(())).unwrap();
        assert_eq!(known, case.codes("continuation.prompt_codes", 0), "{}", case.name);
        let frames = frames_of(case, "continuation") - known[0].len();
        let chroma = case.model.checkpoint.config().melody.is_some().then_some("melody.short");
        greedy(case, "continuation", &[case.request(Some(0), 3.0, frames)], vec![known], chroma);
    });
}

#[test]
fn probabilities() {
    each(|case| {
        let size = *case.dims("sampling.logits").last().unwrap();
        let logits = case.floats("sampling.logits");
        let settings = &case.json["runs"]["sampling"];
        for name in ["temperature_top_k", "top_p", "all"] {
            let number = |key: &str| settings[name][key].as_f64();
            let sampling = Sampling {
                temperature: number("temperature").unwrap_or(1.0) as f32,
                top_k: number("top_k").unwrap_or(0.0) as usize,
                top_p: number("top_p").unwrap_or(1.0) as f32,
            };
            let got: Vec<f32> = logits.chunks(size).flat_map(|l| sampling.probabilities(l)).collect();
            case.near(name, &got, &case.floats(&format!("sampling.{name}")), 1e-6);
        }
    });
}

#[test]
fn chroma() {
    each(|case| {
        for name in ["tune", "blip"] {
            let tensor = format!("chroma.{name}");
            if !case.has(&tensor) {
                continue;
            }
            let samples: Vec<f32> = case.integers(&tensor).iter().map(|&s| s as f32 / 32768.0).collect();
            let audio = AudioBuffer::from_channels(32_000, &[samples]).unwrap();
            let got: Vec<i64> = super::chroma::strongest(&audio, 12).unwrap().into_iter().map(|c| c as i64).collect();
            assert_eq!(got, case.integers(&format!("chroma.{name}_argmax")), "{}", case.name);
        }
    });
}

#[test]
fn the_public_door_gives_the_same() {
    each(|case| {
        if case.model.checkpoint.config().melody.is_some() {
            return;
        }
        let options = LoadOptions {
            quantization: Some(Precision::F32),
            portable: case.model.compute.portable,
            ..LoadOptions::default()
        };
        let model = MusicGen::load(&case.folder, &options).unwrap();
        let request = case.request(Some(0), 3.0, frames_of(case, "greedy3"));
        let codes = model.generate_codes(std::slice::from_ref(&request), &mut NoProgress).unwrap();
        assert_eq!(codes[0], case.codes("greedy3.codes", 0));
        // What was drawn is what the logits of the other door like best.
        let size = model.info().codebook_size;
        let logits = model.logits(&request, &codes[0]).unwrap();
        for (drawn, logits) in codes[0].iter().flatten().zip(logits.chunks(size)) {
            assert_eq!(Sampling::GREEDY.draw(logits, 0.0), *drawn);
        }
        let audio = model.generate(&request, &mut NoProgress).unwrap();
        let expected = case.floats("greedy3.waveform");
        case.near("generate", audio.samples(), &expected, SAMPLES * peak(&expected));
        let mut stream = model.stream(&request).unwrap();
        let mut streamed = vec![Vec::new(); audio.channels()];
        while let Some(piece) = stream.next_chunk(&mut NoProgress).unwrap() {
            streamed.iter_mut().enumerate().for_each(|(c, s)| s.extend_from_slice(piece.channel(c)));
        }
        for (channel, streamed) in streamed.iter().enumerate() {
            if case.model.compute.portable {
                // candle's products depend on the number of rows: equal up to rounding there.
                let expected = audio.channel(channel);
                case.near("stream", streamed, expected, SAMPLES / 10.0 * peak(expected));
            } else {
                assert_eq!(streamed, audio.channel(channel), "{}: streaming equals offline", case.name);
            }
        }
    });
}

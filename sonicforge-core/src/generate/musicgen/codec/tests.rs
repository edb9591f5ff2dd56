//! Both executors against the plain loops of [`reference`](super::reference), and streaming against offline.

use std::collections::HashMap;

use candle_core::Device;

use super::Codec;
use super::reference::Reference;
use super::weights::Tensors;
use crate::error::{Error, Result};
use crate::generate::musicgen::config::{CodecConfig, CodecNorm, PadMode};
use crate::generate::musicgen::kernels::Pool;
use crate::generate::musicgen::kernels::tests::noise;

/// The 32 kHz codec of MusicGen.
pub(super) fn full_size() -> CodecConfig {
    CodecConfig {
        sample_rate: 32_000,
        audio_channels: 1,
        normalize: false,
        chunk_length_s: None,
        hidden_size: 128,
        filters: 64,
        residual_layers: 1,
        ratios: vec![8, 5, 4, 4],
        norm: CodecNorm::Weight,
        kernel_size: 7,
        last_kernel_size: 7,
        residual_kernel_size: 3,
        dilation_growth_rate: 2,
        causal: false,
        pad_mode: PadMode::Reflect,
        compress: 2,
        lstm_layers: 2,
        trim_right_ratio: 1.0,
        codebook_size: 2048,
        codebook_dim: 128,
        conv_shortcut: false,
        codebooks: 4,
    }
}

/// Tensors by name.
#[derive(Default)]
pub(super) struct Table(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Table {
    pub fn put(&mut self, name: String, shape: &[usize], values: Vec<f32>) {
        self.0.insert(name, (shape.to_vec(), values));
    }
}

impl Tensors for Table {
    fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match self.0.get(name) {
            Some((found, values)) if found == shape => Ok(values.clone()),
            found => Err(Error::Model(format!("{name}: {shape:?} was asked for; there is {:?}", found.map(|f| &f.0)))),
        }
    }
}

/// Has every tensor one asks for, of values that its name decides and of a size that keeps signals near 1. What `missing`
/// begins is not there.
#[derive(Clone, Copy, Default)]
struct Noise {
    missing: Option<&'static str>,
    /// Whether weights have no norm of their own.
    plain: bool,
}

impl Tensors for Noise {
    fn contains(&self, name: &str) -> bool {
        self.plain == name.ends_with(".conv.weight")
    }

    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        if self.missing.is_some_and(|missing| name.starts_with(missing)) {
            return Err(Error::Model(format!("there is no tensor {name}")));
        }
        let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(1_099_511_628_211) ^ u64::from(byte));
        let len = shape.iter().product();
        let (scale, offset) = match name.rsplit('.').next().unwrap_or_default() {
            "weight_g" => (0.5, 1.0),
            "bias" => (0.1, 0.0),
            "embed" | "weight_v" => (1.0, 0.0),
            _ => (1.0 / (*shape.last().unwrap_or(&1) as f32).sqrt(), 0.0),
        };
        Ok(noise(seed, len).into_iter().map(|x| x * scale + offset).collect())
    }
}

/// The topology of the 32 kHz codec with few channels.
fn small() -> CodecConfig {
    CodecConfig { hidden_size: 10, codebook_dim: 10, filters: 6, codebook_size: 32, codebooks: 3, ..full_size() }
}

/// Codecs of every kind that the configuration knows.
fn kinds() -> Vec<CodecConfig> {
    let small = small();
    let causal = CodecConfig { causal: true, conv_shortcut: true, ..small.clone() };
    let deep = CodecConfig { residual_layers: 3, ratios: vec![3, 2], dilation_growth_rate: 3, ..small.clone() };
    vec![
        CodecConfig { pad_mode: PadMode::Replicate, lstm_layers: 1, ..small.clone() },
        CodecConfig { pad_mode: PadMode::Constant, lstm_layers: 0, conv_shortcut: true, ..small.clone() },
        CodecConfig { kernel_size: 4, last_kernel_size: 2, residual_kernel_size: 5, compress: 3, ..small.clone() },
        CodecConfig { kernel_size: 1, last_kernel_size: 1, residual_kernel_size: 1, ..small.clone() },
        CodecConfig { kernel_size: 12, last_kernel_size: 9, lstm_layers: 3, ratios: vec![5, 1, 2], ..small.clone() },
        CodecConfig { trim_right_ratio: 0.4, pad_mode: PadMode::Constant, ..causal.clone() },
        CodecConfig { trim_right_ratio: 0.0, pad_mode: PadMode::Replicate, residual_kernel_size: 2, ..causal.clone() },
        CodecConfig { ratios: vec![7], residual_layers: 0, ..causal.clone() },
        CodecConfig { norm: CodecNorm::TimeGroup, ratios: vec![4, 3], trim_right_ratio: 0.3, ..causal.clone() },
        CodecConfig { norm: CodecNorm::TimeGroup, ..small.clone() },
        CodecConfig { causal: true, residual_layers: 2, ..deep.clone() },
        deep,
        causal,
        small,
    ]
}

fn tensors(config: &CodecConfig) -> Noise {
    Noise { plain: config.norm == CodecNorm::TimeGroup, missing: None }
}

fn load(config: &CodecConfig, threads: usize, portable: bool) -> Codec {
    let pool = Pool::new(threads).unwrap();
    Codec::from_tensors(config, Box::new(tensors(config)), "codec.", &Device::Cpu, pool, portable).unwrap()
}

fn codes(config: &CodecConfig, seed: u64, frames: usize) -> Vec<Vec<u32>> {
    let size = config.codebook_size as f32;
    let code = |x: f32| (((x + 1.0) / 2.0 * size) as u32).min(config.codebook_size as u32 - 1);
    (0..config.codebooks as u64).map(|k| noise(seed * 100 + k, frames).into_iter().map(code).collect()).collect()
}

fn cut(codes: &[Vec<u32>], from: usize, to: usize) -> Vec<Vec<u32>> {
    codes.iter().map(|codes| codes[from..to].to_vec()).collect()
}

fn furthest(got: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(got.len(), exact.len());
    let scale = exact.iter().fold(1.0f64, |most, x| most.max(x.abs()));
    got.iter().zip(exact).map(|(&got, exact)| (f64::from(got) - exact).abs()).fold(0.0, f64::max) / scale
}

fn bits(samples: &[f32]) -> Vec<u32> {
    samples.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn decoding_is_that_of_the_plain_loops() {
    for config in kinds() {
        let reference = Reference { config: &config, tensors: &tensors(&config), prefix: "codec." };
        let codecs = [(1, false), (2, false), (1, true)].map(|(threads, portable)| load(&config, threads, portable));
        for frames in [1, 2, 3, 4, 7, 29] {
            let codes = codes(&config, frames as u64, frames);
            let exact = reference.decode(&codes);
            for (i, codec) in codecs.iter().enumerate() {
                let samples = codec.decode(&codes).unwrap();
                assert_eq!(samples.len(), frames * codec.hop());
                let error = furthest(&samples, &exact);
                assert!(error < 2e-6, "{config:?}, codec {i}, {frames} frames: {error:e}");
            }
        }
        for codec in codecs {
            assert!(codec.decode(&codes(&config, 0, 0)).unwrap().is_empty());
        }
    }
}

#[test]
fn encoding_is_that_of_the_plain_loops() {
    for config in kinds() {
        let reference = Reference { config: &config, tensors: &tensors(&config), prefix: "codec." };
        let codecs = [(1, false), (2, false), (1, true)].map(|(threads, portable)| load(&config, threads, portable));
        let hop = codecs[0].hop();
        for samples in [1, 2, 3, hop, 3 * hop - 1, 5 * hop + 1] {
            let signal = noise(samples as u64, samples);
            let (exact, frames) = (reference.latents(&signal), samples.div_ceil(hop));
            for (i, codec) in codecs.iter().enumerate() {
                let latents = codec.latents(&signal).unwrap();
                assert_eq!(latents.len(), frames * config.hidden_size);
                let error = furthest(&latents, &exact);
                assert!(error < 2e-6, "{config:?}, codec {i}, {samples} samples: {error:e}");
                let codes = codec.encode(&signal).unwrap();
                assert!(codes.len() == config.codebooks && codes.iter().all(|codes| codes.len() == frames));
            }
        }
        for codec in codecs {
            assert_eq!(codec.encode(&[]).unwrap(), vec![Vec::<u32>::new(); config.codebooks]);
        }
    }
}

#[test]
fn a_stream_gives_the_bits_of_the_whole() {
    for config in kinds() {
        for threads in [1, 2] {
            let codec = load(&config, threads, false);
            let frames = 41;
            let codes = codes(&config, 5, frames);
            let whole = bits(&codec.decode(&codes).unwrap());
            for steps in [&[1][..], &[2], &[3, 1], &[5, 0, 8], &[40], &[100]] {
                let mut stream = codec.stream();
                let (mut samples, mut at) = (Vec::new(), 0);
                for &step in steps.iter().cycle() {
                    let to = (at + step).min(frames);
                    samples.extend(stream.push(&cut(&codes, at, to)).unwrap());
                    at = to;
                    // Nothing is held back longer than it must be.
                    assert_eq!(samples.len(), at * codec.hop() - codec.held_back(at), "{config:?} after {at} frames");
                    if at == frames {
                        break;
                    }
                }
                samples.extend(stream.finish().unwrap());
                assert_eq!(bits(&samples), whole, "{config:?}, {threads} threads, steps of {steps:?}");
            }
        }
    }
}

#[test]
fn what_is_given_does_not_depend_on_what_follows() {
    for config in kinds() {
        let codec = load(&config, 1, false);
        let codes = codes(&config, 6, 12);
        let mut stream = codec.stream();
        let mut samples = stream.push(&codes).unwrap();
        let given = samples.len();
        let other = self::codes(&config, 8, 20);
        samples.extend(stream.push(&other).unwrap());
        samples.extend(stream.finish().unwrap());
        assert_eq!(bits(&codec.decode(&codes).unwrap())[..given], bits(&samples)[..given]);
        if config.causal && config.trim_right_ratio == 1.0 && config.norm == CodecNorm::Weight {
            assert_eq!(codec.held_back(12), 0, "a causal codec holds nothing back");
        }
    }
}

#[test]
fn the_32_khz_codec_looks_75_ms_ahead() {
    let codec = load(&small(), 1, false);
    assert_eq!(codec.held_back(50), 2402);
    // Reflection at the left edge: the first samples come with the fourth frame.
    let first = (1..).find(|&frames| codec.held_back(frames) < frames * codec.hop()).unwrap();
    assert_eq!(first, 4);
    // The furthest frame that a sample depends on: changing frame 20 changes nothing earlier than 3.75 frames before it.
    let a = codes(&small(), 1, 30);
    let mut b = a.clone();
    b[0][20] ^= 1;
    let (a, b) = (codec.decode(&a).unwrap(), codec.decode(&b).unwrap());
    let changed = a.iter().zip(&b).position(|(a, b)| a != b).unwrap();
    assert!((20 * 640 - 2402..20 * 640 - 2300).contains(&changed), "{changed}");
}

#[test]
fn a_song_is_the_same_alone_and_in_a_batch() {
    let config = small();
    for (threads, portable) in [(1, false), (2, false), (1, true)] {
        let codec = load(&config, threads, portable);
        let songs: Vec<Vec<Vec<u32>>> =
            [9, 14, 9, 0, 9, 1].iter().enumerate().map(|(i, &n)| codes(&config, i as u64, n)).collect();
        let batch: Vec<&[Vec<u32>]> = songs.iter().map(Vec::as_slice).collect();
        let together = codec.decode_batch(&batch).unwrap();
        for (song, samples) in songs.iter().zip(&together) {
            let alone = codec.decode(song).unwrap();
            assert_eq!(samples.len(), alone.len());
            if portable {
                assert!(samples.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-5));
            } else {
                assert_eq!(bits(samples), bits(&alone));
            }
        }
        assert!(codec.decode_batch(&[]).unwrap().is_empty());
    }
}

#[test]
fn a_device_streams_too() {
    for config in kinds() {
        let codec = load(&config, 1, true);
        let codes = codes(&config, 3, 23);
        let whole = codec.decode(&codes).unwrap();
        for step in [1, 4, 10] {
            let mut stream = codec.stream();
            let mut samples = Vec::new();
            for at in (0..23).step_by(step) {
                samples.extend(stream.push(&cut(&codes, at, 23.min(at + step))).unwrap());
                let frames = 23.min(at + step);
                assert_eq!(samples.len(), frames * codec.hop() - codec.held_back(frames));
            }
            samples.extend(stream.finish().unwrap());
            assert_eq!(samples.len(), whole.len());
            assert!(samples.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-5), "{config:?}, steps of {step}");
        }
    }
}

#[test]
fn long_signals_are_cut_without_a_trace() {
    // Longer than any piece of either executor.
    let config =
        CodecConfig { filters: 1, compress: 1, ratios: vec![2, 2], hidden_size: 4, codebook_dim: 4, ..small() };
    let (cpu, device) = (load(&config, 1, false), load(&config, 1, true));
    let reference = Reference { config: &config, tensors: &tensors(&config), prefix: "codec." };
    let codes = codes(&config, 1, 20_000);
    let exact = reference.decode(&codes);
    for codec in [&cpu, &device] {
        assert!(furthest(&codec.decode(&codes).unwrap(), &exact) < 2e-6);
    }
    let samples: Vec<f32> = noise(3, 150_001);
    let exact = reference.latents(&samples);
    for codec in [&cpu, &device] {
        assert!(furthest(&codec.latents(&samples).unwrap(), &exact) < 2e-6);
    }
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let config = small();
    let codec = load(&config, 1, false);
    let good = codes(&config, 1, 12);
    let mut stream = codec.stream();
    let mut samples = stream.push(&cut(&good, 0, 7)).unwrap();
    let mut bad = cut(&good, 7, 12);
    bad[2][3] = 32;
    let error = stream.push(&bad).unwrap_err();
    assert_eq!(error.code(), "SF_INVALID_ARGUMENT");
    assert_eq!(error.to_string(), "the code of codebook 2 in frame 10 is 32; codes of this codec are below 32");
    assert!(stream.push(&good[..2]).unwrap_err().to_string().contains("2 codebooks; this codec has 3"));
    samples.extend(stream.push(&cut(&good, 7, 12)).unwrap());
    samples.extend(stream.finish().unwrap());
    assert_eq!(bits(&samples), bits(&codec.decode(&good).unwrap()));
    let mut pair = codec.streams(2);
    assert!(pair.push(&[&good]).unwrap_err().to_string().contains("codes for 1 streams came; 2 are open"));
    assert!(pair.push(&[&good, &cut(&good, 0, 3)]).unwrap_err().to_string().contains("stream 1 gets 3 frames"));
    let error = codec.encode(&[0.0, f32::NAN]).unwrap_err();
    assert!(error.to_string().contains("sample 1 is NaN"), "{error}");
}

#[test]
fn what_a_checkpoint_lacks_is_named() {
    for portable in [false, true] {
        for missing in [
            "codec.quantizer.layers.2.codebook.embed",
            "codec.decoder.layers.0.conv.weight_v",
            "codec.decoder.layers.1.lstm.bias_hh_l1",
            "codec.decoder.layers.7.block.3.conv.bias",
            "codec.decoder.layers.15.conv.weight_g",
        ] {
            let tensors = Box::new(Noise { missing: Some(missing), ..Noise::default() });
            let pool = Pool::new(1).unwrap();
            let error = Codec::from_tensors(&small(), tensors, "codec.", &Device::Cpu, pool, portable).err().unwrap();
            assert_eq!(error.code(), "SF_MODEL");
            assert!(error.to_string().contains(missing), "{error}");
        }
        // The encoder is read when it is needed.
        let tensors = Box::new(Noise { missing: Some("codec.encoder"), ..Noise::default() });
        let pool = Pool::new(1).unwrap();
        let codec = Codec::from_tensors(&small(), tensors, "codec.", &Device::Cpu, pool, portable).unwrap();
        assert!(codec.decode(&codes(&small(), 1, 2)).is_ok());
        for _ in 0..2 {
            let error = codec.encode(&[0.0; 700]).unwrap_err();
            assert!(error.to_string().contains("codec.encoder.layers.0.conv.weight_v"), "{error}");
        }
    }
}

/// CPU seconds of this thread.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel");
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

/// `cargo test --profile ci -p sonicforge-core --features generate --lib codec::tests::speed -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
#[cfg(target_os = "linux")]
fn speed_of_the_full_size() {
    let config = full_size();
    let codec = load(&config, 1, false);
    println!("decoder: {:.1} MB of weights", codec.bytes() as f64 / 1e6);
    let measure = |what: &str, seconds: f64, work: &dyn Fn()| {
        let best = (0..3)
            .map(|_| {
                let start = cpu_seconds();
                work();
                cpu_seconds() - start
            })
            .fold(f64::INFINITY, f64::min);
        println!("{what}: {:.4} CPU s per audio s", best / seconds);
    };
    let ten = codes(&config, 1, 500);
    measure("decode 10 s", 10.0, &|| drop(codec.decode(&ten).unwrap()));
    let pair = [&ten[..], &ten[..]];
    measure("decode 10 s, two at once", 20.0, &|| drop(codec.decode_batch(&pair).unwrap()));
    for step in [1, 5, 10, 25, 50] {
        measure(&format!("stream by {step} frames"), 4.0, &|| {
            let mut stream = codec.stream();
            for at in (0..200).step_by(step) {
                stream.push(&cut(&ten, at, at + step)).unwrap();
            }
            stream.finish().unwrap();
        });
    }
    let samples = noise(1, 320_000);
    codec.latents(&samples[..640]).unwrap();
    measure("encode 10 s", 10.0, &|| drop(codec.encode(&samples).unwrap()));
    // What the work itself takes, weights apart.
    let megabytes = |key: &str| -> f64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("a Linux kernel");
        let line = status.lines().find(|line| line.starts_with(key)).expect("a line of this key");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("kilobytes") / 1e3
    };
    let peak = |what: &str, work: &dyn Fn()| {
        let before = megabytes("VmRSS:");
        std::fs::write("/proc/self/clear_refs", "5").expect("one's own peak can be forgotten");
        work();
        println!("{what}: {:.0} MB above the {before:.0} MB before it", megabytes("VmHWM:") - before);
    };
    let thirty = codes(&config, 2, 1500);
    peak("decode 30 s", &|| drop(codec.decode(&thirty).unwrap()));
    let samples = noise(1, 960_000);
    peak("encode 30 s", &|| drop(codec.encode(&samples).unwrap()));
}

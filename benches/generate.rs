//! The generator's parts at their real sizes, with random weights: the speed of a dense model does not depend on what it
//! has learnt.
//!
//! `cargo bench -p sonicforge-benches --features generate --bench generate`; a checkpoint is written to the temporary folder
//! for the time of the run. One thread; throughput is in samples.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen};
use sonicforge_core::generate::sampling::Sampling;
use sonicforge_core::progress::NoProgress;
use sonicforge_core::testing::Signal;

/// A checkpoint in the hub's layout around the 32 kHz codec; it is removed when this is dropped.
struct Checkpoint {
    folder: PathBuf,
}

/// Sizes of the language model and its text encoder.
struct Sizes {
    name: &'static str,
    layers: usize,
    hidden: usize,
    heads: usize,
    text_layers: usize,
    text_width: usize,
    text_vocab: usize,
}

/// As small as can be: for what does not ask the language model.
const TINY: Sizes =
    Sizes { name: "tiny", layers: 1, hidden: 64, heads: 1, text_layers: 1, text_width: 64, text_vocab: 32 };

/// T5-base before a decoder that costs nothing.
const TEXT: Sizes =
    Sizes { name: "text", layers: 1, hidden: 64, heads: 1, text_layers: 12, text_width: 768, text_vocab: 32_128 };

/// musicgen-small: 2.3 GB of floats.
const SMALL: Sizes =
    Sizes { name: "small", layers: 24, hidden: 1024, heads: 16, text_layers: 12, text_width: 768, text_vocab: 32_128 };

/// Codebooks, their size and the width of their rows; the codec's narrowest layer and its ratios.
const BOOKS: usize = 4;
const CODES: usize = 2048;
const LATENT: usize = 128;
const FILTERS: usize = 64;
const RATIOS: [usize; 4] = [8, 5, 4, 4];

/// Names and shapes of a checkpoint's tensors.
type Tensors = Vec<(String, Vec<usize>)>;

impl Checkpoint {
    fn write(sizes: &Sizes) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("sonicforge-bench-{}-{}", sizes.name, std::process::id()));
        fs::create_dir_all(&folder)?;
        let this = Self { folder };
        let config = json!({
            "model_type": "musicgen",
            "text_encoder": {
                "model_type": "t5", "vocab_size": sizes.text_vocab, "d_model": sizes.text_width, "d_kv": 64,
                "d_ff": 4 * sizes.text_width, "num_layers": sizes.text_layers, "num_heads": sizes.text_width / 64,
            },
            "decoder": {
                "model_type": "musicgen_decoder", "vocab_size": CODES, "hidden_size": sizes.hidden,
                "num_hidden_layers": sizes.layers, "num_attention_heads": sizes.heads, "ffn_dim": 4 * sizes.hidden,
            },
            "audio_encoder": {
                "model_type": "encodec", "sampling_rate": 32000, "upsampling_ratios": RATIOS, "num_filters": FILTERS,
                "hidden_size": LATENT, "codebook_size": CODES, "use_causal_conv": false, "use_conv_shortcut": false,
            },
        });
        fs::write(this.folder.join("config.json"), config.to_string())?;
        let mut tensors = language_model(sizes);
        tensors.extend(codec());
        safetensors(&this.folder.join("model.safetensors"), &tensors)?;
        Ok(this)
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // What is left over in a temporary folder is nobody's loss.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// T5's encoder and the decoder over codes.
fn language_model(sizes: &Sizes) -> Tensors {
    let (h, d) = (sizes.hidden, sizes.text_width);
    let mut list: Tensors = Vec::new();
    let mut put = |name: String, shape: &[usize]| list.push((name, shape.to_vec()));
    for k in 0..BOOKS {
        put(format!("decoder.model.decoder.embed_tokens.{k}.weight"), &[CODES + 1, h]);
        put(format!("decoder.lm_heads.{k}.weight"), &[CODES, h]);
    }
    for i in 0..sizes.layers {
        let at = format!("decoder.model.decoder.layers.{i}");
        for attention in ["self_attn", "encoder_attn"] {
            for part in ["q", "k", "v", "out"] {
                put(format!("{at}.{attention}.{part}_proj.weight"), &[h, h]);
            }
        }
        put(format!("{at}.fc1.weight"), &[4 * h, h]);
        put(format!("{at}.fc2.weight"), &[h, 4 * h]);
        for norm in ["self_attn", "encoder_attn", "final"] {
            for part in ["weight", "bias"] {
                put(format!("{at}.{norm}_layer_norm.{part}"), &[h]);
            }
        }
    }
    for part in ["weight", "bias"] {
        put(format!("decoder.model.decoder.layer_norm.{part}"), &[h]);
    }
    put("text_encoder.shared.weight".into(), &[sizes.text_vocab, d]);
    for i in 0..sizes.text_layers {
        let at = format!("text_encoder.encoder.block.{i}.layer");
        for part in ["q", "k", "v", "o"] {
            put(format!("{at}.0.SelfAttention.{part}.weight"), &[d, d]);
        }
        put(format!("{at}.0.layer_norm.weight"), &[d]);
        put(format!("{at}.1.DenseReluDense.wi.weight"), &[4 * d, d]);
        put(format!("{at}.1.DenseReluDense.wo.weight"), &[d, 4 * d]);
        put(format!("{at}.1.layer_norm.weight"), &[d]);
    }
    put("text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight".into(), &[32, d / 64]);
    put("text_encoder.encoder.final_layer_norm.weight".into(), &[d]);
    if d != h {
        put("enc_to_dec_proj.weight".into(), &[h, d]);
        put("enc_to_dec_proj.bias".into(), &[h]);
    }
    list
}

/// EnCodec as MusicGen has it: its layers by their numbers, activations counted.
fn codec() -> Tensors {
    let mut list: Tensors = Vec::new();
    for k in 0..BOOKS {
        list.push((format!("audio_encoder.quantizer.layers.{k}.codebook.embed"), vec![CODES, LATENT]));
    }
    let mut conv = |name: String, first: usize, second: usize, kernel: usize, outputs: usize| {
        list.push((format!("audio_encoder.{name}.conv.weight_g"), vec![first, 1, 1]));
        list.push((format!("audio_encoder.{name}.conv.weight_v"), vec![first, second, kernel]));
        list.push((format!("audio_encoder.{name}.conv.bias"), vec![outputs]));
    };
    let widest = FILTERS << RATIOS.len();
    conv("decoder.layers.0".into(), widest, LATENT, 7, widest);
    conv("encoder.layers.0".into(), FILTERS, 1, 7, FILTERS);
    for (i, ratio) in RATIOS.into_iter().enumerate() {
        let width = widest >> (i + 1);
        let (up, down) = (3 + 3 * i, 12 - 3 * i);
        conv(format!("decoder.layers.{up}"), 2 * width, width, 2 * ratio, width);
        conv(format!("encoder.layers.{down}"), 2 * width, width, 2 * ratio, 2 * width);
        for block in [format!("decoder.layers.{}", up + 1), format!("encoder.layers.{}", down - 2)] {
            conv(format!("{block}.block.1"), width / 2, width, 3, width / 2);
            conv(format!("{block}.block.3"), width, width / 2, 1, width);
        }
    }
    conv("decoder.layers.15".into(), 1, FILTERS, 7, 1);
    conv("encoder.layers.15".into(), LATENT, widest, 7, LATENT);
    for lstm in ["decoder.layers.1", "encoder.layers.13"] {
        for layer in 0..2 {
            for part in ["ih", "hh"] {
                let name = format!("audio_encoder.{lstm}.lstm");
                list.push((format!("{name}.weight_{part}_l{layer}"), vec![4 * widest, widest]));
                list.push((format!("{name}.bias_{part}_l{layer}"), vec![4 * widest]));
            }
        }
    }
    list
}

/// Random numbers of a size that keeps signals near 1.
fn safetensors(path: &std::path::Path, tensors: &Tensors) -> io::Result<()> {
    let (mut header, mut end) = (Map::new(), 0);
    for (name, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1u32;
    for (name, shape) in tensors {
        let inputs: usize = shape[1..].iter().product();
        let (scale, offset) = match name.rsplit('.').next() {
            Some("weight_g") => (0.5, 1.0),
            Some("weight") if shape.len() == 1 => (0.25, 1.0),
            Some("embed" | "weight_v") => (1.0, 0.0),
            _ if shape.len() == 1 => (0.1, 0.0),
            _ => (1.7 / (inputs as f32).sqrt(), 0.0),
        };
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            file.write_all(&(x * scale + offset).to_le_bytes())?;
        }
    }
    file.flush()
}

fn load(checkpoint: &Checkpoint) -> MusicGen {
    let options = LoadOptions { threads: 1, ..LoadOptions::default() };
    MusicGen::load(&checkpoint.folder, &options).expect("a whole checkpoint")
}

/// Ten seconds through the codec.
fn codec_speed(c: &mut Criterion) {
    let checkpoint = Checkpoint::write(&TINY).expect("room in the temporary folder");
    let model = load(&checkpoint);
    let (rate, frames) = (model.info().sample_rate, 500);
    let codes: Vec<Vec<u32>> =
        (0..BOOKS).map(|k| (0..frames).map(|t| ((t * t + 7919 * t + 104_729 * k) % CODES) as u32).collect()).collect();
    let music: AudioBuffer = Signal::Music { seed: 1 }.render(rate, 1, 10.0).expect("the arguments are in range");
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(music.frames() as u64)).sample_size(10);
    group.bench_function("decode", |b| b.iter(|| model.decode_codes(black_box(&codes)).expect("codes in range")));
    group.bench_function("encode", |b| b.iter(|| model.encode_audio(black_box(&music)).expect("a finite signal")));
    group.finish();
}

/// A request for `frames` frames with a prompt of 12 tokens.
fn ask(frames: usize, seed: u64) -> Request {
    Request {
        token_ids: Some((2..13).chain([1]).collect()),
        seconds: frames as f64 / 50.0,
        seed,
        top_k: Some(250),
        temperature: Some(1.0),
        guidance_scale: Some(3.0),
        ..Request::default()
    }
}

/// A prompt of 12 tokens through T5-base.
fn text_speed(c: &mut Criterion) {
    let checkpoint = Checkpoint::write(&TEXT).expect("room in the temporary folder");
    let model = load(&checkpoint);
    let mut group = c.benchmark_group("text encoder");
    group.sample_size(20);
    group.bench_function("12 tokens", |b| {
        b.iter(|| model.generate_codes(black_box(&[ask(1, 0)]), &mut NoProgress).expect("a good request"))
    });
    group.finish();
}

/// Steps of musicgen-small with guidance in Q8_0, for one song and for four.
fn step_speed(c: &mut Criterion) {
    const FRAMES: usize = 22;
    let checkpoint = Checkpoint::write(&SMALL).expect("room in the temporary folder");
    let model = load(&checkpoint);
    let mut group = c.benchmark_group("step");
    group.sample_size(10);
    for songs in [1u64, 4] {
        let requests: Vec<Request> = (0..songs).map(|seed| ask(FRAMES, seed)).collect();
        // Three columns more than frames, for the delays.
        group.throughput(Throughput::Elements(FRAMES as u64 + 3));
        group.bench_function(format!("{songs} at once"), |b| {
            b.iter(|| model.generate_codes(black_box(&requests), &mut NoProgress).expect("good requests"))
        });
    }
    group.finish();
}

/// One token out of 2048.
fn sampling_speed(c: &mut Criterion) {
    let logits: Vec<f32> = (0..CODES).map(|i| ((i * 7919) % 1000) as f32 / 100.0).collect();
    let mut group = c.benchmark_group("sampling");
    for (name, top_k, top_p) in [("all", 0, 1.0), ("top-k 250", 250, 1.0), ("top-p 0.9", 0, 0.9)] {
        let sampling = Sampling { temperature: 1.0, top_k, top_p };
        group.bench_function(name, |b| b.iter(|| sampling.draw(black_box(&logits), 0.5)));
    }
    group.finish();
}

criterion_group!(benches, codec_speed, text_speed, step_speed, sampling_speed);
criterion_main!(benches);

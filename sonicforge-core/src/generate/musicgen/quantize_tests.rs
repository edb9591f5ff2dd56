//! Quantized files: what is in them, that other readers read them, and what is refused.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::json;
use tempfile::TempDir;

use super::blocks::quantize_blocks;
use super::checkpoint::{Blocks, Checkpoint};
use super::gguf::ALIGNMENT;
use super::precision::Precision;
use super::quantize::{QuantizeOptions, quantize, quantize_with};
use super::tiny::{self, Raw};
use crate::error::{Error, Result};
use crate::progress::{NoProgress, Step};

/// The checkpoints made by transformers: mono is f32, stereo f16, melody bf16.
fn fixture(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate").join(kind)
}

/// The tiny checkpoint, 256 wide, so that every kind of block divides something.
fn wide(folder: &Path) {
    let mut config = tiny::config();
    config["decoder"]["hidden_size"] = json!(256);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tensors: Vec<Raw> = tiny::tensors()
        .into_iter()
        .map(|t| {
            let shape: Vec<usize> = t.shape.iter().map(|n| if *n == 64 { 256 } else { *n }).collect();
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| ((i * 37 + t.name.len()) % 101) as f32 / 50.0 - 1.0).collect();
            Raw::f32(&t.name, &shape, &values)
        })
        .collect();
    fs::write(folder.join("model.safetensors"), tiny::safetensors(&tensors)).unwrap();
}

fn quantized(folder: &Path, precision: Precision) -> (TempDir, PathBuf) {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    quantize(folder, &path, precision, &mut NoProgress).unwrap();
    (place, path)
}

#[test]
fn every_fixture_in_every_precision() {
    for kind in ["mono", "stereo", "melody"] {
        let folder = fixture(kind);
        let before = Checkpoint::open(&folder).unwrap();
        for precision in Precision::ALL {
            let (_place, path) = quantized(&folder, precision);
            let after = Checkpoint::open(&path).unwrap();
            assert_eq!(after.config(), before.config());
            assert_eq!(after.licence(), before.licence());
            let ids = |c: &Checkpoint| c.tokenizer().unwrap().encode("a slow piano").unwrap();
            assert_eq!(ids(&after), ids(&before));
            let mut compared = 0;
            for (name, entry) in before.entries() {
                let training = ["embed_avg", "cluster_size", "inited", "embed_positions.weights"];
                assert_eq!(after.contains(name), !training.iter().any(|end| name.ends_with(end)), "{name}");
                if !after.contains(name) {
                    continue;
                }
                let (x, y) = (before.f32(name, &entry.shape).unwrap(), after.f32(name, &entry.shape).unwrap());
                let power: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
                let error: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                let most = match precision {
                    _ if entry.shape.len() == 1 || name.ends_with("codebook.embed") => 0.0,
                    Precision::F32 => 0.0,
                    Precision::F16 => 4e-4,
                    Precision::Bf16 => 3e-3,
                    // Rows of 32 to 128: nothing here is a multiple of 256.
                    _ => 0.01,
                };
                assert!(error.sqrt() <= most * power.sqrt(), "{kind} {precision} {name}: {}", (error / power).sqrt());
                compared += 1;
            }
            assert!(compared > 100, "{compared}");
        }
    }
}

#[test]
fn a_compact_file_has_its_codec_in_eight_bits() {
    for kind in ["mono", "stereo", "melody"] {
        let folder = fixture(kind);
        let before = Checkpoint::open(&folder).unwrap();
        let place = TempDir::new().unwrap();
        let path = place.path().join("model.gguf");
        for precision in [Precision::Q4K, Precision::F16] {
            let options = QuantizeOptions { precision, compact: true };
            let report = quantize_with(&folder, &path, options, &mut NoProgress).unwrap();
            let (_usual, usual) = quantized(&folder, precision);
            assert_eq!(report.bytes_after < usual.metadata().unwrap().len(), precision == Precision::Q4K);
            let after = Checkpoint::open(&path).unwrap();
            let mut rows = 0;
            for (name, entry) in after.entries() {
                let is_filter = name.starts_with("audio_encoder.") && name.ends_with("weight_v");
                if is_filter && entry.dtype.to_string() == "q8_0" {
                    assert_eq!(entry.shape.len(), 2, "{name}");
                    rows += 1;
                }
                // Read in the shape that the codec asks for, it is what it was, nearly.
                let shape = before.shape(name).unwrap();
                let (x, y) = (before.f32(name, shape).unwrap(), after.f32(name, shape).unwrap());
                let power: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
                let error: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                assert!(error.sqrt() <= 0.01 * power.sqrt(), "{kind} {precision} {name}");
            }
            assert_eq!(rows > 0, precision == Precision::Q4K, "{kind}: {rows} filters in 8 bits");
        }
    }
}

#[test]
fn which_tensor_is_kept_how() {
    let folder = TempDir::new().unwrap();
    wide(folder.path());
    let place = TempDir::new().unwrap();
    for target in [Precision::Q8_0, Precision::Q6K, Precision::Q4K] {
        let path = place.path().join(format!("{target}.gguf"));
        let report = quantize(folder.path(), &path, target, &mut NoProgress).unwrap();
        let file = Checkpoint::open(&path).unwrap();
        let kept = |name: &str| file.entries().into_iter().find(|(n, _)| *n == name).unwrap().1.dtype.to_string();
        let layer = "decoder.model.decoder.layers.1.";
        assert_eq!(kept(&format!("{layer}self_attn.q_proj.weight")), target.to_string());
        assert_eq!(kept(&format!("{layer}fc2.weight")), target.to_string());
        assert_eq!(kept(&format!("{layer}final_layer_norm.weight")), "f32");
        assert_eq!(kept("decoder.lm_heads.3.weight"), "q8_0");
        assert_eq!(kept("decoder.model.decoder.embed_tokens.0.weight"), "q8_0");
        assert_eq!(kept("text_encoder.shared.weight"), "q8_0");
        assert_eq!(kept("text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"), "f32");
        assert_eq!(kept("audio_encoder.quantizer.layers.0.codebook.embed"), "f32");
        assert_eq!(kept("audio_encoder.decoder.layers.0.conv.weight_g"), "f32");
        assert_eq!(kept("audio_encoder.decoder.layers.0.conv.weight_v"), "f16");
        assert!(report.fallbacks.is_empty(), "{:?}", report.fallbacks);
        assert_eq!(report.bytes_after, fs::metadata(&path).unwrap().len());
        assert_eq!(report.bytes_before, fs::metadata(folder.path().join("model.safetensors")).unwrap().len());
        let most = if target == Precision::Q4K { 0.06 } else { 0.02 };
        assert!(report.relative_error > 0.001 && report.relative_error < most, "{}", report.relative_error);
        assert!(report.weights_quantized * 10 > report.weights * 9, "{report:?}");

        // The blocks in the file are those that a folder gets when it is loaded.
        let name = format!("{layer}fc1.weight");
        let values = Checkpoint::open(folder.path()).unwrap().f32(&name, &[256, 256]).unwrap();
        let expected = quantize_blocks(target, &values, 256).unwrap();
        match (file.blocks(&name, &[256, 256]).unwrap(), target) {
            (Blocks::Q8_0(bytes), Precision::Q8_0)
            | (Blocks::Q6K(bytes), Precision::Q6K)
            | (Blocks::Q4K(bytes), Precision::Q4K) => assert_eq!(bytes, expected),
            (other, _) => panic!("{target}: {other:?}"),
        }
    }
}

#[test]
fn rows_that_blocks_do_not_divide() {
    let folder = TempDir::new().unwrap();
    tiny::write(folder.path());
    let path = folder.path().join("model.gguf");
    let report = quantize(folder.path(), &path, Precision::Q4K, &mut NoProgress).unwrap();
    let fell = |name: &str| report.fallbacks.iter().find(|(n, _)| n == name).map(|(_, to)| *to);
    assert_eq!(fell("decoder.model.decoder.layers.0.self_attn.q_proj.weight"), Some(Precision::Q8_0));
    assert_eq!(fell("decoder.model.decoder.layers.0.fc2.weight"), None);
    assert_eq!(report.fallbacks.len(), 4, "{:?}", report.fallbacks);
    // Twelve bins of chroma fit no block.
    let place = TempDir::new().unwrap();
    let report = quantize(fixture("melody"), place.path().join("m.gguf"), Precision::Q8_0, &mut NoProgress).unwrap();
    assert_eq!(report.fallbacks, [("audio_enc_to_dec_proj.weight".to_owned(), Precision::F16)]);
}

/// The oracle is candle's reader of the same format.
#[test]
fn other_readers_read_it() {
    let folder = TempDir::new().unwrap();
    wide(folder.path());
    fs::write(folder.path().join("README.md"), "---\nlicense: cc-by-nc-4.0\n---\n").unwrap();
    fs::write(folder.path().join("generation_config.json"), "{\"do_sample\": true}").unwrap();
    let (_place, path) = quantized(folder.path(), Precision::Q4K);
    let ours = Checkpoint::open(&path).unwrap();
    assert_eq!(ours.licence(), "CC-BY-NC-4.0");
    let mut file = fs::File::open(&path).unwrap();
    let theirs = Content::read(&mut file).unwrap();
    let word = |key: &str| match &theirs.metadata[key] {
        Value::String(word) => word.clone(),
        other => panic!("{key}: {other:?}"),
    };
    assert_eq!(word("general.architecture"), "musicgen");
    assert_eq!(word("general.license"), "CC-BY-NC-4.0");
    assert_eq!(word("sonicforge.precision"), "q4_k");
    assert_eq!(word("sonicforge.config"), fs::read_to_string(folder.path().join("config.json")).unwrap());
    assert_eq!(theirs.metadata["general.alignment"].to_u32().unwrap(), ALIGNMENT as u32);
    assert_eq!(theirs.metadata["sonicforge.format_version"].to_u32().unwrap(), 1);
    assert_eq!(theirs.tensor_infos.len(), ours.entries().len());
    for (name, info) in &theirs.tensor_infos {
        assert!(name.len() < 64, "{name}");
        assert_eq!(info.offset % ALIGNMENT as u64, 0, "{name}");
        let tensor = theirs.tensor(&mut file, name, &Device::Cpu).unwrap().dequantize(&Device::Cpu).unwrap();
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let expected = ours.f32(name, tensor.dims()).unwrap();
        for (a, b) in values.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-6 * b.abs(), "{name}: {a} {b}");
        }
    }
}

#[test]
fn same_bytes_every_time() {
    let (_one, one) = quantized(&fixture("mono"), Precision::Q8_0);
    let (_two, two) = quantized(&fixture("mono"), Precision::Q8_0);
    assert!(fs::read(one).unwrap() == fs::read(two).unwrap());
}

#[test]
fn progress_rises_and_a_wish_to_stop_leaves_nothing() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    let mut seen = Vec::new();
    let mut watch = |step: Step| {
        seen.push(step.fraction);
        ControlFlow::Continue(())
    };
    quantize(fixture("stereo"), &path, Precision::Q8_0, &mut watch).unwrap();
    assert!(seen.len() > 50 && seen.is_sorted() && seen[0] == 0.0 && seen.last() == Some(&1.0));
    let old = fs::read(&path).unwrap();
    for stop_at in [1, 2, 40] {
        let mut left = stop_at;
        let mut stop = |_: Step| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = quantize(fixture("mono"), &path, Precision::F16, &mut stop).unwrap_err();
        assert_eq!(error.code(), "SF_CANCELLED");
    }
    assert!(fs::read(&path).unwrap() == old, "the old file was touched");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn what_cannot_be_quantized() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("model.gguf");
    let to = |folder: &Path, precision| quantize(folder, &path, precision, &mut NoProgress).unwrap_err();
    let folder = TempDir::new().unwrap();
    for (bad, precision, words) in [
        (f32::NAN, Precision::Q8_0, "holds NaN at index 4100"),
        (1e9, Precision::Q8_0, "q8_0 cannot keep"),
        (1e5, Precision::F16, "f16 cannot keep"),
    ] {
        tiny::write(folder.path());
        let mut tensors = tiny::tensors();
        let fc1 = tensors.iter_mut().find(|t| t.name == "decoder.model.decoder.layers.1.fc1.weight").unwrap();
        fc1.bytes[4 * 4100..4 * 4101].copy_from_slice(&f32::to_le_bytes(bad));
        fs::write(folder.path().join("model.safetensors"), tiny::safetensors(&tensors)).unwrap();
        let error = to(folder.path(), precision);
        assert_eq!(error.code(), "SF_MODEL");
        for word in [words, "layers.1.fc1.weight"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    assert_eq!(to(&place.path().join("nowhere"), Precision::Q8_0).code(), "SF_IO");
    let file = folder.path().join("config.json");
    assert!(matches!(to(&file, Precision::Q8_0), Error::InvalidArgument(what) if what.contains("is a file")));
    let nowhere = place.path().join("no/such/folder/model.gguf");
    let error = quantize(fixture("mono"), nowhere, Precision::Q8_0, &mut NoProgress).unwrap_err();
    assert_eq!(error.code(), "SF_IO");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

/// The bytes of a GGUF file with one pair of metadata and one tensor, some of them wrong.
#[derive(Clone)]
struct Forged {
    version: u32,
    tensors: u64,
    pairs: u64,
    metadata: Vec<u8>,
    dimensions: Vec<u64>,
    kind: u32,
    offset: u64,
    data: usize,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&string(key)[..], &kind.to_le_bytes(), value].concat()
}

impl Forged {
    fn good() -> Self {
        let metadata = pair("general.alignment", 4, &32u32.to_le_bytes());
        Self { version: 3, tensors: 1, pairs: 1, metadata, dimensions: vec![256, 2], kind: 8, offset: 0, data: 544 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.pairs.to_le_bytes());
        bytes.extend(&self.metadata);
        bytes.extend(string("x"));
        bytes.extend((self.dimensions.len() as u32).to_le_bytes());
        self.dimensions.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.offset.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }
}

#[test]
fn headers_that_lie() {
    fn read(forged: &Forged) -> Result<usize> {
        super::gguf::read(&forged.bytes(), "forged.gguf").map(|gguf| gguf.entries.len())
    }
    let good = Forged::good();
    assert_eq!(read(&good).unwrap(), 1);
    for cut in 0..good.bytes().len() {
        let error = super::gguf::read(&good.bytes()[..cut], "forged.gguf").map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "SF_FORMAT", "{cut}: {error}");
    }
    let array = |kind: u32, count: u64, rest: &[u8]| [&kind.to_le_bytes()[..], &count.to_le_bytes(), rest].concat();
    let mut deep = array(4, 0, b"");
    for _ in 0..1000 {
        deep = array(9, 1, &deep);
    }
    type Change = Box<dyn Fn(&mut Forged)>;
    let cases: Vec<(&str, Change)> = vec![
        ("it ends at", Box::new(|f| f.tensors = u64::MAX)),
        ("it ends at", Box::new(|f| f.pairs = u64::MAX)),
        ("general.alignment is 0", Box::new(|f| f.metadata = pair("general.alignment", 4, &[0; 4]))),
        ("general.alignment is 33", Box::new(|f| f.metadata = pair("general.alignment", 4, &33u32.to_le_bytes()))),
        ("a value of type 13", Box::new(|f| f.metadata = pair("k", 13, &[0; 8]))),
        ("it ends at", Box::new(|f| f.metadata = pair("k", 8, &u64::MAX.to_le_bytes()))),
        ("not UTF-8", Box::new(|f| f.metadata = pair("k", 8, &[&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat()))),
        ("it ends at", Box::new(move |f| f.metadata = pair("k", 9, &array(5, u64::MAX, b"")))),
        ("it ends at", Box::new(move |f| f.metadata = pair("k", 9, &array(8, u64::MAX, &[0; 64])))),
        ("nest deeper", Box::new(move |f| f.metadata = pair("k", 9, &deep))),
        ("5 dimensions", Box::new(|f| f.dimensions = vec![32, 1, 1, 1, 1])),
        ("larger than memory", Box::new(|f| f.dimensions = vec![u64::MAX, 2])),
        ("larger than memory", Box::new(|f| f.dimensions = vec![1 << 40, 1 << 40])),
        ("no whole number of q8_0 blocks", Box::new(|f| f.dimensions = vec![33, 2])),
        ("no whole number of q4_k blocks", Box::new(|f| (f.kind, f.dimensions) = (12, vec![128, 2]))),
        ("within 544 bytes", Box::new(|f| f.dimensions = vec![256, 3])),
        ("lies at 32", Box::new(|f| f.offset = 32)),
        ("a multiple of 32", Box::new(|f| (f.offset, f.data) = (8, 1000))),
        ("larger than memory", Box::new(|f| f.offset = u64::MAX)),
    ];
    for (words, change) in cases {
        let mut forged = good.clone();
        change(&mut forged);
        let error = read(&forged).expect_err(words);
        assert!(matches!(&error, Error::Format(what) if what.contains(words)), "{words:?} is not in: {error}");
    }
    let old = Forged { version: 2, ..good.clone() };
    assert!(matches!(read(&old), Err(Error::Unsupported(what)) if what.contains("version 2")));
    // Foreign types are read past, and said when they are asked for.
    assert_eq!(read(&Forged { kind: 23, ..good }).unwrap(), 1);
}

#[test]
fn other_models_files_are_told_apart() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("llama.gguf");
    let metadata = pair("general.architecture", 8, &string("llama"));
    fs::write(&path, Forged { metadata, ..Forged::good() }.bytes()).unwrap();
    let error = Checkpoint::open(&path).map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported(what) if what.contains("\"llama\"") && what.contains("quantize")),
        "{error}"
    );
    fs::write(&path, b"PK\x03\x04").unwrap();
    assert_eq!(Checkpoint::open(&path).map(|_| ()).unwrap_err().code(), "SF_FORMAT");
}

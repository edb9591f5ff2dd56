//! Checkpoints in folders: what is found, and what is said about what is not.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::checkpoint::{Blocks, Checkpoint, gguf_name};
use super::tiny::{self, Raw};
use crate::error::Error;

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    tiny::write(folder.path());
    folder
}

/// The tiny checkpoint with other tensors.
fn with(change: impl FnOnce(&mut Vec<Raw>)) -> TempDir {
    let folder = folder();
    let mut tensors = tiny::tensors();
    change(&mut tensors);
    fs::write(folder.path().join("model.safetensors"), tiny::safetensors(&tensors)).unwrap();
    folder
}

fn refused(path: &Path) -> Error {
    Checkpoint::open(path).map(|_| ()).expect_err("it should be refused")
}

#[track_caller]
fn assert_says(error: &Error, code: &str, words: &[&str]) {
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_folder_opens() {
    let folder = folder();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.config().decoder.hidden_size, 64);
    assert_eq!(checkpoint.licence(), "unknown");
    assert!(checkpoint.tokenizer().is_none());
    let raw = tiny::tensors().into_iter().find(|t| t.name == "enc_to_dec_proj.weight").unwrap();
    let values = checkpoint.f32(&raw.name, &[64, 32]).unwrap();
    assert!(values.iter().flat_map(|x| x.to_le_bytes()).eq(raw.bytes.iter().copied()));
    assert_eq!(checkpoint.shape("enc_to_dec_proj.bias"), Some(&[64][..]));
    assert_eq!(checkpoint.blocks(&raw.name, &[64, 32]).unwrap(), Blocks::F32(values));
}

#[test]
fn either_spelling_finds_a_tensor() {
    let folder = folder();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let front = "audio_encoder.decoder.layers.0.conv.";
    for (old, new, shape) in [
        ("weight_g", "parametrizations.weight.original0", vec![16, 1, 1]),
        ("weight_v", "parametrizations.weight.original1", vec![16, 8, 7]),
    ] {
        let old = checkpoint.f32(&format!("{front}{old}"), &shape).unwrap();
        assert_eq!(old, checkpoint.f32(&format!("{front}{new}"), &shape).unwrap());
    }
    assert!(checkpoint.contains("text_encoder.encoder.embed_tokens.weight"));
    assert!(!checkpoint.contains("text_encoder.encoder.embed_tokens.bias"));
    // ggml holds a name in 64 bytes, the last of them zero.
    let long = "text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    assert!(gguf_name(long).len() < 64, "{}", gguf_name(long));
    assert_eq!(checkpoint.shape(&gguf_name(long)), Some(&[32, 2][..]));
}

#[test]
fn shared_wins_over_a_second_copy() {
    for first in [true, false] {
        let folder = with(|tensors| {
            let at = tensors.iter().position(|t| t.name == "text_encoder.shared.weight").unwrap();
            let copy = Raw::f32("text_encoder.encoder.embed_tokens.weight", &[100, 32], &[7.0; 3200]);
            tensors.insert(if first { 0 } else { at + 1 }, copy);
        });
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let values = checkpoint.f32("text_encoder.encoder.embed_tokens.weight", &[100, 32]).unwrap();
        assert!(values.iter().all(|x| *x <= 1.0), "first: {first}");
    }
}

#[test]
fn every_float_is_read() {
    let values: Vec<f32> = (0..64).map(|i| (i as f32 - 31.0) * 0.125).collect();
    for (dtype, bytes) in [
        ("F64", values.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect::<Vec<u8>>()),
        ("F16", values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect()),
        ("BF16", values.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect()),
    ] {
        let folder = with(|tensors| {
            let bias = tensors.iter_mut().find(|t| t.name == "enc_to_dec_proj.bias").unwrap();
            (bias.dtype, bias.bytes) = (dtype, bytes);
        });
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(checkpoint.f32("enc_to_dec_proj.bias", &[64]).unwrap(), values, "{dtype}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    for (dtype, width, bytes, words) in [
        ("F32", 4, f32::NAN.to_le_bytes().to_vec(), ["NaN", "index 5"]),
        ("F32", 4, f32::INFINITY.to_le_bytes().to_vec(), ["inf", "index 5"]),
        ("F64", 8, 1e300f64.to_le_bytes().to_vec(), ["inf", "index 5"]),
        ("BF16", 2, vec![0xc0, 0x7f], ["NaN", "index 5"]),
        ("F16", 2, vec![0, 0xfc], ["-inf", "index 5"]),
        ("I64", 8, vec![0; 8], ["I64", "expected f32"]),
    ] {
        let folder = with(|tensors| {
            let bias = tensors.iter_mut().find(|t| t.name == "enc_to_dec_proj.bias").unwrap();
            bias.dtype = dtype;
            bias.bytes = vec![0; 64 * width];
            bias.bytes[5 * width..6 * width].copy_from_slice(&bytes);
        });
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let error = checkpoint.f32("enc_to_dec_proj.bias", &[64]).unwrap_err();
        assert_says(&error, "SF_MODEL", &["\"enc_to_dec_proj.bias\"", words[0], words[1]]);
    }
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let lacks = with(|tensors| tensors.retain(|t| t.name != "decoder.lm_heads.2.weight"));
    let words = ["\"decoder.lm_heads.2.weight\"", "missing", "model.safetensors", "2 layers of 64"];
    assert_says(&refused(lacks.path()), "SF_MODEL", &words);
    let other = with(|tensors| {
        let shared = tensors.iter_mut().find(|t| t.name == "text_encoder.shared.weight").unwrap();
        shared.shape = vec![32, 100];
    });
    assert_says(&refused(other.path()), "SF_MODEL", &["[32, 100]", "expected [100, 32]"]);
    let folder = folder();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_says(&checkpoint.f32("nothing", &[1]).unwrap_err(), "SF_MODEL", &["\"nothing\"", "[1]"]);
}

#[test]
fn a_config_that_lies_about_sizes_meets_the_tensors() {
    for (section, key, value) in [
        ("decoder", "hidden_size", 65_536),
        ("decoder", "num_hidden_layers", 1024),
        ("decoder", "ffn_dim", 1 << 18),
        ("decoder", "num_codebooks", 64),
        ("text_encoder", "vocab_size", 1 << 22),
        ("text_encoder", "num_heads", 1024),
        ("audio_encoder", "codebook_size", 65_536),
        ("audio_encoder", "hidden_size", 65_536),
    ] {
        let folder = folder();
        let mut config = tiny::config();
        config[section][key] = json!(value);
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        assert_says(&refused(folder.path()), "SF_MODEL", &["tensor"]);
    }
}

#[test]
fn shards_are_put_together() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::remove_file(at("model.safetensors")).unwrap();
    let tensors = tiny::tensors();
    let (one, two) = tensors.split_at(7);
    fs::write(at("model-00001-of-00002.safetensors"), tiny::safetensors(one)).unwrap();
    fs::write(at("model-00002-of-00002.safetensors"), tiny::safetensors(two)).unwrap();
    let index = |place: &dyn Fn(usize) -> &'static str| {
        let map: serde_json::Map<String, _> =
            tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), json!(place(i)))).collect();
        fs::write(at("model.safetensors.index.json"), json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
    };
    let right = |i| if i < 7 { "model-00001-of-00002.safetensors" } else { "model-00002-of-00002.safetensors" };
    index(&right);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert!(tensors.iter().all(|t| checkpoint.f32(&t.name, &t.shape).is_ok()));

    index(&|i| if i == 3 { "model-00002-of-00002.safetensors" } else { right(i) });
    assert_says(&refused(folder.path()), "SF_FORMAT", &[&format!("{:?}", tensors[3].name), "00002"]);
    for way_out in ["../model.safetensors", "/etc/passwd", "a\\b.safetensors", "C:x.safetensors", "pytorch_model.bin"] {
        index(&|i| if i == 3 { way_out } else { right(i) });
        assert_says(&refused(folder.path()), "SF_FORMAT", &["the shard"]);
    }
    index(&|i| if i == 3 { "model-00003-of-00002.safetensors" } else { right(i) });
    assert_says(&refused(folder.path()), "SF_IO", &["model-00003-of-00002.safetensors"]);
    fs::copy(at("model-00002-of-00002.safetensors"), at("model-00001-of-00002.safetensors")).unwrap();
    index(&right);
    assert_eq!(refused(folder.path()).code(), "SF_FORMAT");
}

#[test]
fn headers_that_lie() {
    let folder = folder();
    let good = tiny::safetensors(&tiny::tensors());
    let write = |bytes: &[u8]| fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    for cut in [0, 1, 7, 8, 9, 100, good.len() / 2, good.len() - 1] {
        write(&good[..cut]);
        assert_says(&refused(folder.path()), "SF_FORMAT", &["model.safetensors", "damaged"]);
    }
    write(&[&good[..], &[0]].concat());
    assert_says(&refused(folder.path()), "SF_FORMAT", &["1 bytes follow"]);
    let entry =
        |shape: &str, offsets: &str| format!(r#""x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#);
    for (header, word) in [
        (String::from("[]"), "an object of tensors"),
        (format!("{{{}}}", entry("[3]", "[0,16]")), "takes 12 bytes"),
        (format!("{{{}}}", entry("[5]", "[0,20]")), "outside the 16 bytes"),
        (format!("{{{}}}", entry("[4]", "[16,0]")), "outside"),
        (format!("{{{}}}", entry("[18446744073709551615,16]", "[0,16]")), "larger than memory"),
        (format!("{{{}}}", entry("[4611686018427387904]", "[0,0]")), "larger than memory"),
        (format!("{{{}}}", entry("[-1]", "[0,16]")), "invalid value"),
        (format!("{{{}}}", entry("[1,1,1,1,1,1,1,1,4]", "[0,16]")), "at most 8 dimensions"),
        (format!("{{{},{}}}", entry("[4]", "[0,16]"), entry("[4]", "[0,16]")), "comes twice"),
        (format!("{{{},{}}}", entry("[4]", "[0,16]"), entry("[2]", "[8,16]").replace('x', "y")), "overlaps"),
        (format!("{{{}}}", entry("[2]", "[8,16]")), "follows a hole"),
    ] {
        write(&tiny::file(&header, &[0; 16]));
        assert_says(&refused(folder.path()), "SF_FORMAT", &[word]);
    }
    write(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    assert_says(&refused(folder.path()), "SF_FORMAT", &["18446744073709551615"]);
}

#[test]
fn what_is_no_checkpoint_is_told_apart() {
    let empty = TempDir::new().unwrap();
    let at = |name: &str| empty.path().join(name);
    assert_says(&refused(empty.path()), "SF_MODEL", &["config.json", "transformers"]);
    fs::write(at("state_dict.bin"), "").unwrap();
    assert_says(&refused(empty.path()), "SF_MODEL", &["audiocraft"]);
    fs::write(at("config.json"), tiny::config().to_string()).unwrap();
    assert_says(&refused(empty.path()), "SF_MODEL", &["neither model.safetensors"]);
    fs::write(at("pytorch_model.bin"), "").unwrap();
    assert_says(&refused(empty.path()), "SF_MODEL", &["pickled", "safe_serialization"]);
    assert_says(&refused(&at("config.json")), "SF_INVALID_ARGUMENT", &["is a file", "folder"]);
    assert_says(&refused(Path::new("facebook/musicgen-small")), "SF_IO", &["snapshot_download", "hub"]);
    let nowhere = refused(&at("nothing"));
    assert_says(&nowhere, "SF_IO", &["nothing"]);
    assert!(!nowhere.to_string().contains("hub"), "{nowhere}");
    for (name, bytes) in [("config.json", &b"{"[..]), ("config.json", b"\xff\xfe{}"), ("config.json", b"[1]")] {
        fs::write(at(name), bytes).unwrap();
        assert_says(&refused(empty.path()), "SF_FORMAT", &["config.json"]);
    }
}

#[test]
fn a_damaged_tokenizer_is_refused() {
    let folder = folder();
    for bytes in [&b""[..], b"{}", b"{\"model\": {\"type\": \"Unigram\", \"vocab\": 3}}", b"\0\0\0"] {
        fs::write(folder.path().join("tokenizer.json"), bytes).unwrap();
        assert_says(&refused(folder.path()), "SF_FORMAT", &["tokenizer.json"]);
    }
}

#[test]
fn the_licence_is_shown() {
    let folder = folder();
    fs::write(folder.path().join("README.md"), "---\nlicense: cc-by-nc-4.0\n---\n# MusicGen\n").unwrap();
    assert_eq!(Checkpoint::open(folder.path()).unwrap().licence(), "CC-BY-NC-4.0");
}

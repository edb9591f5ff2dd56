//! Checkpoints of a few hundred numbers, for tests of the loaders: the tensors that carry sizes, and some more.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// A tensor to be written: name, type as safetensors calls it, shape, bytes.
#[derive(Clone)]
pub(crate) struct Raw {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Raw {
    pub fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { name: name.into(), dtype: "F32", shape: shape.into(), bytes }
    }
}

/// Hidden 64 in 4 heads, 2 layers, 4 codebooks of 16 codes; T5 of 1 layer, 32 wide; a codec of 8 dimensions, hop 10.
pub(crate) fn config() -> Value {
    json!({
        "model_type": "musicgen",
        "text_encoder": {"model_type": "t5", "vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1,
                         "num_heads": 2},
        "decoder": {"model_type": "musicgen_decoder", "vocab_size": 16, "hidden_size": 64, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "ffn_dim": 256},
        "audio_encoder": {"model_type": "encodec", "upsampling_ratios": [5, 2], "num_filters": 4, "hidden_size": 8,
                          "codebook_size": 16, "use_causal_conv": false},
    })
}

/// What [`config`] needs to be opened, filled with small numbers that differ.
pub(crate) fn tensors() -> Vec<Raw> {
    let mut list = Vec::new();
    let mut put = |name: String, shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let seed = list.len();
        let values: Vec<f32> = (0..count).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect();
        list.push(Raw::f32(&name, shape, &values));
    };
    for i in 0..4 {
        put(format!("decoder.model.decoder.embed_tokens.{i}.weight"), &[17, 64]);
        put(format!("decoder.lm_heads.{i}.weight"), &[16, 64]);
        put(format!("audio_encoder.quantizer.layers.{i}.codebook.embed"), &[16, 8]);
    }
    for i in 0..2 {
        put(format!("decoder.model.decoder.layers.{i}.self_attn.q_proj.weight"), &[64, 64]);
        put(format!("decoder.model.decoder.layers.{i}.fc1.weight"), &[256, 64]);
        put(format!("decoder.model.decoder.layers.{i}.fc2.weight"), &[64, 256]);
        put(format!("decoder.model.decoder.layers.{i}.final_layer_norm.weight"), &[64]);
    }
    put("text_encoder.shared.weight".into(), &[100, 32]);
    put("text_encoder.encoder.block.0.layer.0.SelfAttention.q.weight".into(), &[16, 32]);
    put("text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight".into(), &[32, 2]);
    put("audio_encoder.decoder.layers.0.conv.parametrizations.weight.original0".into(), &[16, 1, 1]);
    put("audio_encoder.decoder.layers.0.conv.parametrizations.weight.original1".into(), &[16, 8, 7]);
    put("audio_encoder.decoder.layers.0.conv.bias".into(), &[16]);
    put("enc_to_dec_proj.weight".into(), &[64, 32]);
    put("enc_to_dec_proj.bias".into(), &[64]);
    list
}

/// The bytes of a safetensors file.
pub(crate) fn safetensors(tensors: &[Raw]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut data = Vec::new();
    for Raw { name, dtype, shape, bytes } in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend(bytes);
    }
    file(&Value::Object(header).to_string(), &data)
}

/// The bytes of a safetensors file with this header and this data, whatever they say.
pub(crate) fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Writes the tiny checkpoint into `folder`.
pub(crate) fn write(folder: &Path) {
    fs::write(folder.join("config.json"), config().to_string()).unwrap();
    fs::write(folder.join("model.safetensors"), safetensors(&tensors())).unwrap();
}

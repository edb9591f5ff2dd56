//! `config.json` and `generation_config.json` into [`Config`].
//!
//! Source: the configuration classes of transformers 4.46 (`T5Config`, `EncodecConfig`, `MusicgenDecoderConfig`,
//! `MusicgenMelodyConfig`, `GenerationConfig`). Files on the Hub leave out what equals a default, so a key that is missing
//! or null takes the default of its class. A value that is there is checked: the bounds are wide for models and tight
//! for mischief, so that products of sizes stay far from overflow. Nothing is allocated by these sizes; whoever does,
//! first finds the tensors that have them.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::config::*;
use crate::error::{Error, Result};

/// No dimension of a model is larger.
const WIDE: RangeInclusive<usize> = 1..=1 << 16;

/// One object of a file, and how it is called in messages.
struct Section<'a> {
    name: String,
    map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// The value of `key`; null is as good as missing.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn wrong(&self, key: &str, came: &Value, expected: &str) -> Error {
        let came: String = came.to_string().chars().take(60).collect();
        Error::Format(format!("{}: {key} is {came}; expected {expected}", self.name))
    }

    fn section(&self, key: &str) -> Result<Section<'a>> {
        match self.get(key) {
            Some(Value::Object(map)) => Ok(Section { name: format!("{}, {key}", self.name), map }),
            Some(other) => Err(self.wrong(key, other, "an object")),
            None => Err(Error::Format(format!("{}: {key} is missing; expected the object of that model", self.name))),
        }
    }

    fn optional_count(&self, key: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        let count = count.filter(|n| range.contains(n));
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        count.map(Some).ok_or_else(|| self.wrong(key, value, &expected()))
    }

    fn count(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> Result<usize> {
        Ok(self.optional_count(key, range)?.unwrap_or(default))
    }

    fn number(&self, key: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        value.as_f64().filter(|x| range.contains(x)).ok_or_else(|| self.wrong(key, value, &expected()))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    fn word(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(word)) => Ok(Some(word)),
            Some(other) => Err(self.wrong(key, other, "a string")),
        }
    }

    /// A token that the embeddings have a row for; ids below `rows`.
    fn token(&self, key: &str, rows: usize) -> Result<Option<u32>> {
        Ok(self.optional_count(key, 0..=rows - 1)?.map(|id| id as u32))
    }

    fn unsupported(&self, key: &str, came: &str, expected: &str) -> Error {
        let came: String = came.chars().take(60).collect();
        Error::Unsupported(format!("{}: {key} {came:?} is not handled; expected {expected}", self.name))
    }
}

fn object(bytes: &[u8], name: &str) -> Result<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::Format(format!("{name} is not UTF-8: {e}")))?;
    // Some editors put a byte-order mark in front.
    serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|e| Error::Format(format!("{name} is not a JSON object: {e}")))
}

impl Config {
    /// From the bytes of `config.json` and, where there is one, of `generation_config.json`.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that is no JSON object or has a key of the wrong type or out of bounds,
    /// [`Error::Unsupported`] for another kind of model, [`Error::Model`] for sizes that do not fit each other.
    pub fn parse(config: &[u8], generation: Option<&[u8]>) -> Result<Self> {
        let map = object(config, "config.json")?;
        let root = Section { name: "config.json".into(), map: &map };
        let melody = match root.word("model_type")? {
            Some("musicgen") => false,
            Some("musicgen_melody") => true,
            Some(other) => {
                return Err(root.unsupported("model_type", other, "\"musicgen\" or \"musicgen_melody\""));
            }
            None => root.get("num_chroma").is_some(),
        };
        let text = text_config(&root.section("text_encoder")?)?;
        let section = root.section("decoder")?;
        let mut decoder = decoder_config(&section)?;
        let codec = codec_config(&root.section("audio_encoder")?, decoder.codebooks / decoder.audio_channels)?;
        if decoder.vocab_size > codec.codebook_size {
            return Err(Error::Model(format!(
                "config.json: the decoder has {} codes (decoder, vocab_size) but the codec only {} (audio_encoder, codebook_size)",
                decoder.vocab_size, codec.codebook_size
            )));
        }
        let melody = if melody {
            Some(MelodyConfig {
                chroma: root.count("num_chroma", 12, 1..=1 << 12)?,
                chroma_length: root.count("chroma_length", 235, 1..=1 << 14)?,
            })
        } else {
            None
        };
        let map = generation.map(|bytes| object(bytes, "generation_config.json")).transpose()?;
        let suggested = map.as_ref().map(|map| Section { name: "generation_config.json".into(), map });
        let rows = decoder.vocab_size + 1;
        decoder.start_token_id = match start_token(suggested.as_ref(), &root, &section, rows)? {
            Some(id) => id,
            None => decoder.vocab_size as u32,
        };
        Ok(Self { text, decoder, codec, melody, generation: generation_defaults(suggested.as_ref())? })
    }
}

/// Where transformers looks: what the generation config names, then (without one) the model's own, then the default of
/// `MusicgenDecoderConfig`, which is the row after the last code.
fn start_token(suggested: Option<&Section>, root: &Section, decoder: &Section, rows: usize) -> Result<Option<u32>> {
    for section in [suggested, Some(root), Some(decoder)].into_iter().flatten() {
        for key in ["decoder_start_token_id", "bos_token_id", "pad_token_id"] {
            if let Some(id) = section.token(key, rows)? {
                return Ok(Some(id));
            }
        }
    }
    Ok(None)
}

/// `T5Config`.
fn text_config(s: &Section) -> Result<TextConfig> {
    if let Some(other) = s.word("model_type")?.filter(|m| *m != "t5") {
        return Err(s.unsupported("model_type", other, "\"t5\""));
    }
    let projection = s.word("feed_forward_proj")?.unwrap_or("relu");
    // "gelu", "gated-gelu", "gated-silu": T5 1.1 says gelu and means its tanh approximation.
    let (gated, name) = match projection.split_once('-') {
        None => (false, projection),
        Some(("gated", "gelu")) => (true, "gelu_new"),
        Some(("gated", name)) => (true, name),
        Some(_) => return Err(s.unsupported("feed_forward_proj", projection, "relu, gated-gelu or the like")),
    };
    // Saved beside it by transformers, and then in force.
    let name = s.word("dense_act_fn")?.unwrap_or(name);
    let gated = s.flag("is_gated_act", gated)?;
    let vocab_size = s.count("vocab_size", 32128, 2..=1 << 22)?;
    let buckets = s.count("relative_attention_num_buckets", 32, 4..=1 << 12)?;
    let distance = s.count("relative_attention_max_distance", 128, 1..=1 << 16)?;
    if distance <= buckets / 4 {
        return Err(Error::Model(format!(
            "{}: relative_attention_max_distance is {distance}; expected more than {}, the distances that have a bucket each",
            s.name,
            buckets / 4
        )));
    }
    Ok(TextConfig {
        vocab_size,
        d_model: s.count("d_model", 512, WIDE)?,
        d_kv: s.count("d_kv", 64, 1..=1 << 12)?,
        d_ff: s.count("d_ff", 2048, 1..=1 << 18)?,
        layers: s.count("num_layers", 6, 1..=1 << 10)?,
        heads: s.count("num_heads", 8, 1..=1 << 10)?,
        relative_attention_buckets: buckets,
        relative_attention_max_distance: distance,
        layer_norm_epsilon: s.number("layer_norm_epsilon", 1e-6, 0.0..=1.0)? as f32,
        activation: activation(s, "feed_forward_proj", name)?,
        gated,
        pad_token_id: s.token("pad_token_id", vocab_size)?.unwrap_or(0),
        eos_token_id: s.token("eos_token_id", vocab_size)?.unwrap_or(1),
    })
}

/// `MusicgenDecoderConfig`; the start token is filled in later.
fn decoder_config(s: &Section) -> Result<DecoderConfig> {
    if s.get("cross_attention_hidden_size").is_some() {
        return Err(s.unsupported("cross_attention_hidden_size", "set", "null"));
    }
    let hidden_size = s.count("hidden_size", 1024, WIDE)?;
    let heads = s.count("num_attention_heads", 16, 1..=1 << 10)?;
    let codebooks = s.count("num_codebooks", 4, 1..=64)?;
    let audio_channels = s.count("audio_channels", 1, 1..=2)?;
    for (key, value, by, divisor) in [
        ("hidden_size", hidden_size, "num_attention_heads", heads),
        ("num_codebooks", codebooks, "audio_channels", audio_channels),
    ] {
        if value % divisor != 0 {
            return Err(Error::Model(format!("{}: {key} is {value}; expected a multiple of {by}, {divisor}", s.name)));
        }
    }
    Ok(DecoderConfig {
        vocab_size: s.count("vocab_size", 2048, WIDE)?,
        hidden_size,
        layers: s.count("num_hidden_layers", 24, 1..=1 << 10)?,
        heads,
        ffn_dim: s.count("ffn_dim", 4096, 1..=1 << 18)?,
        activation: activation(s, "activation_function", s.word("activation_function")?.unwrap_or("gelu"))?,
        max_positions: s.count("max_position_embeddings", 2048, 1..=1 << 20)?,
        codebooks,
        audio_channels,
        scale_embedding: s.flag("scale_embedding", false)?,
        start_token_id: 0,
    })
}

/// `EncodecConfig`.
fn codec_config(s: &Section, codebooks: usize) -> Result<CodecConfig> {
    if let Some(other) = s.word("model_type")?.filter(|m| *m != "encodec") {
        return Err(s.unsupported("model_type", other, "\"encodec\""));
    }
    let misfit = |what: String| Err(Error::Model(format!("{}: {what}", s.name)));
    let ratios = match s.get("upsampling_ratios") {
        None => vec![8, 5, 4, 2],
        Some(value) => {
            let list = value.as_array().filter(|list| (1..=10).contains(&list.len()));
            let each = |v: &Value| v.as_u64().filter(|r| (1..=1024).contains(r)).map(|r| r as usize);
            let ratios: Option<Vec<usize>> = list.and_then(|list| list.iter().map(each).collect());
            ratios.ok_or_else(|| s.wrong("upsampling_ratios", value, "1 to 10 whole numbers from 1 to 1024"))?
        }
    };
    let hop = ratios.iter().try_fold(1usize, |hop, r| hop.checked_mul(*r)).unwrap_or(usize::MAX);
    if hop > 1 << 16 {
        return misfit(format!("upsampling_ratios multiply to {hop}; expected at most 65536 samples per frame"));
    }
    let hidden_size = s.count("hidden_size", 128, WIDE)?;
    let codebook_dim = s.count("codebook_dim", hidden_size, WIDE)?;
    if codebook_dim != hidden_size {
        return misfit(format!("codebook_dim is {codebook_dim}; expected hidden_size, {hidden_size}"));
    }
    let filters = s.count("num_filters", 32, 1..=1 << 12)?;
    let compress = s.count("compress", 2, 1..=1 << 12)?;
    if filters << ratios.len() > 1 << 16 {
        return misfit(format!("num_filters {filters}, doubled {} times, is more than 65536", ratios.len()));
    }
    if compress > filters {
        return misfit(format!("compress is {compress}; expected at most num_filters, {filters}"));
    }
    let residual_layers = s.count("num_residual_layers", 1, 0..=16)?;
    let dilation_growth_rate = s.count("dilation_growth_rate", 2, 1..=64)?;
    let widest = dilation_growth_rate.checked_pow(residual_layers.saturating_sub(1) as u32);
    if widest.is_none_or(|d| d > 1 << 12) {
        return misfit(format!(
            "{dilation_growth_rate} to the power of {residual_layers} layers is too wide a dilation"
        ));
    }
    let causal = s.flag("use_causal_conv", true)?;
    let trim_right_ratio = s.number("trim_right_ratio", 1.0, 0.0..=1.0)?;
    if !causal && trim_right_ratio != 1.0 {
        return misfit(format!("trim_right_ratio is {trim_right_ratio}; expected 1 where use_causal_conv is false"));
    }
    let audio_channels = s.count("audio_channels", 1, 1..=2)?;
    if audio_channels != 1 {
        return Err(s.unsupported("audio_channels", "2", "1: a stereo model codes its channels one by one"));
    }
    let chunk_length_s = match s.get("chunk_length_s") {
        Some(_) => Some(s.number("chunk_length_s", 1.0, 1e-3..=1e6)?),
        None => None,
    };
    Ok(CodecConfig {
        sample_rate: s.count("sampling_rate", 24_000, 8000..=384_000)? as u32,
        audio_channels,
        normalize: s.flag("normalize", false)?,
        chunk_length_s,
        hidden_size,
        filters,
        residual_layers,
        ratios,
        norm: match s.word("norm_type")?.unwrap_or("weight_norm") {
            "weight_norm" => CodecNorm::Weight,
            "time_group_norm" => CodecNorm::TimeGroup,
            other => return Err(s.unsupported("norm_type", other, "weight_norm or time_group_norm")),
        },
        kernel_size: s.count("kernel_size", 7, 1..=1 << 10)?,
        last_kernel_size: s.count("last_kernel_size", 7, 1..=1 << 10)?,
        residual_kernel_size: s.count("residual_kernel_size", 3, 1..=1 << 10)?,
        dilation_growth_rate,
        causal,
        pad_mode: match s.word("pad_mode")?.unwrap_or("reflect") {
            "reflect" => PadMode::Reflect,
            "replicate" => PadMode::Replicate,
            "constant" => PadMode::Constant,
            other => return Err(s.unsupported("pad_mode", other, "reflect, replicate or constant")),
        },
        compress,
        lstm_layers: s.count("num_lstm_layers", 2, 1..=16)?,
        trim_right_ratio,
        codebook_size: s.count("codebook_size", 1024, WIDE)?,
        codebook_dim,
        conv_shortcut: s.flag("use_conv_shortcut", true)?,
        codebooks,
    })
}

/// The names of transformers' `ACT2FN`.
fn activation(s: &Section, key: &str, name: &str) -> Result<Activation> {
    Ok(match name {
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        other => return Err(s.unsupported(key, other, "gelu, gelu_new, relu or silu")),
    })
}

/// `GenerationConfig`. A checkpoint without that file gets what every published MusicGen suggests: sampling, guided by 3.
fn generation_defaults(s: Option<&Section>) -> Result<GenerationDefaults> {
    let Some(s) = s else {
        return Ok(GenerationDefaults {
            do_sample: true,
            guidance_scale: 3.0,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            max_length: None,
        });
    };
    Ok(GenerationDefaults {
        do_sample: s.flag("do_sample", false)?,
        guidance_scale: s.number("guidance_scale", 1.0, 0.0..=1e4)? as f32,
        temperature: s.number("temperature", 1.0, 1e-6..=1e6)? as f32,
        top_k: s.count("top_k", 50, 0..=1 << 30)?,
        top_p: s.number("top_p", 1.0, 0.0..=1.0)? as f32,
        max_length: s.optional_count("max_length", 1..=1 << 30)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generate::musicgen::tiny;

    fn parse(config: &Value) -> Result<Config> {
        Config::parse(config.to_string().as_bytes(), None)
    }

    /// The files on the Hub leave out every default: an almost empty one is musicgen-small with T5's and EnCodec's own
    /// defaults beside it.
    #[test]
    fn defaults_of_the_classes() {
        let bare = json!({"model_type": "musicgen", "text_encoder": {}, "decoder": {}, "audio_encoder": {"codebook_size": 2048}});
        let Config { text, decoder, codec, melody, generation } = parse(&bare).unwrap();
        assert_eq!((text.vocab_size, text.d_model, text.d_kv, text.d_ff), (32128, 512, 64, 2048));
        assert_eq!((text.layers, text.heads, text.relative_attention_buckets), (6, 8, 32));
        assert_eq!((text.relative_attention_max_distance, text.layer_norm_epsilon), (128, 1e-6));
        assert_eq!(
            (text.activation, text.gated, text.pad_token_id, text.eos_token_id),
            (Activation::Relu, false, 0, 1)
        );
        assert_eq!((decoder.vocab_size, decoder.hidden_size, decoder.layers, decoder.heads), (2048, 1024, 24, 16));
        assert_eq!((decoder.ffn_dim, decoder.activation, decoder.max_positions), (4096, Activation::Gelu, 2048));
        assert_eq!((decoder.codebooks, decoder.audio_channels, decoder.start_token_id), (4, 1, 2048));
        assert!(!decoder.scale_embedding && melody.is_none());
        assert_eq!((codec.sample_rate, &codec.ratios[..], codec.filters), (24_000, &[8, 5, 4, 2][..], 32));
        assert_eq!((codec.kernel_size, codec.last_kernel_size, codec.residual_kernel_size), (7, 7, 3));
        assert_eq!((codec.residual_layers, codec.dilation_growth_rate, codec.compress), (1, 2, 2));
        assert_eq!((codec.lstm_layers, codec.hidden_size, codec.codebook_dim, codec.codebooks), (2, 128, 128, 4));
        assert_eq!((codec.norm, codec.pad_mode, codec.trim_right_ratio), (CodecNorm::Weight, PadMode::Reflect, 1.0));
        assert!(codec.causal && codec.conv_shortcut && !codec.normalize && codec.chunk_length_s.is_none());
        assert_eq!((generation.do_sample, generation.guidance_scale, generation.top_k), (true, 3.0, 50));
        // Null is as good as missing.
        let mut null = bare.clone();
        null["audio_encoder"]["codebook_dim"] = Value::Null;
        null["decoder"]["num_codebooks"] = Value::Null;
        assert_eq!(parse(&null).unwrap(), parse(&bare).unwrap());
    }

    #[test]
    fn stereo_and_melody() {
        let mut config = tiny::config();
        config["model_type"] = json!("musicgen_melody");
        config["decoder"]["num_codebooks"] = json!(8);
        config["decoder"]["audio_channels"] = json!(2);
        let read = parse(&config).unwrap();
        assert_eq!((read.decoder.codebooks, read.codec.codebooks), (8, 4));
        assert_eq!(read.melody, Some(MelodyConfig { chroma: 12, chroma_length: 235 }));
        config["num_chroma"] = json!(24);
        config["chroma_length"] = json!(100);
        assert_eq!(parse(&config).unwrap().melody, Some(MelodyConfig { chroma: 24, chroma_length: 100 }));
        config["decoder"]["num_codebooks"] = json!(7);
        assert!(matches!(parse(&config), Err(Error::Model(what)) if what.contains("num_codebooks is 7")));
    }

    #[test]
    fn feed_forwards_of_t5() {
        for (projection, gated, expected) in [
            ("relu", false, Activation::Relu),
            ("gelu", false, Activation::Gelu),
            ("gated-gelu", true, Activation::GeluTanh),
            ("gated-silu", true, Activation::Silu),
        ] {
            let mut config = tiny::config();
            config["text_encoder"]["feed_forward_proj"] = json!(projection);
            let text = parse(&config).unwrap().text;
            assert_eq!((text.gated, text.activation), (gated, expected), "{projection}");
        }
        let mut config = tiny::config();
        config["text_encoder"]["feed_forward_proj"] = json!("relu-gated-x");
        assert!(matches!(parse(&config), Err(Error::Unsupported(what)) if what.contains("relu-gated-x")));
        config["text_encoder"] = json!({"dense_act_fn": "gelu", "is_gated_act": true});
        let text = parse(&config).unwrap().text;
        assert_eq!((text.gated, text.activation), (true, Activation::Gelu));
    }

    #[test]
    fn the_start_token() {
        let mut config = tiny::config();
        let start = |config: &Value, generation: Option<Value>| {
            let generation = generation.map(|g| g.to_string());
            let read = Config::parse(config.to_string().as_bytes(), generation.as_ref().map(|g| g.as_bytes()));
            read.map(|config| config.decoder.start_token_id)
        };
        assert_eq!(start(&config, None).unwrap(), 16);
        config["decoder"]["bos_token_id"] = json!(5);
        assert_eq!(start(&config, None).unwrap(), 5);
        config["decoder"]["decoder_start_token_id"] = json!(6);
        assert_eq!(start(&config, None).unwrap(), 6);
        assert_eq!(start(&config, Some(json!({"do_sample": true}))).unwrap(), 6);
        assert_eq!(start(&config, Some(json!({"bos_token_id": 7, "pad_token_id": 8}))).unwrap(), 7);
        assert_eq!(start(&config, Some(json!({"bos_token_id": 7, "decoder_start_token_id": 9}))).unwrap(), 9);
        // The embeddings have a row more than there are codes, and no second one.
        let error = start(&config, Some(json!({"decoder_start_token_id": 17}))).unwrap_err();
        assert!(error.to_string().contains("decoder_start_token_id is 17"), "{error}");
    }

    #[test]
    fn what_the_authors_suggest() {
        let file = br#"{"do_sample": true, "guidance_scale": 3, "max_length": 1500, "top_k": 250, "temperature": 0.9}"#;
        let generation = Config::parse(tiny::config().to_string().as_bytes(), Some(file)).unwrap().generation;
        let expected = GenerationDefaults {
            do_sample: true,
            guidance_scale: 3.0,
            temperature: 0.9,
            top_k: 250,
            top_p: 1.0,
            max_length: Some(1500),
        };
        assert_eq!(generation, expected);
        let empty = Config::parse(tiny::config().to_string().as_bytes(), Some(b"{}")).unwrap().generation;
        assert_eq!((empty.do_sample, empty.guidance_scale, empty.max_length), (false, 1.0, None));
    }

    #[test]
    fn absurd_values_are_named() {
        for (section, key, value) in [
            ("decoder", "hidden_size", json!(0)),
            ("decoder", "hidden_size", json!(-64)),
            ("decoder", "hidden_size", json!(64.5)),
            ("decoder", "hidden_size", json!("64")),
            ("decoder", "hidden_size", json!(1u64 << 40)),
            ("decoder", "num_attention_heads", json!(0)),
            ("decoder", "num_codebooks", json!(0)),
            ("decoder", "audio_channels", json!(3)),
            ("decoder", "num_hidden_layers", json!(u64::MAX)),
            ("decoder", "scale_embedding", json!(1)),
            ("decoder", "activation_function", json!("mish")),
            ("decoder", "vocab_size", json!(17)),
            ("text_encoder", "num_heads", json!([])),
            ("text_encoder", "relative_attention_num_buckets", json!(1)),
            ("text_encoder", "relative_attention_max_distance", json!(8)),
            ("text_encoder", "layer_norm_epsilon", json!(-1.0)),
            ("text_encoder", "model_type", json!("umt5")),
            ("text_encoder", "eos_token_id", json!(100)),
            ("audio_encoder", "upsampling_ratios", json!([])),
            ("audio_encoder", "upsampling_ratios", json!([5, 0])),
            ("audio_encoder", "upsampling_ratios", json!([1024, 1024])),
            ("audio_encoder", "upsampling_ratios", json!(10)),
            ("audio_encoder", "sampling_rate", json!(0)),
            ("audio_encoder", "kernel_size", json!(0)),
            ("audio_encoder", "compress", json!(5)),
            ("audio_encoder", "codebook_dim", json!(9)),
            ("audio_encoder", "num_filters", json!(1 << 12)),
            ("audio_encoder", "num_filters", json!(1 << 13)),
            ("audio_encoder", "dilation_growth_rate", json!(0)),
            ("audio_encoder", "trim_right_ratio", json!(0.5)),
            ("audio_encoder", "chunk_length_s", json!(0)),
            ("audio_encoder", "norm_type", json!("batch_norm")),
            ("audio_encoder", "pad_mode", json!("circular")),
            ("audio_encoder", "audio_channels", json!(2)),
            ("audio_encoder", "model_type", json!("dac")),
        ] {
            let mut config = tiny::config();
            config[section][key] = value.clone();
            if (section, key, &value) == ("audio_encoder", "num_filters", &json!(1 << 12)) {
                config[section]["upsampling_ratios"] = json!([2, 2, 2, 2, 2]);
            }
            let error = parse(&config).expect_err(&format!("{section} {key} {value}"));
            assert!(error.to_string().contains(key), "{section} {key} {value}: {error}");
        }
        for (key, value) in
            [("temperature", json!(0)), ("top_p", json!(1.5)), ("top_k", json!(-1)), ("max_length", json!(0))]
        {
            let file = json!({ key: value }).to_string();
            let error = Config::parse(tiny::config().to_string().as_bytes(), Some(file.as_bytes())).unwrap_err();
            assert!(matches!(&error, Error::Format(what) if what.contains(key)), "{error}");
        }
    }

    #[test]
    fn other_models_are_told_apart() {
        let mut config = tiny::config();
        config["model_type"] = json!("llama");
        assert!(matches!(parse(&config), Err(Error::Unsupported(what)) if what.contains("\"llama\"")));
        for key in ["text_encoder", "decoder", "audio_encoder"] {
            let mut config = tiny::config();
            config.as_object_mut().unwrap().remove(key);
            assert!(matches!(parse(&config), Err(Error::Format(what)) if what.contains(key)));
        }
        // Deeper than any configuration: an error, and no overflow of the stack.
        let deep = "[".repeat(100_000);
        assert!(matches!(Config::parse(deep.as_bytes(), None), Err(Error::Format(_))));
    }
}

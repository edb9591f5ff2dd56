//! Where the tensors of a model come from: a folder as transformers saves it, or one GGUF file.
//!
//! Names are those of transformers' state dict, whatever the file. Where several spellings mean the same tensor, any of
//! them finds it: the tied embedding of T5 (`shared` or `encoder.embed_tokens`), the two halves of a weight norm
//! (`weight_g`, `weight_v`, or `parametrizations.weight.original0`, `…1`, as newer torch writes).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks;
use super::config::Config;
use super::gguf::{self, keys};
use super::precision::Precision;
use super::storage::{Bytes, Dtype, Entry, not_finite, to_f32};
use super::tokenizer::TextTokenizer;
use super::{folder, licence};
use crate::error::{Error, Result};

/// A checkpoint, open. Cheap to clone; the files stay mapped as long as a clone lives.
#[derive(Clone)]
pub(crate) struct Checkpoint(Arc<Inner>);

struct Inner {
    config: Config,
    licence: String,
    tokenizer: Option<TextTokenizer>,
    files: Vec<(PathBuf, Bytes)>,
    /// By canonical name.
    tensors: HashMap<String, Entry>,
}

/// The numbers of a matrix: as f32, or as blocks that lie in the file.
#[derive(Debug, PartialEq)]
pub(crate) enum Blocks<'a> {
    /// From any float type.
    F32(Vec<f32>),
    /// `block_q8_0`, row by row.
    Q8_0(&'a [u8]),
    /// `block_q4_K`, row by row.
    Q4K(&'a [u8]),
    /// `block_q6_K`, row by row.
    Q6K(&'a [u8]),
}

impl Checkpoint {
    /// Opens a folder or a GGUF file, reads what describes the model, and checks that the tensors that carry its sizes
    /// are there.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses or nothing is there, [`Error::Format`] for damaged files,
    /// [`Error::Unsupported`] for other models, [`Error::Model`] for a folder that is no checkpoint or lacks tensors.
    pub fn open(path: &Path) -> Result<Self> {
        let about = std::fs::metadata(path).map_err(|e| cannot_open(path, e))?;
        if about.is_dir() {
            return Self::open_folder(path);
        }
        let bytes = folder::map(path)?;
        if !bytes.starts_with(gguf::MAGIC) && path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("gguf")) {
            return Err(not_gguf(path));
        }
        Self::of_gguf(bytes, path)
    }

    /// From the bytes of a GGUF file; `path` is for messages.
    pub fn of_gguf(bytes: Bytes, path: &Path) -> Result<Self> {
        let gguf = gguf::read(&bytes, &path.display().to_string())?;
        let word = |key: &str| gguf.words.get(key).copied();
        let version = gguf.numbers.get(keys::FORMAT_VERSION).copied();
        if word(keys::ARCHITECTURE) != Some(keys::MUSICGEN) || version != Some(keys::THIS_VERSION) {
            return Err(Error::Unsupported(format!(
                "{}: {} is {:?} and {} is {version:?}; expected {:?} and {}, as SonicForge's quantize writes them",
                path.display(),
                keys::ARCHITECTURE,
                word(keys::ARCHITECTURE).unwrap_or_default(),
                keys::FORMAT_VERSION,
                keys::MUSICGEN,
                keys::THIS_VERSION
            )));
        }
        let json = word(keys::CONFIG)
            .ok_or_else(|| Error::Format(format!("{}: {} is missing", path.display(), keys::CONFIG)))?;
        let generation = word(keys::GENERATION_CONFIG).map(str::as_bytes);
        let config = Config::parse(json.as_bytes(), generation).map_err(|e| within(path, e))?;
        let tokenizer = word(keys::TOKENIZER).map(|json| TextTokenizer::parse(json.as_bytes(), config.text.vocab_size));
        let tokenizer = tokenizer.transpose().map_err(|e| within(path, e))?;
        let licence = licence::tidy(word(keys::LICENCE).unwrap_or_default()).unwrap_or_else(|| licence::UNKNOWN.into());
        let entries = gguf.entries;
        Self::assemble(config, licence, tokenizer, vec![(path.to_owned(), bytes)], entries)
    }

    fn open_folder(path: &Path) -> Result<Self> {
        let json = folder::text(path, "config.json")?.ok_or_else(|| folder::not_a_checkpoint(path))?;
        let generation = folder::text(path, "generation_config.json")?;
        let config = Config::parse(&json, generation.as_deref()).map_err(|e| within(path, e))?;
        let tokenizer = folder::text(path, "tokenizer.json")?;
        let tokenizer = tokenizer.map(|bytes| TextTokenizer::parse(&bytes, config.text.vocab_size)).transpose();
        let tokenizer = tokenizer.map_err(|e| within(path, e))?;
        // These are read for one word only: what cannot be read says nothing.
        let words = |name: &str| Some(String::from_utf8_lossy(&folder::text(path, name).ok()??).into_owned());
        let file = ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"].into_iter().find_map(words);
        let licence = licence::licence(words("README.md").as_deref(), file.as_deref(), &json);
        let folder::Weights { files, entries } = folder::weights(path)?;
        Self::assemble(config, licence, tokenizer, files, entries)
    }

    fn assemble(
        config: Config,
        licence: String,
        tokenizer: Option<TextTokenizer>,
        files: Vec<(PathBuf, Bytes)>,
        entries: Vec<(String, Entry)>,
    ) -> Result<Self> {
        let mut tensors: HashMap<String, Entry> = HashMap::with_capacity(entries.len());
        for (name, entry) in entries {
            // An embedding that is saved under both its names is the one called shared, which transformers ties last.
            if let Some(other) = tensors.get(&canonical(&name)) {
                if other.name == entry.name {
                    let file = files[entry.file].0.display();
                    return Err(Error::Format(format!("{file}: the tensor {name:?} comes twice")));
                }
                if other.name == canonical(&name) {
                    continue;
                }
            }
            tensors.insert(canonical(&name), entry);
        }
        let checkpoint = Self(Arc::new(Inner { config, licence, tokenizer, files, tensors }));
        checkpoint.verify()?;
        Ok(checkpoint)
    }

    /// The model that is part of the program.
    ///
    /// # Errors
    /// As [`Self::of_gguf`]: never, for what is shipped.
    #[cfg(feature = "default-model")]
    pub fn built_in() -> Result<Self> {
        Self::of_gguf(Bytes::Owned(sonicforge_default_model::gguf()), Path::new("the default model"))
    }

    /// Whether the weights come from a GGUF file.
    pub fn is_gguf(&self) -> bool {
        self.0.files.iter().all(|(_, bytes)| bytes.starts_with(gguf::MAGIC))
    }

    /// What the checkpoint says about itself.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The licence of the weights, "unknown" where nothing says it.
    pub fn licence(&self) -> &str {
        &self.0.licence
    }

    /// The tokenizer of the text encoder, where the checkpoint brings one.
    pub fn tokenizer(&self) -> Option<&TextTokenizer> {
        self.0.tokenizer.as_ref()
    }

    /// Whether there is such a tensor, under any of its names.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The shape of a tensor, outermost dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|entry| entry.shape.as_slice())
    }

    /// The numbers of a tensor of exactly this shape.
    ///
    /// # Errors
    /// [`Error::Model`], naming the tensor, when it is missing, has another shape, is no float, or holds a NaN or an
    /// infinity.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let entry = self.expect(name, shape)?;
        let refuse =
            |what: String| Error::Model(format!("{}: the tensor {:?} {what}", self.file_of(entry), entry.name));
        let values = to_f32(self.bytes(entry), &entry.dtype)
            .ok_or_else(|| refuse(format!("is of type {}; expected f32, f16, bf16 or f64", entry.dtype)))?;
        self.0.files[entry.file].1.release(entry.place.clone());
        match not_finite(&values) {
            None => Ok(values),
            Some(at) => Err(refuse(format!("holds {} at index {at}; the weights are damaged", values[at]))),
        }
    }

    /// The blocks of a quantized tensor of exactly this shape, or its numbers where it is dense.
    ///
    /// # Errors
    /// As [`Self::f32`].
    pub fn blocks(&self, name: &str, shape: &[usize]) -> Result<Blocks<'_>> {
        let entry = self.expect(name, shape)?;
        let Dtype::Weights(precision) = entry.dtype else { return self.f32(name, shape).map(Blocks::F32) };
        let bytes = self.bytes(entry);
        let blocks = match precision {
            Precision::Q8_0 => Blocks::Q8_0(bytes),
            Precision::Q4K => Blocks::Q4K(bytes),
            Precision::Q6K => Blocks::Q6K(bytes),
            Precision::F32 | Precision::F16 | Precision::Bf16 => return self.f32(name, shape).map(Blocks::F32),
        };
        match blocks::not_finite(precision, bytes) {
            None => Ok(blocks),
            Some(at) => Err(Error::Model(format!(
                "{}: the tensor {:?} has a scale that is no number in the block at index {at}; the weights are damaged",
                self.file_of(entry),
                entry.name
            ))),
        }
    }

    /// Gives back the memory of the files, whose weights were copied; what is read again comes from the files.
    pub fn release(&self) {
        self.0.files.iter().for_each(|(_, bytes)| bytes.release(0..bytes.len()));
    }

    /// Every tensor under its canonical name, in the order of names.
    pub fn entries(&self) -> Vec<(&str, &Entry)> {
        let mut entries: Vec<_> = self.0.tensors.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
        entries.sort_by_key(|(name, _)| *name);
        entries
    }

    /// The bytes of a tensor, as the file has them.
    pub fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.0.files[entry.file].1[entry.place.clone()]
    }

    /// Bytes of the files with the weights.
    pub fn size(&self) -> u64 {
        self.0.files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.0.tensors.get(&canonical(name))
    }

    /// For messages.
    pub fn file_of(&self, entry: &Entry) -> std::path::Display<'_> {
        self.0.files[entry.file].0.display()
    }

    fn expect(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let entry = self.find(name).ok_or_else(|| {
            let (file, decoder) = (self.0.files.first(), &self.0.config.decoder);
            let more = if self.0.files.len() > 1 { " and the other shards" } else { "" };
            Error::Model(format!(
                "{}{more}: the tensor {name:?} of shape {shape:?} is missing; expected a MusicGen of {} layers of {} as \
                 its config.json says",
                file.map_or(Path::new("").display(), |(path, _)| path.display()),
                decoder.layers,
                decoder.hidden_size
            ))
        })?;
        // A filter may lie in one row; see `quantize`.
        let flat = matches!(*shape, [outputs, inputs, kernel]
            if entry.dtype == Dtype::Weights(Precision::Q8_0) && entry.shape == [outputs, inputs.saturating_mul(kernel)]);
        if entry.shape == shape || flat {
            return Ok(entry);
        }
        Err(Error::Model(format!(
            "{}: the tensor {:?} has the shape {:?}; expected {shape:?}, as config.json says",
            self.file_of(entry),
            entry.name,
            entry.shape
        )))
    }

    /// Sizes that config.json states are those of tensors that are there: whoever allocates by them later allocates no
    /// more than a few times what the file holds.
    fn verify(&self) -> Result<()> {
        let Config { text, decoder: d, codec, melody, .. } = &self.0.config;
        let hidden = d.hidden_size;
        for i in 0..d.codebooks {
            self.expect(&format!("decoder.model.decoder.embed_tokens.{i}.weight"), &[d.vocab_size + 1, hidden])?;
            self.expect(&format!("decoder.lm_heads.{i}.weight"), &[d.vocab_size, hidden])?;
        }
        for i in 0..d.layers {
            self.expect(&format!("decoder.model.decoder.layers.{i}.self_attn.q_proj.weight"), &[hidden, hidden])?;
            self.expect(&format!("decoder.model.decoder.layers.{i}.fc1.weight"), &[d.ffn_dim, hidden])?;
        }
        self.expect("text_encoder.shared.weight", &[text.vocab_size, text.d_model])?;
        for i in 0..text.layers {
            let name = format!("text_encoder.encoder.block.{i}.layer.0.SelfAttention.q.weight");
            self.expect(&name, &[text.heads * text.d_kv, text.d_model])?;
        }
        // A file may hold more codebooks than the decoder speaks: `num_quantizers` has been counted in two ways.
        for i in 0..codec.codebooks {
            let name = format!("audio_encoder.quantizer.layers.{i}.codebook.embed");
            self.expect(&name, &[codec.codebook_size, codec.codebook_dim])?;
        }
        if let Some(melody) = melody.as_ref().filter(|melody| melody.chroma != hidden) {
            self.expect("audio_enc_to_dec_proj.weight", &[hidden, melody.chroma])?;
        }
        Ok(())
    }
}

/// The spelling under which a tensor is filed.
fn canonical(name: &str) -> String {
    // GGUF readers of ggml refuse names of 64 bytes and more; see `gguf_name`.
    let name = name.strip_prefix("t5.").map_or(name.to_owned(), |rest| format!("text_encoder.encoder.{rest}"));
    if name == "text_encoder.encoder.embed_tokens.weight" {
        return "text_encoder.shared.weight".into();
    }
    for (new, old) in
        [("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v")]
    {
        if let Some(front) = name.strip_suffix(new) {
            return format!("{front}{old}");
        }
    }
    name
}

/// How a GGUF file of ours spells a canonical name: short enough for ggml, which holds names in 64 bytes.
pub(crate) fn gguf_name(name: &str) -> String {
    let name = canonical(name);
    name.strip_prefix("text_encoder.encoder.").map_or(name.clone(), |rest| format!("t5.{rest}"))
}

/// The same error, told from which folder.
fn within(folder: &Path, error: Error) -> Error {
    let told = |what: String| format!("{}: {what}", folder.display());
    match error {
        Error::Format(what) => Error::Format(told(what)),
        Error::Model(what) => Error::Model(told(what)),
        Error::Unsupported(what) => Error::Unsupported(told(what)),
        other => other,
    }
}

fn cannot_open(path: &Path, error: std::io::Error) -> Error {
    let name = path.to_string_lossy();
    let looks_like_an_id = name.split('/').count() == 2 && !name.starts_with(['/', '.', '~']) && !name.contains('\\');
    if error.kind() != std::io::ErrorKind::NotFound || !looks_like_an_id {
        return Error::io("cannot open the checkpoint", path, error);
    }
    let hint = format!(
        "it is not there. If this is an id of the Hugging Face hub: download it first (hf download {name} --local-dir \
         FOLDER, or snapshot_download in Python) and pass the folder, or resolve it through the feature `hub`"
    );
    Error::io("cannot open the checkpoint", path, std::io::Error::new(error.kind(), hint))
}

fn not_gguf(path: &Path) -> Error {
    Error::InvalidArgument(format!(
        "{} is a file; expected the folder that holds config.json and model.safetensors, or a .gguf file of SonicForge",
        path.display()
    ))
}

//! A checkpoint in a folder, as transformers saves it: `config.json`, `generation_config.json`, `tokenizer.json`, and the
//! weights in `model.safetensors` or in shards that `model.safetensors.index.json` lists.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::safetensors;
use super::storage::{Bytes, Entry};
use crate::error::{Error, Result};

/// No text beside the weights is longer: the largest, a tokenizer of 250 000 words, has 17 MB.
const LONGEST_TEXT: u64 = 1 << 26;

/// Lists the shards.
const INDEX: &str = "model.safetensors.index.json";

/// The shards of one checkpoint.
const MOST_SHARDS: usize = 1000;

/// A file mapped into memory.
pub(crate) fn map(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(|e| Error::io("cannot open", path, e))?;
    let about = file.metadata().map_err(|e| Error::io("cannot open", path, e))?;
    if !about.is_file() {
        return Err(Error::Format(format!("{} is not a file", path.display())));
    }
    if about.len() == 0 {
        return Ok(Bytes::Owned(Vec::new()));
    }
    // SAFETY: the map is only read. Should another process shorten the file meanwhile, the system ends this one; that
    // risk is documented where a model is loaded, and is the price of not holding gigabytes twice.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io("cannot map", path, e))?;
    Ok(Bytes::Mapped(map))
}

/// A text file of the folder, or `None` where it does not exist.
pub(crate) fn text(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("cannot open", path, e)),
    };
    let about = file.metadata().map_err(|e| Error::io("cannot open", &path, e))?;
    if !about.is_file() || about.len() > LONGEST_TEXT {
        return Err(Error::Format(format!(
            "{} has {} bytes; expected a file of at most {LONGEST_TEXT}",
            path.display(),
            about.len()
        )));
    }
    let mut bytes = Vec::new();
    // Bounded also where a file is longer than it says.
    file.take(LONGEST_TEXT).read_to_end(&mut bytes).map_err(|e| Error::io("cannot read", &path, e))?;
    Ok(Some(bytes))
}

/// The weights of a folder.
pub(crate) struct Weights {
    pub files: Vec<(PathBuf, Bytes)>,
    pub entries: Vec<(String, Entry)>,
}

/// Maps the weights of `folder` and reads their headers.
pub(crate) fn weights(folder: &Path) -> Result<Weights> {
    let single = folder.join("model.safetensors");
    if single.exists() {
        return read(vec![single]);
    }
    let Some(weight_map) = index(folder)? else { return Err(no_weights(folder)) };
    let shards = names(folder, &weight_map)?;
    let weights = read(shards.iter().map(|shard| folder.join(shard)).collect())?;
    let held: HashSet<(&str, &OsStr)> = weights.entries.iter().map(|(name, e)| (&**name, weights.name(e))).collect();
    if let Some((tensor, shard)) = weight_map.iter().find(|(t, shard)| !held.contains(&(&***t, OsStr::new(shard)))) {
        return Err(broken_index(folder, format!("the tensor {tensor:?} is not in {shard}, where it is listed")));
    }
    drop(held);
    Ok(weights)
}

/// The names of the shards that the index lists; `None` without an index.
#[cfg(feature = "hub")]
pub(crate) fn shards(folder: &Path) -> Result<Option<Vec<String>>> {
    index(folder)?.map(|weight_map| names(folder, &weight_map)).transpose()
}

/// Which tensor is in which shard.
fn index(folder: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let Some(bytes) = text(folder, INDEX)? else { return Ok(None) };
    let Index { weight_map } = serde_json::from_slice(&bytes).map_err(|e| broken_index(folder, e.to_string()))?;
    Ok(Some(weight_map))
}

fn names(folder: &Path, weight_map: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut shards: Vec<String> = weight_map.values().cloned().collect();
    shards.sort();
    shards.dedup();
    if shards.len() > MOST_SHARDS {
        let what = format!("it lists {} shards; expected at most {MOST_SHARDS}", shards.len());
        return Err(broken_index(folder, what));
    }
    // A name, not a way out of the folder.
    if let Some(shard) = shards.iter().find(|s| s.contains(['/', '\\', ':', '\0']) || !s.ends_with(".safetensors")) {
        let what = format!("the shard {shard:?} is not the name of a safetensors file of this folder");
        return Err(broken_index(folder, what));
    }
    Ok(shards)
}

fn broken_index(folder: &Path, what: String) -> Error {
    Error::Format(format!("{}: {what}", folder.join(INDEX).display()))
}

impl Weights {
    /// The name of the file that an entry is in.
    fn name(&self, entry: &Entry) -> &OsStr {
        self.files[entry.file].0.file_name().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read(paths: Vec<PathBuf>) -> Result<Weights> {
    let mut files = Vec::new();
    let mut entries = Vec::new();
    for path in paths {
        let bytes = map(&path)?;
        entries.extend(safetensors::read(&bytes, files.len(), &path.display().to_string())?);
        files.push((path, bytes));
    }
    Ok(Weights { files, entries })
}

/// Names what is there instead, and what to do with it.
fn no_weights(folder: &Path) -> Error {
    let has = |name: &str| folder.join(name).exists();
    let what = if has("pytorch_model.bin") || has("pytorch_model.bin.index.json") {
        "only pickled weights (pytorch_model.bin), which are not read because they can run code; convert them with \
         transformers: model.save_pretrained(folder, safe_serialization=True)"
    } else {
        "neither model.safetensors nor model.safetensors.index.json"
    };
    Error::Model(format!("{} holds {what}", folder.display()))
}

/// What `path` is instead of a checkpoint.
pub(crate) fn not_a_checkpoint(folder: &Path) -> Error {
    let has = |name: &str| folder.join(name).exists();
    let hint = if has("state_dict.bin") {
        "; state_dict.bin is audiocraft's layout: convert it with transformers' convert_musicgen_transformers.py"
    } else if has("snapshots") {
        "; this is a folder of the Hub's cache: name the folder of the revision, under snapshots"
    } else if has("model.safetensors") {
        "; config.json has to lie beside model.safetensors"
    } else {
        ""
    };
    Error::Model(format!(
        "{} has no config.json; expected a folder as transformers saves MusicGen, or a .gguf file of SonicForge{hint}",
        folder.display()
    ))
}

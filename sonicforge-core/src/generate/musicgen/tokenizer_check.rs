//! `tokenizer.json`, before the crate tokenizers sees it.
//!
//! Source: the serialization of the crate tokenizers 0.23. It is made for files that its own writer wrote: a damaged one
//! can make it panic, and a hostile one can make a word of text grow without end. Here each part is one that is known,
//! and what a part may add to a text is bounded, so that a prompt costs what its length says.

use serde_json::Value;

use super::charsmap;
use crate::error::{Error, Result};

/// Bytes that one byte of text may become.
const MOST_GROWTH: usize = 256;

/// Bytes that are put beside a text or in place of a match.
const LONGEST_INSERT: usize = 64;

/// Bytes of all words of the vocabulary; a list of 250 000 words has 3 MB.
const LARGEST_VOCABULARY: usize = 1 << 23;

const NORMALIZERS: &[&str] = &[
    "Sequence",
    "Precompiled",
    "Replace",
    "Prepend",
    "Nmt",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "Strip",
    "StripAccents",
    "BertNormalizer",
    "ByteLevel",
];
const PRE_TOKENIZERS: &[&str] = &[
    "Sequence",
    "Metaspace",
    "WhitespaceSplit",
    "Whitespace",
    "Split",
    "Punctuation",
    "Digits",
    "BertPreTokenizer",
    "ByteLevel",
];
const POST_PROCESSORS: &[&str] =
    &["Sequence", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"];
const MODELS: &[&str] = &["Unigram", "BPE", "WordPiece", "WordLevel"];

/// The same tokenizer, checked, written anew (no key twice), with truncation and padding off.
///
/// # Errors
/// [`Error::Format`] for what is no tokenizer or out of bounds, [`Error::Unsupported`] for parts that are not known.
pub(crate) fn checked(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut root: Value = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
    if !root.is_object() {
        return Err(broken("it is no object".into()));
    }
    root["truncation"] = Value::Null;
    root["padding"] = Value::Null;
    // Turns ids into text, which nobody asks for here.
    root["decoder"] = Value::Null;

    let mut growth = 1;
    for part in parts(&root["normalizer"], "normalizers", NORMALIZERS)? {
        growth *= normalizer_growth(part)?;
        if growth > MOST_GROWTH {
            return Err(broken(format!(
                "its normalizers make a letter {growth} times as long; expected {MOST_GROWTH}"
            )));
        }
    }
    parts(&root["pre_tokenizer"], "pretokenizers", PRE_TOKENIZERS)?;
    for part in parts(&root["post_processor"], "processors", POST_PROCESSORS)? {
        post_processor(part)?;
    }
    added_tokens(&root["added_tokens"])?;
    model(&root["model"])?;
    serde_json::to_vec(&root).map_err(|e| broken(e.to_string()))
}

fn broken(what: String) -> Error {
    Error::Format(format!("tokenizer.json: {what}"))
}

/// The parts of a sequence, or the one part, or none; each of a known type.
fn parts<'a>(value: &'a Value, list: &str, known: &[&str]) -> Result<Vec<&'a Value>> {
    let mut found = Vec::new();
    let mut open = if value.is_null() { Vec::new() } else { vec![value] };
    while let Some(part) = open.pop() {
        let kind = part["type"].as_str().ok_or_else(|| broken(format!("a part of its {list} has no type")))?;
        if !known.contains(&kind) {
            let kind: String = kind.chars().take(40).collect();
            let known = known.join(", ");
            return Err(Error::Unsupported(format!(
                "tokenizer.json: {kind:?} of its {list} is not handled; expected {known}"
            )));
        }
        if kind == "Sequence" {
            let inner = part[list].as_array().ok_or_else(|| broken(format!("a sequence has no {list}")))?;
            open.extend(inner.iter().rev());
        } else {
            found.push(part);
        }
        if found.len() + open.len() > 32 {
            return Err(broken(format!("it has more than 32 {list}")));
        }
    }
    Ok(found)
}

/// By how much a normalizer may lengthen a text.
fn normalizer_growth(part: &Value) -> Result<usize> {
    Ok(match part["type"].as_str() {
        Some("Precompiled") => {
            let table = part["precompiled_charsmap"].as_str();
            charsmap::check(table.ok_or_else(|| broken("a Precompiled has no table".into()))?)?.max(1)
        }
        // A match may be empty, and then stands beside every letter.
        Some("Replace") => insert(part, "content")?.max(1),
        Some("Prepend") => {
            insert(part, "prepend")?;
            2
        }
        // The decompositions of Unicode at their longest, and two bytes for one.
        Some("NFC" | "NFD") => 3,
        Some("NFKC" | "NFKD") => 11,
        Some("ByteLevel") => 2,
        _ => 1,
    })
}

/// The length of a text that is put in.
fn insert(part: &Value, key: &str) -> Result<usize> {
    let length = part[key].as_str().ok_or_else(|| broken(format!("a part has no {key}")))?.len();
    if length > LONGEST_INSERT {
        return Err(broken(format!("a {key} has {length} bytes; expected at most {LONGEST_INSERT}")));
    }
    Ok(length)
}

/// A template puts a few tokens around the text, and the text in once.
fn post_processor(part: &Value) -> Result<()> {
    if part["type"] != "TemplateProcessing" {
        return Ok(());
    }
    let tokens = part["special_tokens"].as_object();
    let tokens = tokens.ok_or_else(|| broken("its template has no special_tokens".into()))?;
    for key in ["single", "pair"] {
        let pieces = part[key].as_array().ok_or_else(|| broken(format!("its template has no {key}")))?;
        let texts = pieces.iter().filter(|piece| !piece["Sequence"].is_null()).count();
        if pieces.len() > 16 || (key == "single" && texts != 1) {
            let pieces = pieces.len();
            return Err(broken(format!(
                "its template has {pieces} pieces, {texts} of them the text; expected 16 and 1"
            )));
        }
        let named = pieces.iter().filter_map(|piece| piece["SpecialToken"]["id"].as_str());
        if let Some(name) = named.into_iter().find(|name| !tokens.contains_key(*name)) {
            return Err(broken(format!("its template names {name:?}, which is not among its special_tokens")));
        }
    }
    for (name, token) in tokens {
        if token["ids"].as_array().is_none_or(|ids| ids.len() > 16) {
            return Err(broken(format!("its special token {name:?} has no list of at most 16 ids")));
        }
    }
    Ok(())
}

fn added_tokens(tokens: &Value) -> Result<()> {
    let tokens = tokens.as_array().map_or(&[][..], Vec::as_slice);
    let bytes: usize = tokens.iter().map(|token| token["content"].as_str().map_or(0, str::len)).sum();
    if bytes > 1 << 20 || tokens.len() > 1 << 16 {
        return Err(broken(format!("it adds {} tokens of {bytes} bytes; expected fewer", tokens.len())));
    }
    if tokens.iter().any(|token| token["content"].as_str().is_none_or(str::is_empty)) {
        return Err(broken("it adds a token without content".into()));
    }
    Ok(())
}

fn model(model: &Value) -> Result<()> {
    let kind = model["type"].as_str().ok_or_else(|| broken("its model has no type".into()))?;
    if !MODELS.contains(&kind) {
        let kind: String = kind.chars().take(40).collect();
        return Err(Error::Unsupported(format!(
            "tokenizer.json: the model {kind:?} is not handled; expected {MODELS:?}"
        )));
    }
    // The same text gives the same tokens.
    if model["dropout"].as_f64().is_some_and(|p| p != 0.0) {
        return Err(Error::Unsupported(format!("tokenizer.json: a dropout of {} is not handled", model["dropout"])));
    }
    let bytes: usize = match &model["vocab"] {
        Value::Array(words) => words.iter().map(|word| word[0].as_str().map_or(0, str::len)).sum(),
        Value::Object(words) => words.keys().map(String::len).sum(),
        _ => return Err(broken("its model has no vocab".into())),
    };
    if bytes > LARGEST_VOCABULARY {
        return Err(broken(format!("its words have {bytes} bytes; expected at most {LARGEST_VOCABULARY}")));
    }
    Ok(())
}

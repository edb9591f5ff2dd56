//! Text into the tokens of the text encoder.
//!
//! Source: T5's SentencePiece unigram model as `tokenizer.json` holds it (normalizer, pre-tokenizer, vocabulary,
//! template that ends the text with `</s>`), run by the crate tokenizers, which is also what transformers runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::Tokenizer;

use super::tokenizer_check::checked;
use crate::error::{Error, Result};

/// T5 learned on texts of at most this many tokens, some 400 English words. transformers warns beyond and goes on, into
/// distances that the encoder has never seen; here a longer prompt is refused, rather than cut or weakened unseen.
pub(crate) const LONGEST_PROMPT: usize = 512;

/// Bytes of text that are looked at.
const LONGEST_TEXT: usize = 1 << 16;

/// A checkpoint's tokenizer.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    vocab_size: usize,
}

impl TextTokenizer {
    /// From the bytes of `tokenizer.json`. Truncation and padding it may ask for are switched off. Ids have to be below
    /// `vocab_size`, the rows of the text encoder's embedding.
    ///
    /// # Errors
    /// [`Error::Format`] for bytes that are no tokenizer, [`Error::Unsupported`] for parts that are not known.
    pub fn parse(bytes: &[u8], vocab_size: usize) -> Result<Self> {
        let bytes = checked(bytes)?;
        let refuse = |what: String| Error::Format(format!("tokenizer.json is not a tokenizer: {what}"));
        let inner = guarded(|| Tokenizer::from_bytes(bytes)).map_err(refuse)?;
        Ok(Self { inner, vocab_size })
    }

    /// Token ids with what the template adds (for T5, 1 at the end). An empty text is the template alone.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for more than [`LONGEST_PROMPT`] tokens, [`Error::Model`] for an id that the text
    /// encoder has no row for.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if text.len() > LONGEST_TEXT {
            return Err(Error::invalid(format!(
                "the prompt has {} words in {} bytes; expected at most {LONGEST_PROMPT} tokens, some 400 words",
                text.split_whitespace().count(),
                text.len()
            )));
        }
        let refuse = |what: String| Error::Model(format!("the tokenizer cannot split the prompt: {what}"));
        let encoding = guarded(|| self.inner.encode(text, true)).map_err(refuse)?;
        let ids = encoding.get_ids();
        if ids.len() > LONGEST_PROMPT {
            return Err(Error::invalid(format!(
                "the prompt has {} words in {} tokens; expected at most {LONGEST_PROMPT} tokens, some 400 words",
                text.split_whitespace().count(),
                ids.len()
            )));
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocab_size) {
            return Err(Error::Model(format!(
                "the tokenizer gives the token {id}, but the text encoder has {} (config.json, text_encoder, vocab_size)",
                self.vocab_size
            )));
        }
        Ok(ids.to_vec())
    }
}

/// What foreign code says, also when it panics. What can make it is refused before; the crate unwraps in so many places
/// that this net stays under it.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("it is damaged in a way that the tokenizer's reader does not expect".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::charsmap::tests::{one_letter, table};
    use super::*;

    fn fixture(kind: &str, name: &str) -> Value {
        let root = env!("CARGO_MANIFEST_DIR");
        serde_json::from_slice(&std::fs::read(format!("{root}/tests/fixtures/generate/{kind}/{name}")).unwrap())
            .unwrap()
    }

    fn parse(file: &Value) -> Result<TextTokenizer> {
        TextTokenizer::parse(file.to_string().as_bytes(), 157)
    }

    fn refused(change: impl FnOnce(&mut Value)) -> Error {
        let mut file = fixture("mono", "tokenizer.json");
        change(&mut file);
        parse(&file).err().expect("it should be refused")
    }

    #[test]
    fn the_ids_are_those_of_transformers() {
        let mut compared = 0;
        for kind in ["mono", "stereo", "melody"] {
            let tokenizer = parse(&fixture(kind, "tokenizer.json")).unwrap();
            for case in fixture(kind, "reference.json")["tokens"].as_array().unwrap() {
                let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
                assert_eq!(tokenizer.encode(case["text"].as_str().unwrap()).unwrap(), ids, "{case}");
                compared += 1;
            }
        }
        assert!(compared >= 30, "{compared}");
    }

    /// What the file says about lengths is for training.
    #[test]
    fn truncation_and_padding_are_off() {
        let mut file = fixture("mono", "tokenizer.json");
        let plain = parse(&file).unwrap().encode("slow warm piano and soft strings").unwrap();
        file["truncation"] = json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
        file["padding"] = json!({"strategy": {"Fixed": 1_000_000_000}, "direction": "Right", "pad_to_multiple_of": null,
                                 "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
        assert_eq!(parse(&file).unwrap().encode("slow warm piano and soft strings").unwrap(), plain);
    }

    #[test]
    fn long_prompts_are_refused_with_their_length() {
        let tokenizer = parse(&fixture("mono", "tokenizer.json")).unwrap();
        let words = |count: usize| vec!["drums"; count].join(" ");
        assert_eq!(tokenizer.encode(&words(511)).unwrap().len(), 512);
        let error = tokenizer.encode(&words(512)).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument(what) if what.contains("512 words in 513 tokens")), "{error}");
        for count in [10_000, 1_000_000] {
            let error = tokenizer.encode(&words(count)).unwrap_err();
            assert!(matches!(&error, Error::InvalidArgument(what) if what.contains(&count.to_string())), "{error}");
        }
        let one = tokenizer.encode(&"a".repeat(60_000)).unwrap_err();
        assert_eq!(one.code(), "SF_INVALID_ARGUMENT");
    }

    #[test]
    fn ids_that_the_encoder_lacks() {
        let file = fixture("mono", "tokenizer.json").to_string();
        let tokenizer = TextTokenizer::parse(file.as_bytes(), 20).unwrap();
        let error = tokenizer.encode("fast drums").unwrap_err();
        assert!(matches!(&error, Error::Model(what) if what.contains("the token 27")), "{error}");
    }

    #[test]
    fn a_table_of_characters() {
        let mut file = fixture("mono", "tokenizer.json");
        // "A" is written "slow".
        file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": table(&one_letter(0), b"slow\0")});
        let tokenizer = parse(&file).unwrap();
        assert_eq!(tokenizer.encode("A drum").unwrap(), tokenizer.encode("slow drum").unwrap());
        let bad =
            |text: String| refused(|f| f["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": text}));
        for error in [bad("AAAA".into()), bad("////AAAA".into()), bad(table(&one_letter(9), b"x\0"))] {
            assert!(matches!(&error, Error::Format(what) if what.contains("precompiled_charsmap")), "{error}");
        }
    }

    #[test]
    fn what_could_grow_or_surprise() {
        type Change = fn(&mut Value);
        let cases: Vec<(&str, &str, Change)> = vec![
            ("SF_FORMAT", "times as long", |f| {
                let part = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(20)});
                f["normalizer"] = json!({"type": "Sequence", "normalizers": [part, part]});
            }),
            ("SF_FORMAT", "content has 1000 bytes", |f| {
                f["normalizer"] = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(1000)});
            }),
            ("SF_FORMAT", "more than 32 normalizers", |f| {
                f["normalizer"] = json!({"type": "Sequence", "normalizers": vec![json!({"type": "NFC"}); 40]});
            }),
            ("SF_FORMAT", "2 of them the text", |f| {
                let piece = f["post_processor"]["single"][0].clone();
                f["post_processor"]["single"].as_array_mut().unwrap().push(piece);
            }),
            ("SF_FORMAT", "at most 16 ids", |f| {
                f["post_processor"]["special_tokens"]["</s>"]["ids"] = json!(vec![1; 100]);
            }),
            ("SF_FORMAT", "names \"</x>\"", |f| f["post_processor"]["pair"][1]["SpecialToken"]["id"] = json!("</x>")),
            ("SF_FORMAT", "without content", |f| f["added_tokens"][0]["content"] = json!("")),
            ("SF_FORMAT", "no vocab", |f| f["model"]["vocab"] = json!(3)),
            ("SF_FORMAT", "9000000 bytes", |f| f["model"]["vocab"] = json!([["x".repeat(9_000_000), 0.0]])),
            ("SF_FORMAT", "no type", |f| f["model"]["type"] = Value::Null),
            ("SF_UNSUPPORTED", "\"Gibberish\"", |f| f["model"]["type"] = json!("Gibberish")),
            ("SF_UNSUPPORTED", "\"FixedLength\"", |f| f["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0})),
            ("SF_UNSUPPORTED", "dropout of 0.5", |f| f["model"]["dropout"] = json!(0.5)),
            ("SF_FORMAT", "not a tokenizer", |f| f["model"]["unk_id"] = json!(1 << 30)),
            ("SF_FORMAT", "not a tokenizer", |f| f["version"] = json!("9.0")),
        ];
        for (code, words, change) in cases {
            let error = refused(change);
            assert!(error.code() == code && error.to_string().contains(words), "{code}, {words:?}: {error}");
        }
    }
}

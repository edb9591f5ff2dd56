//! Text into the tokens of the text encoder.
//!
//! Source: T5's SentencePiece unigram model as `tokenizer.json` holds it (normalizer, pre-tokenizer, vocabulary,
//! template that ends the text with `</s>`), run by the crate tokenizers, which is also what transformers runs.

use tokenizers::Tokenizer;

use crate::error::{Error, Result};

/// T5 learned on texts of at most this many tokens. A longer prompt is refused rather than cut without a word.
pub(crate) const LONGEST_PROMPT: usize = 512;

/// Bytes of text that are looked at; [`LONGEST_PROMPT`] tokens of words are some 3000.
const LONGEST_TEXT: usize = 1 << 18;

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
    /// [`Error::Format`] for bytes that are no tokenizer.
    pub fn parse(bytes: &[u8], vocab_size: usize) -> Result<Self> {
        let mut inner = Tokenizer::from_bytes(bytes)
            .map_err(|e| Error::Format(format!("tokenizer.json is not a tokenizer: {e}")))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| Error::Format(format!("tokenizer.json: {e}")))?;
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
                "the prompt has {} bytes; expected at most {LONGEST_PROMPT} tokens, which are some 400 words",
                text.len()
            )));
        }
        let encoding =
            self.inner.encode(text, true).map_err(|e| Error::Model(format!("the prompt cannot be tokenized: {e}")))?;
        let ids = encoding.get_ids();
        if ids.len() > LONGEST_PROMPT {
            return Err(Error::invalid(format!(
                "the prompt has {} tokens; expected at most {LONGEST_PROMPT}, which the text encoder learned on",
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

//! What a generator is asked for.

use serde::{Deserialize, Serialize};

use crate::audio::AudioBuffer;
use crate::error::{Error, Result, in_range};

/// The longest piece that can be asked for at once, in seconds.
const LONGEST_S: f64 = 3600.0;

/// One piece of music to make. What is `None` is left to the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// What it should sound like. `None` asks for anything the model likes (unconditional).
    pub prompt: Option<String>,
    /// Token ids instead of a prompt, for checkpoints without a tokenizer.
    pub token_ids: Option<Vec<u32>>,
    /// New music, in seconds, above 0 up to 3600; rounded up to whole frames of the codec.
    pub seconds: f64,
    /// Same seed and same request, same music.
    pub seed: u64,
    /// Logits are divided by it: below 1 safer, above 1 wilder; 0 takes the most likely token always.
    pub temperature: Option<f32>,
    /// Only the k most likely tokens can be drawn; 0: all.
    pub top_k: Option<usize>,
    /// Only the most likely tokens that together reach this probability can be drawn; 1: all.
    pub top_p: Option<f32>,
    /// How much the prompt weighs, 1 to 50: 1 is without guidance, and twice as fast on a device.
    pub guidance_scale: Option<f32>,
    /// Music to go on from, at the generator's sample rate.
    #[serde(skip)]
    pub continue_from: Option<AudioBuffer>,
    /// Codes to go on from, `[codebooks][frames]`, instead of `continue_from`.
    pub continue_codes: Option<Vec<Vec<u32>>>,
    /// Whether the result begins with what it goes on from, as the codec hears it.
    pub keep_prompt: bool,
    /// A melody to follow, at the generator's sample rate; for melody models.
    #[serde(skip)]
    pub melody: Option<AudioBuffer>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            prompt: None,
            token_ids: None,
            seconds: 10.0,
            seed: 0,
            temperature: None,
            top_k: None,
            top_p: None,
            guidance_scale: None,
            continue_from: None,
            continue_codes: None,
            keep_prompt: true,
            melody: None,
        }
    }
}

impl Request {
    /// A request for ten seconds of this.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: Some(prompt.into()), ..Self::default() }
    }

    /// Checks everything that can be checked without the generator.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field, what came and what was expected.
    pub fn validate(&self) -> Result<()> {
        if !(self.seconds.is_finite() && self.seconds > 0.0 && self.seconds <= LONGEST_S) {
            return Err(Error::invalid(format!(
                "seconds is {}; expected a number above 0, up to {LONGEST_S}; for longer music stream, or continue",
                self.seconds
            )));
        }
        match (&self.prompt, &self.token_ids) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("both a prompt and token_ids were given; expected one of them"));
            }
            (Some(prompt), None) if prompt.trim().is_empty() => {
                return Err(Error::invalid(
                    "the prompt is empty; say what it should sound like, or leave the prompt out for music without one",
                ));
            }
            (None, Some(ids)) if ids.is_empty() => {
                return Err(Error::invalid("token_ids is empty; expected at least the end-of-sequence token"));
            }
            _ => {}
        }
        if let Some(temperature) = self.temperature {
            in_range("temperature", f64::from(temperature), 0.0, 100.0)?;
        }
        if let Some(scale) = self.guidance_scale {
            in_range("guidance_scale", f64::from(scale), 1.0, 50.0)?;
        }
        if let Some(p) = self.top_p
            && !(p > 0.0 && p <= 1.0)
        {
            return Err(Error::invalid(format!("top_p is {p}; expected a number above 0, up to 1")));
        }
        if self.continue_from.is_some() && self.continue_codes.is_some() {
            return Err(Error::invalid("both continue_from and continue_codes were given; expected one of them"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_requests_are_named() {
        Request::new("piano").validate().unwrap();
        Request::default().validate().unwrap();
        let r = Request::new("piano");
        for (bad, word) in [
            (Request::new(" \n"), "empty"),
            (Request { seconds: 0.0, ..r.clone() }, "seconds is 0"),
            (Request { seconds: -1.0, ..r.clone() }, "-1"),
            (Request { seconds: f64::NAN, ..r.clone() }, "NaN"),
            (Request { seconds: 1e9, ..r.clone() }, "1000000000"),
            (Request { token_ids: Some(vec![1]), ..r.clone() }, "both"),
            (Request { prompt: None, token_ids: Some(vec![]), ..r.clone() }, "token_ids"),
            (Request { temperature: Some(-0.1), ..r.clone() }, "temperature"),
            (Request { guidance_scale: Some(0.5), ..r.clone() }, "guidance_scale"),
            (Request { top_p: Some(1.5), ..r.clone() }, "top_p"),
        ] {
            let e = bad.validate().unwrap_err();
            assert!(e.code() == "SF_INVALID_ARGUMENT" && e.to_string().contains(word), "{e}");
        }
    }
}

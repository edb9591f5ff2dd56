//! AcoustID's Chromaprint: 32 bits for each eighth of a second, equal to those of libchromaprint.
//!
//! L. Lalinský, "How does Chromaprint work?", 2011, <https://oxygene.sk/2011/01/how-does-chromaprint-work/>.
//!
//! ```text
//! mono, 16 bit, 11 025 Hz ─► silence ─► chroma ─► classifier ─► words ─► compression ─► text
//! ```

mod chroma;
mod classifier;
mod compression;
mod preset;
mod silence;
mod stream;

pub use preset::ChromaprintPreset;
pub use stream::Chromaprinter;
pub(super) use stream::WordMaker;

use data_encoding::BASE64URL_NOPAD;

use crate::audio::AudioBuffer;
use crate::error::{Error, Result};

use super::front::RATE;

/// The words of one sound, and which algorithm made them.
///
/// ```
/// use sonicforge_core::fingerprint::Chromaprint;
/// use sonicforge_core::testing::Signal;
///
/// let audio = Signal::Music { seed: 1 }.render(44_100, 2, 10.0)?;
/// let print = Chromaprint::of(&audio)?;
/// assert_eq!(print.words().len(), 59);
/// assert_eq!(Chromaprint::decode(&print.encode())?, print);
/// # Ok::<(), sonicforge_core::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chromaprint {
    preset: ChromaprintPreset,
    words: Vec<u32>,
}

impl Chromaprint {
    /// Of a whole sound, as AcoustID wants it. A sound of less than 2.6 s has no words.
    pub fn of(audio: &AudioBuffer) -> Result<Self> {
        Self::with(audio, ChromaprintPreset::default())
    }

    /// Of a whole sound, by this preset.
    pub fn with(audio: &AudioBuffer, preset: ChromaprintPreset) -> Result<Self> {
        let mut printer = Chromaprinter::new(audio.sample_rate(), audio.channels(), preset)?;
        let channels: Vec<&[f32]> = (0..audio.channels()).map(|c| audio.channel(c)).collect();
        printer.push_channels(&channels)?;
        Ok(printer.finish())
    }

    /// Of words that were kept. Errors when they are more than the 16 777 215 that the compressed form can count (24 days).
    pub fn from_words(preset: ChromaprintPreset, words: Vec<u32>) -> Result<Self> {
        if words.len() > compression::MAX_WORDS {
            return Err(Error::invalid(format!(
                "{} words; a Chromaprint has {} at most",
                words.len(),
                compression::MAX_WORDS
            )));
        }
        Ok(Self { preset, words })
    }

    /// The algorithm.
    pub fn preset(&self) -> ChromaprintPreset {
        self.preset
    }

    /// One word per [`ChromaprintPreset::item_seconds`].
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The words of the first `seconds`, as if the sound had ended there: AcoustID wants the first 120 s.
    pub fn first(&self, seconds: f64) -> Self {
        let samples = (seconds.max(0.0) * f64::from(RATE)) as usize;
        let frames = samples.checked_sub(self.preset.frame()).map_or(0, |rest| rest / self.preset.hop() + 1);
        let count = frames.saturating_sub(WARM_UP).min(self.words.len());
        Self { preset: self.preset, words: self.words[..count].to_vec() }
    }

    /// The compressed form as base64 text (RFC 4648 §5 without padding), which AcoustID takes.
    pub fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(&self.to_bytes())
    }

    /// Reads what [`Chromaprint::encode`] or any Chromaprint wrote. Errors on everything else, without asking for more
    /// memory than eleven times the text.
    pub fn decode(text: &str) -> Result<Self> {
        let text = text.trim_ascii().trim_end_matches('=');
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|e| {
            Error::Format(format!("the Chromaprint is not base64 text of the URL alphabet (A–Z a–z 0–9 - _): {e}"))
        })?;
        Self::from_bytes(&bytes)
    }

    /// The compressed form, about 2.7 bytes per word.
    pub fn to_bytes(&self) -> Vec<u8> {
        compression::compress(self.preset, &self.words)
    }

    /// Reads the compressed form, as [`Chromaprint::decode`] does.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (preset, words) = compression::decompress(bytes)?;
        Ok(Self { preset, words })
    }

    /// One word for the whole sound (M. S. Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC
    /// 2002): a bit is set where it is in more than half of the words. Similar sounds differ in few bits.
    pub fn simhash(&self) -> u32 {
        let half = self.words.len() / 2;
        (0..32).filter(|bit| self.words.iter().filter(|&w| w >> bit & 1 == 1).count() > half).fold(0, |h, b| h | 1 << b)
    }
}

impl serde::Serialize for Chromaprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> serde::Deserialize<'de> for Chromaprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::decode(&text).map_err(serde::de::Error::custom)
    }
}

/// Windows before the first word: four of the smoothing, fifteen of the classifiers.
const WARM_UP: usize = 4 + classifier::FRAMES - 1;

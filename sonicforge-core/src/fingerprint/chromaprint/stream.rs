//! Samples at 11 025 Hz → words, while they go by: trim silence → chroma → words.

use super::Chromaprint;
use super::chroma::Chroma;
use super::classifier::Words;
use super::preset::ChromaprintPreset;
use super::silence::LeadingSilence;
use crate::error::{Error, Result};
use crate::fingerprint::front::Front;

/// The words of mono samples at 11 025 Hz.
#[derive(Debug, Clone)]
pub(in crate::fingerprint) struct WordMaker {
    preset: ChromaprintPreset,
    silence: Option<LeadingSilence>,
    /// Samples that wait for a whole window.
    waiting: Vec<i16>,
    chroma: Chroma,
    words: Words,
    out: Vec<u32>,
}

impl WordMaker {
    pub fn new(preset: ChromaprintPreset) -> Self {
        Self {
            preset,
            silence: preset.silence_threshold().map(LeadingSilence::new),
            waiting: Vec::new(),
            chroma: Chroma::new(preset.frame()),
            words: Words::new(preset.classifiers()),
            out: Vec::new(),
        }
    }

    /// Trims leading silence whatever the preset: until the mean magnitude of 5 ms is above `threshold`.
    pub fn trim_silence(&mut self, threshold: u16) -> Result<()> {
        if threshold > 32_767 {
            return Err(Error::invalid(format!("threshold is {threshold}; expected 0 to 32767 steps of 16 bit")));
        }
        self.silence = Some(LeadingSilence::new(u32::from(threshold)));
        Ok(())
    }

    pub fn push(&mut self, heard: &[i16]) {
        let heard = match &mut self.silence {
            Some(silence) => silence.trim(heard),
            None => heard,
        };
        self.waiting.extend_from_slice(heard);
        let (frame, hop) = (self.preset.frame(), self.preset.hop());
        let mut at = 0;
        while at + frame <= self.waiting.len() {
            let row = self.chroma.push(&self.waiting[at..at + frame]);
            self.out.extend(row.and_then(|row| self.words.push(&row)));
            at += hop;
        }
        self.waiting.drain(..at);
    }

    pub fn finish(self) -> Chromaprint {
        Chromaprint { preset: self.preset, words: self.out }
    }
}

/// Makes a [`Chromaprint`] of a sound that goes by. The words do not depend on how it was cut.
#[derive(Debug, Clone)]
pub struct Chromaprinter {
    front: Front,
    words: WordMaker,
}

impl Chromaprinter {
    /// For PCM of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8).
    pub fn new(sample_rate: u32, channels: usize, preset: ChromaprintPreset) -> Result<Self> {
        Ok(Self { front: Front::new(sample_rate, channels)?, words: WordMaker::new(preset) })
    }

    /// Trims leading silence whatever the preset: until the mean magnitude of 5 ms is above `threshold` (0 to 32 767, in
    /// steps of 16 bit). `Test4` begins with 50. To be called before the first `push`.
    pub fn trim_silence(&mut self, threshold: u16) -> Result<()> {
        self.words.trim_silence(threshold)
    }

    /// Hears the next samples of 16 bit, frame after frame (L R L R …). A last frame that is not whole waits for its rest.
    pub fn push_i16(&mut self, interleaved: &[i16]) {
        let Self { front, words } = self;
        front.push_i16(interleaved, &mut |heard| words.push(heard));
    }

    /// Hears the next frames, one slice per channel, 1.0 being full scale: each sample is rounded to 16 bit first (to even
    /// between two, NaN is 0). All slices must be of one length.
    pub fn push_channels(&mut self, channels: &[&[f32]]) -> Result<()> {
        let Self { front, words } = self;
        front.push_channels(channels, &mut |heard| words.push(heard))
    }

    /// The words of everything that was pushed.
    pub fn finish(self) -> Chromaprint {
        let Self { front, mut words } = self;
        front.finish(&mut |heard| words.push(heard), &mut |_| ());
        words.finish()
    }
}

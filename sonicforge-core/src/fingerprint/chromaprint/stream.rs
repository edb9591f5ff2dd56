//! PCM → words, while it goes by: mix to mono → resample → trim silence → chroma → words.

use super::chroma::Chroma;
use super::classifier::Words;
use super::preset::ChromaprintPreset;
use super::resampler::Resampler;
use super::silence::LeadingSilence;
use super::{Chromaprint, RATE};
use crate::audio::check_format;
use crate::error::{Error, Result};

/// Mono samples that are resampled in one go. The end of a sound at a rate below 11 025 Hz depends on it: what would come
/// out beyond this many samples of the last piece is lost, as it is in Chromaprint.
const PIECE: usize = 32_768;

/// Makes a [`Chromaprint`] of a sound that goes by. The words do not depend on how it was cut.
#[derive(Debug, Clone)]
pub struct Chromaprinter {
    preset: ChromaprintPreset,
    channels: usize,
    /// Mono, at the rate of the input: `fill` samples, up to `PIECE`, and slack for the resampler.
    piece: Vec<i16>,
    fill: usize,
    /// Interleaved samples of a frame of which the rest has not come.
    partial: Vec<i16>,
    resampler: Option<Resampler>,
    silence: Option<LeadingSilence>,
    resampled: Vec<i16>,
    /// Samples at 11 025 Hz that wait for a whole window.
    waiting: Vec<i16>,
    chroma: Chroma,
    words: Words,
    out: Vec<u32>,
}

impl Chromaprinter {
    /// For PCM of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8).
    pub fn new(sample_rate: u32, channels: usize, preset: ChromaprintPreset) -> Result<Self> {
        check_format(sample_rate, channels)?;
        let resampler = (sample_rate != RATE).then(|| Resampler::new(sample_rate));
        let slack = resampler.as_ref().map_or(0, Resampler::slack);
        Ok(Self {
            preset,
            channels,
            piece: vec![0; PIECE + slack],
            fill: 0,
            partial: Vec::with_capacity(channels),
            resampler,
            silence: preset.silence_threshold().map(LeadingSilence::new),
            resampled: Vec::new(),
            waiting: Vec::new(),
            chroma: Chroma::new(preset.frame()),
            words: Words::new(preset.classifiers()),
            out: Vec::new(),
        })
    }

    /// Trims leading silence whatever the preset: until the mean magnitude of 5 ms is above `threshold` (0 to 32 767, in
    /// steps of 16 bit). `Test4` begins with 50. To be called before the first `push`.
    pub fn trim_silence(&mut self, threshold: u16) -> Result<()> {
        if threshold > 32_767 {
            return Err(Error::invalid(format!("threshold is {threshold}; expected 0 to 32767 steps of 16 bit")));
        }
        self.silence = Some(LeadingSilence::new(u32::from(threshold)));
        Ok(())
    }

    /// Hears the next samples of 16 bit, frame after frame (L R L R …). A last frame that is not whole waits for its rest.
    pub fn push_i16(&mut self, mut interleaved: &[i16]) {
        while !self.partial.is_empty() && !interleaved.is_empty() {
            self.partial.push(interleaved[0]);
            interleaved = &interleaved[1..];
            if self.partial.len() == self.channels {
                let frame = std::mem::take(&mut self.partial);
                self.push_frames(&frame);
                self.partial = frame;
                self.partial.clear();
            }
        }
        let whole = interleaved.len() / self.channels * self.channels;
        self.push_frames(&interleaved[..whole]);
        self.partial.extend_from_slice(&interleaved[whole..]);
    }

    fn push_frames(&mut self, mut interleaved: &[i16]) {
        let channels = self.channels;
        while !interleaved.is_empty() {
            let frames = (PIECE - self.fill).min(interleaved.len() / channels);
            let (now, later) = interleaved.split_at(frames * channels);
            let mono = &mut self.piece[self.fill..][..frames];
            match channels {
                1 => mono.copy_from_slice(now),
                2 => {
                    for (y, [l, r]) in mono.iter_mut().zip(now.as_chunks::<2>().0) {
                        *y = ((i32::from(*l) + i32::from(*r)) / 2) as i16;
                    }
                }
                n => {
                    for (y, frame) in mono.iter_mut().zip(now.chunks_exact(n)) {
                        *y = (frame.iter().map(|&x| i32::from(x)).sum::<i32>() / n as i32) as i16;
                    }
                }
            }
            interleaved = later;
            self.filled(frames);
        }
    }

    /// Hears the next frames, one slice per channel, 1.0 being full scale: each sample is rounded to 16 bit first (to even
    /// between two, NaN is 0). All slices must be of one length.
    pub fn push_channels(&mut self, channels: &[&[f32]]) -> Result<()> {
        if channels.len() != self.channels {
            return Err(Error::invalid(format!(
                "{} channels were pushed, but the fingerprinter was made for {}",
                channels.len(),
                self.channels
            )));
        }
        let frames = channels[0].len();
        if let Some(c) = channels.iter().position(|c| c.len() != frames) {
            return Err(Error::invalid(format!(
                "channel {c} has {} frames, but channel 0 has {frames}; all channels must be of one length",
                channels[c].len()
            )));
        }
        let mut at = 0;
        while at < frames {
            let now = (PIECE - self.fill).min(frames - at);
            let mono = &mut self.piece[self.fill..][..now];
            match channels {
                [x] => mono.iter_mut().zip(&x[at..]).for_each(|(y, &x)| *y = to_i16(x) as i16),
                [l, r] => {
                    for ((y, &l), &r) in mono.iter_mut().zip(&l[at..]).zip(&r[at..]) {
                        *y = ((to_i16(l) + to_i16(r)) / 2) as i16;
                    }
                }
                _ => {
                    for (n, y) in mono.iter_mut().enumerate() {
                        let sum: i32 = channels.iter().map(|x| to_i16(x[at + n])).sum();
                        *y = (sum / channels.len() as i32) as i16;
                    }
                }
            }
            at += now;
            self.filled(now);
        }
        Ok(())
    }

    /// `frames` more are in the piece.
    fn filled(&mut self, frames: usize) {
        self.fill += frames;
        if self.fill == PIECE {
            self.hear();
        }
    }

    /// What the piece holds goes on its way.
    fn hear(&mut self) {
        let heard = match &mut self.resampler {
            None => {
                self.fill = 0;
                &self.piece[..]
            }
            Some(resampler) => {
                self.resampled.clear();
                let done = resampler.process(&self.piece, self.fill, PIECE, &mut self.resampled).min(self.fill);
                self.piece.copy_within(done..self.fill, 0);
                self.fill -= done;
                &self.resampled[..]
            }
        };
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

    /// The words of everything that was pushed.
    pub fn finish(mut self) -> Chromaprint {
        if self.fill > 0 {
            if self.resampler.is_none() {
                self.piece.truncate(self.fill);
            }
            self.hear();
        }
        Chromaprint { preset: self.preset, words: self.out }
    }
}

/// As an integer of 16 bit, rounded to even: adding 1.5·2²³ leaves no bits behind the point.
#[inline(always)]
fn to_i16(x: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    let x = if x.is_nan() { 0.0 } else { (x * 32_768.0).clamp(-32_768.0, 32_767.0) };
    (x + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

#[cfg(test)]
mod tests {
    use super::to_i16;

    #[test]
    fn samples_of_16_bit_pass_unchanged() {
        for n in -32_768..=32_767 {
            assert_eq!(to_i16(n as f32 / 32_768.0), n);
        }
        let odd = [(f32::NAN, 0), (f32::INFINITY, 32_767), (-9.0, -32_768), (0.5 / 32_768.0, 0), (1.5 / 32_768.0, 2)];
        for (x, n) in odd {
            assert_eq!(to_i16(x), n, "{x}");
        }
    }
}

//! PCM of any format → mono at 11 025 Hz in 16 bit: what both fingerprints hear.

use super::resampler::Resampler;
use crate::audio::{check_format, common_length};
use crate::dsp::kernels::with_wide_registers;
use crate::error::{Error, Result};

/// Samples per second of what comes out.
pub(super) const RATE: u32 = 11_025;

/// Mono samples that are resampled in one go. The end of a sound at a rate below 11 025 Hz depends on it: what would come
/// out beyond this many samples of the last piece is lost to a Chromaprint.
const PIECE: usize = 32_768;

/// Mixes and resamples what goes by. What comes out does not depend on how it was cut.
#[derive(Debug, Clone)]
pub(super) struct Front {
    channels: usize,
    /// Mono, at the rate of the input: `fill` samples, up to `PIECE`, and slack for the resampler.
    piece: Vec<i16>,
    fill: usize,
    /// Interleaved samples of a frame of which the rest has not come.
    partial: Vec<i16>,
    resampler: Option<Resampler>,
    resampled: Vec<i16>,
}

impl Front {
    /// For PCM of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8).
    pub fn new(sample_rate: u32, channels: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        let resampler = (sample_rate != RATE).then(|| Resampler::new(sample_rate));
        let slack = resampler.as_ref().map_or(0, Resampler::slack);
        Ok(Self {
            channels,
            piece: vec![0; PIECE + slack],
            fill: 0,
            partial: Vec::with_capacity(channels),
            resampler,
            resampled: Vec::new(),
        })
    }

    /// Hears the next samples of 16 bit, frame after frame (L R L R …). A last frame that is not whole waits for its rest.
    pub fn push_i16(&mut self, mut interleaved: &[i16], heard: &mut impl FnMut(&[i16])) {
        while !self.partial.is_empty() && !interleaved.is_empty() {
            self.partial.push(interleaved[0]);
            interleaved = &interleaved[1..];
            if self.partial.len() == self.channels {
                let frame = std::mem::take(&mut self.partial);
                self.push_frames(&frame, heard);
                self.partial = frame;
                self.partial.clear();
            }
        }
        let whole = interleaved.len() / self.channels * self.channels;
        self.push_frames(&interleaved[..whole], heard);
        self.partial.extend_from_slice(&interleaved[whole..]);
    }

    fn push_frames(&mut self, mut interleaved: &[i16], heard: &mut impl FnMut(&[i16])) {
        let channels = self.channels;
        while !interleaved.is_empty() {
            let frames = (PIECE - self.fill).min(interleaved.len() / channels);
            let (now, later) = interleaved.split_at(frames * channels);
            let mono = &mut self.piece[self.fill..][..frames];
            match channels {
                1 => mono.copy_from_slice(now),
                2 => mix_frames(now.as_chunks().0, mono),
                n => {
                    for (y, frame) in mono.iter_mut().zip(now.chunks_exact(n)) {
                        *y = (frame.iter().map(|&x| i32::from(x)).sum::<i32>() / n as i32) as i16;
                    }
                }
            }
            interleaved = later;
            self.filled(frames, heard);
        }
    }

    /// How many frames these are, one slice per channel. Errors when they are not as many as the channels, or not of one
    /// length.
    pub fn frames(&self, channels: &[&[f32]]) -> Result<usize> {
        if channels.len() != self.channels {
            return Err(Error::invalid(format!(
                "{} channels were pushed, but the fingerprinter was made for {}",
                channels.len(),
                self.channels
            )));
        }
        common_length(channels)
    }

    /// Hears the next frames, one slice per channel, 1.0 being full scale: each sample is rounded to 16 bit first (to even
    /// between two, NaN is 0). All slices must be of one length.
    pub fn push_channels(&mut self, channels: &[&[f32]], heard: &mut impl FnMut(&[i16])) -> Result<()> {
        let frames = self.frames(channels)?;
        let mut at = 0;
        while at < frames {
            let now = (PIECE - self.fill).min(frames - at);
            let mono = &mut self.piece[self.fill..][..now];
            match channels {
                [x] => convert(&x[at..], mono),
                [l, r] => mix(&l[at..], &r[at..], mono),
                _ => {
                    for (n, y) in mono.iter_mut().enumerate() {
                        let sum: i32 = channels.iter().map(|x| to_i16(x[at + n])).sum();
                        *y = (sum / channels.len() as i32) as i16;
                    }
                }
            }
            at += now;
            self.filled(now, heard);
        }
        Ok(())
    }

    /// `frames` more are in the piece.
    fn filled(&mut self, frames: usize, heard: &mut impl FnMut(&[i16])) {
        self.fill += frames;
        if self.fill == PIECE {
            self.hear(heard);
        }
    }

    /// What the piece holds goes on its way.
    fn hear(&mut self, heard: &mut impl FnMut(&[i16])) {
        match &mut self.resampler {
            None => {
                let fill = std::mem::take(&mut self.fill);
                heard(&self.piece[..fill]);
            }
            Some(resampler) => {
                self.resampled.clear();
                let done = resampler.process(&self.piece, self.fill, PIECE, &mut self.resampled).min(self.fill);
                self.piece.copy_within(done..self.fill, 0);
                self.fill -= done;
                heard(&self.resampled);
            }
        }
    }

    /// The last samples. `rest` gets those that are lost to a Chromaprint.
    pub fn finish(mut self, heard: &mut impl FnMut(&[i16]), rest: &mut impl FnMut(&[i16])) {
        if self.fill > 0 {
            self.hear(heard);
        }
        if self.resampler.is_some() {
            loop {
                let before = self.fill;
                self.hear(rest);
                if self.fill == before {
                    break;
                }
            }
        }
    }
}

with_wide_registers! {
    fn mix_frames(frames: &[[i16; 2]], mono: &mut [i16]) {
        for (y, [l, r]) in mono.iter_mut().zip(frames) {
            *y = ((i32::from(*l) + i32::from(*r)) / 2) as i16;
        }
    }
}

with_wide_registers! {
    fn convert(x: &[f32], mono: &mut [i16]) {
        mono.iter_mut().zip(x).for_each(|(y, &x)| *y = to_i16(x) as i16);
    }
}

with_wide_registers! {
    fn mix(l: &[f32], r: &[f32], mono: &mut [i16]) {
        for ((y, &l), &r) in mono.iter_mut().zip(l).zip(r) {
            *y = ((to_i16(l) + to_i16(r)) / 2) as i16;
        }
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

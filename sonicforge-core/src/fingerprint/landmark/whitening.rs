//! Levels → how far each band is above its own mean over ±1.5 s: what stays the same (an equalizer, a room, a hum) is gone.
//!
//! The mean looks as far ahead as back, so nothing is shifted in time. All in integers: exact, however long the sound.

use super::BANDS;
use super::spectrogram::{Levels, whole};
use crate::dsp::kernels::with_wide_registers;

/// Frames on either side of the mean.
const REACH: usize = 64;
/// Frames that it spans.
const SPAN: usize = 2 * REACH + 1;

#[derive(Debug, Clone)]
pub(super) struct Whitening {
    /// The last `SPAN` frames in a ring. Where none has been there is silence.
    past: Vec<Levels>,
    sums: [i32; BANDS],
    /// Frames so far.
    frames: usize,
}

impl Default for Whitening {
    fn default() -> Self {
        Self { past: vec![[0; BANDS]; SPAN], sums: [0; BANDS], frames: 0 }
    }
}

impl Whitening {
    /// Takes the next frame; gives the whitened frame from `REACH` frames ago.
    pub fn push(&mut self, levels: &Levels, out: impl FnMut(&Levels)) {
        self.step(levels, (self.frames + 1).min(SPAN), out);
    }

    /// Gives the frames that still wait; for them the mean reaches less far ahead.
    pub fn finish(mut self, mut out: impl FnMut(&Levels)) {
        let end = self.frames;
        for frame in end..end + REACH {
            self.step(&[0; BANDS], end - (frame + 1).saturating_sub(SPAN), &mut out);
        }
    }

    /// Takes a frame, after which the mean is over this many.
    fn step(&mut self, levels: &Levels, spanned: usize, mut out: impl FnMut(&Levels)) {
        let (at, now) = (self.frames % SPAN, (self.frames + SPAN - REACH) % SPAN);
        slide(&mut self.sums, levels, &self.past[at]);
        self.past[at] = *levels;
        self.frames += 1;
        if self.frames > REACH {
            out(&above(&self.past[now], &self.sums, 1.0 / spanned as f32));
        }
    }
}

with_wide_registers! {
    /// One frame comes, one goes.
    fn slide(sums: &mut [i32; BANDS], new: &Levels, old: &Levels) {
        for ((sum, new), old) in sums.iter_mut().zip(new).zip(old) {
            *sum += i32::from(*new) - i32::from(*old);
        }
    }
}

with_wide_registers! {
    fn above(levels: &Levels, sums: &[i32; BANDS], scale: f32) -> Levels {
        std::array::from_fn(|b| levels[b] - whole(sums[b] as f32 * scale))
    }
}

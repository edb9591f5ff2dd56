//! Levels → how far each band is above its own mean over ±1.5 s: what stays the same (an equalizer, a room, a hum) is gone.
//!
//! The mean looks as far ahead as back, so nothing is shifted in time. All in integers: exact, however long the sound.

use std::collections::VecDeque;

use super::BANDS;
use super::spectrogram::Levels;

/// Frames on either side of the mean.
const REACH: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Whitening {
    /// The last frames, as many as the mean spans.
    past: VecDeque<Levels>,
    /// Which of them comes next.
    next: usize,
    sums: Vec<i32>,
}

impl Whitening {
    /// Takes the next frame; gives the whitened frame from `REACH` frames ago.
    pub fn push(&mut self, levels: &Levels, out: impl FnMut(&Levels)) {
        self.sums.resize(BANDS, 0);
        if self.past.len() == 2 * REACH + 1 {
            let old = self.past.pop_front().expect("it is full");
            self.sums.iter_mut().zip(old).for_each(|(s, x)| *s -= i32::from(x));
            self.next -= 1;
        }
        self.sums.iter_mut().zip(levels).for_each(|(s, &x)| *s += i32::from(x));
        self.past.push_back(*levels);
        if self.past.len() > self.next + REACH {
            self.give(out);
        }
    }

    /// Gives the frames that still wait; for them the mean reaches less far ahead.
    pub fn finish(mut self, mut out: impl FnMut(&Levels)) {
        while self.next < self.past.len() {
            while self.next > REACH {
                let old = self.past.pop_front().expect("next is one of them");
                self.sums.iter_mut().zip(old).for_each(|(s, x)| *s -= i32::from(x));
                self.next -= 1;
            }
            self.give(&mut out);
        }
    }

    fn give(&mut self, mut out: impl FnMut(&Levels)) {
        let scale = 1.0 / self.past.len() as f32;
        let now = &self.past[self.next];
        let white = std::array::from_fn(|b| now[b] - (self.sums[b] as f32 * scale) as i16);
        self.next += 1;
        out(&white);
    }
}

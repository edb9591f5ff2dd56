//! Whitened frames → peaks: maxima of their neighbourhood, and how many around them are stronger.

use std::collections::VecDeque;

use super::BANDS;
use super::constellation::Constellation;
use super::spectrogram::{Levels, Spectrogram};
use super::whitening::Whitening;
use crate::dsp::kernels::with_wide_registers;

/// A peak is the maximum of this many frames on either side …
const FRAMES: usize = 4;
/// … and this many bands.
const NEIGHBOURS: usize = 4;
/// Frames that are looked at for the peaks of the one in the middle.
const ROWS: usize = 2 * FRAMES + 1;
/// Below everything.
const LOWEST: Levels = [i16::MIN; BANDS];
/// And at least this far above the mean, in 1/256 neper.
const HEIGHT: i16 = 77;
/// Frames on either side among which a peak's rank is counted: about a second in all.
pub(super) const RANK_REACH: u32 = 21;

/// A maximum of the whitened spectrogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Peak {
    /// Frame from the beginning of the sound.
    pub frame: u32,
    pub band: u8,
    /// Where the top lies between the bands, from −64 to 64 for half a band.
    pub fraction: i8,
    /// Above the mean, in 1/256 neper.
    pub height: i16,
    /// How many peaks within [`RANK_REACH`] frames are higher.
    pub rank: u16,
}

/// Finds the peaks of frames that come one after the other.
#[derive(Debug, Clone)]
pub(super) struct Peaks {
    /// The last `ROWS` frames in a ring, and their maxima over the bands. Where none has been, and behind the end, all is
    /// lower than anything.
    rows: [Levels; ROWS],
    widest: [Levels; ROWS],
    /// Frames so far.
    frames: u32,
    /// Peaks whose rank is not yet known, and those before them that count.
    near: VecDeque<Peak>,
    /// How many of `near` have been given.
    given: usize,
}

impl Default for Peaks {
    fn default() -> Self {
        let rows = [LOWEST; ROWS];
        Self { rows, widest: rows, frames: 0, near: VecDeque::new(), given: 0 }
    }
}

impl Peaks {
    pub fn push(&mut self, white: &Levels, mut out: impl FnMut(&Peak)) {
        if let Some(frame) = self.step(white) {
            self.give(frame, &mut out);
        }
    }

    /// The last frames, which have fewer behind them, and the peaks that still wait.
    pub fn finish(mut self, mut out: impl FnMut(&Peak)) {
        for _ in 0..FRAMES {
            self.step(&LOWEST);
        }
        self.give(u32::MAX, &mut out);
    }

    /// Takes a frame, and looks for peaks in the one of `FRAMES` ago. Says which that was.
    fn step(&mut self, white: &Levels) -> Option<u32> {
        let at = self.frames as usize % ROWS;
        self.rows[at] = *white;
        self.widest[at] = widest(white);
        self.frames += 1;
        let frame = self.frames.checked_sub(FRAMES as u32 + 1)?;
        self.look(frame);
        Some(frame)
    }

    fn look(&mut self, frame: u32) {
        let row = |frame: usize| &self.rows[frame % ROWS];
        let middle = frame as usize + ROWS;
        let white = row(middle);
        for (n, eight) in tops(white, &self.widest).iter().enumerate().filter(|(_, eight)| **eight != [0; 8]) {
            for band in (8 * n..8 * n + 8).filter(|band| eight[band % 8] != 0) {
                let y = white[band];
                let around = band.saturating_sub(NEIGHBOURS)..(band + NEIGHBOURS + 1).min(BANDS);
                // Of two equal neighbours the first is the peak.
                let twin = (middle - FRAMES..middle).any(|r| row(r)[around.clone()].contains(&y))
                    || white[around.start..band].contains(&y);
                if twin {
                    continue;
                }
                // The top of the parabola through three bands.
                let (a, b, c) = (f32::from(white[band - 1]), f32::from(y), f32::from(white[band + 1]));
                let bend = a - 2.0 * b + c;
                let offset = if bend < 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 };
                let fraction = (offset * 128.0) as i8;
                self.near.push_back(Peak { frame, band: band as u8, fraction, height: y, rank: 0 });
            }
        }
    }

    /// Gives the peaks that have heard everything within reach, now that frame `now` is the last that was looked at.
    fn give(&mut self, now: u32, out: &mut impl FnMut(&Peak)) {
        while let Some(&peak) = self.near.get(self.given) {
            if now < u32::MAX && peak.frame + RANK_REACH > now {
                return;
            }
            while self.near[0].frame + RANK_REACH < peak.frame {
                self.near.pop_front();
                self.given -= 1;
            }
            let within = self.near.iter().take_while(|p| p.frame <= peak.frame + RANK_REACH);
            let rank = within.filter(|p| p.height > peak.height).count() as u16;
            out(&Peak { rank, ..peak });
            self.given += 1;
        }
    }
}

with_wide_registers! {
    /// One where a band is as high as all around it, and high enough. Not at either end, where a band lacks a neighbour. In
    /// eights, most of which have none.
    fn tops(white: &Levels, widest: &[Levels; ROWS]) -> [[u8; 8]; BANDS.div_ceil(8)] {
        let mut most = [HEIGHT; BANDS];
        for row in widest {
            most.iter_mut().zip(row).for_each(|(m, &x)| *m = (*m).max(x));
        }
        let mut eights = [[0; 8]; _];
        let tops = eights.as_flattened_mut();
        tops.iter_mut().zip(white).zip(&most).for_each(|((top, y), m)| *top = u8::from(y >= m));
        tops[0] = 0;
        tops[BANDS - 1] = 0;
        eights
    }
}

with_wide_registers! {
    /// For each band the maximum of it and its neighbours.
    fn widest(row: &Levels) -> Levels {
        let mut padded = [i16::MIN; BANDS + 2 * NEIGHBOURS];
        padded[NEIGHBOURS..NEIGHBOURS + BANDS].copy_from_slice(row);
        let mut out = LOWEST;
        for shift in 0..=2 * NEIGHBOURS {
            out.iter_mut().zip(&padded[shift..]).for_each(|(m, &x)| *m = (*m).max(x));
        }
        out
    }
}

/// Samples at 11 025 Hz → whitened frames and their peaks.
#[derive(Debug, Clone)]
pub(super) struct PeakFinder {
    spectrogram: Spectrogram,
    whitening: Whitening,
    peaks: Peaks,
}

impl PeakFinder {
    pub fn new() -> Self {
        Self { spectrogram: Spectrogram::new(), whitening: Whitening::default(), peaks: Peaks::default() }
    }

    /// Hears the next samples.
    pub fn push(&mut self, samples: &[i16], mut frame: impl FnMut(&Levels), mut peak: impl FnMut(&Peak)) {
        let Self { spectrogram, whitening, peaks } = self;
        spectrogram.push(samples, |levels| {
            whitening.push(levels, |white| {
                frame(white);
                peaks.push(white, &mut peak);
            });
        });
    }

    /// What still waits. Says how many frames there were.
    pub fn finish(self, mut frame: impl FnMut(&Levels), mut peak: impl FnMut(&Peak)) -> u32 {
        let Self { spectrogram, mut whitening, mut peaks } = self;
        let mut hear = |white: &Levels| {
            frame(white);
            peaks.push(white, &mut peak);
        };
        spectrogram.finish(|levels| whitening.push(levels, &mut hear));
        whitening.finish(hear);
        let frames = peaks.frames;
        peaks.finish(peak);
        frames
    }
}

/// Samples at 11 025 Hz → the constellation of a sound that goes by.
#[derive(Debug, Clone)]
pub(crate) struct Extractor {
    finder: PeakFinder,
    constellation: Constellation,
}

impl Extractor {
    pub fn new() -> Self {
        Self { finder: PeakFinder::new(), constellation: Constellation::default() }
    }

    pub fn push(&mut self, samples: &[i16]) {
        let Self { finder, constellation } = self;
        finder.push(samples, |_| (), |peak| constellation.push(peak));
    }

    pub fn finish(self) -> Constellation {
        let Self { finder, mut constellation } = self;
        let frames = finder.finish(|_| (), |peak| constellation.push(peak));
        constellation.end(frames);
        constellation
    }
}

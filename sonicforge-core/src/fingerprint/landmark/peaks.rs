//! Whitened frames → peaks: maxima of their neighbourhood, and how many around them are stronger.

use std::collections::VecDeque;

use super::BANDS;
use super::constellation::Constellation;
use super::spectrogram::{Levels, Spectrogram};
use super::whitening::Whitening;

/// A peak is the maximum of this many frames on either side …
const FRAMES: usize = 4;
/// … and this many bands.
const NEIGHBOURS: usize = 4;
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
#[derive(Debug, Clone, Default)]
pub(super) struct Peaks {
    /// The last 2·`FRAMES` + 1 frames, and their maxima over the bands.
    rows: VecDeque<(Levels, Levels)>,
    /// Frames so far.
    frames: u32,
    /// Peaks whose rank is not yet known, and those before them that count.
    near: VecDeque<Peak>,
    /// How many of `near` have been given.
    given: usize,
}

impl Peaks {
    pub fn push(&mut self, white: &Levels, mut out: impl FnMut(&Peak)) {
        if self.rows.len() == 2 * FRAMES + 1 {
            self.rows.pop_front();
        }
        self.rows.push_back((*white, widest(white)));
        self.frames += 1;
        if self.frames > FRAMES as u32 {
            self.look(self.rows.len() - 1 - FRAMES, self.frames - 1 - FRAMES as u32);
            self.give(self.frames - 1 - FRAMES as u32, &mut out);
        }
    }

    /// The last frames, which have fewer behind them, and the peaks that still wait.
    pub fn finish(mut self, mut out: impl FnMut(&Peak)) {
        for back in (0..FRAMES.min(self.rows.len())).rev() {
            self.look(self.rows.len() - 1 - back, self.frames - 1 - back as u32);
        }
        self.give(u32::MAX, &mut out);
    }

    /// Looks for peaks in row `at`, which is frame `frame`.
    fn look(&mut self, at: usize, frame: u32) {
        let low = at.saturating_sub(FRAMES);
        let high = (at + FRAMES).min(self.rows.len() - 1);
        let mut most = self.rows[low].1;
        for (_, row) in self.rows.range(low + 1..=high) {
            most.iter_mut().zip(row).for_each(|(m, &x)| *m = (*m).max(x));
        }
        let white = &self.rows[at].0;
        for band in 1..BANDS - 1 {
            let y = white[band];
            if y < most[band] || y < HEIGHT {
                continue;
            }
            // Of two equal neighbours the first is the peak.
            let twin = (low..at).any(|r| {
                self.rows[r].0[band.saturating_sub(NEIGHBOURS)..(band + NEIGHBOURS + 1).min(BANDS)].contains(&y)
            }) || white[band.saturating_sub(NEIGHBOURS)..band].contains(&y);
            if twin {
                continue;
            }
            // The top of the parabola through three bands.
            let (a, b, c) = (f32::from(white[band - 1]), f32::from(y), f32::from(white[band + 1]));
            let bend = a - 2.0 * b + c;
            let offset = if bend < 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 };
            self.near.push_back(Peak { frame, band: band as u8, fraction: (offset * 128.0) as i8, height: y, rank: 0 });
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

/// For each band the maximum of it and its neighbours.
fn widest(row: &Levels) -> Levels {
    let mut padded = [i16::MIN; BANDS + 2 * NEIGHBOURS];
    padded[NEIGHBOURS..NEIGHBOURS + BANDS].copy_from_slice(row);
    let mut out = [i16::MIN; BANDS];
    for shift in 0..=2 * NEIGHBOURS {
        out.iter_mut().zip(&padded[shift..]).for_each(|(m, &x)| *m = (*m).max(x));
    }
    out
}

/// Samples at 11 025 Hz → the constellation of a sound that goes by.
#[derive(Debug, Clone)]
pub(crate) struct Extractor {
    spectrogram: Spectrogram,
    whitening: Whitening,
    peaks: Peaks,
    constellation: Constellation,
}

impl Extractor {
    pub fn new() -> Self {
        Self {
            spectrogram: Spectrogram::new(),
            whitening: Whitening::default(),
            peaks: Peaks::default(),
            constellation: Constellation::default(),
        }
    }

    pub fn push(&mut self, samples: &[i16]) {
        let Self { spectrogram, whitening, peaks, constellation } = self;
        spectrogram.push(samples, |levels| {
            whitening.push(levels, |white| peaks.push(white, |peak| constellation.push(peak)));
        });
    }

    pub fn finish(self) -> Constellation {
        let Self { spectrogram, mut whitening, mut peaks, mut constellation } = self;
        spectrogram.finish(|levels| whitening.push(levels, |white| peaks.push(white, |peak| constellation.push(peak))));
        whitening.finish(|white| peaks.push(white, |peak| constellation.push(peak)));
        let frames = peaks.frames;
        peaks.finish(|peak| constellation.push(peak));
        constellation.end(frames);
        constellation
    }
}

//! Which gain into the limiter makes which loudness: found without running the limiter.
//!
//! While the chain is measured, every group of 16 frames leaves two numbers behind: its peak between the samples and its
//! K-weighted energy. The limiter's gain moves slowly against 16 frames, so its ballistics and windows can be run on the
//! groups (`gain_g`), and the loudness after it is that of the energies `gain_g²·energy_g`, gated as in BS.1770-4. That costs
//! about a thousandth of the limiter, so the drive is found by bisection. What the model leaves over (some hundredths of a
//! LU) is measured on the output and taken off in the next pass, if it matters at all.
//!
//! Memory is bounded: from 4 million groups on (some 20 minutes at 48 kHz), neighbours are merged.

use crate::analyze::{channel_weights, gated_loudness};
use crate::audio::Block;
use crate::dsp::QUANTUM;
use crate::dsp::interpolate::{LOOK_BEHIND, PeakBetween};
use crate::dsp::k_weighting::KWeightingPair;
use crate::dsp::sliding::{SlidingMean, SlidingMin};
use crate::master::limiter::{CHECKED_MARGIN_DB, LimiterParams, Release, windows};
use crate::units::{db_to_gain, gain_to_db};

const GROUP: usize = 16;
/// By how many groups the peaks lag behind the energies.
const LAG: usize = LOOK_BEHIND / GROUP;
const MAX_GROUPS: usize = 4 << 20;

#[derive(Debug, Clone, Copy, Default)]
struct Group {
    /// Largest magnitude between the samples.
    peak: f32,
    /// Sum of the weighted squares of all channels.
    energy: f32,
}

/// What the limiter would be fed with, in brief.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    sample_rate: f64,
    channels: usize,
    groups: Vec<Group>,
    group_frames: usize,
    k_weighting: KWeightingPair,
    peaks: PeakBetween,
    /// The quantum being filled.
    pending: [[f64; QUANTUM]; 2],
    filled: usize,
    /// Groups whose energy is known but whose peak is not yet.
    energies: [f32; LAG],
    merged: usize,
}

impl Envelope {
    pub(crate) fn new(sample_rate: u32, channels: usize) -> Self {
        Self {
            sample_rate: f64::from(sample_rate),
            channels,
            groups: Vec::new(),
            group_frames: GROUP,
            k_weighting: KWeightingPair::new(sample_rate),
            peaks: PeakBetween::default(),
            pending: [[0.0; QUANTUM]; 2],
            filled: 0,
            energies: [0.0; LAG],
            merged: 0,
        }
    }

    /// Takes in the next frames.
    pub(crate) fn push(&mut self, block: &Block<'_>) {
        let mut at = 0;
        while at < block.frames() {
            let len = (QUANTUM - self.filled).min(block.frames() - at);
            for c in 0..self.channels {
                for (to, &x) in self.pending[c][self.filled..].iter_mut().zip(&block.channel(c)[at..at + len]) {
                    *to = f64::from(x);
                }
            }
            self.filled += len;
            at += len;
            if self.filled == QUANTUM {
                self.turn();
            }
        }
    }

    fn turn(&mut self) {
        self.filled = 0;
        let mut peaks = [0.0; QUANTUM];
        self.peaks.process(&self.pending[..self.channels], 0.0, false, &mut peaks);
        let weight = channel_weights(self.channels)[0];
        for g in 0..QUANTUM / GROUP {
            let peak = peaks[g * GROUP..(g + 1) * GROUP].iter().fold(0.0f32, |m, &p| m.max(p));
            self.add(Group { peak, energy: self.energies[0] });
            let mut sums = [0.0; 2];
            let mut lanes = [[0.0f32; GROUP]; 2];
            for c in 0..2 {
                let from = &self.pending[c.min(self.channels - 1)][g * GROUP..(g + 1) * GROUP];
                for (y, &x) in lanes[c].iter_mut().zip(from) {
                    *y = x as f32;
                }
            }
            self.k_weighting.add_energy(&lanes[0], &lanes[1], &mut sums);
            let sum = if self.channels == 1 { sums[0] } else { sums[0] + sums[1] };
            self.energies.rotate_left(1);
            self.energies[LAG - 1] = (weight * sum) as f32;
        }
        self.k_weighting.flush();
    }

    fn add(&mut self, group: Group) {
        let parts = self.group_frames / GROUP;
        if self.merged == 0 {
            self.groups.push(group);
        } else if let Some(last) = self.groups.last_mut() {
            last.peak = last.peak.max(group.peak);
            last.energy += group.energy;
        }
        self.merged = (self.merged + 1) % parts;
        if self.groups.len() == MAX_GROUPS && self.merged == 0 {
            for i in 0..MAX_GROUPS / 2 {
                let (a, b) = (self.groups[2 * i], self.groups[2 * i + 1]);
                self.groups[i] = Group { peak: a.peak.max(b.peak), energy: a.energy + b.energy };
            }
            self.groups.truncate(MAX_GROUPS / 2);
            self.group_frames *= 2;
        }
    }

    /// Draws out what is pending.
    pub(crate) fn finish(&mut self) {
        let mut frames = self.filled + LOOK_BEHIND;
        while frames > 0 {
            for c in 0..self.channels {
                self.pending[c][self.filled..].fill(0.0);
            }
            self.turn();
            frames = frames.saturating_sub(QUANTUM);
        }
    }

    /// The highest true peak in dBTP; minus infinity in silence.
    pub(crate) fn peak_db(&self) -> f64 {
        gain_to_db(f64::from(self.groups.iter().fold(0.0f32, |m, g| m.max(g.peak))))
    }

    /// Integrated loudness in LUFS after a gain of `drive_db` and this limiter; `None` when there is nothing to measure.
    pub(crate) fn loudness(&self, limiter: &LimiterParams, drive_db: f64) -> Option<f64> {
        let rate = self.sample_rate / self.group_frames as f64;
        let drive = db_to_gain(drive_db);
        let ceiling = db_to_gain(limiter.ceiling_dbtp - CHECKED_MARGIN_DB);
        let over = (ceiling / drive) as f32;
        let (minimum, mean) = windows(limiter.lookahead_ms, rate);
        // A group's peak stands for all its frames: the window of frames is two groups shorter than that of groups.
        let minimum = minimum.saturating_sub(2).max(1) | 1;
        let mut low = SlidingMin::new(minimum, 1.0);
        let mut means = [SlidingMean::new(mean, 1.0), SlidingMean::new(mean, 1.0)];
        let lag = minimum / 2 + (mean - 1);
        let mut release = Release::new(limiter, rate);
        let block_groups = self.sample_rate * 0.1 / self.group_frames as f64;
        let mut blocks: Vec<f32> = Vec::with_capacity((self.groups.len() as f64 / block_groups) as usize + 2);
        let (mut sum, mut next) = (0.0, block_groups);
        let scale = drive * drive / (self.sample_rate * 0.1);
        let silent = std::iter::repeat_n(Group::default(), lag);
        for (i, group) in self.groups.iter().copied().chain(silent).enumerate() {
            let wish = if group.peak > over { f64::from(over / group.peak) } else { 1.0 };
            let gain = low.step(release.step(wish));
            let gain = means[0].step(gain);
            let gain = means[1].step(gain);
            if i >= lag {
                let at = i - lag;
                sum += gain * gain * f64::from(self.groups[at].energy);
                if (at + 1) as f64 >= next {
                    blocks.push((sum * scale) as f32);
                    sum = 0.0;
                    next += block_groups;
                }
            }
        }
        gated_loudness(&blocks)
    }

    /// The drive in dB that makes `target_lufs` (plus `correction_lu`, what the model is known to read too high), and whether
    /// `max_reduction_db` at the loudest peak allowed it. `None` when there is nothing to measure.
    pub(crate) fn solve(
        &self,
        limiter: &LimiterParams,
        target_lufs: f64,
        correction_lu: f64,
        max_reduction_db: f64,
    ) -> Option<Solution> {
        // Just below the ceiling nothing is limited, and loudness is linear in the gain.
        let untouched = limiter.ceiling_dbtp - CHECKED_MARGIN_DB - self.peak_db();
        let lowest = target_lufs + correction_lu - (self.loudness(limiter, untouched)? - untouched);
        let most =
            (max_reduction_db + limiter.ceiling_dbtp - CHECKED_MARGIN_DB - self.peak_db()).max(lowest.min(untouched));
        if lowest <= untouched {
            return Some(Solution { drive_db: lowest, needed_db: lowest, within_budget: true });
        }
        // Secant steps; the slope is 1 without limiting and falls as it sets in.
        let wish = target_lufs + correction_lu;
        let (mut drive, mut slope) = (lowest, 1.0);
        let mut before: Option<(f64, f64)> = None;
        for _ in 0..12 {
            let loudness = self.loudness(limiter, drive)?;
            if let Some((d, l)) = before
                && (drive - d).abs() > 1e-6
            {
                slope = ((loudness - l) / (drive - d)).clamp(0.02, 1.0);
            }
            if (wish - loudness).abs() < 2e-3 {
                break;
            }
            before = Some((drive, loudness));
            drive = (drive + (wish - loudness) / slope).clamp(lowest, lowest + 60.0);
        }
        let within = drive <= most;
        Some(Solution { drive_db: drive.min(most), needed_db: drive, within_budget: within })
    }
}

/// What [`Envelope::solve`] found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Solution {
    /// Gain into the limiter that the budget allows.
    pub(crate) drive_db: f64,
    /// Gain into the limiter that the target needs.
    pub(crate) needed_db: f64,
    /// Whether the two are one.
    pub(crate) within_budget: bool,
}

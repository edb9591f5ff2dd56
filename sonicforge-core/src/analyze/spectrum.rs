//! The long-term spectrum in 1/3 octaves (IEC 61260-1, base ten: edges at 1000·10^((2n ± 1)/20) Hz), by Welch's method: P. D. Welch, "The use
//! of fast Fourier transform for the estimation of power spectra", IEEE Trans. AU-15 (1967).
//!
//! Sine windows that overlap by half: their squares add up to one, so every sample counts alike and, by Parseval, the
//! bins add up to the mean square of the sound. Windows reach over both ends of the sound into silence. A bin on the
//! edge of two bands is shared between them.

use crate::dsp::stft::Stft;
use crate::dsp::window::sine;
use crate::units::power_to_db;

use super::analysis::{BAND_FLOOR_DB, BandLevel};
use super::quantum::Quantum;

/// Bins are at most this wide, in Hz.
const RESOLUTION_HZ: f64 = 3.0;
/// Nominal centres in Hz, bands 14 to 43 of the standard.
const CENTERS: [f64; 30] = [
    25.0, 31.5, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0, 500.0, 630.0, 800.0, 1_000.0,
    1_250.0, 1_600.0, 2_000.0, 2_500.0, 3_150.0, 4_000.0, 5_000.0, 6_300.0, 8_000.0, 10_000.0, 12_500.0, 16_000.0,
    20_000.0,
];
/// The number of the first band: 1000·10^(14/10 − 3) Hz is 25.1 Hz.
const FIRST_BAND: f64 = 14.0;

/// Nominal centre frequencies in Hz of the bands that an [`Analysis`](super::Analysis) lists at this sample rate: all
/// whose exact centre lies below half the rate.
pub fn third_octave_centers(sample_rate: u32) -> &'static [f64] {
    let n = (0..CENTERS.len()).take_while(|&i| edge(i, 0.0) < f64::from(sample_rate) / 2.0).count();
    &CENTERS[..n]
}

/// Exact centre (`side` 0), lower (−1) or upper edge (1) of band `i` in Hz.
fn edge(i: usize, side: f64) -> f64 {
    10f64.powf((FIRST_BAND + i as f64 + side / 2.0) / 10.0)
}

/// Spectra of one signal each: the channels, or mid and side of two channels.
#[derive(Debug, Clone)]
pub(super) struct Spectrum {
    sample_rate: u32,
    frames: u64,
    stft: Stft,
    lanes: Vec<Lane>,
    /// How much of the window is filled.
    filled: usize,
}

#[derive(Debug, Clone)]
struct Lane {
    /// One window of samples.
    samples: Vec<f32>,
    /// Whether any of the older and the newer half is not silent.
    sounds: [bool; 2],
    power: Vec<f64>,
}

impl Spectrum {
    pub(super) fn new(sample_rate: u32, channels: usize) -> Self {
        let len = (f64::from(sample_rate) / RESOLUTION_HZ).ceil() as usize;
        let stft = Stft::new(&sine(len.next_power_of_two()));
        let lane = Lane { samples: vec![0.0; stft.window_len()], sounds: [false; 2], power: vec![0.0; stft.bins()] };
        // The first window lies half before the beginning.
        Self { sample_rate, frames: 0, filled: stft.window_len() / 2, lanes: vec![lane; channels], stft }
    }

    pub(super) fn feed(&mut self, q: &Quantum) {
        self.frames += q.frames as u64;
        let mut start = 0;
        while start < q.frames {
            let n = (self.stft.window_len() - self.filled).min(q.frames - start);
            let (from, to) = (start..start + n, self.filled..self.filled + n);
            if let [mid, side] = &mut self.lanes[..] {
                let (l, r) = (&q.channel(0)[from.clone()], &q.channel(1)[from]);
                mid.sounds[1] |= q.peaks[0] > 0.0 || q.peaks[1] > 0.0;
                let mut peak = 0.0f32;
                for (((m, s), &l), &r) in mid.samples[to.clone()].iter_mut().zip(&mut side.samples[to]).zip(l).zip(r) {
                    *m = 0.5 * (l + r);
                    *s = 0.5 * (l - r);
                    peak = if s.abs() > peak { s.abs() } else { peak };
                }
                side.sounds[1] |= peak > 0.0;
            } else {
                for (c, lane) in self.lanes.iter_mut().enumerate() {
                    lane.samples[to.clone()].copy_from_slice(&q.channel(c)[from.clone()]);
                    lane.sounds[1] |= q.peaks[c] > 0.0;
                }
            }
            start += n;
            self.filled += n;
            if self.filled == self.stft.window_len() {
                self.transform();
            }
        }
    }

    fn transform(&mut self) {
        let half = self.stft.window_len() / 2;
        for lane in &mut self.lanes {
            if lane.sounds != [false; 2] {
                self.stft.add_power(&lane.samples, &mut lane.power);
            }
            lane.samples.copy_within(half.., 0);
            lane.sounds = [lane.sounds[1], false];
        }
        self.filled = half;
    }

    /// Lets silence follow until every sample has been in two windows.
    pub(super) fn finish(&mut self) {
        if self.frames == 0 {
            return;
        }
        for _ in 0..2 {
            for lane in &mut self.lanes {
                lane.samples[self.filled..].fill(0.0);
            }
            self.transform();
        }
    }

    /// Mean square per bin of the channels' average, and of the side.
    fn bins(&self, lane: impl Fn(usize) -> f64) -> Vec<f64> {
        // Parseval: Σ|X_k|² over all N bins is N times the window's energy; bins other than the first and last stand for two.
        let (n, last) = (self.stft.window_len() as f64, self.stft.bins() - 1);
        let scale = 1.0 / (n * self.frames.max(1) as f64);
        let total = |k: usize| self.lanes.iter().enumerate().map(|(i, l)| lane(i) * l.power[k]).sum::<f64>();
        (0..=last).map(|k| total(k) * scale * if k == 0 || k == last { 1.0 } else { 2.0 }).collect()
    }

    /// The average of the channels. With M and S in the lanes, (L² + R²)/2 = M² + S².
    pub(super) fn average(&self) -> Vec<f64> {
        let share = if self.lanes.len() == 2 { 1.0 } else { 1.0 / self.lanes.len() as f64 };
        self.bins(|_| share)
    }

    /// The side signal, when there is one.
    pub(super) fn side(&self) -> Option<Vec<f64>> {
        (self.lanes.len() == 2).then(|| self.bins(|i| i as f64))
    }

    fn bin_width(&self) -> f64 {
        f64::from(self.sample_rate) / self.stft.window_len() as f64
    }

    /// Levels of the bands of a spectrum made by this.
    pub(super) fn third_octaves(&self, bins: &[f64]) -> Vec<BandLevel> {
        let width = self.bin_width();
        let band = |(i, &center_hz): (usize, &f64)| {
            let (lo, hi) = (edge(i, -1.0), edge(i, 1.0));
            let (first, last) = ((lo / width).round() as usize, (hi / width).round() as usize);
            let power: f64 = (first..=last.min(bins.len() - 1))
                .map(|k| {
                    let (a, b) = ((k as f64 - 0.5) * width, (k as f64 + 0.5) * width);
                    bins[k] * ((b.min(hi) - a.max(lo)) / width).clamp(0.0, 1.0)
                })
                .sum();
            BandLevel { center_hz, level_db: power_to_db(power).max(BAND_FLOOR_DB) }
        };
        third_octave_centers(self.sample_rate).iter().enumerate().map(band).collect()
    }

    /// Σ f·√P / Σ √P from 20 Hz to 20 kHz.
    pub(super) fn centroid(&self, bins: &[f64]) -> Option<f64> {
        let width = self.bin_width();
        let (mut weighted, mut sum) = (0.0, 0.0);
        for (k, p) in bins.iter().enumerate() {
            let f = k as f64 * width;
            if (20.0..=20_000.0).contains(&f) {
                weighted += f * p.sqrt();
                sum += p.sqrt();
            }
        }
        (sum > 0.0).then(|| weighted / sum)
    }
}

//! Samples at 11 025 Hz → the level of 180 bands, 36 to the octave from 125 Hz to 3.9 kHz, every 23 ms.

use std::f64::consts::TAU;

use super::{BANDS, HOP, PER_OCTAVE};
use crate::dsp::stft::PairStft;

/// Samples per window: 186 ms.
pub(super) const WINDOW: usize = 2_048;
/// Centre of the lowest band.
pub(super) const LOW_HZ: f64 = 125.0;
/// Power that is added to every band, so that nothing below some −75 dBFS makes a peak.
const FLOOR: f32 = 3e4;

/// Levels of one frame, in 1/256 neper.
pub(super) type Levels = [i16; BANDS];

#[derive(Debug, Clone)]
pub(super) struct Spectrogram {
    stft: PairStft,
    first_bin: usize,
    /// Of two frames.
    power: [Vec<f32>; 2],
    /// Per band: the first of its bins, counted from `first_bin`, and how many weights it has.
    bands: Vec<(usize, usize)>,
    weights: Vec<f32>,
    waiting: Vec<i16>,
}

impl Spectrogram {
    pub fn new() -> Self {
        let step = TAU / WINDOW as f64;
        let window: Vec<f64> = (0..WINDOW).map(|n| 0.5 - 0.5 * (step * n as f64).cos()).collect();
        let bin_hz = 11_025.0 / WINDOW as f64;
        let center = |band: f64| LOW_HZ * (band / PER_OCTAVE).exp2() / bin_hz;
        let first_bin = (center(-1.0) - 2.0) as usize;
        let (mut bands, mut weights) = (Vec::new(), Vec::new());
        let mut end = first_bin;
        for band in 0..BANDS {
            // A triangle from the band below to the one above, no narrower than the bins are apart.
            let (low, mid, high) = (center(band as f64 - 1.0), center(band as f64), center(band as f64 + 1.0));
            let (low, high) = (low.min(mid - 1.0), high.max(mid + 1.0));
            let (from, to) = (low.floor() as usize + 1, (high.ceil() as usize).min(WINDOW / 2));
            let start = weights.len();
            for bin in from..to {
                let b = bin as f64;
                weights.push(if b < mid { (b - low) / (mid - low) } else { (high - b) / (high - mid) } as f32);
            }
            bands.push((from - first_bin, weights.len() - start));
            end = end.max(to);
        }
        let power = vec![0.0; end - first_bin];
        Self {
            stft: PairStft::new(&window),
            first_bin,
            power: [power.clone(), power],
            bands,
            weights,
            waiting: Vec::new(),
        }
    }

    /// Hears the next samples; `frame` gets the levels of each window, two by two: the first and the second, the third and the
    /// fourth, however the sound is cut.
    pub fn push(&mut self, samples: &[i16], mut frame: impl FnMut(&Levels)) {
        self.waiting.extend_from_slice(samples);
        let mut at = 0;
        while at + HOP + WINDOW <= self.waiting.len() {
            self.look(at, at + HOP);
            self.power.iter().for_each(|power| frame(&self.levels(power)));
            at += 2 * HOP;
        }
        self.waiting.drain(..at);
    }

    /// The last window, when it is without a second.
    pub fn finish(mut self, mut frame: impl FnMut(&Levels)) {
        if self.waiting.len() >= WINDOW {
            self.look(0, 0);
            frame(&self.levels(&self.power[0]));
        }
    }

    fn look(&mut self, first: usize, second: usize) {
        let [one, two] = &mut self.power;
        let window = |at: usize| &self.waiting[at..at + WINDOW];
        self.stft.power(window(first), window(second), self.first_bin, [one, two]);
    }

    fn levels(&self, power: &[f32]) -> Levels {
        let mut sums = [0.0f32; BANDS];
        let mut weights = &self.weights[..];
        for (sum, &(from, len)) in sums.iter_mut().zip(&self.bands) {
            let (now, later) = weights.split_at(len);
            weights = later;
            *sum = dot(now, &power[from..from + len]);
        }
        let mut levels = [0; BANDS];
        for (level, sum) in levels.iter_mut().zip(sums) {
            *level = half_ln(sum + FLOOR);
        }
        levels
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])) + rest
}

/// ½·ln x in 1/256 neper, x ≥ 1: the exponent, and of the mantissa m in [1, 2) a parabola for log2 m, within 0.008 neper.
#[inline(always)]
pub(super) fn half_ln(x: f32) -> i16 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000);
    let log2 = exponent as f32 + (-0.344_845 * m + 2.024_658) * m - 1.674_873;
    (log2 * (std::f32::consts::LN_2 * 128.0)) as i16
}

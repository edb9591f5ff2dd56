//! Samples at 11 025 Hz → the level of 180 bands, 36 to the octave from 125 Hz to 3.9 kHz, every 23 ms.

use std::f64::consts::TAU;
use std::ops::Range;

use super::{BANDS, HOP, PER_OCTAVE};
use crate::dsp::kernels::with_wide_registers;
use crate::dsp::stft::PairStft;

/// Samples per window: 186 ms.
pub(super) const WINDOW: usize = 2_048;
/// Centre of the lowest band.
pub(super) const LOW_HZ: f64 = 125.0;
/// Power that is added to every band of such windows, so that nothing below some −75 dBFS makes a peak.
const FLOOR: f32 = 3e4;

/// Frames that are worked on side by side, one in each lane of a register: the sums of each stay in their order.
const TOGETHER: usize = 8;

/// Levels of one frame, in 1/256 neper.
pub(super) type Levels = [i16; BANDS];

/// One number of each of the frames.
type Lanes = [f32; TOGETHER];

#[derive(Debug, Clone)]
pub(super) struct Spectrogram {
    stft: PairStft,
    bins: Range<usize>,
    /// Of two frames, per bin.
    pair: Vec<[f32; 2]>,
    /// Of all frames, per bin.
    power: Vec<Lanes>,
    bands: Bands,
    waiting: Vec<i16>,
}

impl Spectrogram {
    pub fn new() -> Self {
        Self::with_window(WINDOW)
    }

    /// With windows of so many samples.
    pub fn with_window(len: usize) -> Self {
        let step = TAU / len as f64;
        let window: Vec<f64> = (0..len).map(|n| 0.5 - 0.5 * (step * n as f64).cos()).collect();
        let (bands, bins) = Bands::new(len);
        Self {
            stft: PairStft::new(&window),
            pair: vec![[0.0; 2]; bins.len()],
            power: vec![[0.0; TOGETHER]; bins.len()],
            bins,
            bands,
            waiting: Vec::new(),
        }
    }

    /// Hears the next samples; `frame` gets the levels of each window, which were transformed two by two: the first and the
    /// second, the third and the fourth, however the sound is cut.
    pub fn push(&mut self, samples: &[i16], mut frame: impl FnMut(&Levels)) {
        self.waiting.extend_from_slice(samples);
        let mut at = 0;
        while at + (TOGETHER - 1) * HOP + self.stft.window_len() <= self.waiting.len() {
            self.look(at, TOGETHER).iter().for_each(&mut frame);
            at += TOGETHER * HOP;
        }
        self.waiting.drain(..at);
    }

    /// The last windows, which are too few to fill all lanes.
    pub fn finish(mut self, frame: impl FnMut(&Levels)) {
        if let Some(rest) = self.waiting.len().checked_sub(self.stft.window_len()) {
            let frames = rest / HOP + 1;
            self.look(0, frames)[..frames].iter().for_each(frame);
        }
    }

    /// The levels of this many windows, of which the first begins with sample `at`. A last one that is without a second is its
    /// own second.
    fn look(&mut self, at: usize, frames: usize) -> [Levels; TOGETHER] {
        let len = self.stft.window_len();
        let window = |frame: usize| &self.waiting[at + frame * HOP..][..len];
        for first in (0..frames).step_by(2) {
            let second = (first + 1).min(frames - 1);
            self.stft.power(window(first), window(second), self.bins.clone(), &mut self.pair);
            for (power, pair) in self.power.iter_mut().zip(&self.pair) {
                power.as_chunks_mut().0[first / 2] = *pair;
            }
        }
        levels(&self.bands, &self.power)
    }
}

/// Triangles over the bins.
#[derive(Debug, Clone)]
struct Bands {
    /// Per band: the first of its bins, counted from the first of all, and how many weights it has.
    spans: Vec<(usize, usize)>,
    weights: Vec<f32>,
    /// Power that is added to each.
    floor: f32,
}

impl Bands {
    /// For windows of so many samples; and which bins they lie over.
    fn new(window_len: usize) -> (Self, Range<usize>) {
        let bin_hz = 11_025.0 / window_len as f64;
        let center = |band: f64| LOW_HZ * (band / PER_OCTAVE).exp2() / bin_hz;
        let first_bin = (center(-1.0) - 2.0) as usize;
        let (mut spans, mut weights) = (Vec::new(), Vec::new());
        let mut end = first_bin;
        for band in 0..BANDS {
            // A triangle from the band below to the one above, no narrower than the bins are apart.
            let (low, mid, high) = (center(band as f64 - 1.0), center(band as f64), center(band as f64 + 1.0));
            let (low, high) = (low.min(mid - 1.0), high.max(mid + 1.0));
            let (from, to) = (low.floor() as usize + 1, (high.ceil() as usize).min(window_len / 2));
            let start = weights.len();
            for bin in from..to {
                let b = bin as f64;
                weights.push(if b < mid { (b - low) / (mid - low) } else { (high - b) / (high - mid) } as f32);
            }
            spans.push((from - first_bin, weights.len() - start));
            end = end.max(to);
        }
        let floor = FLOOR * window_len as f32 / WINDOW as f32;
        (Self { spans, weights, floor }, first_bin..end)
    }
}

with_wide_registers! {
    /// The levels of all frames, of the power of their bins.
    fn levels(bands: &Bands, power: &[Lanes]) -> [Levels; TOGETHER] {
        let mut sums = [[0.0; TOGETHER]; BANDS];
        let mut weights = &bands.weights[..];
        for (sum, &(from, len)) in sums.iter_mut().zip(&bands.spans) {
            let (now, later) = weights.split_at(len);
            weights = later;
            *sum = dot(now, &power[from..from + len]);
        }
        let mut by_band = [[0; TOGETHER]; BANDS];
        for (level, sum) in by_band.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            *level = half_ln(sum + bands.floor);
        }
        std::array::from_fn(|frame| std::array::from_fn(|band| by_band[band][frame]))
    }
}

/// Σ `weights[i]`·`power[i]`: eight sums, each of every eighth product, and one of the products at the end that do not make
/// eight.
#[inline(always)]
fn dot(weights: &[f32], power: &[Lanes]) -> Lanes {
    let (weights, last_weights) = weights.as_chunks::<8>();
    let (power, last_power) = power.as_chunks::<8>();
    let sum = add(
        add(pair(weights, power, 0), pair(weights, power, 2)),
        add(pair(weights, power, 1), pair(weights, power, 3)),
    );
    let last = last_weights.iter().zip(last_power);
    add(sum, last.fold([0.0; TOGETHER], |sum, (&weight, power)| add_product(sum, weight, power)))
}

/// The sums of the `first` of every eight products, and of the fourth after it.
#[inline(always)]
fn pair(weights: &[[f32; 8]], power: &[[Lanes; 8]], first: usize) -> Lanes {
    let mut sums = [[0.0; TOGETHER]; 2];
    for (weights, power) in weights.iter().zip(power) {
        sums[0] = add_product(sums[0], weights[first], &power[first]);
        sums[1] = add_product(sums[1], weights[first + 4], &power[first + 4]);
    }
    add(sums[0], sums[1])
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|n| a[n] + b[n])
}

#[inline(always)]
fn add_product(sum: Lanes, weight: f32, power: &Lanes) -> Lanes {
    std::array::from_fn(|n| sum[n] + weight * power[n])
}

/// ½·ln x in 1/256 neper, x ≥ 1: the exponent, and of the mantissa m in [1, 2) a parabola for log2 m, within 0.008 neper.
#[inline(always)]
pub(super) fn half_ln(x: f32) -> i16 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000);
    let log2 = exponent as f32 + (-0.344_845 * m + 2.024_658) * m - 1.674_873;
    whole(log2 * (std::f32::consts::LN_2 * 128.0))
}

/// What is before the point of a number that is one. As `x as i16`, which keeps the compiler from doing many at once.
#[inline(always)]
pub(super) fn whole(x: f32) -> i16 {
    // `max` and `min` also let no NaN pass.
    let x = x.max(i16::MIN.into()).min(i16::MAX.into());
    // SAFETY: a number of 16 bit fits in 32.
    unsafe { x.to_int_unchecked::<i32>() as i16 }
}

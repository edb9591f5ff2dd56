//! Rounding to an integer grid without distortion: TPDF dither and noise shaping.
//!
//! Sources:
//! - S. P. Lipshitz, R. A. Wannamaker, J. Vanderkooy, "Quantization and Dither: A Theoretical Survey", JAES 40 (5), 1992:
//!   triangular dither of 2 LSB peak to peak makes the first two moments of the total error independent of the signal. Its
//!   power is Δ²/12 (rounding) + Δ²/6 (dither) = Δ²/4, which is −93.3 dB re a full-scale sine at 16 bit.
//! - W. Verhelst, D. De Koning, "Noise shaping filter design for minimally audible signal requantization", WASPAA 2001: the
//!   optimal error filter is the linear predictor of noise that has the spectrum of the ear's sensitivity.
//! - E. Terhardt, "Calculating virtual pitch", Hearing Research 1, 1979: the threshold in quiet.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::audio::{Block, MAX_CHANNELS, check_format};
use crate::error::{Error, Result};

/// What is done when bits are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dither {
    /// Rounding to the nearest step, nothing else. Values that are already on the grid stay as they are.
    None,
    /// White triangular noise of 2 LSB peak to peak before rounding: no distortion, constant noise floor.
    #[default]
    Tpdf,
    /// The same, with the error fed back through a filter that moves it to where the ear is least sensitive.
    Shaped,
}

/// Taps of the error filter.
const ORDER: usize = 9;
/// So many zeros in a row (per channel) are taken for digital silence and stay zeros.
const BLANK_AFTER: u32 = 64;

/// Rounds samples to a grid of `bits` bits, in place and in `f32`: afterwards every sample is `n / 2^(bits−1)` for an
/// integer `n` from `−2^(bits−1)` to `2^(bits−1) − 1`, which `f32` holds exactly up to 24 bits.
///
/// The same seed gives the same samples, however the signal is cut into blocks; each channel has its own noise. What
/// exceeds full scale is clipped, NaN becomes zero. Digital silence stays digital silence: zeros at the beginning of the
/// stream, and whatever follows 64 zeros in a row until the next sample that is not zero, get no noise.
#[derive(Debug, Clone)]
pub struct Quantizer {
    dither: Dither,
    scale: f64,
    filter: [f64; ORDER],
    channels: Vec<Channel>,
}

#[derive(Debug, Clone)]
struct Channel {
    random: ChaCha8Rng,
    /// The last errors, newest first, in LSB.
    errors: [f64; ORDER],
    /// Length of the current run of zeros.
    zeros: u32,
}

impl Quantizer {
    /// A quantizer for `bits` (8 to 24) at this sample rate (only [`Dither::Shaped`] depends on it) and this many channels
    /// (1 to 8).
    pub fn new(bits: u32, dither: Dither, seed: u64, sample_rate: u32, channels: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        if !(8..=24).contains(&bits) {
            return Err(Error::invalid(format!("bits is {bits}; expected 8 to 24")));
        }
        let filter = if dither == Dither::Shaped { shaping_filter(sample_rate) } else { [0.0; ORDER] };
        let channels = (0..channels)
            .map(|c| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(c as u64);
                Channel { random, errors: [0.0; ORDER], zeros: BLANK_AFTER }
            })
            .collect();
        Ok(Self { dither, scale: (1u64 << (bits - 1)) as f64, filter, channels })
    }

    /// Rounds every sample of `block`.
    ///
    /// # Panics
    /// When the block has more channels than the quantizer was made for.
    pub fn process(&mut self, block: &mut Block<'_>) {
        assert!(
            block.channels() <= self.channels.len().min(MAX_CHANNELS),
            "the quantizer has fewer channels than the block"
        );
        for c in 0..block.channels() {
            let samples = block.channel_mut(c);
            let state = &mut self.channels[c];
            match self.dither {
                Dither::None => round(samples, self.scale),
                Dither::Tpdf => state.tpdf(samples, self.scale),
                Dither::Shaped => state.shaped(samples, self.scale, &self.filter),
            }
        }
    }
}

/// `x` in steps of the grid; NaN is zero.
#[inline]
fn steps(x: f32, scale: f64) -> f64 {
    if x.is_nan() { 0.0 } else { f64::from(x) * scale }
}

/// The sample at `n` steps, clipped at full scale.
#[inline]
fn sample(n: f64, scale: f64) -> f32 {
    (n.clamp(-scale, scale - 1.0) / scale) as f32
}

fn round(samples: &mut [f32], scale: f64) {
    for x in samples {
        *x = sample(steps(*x, scale).round_ties_even(), scale);
    }
}

impl Channel {
    /// Triangular noise from −1 to 1 LSB: the sum of two uniform numbers.
    #[inline]
    fn triangular(&mut self) -> f64 {
        let r = self.random.next_u64();
        (r as u32 as f64 + (r >> 32) as f64) * (1.0 / 4_294_967_296.0) - 1.0
    }

    /// Whether this sample lies in digital silence.
    #[inline]
    fn blank(&mut self, x: f32) -> bool {
        if x == 0.0 {
            self.zeros = self.zeros.saturating_add(1);
            self.zeros > BLANK_AFTER
        } else {
            self.zeros = 0;
            false
        }
    }

    fn tpdf(&mut self, samples: &mut [f32], scale: f64) {
        for x in samples {
            if self.blank(*x) {
                *x = 0.0;
                continue;
            }
            let dithered = steps(*x, scale) + self.triangular();
            *x = sample((dithered + 0.5).floor(), scale);
        }
    }

    fn shaped(&mut self, samples: &mut [f32], scale: f64, filter: &[f64; ORDER]) {
        for x in samples {
            if self.blank(*x) {
                *x = 0.0;
                self.errors = [0.0; ORDER];
                continue;
            }
            // Error feedback: v = x − Σ c_k e_(n−k), so the output carries e * (1 − Σ c_k z^−k).
            let wanted = steps(*x, scale) - self.errors.iter().zip(filter).map(|(e, c)| e * c).sum::<f64>();
            let n = (wanted + self.triangular() + 0.5).floor();
            self.errors.copy_within(0..ORDER - 1, 1);
            // An infinite sample has no error worth remembering.
            self.errors[0] = if wanted.is_finite() { n - wanted } else { 0.0 };
            *x = sample(n, scale);
        }
    }
}

/// The threshold in quiet, in dB (Terhardt 1979), `frequency` in Hz.
fn threshold_in_quiet(frequency: f64) -> f64 {
    let f = (frequency / 1000.0).max(0.02);
    3.64 * f.powf(-0.8) - 6.5 * (-0.6 * (f - 3.3).powi(2)).exp() + 1e-3 * f.powi(4)
}

/// The error filter `c`: the noise gets the spectrum `|1 − Σ c_k e^(−jωk)|²`, close to the threshold in quiet.
///
/// The weight is the reciprocal of the threshold; the filter is its linear predictor (Levinson and Durbin), which has the
/// least weighted noise power of all filters of its length. The threshold is held to a range of `RANGE_DB` above its
/// minimum: more would buy nothing audible and put needless power near the Nyquist frequency.
fn shaping_filter(sample_rate: u32) -> [f64; ORDER] {
    const RANGE_DB: f64 = 42.0;
    const POINTS: usize = 2048;
    let nyquist = f64::from(sample_rate) / 2.0;
    let curve: Vec<f64> = (0..POINTS).map(|i| threshold_in_quiet((i as f64 + 0.5) / POINTS as f64 * nyquist)).collect();
    let lowest = curve.iter().copied().fold(f64::INFINITY, f64::min);
    let mut r = [0.0; ORDER + 1];
    for (i, &db) in curve.iter().enumerate() {
        let weight = 10f64.powf(-(db - lowest).min(RANGE_DB) / 10.0);
        let w = std::f64::consts::PI * (i as f64 + 0.5) / POINTS as f64;
        for (k, r) in r.iter_mut().enumerate() {
            *r += weight * (w * k as f64).cos();
        }
    }
    // Levinson–Durbin: a[0] = 1, prediction of x_n is −Σ a_k x_(n−k), so c_k = −a_k.
    let mut a = [0.0; ORDER + 1];
    a[0] = 1.0;
    let mut error = r[0];
    for i in 1..=ORDER {
        let reflection = -(0..i).map(|j| a[j] * r[i - j]).sum::<f64>() / error;
        let previous = a;
        for j in 1..=i {
            a[j] = previous[j] + reflection * previous[i - j];
        }
        error *= 1.0 - reflection * reflection;
    }
    std::array::from_fn(|k| -a[k + 1])
}

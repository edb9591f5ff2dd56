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
    (n.clamp(-scale, scale - 1.0) * scale.recip()) as f32
}

/// `x` rounded to the nearest integer. Adding 1.5·2⁵² leaves no bits for a fraction; what is too large for the trick has no
/// fraction to begin with. (Without SSE 4.1, `f64::floor` and `round_ties_even` are calls.)
#[inline]
fn nearest(x: f64) -> f64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (x + MAGIC) - MAGIC
}

fn round(samples: &mut [f32], scale: f64) {
    for x in samples {
        *x = sample(nearest(steps(*x, scale)), scale);
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
            *x = sample(nearest(dithered), scale);
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
            let n = nearest(wanted + self.triangular());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::AudioBuffer;
    use crate::testing::Signal;
    use crate::units::power_to_db;
    use std::f64::consts::TAU;

    fn quantized(buffer: &AudioBuffer, bits: u32, dither: Dither, seed: u64) -> AudioBuffer {
        let mut out = buffer.clone();
        Quantizer::new(bits, dither, seed, buffer.sample_rate(), buffer.channels()).unwrap().process(&mut out.block());
        out
    }

    fn error_power(a: &AudioBuffer, b: &AudioBuffer) -> f64 {
        let sum: f64 = a.samples().iter().zip(b.samples()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        sum / a.samples().len() as f64
    }

    const SEGMENT: usize = 8_192;

    /// Mean power at `bin` of segments of 8 192 frames, such that a sine of peak A shows A²/2.
    fn bin_power(x: &[f32], bin: usize) -> f64 {
        let turns: Vec<(f64, f64)> =
            (0..SEGMENT).map(|n| (TAU * (bin * n % SEGMENT) as f64 / SEGMENT as f64).sin_cos()).collect();
        let segments = x.chunks_exact(SEGMENT);
        let count = segments.len() as f64;
        segments
            .map(|s| {
                let (mut re, mut im) = (0.0, 0.0);
                for (x, (sin, cos)) in s.iter().zip(&turns) {
                    re += f64::from(*x) * cos;
                    im += f64::from(*x) * sin;
                }
                2.0 * (re * re + im * im) / (SEGMENT as f64).powi(2)
            })
            .sum::<f64>()
            / count
    }

    #[test]
    fn the_noise_is_a_quarter_of_a_squared_step() {
        // Re the power ½ of a full-scale sine: −93.3 dB at 16 bit.
        let x = Signal::Music { seed: 7 }.render(48_000, 2, 4.0).unwrap();
        for (bits, expected) in [(16, -93.32), (8, -45.15)] {
            let noise = power_to_db(error_power(&x, &quantized(&x, bits, Dither::Tpdf, 1)) / 0.5);
            println!("TPDF at {bits} bit: {noise:.3} dB re a full-scale sine");
            assert!((noise - expected).abs() < 0.2, "{bits} bit: {noise:.2} dB");
        }
    }

    #[test]
    fn a_tone_below_one_step_keeps_its_level_and_gets_no_harmonics() {
        let bin = 171; // about 1 kHz
        let frequency_hz = bin as f64 * 48_000.0 / SEGMENT as f64;
        for level_dbfs in [-100.0, -92.0, -80.0] {
            let tone = Signal::Sine { frequency_hz, level_dbfs, phase_deg: 0.0 };
            let x = tone.render(48_000, 1, 120.0 * SEGMENT as f64 / 48_000.0).unwrap();
            let y = quantized(&x, 16, Dither::Tpdf, 3);
            let level = power_to_db(bin_power(y.channel(0), bin) / 0.5);
            assert!((level - level_dbfs).abs() < 0.1, "{level_dbfs} dBFS became {level:.2}");
            let floor = (0..24).map(|i| bin_power(y.channel(0), 60 + 137 * i)).sum::<f64>() / 24.0;
            let harmonics: Vec<f64> = (2..=12).map(|k| power_to_db(bin_power(y.channel(0), k * bin) / floor)).collect();
            let worst = harmonics.iter().copied().fold(f64::MIN, f64::max);
            println!("{level_dbfs} dBFS: level {level:.3}, worst harmonic {worst:.2} dB over the floor");
            assert!(worst < 3.0, "{level_dbfs} dBFS: harmonics {harmonics:.1?} dB over the floor");
        }
        // The same without dither: nothing is left of the tone.
        let x = Signal::Sine { frequency_hz, level_dbfs: -100.0, phase_deg: 0.0 }.render(48_000, 1, 1.0).unwrap();
        assert!(quantized(&x, 16, Dither::None, 0).samples().iter().all(|x| *x == 0.0));
    }

    #[test]
    fn shaping_lowers_what_is_heard() {
        for rate in [8_000, 16_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000, 384_000] {
            let filter = shaping_filter(rate);
            let (mut plain, mut heard, mut flat, mut points) = (0.0, 0.0, 0.0, 0.0);
            for i in 0..4_096 {
                let f = (i as f64 + 0.5) / 4_096.0;
                let w = std::f64::consts::PI * f;
                let (mut re, mut im) = (1.0, 0.0);
                for (k, c) in filter.iter().enumerate() {
                    re -= c * (w * (k + 1) as f64).cos();
                    im += c * (w * (k + 1) as f64).sin();
                }
                let gain = re * re + im * im;
                let weight = 10f64.powf(-threshold_in_quiet(f * f64::from(rate) / 2.0) / 10.0);
                plain += weight;
                heard += weight * gain;
                flat += gain;
                points += 1.0;
            }
            let (heard, flat) = (power_to_db(heard / plain), power_to_db(flat / points));
            println!("shaping at {rate} Hz: {heard:.1} dB as heard, {flat:.1} dB in all; filter {filter:.3?}");
            // White noise is what can be heard of it; from 44.1 kHz on there is room above the ear's range.
            assert!(
                heard
                    < match rate {
                        44_100.. => -15.0,
                        _ => -1.0,
                    },
                "{rate} Hz: {heard:.1} dB"
            );
            assert!(flat < 30.0, "{rate} Hz: {flat:.1} dB");
        }
        // The quantizer does what the filter says: the power of the whole error.
        let x = Signal::Music { seed: 7 }.render(44_100, 1, 4.0).unwrap();
        let filter = shaping_filter(44_100);
        let expected = power_to_db(1.0 + filter.iter().map(|c| c * c).sum::<f64>()) - 93.32;
        let noise = power_to_db(error_power(&x, &quantized(&x, 16, Dither::Shaped, 1)) / 0.5);
        assert!((noise - expected).abs() < 0.2, "{noise:.2} dB, expected {expected:.2}");
    }

    #[test]
    fn blocks_make_no_difference_and_the_seed_decides() {
        let mut x = Signal::Music { seed: 2 }.render(44_100, 3, 0.4).unwrap();
        for c in 0..3 {
            x.channel_mut(c)[3_000..6_000].fill(0.0);
        }
        for dither in [Dither::None, Dither::Tpdf, Dither::Shaped] {
            let whole = quantized(&x, 16, dither, 9);
            for size in [1, 64, 65, 8_192] {
                let mut y = x.clone();
                let mut quantizer = Quantizer::new(16, dither, 9, 44_100, 3).unwrap();
                for start in (0..y.frames()).step_by(size) {
                    let end = (start + size).min(y.frames());
                    quantizer.process(&mut y.block_range(start, end));
                }
                assert_eq!(y, whole, "{dither:?} in blocks of {size}");
            }
            assert_eq!(quantized(&x, 16, dither, 10) == whole, dither == Dither::None);
        }
    }

    #[test]
    fn channels_have_their_own_noise() {
        let x = AudioBuffer::from_planar(48_000, 2, vec![0.25; 20_000]).unwrap();
        let y = quantized(&x, 16, Dither::Tpdf, 1);
        let (l, r) = (y.channel(0), y.channel(1));
        let product: f64 = l.iter().zip(r).map(|(l, r)| f64::from(l - 0.25) * f64::from(r - 0.25)).sum();
        let power: f64 = l.iter().map(|l| f64::from(l - 0.25).powi(2)).sum();
        assert!((product / power).abs() < 0.05);
    }

    #[test]
    fn silence_stays_silence() {
        for dither in [Dither::Tpdf, Dither::Shaped] {
            let silence = AudioBuffer::new(48_000, 2, 5_000).unwrap();
            assert_eq!(quantized(&silence, 16, dither, 1), silence);
            let mut x = silence.clone();
            x.channel_mut(0)[1_000..2_000].fill(0.3);
            let y = quantized(&x, 16, dither, 1);
            assert!(y.channel(0)[..1_000].iter().all(|x| *x == 0.0));
            assert!(y.channel(0)[2_064..].iter().all(|x| *x == 0.0));
            assert!(y.channel(1).iter().all(|x| *x == 0.0));
        }
    }

    #[test]
    fn the_grid_is_met_clipped_and_left_alone() {
        let mut values =
            vec![0.0, 1.0, -1.0, 2.0, -2.0, 0.999_999, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX];
        values.extend((-400..400).map(|n| n as f32 / 32_768.0));
        let x = AudioBuffer::from_planar(48_000, 1, values).unwrap();
        for dither in [Dither::None, Dither::Tpdf, Dither::Shaped] {
            for bits in [8, 16, 24] {
                let scale = (1u32 << (bits - 1)) as f32;
                let y = quantized(&x, bits, dither, 1);
                for y in y.samples() {
                    let n = y * scale;
                    assert!(n == n.trunc() && (-scale..scale).contains(&n), "{dither:?} {bits} bit: {n}");
                }
            }
        }
        let y = quantized(&x, 16, Dither::None, 1);
        let top = 32_767.0 / 32_768.0;
        assert_eq!(y.samples()[..10], [0.0, top, -1.0, top, -1.0, top, 0.0, top, -1.0, top]);
        assert_eq!(y.samples()[10..], x.samples()[10..]);
        assert!(Quantizer::new(25, Dither::None, 0, 48_000, 1).is_err());
        assert!(Quantizer::new(16, Dither::None, 0, 48_000, 9).is_err());
    }
}

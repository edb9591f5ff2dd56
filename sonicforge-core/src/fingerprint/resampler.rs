//! Any rate → 11 025 Hz, in 16-bit integers: the resampler whose roundings a Chromaprint depends on.
//!
//! A polyphase FIR (R. E. Crochiere, L. R. Rabiner, "Multirate Digital Signal Processing", 1983): a Kaiser-windowed sinc
//! (J. F. Kaiser 1974, β = 9), cut off at 0.8 of the lower Nyquist frequency, in 256 phases of which the one at or before
//! the wanted instant is taken. Every phase sums to 2¹⁵ and is rounded to 16 bit. Written from a description of these rules.

use std::f64::consts::PI;

use super::front::RATE;
use crate::dsp::kernels::{Polyphase, Positions};

const PHASES: usize = Positions::PHASES;
/// Taps of the sinc at the lower of the two rates.
const LENGTH: f64 = 16.0;
const CUTOFF: f64 = 0.8;
const BETA: f64 = 9.0;

#[derive(Debug, Clone)]
pub(super) struct Resampler {
    taps: usize,
    /// Taps of a row in memory: a multiple of [`Polyphase::LANES`], the rest zeros.
    stride: usize,
    /// `PHASES` rows.
    bank: Vec<i16>,
    /// In 1/256 of a sample and 1/(256·11025) of one.
    next: Positions,
    filter: Polyphase,
}

impl Resampler {
    pub fn new(rate: u32) -> Self {
        let factor = (CUTOFF * f64::from(RATE) / f64::from(rate)).min(1.0);
        let taps = (LENGTH / factor).ceil() as usize;
        let stride = taps.next_multiple_of(Polyphase::LANES);
        let (wide, before) = (rate * PHASES as u32, (taps - 1) / 2 * PHASES);
        let step = (wide / RATE, wide % RATE);
        let next = Positions { index: -(before as i64), fraction: 0, step, parts: RATE };
        let mut bank = vec![0; PHASES * stride];
        // Only the phases that are met, before it begins anew: one at 44.1 kHz, 147 at 48 kHz. All take as long to make as ten
        // seconds of sound to hear.
        let mut at = next;
        loop {
            let (_, phase) = at.place();
            let row = &mut bank[phase * stride..][..taps];
            if row.iter().all(|&h| h == 0) {
                row.copy_from_slice(&filter(phase, taps, factor));
            }
            at.advance();
            if at.fraction == 0 && at.place().1 == 0 {
                break;
            }
        }
        Self { taps, stride, bank, next, filter: Polyphase::detect() }
    }

    /// Samples that must lie readable behind the input.
    pub fn slack(&self) -> usize {
        self.stride - self.taps
    }

    /// Makes as many samples as `memory[..len]` allows, at most `most`, appends them to `output` and says how many input
    /// samples are done with. Behind `len` there are [`Resampler::slack`] more that weigh nothing.
    pub fn process(&mut self, memory: &[i16], len: usize, most: usize, output: &mut Vec<i16>) -> usize {
        let before = output.len();
        // Before the beginning the signal is its own mirror image.
        while output.len() - before < most && self.next.index < 0 {
            let (first, phase) = self.next.place();
            let row = &self.bank[phase * self.stride..][..self.taps];
            let sum = row.iter().enumerate().fold(0i32, |sum, (i, &h)| {
                let at = (first + i as i64).unsigned_abs() as usize % len.max(1);
                sum.wrapping_add(i32::from(memory[at]) * i32::from(h))
            });
            output.push(Polyphase::round(sum));
            self.next.advance();
        }
        let made = output.len() - before;
        if self.next.index < 0 {
            return 0;
        }
        let more = self.next.count_before((len + 1).saturating_sub(self.taps)).min(most - made);
        output.resize(before + made + more, 0);
        self.filter.run(memory, &self.bank, self.stride, &mut self.next, &mut output[before + made..]);
        let (done, phase) = self.next.place();
        self.next.index = phase as i64;
        done as usize
    }
}

/// One phase of the filter.
fn filter(phase: usize, taps: usize, factor: f64) -> Vec<i16> {
    let center = ((taps - 1) / 2) as f64;
    let tap = |i: usize| {
        let x = PI * (i as f64 - center - phase as f64 / PHASES as f64) * factor;
        let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
        let w = 2.0 * x / (factor * taps as f64 * PI);
        sinc * bessel_i0(BETA * (1.0 - w * w).max(0.0).sqrt())
    };
    let h: Vec<f64> = (0..taps).map(tap).collect();
    let sum: f64 = h.iter().sum();
    let scale = f64::from(1u32 << Polyphase::SCALE_BITS);
    // `as` keeps to the range: at a rate below 11 025 Hz the middle tap of phase 0 would be 2¹⁵.
    h.iter().map(|h| ((h * scale / sum) as f32).round_ties_even() as i16).collect()
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-18 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_passes_a_constant() {
        for rate in [8_000, 22_050, 44_100, 48_000, 96_000, 192_000, 384_000] {
            let resampler = Resampler::new(rate);
            let met = |row: &&[i16]| row.iter().any(|&h| h != 0);
            for row in resampler.bank.chunks_exact(resampler.stride).filter(met) {
                let sum: i32 = row.iter().map(|&h| i32::from(h)).sum();
                // Each tap is rounded by half a step at most; on average they cancel.
                assert!((sum - 32_768).abs() < resampler.taps as i32 / 4, "{rate}: {sum}");
            }
        }
    }

    #[test]
    fn taps_and_phases() {
        assert_eq!(
            (Resampler::new(44_100).taps, Resampler::new(48_000).taps, Resampler::new(8_000).taps),
            (80, 88, 16)
        );
    }

    #[test]
    fn a_tone_keeps_its_height_and_an_alias_is_gone() {
        for rate in [16_000u32, 44_100, 48_000, 192_000] {
            let level = |hz: f64| {
                let len = rate as usize;
                let mut x: Vec<i16> = (0..len)
                    .map(|n| (10_000.0 * (2.0 * PI * hz * n as f64 / f64::from(rate)).sin()).round() as i16)
                    .collect();
                let mut resampler = Resampler::new(rate);
                x.resize(len + resampler.slack(), 0);
                let mut y = Vec::new();
                resampler.process(&x, len, usize::MAX, &mut y);
                assert!(y.len().abs_diff(RATE as usize) < 20, "{}", y.len());
                let y = &y[100..];
                (y.iter().map(|&y| f64::from(y).powi(2)).sum::<f64>() / y.len() as f64).sqrt() * 2f64.sqrt() / 10_000.0
            };
            assert!((level(1_000.0) - 1.0).abs() < 0.003, "{rate}: {}", level(1_000.0));
            assert!(level(7_000.0) < 0.01, "{rate}: {}", level(7_000.0));
        }
    }
}

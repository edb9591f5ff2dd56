//! Linkwitz–Riley crossover of fourth order (24 dB/oct) for 2 to 6 bands whose sum is flat.
//!
//! S. Linkwitz, R. Riley, *Active crossover networks for noncoincident drivers*, JAES 24 (1976): a Butterworth section used
//! twice. With `L`, `H` the second-order low and high-pass (Q = 1/√2) and `A` the second-order all-pass of the same corner
//! and Q,
//!
//! ```text
//! L² + H² = A          (so H² = A − L²: three sections a split instead of four)
//! ```
//!
//! Splitting repeats on the upper part, and every band that has already been split off passes the all-pass of each later
//! split, so that all bands turn their phase alike and the sum is `A₁·A₂·…·x`: flat to rounding. Without that the sum of
//! four bands dips by 0.4 dB.

use crate::dsp::biquad::{Coefficients, Shape, State};

/// The most bands.
pub const MAX_BANDS: usize = 6;
const MAX_SPLITS: usize = MAX_BANDS - 1;

/// Splits `N` lanes into bands.
#[derive(Debug, Clone)]
pub struct Crossover<const N: usize> {
    splits: usize,
    low: [Coefficients; MAX_SPLITS],
    all: [Coefficients; MAX_SPLITS],
    low_1: [State<N>; MAX_SPLITS],
    low_2: [State<N>; MAX_SPLITS],
    /// `all_state[s][b]`: the all-pass of split `s` on finished band `b`; `b == s` is the signal being split.
    all_state: [[State<N>; MAX_SPLITS]; MAX_SPLITS],
}

impl<const N: usize> Crossover<N> {
    /// A crossover with one more band than there are corners. At most five corners are looked at.
    pub fn new(sample_rate: f64, corners_hz: &[f64]) -> Self {
        let mut crossover = Self {
            splits: corners_hz.len().min(MAX_SPLITS),
            low: [Coefficients::IDENTITY; MAX_SPLITS],
            all: [Coefficients::IDENTITY; MAX_SPLITS],
            low_1: [State::default(); MAX_SPLITS],
            low_2: [State::default(); MAX_SPLITS],
            all_state: [[State::default(); MAX_SPLITS]; MAX_SPLITS],
        };
        for (s, &f) in corners_hz.iter().take(MAX_SPLITS).enumerate() {
            crossover.set_corner(sample_rate, s, f);
        }
        crossover
    }

    /// How many bands come out.
    pub fn bands(&self) -> usize {
        self.splits + 1
    }

    /// Moves one corner; the filters keep their memory.
    pub fn set_corner(&mut self, sample_rate: f64, split: usize, corner_hz: f64) {
        let q = std::f64::consts::FRAC_1_SQRT_2;
        self.low[split] = Coefficients::design(Shape::LowPass, sample_rate, corner_hz, q);
        self.all[split] = Coefficients::design(Shape::AllPass, sample_rate, corner_hz, q);
    }

    /// Splits a run of frames: `bands[b][i]` is band `b` of frame `i`. Only the first [`Self::bands`] entries are written.
    #[inline(always)]
    pub fn process(&mut self, x: &[[f64; N]], bands: &mut [[[f64; N]; crate::dsp::QUANTUM]; MAX_BANDS]) {
        match self.splits {
            1 => self.run::<1>(x, bands),
            2 => self.run::<2>(x, bands),
            3 => self.run::<3>(x, bands),
            4 => self.run::<4>(x, bands),
            _ => self.run::<5>(x, bands),
        }
    }

    #[inline(always)]
    fn run<const S: usize>(&mut self, x: &[[f64; N]], bands: &mut [[[f64; N]; crate::dsp::QUANTUM]; MAX_BANDS]) {
        for s in 0..S {
            let (low, all) = (self.low[s], self.all[s]);
            let (mut low_1, mut low_2) = (self.low_1[s], self.low_2[s]);
            let states = &mut self.all_state[s];
            let mut all_here = states[s];
            // What is still to be split lies in the band with the highest number so far.
            for i in 0..x.len() {
                let input = if s == 0 { x[i] } else { bands[s][i] };
                let first = low_1.step(&low, input);
                let l = low_2.step(&low, first);
                let a = all_here.step(&all, input);
                bands[s][i] = l;
                for n in 0..N {
                    bands[s + 1][i][n] = a[n] - l[n];
                }
            }
            for b in 0..s {
                let mut state = states[b];
                for y in bands[b][..x.len()].iter_mut() {
                    *y = state.step(&all, *y);
                }
                states[b] = state;
            }
            states[s] = all_here;
            self.low_1[s] = low_1;
            self.low_2[s] = low_2;
        }
    }

    /// Drops what is too small to matter; call at quantum edges.
    pub fn flush(&mut self) {
        for s in 0..self.splits {
            self.low_1[s].flush();
            self.low_2[s].flush();
            for b in 0..=s {
                self.all_state[s][b].flush();
            }
        }
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.low_1 = [State::default(); MAX_SPLITS];
        self.low_2 = [State::default(); MAX_SPLITS];
        self.all_state = [[State::default(); MAX_SPLITS]; MAX_SPLITS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::QUANTUM;

    /// Impulse response of every band and of the sum, magnitude at `f` by direct summation.
    fn magnitude_db(h: &[f64], fs: f64, f: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, x) in h.iter().enumerate() {
            let w = std::f64::consts::TAU * f * n as f64 / fs;
            re += x * w.cos();
            im -= x * w.sin();
        }
        10.0 * (re * re + im * im).log10()
    }

    fn impulse(corners: &[f64]) -> Vec<Vec<f64>> {
        let mut c = Crossover::<1>::new(48_000.0, corners);
        let mut out = vec![Vec::new(); c.bands()];
        let mut bands = [[[0.0; 1]; QUANTUM]; MAX_BANDS];
        for q in 0..512 {
            let mut x = [[0.0; 1]; QUANTUM];
            if q == 0 {
                x[0][0] = 1.0;
            }
            c.process(&x, &mut bands);
            for (b, out) in out.iter_mut().enumerate() {
                out.extend(bands[b].iter().map(|x| x[0]));
            }
        }
        out
    }

    #[test]
    fn the_sum_is_flat_for_two_to_six_bands() {
        for corners in [
            &[1_000.0][..],
            &[200.0, 2_000.0],
            &[120.0, 1_200.0, 6_000.0],
            &[60.0, 250.0, 1e3, 5e3],
            &[60.0, 150.0, 500.0, 2e3, 8e3],
        ] {
            let h = impulse(corners);
            assert_eq!(h.len(), corners.len() + 1);
            let sum: Vec<f64> = (0..h[0].len()).map(|n| h.iter().map(|b| b[n]).sum()).collect();
            for f in [20.0, 60.0, 120.0, 333.0, 1_000.0, 1_200.0, 3_000.0, 6_000.0, 12_000.0, 20_000.0] {
                let db = magnitude_db(&sum, 48_000.0, f);
                assert!(db.abs() < 1e-4, "{corners:?} at {f} Hz: {db} dB");
            }
        }
    }

    #[test]
    fn slopes_are_24_db_per_octave_and_meet_at_minus_six() {
        let h = impulse(&[1_000.0]);
        for band in &h {
            assert!((magnitude_db(band, 48_000.0, 1_000.0) + 6.02).abs() < 0.02);
        }
        let low = magnitude_db(&h[0], 48_000.0, 4_000.0) - magnitude_db(&h[0], 48_000.0, 8_000.0);
        let high = magnitude_db(&h[1], 48_000.0, 250.0) - magnitude_db(&h[1], 48_000.0, 125.0);
        assert!((23.0..28.0).contains(&low) && (23.5..24.5).contains(&high), "{low} {high}");
    }
}

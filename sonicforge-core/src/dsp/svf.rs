//! The state-variable filter by topology-preserving transform: a section whose parameters may move at audio rate.
//!
//! A. Simper, *Solving the continuous SVF equations using trapezoidal integration and equivalent currents* (2013),
//! <https://cytomic.com/files/dsp/SvfLinearTrapOptimised2.pdf>.

use crate::dsp::flush;

/// The corner and damping, ready to run.
#[derive(Debug, Clone, Copy)]
pub struct SvfCoefficients {
    k: f64,
    a1: f64,
    a2: f64,
    a3: f64,
}

impl SvfCoefficients {
    /// A corner at `frequency_hz` (moved to at most 0.49 of the sample rate) with quality `q`.
    pub fn new(sample_rate: f64, frequency_hz: f64, q: f64) -> Self {
        let g = (std::f64::consts::PI * frequency_hz.clamp(0.1, 0.49 * sample_rate) / sample_rate).tan();
        let k = 1.0 / q.max(1e-3);
        let a1 = 1.0 / (1.0 + g * (g + k));
        let a2 = g * a1;
        Self { k, a1, a2, a3: g * a2 }
    }

    /// The damping `1/q`.
    #[inline]
    pub fn damping(&self) -> f64 {
        self.k
    }
}

/// The memory of one filter in `N` lanes.
#[derive(Debug, Clone, Copy)]
pub struct Svf<const N: usize> {
    ic1: [f64; N],
    ic2: [f64; N],
}

impl<const N: usize> Default for Svf<N> {
    fn default() -> Self {
        Self { ic1: [0.0; N], ic2: [0.0; N] }
    }
}

impl<const N: usize> Svf<N> {
    /// One frame: returns (high-pass, band-pass `s/(s²+ks+1)`, low-pass).
    #[inline(always)]
    pub fn step(&mut self, c: &SvfCoefficients, x: [f64; N]) -> ([f64; N], [f64; N], [f64; N]) {
        let (mut high, mut band, mut low) = ([0.0; N], [0.0; N], [0.0; N]);
        for i in 0..N {
            let v3 = x[i] - self.ic2[i];
            band[i] = c.a1 * self.ic1[i] + c.a2 * v3;
            low[i] = self.ic2[i] + c.a2 * self.ic1[i] + c.a3 * v3;
            self.ic1[i] = 2.0 * band[i] - self.ic1[i];
            self.ic2[i] = 2.0 * low[i] - self.ic2[i];
            high[i] = x[i] - c.k * band[i] - low[i];
        }
        (high, band, low)
    }

    /// Drops what is too small to matter; call at quantum edges.
    #[inline]
    pub fn flush(&mut self) {
        for i in 0..N {
            self.ic1[i] = flush(self.ic1[i]);
            self.ic2[i] = flush(self.ic2[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_three_db_at_the_corner() {
        let fs = 48_000.0;
        let c = SvfCoefficients::new(fs, 2_000.0, std::f64::consts::FRAC_1_SQRT_2);
        let mut f = Svf::<1>::default();
        let (mut high, mut low) = (0f64, 0f64);
        for n in 0..48_000 {
            let x = (std::f64::consts::TAU * 2_000.0 * n as f64 / fs).sin();
            let (h, _, l) = f.step(&c, [x]);
            if n > 4_800 {
                high = high.max(h[0].abs());
                low = low.max(l[0].abs());
            }
        }
        assert!(
            (high - std::f64::consts::FRAC_1_SQRT_2).abs() < 2e-3
                && (low - std::f64::consts::FRAC_1_SQRT_2).abs() < 2e-3,
            "{high} {low}"
        );
    }
}

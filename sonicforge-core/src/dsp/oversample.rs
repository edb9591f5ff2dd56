//! Twofold oversampling by a half-band filter made of two all-pass chains.
//!
//! R. A. Valenzuela, A. G. Constantinides, *Digital signal processing schemes for efficient interpolation and decimation*,
//! IEE Proc. 130 (1983): an elliptic half-band low-pass is the mean of two all-pass chains in `z²`, each of first-order
//! sections `(a + z⁻²)/(1 + a·z⁻²)`. The coefficients follow in closed form from the Jacobi nome of the transition width.
//! Its phase is not linear, which does not matter where it is used: on harmonics that are added beside an untouched sound.

use crate::dsp::flush;

/// First-order all-pass sections in the two branches together.
const SECTIONS: usize = 12;
/// Width of the transition as a share of the doubled rate: flat to 0.48 of the base rate, stopped from 0.52.
const TRANSITION: f64 = 0.02;

fn coefficients() -> [f64; SECTIONS] {
    // k: selectivity; q: nome, by its series in ε (Abramowitz & Stegun 17.3.21).
    let k = ((1.0 - 2.0 * TRANSITION) * std::f64::consts::FRAC_PI_4).tan().powi(2);
    let root = (1.0 - k * k).sqrt().sqrt();
    let e = 0.5 * (1.0 - root) / (1.0 + root);
    let e4 = e.powi(4);
    let q = e * (1.0 + e4 * (2.0 + e4 * (15.0 + 150.0 * e4)));
    let order = (2 * SECTIONS + 1) as f64;
    std::array::from_fn(|index| {
        // Ratio of theta functions at the c-th zero.
        let c = std::f64::consts::PI * (index + 1) as f64 / order;
        let (mut num, mut den) = (0.0, 0.5);
        for i in 0..12 {
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            num += sign * q.powi(i * (i + 1)) * ((2 * i + 1) as f64 * c).sin();
            if i > 0 {
                den += sign * q.powi(i * i) * ((2 * i) as f64 * c).cos();
            }
        }
        let w = (num * q.powf(0.25) / den).powi(2);
        let r = ((1.0 - w * k) * (1.0 - w / k)).sqrt() / (1.0 + w);
        (1.0 - r) / (1.0 + r)
    })
}

/// The two branches of one half-band filter in `N` lanes, each running at the base rate.
#[derive(Debug, Clone)]
struct HalfBand<const N: usize> {
    a: [f64; SECTIONS],
    x: [[f64; N]; SECTIONS],
    y: [[f64; N]; SECTIONS],
}

impl<const N: usize> HalfBand<N> {
    fn new() -> Self {
        Self { a: coefficients(), x: [[0.0; N]; SECTIONS], y: [[0.0; N]; SECTIONS] }
    }

    /// Runs `even` through the sections 0, 2, 4 … and `odd` through 1, 3, 5 …: `y = a·(x − y₁) + x₁`.
    #[inline(always)]
    fn step(&mut self, mut even: [f64; N], mut odd: [f64; N]) -> ([f64; N], [f64; N]) {
        for s in (0..SECTIONS).step_by(2) {
            for n in 0..N {
                let y = self.a[s] * (even[n] - self.y[s][n]) + self.x[s][n];
                self.x[s][n] = even[n];
                self.y[s][n] = y;
                even[n] = y;
                let y = self.a[s + 1] * (odd[n] - self.y[s + 1][n]) + self.x[s + 1][n];
                self.x[s + 1][n] = odd[n];
                self.y[s + 1][n] = y;
                odd[n] = y;
            }
        }
        (even, odd)
    }

    fn flush(&mut self) {
        for state in self.x.iter_mut().chain(&mut self.y) {
            for x in state {
                *x = flush(*x);
            }
        }
    }
}

/// Runs a memoryless shaper at twice the rate.
///
/// A polynomial of degree `d` makes tones up to `d·fs/2`; at `OS·fs` they fold to no lower than `OS·fs − d·fs/2`, which is
/// above `fs/2` while `d ≤ 2·OS − 1`. So a shaper of degree 3 is free of aliases here by construction.
#[derive(Debug, Clone)]
pub struct Oversampled2<const N: usize> {
    up: HalfBand<N>,
    down: HalfBand<N>,
}

impl<const N: usize> Default for Oversampled2<N> {
    fn default() -> Self {
        Self { up: HalfBand::new(), down: HalfBand::new() }
    }
}

impl<const N: usize> Oversampled2<N> {
    /// One frame at the base rate, with `shape` run on both halves.
    #[inline(always)]
    pub fn step(&mut self, x: [f64; N], shape: impl Fn([f64; N]) -> [f64; N]) -> [f64; N] {
        // Up: y[2n] from one branch, y[2n+1] from the other (gain 2 for the zeros between is already in the mean's ½).
        let (first, second) = self.up.step(x, x);
        let (first, second) = (shape(first), shape(second));
        // Down: the mean of the branches, the even one fed with the newer half.
        let (a, b) = self.down.step(second, first);
        std::array::from_fn(|n| 0.5 * (a[n] + b[n]))
    }

    /// Drops what is too small to matter; call at quantum edges.
    pub fn flush(&mut self) {
        self.up.flush();
        self.down.flush();
    }

    /// Forgets.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// |H| of the half-band at the doubled rate, from its coefficients.
    fn response_db(f: f64) -> f64 {
        let a = coefficients();
        let w = std::f64::consts::TAU * f; // f as a share of the doubled rate
        let phase = |start: usize| -> f64 {
            // Phase of (a + z⁻²)/(1 + a z⁻²) at e^{jw}.
            (start..SECTIONS)
                .step_by(2)
                .map(|s| {
                    let (c, d) = ((2.0 * w).cos(), (2.0 * w).sin());
                    let num = (-d).atan2(a[s] + c);
                    let den = (-a[s] * d).atan2(1.0 + a[s] * c);
                    num - den
                })
                .sum()
        };
        let diff = phase(0) - (phase(1) - w);
        20.0 * (0.5 * (2.0 + 2.0 * diff.cos()).max(0.0).sqrt()).max(1e-12).log10()
    }

    #[test]
    fn the_half_band_stops_and_passes() {
        for i in 0..=240 {
            let f = i as f64 / 1_000.0;
            assert!(response_db(f).abs() < 1e-6, "pass {f}: {}", response_db(f));
        }
        for i in 260..=500 {
            let f = i as f64 / 1_000.0;
            assert!(response_db(f) < -115.0, "stop {f}: {}", response_db(f));
        }
    }

    #[test]
    fn a_tone_goes_through_unchanged_in_level() {
        let mut o = Oversampled2::<1>::default();
        let mut peak = 0f64;
        for n in 0..9_600 {
            let y = o.step([(0.1 * n as f64).sin()], |x| x)[0];
            if n > 4_800 {
                peak = peak.max(y.abs());
            }
        }
        assert!((peak - 1.0).abs() < 1e-4, "{peak}");
    }
}

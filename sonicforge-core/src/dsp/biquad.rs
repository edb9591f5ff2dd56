//! Second-order sections in transposed direct form II.
//!
//! Coefficients: R. Bristow-Johnson, *Cookbook formulae for audio EQ biquad filter coefficients*, by the crate `biquad`
//! (<https://webaudio.github.io/Audio-EQ-Cookbook/audio-eq-cookbook.html>). The loop is our own: the crate's does one
//! channel and slows down twentyfold when its state turns denormal; this one does `N` lanes side by side and is flushed
//! between quanta. A test holds it bit-equal to the crate's.

use crate::dsp::flush;

/// What a section does. Gains are in dB.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Shape {
    /// 12 dB/oct above the corner.
    LowPass,
    /// 12 dB/oct below the corner.
    HighPass,
    /// Constant 0 dB peak gain.
    BandPass,
    /// Takes the centre out.
    Notch,
    /// Turns the phase only.
    AllPass,
    /// Gain below the corner, in dB.
    LowShelf(f64),
    /// Gain above the corner, in dB.
    HighShelf(f64),
    /// Gain around the centre, in dB.
    Peak(f64),
}

/// Normalised coefficients: `H(z) = (b0 + b1·z⁻¹ + b2·z⁻²) / (1 + a1·z⁻¹ + a2·z⁻²)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Feed-forward, no delay.
    pub b0: f64,
    /// Feed-forward, one frame.
    pub b1: f64,
    /// Feed-forward, two frames.
    pub b2: f64,
    /// Feedback, one frame.
    pub a1: f64,
    /// Feedback, two frames.
    pub a2: f64,
}

impl Coefficients {
    /// Lets everything pass.
    pub const IDENTITY: Self = Self { b0: 1.0, b1: 0.0, b2: 0.0, a1: 0.0, a2: 0.0 };

    /// A section of `shape` at `frequency_hz` with quality `q`. A corner above 0.49 of the sample rate is moved there, so
    /// that one preset serves every rate.
    pub fn design(shape: Shape, sample_rate: f64, frequency_hz: f64, q: f64) -> Self {
        use biquad::Type;
        let kind = match shape {
            Shape::LowPass => Type::LowPass,
            Shape::HighPass => Type::HighPass,
            Shape::BandPass => Type::BandPass,
            Shape::Notch => Type::Notch,
            Shape::AllPass => Type::AllPass,
            Shape::LowShelf(db) => Type::LowShelf(db),
            Shape::HighShelf(db) => Type::HighShelf(db),
            Shape::Peak(db) => Type::PeakingEQ(db),
        };
        let f0 = frequency_hz.clamp(0.1, 0.49 * sample_rate);
        let designed = biquad::Hertz::from_hz(sample_rate).and_then(|fs| {
            biquad::Hertz::from_hz(f0)
                .and_then(|f0| biquad::Coefficients::<f64>::from_params(kind, fs, f0, q.max(1e-3)))
        });
        // Cannot fail inside the clamps; a section that lets everything pass is the safe answer.
        designed.map_or(Self::IDENTITY, |c| Self { b0: c.b0, b1: c.b1, b2: c.b2, a1: c.a1, a2: c.a2 })
    }

    /// `|H|` in dB at `frequency_hz`.
    pub fn magnitude_db(&self, sample_rate: f64, frequency_hz: f64) -> f64 {
        let w = std::f64::consts::TAU * frequency_hz / sample_rate;
        let part = |c0: f64, c1: f64, c2: f64| {
            let re = c0 + c1 * w.cos() + c2 * (2.0 * w).cos();
            let im = -(c1 * w.sin() + c2 * (2.0 * w).sin());
            re * re + im * im
        };
        10.0 * (part(self.b0, self.b1, self.b2) / part(1.0, self.a1, self.a2)).log10()
    }
}

/// The memory of one section in `N` lanes that share coefficients (the channels of a sound).
#[derive(Debug, Clone, Copy)]
pub struct State<const N: usize> {
    s1: [f64; N],
    s2: [f64; N],
}

impl<const N: usize> Default for State<N> {
    fn default() -> Self {
        Self { s1: [0.0; N], s2: [0.0; N] }
    }
}

impl<const N: usize> State<N> {
    /// One frame: `y = s1 + b0·x; s1 = s2 + b1·x − a1·y; s2 = b2·x − a2·y`.
    #[inline(always)]
    pub fn step(&mut self, c: &Coefficients, x: [f64; N]) -> [f64; N] {
        let mut y = [0.0; N];
        for i in 0..N {
            y[i] = self.s1[i] + c.b0 * x[i];
            self.s1[i] = self.s2[i] + c.b1 * x[i] - c.a1 * y[i];
            self.s2[i] = c.b2 * x[i] - c.a2 * y[i];
        }
        y
    }

    /// Whether nothing rings any more (below −240 dBFS).
    pub fn is_quiet(&self) -> bool {
        self.s1.iter().chain(&self.s2).all(|s| s.abs() < 1e-12)
    }

    /// Drops what is too small to matter; call at quantum edges.
    #[inline]
    pub fn flush(&mut self) {
        for i in 0..N {
            self.s1[i] = flush(self.s1[i]);
            self.s2[i] = flush(self.s2[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;
    use biquad::Biquad as _;

    fn shapes() -> [Shape; 8] {
        use Shape::*;
        [LowPass, HighPass, BandPass, Notch, AllPass, LowShelf(4.0), HighShelf(-3.0), Peak(6.0)]
    }

    #[test]
    fn equals_the_crates_loop_bit_for_bit() {
        for shape in shapes() {
            let c = Coefficients::design(shape, 48_000.0, 1_000.0, 0.9);
            let theirs = biquad::Coefficients { a1: c.a1, a2: c.a2, b0: c.b0, b1: c.b1, b2: c.b2 };
            let mut crates = [biquad::DirectForm2Transposed::<f64>::new(theirs); 2];
            let mut ours = State::<2>::default();
            let mut rng = Xorshift::new(7);
            for _ in 0..10_000 {
                let x = [rng.bipolar(), rng.bipolar()];
                let y = ours.step(&c, x);
                assert_eq!(y, [crates[0].run(x[0]), crates[1].run(x[1])], "{shape:?}");
            }
        }
    }

    #[test]
    fn shapes_do_what_they_say() {
        let at = |shape, f| {
            Coefficients::design(shape, 48_000.0, 1_000.0, std::f64::consts::FRAC_1_SQRT_2).magnitude_db(48_000.0, f)
        };
        assert!((at(Shape::LowPass, 1_000.0) + 3.01).abs() < 0.01);
        assert!((at(Shape::HighPass, 1_000.0) + 3.01).abs() < 0.01);
        assert!((at(Shape::Peak(6.0), 1_000.0) - 6.0).abs() < 1e-9);
        assert!((at(Shape::LowShelf(6.0), 10.0) - 6.0).abs() < 0.01);
        assert!((at(Shape::HighShelf(-6.0), 20_000.0) + 6.0).abs() < 0.05);
        for f in [50.0, 1_000.0, 15_000.0] {
            assert!(at(Shape::AllPass, f).abs() < 1e-9);
        }
    }

    #[test]
    fn a_corner_above_nyquist_is_moved_not_refused() {
        let c = Coefficients::design(Shape::LowPass, 8_000.0, 20_000.0, 0.7);
        assert!(c.b0.is_finite() && c != Coefficients::IDENTITY);
    }
}

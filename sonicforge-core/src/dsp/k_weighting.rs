//! The K-weighting of ITU-R BS.1770-4, annex 1 (<https://www.itu.int/rec/R-REC-BS.1770>), at any sample rate.
//!
//! The recommendation prints the two biquads for 48 kHz and asks that other rates give the same response. Each is taken
//! back to its analogue prototype by inverting the bilinear transform with K = tan(π·f0/48000), and comes forward again
//! with K = tan(π·f0/fs): shelf and high-pass keep their corner frequency, and both keep their gain.

use std::f64::consts::PI;

/// Coefficients of one biquad, normalised so that a0 = 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KSection {
    /// Numerator b0, b1, b2.
    pub b: [f64; 3],
    /// Denominator a1, a2.
    pub a: [f64; 2],
}

/// BS.1770-4, table 1: the spherical head as a high shelf of +4 dB, at 48 kHz.
const SHELF_48K: KSection = KSection {
    b: [1.535_124_859_586_97, -2.691_696_189_406_38, 1.198_392_810_852_85],
    a: [-1.690_659_293_182_41, 0.732_480_774_215_85],
};
/// BS.1770-4, table 2: the RLB high-pass, at 48 kHz.
const HIGH_PASS_48K: KSection = KSection { b: [1.0, -2.0, 1.0], a: [-1.990_047_454_833_98, 0.990_072_250_366_21] };

impl KSection {
    /// The same analogue filter at another rate.
    fn at(&self, fs: f64) -> KSection {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        // With s = (1 − z⁻¹)/(1 + z⁻¹)/K the analogue filter is (v2·s² + v1·s + v0)/(s² + s/Q + 1).
        let a0 = 4.0 / (1.0 - a1 + a2);
        let k = ((1.0 + a1 + a2) / (1.0 - a1 + a2)).sqrt();
        let inverse_q = a0 * (1.0 - a2) / (2.0 * k);
        let v2 = a0 * (b0 - b1 + b2) / 4.0;
        let v1 = a0 * (b0 - b2) / (2.0 * k);
        let v0 = a0 * (b0 + b1 + b2) / (4.0 * k * k);
        // tan(π·f0/48000) = k, so f0 = atan(k)·48000/π.
        let k = (k.atan() * 48_000.0 / fs).tan();
        let a0 = 1.0 + k * inverse_q + k * k;
        KSection {
            b: [(v2 + v1 * k + v0 * k * k) / a0, 2.0 * (v0 * k * k - v2) / a0, (v2 - v1 * k + v0 * k * k) / a0],
            a: [2.0 * (k * k - 1.0) / a0, (1.0 - k * inverse_q + k * k) / a0],
        }
    }

    /// |H| at `hz`, for a filter that runs at `sample_rate`.
    pub fn gain_at(&self, hz: f64, sample_rate: f64) -> f64 {
        let w = 2.0 * PI * hz / sample_rate;
        let norm = |c0: f64, c1: f64, c2: f64| {
            (c0 + c1 * w.cos() + c2 * (2.0 * w).cos()).hypot(c1 * w.sin() + c2 * (2.0 * w).sin())
        };
        norm(self.b[0], self.b[1], self.b[2]) / norm(1.0, self.a[0], self.a[1])
    }
}

/// The two sections, shelf first, for `sample_rate` in Hz.
pub fn k_sections(sample_rate: u32) -> [KSection; 2] {
    let fs = f64::from(sample_rate);
    [SHELF_48K.at(fs), HIGH_PASS_48K.at(fs)]
}

/// |H| of the whole K-weighting at `hz`, running at `sample_rate`.
pub fn k_gain(hz: f64, sample_rate: u32) -> f64 {
    k_sections(sample_rate).iter().map(|s| s.gain_at(hz, f64::from(sample_rate))).product()
}

/// State below this is silence: without the flush the filters' tails would sink into denormals, which are slow.
const FLUSH: f64 = 1e-30;

/// Two channels through both sections, in direct form II transposed. The two lanes fill one vector register; the second
/// section of one frame overlaps the first section of the next in the processor's pipeline.
#[derive(Debug, Clone)]
pub struct KWeightingPair {
    b: [[f64; 3]; 2],
    a: [[f64; 2]; 2],
    state: [[[f64; 2]; 2]; 2],
}

impl KWeightingPair {
    /// Filters at rest, for `sample_rate` in Hz.
    pub fn new(sample_rate: u32) -> Self {
        let s = k_sections(sample_rate);
        Self { b: [s[0].b, s[1].b], a: [s[0].a, s[1].a], state: [[[0.0; 2]; 2]; 2] }
    }

    /// Filters `left` and `right` (equally long) and adds the squares of what comes out to `energy`, frame by frame, so
    /// that the sum does not depend on how the sound was cut.
    pub fn add_energy(&mut self, left: &[f32], right: &[f32], energy: &mut [f64; 2]) {
        let ([b, d], [a, c]) = (self.b, self.a);
        let [[mut s1, mut s2], [mut t1, mut t2]] = self.state;
        let mut e = *energy;
        for (&l, &r) in left.iter().zip(right) {
            let x = [f64::from(l), f64::from(r)];
            let (mut y, mut z) = ([0.0; 2], [0.0; 2]);
            for i in 0..2 {
                y[i] = b[0] * x[i] + s1[i];
                s1[i] = (b[1] * x[i] + s2[i]) - a[0] * y[i];
                s2[i] = b[2] * x[i] - a[1] * y[i];
            }
            for i in 0..2 {
                z[i] = d[0] * y[i] + t1[i];
                t1[i] = (d[1] * y[i] + t2[i]) - c[0] * z[i];
                t2[i] = d[2] * y[i] - c[1] * z[i];
                e[i] += z[i] * z[i];
            }
        }
        *energy = e;
        self.state = [[s1, s2], [t1, t2]];
    }

    /// Sets state that has sunk below hearing and arithmetic to zero. Call it at fixed positions of the sound.
    pub fn flush(&mut self) {
        for s in self.state.as_flattened_mut().as_flattened_mut() {
            if s.abs() < FLUSH {
                *s = 0.0;
            }
        }
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.state = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_48_khz_it_is_the_printed_filter() {
        for (now, printed) in k_sections(48_000).iter().zip([SHELF_48K, HIGH_PASS_48K]) {
            for (x, y) in now.b.iter().chain(&now.a).zip(printed.b.iter().chain(&printed.a)) {
                assert!((x - y).abs() < 1e-13, "{now:?}");
            }
        }
    }

    #[test]
    fn at_other_rates_it_sounds_the_same() {
        for rate in [32_000, 44_100, 88_200, 96_000, 176_400, 192_000, 384_000] {
            for hz in [20.0, 38.0, 100.0, 500.0, 1_000.0, 2_000.0, 4_000.0] {
                let db = 20.0 * (k_gain(hz, rate) / k_gain(hz, 48_000)).log10();
                assert!(db.abs() < 0.025, "{db} dB at {hz} Hz, {rate} Hz");
            }
        }
        // 997 Hz gives −0.691 + 0.691 dB by the recommendation's calibration.
        // The lowest rates press the shelf against half their rate.
        for (rate, tolerance) in
            [(8_000, 0.25), (11_025, 0.15), (22_050, 0.05), (44_100, 0.01), (48_000, 0.01), (384_000, 0.01)]
        {
            let db = 20.0 * k_gain(997.0, rate).log10();
            assert!((db - 0.691).abs() < tolerance, "{db} dB at 997 Hz, {rate} Hz");
        }
    }

    #[test]
    fn silence_after_a_burst_reaches_exact_zero() {
        let mut k = KWeightingPair::new(48_000);
        let mut e = [0.0; 2];
        k.add_energy(&[1.0; 480], &[-1.0; 480], &mut e);
        for _ in 0..200 {
            k.flush();
            e = [0.0; 2];
            k.add_energy(&[0.0; 480], &[0.0; 480], &mut e);
        }
        assert_eq!(e, [0.0; 2]);
        assert_eq!(k.state, [[[0.0; 2]; 2]; 2]);
    }
}

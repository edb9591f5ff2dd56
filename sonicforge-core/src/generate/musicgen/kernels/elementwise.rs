//! What happens to a vector between two products: norms, activations, softmax.
//!
//! Written once in plain Rust, in sixteen lanes, and compiled for wider registers too. Nothing here contracts a product and a sum
//! into one rounding, so all copies agree to the bit.

use crate::dsp::kernels::with_wide_registers;
use crate::generate::musicgen::config::Activation;

/// Lanes that sums are kept in.
const LANES: usize = 16;

/// eˣ for |x| < 87 within 2 ulp; smaller x give 0 or next to it, larger ones stop at e⁸⁸. NaN stays NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, e^r by its Taylor series up to r⁷ (the remainder is below 6·10⁻⁹).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -103.0 { -103.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut e = 1.0 / 5040.0;
    e = e * r + 1.0 / 720.0;
    e = e * r + 1.0 / 120.0;
    e = e * r + 1.0 / 24.0;
    e = e * r + 1.0 / 6.0;
    e = e * r + 0.5;
    e = e * r + 1.0;
    e = e * r + 1.0;
    // 2ⁿ in two factors, since n may go down to −149.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    e * power(half) * power(n - half)
}

/// The error function within 5·10⁻⁷, as a rational function of x on ±4 (the minimax coefficients that Eigen uses).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let s = x * x;
    let mut p = -2.726_142_3e-10;
    p = p * s + 2.770_681_4e-8;
    p = p * s + -2.101_024e-6;
    p = p * s + -5.692_506_5e-5;
    p = p * s + -7.349_906_3e-4;
    p = p * s + -2.954_6e-3;
    p = p * s + -1.609_603_4e-2;
    let mut q = -1.456_607_2e-5;
    q = q * s + -2.133_740_6e-4;
    q = q * s + -1.682_827e-3;
    q = q * s + -7.373_329e-3;
    q = q * s + -1.426_473_9e-2;
    let inside = x * p / q;
    let above = if x >= 4.0 { 1.0 } else { inside };
    if x <= -4.0 { -1.0 } else { above }
}

/// Σ of a line in sixteen lanes, then the lanes in pairs.
#[inline(always)]
fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = x.chunks_exact(LANES);
    let rest = whole.remainder();
    for chunk in whole {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += term(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += term(x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

with_wide_registers! {
    /// Layer normalization of each row of `weight.len()` values: (x − mean) / √(variance + ε) · weight + bias.
    pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, y: &mut [f32]) {
        let n = weight.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let mean = sum(x, |x| x) / n as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / n as f32;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for ((y, &x), (&w, &b)) in y.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
                *y = (x - mean) * scale * w + b;
            }
        }
    }
}

with_wide_registers! {
    /// T5's norm of each row: x / √(mean of x² + ε) · weight.
    pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) {
        let n = weight.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let scale = 1.0 / (sum(x, |x| x * x) / n as f32 + epsilon).sqrt();
            for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * scale * w;
            }
        }
    }
}

with_wide_registers! {
    /// Applies an activation in place.
    pub(crate) fn activate(kind: Activation, x: &mut [f32]) {
        match kind {
            Activation::Gelu => x.iter_mut().for_each(|x| *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2))),
            // 0.5·x·(1 + tanh u) = x / (1 + e^−2u), u = √(2/π)·(x + 0.044715·x³).
            Activation::GeluTanh => x.iter_mut().for_each(|x| {
                *x /= 1.0 + exp(-1.595_769 * (*x + 0.044_715 * *x * *x * *x));
            }),
            Activation::Relu => x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
            Activation::Silu => x.iter_mut().for_each(|x| *x /= 1.0 + exp(-*x)),
        }
    }
}

with_wide_registers! {
    /// Turns scores into probabilities in place: e^(x − max) / Σ.
    pub(crate) fn softmax(x: &mut [f32]) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in x.chunks(LANES) {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = if x > *lane { x } else { *lane };
            }
        }
        let max = lanes.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        for x in x.iter_mut() {
            *x = exp(*x - max);
        }
        let scale = 1.0 / sum(x, |x| x);
        for x in x.iter_mut() {
            *x *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::kernels::tests::noise;

    #[test]
    fn exp_is_exp() {
        let mut x = -87.0f32;
        while x < 88.0 {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2.5e-7, "{x}: {} {exact}", exp(x));
            x += 0.0137;
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), exp(-103.0));
        assert!(exp(f32::NEG_INFINITY) < 1e-44 && exp(f32::NAN).is_nan() && exp(1e9).is_finite());
    }

    #[test]
    fn activations() {
        // From the definitions, in double precision: erf by its series.
        let erf64 = |x: f64| {
            let (mut term, mut total) = (x, x);
            for n in 1..200 {
                term *= -x * x / n as f64;
                total += term / (2 * n + 1) as f64;
            }
            total * std::f64::consts::FRAC_2_SQRT_PI
        };
        for i in -400..=400 {
            let x = i as f32 / 100.0;
            let d = f64::from(x);
            let run = |kind| {
                let mut y = [x; 3];
                activate(kind, &mut y);
                f64::from(y[2])
            };
            assert!((run(Activation::Gelu) - 0.5 * d * (1.0 + erf64(d / 2f64.sqrt()))).abs() < 1e-6, "{x}");
            let u = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044_715 * d * d * d);
            assert!((run(Activation::GeluTanh) - 0.5 * d * (1.0 + u.tanh())).abs() < 1e-6, "{x}");
            assert!((run(Activation::Silu) - d / (1.0 + (-d).exp())).abs() < 1e-6);
            assert_eq!(run(Activation::Relu), d.max(0.0));
        }
        let mut far = [-30.0, 30.0];
        activate(Activation::Gelu, &mut far);
        assert_eq!(far, [0.0, 30.0]);
    }

    #[test]
    fn norms_and_softmax() {
        let n = 83;
        let (x, w, b) = (noise(1, 2 * n), noise(2, n), noise(3, n));
        let (mut ln, mut rms) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
        layer_norm(&x, &w, &b, 1e-5, &mut ln);
        rms_norm(&x, &w, 1e-6, &mut rms);
        for (row, x) in x.chunks(n).enumerate() {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n as f64;
            let square = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
            for i in 0..n {
                let exact = (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(w[i]) + f64::from(b[i]);
                assert!((f64::from(ln[row * n + i]) - exact).abs() < 1e-6);
                let exact = f64::from(x[i]) / (square + 1e-6).sqrt() * f64::from(w[i]);
                assert!((f64::from(rms[row * n + i]) - exact).abs() < 1e-6);
            }
        }
        let mut p: Vec<f32> = x.iter().map(|x| x * 20.0).collect();
        softmax(&mut p);
        let total: f64 = x.iter().map(|&x| (20.0 * f64::from(x)).exp()).sum();
        for (p, &x) in p.iter().zip(&x) {
            assert!((f64::from(*p) - (20.0 * f64::from(x)).exp() / total).abs() < 1e-6);
        }
    }
}

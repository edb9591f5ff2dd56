//! The functions between the products: ELU, the gates of an LSTM.
//!
//! All stand on `eˣ = 2ⁿ·(1 + p)` with `n = round(x / ln 2)`, `r = x − n·ln 2`, `p = eʳ − 1` by its Taylor series to r⁷
//! (|r| ≤ ln 2 / 2, so the rest is below 2·10⁻⁸ of r), after W. J. Cody, W. Waite, "Software Manual for the Elementary
//! Functions", 1980. `eˣ − 1 = 2ⁿ·p + (2ⁿ − 1)` loses nothing near 0. A value's result depends neither on where in a slice
//! it stands nor on the instruction set.

use crate::dsp::kernels::with_wide_registers;

with_wide_registers! {
    /// `y = x` above 0, `eˣ − 1` below.
    pub(super) fn elu(x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len());
        for (y, &x) in y.iter_mut().zip(x) {
            *y = elu_of(x);
        }
    }
}

with_wide_registers! {
    /// The same where it stands.
    pub(super) fn elu_in_place(y: &mut [f32]) {
        for y in y {
            *y = elu_of(*y);
        }
    }
}

with_wide_registers! {
    /// One step of an LSTM: `gates`, of which `add` is still missing, are input, forget, cell and output, each as long as
    /// the state `cell`; `hidden` is the new output.
    pub(super) fn lstm_step(gates: &[f32], add: &[f32], cell: &mut [f32], hidden: &mut [f32]) {
        let size = cell.len();
        let hidden = &mut hidden[..size];
        let [i, f, g, o] = [0, 1, 2, 3].map(|gate| (&gates[gate * size..][..size], &add[gate * size..][..size]));
        for at in 0..size {
            let gate = |(gate, add): (&[f32], &[f32])| gate[at] + add[at];
            cell[at] = sigmoid(gate(f)) * cell[at] + sigmoid(gate(i)) * tanh(gate(g));
            hidden[at] = sigmoid(gate(o)) * tanh(cell[at]);
        }
    }
}

with_wide_registers! {
    /// `y[i·n + o] = bias[o] + Σ x[i·ldx + s]·w[o][s]` for a few outputs, where tiles of 32 would be mostly empty. Sixteen
    /// sums side by side, then the sums in pairs.
    pub(super) fn dots(x: &[f32], ldx: usize, w: &[f32], bias: &[f32], y: &mut [f32]) {
        const LANES: usize = 16;
        let (outputs, inputs) = (bias.len(), w.len() / bias.len());
        for (i, y) in y.chunks_exact_mut(outputs).enumerate() {
            let x = &x[i * ldx..][..inputs];
            for (o, y) in y.iter_mut().enumerate() {
                let w = &w[o * inputs..][..inputs];
                let mut sums = [0.0f32; LANES];
                let (xs, ws) = (x.chunks_exact(LANES), w.chunks_exact(LANES));
                let rest = xs.remainder().iter().zip(ws.remainder());
                for (x, w) in xs.zip(ws) {
                    for lane in 0..LANES {
                        sums[lane] += x[lane] * w[lane];
                    }
                }
                for (sum, (&x, &w)) in sums.iter_mut().zip(rest) {
                    *sum += x * w;
                }
                let mut half = LANES / 2;
                while half > 0 {
                    for lane in 0..half {
                        sums[lane] += sums[lane + half];
                    }
                    half /= 2;
                }
                *y = sums[0] + bias[o];
            }
        }
    }
}

/// (2ⁿ, 2ⁿ·p) of the head of this file, for x in −87 to 0.
#[inline(always)]
fn exponential(x: f32) -> (f32, f32) {
    // 1.5·2²³: adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with zeros at its end, so that n times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        p = p * r + coefficient;
    }
    let p = p * r * r + r;
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    (scale, scale * p)
}

/// eˣ − 1 for x ≤ 0.
#[inline(always)]
fn expm1(x: f32) -> f32 {
    let (scale, rest) = exponential(if x < -87.0 { -87.0 } else { x });
    rest + (scale - 1.0)
}

/// NaN stays NaN.
#[inline(always)]
fn elu_of(x: f32) -> f32 {
    if x <= 0.0 { expm1(x) } else { x }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let (scale, rest) = exponential(if x.abs() > 87.0 { -87.0 } else { -x.abs() });
    let e = scale + rest;
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// (1 − e⁻²ˣ) / (1 + e⁻²ˣ).
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = expm1(-2.0 * x.abs());
    (-e / (2.0 + e)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::kernels::tests::noise;

    /// −100 to 100, dense around 0.
    fn values() -> Vec<f32> {
        let mut values: Vec<f32> = noise(1, 20_000).iter().map(|x| 100.0 * x * x * x).collect();
        values.extend([0.0, -0.0, 1e-30, -1e-30, -87.0, -87.5, -1e9, 1e9, f32::INFINITY, f32::NEG_INFINITY]);
        values
    }

    #[test]
    fn functions_are_those_of_the_book() {
        for x in values() {
            let exact = f64::from(x);
            let near = |got: f32, exact: f64, relative: f64, absolute: f64| {
                let error = (f64::from(got) - exact).abs();
                let same = f64::from(got) == exact; // Infinity too.
                assert!(same || error <= relative * exact.abs() + absolute, "{x}: {got}, not {exact}");
            };
            near(elu_of(x), if x > 0.0 { exact } else { exact.exp_m1() }, 1.2e-7, 0.0);
            near(sigmoid(x), 1.0 / (1.0 + (-exact).exp()), 2e-7, 1e-37);
            near(tanh(x), exact.tanh(), 3e-7, 0.0);
        }
        assert!(elu_of(f32::NAN).is_nan());
    }

    #[test]
    fn a_value_does_not_know_its_place() {
        let x = values();
        let mut whole = vec![0.0; x.len()];
        elu(&x, &mut whole);
        for (from, len) in [(0, 1), (1, 15), (3, 17), (5, 100)] {
            let mut part = vec![0.0; len];
            elu(&x[from..from + len], &mut part);
            let mut here = x[from..from + len].to_vec();
            elu_in_place(&mut here);
            for i in 0..len {
                assert_eq!(part[i].to_bits(), whole[from + i].to_bits());
                assert_eq!(here[i].to_bits(), whole[from + i].to_bits());
            }
        }
    }

    #[test]
    fn dot_products_are_exact() {
        for inputs in [1, 15, 16, 17, 100] {
            let (x, w) = (noise(1, 3 + 4 * inputs), noise(2, 2 * inputs));
            let mut y = [0.0; 6];
            dots(&x, 5.min(inputs), &w, &[0.5, -1.0], &mut y);
            for (i, y) in y.iter().enumerate() {
                let (row, o) = (i / 2, i % 2);
                let sum: f64 =
                    (0..inputs).map(|s| f64::from(x[row * 5.min(inputs) + s]) * f64::from(w[o * inputs + s])).sum();
                assert!((f64::from(*y) - sum - [0.5, -1.0][o]).abs() < 1e-5);
            }
        }
    }
}

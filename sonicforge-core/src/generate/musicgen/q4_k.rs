//! The search for the scales of a Q4_K block.
//!
//! The layout is ggml's `block_q4_K` (see `blocks.rs`); how a writer finds its numbers is free. Here:
//! 1. for every 32 weights, several widths of the grid, each with the scale and the minimum that fit its rounding best by
//!    least squares; the one with the smallest squared error stays;
//! 2. the largest scale and the largest minimum of the block become 63 steps of d and dmin;
//! 3. for every 32 weights, of the steps around the rounded ones, those with the smallest squared error.
//!
//! Errors count alike for small and large weights: that is least error at the output for inputs that are not known.
//! Normally distributed weights come out with a relative error of 0.0702, against 0.0746 from the quantizer of candle 0.11
//! (one width, nearest steps), in three quarters of its time.

use half::f16;

/// Sums run in eight lanes, so that every instruction set adds in the same order.
const LANES: usize = 8;

/// Weights that share a scale and a minimum.
type Part = [f32; 32];

/// One block; see the layout in `blocks.rs`.
pub(crate) fn q4_k(x: &[f32; 256]) -> [u8; 144] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { q4_k_avx2(x) };
    }
    block(x)
}

/// The same arithmetic in wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn q4_k_avx2(x: &[f32; 256]) -> [u8; 144] {
    block(x)
}

#[inline(always)]
fn block(x: &[f32; 256]) -> [u8; 144] {
    let parts = x.as_chunks::<32>().0;
    let mut wanted = [(0.0, 0.0); 8];
    for (wanted, part) in wanted.iter_mut().zip(parts) {
        *wanted = fit(part);
    }
    let most = |pick: fn(&(f32, f32)) -> f32| wanted.iter().map(pick).fold(0.0, f32::max);
    let d = f16::from_f32(most(|w| w.0) / 63.0);
    let dmin = f16::from_f32(most(|w| w.1) / 63.0);

    let mut out = [0; 144];
    out[..2].copy_from_slice(&d.to_le_bytes());
    out[2..4].copy_from_slice(&dmin.to_le_bytes());
    let (d, dmin) = (d.to_f32(), dmin.to_f32());
    for (i, part) in parts.iter().enumerate() {
        let (scale, min) = steps(part, wanted[i], d, dmin);
        let scales = &mut out[4..16];
        if i < 4 {
            scales[i] |= scale;
            scales[i + 4] |= min;
        } else {
            scales[i + 4] = (scale & 15) | (min << 4);
            scales[i - 4] |= (scale >> 4) << 6;
            scales[i] |= (min >> 4) << 6;
        }
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        let q = rounded(part, inverse(scale), min);
        let bytes = &mut out[16 + 32 * (i / 2)..][..32];
        for (byte, q) in bytes.iter_mut().zip(q) {
            *byte |= (q as u8) << (4 * (i % 2));
        }
    }
    out
}

/// Scale and minimum (x ≈ scale·q − min, both ≥ 0) with the smallest squared error found.
#[inline(always)]
fn fit(x: &Part) -> (f32, f32) {
    let low = x.iter().fold(0f32, |m, x| if *x < m { *x } else { m });
    let high = x.iter().fold(low, |m, x| if *x > m { *x } else { m });
    let range = high - low;
    let width = 15.0 / range;
    if !(range.is_normal() && width.is_normal()) {
        return (0.0, -low);
    }
    let mut best = (range / 15.0, -low);
    let mut least = f32::INFINITY;
    // A grid narrower than the range cuts the outermost weights and serves the others better.
    for step in 0..8 {
        let width = (13.5 + 0.35 * step as f32) / range;
        let (scale, min, error) = least_squares(x, &rounded(x, width, -low));
        if error < least {
            (best, least) = ((scale, min), error);
        }
    }
    // Weights that the fit has moved to other steps of the grid.
    let (scale, min, error) = least_squares(x, &rounded(x, inverse(best.0), best.1));
    if error < least { (scale, min) } else { best }
}

/// The line x ≈ scale·q − min with the smallest squared error, neither below 0, and that error.
#[inline(always)]
fn least_squares(x: &Part, q: &Part) -> (f32, f32, f32) {
    let (sum_x, sum_q, sum_xx) = (sum(|i| x[i]), sum(|i| q[i]), sum(|i| x[i] * x[i]));
    let (sum_qq, sum_qx) = (sum(|i| q[i] * q[i]), sum(|i| q[i] * x[i]));
    let determinant = 32.0 * sum_qq - sum_q * sum_q;
    if determinant <= 0.0 {
        return (0.0, 0.0, f32::INFINITY);
    }
    let scale = (32.0 * sum_qx - sum_q * sum_x) / determinant;
    let min = (scale * sum_q - sum_x) / 32.0;
    let (scale, min) = if min >= 0.0 { (scale, min) } else { (sum_qx / sum_qq, 0.0) };
    // Where the derivatives by scale and min are zero, the error is what is left of Σx².
    if scale > 0.0 { (scale, min, sum_xx - scale * sum_qx + min * sum_x) } else { (0.0, 0.0, f32::INFINITY) }
}

/// The six-bit steps of d and dmin near `wanted` with the smallest squared error.
#[inline(always)]
fn steps(x: &Part, wanted: (f32, f32), d: f32, dmin: f32) -> (u8, u8) {
    let near = |wanted: f32, step: f32| if step > 0.0 { (wanted / step).round().clamp(0.0, 63.0) as i32 } else { 0 };
    let (scale, min) = (near(wanted.0, d), near(wanted.1, dmin));
    let (mut best, mut least) = ((scale, min), f32::INFINITY);
    for scale in (scale - 1).max(0)..=(scale + 1).min(63) {
        for min in (min - 1).max(0)..=(min + 1).min(63) {
            let error = error(x, d * scale as f32, dmin * min as f32);
            if error < least {
                (best, least) = ((scale, min), error);
            }
        }
    }
    (best.0 as u8, best.1 as u8)
}

/// The squared error of `x` on the grid scale·q − min.
#[inline(always)]
fn error(x: &Part, scale: f32, min: f32) -> f32 {
    let q = rounded(x, inverse(scale), min);
    sum(|i| {
        let e = scale * q[i] - min - x[i];
        e * e
    })
}

/// q from 0 to 15, as floats.
#[inline(always)]
fn rounded(x: &Part, inverse: f32, min: f32) -> Part {
    // Adding and taking 1.5·2²³ rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let mut q = *x;
    for q in &mut q {
        let t = (*q + min) * inverse;
        let t = if t < 15.0 { t } else { 15.0 };
        let t = if t > 0.0 { t } else { 0.0 };
        *q = (t + ROUND) - ROUND;
    }
    q
}

#[inline(always)]
fn inverse(scale: f32) -> f32 {
    if scale > 0.0 { 1.0 / scale } else { 0.0 }
}

#[inline(always)]
fn sum(term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    for i in (0..32).step_by(LANES) {
        for j in 0..LANES {
            lanes[j] += term(i + j);
        }
    }
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
}

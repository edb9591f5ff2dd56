//! softmax(q·Kᵀ·scale + bias)·V for one query and one head, over a cache that is written in place.
//!
//! Source: Vaswani et al., "Attention is all you need", 2017. The cache keeps, per row and head, K in blocks of sixteen
//! positions, `[block][dimension][16]`, so that sixteen scores are found side by side without adding across lanes, and V
//! as it comes, `[position][dimension]`. Every score sums over the dimensions in order, the result over the positions in
//! order: neither depends on what else is in the batch.

use super::Level;
use super::elementwise::softmax;
use super::half_bits::HalfBits;

/// Positions per block of K, and what the dimension of V is padded to.
const BLOCK: usize = 16;

/// `n` rounded up to whole blocks.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(BLOCK)
}

/// Puts the key and the value of `position` into the cache of one row and head.
///
/// # Panics
/// When the cache is too short.
pub(crate) fn write_cache<T: HalfBits>(keys: &mut [T], values: &mut [T], position: usize, key: &[f32], value: &[f32]) {
    let d = key.len();
    let block = &mut keys[position / BLOCK * BLOCK * d..][..BLOCK * d];
    for (i, &x) in key.iter().enumerate() {
        block[i * BLOCK + position % BLOCK] = T::from_f32(x);
    }
    let line = &mut values[position * padded(d)..][..d];
    for (slot, &x) in line.iter_mut().zip(value) {
        *slot = T::from_f32(x);
    }
}

/// One query against one head's cache.
pub(crate) struct Attend<'a, T> {
    /// Keys, `[blocks][dimension][16]`.
    pub keys: &'a [T],
    /// Values, `[positions][padded dimension]`.
    pub values: &'a [T],
    /// Positions 0 to `len - 1` are seen.
    pub len: usize,
    /// On the products of query and key.
    pub scale: f32,
    /// Added to each score.
    pub bias: Option<&'a [f32]>,
}

impl<T: CacheElement> Attend<'_, T> {
    /// The result, as long as the query; `scores` is scratch.
    ///
    /// # Panics
    /// When the cache is too short.
    pub fn run(&self, query: &[f32], scores: &mut Vec<f32>, out: &mut [f32]) {
        let (d, wide) = (query.len(), padded(query.len()));
        let blocks = self.len.div_ceil(BLOCK);
        assert!(self.keys.len() >= blocks * d * BLOCK && self.values.len() >= self.len * wide && out.len() == d);
        scores.clear();
        scores.resize(blocks * BLOCK, 0.0);
        let level = Level::detect();
        // SAFETY: the assert; the machine has `level`.
        unsafe { T::scores(level, self.keys, query, scores) };
        scores.truncate(self.len);
        match self.bias {
            Some(bias) => scores.iter_mut().zip(bias).for_each(|(s, b)| *s = *s * self.scale + b),
            None => scores.iter_mut().for_each(|s| *s *= self.scale),
        }
        softmax(scores);
        let mut sums = [0.0f32; 64];
        for from in (0..d).step_by(64) {
            let to = d.min(from + 64);
            // SAFETY: the same.
            unsafe { T::weigh(level, &self.values[from..], wide, scores, &mut sums[..padded(to - from)]) };
            out[from..to].copy_from_slice(&sums[..to - from]);
        }
    }
}

/// A type the cache can have, with its kernels.
pub(crate) trait CacheElement: HalfBits {
    /// `scores[16·b + i] = Σ query[d]·keys[b][d][i]`.
    ///
    /// # Safety
    /// `keys` covers the scores; the machine has `level`.
    unsafe fn scores(level: Level, keys: &[Self], query: &[f32], scores: &mut [f32]);
    /// `sums[i] = Σ weights[s]·values[s·stride + i]`; as many sums as whole blocks of 16, at most 64.
    ///
    /// # Safety
    /// `values` covers the weights; the machine has `level`.
    unsafe fn weigh(level: Level, values: &[Self], stride: usize, weights: &[f32], sums: &mut [f32]);
}

macro_rules! cache_element {
    ($type:ty, $module:ident, $load512:expr, $load256:expr) => {
        mod $module {
            use super::*;
            #[cfg(target_arch = "x86_64")]
            use std::arch::x86_64::*;

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,f16c")]
            pub(super) unsafe fn scores_avx512(keys: &[$type], query: &[f32], scores: &mut [f32]) {
                let d = query.len();
                for (block, scores) in scores.chunks_exact_mut(BLOCK).enumerate() {
                    // SAFETY: as promised by the caller.
                    unsafe {
                        let keys = keys.as_ptr().add(block * d * BLOCK);
                        let mut sum = _mm512_setzero_ps();
                        for (i, &q) in query.iter().enumerate() {
                            sum = _mm512_fmadd_ps(_mm512_set1_ps(q), $load512(keys.add(i * BLOCK)), sum);
                        }
                        _mm512_storeu_ps(scores.as_mut_ptr(), sum);
                    }
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,f16c")]
            pub(super) unsafe fn weigh_avx512<const N: usize>(
                values: &[$type],
                stride: usize,
                weights: &[f32],
                sums: &mut [f32],
            ) {
                // SAFETY: as promised by the caller.
                unsafe {
                    let mut sum = [_mm512_setzero_ps(); N];
                    for (s, &w) in weights.iter().enumerate() {
                        let line = values.as_ptr().add(s * stride);
                        let w = _mm512_set1_ps(w);
                        for (i, sum) in sum.iter_mut().enumerate() {
                            *sum = _mm512_fmadd_ps(w, $load512(line.add(i * BLOCK)), *sum);
                        }
                    }
                    for (i, sum) in sum.iter().enumerate() {
                        _mm512_storeu_ps(sums.as_mut_ptr().add(i * BLOCK), *sum);
                    }
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            pub(super) unsafe fn scores_avx2(keys: &[$type], query: &[f32], scores: &mut [f32]) {
                let d = query.len();
                for (block, scores) in scores.chunks_exact_mut(BLOCK).enumerate() {
                    // SAFETY: as promised by the caller.
                    unsafe {
                        let keys = keys.as_ptr().add(block * d * BLOCK);
                        let mut sum = [_mm256_setzero_ps(); 2];
                        for (i, &q) in query.iter().enumerate() {
                            for (h, sum) in sum.iter_mut().enumerate() {
                                let keys = $load256(keys.add(i * BLOCK + h * 8));
                                *sum = _mm256_fmadd_ps(_mm256_set1_ps(q), keys, *sum);
                            }
                        }
                        _mm256_storeu_ps(scores.as_mut_ptr(), sum[0]);
                        _mm256_storeu_ps(scores.as_mut_ptr().add(8), sum[1]);
                    }
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            pub(super) unsafe fn weigh_avx2(values: &[$type], stride: usize, weights: &[f32], sums: &mut [f32]) {
                for (part, sums) in sums.chunks_exact_mut(BLOCK).enumerate() {
                    // SAFETY: as promised by the caller.
                    unsafe {
                        let mut sum = [_mm256_setzero_ps(); 2];
                        for (s, &w) in weights.iter().enumerate() {
                            let line = values.as_ptr().add(s * stride + part * BLOCK);
                            for (h, sum) in sum.iter_mut().enumerate() {
                                *sum = _mm256_fmadd_ps(_mm256_set1_ps(w), $load256(line.add(h * 8)), *sum);
                            }
                        }
                        _mm256_storeu_ps(sums.as_mut_ptr(), sum[0]);
                        _mm256_storeu_ps(sums.as_mut_ptr().add(8), sum[1]);
                    }
                }
            }
        }

        impl CacheElement for $type {
            unsafe fn scores(level: Level, keys: &[Self], query: &[f32], scores: &mut [f32]) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match level {
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512 => $module::scores_avx512(keys, query, scores),
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2 => $module::scores_avx2(keys, query, scores),
                        _ => scores_plain(keys, query, scores),
                    }
                }
            }

            unsafe fn weigh(level: Level, values: &[Self], stride: usize, weights: &[f32], sums: &mut [f32]) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match level {
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512 => match sums.len() / BLOCK {
                            1 => $module::weigh_avx512::<1>(values, stride, weights, sums),
                            2 => $module::weigh_avx512::<2>(values, stride, weights, sums),
                            3 => $module::weigh_avx512::<3>(values, stride, weights, sums),
                            _ => $module::weigh_avx512::<4>(values, stride, weights, sums),
                        },
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2 => $module::weigh_avx2(values, stride, weights, sums),
                        _ => weigh_plain(values, stride, weights, sums),
                    }
                }
            }
        }
    };
}

cache_element!(f32, single, |p| _mm512_loadu_ps(p), |p| _mm256_loadu_ps(p));
cache_element!(
    half::f16,
    binary16,
    |p: *const half::f16| _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())),
    |p: *const half::f16| _mm256_cvtph_ps(_mm_loadu_si128(p.cast()))
);

fn scores_plain<T: HalfBits>(keys: &[T], query: &[f32], scores: &mut [f32]) {
    for (keys, scores) in keys.chunks_exact(query.len() * BLOCK).zip(scores.chunks_exact_mut(BLOCK)) {
        for (keys, &q) in keys.chunks_exact(BLOCK).zip(query) {
            scores.iter_mut().zip(keys).for_each(|(s, k)| *s += q * k.to_f32());
        }
    }
}

fn weigh_plain<T: HalfBits>(values: &[T], stride: usize, weights: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for (s, &w) in weights.iter().enumerate() {
        let line = &values[s * stride..][..sums.len()];
        sums.iter_mut().zip(line).for_each(|(sum, v)| *sum += w * v.to_f32());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::kernels::tests::noise;

    fn check<T: CacheElement>(tolerance: f64) {
        for &(d, len) in &[(64, 1), (64, 16), (20, 33), (80, 47), (7, 100), (128, 18)] {
            let capacity = padded(len);
            let mut keys = vec![T::from_f32(0.0); capacity * d];
            let mut values = vec![T::from_f32(0.0); capacity * padded(d)];
            let (k, v, q, bias) = (noise(1, len * d), noise(2, len * d), noise(3, d), noise(4, len));
            for s in 0..len {
                write_cache(&mut keys, &mut values, s, &k[s * d..][..d], &v[s * d..][..d]);
            }
            let (mut out, mut scores) = (vec![0.0; d], Vec::new());
            Attend { keys: &keys, values: &values, len, scale: 0.3, bias: Some(&bias) }.run(&q, &mut scores, &mut out);
            let dot = |s: usize| (0..d).map(|i| f64::from(q[i]) * f64::from(k[s * d + i])).sum::<f64>();
            let p: Vec<f64> = (0..len).map(|s| (dot(s) * 0.3 + f64::from(bias[s])).exp()).collect();
            let total: f64 = p.iter().sum();
            for i in 0..d {
                let exact = (0..len).map(|s| p[s] * f64::from(v[s * d + i])).sum::<f64>() / total;
                assert!((f64::from(out[i]) - exact).abs() < tolerance, "{d} {len} [{i}]: {} {exact}", out[i]);
            }
            // The other forms agree.
            let reference = scores.clone();
            for level in [Level::Plain, Level::Avx2] {
                if level == Level::Avx2 && Level::detect() == Level::Plain {
                    continue;
                }
                let mut raw = vec![0.0; capacity];
                let mut sums = vec![0.0; padded(d).min(64)];
                unsafe {
                    T::scores(level, &keys, &q, &mut raw);
                    T::weigh(level, &values, padded(d), &reference, &mut sums);
                }
                for s in 0..len {
                    assert!((f64::from(raw[s]) - dot(s)).abs() < tolerance * 10.0);
                }
                for i in 0..d.min(64) {
                    assert!((sums[i] - out[i]).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn attention_is_the_formula() {
        check::<f32>(1e-6);
        check::<half::f16>(1e-3);
    }
}

//! y = x·Wᵀ + b for weights that are floats.
//!
//! The weights lie in tiles of 32 outputs, `[tile][k][32]`, so that one pass over a tile reads memory in order and each
//! output has a register lane of its own: its sum runs over k from first to last with one fused multiply-add per step,
//! whatever the number of rows (the register blocking of Goto & van de Geijn, "Anatomy of high-performance matrix
//! multiplication", 2008, without its splitting of k).

use super::half_bits::HalfBits;
use super::{Level, Pool, Shared, over_tiles};

/// Outputs per tile.
const TILE: usize = 32;
/// Most rows a kernel holds in registers.
const ROWS: usize = 12;

/// A weight matrix of floats, packed.
pub(crate) struct Dense<W> {
    tiles: Vec<W>,
    n: usize,
    k: usize,
    level: Level,
}

/// The usual one.
pub(crate) type PackedF32 = Dense<f32>;

impl<W: Element> Dense<W> {
    /// Packs `w`, row-major `[n][k]` as checkpoints have it: n outputs, k inputs.
    ///
    /// # Panics
    /// When `w` does not hold n·k values.
    pub fn pack(w: &[f32], n: usize, k: usize) -> Self {
        assert_eq!(w.len(), n * k, "a matrix of {n} × {k}");
        let mut tiles = vec![W::from_f32(0.0); n.div_ceil(TILE) * k * TILE];
        for (t, tile) in tiles.chunks_exact_mut((k * TILE).max(1)).enumerate() {
            for lane in 0..TILE.min(n - t * TILE) {
                let row = &w[(t * TILE + lane) * k..][..k];
                for (step, &x) in row.iter().enumerate() {
                    tile[step * TILE + lane] = W::from_f32(x);
                }
            }
        }
        Self { tiles, n, k, level: Level::detect() }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.tiles[..])
    }

    /// `y[i·ldy + j] = bias[j] + Σ x[i·ldx + s]·w[j][s]` for i < m. Rows of `x` may overlap (`ldx < k`).
    ///
    /// # Panics
    /// When a slice is too short.
    #[allow(clippy::too_many_arguments)] // The words of a matrix product.
    pub fn matmul(
        &self,
        pool: &Pool,
        x: &[f32],
        ldx: usize,
        m: usize,
        bias: Option<&[f32]>,
        y: &mut [f32],
        ldy: usize,
    ) {
        if m == 0 || self.n == 0 {
            return;
        }
        assert!(x.len() >= (m - 1) * ldx + self.k, "{m} rows of {} every {ldx} in {}", self.k, x.len());
        assert!(
            ldy >= self.n && y.len() >= (m - 1) * ldy + self.n,
            "{m} rows of {} every {ldy} in {}",
            self.n,
            y.len()
        );
        assert!(bias.is_none_or(|b| b.len() == self.n));
        let out = Shared::new(y);
        over_tiles(pool, self.n.div_ceil(TILE), m, ROWS, |tile, from, to| {
            let weights = &self.tiles[tile * self.k * TILE..][..self.k * TILE];
            let lanes = TILE.min(self.n - tile * TILE);
            let mut start = [0.0; TILE];
            if let Some(bias) = bias {
                start[..lanes].copy_from_slice(&bias[tile * TILE..][..lanes]);
            }
            for row in (from..to).step_by(ROWS) {
                let count = ROWS.min(to - row);
                // SAFETY: the asserts above cover rows `row..row + count` of x and y; each call writes lanes of its own
                // tile and rows of its own stretch.
                unsafe {
                    let y = out.at(row * ldy + tile * TILE);
                    W::tile(self.level, weights, &start, x.as_ptr().add(row * ldx), ldx, count, y, ldy, lanes);
                }
            }
        });
    }
}

/// A type weights can have in memory, with its kernels.
pub(crate) trait Element: HalfBits {
    /// One tile against `rows` ≤ [`ROWS`] rows.
    ///
    /// # Safety
    /// `x` has `rows` rows of `weights.len() / TILE` values every `ldx`, `y` room for `lanes` values every `ldy`; the
    /// machine has `level`.
    #[allow(clippy::too_many_arguments)] // The nine words of a matrix product.
    unsafe fn tile(
        level: Level,
        weights: &[Self],
        start: &[f32; TILE],
        x: *const f32,
        ldx: usize,
        rows: usize,
        y: *mut f32,
        ldy: usize,
        lanes: usize,
    );
}

/// The same loop for 1 to 12 rows, so that the compiler keeps the sums in registers.
macro_rules! by_rows {
    ($kernel:ident, $rows:expr, ($($arg:expr),*)) => {
        match $rows {
            1 => $kernel::<1>($($arg),*),
            2 => $kernel::<2>($($arg),*),
            3 => $kernel::<3>($($arg),*),
            4 => $kernel::<4>($($arg),*),
            5 => $kernel::<5>($($arg),*),
            6 => $kernel::<6>($($arg),*),
            7 => $kernel::<7>($($arg),*),
            8 => $kernel::<8>($($arg),*),
            9 => $kernel::<9>($($arg),*),
            10 => $kernel::<10>($($arg),*),
            11 => $kernel::<11>($($arg),*),
            _ => $kernel::<12>($($arg),*),
        }
    };
}

macro_rules! element {
    ($type:ty, $module:ident, $load512:expr, $load256:expr) => {
        mod $module {
            use super::*;
            #[cfg(target_arch = "x86_64")]
            use std::arch::x86_64::*;

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c")]
            pub(super) unsafe fn avx512<const M: usize>(
                weights: &[$type],
                start: &[f32; TILE],
                x: *const f32,
                ldx: usize,
                y: *mut f32,
                ldy: usize,
                lanes: usize,
            ) {
                // SAFETY: as promised by the caller of `Element::tile`.
                unsafe {
                    let (s0, s1) = (_mm512_loadu_ps(start.as_ptr()), _mm512_loadu_ps(start.as_ptr().add(16)));
                    let mut sums = [[s0, s1]; M];
                    let mut w = weights.as_ptr();
                    for step in 0..weights.len() / TILE {
                        let (w0, w1) = ($load512(w), $load512(w.add(16)));
                        for (row, sum) in sums.iter_mut().enumerate() {
                            let value = _mm512_set1_ps(*x.add(row * ldx + step));
                            sum[0] = _mm512_fmadd_ps(value, w0, sum[0]);
                            sum[1] = _mm512_fmadd_ps(value, w1, sum[1]);
                        }
                        w = w.add(TILE);
                    }
                    let mask = if lanes == TILE { u32::MAX } else { (1 << lanes) - 1 };
                    for (row, sum) in sums.iter().enumerate() {
                        _mm512_mask_storeu_ps(y.add(row * ldy), mask as u16, sum[0]);
                        if lanes > 16 {
                            _mm512_mask_storeu_ps(y.add(row * ldy + 16), (mask >> 16) as u16, sum[1]);
                        }
                    }
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments)] // As above.
            pub(super) unsafe fn avx2(
                weights: &[$type],
                start: &[f32; TILE],
                x: *const f32,
                ldx: usize,
                rows: usize,
                y: *mut f32,
                ldy: usize,
                lanes: usize,
            ) {
                // Three rows of 32 outputs fill twelve of the sixteen registers.
                let mut row = 0;
                while row < rows {
                    let x = unsafe { x.add(row * ldx) };
                    let y = unsafe { y.add(row * ldy) };
                    // SAFETY: as promised by the caller of `Element::tile`.
                    unsafe {
                        match rows - row {
                            1 => avx2_rows::<1>(weights, start, x, ldx, y, ldy, lanes),
                            2 => avx2_rows::<2>(weights, start, x, ldx, y, ldy, lanes),
                            _ => avx2_rows::<3>(weights, start, x, ldx, y, ldy, lanes),
                        }
                    }
                    row += 3;
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2_rows<const M: usize>(
                weights: &[$type],
                start: &[f32; TILE],
                x: *const f32,
                ldx: usize,
                y: *mut f32,
                ldy: usize,
                lanes: usize,
            ) {
                // SAFETY: as promised by the caller of `Element::tile`.
                unsafe {
                    let mut sums = [[_mm256_setzero_ps(); 4]; M];
                    for sum in &mut sums {
                        for (i, part) in sum.iter_mut().enumerate() {
                            *part = _mm256_loadu_ps(start.as_ptr().add(8 * i));
                        }
                    }
                    let mut w = weights.as_ptr();
                    for step in 0..weights.len() / TILE {
                        for i in 0..4 {
                            let weight = $load256(w.add(8 * i));
                            for (row, sum) in sums.iter_mut().enumerate() {
                                let value = _mm256_set1_ps(*x.add(row * ldx + step));
                                sum[i] = _mm256_fmadd_ps(value, weight, sum[i]);
                            }
                        }
                        w = w.add(TILE);
                    }
                    for (row, sum) in sums.iter().enumerate() {
                        let mut line = [0.0f32; TILE];
                        for (i, part) in sum.iter().enumerate() {
                            _mm256_storeu_ps(line.as_mut_ptr().add(8 * i), *part);
                        }
                        std::ptr::copy_nonoverlapping(line.as_ptr(), y.add(row * ldy), lanes);
                    }
                }
            }
        }

        impl Element for $type {
            unsafe fn tile(
                level: Level,
                weights: &[Self],
                start: &[f32; TILE],
                x: *const f32,
                ldx: usize,
                rows: usize,
                y: *mut f32,
                ldy: usize,
                lanes: usize,
            ) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match level {
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512 => {
                            use $module::avx512;
                            by_rows!(avx512, rows, (weights, start, x, ldx, y, ldy, lanes))
                        }
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2 => $module::avx2(weights, start, x, ldx, rows, y, ldy, lanes),
                        _ => {
                            for row in 0..rows {
                                plain(weights, start, x.add(row * ldx), y.add(row * ldy), lanes);
                            }
                        }
                    }
                }
            }
        }
    };
}

element!(f32, single, |p| _mm512_loadu_ps(p), |p| _mm256_loadu_ps(p));
element!(
    half::f16,
    binary16,
    |p: *const half::f16| _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())),
    |p: *const half::f16| _mm256_cvtph_ps(_mm_loadu_si128(p.cast()))
);
element!(
    half::bf16,
    bfloat16,
    |p: *const half::bf16| _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())),
        16
    )),
    |p: *const half::bf16| _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())), 16))
);

/// One row in plain Rust; the compiler finds the lanes.
unsafe fn plain<W: HalfBits>(weights: &[W], start: &[f32; TILE], x: *const f32, y: *mut f32, lanes: usize) {
    let mut sums = *start;
    for (step, weights) in weights.chunks_exact(TILE).enumerate() {
        // SAFETY: as promised by the caller of `Element::tile`.
        let value = unsafe { *x.add(step) };
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += value * weight.to_f32();
        }
    }
    // SAFETY: the same.
    unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), y, lanes) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::kernels::tests::noise;

    fn check<W: Element>(tolerance: f64, levels: &[Level]) {
        for &(m, n, k, ldx) in
            &[(1, 1, 1, 1), (2, 33, 7, 7), (7, 64, 100, 100), (13, 70, 24, 8), (40, 31, 5, 9), (9, 32, 0, 1)]
        {
            let w = noise(1, n * k);
            let x = noise(2, (m - 1) * ldx + k);
            let bias = noise(3, n);
            for level in levels {
                let mut packed = Dense::<W>::pack(&w, n, k);
                packed.level = *level;
                for threads in [1, 2] {
                    let pool = Pool::new(threads).unwrap();
                    let ldy = n + 3;
                    let mut y = vec![f32::NAN; m * ldy];
                    packed.matmul(&pool, &x, ldx, m, Some(&bias), &mut y, ldy);
                    for i in 0..m {
                        for j in 0..n {
                            let exact = f64::from(bias[j])
                                + (0..k).map(|s| f64::from(x[i * ldx + s]) * f64::from(w[j * k + s])).sum::<f64>();
                            let got = f64::from(y[i * ldy + j]);
                            assert!(
                                (got - exact).abs() <= tolerance,
                                "{level:?} {m}×{n}×{k} [{i}][{j}]: {got} {exact}"
                            );
                        }
                        // What lies between the rows is not touched.
                        assert!(i == m - 1 || y[i * ldy + n..(i + 1) * ldy].iter().all(|v| v.is_nan()));
                    }
                    // A row alone has the same bits.
                    let mut alone = vec![0.0; n];
                    for i in 0..m {
                        packed.matmul(&pool, &x[i * ldx..], k.max(1), 1, Some(&bias), &mut alone, n);
                        assert!(alone.iter().zip(&y[i * ldy..]).all(|(a, b)| a.to_bits() == b.to_bits()));
                    }
                }
            }
        }
    }

    fn levels() -> Vec<Level> {
        match Level::detect() {
            Level::Avx512 => vec![Level::Avx512, Level::Avx2, Level::Plain],
            Level::Avx2 => vec![Level::Avx2, Level::Plain],
            Level::Plain => vec![Level::Plain],
        }
    }

    #[test]
    fn products_are_exact_and_rows_independent() {
        check::<f32>(2e-5, &levels());
        check::<half::f16>(2e-2, &levels());
        check::<half::bf16>(2e-1, &levels());
    }
}

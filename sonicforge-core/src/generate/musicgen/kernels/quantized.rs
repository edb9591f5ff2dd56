//! y = x·Wᵀ for weights of 8 and 4 bits.
//!
//! Formats: ggml's Q8_0 (32 weights: a binary16 scale d and 32 signed bytes q, w = d·q) and Q4_K (256 weights in eight
//! sub-blocks of 32: w = d·s·q − dmin·m, with q of 4 bits, s and m of 6). The rows of x are rounded to bytes in blocks of 32
//! too, x ≈ e·p, so that the inner sum Σ p·q is one of integers, and exact; what is left are one fused multiply-add per
//! block and output, from the first block to the last.
//!
//! Sixteen outputs lie side by side, four bytes of each in a 32-bit lane, the operand of VPDPBUSD ("four products and
//! their sum"). It wants one unsigned side: Q4_K is unsigned, and a signed byte q is kept as q + 128, with
//! Σ p·q = Σ p·(q + 128) − 128·Σ p.

use super::{Level, Pool, Shared, over_tiles};
use crate::dsp::kernels::with_wide_registers;

/// Outputs per tile.
const TILE: usize = 16;
/// Inputs per block of x, of Q8_0, and per sub-block of Q4_K.
const BLOCK: usize = 32;
/// Inputs per block of Q4_K.
const SUPER: usize = 256;
/// Most rows a kernel holds in registers.
const ROWS: usize = 8;

/// One cache line, aligned as such.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Rows of x as bytes: p = round(x / e) with e = max|x| / 127 in each block of 32. Eight rows lie side by side, so that a
/// kernel finds everything about a block in one place.
pub(crate) struct QuantizedRows {
    /// `[group of eight rows][block]`.
    bundles: Vec<Bundle>,
    m: usize,
    k: usize,
}

/// One block of eight rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bundle {
    /// `[four inputs][row]`: the bytes of inputs 4g to 4g + 3.
    quads: [[[i8; 4]; ROWS]; BLOCK / 4],
    /// e of each row.
    scales: [f32; ROWS],
    /// −128·Σ p of each row, what an unsigned q has too much.
    offsets: [i32; ROWS],
    /// e·Σ p of each row.
    sums: [f32; ROWS],
}

impl QuantizedRows {
    /// Rounds `m` rows of `k` values, k a multiple of 32.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn new(x: &[f32], m: usize, k: usize) -> Self {
        assert!(x.len() == m * k && k % BLOCK == 0, "{m} rows of {k} in {}", x.len());
        let empty = Bundle { quads: [[[0; 4]; ROWS]; 8], scales: [0.0; ROWS], offsets: [0; ROWS], sums: [0.0; ROWS] };
        let mut rows = Self { bundles: vec![empty; m.div_ceil(ROWS) * (k / BLOCK)], m, k };
        round(x, k, &mut rows.bundles);
        rows
    }

    /// The blocks of the group that begins at `row`.
    fn group(&self, row: usize) -> &[Bundle] {
        let blocks = self.k / BLOCK;
        &self.bundles[row / ROWS * blocks..][..blocks]
    }
}

with_wide_registers! {
    fn round(x: &[f32], k: usize, bundles: &mut [Bundle]) {
        let blocks = k / BLOCK;
        for (at, x) in x.chunks_exact(BLOCK).enumerate() {
            let (row, block) = (at / blocks, at % blocks);
            let bundle = &mut bundles[row / ROWS * blocks + block];
            let row = row % ROWS;
            let mut largest = [0.0f32; 8];
            for x in x.chunks_exact(8) {
                for (l, x) in largest.iter_mut().zip(x) {
                    *l = if x.abs() > *l { x.abs() } else { *l };
                }
            }
            let largest = largest.iter().fold(0.0f32, |a, &b| if b > a { b } else { a });
            // A block of zeros, or one too large to scale, has no bytes worth keeping; NaN stays visible in the scale.
            let scale = if x.iter().any(|x| x.is_nan()) { f32::NAN } else { largest / 127.0 };
            let inverse = if largest > 0.0 && largest.is_finite() { 127.0 / largest } else { 0.0 };
            let mut bytes = [0i8; BLOCK];
            let mut total = 0;
            for (byte, x) in bytes.iter_mut().zip(x) {
                let value = (x * inverse).round_ties_even() as i32;
                *byte = value as i8;
                total += value;
            }
            for (quad, four) in bundle.quads.iter_mut().zip(bytes.as_chunks::<4>().0) {
                quad[row] = *four;
            }
            bundle.scales[row] = scale;
            bundle.offsets[row] = -128 * total;
            bundle.sums[row] = scale * total as f32;
        }
    }
}

/// A matrix of Q8_0 blocks, packed.
pub(crate) struct PackedQ8_0 {
    /// `[tile][block][8 lines]`: line g holds inputs 4g to 4g + 3 of sixteen outputs, plus 128.
    quants: Vec<Line>,
    /// `[tile][block][16]` binary16.
    scales: Vec<u16>,
    n: usize,
    k: usize,
    level: Level,
}

impl PackedQ8_0 {
    /// Packs row-major Q8_0 blocks of n rows with k values, k a multiple of 32.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn pack(blocks: &[u8], n: usize, k: usize) -> Self {
        const BYTES: usize = 2 + BLOCK;
        assert!(k % BLOCK == 0 && blocks.len() == n * k / BLOCK * BYTES, "{n} × {k} in {} bytes", blocks.len());
        let (tiles, per_row) = (n.div_ceil(TILE), k / BLOCK);
        let mut quants = vec![Line([128; 64]); tiles * per_row * 8];
        let mut scales = vec![0u16; tiles * per_row * TILE];
        for (row, blocks) in blocks.chunks_exact((per_row * BYTES).max(1)).enumerate() {
            let (tile, lane) = (row / TILE, row % TILE);
            for (b, block) in blocks.chunks_exact(BYTES).enumerate() {
                let at = tile * per_row + b;
                scales[at * TILE + lane] = u16::from_le_bytes([block[0], block[1]]);
                for (g, four) in block[2..].chunks_exact(4).enumerate() {
                    for (j, byte) in four.iter().enumerate() {
                        quants[at * 8 + g].0[lane * 4 + j] = byte ^ 0x80;
                    }
                }
            }
        }
        Self { quants, scales, n, k, level: Level::detect() }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.quants[..]) + std::mem::size_of_val(&self.scales[..])
    }

    /// `y[i·ldy + j] = Σ x[i][s]·w[j][s]`.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn matmul(&self, pool: &Pool, x: &QuantizedRows, y: &mut [f32], ldy: usize) {
        let per_row = self.k / BLOCK;
        product(pool, self.n, self.k, x, y, ldy, |tile, row, count, sums| {
            let quants = &self.quants[tile * per_row * 8..][..per_row * 8];
            let scales = &self.scales[tile * per_row * TILE..][..per_row * TILE];
            match self.level {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the machine has these.
                Level::Avx512 => unsafe {
                    match count {
                        1 => x86::q8_avx512::<1>(quants, scales, x.group(row), sums),
                        2 => x86::q8_avx512::<2>(quants, scales, x.group(row), sums),
                        3 => x86::q8_avx512::<3>(quants, scales, x.group(row), sums),
                        4 => x86::q8_avx512::<4>(quants, scales, x.group(row), sums),
                        5 => x86::q8_avx512::<5>(quants, scales, x.group(row), sums),
                        6 => x86::q8_avx512::<6>(quants, scales, x.group(row), sums),
                        7 => x86::q8_avx512::<7>(quants, scales, x.group(row), sums),
                        _ => x86::q8_avx512::<8>(quants, scales, x.group(row), sums),
                    }
                },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the same.
                Level::Avx2 => unsafe { x86::q8_avx2(quants, scales, x.group(row), count, sums) },
                _ => q8_plain(quants, scales, x.group(row), count, sums),
            }
        });
    }
}

/// A matrix of Q4_K blocks, packed.
pub(crate) struct PackedQ4K {
    /// `[tile][block][32 lines]`: in line 4·sub + g, lane by lane, the low nibbles are inputs 8g to 8g + 3 of the sub-block
    /// and the high ones 8g + 4 to 8g + 7.
    quants: Vec<Line>,
    /// `[tile][block]`: d, dmin; then s and m of each sub-block.
    scales: Vec<Scales4>,
    n: usize,
    k: usize,
    level: Level,
}

/// The scales of sixteen Q4_K blocks.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Scales4 {
    d: [u16; TILE],
    dmin: [u16; TILE],
    s: [[u8; TILE]; 8],
    m: [[u8; TILE]; 8],
}

impl PackedQ4K {
    /// Packs row-major Q4_K blocks of n rows with k values, k a multiple of 256.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn pack(blocks: &[u8], n: usize, k: usize) -> Self {
        const BYTES: usize = 4 + 12 + SUPER / 2;
        assert!(k % SUPER == 0 && blocks.len() == n * k / SUPER * BYTES, "{n} × {k} in {} bytes", blocks.len());
        let (tiles, per_row) = (n.div_ceil(TILE), k / SUPER);
        let mut quants = vec![Line([0; 64]); tiles * per_row * 32];
        let none = Scales4 { d: [0; TILE], dmin: [0; TILE], s: [[0; TILE]; 8], m: [[0; TILE]; 8] };
        let mut scales = vec![none; tiles * per_row];
        for (row, blocks) in blocks.chunks_exact((per_row * BYTES).max(1)).enumerate() {
            let (tile, lane) = (row / TILE, row % TILE);
            for (b, block) in blocks.chunks_exact(BYTES).enumerate() {
                let at = tile * per_row + b;
                let scale = &mut scales[at];
                scale.d[lane] = u16::from_le_bytes([block[0], block[1]]);
                scale.dmin[lane] = u16::from_le_bytes([block[2], block[3]]);
                for sub in 0..8 {
                    (scale.s[sub][lane], scale.m[sub][lane]) = scale_and_min(sub, &block[4..16]);
                }
                for (i, &byte) in block[16..].iter().enumerate() {
                    // 32 bytes hold two sub-blocks: the even one in the low nibbles, the odd one in the high.
                    for (sub, nibble) in [(i / 32 * 2, byte & 15), (i / 32 * 2 + 1, byte >> 4)] {
                        let (g, j) = (i % 32 / 8, i % 8);
                        quants[at * 32 + sub * 4 + g].0[lane * 4 + j % 4] |= if j < 4 { nibble } else { nibble << 4 };
                    }
                }
            }
        }
        Self { quants, scales, n, k, level: Level::detect() }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&self.quants[..]) + std::mem::size_of_val(&self.scales[..])
    }

    /// `y[i·ldy + j] = Σ x[i][s]·w[j][s]`.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn matmul(&self, pool: &Pool, x: &QuantizedRows, y: &mut [f32], ldy: usize) {
        let per_row = self.k / SUPER;
        product(pool, self.n, self.k, x, y, ldy, |tile, row, count, sums| {
            let quants = &self.quants[tile * per_row * 32..][..per_row * 32];
            let scales = &self.scales[tile * per_row..][..per_row];
            match self.level {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the machine has these.
                Level::Avx512 => unsafe {
                    match count {
                        1 => x86::q4_avx512::<1>(quants, scales, x.group(row), sums),
                        2 => x86::q4_avx512::<2>(quants, scales, x.group(row), sums),
                        3 => x86::q4_avx512::<3>(quants, scales, x.group(row), sums),
                        4 => x86::q4_avx512::<4>(quants, scales, x.group(row), sums),
                        5 => x86::q4_avx512::<5>(quants, scales, x.group(row), sums),
                        6 => x86::q4_avx512::<6>(quants, scales, x.group(row), sums),
                        7 => x86::q4_avx512::<7>(quants, scales, x.group(row), sums),
                        _ => x86::q4_avx512::<8>(quants, scales, x.group(row), sums),
                    }
                },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the same.
                Level::Avx2 => unsafe { x86::q4_avx2(quants, scales, x.group(row), count, sums) },
                _ => q4_plain(quants, scales, x.group(row), count, sums),
            }
        });
    }
}

/// The 6-bit scale and minimum of a sub-block out of their 12 bytes: the first four lie in the low six bits of bytes
/// 0 to 7, the last four are put together from bytes 8 to 11 and the high two bits of the others.
fn scale_and_min(sub: usize, packed: &[u8]) -> (u8, u8) {
    if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        let low = packed[sub + 4];
        ((low & 15) | (packed[sub - 4] >> 6 << 4), (low >> 4) | (packed[sub] >> 6 << 4))
    }
}

/// Walks tiles and rows; `tile(tile, row, count, sums)` fills `sums[..count]`, one line of sixteen outputs per row.
fn product(
    pool: &Pool,
    n: usize,
    k: usize,
    x: &QuantizedRows,
    y: &mut [f32],
    ldy: usize,
    tile: impl Fn(usize, usize, usize, &mut [[f32; TILE]; ROWS]) + Sync + Send,
) {
    if x.m == 0 || n == 0 {
        return;
    }
    assert!(x.k == k, "rows of {} for a matrix of {k} columns", x.k);
    assert!(ldy >= n && y.len() >= (x.m - 1) * ldy + n, "{} rows of {n} every {ldy} in {}", x.m, y.len());
    let out = Shared::new(y);
    over_tiles(pool, n.div_ceil(TILE), x.m, ROWS, |t, from, to| {
        let lanes = TILE.min(n - t * TILE);
        let mut sums = [[0.0; TILE]; ROWS];
        for row in (from..to).step_by(ROWS) {
            let count = ROWS.min(to - row);
            tile(t, row, count, &mut sums);
            for (i, sum) in sums[..count].iter().enumerate() {
                // SAFETY: inside y by the assert; each call has outputs and rows of its own.
                unsafe { std::ptr::copy_nonoverlapping(sum.as_ptr(), out.at((row + i) * ldy + t * TILE), lanes) };
            }
        }
    });
}

fn q8_plain(quants: &[Line], scales: &[u16], x: &[Bundle], count: usize, sums: &mut [[f32; TILE]; ROWS]) {
    for (row, sum) in sums[..count].iter_mut().enumerate() {
        *sum = [0.0; TILE];
        for ((lines, scales), x) in quants.chunks_exact(8).zip(scales.chunks_exact(TILE)).zip(x) {
            let mut total = [0i32; TILE];
            for (line, quads) in lines.iter().zip(&x.quads) {
                for (lane, total) in total.iter_mut().enumerate() {
                    for j in 0..4 {
                        *total += i32::from((line.0[lane * 4 + j] ^ 0x80) as i8) * i32::from(quads[row][j]);
                    }
                }
            }
            for lane in 0..TILE {
                let d = half::f16::from_bits(scales[lane]).to_f32();
                sum[lane] += total[lane] as f32 * (d * x.scales[row]);
            }
        }
    }
}

fn q4_plain(quants: &[Line], scales: &[Scales4], x: &[Bundle], count: usize, sums: &mut [[f32; TILE]; ROWS]) {
    for (row, sum) in sums[..count].iter_mut().enumerate() {
        *sum = [0.0; TILE];
        for (sub, (lines, x)) in quants.chunks_exact(4).zip(x).enumerate() {
            let mut total = [0i32; TILE];
            for (g, line) in lines.iter().enumerate() {
                let (first, second) = (&x.quads[2 * g][row], &x.quads[2 * g + 1][row]);
                for (lane, total) in total.iter_mut().enumerate() {
                    for j in 0..4 {
                        let byte = line.0[lane * 4 + j];
                        *total +=
                            i32::from(byte & 15) * i32::from(first[j]) + i32::from(byte >> 4) * i32::from(second[j]);
                    }
                }
            }
            let scale = &scales[sub / 8];
            for lane in 0..TILE {
                let d = half::f16::from_bits(scale.d[lane]).to_f32() * f32::from(scale.s[sub % 8][lane]);
                let dmin = half::f16::from_bits(scale.dmin[lane]).to_f32() * f32::from(scale.m[sub % 8][lane]);
                sum[lane] += total[lane] as f32 * (d * x.scales[row]);
                sum[lane] -= x.sums[row] * dmin;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Bundle, Line, ROWS, Scales4, TILE};
    use std::arch::x86_64::*;

    /// How far ahead of the products the weights are fetched, in lines.
    const AHEAD: usize = 64;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c")]
    pub(super) unsafe fn q8_avx512<const M: usize>(
        quants: &[Line],
        scales: &[u16],
        x: &[Bundle],
        sums: &mut [[f32; TILE]; ROWS],
    ) {
        // SAFETY: quants and scales hold as many blocks as x; what is fetched ahead is never read.
        unsafe {
            let mut sum = [_mm512_setzero_ps(); M];
            let mut line: *const __m512i = quants.as_ptr().cast();
            let mut d = scales.as_ptr();
            for x in x {
                let mut total = [_mm512_setzero_si512(); M];
                for (i, total) in total.iter_mut().enumerate() {
                    *total = _mm512_set1_epi32(x.offsets[i]);
                }
                for g in 0..8 {
                    _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(g + AHEAD).cast());
                    let weights = _mm512_load_si512(line.add(g));
                    for (i, total) in total.iter_mut().enumerate() {
                        let four = _mm512_set1_epi32(i32::from_ne_bytes(x.quads[g][i].map(|b| b as u8)));
                        *total = _mm512_dpbusd_epi32(*total, weights, four);
                    }
                }
                let scale = _mm512_cvtph_ps(_mm256_loadu_si256(d.cast()));
                for i in 0..M {
                    let step = _mm512_mul_ps(scale, _mm512_set1_ps(x.scales[i]));
                    sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[i]), step, sum[i]);
                }
                line = line.add(8);
                d = d.add(TILE);
            }
            for i in 0..M {
                _mm512_storeu_ps(sums[i].as_mut_ptr(), sum[i]);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c")]
    pub(super) unsafe fn q4_avx512<const M: usize>(
        quants: &[Line],
        scales: &[Scales4],
        x: &[Bundle],
        sums: &mut [[f32; TILE]; ROWS],
    ) {
        // SAFETY: quants and scales hold as many sub-blocks as x has blocks; what is fetched ahead is never read.
        unsafe {
            let low = _mm512_set1_epi8(15);
            let mut sum = [_mm512_setzero_ps(); M];
            let mut line: *const __m512i = quants.as_ptr().cast();
            for (scale, x) in scales.iter().zip(x.chunks_exact(8)) {
                let d = _mm512_cvtph_ps(_mm256_load_si256(scale.d.as_ptr().cast()));
                let dmin = _mm512_cvtph_ps(_mm256_load_si256(scale.dmin.as_ptr().cast()));
                for (sub, x) in x.iter().enumerate() {
                    let mut total = [_mm512_setzero_si512(); M];
                    for g in 0..4 {
                        _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(g + AHEAD).cast());
                        let pair = _mm512_load_si512(line.add(g));
                        let first = _mm512_and_si512(pair, low);
                        let second = _mm512_and_si512(_mm512_srli_epi16(pair, 4), low);
                        for (i, total) in total.iter_mut().enumerate() {
                            let four = |g: usize| _mm512_set1_epi32(i32::from_ne_bytes(x.quads[g][i].map(|b| b as u8)));
                            *total = _mm512_dpbusd_epi32(*total, first, four(2 * g));
                            *total = _mm512_dpbusd_epi32(*total, second, four(2 * g + 1));
                        }
                    }
                    let six = |bytes: &[u8; TILE]| {
                        _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())))
                    };
                    let (ds, dm) = (_mm512_mul_ps(d, six(&scale.s[sub])), _mm512_mul_ps(dmin, six(&scale.m[sub])));
                    for i in 0..M {
                        let step = _mm512_mul_ps(ds, _mm512_set1_ps(x.scales[i]));
                        sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[i]), step, sum[i]);
                        sum[i] = _mm512_fnmadd_ps(_mm512_set1_ps(x.sums[i]), dm, sum[i]);
                    }
                    line = line.add(4);
                }
            }
            for i in 0..M {
                _mm512_storeu_ps(sums[i].as_mut_ptr(), sum[i]);
            }
        }
    }

    /// VPMADDUBSW adds pairs in 16 bits: |q|·p with the sign moved over to p never exceeds 2·128·127 = 32,512.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn q8_avx2(
        quants: &[Line],
        scales: &[u16],
        x: &[Bundle],
        count: usize,
        sums: &mut [[f32; TILE]; ROWS],
    ) {
        // SAFETY: quants and scales hold as many blocks as x.
        unsafe {
            let (flip, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
            for (i, out) in sums[..count].iter_mut().enumerate() {
                let mut sum = [_mm256_setzero_ps(); 2];
                for (b, x) in x.iter().enumerate() {
                    let mut total = [_mm256_setzero_si256(); 2];
                    for g in 0..8 {
                        let four = _mm256_set1_epi32(i32::from_ne_bytes(x.quads[g][i].map(|b| b as u8)));
                        let line: *const __m256i = quants.as_ptr().add(b * 8 + g).cast();
                        for h in 0..2 {
                            let q = _mm256_xor_si256(_mm256_load_si256(line.add(h)), flip);
                            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(four, q));
                            total[h] = _mm256_add_epi32(total[h], _mm256_madd_epi16(pairs, ones));
                        }
                    }
                    for h in 0..2 {
                        let d = _mm256_cvtph_ps(_mm_loadu_si128(scales.as_ptr().add(b * TILE + h * 8).cast()));
                        let step = _mm256_mul_ps(d, _mm256_set1_ps(x.scales[i]));
                        sum[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total[h]), step, sum[h]);
                    }
                }
                _mm256_storeu_ps(out.as_mut_ptr(), sum[0]);
                _mm256_storeu_ps(out.as_mut_ptr().add(8), sum[1]);
            }
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn q4_avx2(
        quants: &[Line],
        scales: &[Scales4],
        x: &[Bundle],
        count: usize,
        sums: &mut [[f32; TILE]; ROWS],
    ) {
        // SAFETY: quants and scales hold as many sub-blocks as x has blocks.
        unsafe {
            let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
            for (i, out) in sums[..count].iter_mut().enumerate() {
                let mut sum = [_mm256_setzero_ps(); 2];
                for (b, x) in x.iter().enumerate() {
                    let scale = &scales[b / 8];
                    let mut total = [_mm256_setzero_si256(); 2];
                    for g in 0..4 {
                        let four = |g: usize| _mm256_set1_epi32(i32::from_ne_bytes(x.quads[g][i].map(|b| b as u8)));
                        let line: *const __m256i = quants.as_ptr().add(b * 4 + g).cast();
                        for h in 0..2 {
                            let pair = _mm256_load_si256(line.add(h));
                            let high = _mm256_and_si256(_mm256_srli_epi16(pair, 4), low);
                            let a = _mm256_maddubs_epi16(_mm256_and_si256(pair, low), four(2 * g));
                            let c = _mm256_maddubs_epi16(high, four(2 * g + 1));
                            total[h] = _mm256_add_epi32(total[h], _mm256_madd_epi16(_mm256_add_epi16(a, c), ones));
                        }
                    }
                    let (step, all) = (_mm256_set1_ps(x.scales[i]), _mm256_set1_ps(x.sums[i]));
                    for h in 0..2 {
                        let half =
                            |bits: &[u16; TILE]| _mm256_cvtph_ps(_mm_loadu_si128(bits.as_ptr().add(h * 8).cast()));
                        let six = |bytes: &[u8; TILE]| {
                            let eight = _mm_loadl_epi64(bytes.as_ptr().add(h * 8).cast());
                            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight))
                        };
                        let ds = _mm256_mul_ps(half(&scale.d), six(&scale.s[b % 8]));
                        let dm = _mm256_mul_ps(half(&scale.dmin), six(&scale.m[b % 8]));
                        sum[h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total[h]), _mm256_mul_ps(ds, step), sum[h]);
                        sum[h] = _mm256_fnmadd_ps(all, dm, sum[h]);
                    }
                }
                _mm256_storeu_ps(out.as_mut_ptr(), sum[0]);
                _mm256_storeu_ps(out.as_mut_ptr().add(8), sum[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::kernels::tests::noise;
    use candle_core::quantized::k_quants::{BlockQ4K, BlockQ8_0, GgmlType};

    /// The bytes of ggml blocks made by candle, and the values they stand for.
    fn blocks<B: GgmlType>(w: &[f32]) -> (Vec<u8>, Vec<f32>) {
        let mut blocks = vec![B::zeros(); w.len() / B::BLCK_SIZE];
        B::from_float(w, &mut blocks);
        let mut values = vec![0.0; w.len()];
        B::to_float(&blocks, &mut values);
        // SAFETY: blocks are plain bytes without padding.
        let bytes =
            unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), std::mem::size_of_val(&blocks[..])) };
        (bytes.to_vec(), values)
    }

    fn levels() -> Vec<Level> {
        match Level::detect() {
            Level::Avx512 => vec![Level::Avx512, Level::Avx2, Level::Plain],
            Level::Avx2 => vec![Level::Avx2, Level::Plain],
            Level::Plain => vec![Level::Plain],
        }
    }

    /// What the packed product must give: the same rounded x, exact sums.
    fn exact(x: &QuantizedRows, w: &[f32], i: usize, j: usize) -> f64 {
        (0..x.k)
            .map(|s| {
                let bundle = &x.group(i)[s / BLOCK];
                let byte = bundle.quads[s % BLOCK / 4][i % ROWS][s % 4];
                f64::from(byte) * f64::from(bundle.scales[i % ROWS]) * f64::from(w[j * x.k + s])
            })
            .sum()
    }

    #[test]
    fn packed_products_equal_the_blocks_they_came_from() {
        for &(m, n, k) in &[(1, 16, 256), (2, 50, 512), (8, 16, 256), (11, 33, 1024), (70, 40, 256)] {
            let x = QuantizedRows::new(&noise(7, m * k), m, k);
            let w = noise(8, n * k);
            let (q8, w8) = blocks::<BlockQ8_0>(&w);
            let (q4, w4) = blocks::<BlockQ4K>(&w);
            for level in levels() {
                for threads in [1, 2] {
                    let pool = Pool::new(threads).unwrap();
                    let (mut y8, mut y4) = (vec![0.0; m * n], vec![0.0; m * n]);
                    let mut packed8 = PackedQ8_0::pack(&q8, n, k);
                    let mut packed4 = PackedQ4K::pack(&q4, n, k);
                    (packed8.level, packed4.level) = (level, level);
                    packed8.matmul(&pool, &x, &mut y8, n);
                    packed4.matmul(&pool, &x, &mut y4, n);
                    for i in 0..m {
                        for j in 0..n {
                            let (e8, e4) = (exact(&x, &w8, i, j), exact(&x, &w4, i, j));
                            assert!((f64::from(y8[i * n + j]) - e8).abs() < 2e-4, "{level:?} q8 [{i}][{j}] {e8}");
                            assert!((f64::from(y4[i * n + j]) - e4).abs() < 2e-4, "{level:?} q4 [{i}][{j}] {e4}");
                        }
                    }
                    // A row alone has the same bits.
                    let alone = QuantizedRows::new(&noise(7, m * k)[(m - 1) * k..], 1, k);
                    let mut y = vec![0.0; n];
                    packed8.matmul(&pool, &alone, &mut y, n);
                    assert_eq!(y, y8[(m - 1) * n..]);
                    packed4.matmul(&pool, &alone, &mut y, n);
                    assert_eq!(y, y4[(m - 1) * n..]);
                }
            }
        }
    }

    #[test]
    fn rounding_keeps_zero_and_shows_nan() {
        let mut x = vec![0.0; 64];
        x[40] = f32::NAN;
        let rows = QuantizedRows::new(&x, 1, 64);
        assert_eq!(rows.group(0)[0].scales[0], 0.0);
        assert!(rows.group(0)[1].scales[0].is_nan());
        let loud = &QuantizedRows::new(&[-127.0; 32], 1, 32).bundles[0];
        assert_eq!((loud.quads[7][0], loud.scales[0], loud.offsets[0]), ([-127; 4], 1.0, 128 * 127 * 32));
    }
}

//! Arithmetic on CPU slices, written so that **a row's result does not depend on the rows beside it**: the sum behind an
//! output runs in one order, however many rows are worked on at once and by however many threads. That is why a song
//! sounds the same alone and in a batch, and why a streamed codec equals the offline one.
//!
//! Every kernel has three forms: AVX-512 (with VNNI for bytes), AVX2 with FMA, and plain Rust. [`Level::detect`] picks one
//! per process, so results are reproducible on one instruction set.

mod attention;
mod dense;
mod elementwise;
mod half_bits;
mod pool;
mod quantized;

pub(crate) use attention::{Attend, CacheElement, padded, write_cache};
pub(crate) use dense::{Dense, PackedF32};
pub(crate) use elementwise::{activate, layer_norm, rms_norm};
pub(crate) use pool::Pool;
pub(crate) use quantized::{PackedQ4K, PackedQ8_0, QuantizedRows};

use std::sync::OnceLock;

/// Which form of the kernels this machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
    /// AVX2, FMA and F16C.
    Avx2,
    /// What every target has.
    Plain,
}

impl Level {
    /// The best this machine has; asked once.
    pub fn detect() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512vnni") {
                    return Level::Avx512;
                }
                if has!("avx2") && has!("fma") && has!("f16c") {
                    return Level::Avx2;
                }
            }
            Level::Plain
        })
    }

    /// As it is written in reports.
    pub fn name(self) -> &'static str {
        match self {
            Level::Avx512 => "avx512-vnni",
            Level::Avx2 => "avx2",
            Level::Plain => "plain",
        }
    }
}

/// Shares a product of `m` rows and `tiles` tiles of outputs among the threads: `work(tile, from, to)` does rows `from..to`
/// of one tile. There are about four pieces per thread: tiles, and for tall inputs stretches of rows, cut at multiples of
/// `step`.
fn over_tiles(pool: &Pool, tiles: usize, m: usize, step: usize, work: impl Fn(usize, usize, usize) + Sync + Send) {
    let wanted = if pool.threads() == 1 { 1 } else { pool.threads() * 4 };
    let stretches = wanted.div_ceil(tiles).min(m.div_ceil(16 * step)).max(1);
    let rows = m.div_ceil(stretches).next_multiple_of(step);
    let stretches = m.div_ceil(rows);
    let groups = tiles.min(wanted);
    pool.each(groups * stretches, |part| {
        let (group, stretch) = (part % groups, part / groups);
        for tile in tiles * group / groups..tiles * (group + 1) / groups {
            work(tile, stretch * rows, m.min((stretch + 1) * rows));
        }
    });
}

/// A pointer that several threads write through, each to its own part.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);
// SAFETY: every user writes to a part of its own, as said where it is used.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    /// Shares this slice. The borrow ends at once: who writes later keeps the slice alive and stays inside it.
    pub fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// The place `offset` values on.
    pub fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: callers stay inside the slice that the pointer was made from.
        unsafe { self.0.add(offset) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    /// Reproducible values in −1 to 1.
    pub fn noise(seed: u64, len: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..len).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

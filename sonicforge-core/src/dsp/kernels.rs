//! The inner loops that gain from wider registers, each compiled twice: for every processor, and for those with AVX2.
//!
//! Both copies are one source without fused multiply-adds, and neither changes the order of a sum, so both give the same
//! bits. This is the only file that calls across a `target_feature` border.

/// Compiles a function twice, for every processor and for those with AVX2, and calls the one that suits. Its loops must gain
/// from wider registers all by themselves.
#[cfg(feature = "fingerprint")]
macro_rules! with_wide_registers {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn here($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn wide($($arg: $type),*) $(-> $out)? {
                here($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2; it was asked just now.
                return unsafe { wide($($arg),*) };
            }
            here($($arg),*)
        }
    };
}
#[cfg(feature = "fingerprint")]
pub(crate) use with_wide_registers;

/// Outputs that are worked on together.
pub const WIDTH: usize = 16;
/// Taps on either side of the gap that is interpolated.
pub const HALF_TAPS: usize = 24;
/// Samples that [`Interpolate`] looks at: 23 before the first gap, 24 after the last.
pub const SPAN: usize = WIDTH + 2 * HALF_TAPS - 1;

/// Coefficients for one pair of taps, the k-th before and after the gap: for the middle of the gap, and the even and odd
/// part for its quarters.
#[derive(Debug, Clone, Copy, Default)]
pub struct TapPair {
    /// For the middle.
    pub middle: f32,
    /// Of the quarters, for the sum of the pair.
    pub even: f32,
    /// Of the quarters, for the difference of the pair.
    pub odd: f32,
}

/// The taps, nearest to the gap first.
pub type Taps = [TapPair; HALF_TAPS];

/// At 1/4, 1/2 and 3/4 of 16 consecutive gaps. The first gap lies between `x[23]` and `x[24]`.
pub type Interpolate = fn(x: &[f32; SPAN], taps: &Taps) -> [[f32; WIDTH]; 3];

/// At 1/2 only.
pub type InterpolateMiddle = fn(x: &[f32; SPAN], taps: &Taps) -> [f32; WIDTH];

/// The kernels for the processor that this runs on.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    /// Quarters of the gap.
    pub quarters: Interpolate,
    /// Middle of the gap.
    pub middle: InterpolateMiddle,
}

impl Kernels {
    /// Asks the processor what it can do.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self {
                // SAFETY: the processor has AVX2; it was asked just now.
                quarters: |x, taps| unsafe { quarters_avx2(x, taps) },
                // SAFETY: as above.
                middle: |x, taps| unsafe { middle_avx2(x, taps) },
            };
        }
        Self::portable()
    }

    /// Those that run everywhere.
    pub fn portable() -> Self {
        Self { quarters: quarters::<8>, middle: middle::<8> }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn quarters_avx2(x: &[f32; SPAN], taps: &Taps) -> [[f32; WIDTH]; 3] {
    quarters::<16>(x, taps)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn middle_avx2(x: &[f32; SPAN], taps: &Taps) -> [f32; WIDTH] {
    middle::<16>(x, taps)
}

/// `W` outputs at a time, as many as the registers hold.
#[inline(always)]
fn quarters<const W: usize>(x: &[f32; SPAN], taps: &Taps) -> [[f32; WIDTH]; 3] {
    let mut out = [[0.0; WIDTH]; 3];
    for at in (0..WIDTH).step_by(W) {
        let (mut middle, mut even, mut odd) = ([0.0f32; W], [0.0f32; W], [0.0f32; W]);
        for (k, tap) in taps.iter().enumerate() {
            let before: &[f32; W] = x[at + HALF_TAPS - 1 - k..][..W].try_into().expect("W samples");
            let after: &[f32; W] = x[at + HALF_TAPS + k..][..W].try_into().expect("W samples");
            for i in 0..W {
                let (sum, difference) = (after[i] + before[i], after[i] - before[i]);
                middle[i] += tap.middle * sum;
                even[i] += tap.even * sum;
                odd[i] += tap.odd * difference;
            }
        }
        for i in 0..W {
            out[0][at + i] = even[i] + odd[i];
            out[1][at + i] = middle[i];
            out[2][at + i] = even[i] - odd[i];
        }
    }
    out
}

#[inline(always)]
fn middle<const W: usize>(x: &[f32; SPAN], taps: &Taps) -> [f32; WIDTH] {
    let mut out = [0.0; WIDTH];
    for at in (0..WIDTH).step_by(W) {
        let mut middle = [0.0f32; W];
        for (k, tap) in taps.iter().enumerate() {
            let before: &[f32; W] = x[at + HALF_TAPS - 1 - k..][..W].try_into().expect("W samples");
            let after: &[f32; W] = x[at + HALF_TAPS + k..][..W].try_into().expect("W samples");
            for i in 0..W {
                middle[i] += tap.middle * (after[i] + before[i]);
            }
        }
        out[at..at + W].copy_from_slice(&middle);
    }
    out
}

/// Many dot products of 16-bit integers: of samples with rows of a filter bank. Sums wrap, so their order does not matter.
#[derive(Debug, Clone, Copy)]
pub struct DotRows(DotRowsFn);

type DotRowsFn = fn(x: &[i16], bank: &[i16], stride: usize, places: &[(u32, u32)], out: &mut [i32]);

impl DotRows {
    /// A row in the bank is a multiple of this many taps.
    pub const LANES: usize = 16;

    /// For the processor that this runs on.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2; it was asked just now.
            return Self(|x, bank, stride, places, out| unsafe { dot_rows_avx2(x, bank, stride, places, out) });
        }
        Self::portable()
    }

    /// That runs everywhere.
    pub fn portable() -> Self {
        Self(dot_rows)
    }

    /// `out[i]` = Σ `x[a + k]`·`bank[b + k]` over k < `stride`, where `(a, b) = places[i]`.
    ///
    /// # Panics
    /// When a place leads out of `x` or `bank`, or `stride` is not a multiple of [`DotRows::LANES`].
    pub fn run(&self, x: &[i16], bank: &[i16], stride: usize, places: &[(u32, u32)], out: &mut [i32]) {
        assert!(stride % Self::LANES == 0 && places.len() == out.len());
        (self.0)(x, bank, stride, places, out);
    }
}

fn dot_rows(x: &[i16], bank: &[i16], stride: usize, places: &[(u32, u32)], out: &mut [i32]) {
    for (out, &(a, b)) in out.iter_mut().zip(places) {
        let pairs = x[a as usize..][..stride].iter().zip(&bank[b as usize..][..stride]);
        *out = pairs.fold(0, |sum: i32, (&x, &h)| sum.wrapping_add(i32::from(x) * i32::from(h)));
    }
}

/// Eight at a time: their eight partial sums are added up together.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_rows_avx2(x: &[i16], bank: &[i16], stride: usize, places: &[(u32, u32)], out: &mut [i32]) {
    use std::arch::x86_64::*;
    let (eights, rest) = places.as_chunks::<8>();
    let (outs, out_rest) = out.as_chunks_mut::<8>();
    for (eight, out) in eights.iter().zip(outs) {
        let mut sums = [_mm256_setzero_si256(); 8];
        for (sum, &(a, b)) in sums.iter_mut().zip(eight) {
            let (x, _) = x[a as usize..][..stride].as_chunks::<16>();
            let (h, _) = bank[b as usize..][..stride].as_chunks::<16>();
            for (x, h) in x.iter().zip(h) {
                // SAFETY: both are sixteen numbers of two bytes.
                let (x, h) = unsafe { (_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(h.as_ptr().cast())) };
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, h));
            }
        }
        let four = |s: &[__m256i]| _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
        let (low, high) = (four(&sums[..4]), four(&sums[4..]));
        let whole =
            _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
        // SAFETY: eight numbers of four bytes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), whole) };
    }
    dot_rows(x, bank, stride, rest, out_rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_copies_give_the_same_bits() {
        let mut rng = crate::testing::Xorshift::new(7);
        let mut taps = Taps::default();
        for t in &mut taps {
            *t = TapPair { middle: rng.bipolar() as f32, even: rng.bipolar() as f32, odd: rng.bipolar() as f32 };
        }
        let (wide, portable) = (Kernels::detect(), Kernels::portable());
        for _ in 0..100 {
            let x: [f32; SPAN] = std::array::from_fn(|_| rng.bipolar() as f32);
            assert_eq!((wide.quarters)(&x, &taps), (portable.quarters)(&x, &taps));
            assert_eq!((wide.middle)(&x, &taps), (portable.middle)(&x, &taps));
            assert_eq!((wide.quarters)(&x, &taps)[1], (wide.middle)(&x, &taps));
        }
    }

    #[test]
    fn dot_products_wrap_alike() {
        let mut rng = crate::testing::Xorshift::new(8);
        let mut noise = |len: usize| -> Vec<i16> { (0..len).map(|_| rng.next_u64() as i16).collect() };
        let (mut x, mut bank) = (noise(1_000), noise(640));
        x[..200].fill(i16::MIN);
        bank[..160].fill(i16::MIN);
        for stride in [16, 80, 160] {
            let places: Vec<(u32, u32)> = (0..83).map(|i| (i * 10, i * 7 % (640 - stride as u32))).collect();
            let (mut wide, mut portable) = (vec![0; 83], vec![0; 83]);
            DotRows::detect().run(&x, &bank, stride, &places, &mut wide);
            DotRows::portable().run(&x, &bank, stride, &places, &mut portable);
            assert_eq!(wide, portable);
        }
    }
}

//! The inner loops that gain from wider registers, each compiled twice: for every processor, and for those with AVX2.
//!
//! Both copies are one source without fused multiply-adds, and neither changes the order of a sum, so both give the same
//! bits. This is the only file that calls across a `target_feature` border.

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
}

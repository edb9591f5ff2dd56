//! The inner loops that gain from wider registers, each compiled twice: for every processor, and for those with AVX2. Those that
//! `with_wide_registers` makes, a third time for AVX-512.
//!
//! All copies are one source without fused multiply-adds, and none changes the order of a sum, so all give the same bits.

/// Compiles a function for every processor, for those with AVX2 and for those with AVX-512, and calls the one for this
/// processor. Its loops must be such that the compiler does many at once by itself.
#[cfg(any(feature = "fingerprint", feature = "generate"))]
macro_rules! with_wide_registers {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn here($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $type),*) $(-> $out)? {
                here($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($arg: $type),*) $(-> $out)? {
                here($($arg),*)
            }
            match $crate::dsp::kernels::Registers::detect() {
                // SAFETY: the processor has what is enabled.
                #[cfg(target_arch = "x86_64")]
                $crate::dsp::kernels::Registers::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::dsp::kernels::Registers::Avx2 => unsafe { avx2($($arg),*) },
                $crate::dsp::kernels::Registers::Portable => here($($arg),*),
            }
        }
    };
}
#[cfg(any(feature = "fingerprint", feature = "generate"))]
pub(crate) use with_wide_registers;

/// What the processor has.
#[cfg(any(feature = "fingerprint", feature = "generate"))]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Registers {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

#[cfg(any(feature = "fingerprint", feature = "generate"))]
impl Registers {
    /// Asks the processor, or remembers what it said.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                return Self::Avx512;
            }
            if has!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

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

/// Where the outputs of a polyphase filter lie in its input, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Positions {
    /// Of the next, in phases: [`Positions::PHASES`] to the sample. Before the input it is negative.
    pub index: i64,
    /// And in parts of a phase, below `parts`.
    pub fraction: u32,
    /// What `index` and `fraction` grow by.
    pub step: (u32, u32),
    /// Parts of a phase.
    pub parts: u32,
}

impl Positions {
    const PHASE_BITS: u32 = 8;
    /// Phases of a sample.
    pub const PHASES: usize = 1 << Self::PHASE_BITS;

    /// First sample under the filter, and the phase.
    #[inline(always)]
    pub fn place(&self) -> (i64, usize) {
        (self.index >> Self::PHASE_BITS, (self.index & (Self::PHASES as i64 - 1)) as usize)
    }

    /// On to the next.
    #[inline(always)]
    pub fn advance(&mut self) {
        self.fraction += self.step.1;
        let over = self.fraction >= self.parts;
        self.index += i64::from(self.step.0) + i64::from(over);
        self.fraction -= if over { self.parts } else { 0 };
    }

    /// How many samples they are apart, when that is a whole number.
    #[cfg(target_arch = "x86_64")]
    fn whole_step(&self) -> Option<usize> {
        let (samples, phases) = (self.step.0 >> Self::PHASE_BITS, self.step.0 as usize % Self::PHASES);
        (phases == 0 && self.step.1 == 0).then_some(samples as usize)
    }

    /// How many of them lie before this sample, from the next on.
    pub fn count_before(&self, sample: usize) -> usize {
        let exact = |index: i64, fraction: u32| index * i64::from(self.parts) + i64::from(fraction);
        let way = exact((sample << Self::PHASE_BITS) as i64, 0) - exact(self.index, self.fraction);
        let step = exact(self.step.0.into(), self.step.1);
        // Rounded up.
        ((way + step - 1) / step).max(0) as usize
    }
}

/// A polyphase filter: dot products of 16-bit integers, of samples with the row of a phase. Sums wrap, so their order does not
/// matter.
#[derive(Debug, Clone, Copy)]
pub struct Polyphase(PolyphaseFn);

type PolyphaseFn = fn(x: &[i16], bank: &[i16], stride: usize, at: &mut Positions, out: &mut [i16]);

impl Polyphase {
    /// A row is a multiple of this many taps.
    pub const LANES: usize = 16;
    /// Taps are in steps of 2⁻¹⁵.
    pub const SCALE_BITS: u32 = 15;

    /// For the processor that this runs on.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2; it was asked just now.
            return Self(|x, bank, stride, at, out| unsafe { polyphase_avx2(x, bank, stride, at, out) });
        }
        Self::portable()
    }

    /// That runs everywhere.
    pub fn portable() -> Self {
        Self(polyphase)
    }

    /// For each of `out`: Σ `x[first + k]`·`bank[phase·stride + k]` over k < `stride`, rounded to 16 bit. `at` advances.
    ///
    /// # Panics
    /// When a position leads out of `x`, or `bank` does not have as many rows as there are phases, or `stride` is not a multiple
    /// of [`Polyphase::LANES`].
    pub fn run(&self, x: &[i16], bank: &[i16], stride: usize, at: &mut Positions, out: &mut [i16]) {
        assert!(stride % Self::LANES == 0 && bank.len() == Positions::PHASES * stride);
        (self.0)(x, bank, stride, at, out);
    }

    /// A sum in steps as a whole number of 16 bit.
    pub fn round(sum: i32) -> i16 {
        let rounded = sum.wrapping_add(1 << (Self::SCALE_BITS - 1)) >> Self::SCALE_BITS;
        rounded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    }
}

fn polyphase(x: &[i16], bank: &[i16], stride: usize, at: &mut Positions, out: &mut [i16]) {
    for out in out {
        let (first, phase) = at.place();
        at.advance();
        let pairs = x[first as usize..][..stride].iter().zip(&bank[phase * stride..][..stride]);
        *out = Polyphase::round(pairs.fold(0, |sum: i32, (&x, &h)| sum.wrapping_add(i32::from(x) * i32::from(h))));
    }
}

/// Eight outputs at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn polyphase_avx2(x: &[i16], bank: &[i16], stride: usize, at: &mut Positions, out: &mut [i16]) {
    let (eights, rest) = out.as_chunks_mut::<8>();
    match at.whole_step() {
        Some(step) => {
            let (first, phase) = at.place();
            one_phase_avx2(&x[first as usize..], &bank[phase * stride..][..stride], step, eights);
            at.index += i64::from(at.step.0) * 8 * eights.len() as i64;
        }
        None => every_phase_avx2(x, bank, stride, at, eights),
    }
    polyphase(x, bank, stride, at, rest);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn every_phase_avx2(x: &[i16], bank: &[i16], stride: usize, at: &mut Positions, out: &mut [[i16; 8]]) {
    use std::arch::x86_64::*;
    let mut next = *at;
    for eight in out {
        let mut fours = [_mm256_setzero_si256(); 2];
        for four in &mut fours {
            let (mut samples, mut rows) = ([x.as_ptr(); 4], [bank.as_ptr(); 4]);
            for i in 0..4 {
                let (first, phase) = next.place();
                next.advance();
                samples[i] = x[first as usize..][..stride].as_ptr();
                rows[i] = bank[phase * stride..][..stride].as_ptr();
            }
            let mut sums = [_mm256_setzero_si256(); 4];
            for k in (0..stride).step_by(Polyphase::LANES) {
                for i in 0..4 {
                    // SAFETY: behind every pointer lie `stride` numbers, which is a multiple of sixteen.
                    let (x, h) = unsafe {
                        (_mm256_loadu_si256(samples[i].add(k).cast()), _mm256_loadu_si256(rows[i].add(k).cast()))
                    };
                    sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(x, h));
                }
            }
            *four = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
        }
        round_eight(fours, eight);
    }
    *at = next;
}

/// Where the outputs lie a whole number of samples apart, as at 44.1 kHz: all have one row.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn one_phase_avx2(x: &[i16], row: &[i16], step: usize, out: &mut [[i16; 8]]) {
    use std::arch::x86_64::*;
    for (n, eight) in out.iter_mut().enumerate() {
        let x = &x[8 * n * step..][..7 * step + row.len()];
        let mut sums = [_mm256_setzero_si256(); 8];
        for (k, h) in row.as_chunks::<{ Polyphase::LANES }>().0.iter().enumerate() {
            // SAFETY: sixteen numbers of two bytes.
            let h = unsafe { _mm256_loadu_si256(h.as_ptr().cast()) };
            for i in 0..8 {
                // SAFETY: the last of them ends where `x` does.
                let x = unsafe { _mm256_loadu_si256(x.as_ptr().add(i * step + k * Polyphase::LANES).cast()) };
                sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(x, h));
            }
        }
        let low = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
        let high = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));
        round_eight([low, high], eight);
    }
}

/// Adds up four sums, each in two halves, and four more.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn round_eight(fours: [std::arch::x86_64::__m256i; 2], out: &mut [i16; 8]) {
    use std::arch::x86_64::*;
    const BITS: i32 = Polyphase::SCALE_BITS as i32;
    let [low, high] = fours;
    let sums = _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
    let rounded = _mm256_srai_epi32::<BITS>(_mm256_add_epi32(sums, _mm256_set1_epi32(1 << (BITS - 1))));
    let packed = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    // SAFETY: eight numbers of two bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), packed) };
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
        for (stride, step) in [(16, (100, 3)), (80, (1_024, 0)), (96, (1_114, 6_150)), (160, (2_560, 0))] {
            let (mut x, mut bank) = (noise(1_100), noise(Positions::PHASES * stride));
            x[..200].fill(i16::MIN);
            bank[..160].fill(i16::MIN);
            let mut at = Positions { index: 300, fraction: 5, step, parts: 11_025 };
            let (mut twin, count) = (at, at.count_before(x.len() - stride));
            let (mut wide, mut portable) = (vec![0; count], vec![0; count]);
            Polyphase::detect().run(&x, &bank, stride, &mut at, &mut wide);
            Polyphase::portable().run(&x, &bank, stride, &mut twin, &mut portable);
            assert_eq!((wide, at.place(), at.fraction), (portable, twin.place(), twin.fraction));
            assert!(at.place().0 as usize >= x.len() - stride);
        }
    }
}

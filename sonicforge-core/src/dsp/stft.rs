//! Windowed Fourier transforms of real signals. The only place that knows the crates realfft and rustfft.
//!
//! The crate takes the widest instructions that the processor has, so the last bits of a spectrum may differ from machine to
//! machine (by less than a hundred-thousandth of a decibel in a 1/3 octave). On one machine they never do.

use std::sync::Arc;
#[cfg(feature = "fingerprint")]
use std::{cmp::Ordering, ops::Range};

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

#[cfg(feature = "fingerprint")]
use super::kernels::with_wide_registers;

/// Turns windows of `len` samples into their spectra.
#[derive(Clone)]
pub struct Stft {
    plan: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    time: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl std::fmt::Debug for Stft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stft").field("len", &self.window.len()).finish_non_exhaustive()
    }
}

impl Stft {
    /// Transforms with this window; its length should be a power of two.
    pub fn new(window: &[f64]) -> Self {
        let plan = RealFftPlanner::new().plan_fft_forward(window.len());
        Self {
            time: plan.make_input_vec(),
            spectrum: plan.make_output_vec(),
            scratch: plan.make_scratch_vec(),
            window: window.iter().map(|&w| w as f32).collect(),
            plan,
        }
    }

    /// Samples per window.
    pub fn window_len(&self) -> usize {
        self.window.len()
    }

    /// Bins per spectrum: half the window and one.
    pub fn bins(&self) -> usize {
        self.spectrum.len()
    }

    /// Adds |X_k|² of the windowed `samples` to `power`.
    ///
    /// # Panics
    /// When `samples` is not as long as the window, or `power` not as long as [`Stft::bins`].
    pub fn add_power(&mut self, samples: &[f32], power: &mut [f64]) {
        assert_eq!((samples.len(), power.len()), (self.window.len(), self.spectrum.len()));
        for ((t, x), w) in self.time.iter_mut().zip(samples).zip(&self.window) {
            *t = x * w;
        }
        self.plan
            .process_with_scratch(&mut self.time, &mut self.spectrum, &mut self.scratch)
            .expect("the plan made buffers of these lengths");
        for (p, x) in power.iter_mut().zip(&self.spectrum) {
            *p += f64::from(x.re * x.re + x.im * x.im);
        }
    }
}

/// Turns windows of an even number of samples into their powers. The samples with even indices are the real part of a complex
/// signal, those with odd ones its imaginary part (W. H. Press et al., "Numerical Recipes", §12.3): of half the length, and only
/// the wanted bins need be put together again. To the bit as [`Stft`] has it.
#[cfg(feature = "fingerprint")]
#[derive(Clone)]
pub struct HalfStft {
    plan: Arc<dyn rustfft::Fft<f32>>,
    window: Vec<[f32; 2]>,
    signal: Vec<Complex<f32>>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    bins: Range<usize>,
    /// Half of e^(−2πik/len) for each bin k; behind the middle that of its mirror image, with the sign of its real part changed.
    twiddles: Vec<Complex<f32>>,
}

#[cfg(feature = "fingerprint")]
impl std::fmt::Debug for HalfStft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HalfStft").field("len", &(2 * self.window.len())).finish_non_exhaustive()
    }
}

#[cfg(feature = "fingerprint")]
impl HalfStft {
    /// Transforms with this window, whose length should be a power of two, into these bins.
    ///
    /// # Panics
    /// When the bins begin with 0 or end behind half the window.
    pub fn new(window: &[f64], bins: Range<usize>) -> Self {
        let half = window.len() / 2;
        assert!(bins.start > 0 && bins.end <= half);
        let plan = rustfft::FftPlanner::new().plan_fft_forward(half);
        let step = -std::f64::consts::TAU / window.len() as f64;
        let twiddle = |bin: usize| {
            let angle = step * bin.min(half - bin) as f64;
            let (re, im) = (angle.cos() as f32 * 0.5, angle.sin() as f32 * 0.5);
            match bin.cmp(&(half / 2)) {
                Ordering::Less => Complex::new(re, im),
                Ordering::Equal => Complex::new(0.0, -0.5),
                Ordering::Greater => Complex::new(-re, im),
            }
        };
        Self {
            window: window.as_chunks().0.iter().map(|w: &[f64; 2]| w.map(|w| w as f32)).collect(),
            signal: vec![Complex::default(); half],
            spectrum: vec![Complex::default(); half],
            scratch: vec![Complex::default(); plan.get_outofplace_scratch_len()],
            plan,
            twiddles: bins.clone().map(twiddle).collect(),
            bins,
        }
    }

    /// Writes |X_k|² of the windowed `samples` to `power`.
    ///
    /// # Panics
    /// When `samples` is not as long as the window, or `power` not as long as there are bins.
    pub fn power(&mut self, samples: &[i16], power: &mut [f32]) {
        let half = self.window.len();
        assert_eq!((samples.len(), power.len()), (2 * half, self.bins.len()));
        weigh_halves(samples.as_chunks().0, &self.window, &mut self.signal);
        self.plan.process_outofplace_with_scratch(&mut self.signal, &mut self.spectrum, &mut self.scratch);
        let (low, high) = (self.bins.clone(), half + 1 - self.bins.end..=half - self.bins.start);
        half_power(&self.spectrum[low], &self.spectrum[high], &self.twiddles, power);
    }
}

#[cfg(feature = "fingerprint")]
with_wide_registers! {
    fn weigh_halves(samples: &[[i16; 2]], window: &[[f32; 2]], signal: &mut [Complex<f32>]) {
        for ((z, [x, y]), [v, w]) in signal.iter_mut().zip(samples).zip(window) {
            *z = Complex::new(f32::from(*x) * v, f32::from(*y) * w);
        }
    }
}

#[cfg(feature = "fingerprint")]
with_wide_registers! {
    /// Of the bins in `low`, and their mirror images, the last first.
    fn half_power(low: &[Complex<f32>], high: &[Complex<f32>], twiddles: &[Complex<f32>], power: &mut [f32]) {
        for (((p, z), y), t) in power.iter_mut().zip(low).zip(high.iter().rev()).zip(twiddles) {
            let (sum, difference) = (z + y, z - y);
            let re = 0.5 * sum.re + (sum.im * t.re + difference.re * t.im);
            let im = 0.5 * difference.im + (sum.im * t.im - difference.re * t.re);
            *p = re * re + im * im;
        }
    }
}

/// Turns pairs of windows of `len` samples into their powers. One window is the real part of a complex signal, the other its
/// imaginary part: with Z its spectrum, X_k = (Z_k + Z*_{N−k})/2 and Y_k = (Z_k − Z*_{N−k})/2i. That takes half the time of
/// two transforms where only some of the bins are wanted.
#[cfg(feature = "fingerprint")]
#[derive(Clone)]
pub struct PairStft {
    plan: Arc<dyn rustfft::Fft<f32>>,
    window: Vec<f32>,
    signal: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

#[cfg(feature = "fingerprint")]
impl std::fmt::Debug for PairStft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairStft").field("len", &self.window.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "fingerprint")]
impl PairStft {
    /// Transforms with this window; its length should be a power of two.
    pub fn new(window: &[f64]) -> Self {
        let plan = rustfft::FftPlanner::new().plan_fft_forward(window.len());
        Self {
            window: window.iter().map(|&w| w as f32).collect(),
            signal: vec![Complex::default(); window.len()],
            scratch: vec![Complex::default(); plan.get_inplace_scratch_len()],
            plan,
        }
    }

    /// Samples per window.
    pub fn window_len(&self) -> usize {
        self.window.len()
    }

    /// |X_k|² and |Y_k|² of the windowed `first` and `second`, for each bin of `bins`.
    ///
    /// # Panics
    /// When a sound is not as long as the window, when the bins begin with 0, or when they end behind half the window.
    pub fn power(&mut self, first: &[i16], second: &[i16], bins: Range<usize>, power: &mut [[f32; 2]]) {
        let len = self.window.len();
        assert_eq!((first.len(), second.len(), power.len()), (len, len, bins.len()));
        weigh_pair(first, second, &self.window, &mut self.signal);
        self.plan.process_with_scratch(&mut self.signal, &mut self.scratch);
        pair_power(&self.signal[bins.clone()], &self.signal[len + 1 - bins.end..=len - bins.start], power);
    }
}

#[cfg(feature = "fingerprint")]
with_wide_registers! {
    fn weigh_pair(first: &[i16], second: &[i16], window: &[f32], signal: &mut [Complex<f32>]) {
        for (((z, &x), &y), w) in signal.iter_mut().zip(first).zip(second).zip(window) {
            *z = Complex::new(f32::from(x) * w, f32::from(y) * w);
        }
    }
}

#[cfg(feature = "fingerprint")]
with_wide_registers! {
    /// Of the bins from `low` on, and their mirror images, the last first.
    fn pair_power(low: &[Complex<f32>], high: &[Complex<f32>], power: &mut [[f32; 2]]) {
        for ((p, z), y) in power.iter_mut().zip(low).zip(high.iter().rev()) {
            let (sum, difference) = (z + y.conj(), z - y.conj());
            *p = [
                0.25 * (sum.re * sum.re + sum.im * sum.im),
                0.25 * (difference.re * difference.re + difference.im * difference.im),
            ];
        }
    }
}

#[cfg(all(test, feature = "fingerprint"))]
mod tests {
    use super::*;

    const LEN: usize = 256;

    fn window() -> Vec<f64> {
        (0..LEN).map(|n| 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / LEN as f64).cos()).collect()
    }

    fn sound(step: usize) -> Vec<i16> {
        (0..LEN).map(|n| ((n * n * step) as i32 % 20_011 - 10_005) as i16).collect()
    }

    fn power(sound: &[i16]) -> Vec<f64> {
        let mut stft = Stft::new(&window());
        let (sound, mut power): (Vec<f32>, _) = (sound.iter().map(|&x| x.into()).collect(), vec![0.0; stft.bins()]);
        stft.add_power(&sound, &mut power);
        power
    }

    #[test]
    fn half_as_many_complex_samples_give_the_same_bits() {
        let mut half = vec![0.0f32; LEN / 2 - 1];
        HalfStft::new(&window(), 1..LEN / 2).power(&sound(7), &mut half);
        let whole = &power(&sound(7))[1..LEN / 2];
        assert!(half.iter().zip(whole).all(|(&half, &whole)| f64::from(half) == whole));
    }

    #[test]
    fn two_windows_at_once_are_as_one_after_the_other() {
        let mut both = vec![[0.0; 2]; 100];
        PairStft::new(&window()).power(&sound(7), &sound(31), 5..105, &mut both);
        for (n, step) in [7, 31].into_iter().enumerate() {
            let alone = &power(&sound(step))[5..105];
            let most = alone.iter().fold(0.0, |a: f64, &b| a.max(b));
            assert!(alone.iter().zip(&both).all(|(a, b)| (a - f64::from(b[n])).abs() < 1e-6 * most));
        }
    }
}

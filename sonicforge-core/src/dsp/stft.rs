//! Windowed Fourier transforms of real signals. The only place that knows the crates realfft and rustfft.
//!
//! The crate takes the widest instructions that the processor has, so the last bits of a spectrum may differ from machine to
//! machine (by less than a hundred-thousandth of a decibel in a 1/3 octave). On one machine they never do.

#[cfg(feature = "fingerprint")]
use std::ops::Range;
use std::sync::Arc;

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

    /// Writes |X_k|² of the windowed `samples` to `power`, for as many bins as it holds from `first` on.
    ///
    /// # Panics
    /// When `samples` is not as long as the window, or the bins end behind [`Stft::bins`].
    pub fn power<T: Copy + Into<f32>>(&mut self, samples: &[T], first: usize, power: &mut [f32]) {
        assert_eq!(samples.len(), self.window.len());
        for ((t, &x), w) in self.time.iter_mut().zip(samples).zip(&self.window) {
            *t = x.into() * w;
        }
        self.plan
            .process_with_scratch(&mut self.time, &mut self.spectrum, &mut self.scratch)
            .expect("the plan made buffers of these lengths");
        let wanted = &self.spectrum[first..first + power.len()];
        for (p, x) in power.iter_mut().zip(wanted) {
            *p = x.re * x.re + x.im * x.im;
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

    #[test]
    fn two_windows_at_once_are_as_one_after_the_other() {
        let window: Vec<f64> = (0..256).map(|n| 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / 256.0).cos()).collect();
        let sound = |step: i32| -> Vec<i16> { (0..256).map(|n| (n * n * step % 20_011 - 10_005) as i16).collect() };
        let (first, second) = (sound(7), sound(31));
        let (mut both, mut alone) = (vec![[0.0; 2]; 100], vec![0.0; 100]);
        PairStft::new(&window).power(&first, &second, 5..105, &mut both);
        for (n, sound) in [first, second].iter().enumerate() {
            Stft::new(&window).power(sound, 5, &mut alone);
            let most = alone.iter().fold(0.0f32, |a, &b| a.max(b));
            assert!(alone.iter().zip(&both).all(|(a, b)| (a - b[n]).abs() < 1e-6 * most));
        }
    }
}

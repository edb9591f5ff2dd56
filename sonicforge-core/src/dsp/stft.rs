//! Windowed Fourier transforms of real signals. The only place that knows the crate realfft.
//!
//! The crate takes the widest instructions that the processor has, so the last bits of a spectrum may differ from machine to
//! machine (by less than a hundred-thousandth of a decibel in a 1/3 octave). On one machine they never do.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

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

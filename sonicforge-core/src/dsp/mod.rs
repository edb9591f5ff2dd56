//! Numbers on slices, no policy: filters, dynamics, transforms.

pub mod biquad;
pub mod crossover;
pub mod delay_line;
pub mod dither;
pub mod dynamics;
pub mod glide;
pub mod interpolate;
pub mod k_weighting;
pub mod kernels;
pub mod oversample;
pub mod resample;
pub mod sliding;
#[cfg(any(feature = "analyze", feature = "fingerprint"))]
pub mod stft;
pub mod svf;
pub mod true_peak;
pub mod window;

/// The chain works in pieces of this many frames, cut at multiples of it counted from the first frame after `prepare` or
/// `reset`. Parameters step, denormals are flushed and control signals are renewed only at such edges, so that the samples
/// do not depend on how a host cuts its blocks.
pub const QUANTUM: usize = 64;

/// Below this a filter state is silence (−600 dBFS): it becomes zero before it can become denormal, which would slow the
/// processor down twentyfold.
const SILENCE: f64 = 1e-30;

/// Zero for what is too small to matter.
#[inline]
pub(crate) fn flush(x: f64) -> f64 {
    if x.abs() < SILENCE { 0.0 } else { x }
}

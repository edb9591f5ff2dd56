//! Numbers on slices, no policy: filters, dynamics, transforms.

pub mod biquad;
pub mod crossover;
pub mod delay_line;
pub mod dither;
pub mod dynamics;
pub mod interpolate;
pub mod k_weighting;
pub mod kernels;
pub mod oversample;
pub mod resample;
#[cfg(feature = "analyze")]
pub mod stft;
pub mod true_peak;
pub mod window;

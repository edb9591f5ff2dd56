//! The ears: loudness, true peak, spectrum, stereo image and faults. Listens, never changes.
//!
//! [`Analyzer`] streams; [`analyze`] is the same for a sound in memory and gives the same bits.

mod analysis;
mod analyzer;
mod levels;
mod loudness;
mod quantum;
mod spectrum;
mod stereo;
mod timeline;
mod true_peak;

pub use analysis::{Analysis, BAND_FLOOR_DB, BandLevel, SCHEMA, Timeline};
pub use analyzer::{Analyzer, Live, analyze};
pub use loudness::{LoudnessMeter, channel_weights, gated_loudness, loudness_range};
pub use spectrum::third_octave_centers;
pub use true_peak::TruePeakMeter;

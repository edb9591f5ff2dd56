//! Landmarks: what of a sound survives noise, codecs, rooms, and another speed or key.
//!
//! After A. Wang, "An Industrial-Strength Audio Search Algorithm", ISMIR 2003 (constellations and pairs), J. Six,
//! M. Leman, "Panako", ISMIR 2014 (a logarithmic frequency axis, on which another key is a shift) and D. Ellis' audfprint
//! (many landmarks in the query, few in the index).
//!
//! ```text
//! 11 025 Hz ─► spectrogram ─► whitening ─► peaks ─► constellation (stored) ─► pairs ─► index
//!                                 └─► sketch (query) ─► votes ─► hypotheses ─► verification ─► match
//! ```

mod alignment;
mod constellation;
mod cuts;
mod explain;
mod extent;
mod matching;
pub(super) mod pairs;
mod peaks;
mod postings;
mod search;
mod sketch;
mod spectrogram;
mod verify;
mod whitening;

pub use constellation::{Constellation, Star};
pub use explain::{Explanation, PeakAt, SharedLandmark};
pub use matching::{Match, QueryOptions, THRESHOLD};
pub use postings::{Posting, Postings, TrackAt};
pub use sketch::Sketch;

pub(super) use alignment::{Placed, Shared, align};
pub(super) use explain::explain;
pub(super) use matching::search;
pub(super) use peaks::Extractor;

/// How peaks and pairs are made; those of different kinds cannot be compared. Kind 1 heard from 250 Hz to 4.4 kHz.
pub(crate) const LANDMARK_KIND: u8 = 2;
/// Samples from one frame to the next, at 11 025 Hz: 23.2 ms.
pub(crate) const HOP: usize = 256;
/// Seconds from one frame to the next.
pub(crate) const FRAME_S: f64 = HOP as f64 / 11_025.0;
/// Seconds from the beginning of a frame's window to its middle.
pub(crate) const CENTER_S: f64 = spectrogram::WINDOW as f64 / 2.0 / 11_025.0;
/// Bands of the logarithmic axis.
pub(crate) const BANDS: usize = 180;
/// Bands per octave.
pub(crate) const PER_OCTAVE: f64 = 36.0;

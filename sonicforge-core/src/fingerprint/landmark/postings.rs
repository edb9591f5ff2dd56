//! What a search needs to know of a set of tracks, wherever they are kept.

use std::ops::Range;

use super::constellation::Star;
use crate::error::Result;
use crate::fingerprint::IndexTrack;

/// Where a pair of peaks was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Posting {
    /// Which pair, below 2²⁰: see [`Constellation::pairs`](super::Constellation::pairs).
    pub key: u32,
    /// Frame of its first peak on the time line of the segment.
    pub frame: u32,
}

/// The track that sounds at some place of a time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackAt {
    /// Number in its segment.
    pub track: u32,
    /// Where it begins on the time line.
    pub start: u32,
    /// Its length in frames.
    pub frames: u32,
}

/// Some tracks, one after the other on a time line of frames (23.2 ms), and where their pairs are. It never changes.
pub trait Postings: Send + Sync + std::fmt::Debug {
    /// About how many postings these keys have, without reading them.
    fn weight(&self, keys: Range<u32>) -> usize;

    /// Appends the postings of these keys, sorted by key and then by frame.
    ///
    /// # Errors
    /// [`Error::Store`](crate::error::Error::Store) when what is kept cannot be read or is damaged.
    fn read(&self, keys: Range<u32>, out: &mut Vec<Posting>) -> Result<()>;

    /// The track that sounds at this frame, or next to it; none where there is silence between tracks, and where a track was removed.
    fn track_at(&self, frame: i64) -> Option<TrackAt>;

    /// Appends the peaks of a track within these of its frames, in order of time and then of band.
    ///
    /// # Errors
    /// As [`Postings::read`].
    fn stars(&self, track: u32, frames: Range<u32>, out: &mut Vec<Star>) -> Result<()>;

    /// How many tracks there are, removed ones included: their numbers are below this.
    fn tracks(&self) -> u32;

    /// How many are left.
    fn living(&self) -> u32;

    /// All that is known of a track; none when it was removed.
    ///
    /// # Errors
    /// As [`Postings::read`].
    fn track(&self, track: u32) -> Result<Option<IndexTrack>>;

    /// The number of the track of this name, if there is one.
    ///
    /// # Errors
    /// As [`Postings::read`].
    fn find(&self, id: &str) -> Result<Option<u32>>;

    /// The name of a track.
    ///
    /// # Errors
    /// As [`Postings::read`].
    fn id(&self, track: u32) -> Result<String>;
}

//! The memory: what identifies a track.
//!
//! [`Fingerprinter`] streams; [`Fingerprint::of`] is the same for a sound in memory and gives the same bits. What it makes
//! is AcoustID's [`Chromaprint`], word for word that of libchromaprint: it knows whole files again, in whatever format. And
//! it is a [`Constellation`] of landmarks, which an [`Index`] of many knows excerpts by, through noise, in other keys and at
//! other speeds.
//! [`acoustid`] forms what AcoustID's web service is asked and told.

pub mod acoustid;
mod chromaprint;
mod duplicates;
mod fingerprinter;
mod front;
mod index;
mod landmark;
mod resampler;

pub use chromaprint::{Chromaprint, ChromaprintPreset, Chromaprinter};
pub use duplicates::{
    DUPLICATES_SCHEMA, DuplicateGroup, DuplicateOptions, DuplicatePair, DuplicateReport, Relation, SharedStretch,
};
#[cfg(feature = "io")]
pub use duplicates::{ScanOptions, ScanReport, fingerprint_file, scan};
pub use fingerprinter::{Fingerprint, FingerprintParams, Fingerprinter, SCHEMA};
pub use index::{
    Change, Durability, Index, IndexOptions, IndexStats, IndexTrack, PostingStore, Recovery, Snapshot, merge_topk,
    posting_store_contract,
};
pub use landmark::{
    Constellation, Explanation, Match, PeakAt, Posting, Postings, QueryOptions, SharedLandmark, Sketch, Star,
    THRESHOLD, TrackAt,
};

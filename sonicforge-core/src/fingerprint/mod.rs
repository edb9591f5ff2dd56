//! The memory: what identifies a track.
//!
//! [`Fingerprinter`] streams; [`Fingerprint::of`] is the same for a sound in memory and gives the same bits. What it makes
//! is AcoustID's [`Chromaprint`], word for word that of libchromaprint: it knows whole files again, in whatever format. And
//! it is a [`Constellation`] of landmarks, which an [`Index`] of many knows excerpts by, through noise, in other keys and at
//! other speeds.
//! [`acoustid`] forms what AcoustID's web service is asked and told.

pub mod acoustid;
mod chromaprint;
mod fingerprinter;
mod front;
mod landmark;
mod resampler;

pub use chromaprint::{Chromaprint, ChromaprintPreset, Chromaprinter};
pub use fingerprinter::{Fingerprint, FingerprintParams, Fingerprinter, SCHEMA};
pub use landmark::{Constellation, Index, Match, Posting, Postings, QueryOptions, Sketch, Star, THRESHOLD, TrackAt};

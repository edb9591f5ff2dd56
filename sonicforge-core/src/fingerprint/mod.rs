//! The memory: what identifies a track.
//!
//! [`Fingerprinter`] streams; [`Fingerprint::of`] is the same for a sound in memory and gives the same bits. What it makes
//! is AcoustID's [`Chromaprint`], word for word that of libchromaprint: it knows whole files again, in whatever format.
//! [`acoustid`] forms what AcoustID's web service is asked and told.

pub mod acoustid;
mod chromaprint;
mod fingerprinter;

pub use chromaprint::{Chromaprint, ChromaprintPreset, Chromaprinter};
pub use fingerprinter::{Fingerprint, FingerprintParams, Fingerprinter, SCHEMA};

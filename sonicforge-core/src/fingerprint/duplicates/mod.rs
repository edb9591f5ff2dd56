//! Which tracks of a catalogue are one work.

mod join;
mod report;
#[cfg(feature = "io")]
mod scan;
mod words;

pub use join::DuplicateOptions;
pub use report::{DUPLICATES_SCHEMA, DuplicateGroup, DuplicatePair, DuplicateReport, Relation, SharedStretch};
#[cfg(feature = "io")]
pub use scan::{ScanOptions, ScanReport, fingerprint_file, scan};

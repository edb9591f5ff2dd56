//! Many tracks, searched at once: in memory, or in a folder that survives.
//!
//! [`Index`] is the handle, [`Snapshot`] what is searched, [`PostingStore`] the seam to where it is all kept. docs/index-format.md
//! describes the files.

pub(in crate::fingerprint) mod bits;
mod contract;
#[cfg(test)]
mod crash;
mod files;
mod handle;
mod log;
mod manifest;
mod segment;
mod snapshot;
mod stars;
mod store;
mod track;
mod words;

pub use contract::posting_store_contract;
pub use handle::{Index, IndexStats};
pub use log::Change;
pub(in crate::fingerprint) use snapshot::parallel;
pub use snapshot::{Snapshot, merge_topk};
pub use store::{Durability, IndexOptions, PostingStore, Recovery};
pub use track::IndexTrack;

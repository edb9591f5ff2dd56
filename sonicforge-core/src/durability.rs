//! What survives what: the same two promises in every store that keeps things.

use serde::{Deserialize, Serialize};

/// What an acknowledged change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of the process at any moment, but perhaps not a power cut: the last seconds may be missing then, and nothing else.
    Process,
    /// A power cut: a change is acknowledged when it is on the disk.
    #[default]
    Power,
}

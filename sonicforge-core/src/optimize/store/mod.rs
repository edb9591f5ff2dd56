//! Where counters live: one small trait, and what keeps its promises.
//!
//! A store holds variants, a ledger of rewards (one row per decision and metric) and counters. [`Store::apply`] changes ledger
//! and counters together or not at all, so a counter is always the sum over its rows; that makes sending a reward twice free, and
//! "exactly once" a matter of sending it until it was acknowledged.

mod contract;
mod memory;
mod open;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod spool;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use contract::store_contract;
pub use memory::MemoryStore;
pub use open::{Durability, open_store};
#[cfg(feature = "redis")]
pub use redis::{RedisOptions, RedisStore};
#[cfg(feature = "sqlite")]
pub use spool::SpooledStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use crate::error::Result;

use super::counts::{Count, Key};
use super::reward::{Applied, Reward};
use super::variant::Variant;

/// What changed since a version.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// The version to ask with next time.
    pub version: u64,
    /// The counters that changed, as they are now, in the order of their keys.
    pub counts: Vec<(Key, Count)>,
}

/// Variants, a ledger and counters. Every call is atomic and may come from any thread, and from any process where the store is
/// shared. [`store_contract`] says what an implementation must do.
pub trait Store: Send + Sync {
    /// All variants, in the order of concept and id.
    ///
    /// # Errors
    /// [`Error::Store`](crate::error::Error::Store) from a store that cannot be reached.
    fn variants(&self) -> Result<Vec<Variant>>;

    /// Adds a variant, or changes it where the given copy supersedes the one that is there: the higher revision holds.
    ///
    /// # Errors
    /// As [`Store::variants`].
    fn put_variant(&self, variant: &Variant) -> Result<()>;

    /// Counts rewards; says of each what became of it. All or nothing: after an error none of them is counted, or (where the
    /// connection was lost) all; sending them again is right in both cases.
    ///
    /// # Errors
    /// As [`Store::variants`].
    fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>>;

    /// The counters that changed after `since`; 0 asks for all.
    ///
    /// # Errors
    /// As [`Store::variants`].
    fn counts(&self, since: u64) -> Result<Changes>;

    /// Shows every row of the ledger, in the order of decision and metric.
    ///
    /// # Errors
    /// As [`Store::variants`], and what `visit` returns.
    fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()>;

    /// Delivers what was only taken note of (see [`SpooledStore`]); how many are still on the way. Stores without a spool have none.
    ///
    /// # Errors
    /// As [`Store::variants`].
    fn flush(&self) -> Result<u64> {
        Ok(0)
    }
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn variants(&self) -> Result<Vec<Variant>> {
        (**self).variants()
    }
    fn put_variant(&self, variant: &Variant) -> Result<()> {
        (**self).put_variant(variant)
    }
    fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
        (**self).apply(rewards)
    }
    fn counts(&self, since: u64) -> Result<Changes> {
        (**self).counts(since)
    }
    fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()> {
        (**self).ledger(visit)
    }
    fn flush(&self) -> Result<u64> {
        (**self).flush()
    }
}

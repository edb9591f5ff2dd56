//! A store by its address.

use std::path::Path;

pub use crate::durability::Durability;
use crate::error::{Error, Result};

use super::{MemoryStore, Store};

/// Opens a store: `memory:`, the path of an SQLite file (or `sqlite:path`), `redis://host:port/db`, or
/// `redis+sentinel://host:port,host:port/service`. A fragment names the keys of a Redis store (`#radio`; by default `sonicforge`).
/// `durability` is SQLite's; a Redis server has its own setting. With a `spool`, the path of a file of this process alone, rewards for a Redis
/// server are acknowledged when they are on the own disk, and delivered until the server has kept them for ten seconds.
///
/// # Errors
/// [`Error::Unsupported`] for a store that this build does not have, [`Error::Store`] for one that cannot be opened.
pub fn open_store(address: &str, durability: Durability, spool: Option<&Path>) -> Result<Box<dyn Store>> {
    let _ = durability;
    if spool.is_some() && !address.starts_with("redis") {
        return Err(Error::invalid(format!("a spool before {address}; expected one before a Redis server only")));
    }
    if address == "memory:" {
        return Ok(Box::new(MemoryStore::new()));
    }
    if address.starts_with("redis:") || address.starts_with("rediss:") || address.starts_with("redis+sentinel:") {
        #[cfg(feature = "redis")]
        {
            let store = super::RedisStore::open(address, &super::RedisOptions::default())?;
            return match spool {
                None => Ok(Box::new(store)),
                #[cfg(feature = "sqlite")]
                Some(path) => Ok(Box::new(super::SpooledStore::new(store, path, std::time::Duration::from_secs(10))?)),
                #[cfg(not(feature = "sqlite"))]
                Some(_) => Err(Error::Unsupported("a spool is an SQLite file; build with the feature sqlite".into())),
            };
        }
        #[cfg(not(feature = "redis"))]
        return Err(Error::Unsupported(format!("{address}: this build has no Redis; build it with the feature redis")));
    }
    let path = address.strip_prefix("sqlite:").unwrap_or(address);
    if path.is_empty() || path.contains("://") {
        return Err(Error::invalid(format!(
            "store {address:?}; expected memory:, the path of a file, redis://… or redis+sentinel://…"
        )));
    }
    #[cfg(feature = "sqlite")]
    return Ok(Box::new(super::SqliteStore::open(path, durability)?));
    #[cfg(not(feature = "sqlite"))]
    Err(Error::Unsupported(format!("{path}: this build has no SQLite; build it with the feature sqlite")))
}

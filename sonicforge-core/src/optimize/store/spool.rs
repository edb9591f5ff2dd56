//! A spool in an SQLite file before a store that may forget: a reward is acknowledged when it is on the own disk, delivered at once
//! where that is possible, and delivered again until the store has demonstrably kept it.
//!
//! A row leaves the spool when a delivery that comes at least `hold` after the last one that was `New` finds it there: what a server
//! has had for longer than it takes to write it to its disk, it has not forgotten. Delivering again costs nothing, since rewards
//! count once.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::params;

use crate::error::{Error, Result};

use super::super::reward::{Applied, Reward};
use super::super::variant::Variant;
use super::{Changes, Durability, SqliteStore, Store};

/// Rows delivered in one call.
const BATCH: usize = 500;

/// A store behind a spool.
pub struct SpooledStore<S> {
    inner: S,
    spool: SqliteStore,
    hold: Duration,
}

impl<S: Store> SpooledStore<S> {
    /// Puts a spool, a file of its own for each process, before `inner`. `hold` is how long `inner` may take to make a reward durable; for
    /// Redis with `appendfsync everysec` ten seconds are plenty. [`Store::flush`] delivers; call it now and then, and after a restart.
    ///
    /// # Errors
    /// [`Error::Store`] for a file that cannot be opened.
    pub fn new(inner: S, path: impl AsRef<Path>, hold: Duration) -> Result<Self> {
        let spool = SqliteStore::open(path, Durability::Power)?;
        spool.write(|t| {
            t.execute_batch(
                "CREATE TABLE IF NOT EXISTS spool (
                     id INTEGER PRIMARY KEY AUTOINCREMENT, reward TEXT NOT NULL, delivered_ms INTEGER
                 )",
            )
        })?;
        Ok(Self { inner, spool, hold })
    }

    /// How many rewards are in the spool.
    ///
    /// # Errors
    /// [`Error::Store`] from the spool.
    pub fn waiting(&self) -> Result<u64> {
        self.spool.read(|c| c.query_row("SELECT count(*) FROM spool", [], |row| row.get::<_, i64>(0))).map(|n| n as u64)
    }

    fn now_ms() -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    }

    /// Delivers rows, and notes what became of them. A row that was there already and had time to be written leaves.
    fn deliver(&self, rows: &[(i64, Reward, Option<i64>)]) -> Result<Vec<Applied>> {
        let rewards: Vec<Reward> = rows.iter().map(|(_, r, _)| r.clone()).collect();
        let now = Self::now_ms();
        let applied = self.inner.apply(&rewards)?;
        let held = |since: &Option<i64>| since.is_some_and(|at| now.saturating_sub(at) >= self.hold.as_millis() as i64);
        self.spool.write(|t| {
            let mut leave = t.prepare_cached("DELETE FROM spool WHERE id = ?1")?;
            let mut note = t.prepare_cached("UPDATE spool SET delivered_ms = ?2 WHERE id = ?1")?;
            for ((id, _, delivered), what) in rows.iter().zip(&applied) {
                let kept = matches!(what, Applied::Duplicate | Applied::Stale);
                if kept && held(delivered) {
                    leave.execute(params![id])?;
                } else if !kept || delivered.is_none() {
                    note.execute(params![id, now])?;
                }
            }
            Ok(())
        })?;
        Ok(applied)
    }
}

impl<S: Store> Store for SpooledStore<S> {
    fn variants(&self) -> Result<Vec<Variant>> {
        self.inner.variants()
    }

    fn put_variant(&self, variant: &Variant) -> Result<()> {
        self.inner.put_variant(variant)
    }

    /// Acknowledged when it is in the spool. Where the store cannot be reached, all is said to be `New`; it is judged at its delivery.
    fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
        let texts: Vec<String> = rewards
            .iter()
            .map(|r| serde_json::to_string(r).map_err(|e| Error::Internal(e.to_string())))
            .collect::<Result<_>>()?;
        let ids: Vec<i64> = self.spool.write(|t| {
            let mut put = t.prepare_cached("INSERT INTO spool (reward) VALUES (?1)")?;
            texts.iter().map(|text| put.insert(params![text])).collect()
        })?;
        let rows: Vec<_> = ids.into_iter().zip(rewards).map(|(id, r)| (id, r.clone(), None)).collect();
        match self.deliver(&rows) {
            Err(Error::Store(_)) => Ok(vec![Applied::New; rewards.len()]),
            done => done,
        }
    }

    fn counts(&self, since: u64) -> Result<Changes> {
        self.inner.counts(since)
    }

    fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()> {
        self.inner.ledger(visit)
    }

    fn flush(&self) -> Result<u64> {
        let mut after = 0;
        loop {
            let rows: Vec<(i64, String, Option<i64>)> = self.spool.read(|c| {
                let mut statement =
                    c.prepare_cached("SELECT id, reward, delivered_ms FROM spool WHERE id > ?1 ORDER BY id LIMIT ?2")?;
                statement
                    .query_map(params![after, BATCH as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect()
            })?;
            let Some((last, ..)) = rows.last() else { break };
            after = *last;
            let rows = rows
                .into_iter()
                .map(|(id, text, at)| {
                    let reward = serde_json::from_str(&text).map_err(|e| Error::Store(format!("the spool: {e}")))?;
                    Ok((id, reward, at))
                })
                .collect::<Result<Vec<_>>>()?;
            self.deliver(&rows)?;
        }
        self.waiting()
    }
}

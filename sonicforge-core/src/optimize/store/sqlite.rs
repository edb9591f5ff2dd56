//! One SQLite file for many processes: write-ahead log, one immediate transaction per call.
//!
//! A reward is acknowledged after its transaction was committed. With [`Durability::Power`] (`synchronous=FULL`) it is on the disk then;
//! with [`Durability::Process`] (`NORMAL`) it survives the death of the process, and a power cut may take the last commits, never a
//! part of one (<https://www.sqlite.org/pragma.html#pragma_synchronous>).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::error::{Error, Result};

use super::super::counts::{Count, Key};
use super::super::reward::{Applied, DecisionId, Propensity, Reward};
use super::super::variant::{Variant, VariantId};
use super::{Changes, Durability, Store};

/// "SFop", so that another program's file is not taken for ours.
const APPLICATION: i64 = 0x5346_6f70;
const SCHEMA: i64 = 1;
/// How long a call waits for other processes.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE variants (concept TEXT NOT NULL, id INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (concept, id)) WITHOUT ROWID;
CREATE TABLE ledger (
    decision BLOB NOT NULL, metric TEXT NOT NULL, concept TEXT NOT NULL, variant INTEGER NOT NULL, against INTEGER,
    epoch INTEGER NOT NULL, value INTEGER NOT NULL, revision INTEGER NOT NULL, propensity REAL NOT NULL, context BLOB,
    PRIMARY KEY (decision, metric)
) WITHOUT ROWID;
CREATE TABLE counters (
    concept TEXT NOT NULL, variant INTEGER NOT NULL, against INTEGER NOT NULL, metric TEXT NOT NULL, epoch INTEGER NOT NULL,
    limbs BLOB NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (concept, variant, against, metric, epoch)
) WITHOUT ROWID;
CREATE INDEX counters_version ON counters (version);
CREATE TABLE version (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT INTO version VALUES (1, 0);
";

/// Variants, ledger and counters in a file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Mutex<Connection>,
    path: PathBuf,
}

/// SQLite's integers have a sign; the bits are the same.
fn signed(x: u64) -> i64 {
    x as i64
}

fn bytes(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<i64> {
    let (chunks, _) = bytes.as_chunks::<8>();
    chunks.iter().map(|b| i64::from_le_bytes(*b)).collect()
}

impl SqliteStore {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// [`Error::Store`] for a file that cannot be opened, is no store of ours, or was written by a newer version.
    pub fn open(path: impl AsRef<Path>, durability: Durability) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let failed = |e: rusqlite::Error| told(&path, "open", &e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let pragma = |connection: &Connection, name: &str| -> Result<i64> {
            connection.pragma_query_value(None, name, |row| row.get(0)).map_err(failed)
        };
        let refuse = |connection: &Connection| -> Result<()> {
            let (application, schema) = (pragma(connection, "application_id")?, pragma(connection, "user_version")?);
            let foreign = application != 0 && application != APPLICATION;
            if foreign || (application == 0 && schema != 0) {
                return Err(Error::Store(format!(
                    "{} is the database of another program; choose another file",
                    path.display()
                )));
            }
            if schema > SCHEMA {
                return Err(Error::Store(format!(
                    "{} was written by a newer version (schema {schema}; this one knows {SCHEMA}); update the library",
                    path.display()
                )));
            }
            Ok(())
        };
        refuse(&connection)?;
        // Setting the mode asks for a lock that the busy handler does not wait for.
        let begun = std::time::Instant::now();
        loop {
            match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
                Ok(_) => break,
                Err(e) if is_busy(&e) && begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
                Err(e) => return Err(failed(e)),
            }
        }
        let synchronous = if durability == Durability::Power { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        refuse(&transaction)?;
        if pragma(&transaction, "user_version")? == 0 {
            let empty: bool = transaction
                .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
                .map_err(failed)?;
            if !empty {
                return Err(Error::Store(format!(
                    "{} is the database of another program; choose another file",
                    path.display()
                )));
            }
            transaction.execute_batch(TABLES).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(Self { connection: Mutex::new(connection), path })
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>> {
        self.connection
            .lock()
            .map_err(|_| Error::Internal("an earlier call on this store panicked; open it again".into()))
    }

    /// Runs `work` in one transaction; nothing of it stays after an error.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.connection()?;
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|e| told(&self.path, "write to", &e))
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection()?;
        work(&connection).map_err(|e| told(&self.path, "read", &e))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// What SQLite said, and what to do.
fn told(path: &Path, action: &str, error: &rusqlite::Error) -> Error {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has held it for ten seconds; nothing was changed, try again"
        }
        Some(ErrorCode::DiskFull) => "the disk is full; nothing was changed, make room and try again",
        Some(ErrorCode::CannotOpen) => "is the folder there, and may it be written to?",
        Some(ErrorCode::ReadOnly) => "it may not be written to; nothing was changed",
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => "it is no SQLite database, or a damaged one",
        Some(ErrorCode::SystemIoFailure) => "the system failed to read or write it; nothing was changed",
        _ => "nothing was changed",
    };
    Error::Store(format!("cannot {action} {}: {error}; {advice}", path.display()))
}

fn held(transaction: &Connection, decision: DecisionId, metric: &str) -> rusqlite::Result<Option<Reward>> {
    let mut statement = transaction.prepare_cached("SELECT * FROM ledger WHERE decision = ?1 AND metric = ?2")?;
    statement.query_row(params![&decision.0[..], metric], row_to_reward).optional()
}

fn row_to_reward(row: &rusqlite::Row<'_>) -> rusqlite::Result<Reward> {
    let wrong = |column, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, what.to_string().into())
    };
    let decision = row.get_ref(0)?.as_blob()?.try_into().map_err(|_| wrong(0, "a decision of another length"))?;
    let id = |column| -> rusqlite::Result<VariantId> { Ok(VariantId(row.get::<_, i64>(column)? as u64)) };
    let against = row.get::<_, Option<i64>>(4)?.map(|a| VariantId(a as u64));
    let context = row.get_ref(9)?.as_blob_or_null()?.map(numbers).unwrap_or_default();
    Ok(Reward {
        decision: DecisionId(decision),
        key: Key { metric: row.get(1)?, concept: row.get(2)?, variant: id(3)?, against, epoch: row.get(5)? },
        value: row.get(6)?,
        revision: row.get::<_, i64>(7)? as u64,
        propensity: Propensity(row.get(8)?),
        context,
    })
}

fn count(transaction: &Connection, key: &Key, version: i64, change: impl FnOnce(&mut Count)) -> rusqlite::Result<()> {
    let place =
        params![key.concept, signed(key.variant.0), signed(key.against.map_or(0, |a| a.0)), key.metric, key.epoch];
    let mut select = transaction.prepare_cached(
        "SELECT limbs FROM counters WHERE concept = ?1 AND variant = ?2 AND against = ?3 AND metric = ?4 AND epoch = ?5",
    )?;
    let limbs: Option<Vec<u8>> = select.query_row(place, |row| row.get(0)).optional()?;
    let mut sum = limbs.map(|l| Count::from_limbs(&numbers(&l))).unwrap_or_default();
    change(&mut sum);
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO counters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    put.execute(params![
        key.concept,
        signed(key.variant.0),
        signed(key.against.map_or(0, |a| a.0)),
        key.metric,
        key.epoch,
        bytes(&sum.limbs()),
        version
    ])?;
    Ok(())
}

fn apply_one(transaction: &Connection, reward: &Reward, version: i64) -> rusqlite::Result<Applied> {
    let before = held(transaction, reward.decision, &reward.key.metric)?;
    let applied = reward.outcome(before.as_ref());
    if matches!(applied, Applied::Duplicate | Applied::Stale) {
        return Ok(applied);
    }
    if let Some(before) = before {
        count(transaction, &before.key, version, |c| c.subtract(&before.count()))?;
    }
    count(transaction, &reward.key, version, |c| c.add(&reward.count()))?;
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO ledger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    put.execute(params![
        &reward.decision.0[..],
        reward.key.metric,
        reward.key.concept,
        signed(reward.key.variant.0),
        reward.key.against.map(|a| signed(a.0)),
        reward.key.epoch,
        reward.value,
        signed(reward.revision),
        reward.propensity.0,
        (!reward.context.is_empty()).then(|| bytes(&reward.context)),
    ])?;
    Ok(applied)
}

impl Store for SqliteStore {
    fn variants(&self) -> Result<Vec<Variant>> {
        let texts: Vec<String> = self.read(|c| {
            let mut statement = c.prepare_cached("SELECT json FROM variants")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|e| Error::Store(format!("{}: a variant: {e}", self.path.display())))
        };
        let mut variants = texts.into_iter().map(read).collect::<Result<Vec<Variant>>>()?;
        variants.sort_by(|a, b| (&a.concept, a.id).cmp(&(&b.concept, b.id)));
        Ok(variants)
    }

    fn put_variant(&self, variant: &Variant) -> Result<()> {
        let json = serde_json::to_string(variant).map_err(|e| Error::Internal(e.to_string()))?;
        self.write(|t| {
            let id = signed(variant.id.0);
            let held: Option<String> = t
                .query_row(
                    "SELECT json FROM variants WHERE concept = ?1 AND id = ?2",
                    params![variant.concept, id],
                    |r| r.get(0),
                )
                .optional()?;
            let held: Option<Variant> = held.and_then(|text| serde_json::from_str(&text).ok());
            if held.is_none_or(|held| variant.supersedes(&held)) {
                t.execute("INSERT OR REPLACE INTO variants VALUES (?1, ?2, ?3)", params![variant.concept, id, json])?;
            }
            Ok(())
        })
    }

    fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
        if rewards.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|t| {
            let version: i64 = t
                .prepare_cached("UPDATE version SET value = value + 1 RETURNING value")?
                .query_row([], |row| row.get(0))?;
            rewards.iter().map(|reward| apply_one(t, reward, version)).collect()
        })
    }

    fn counts(&self, since: u64) -> Result<Changes> {
        self.read(|c| {
            // One statement sees one state of the database: the version comes with the counters, or alone.
            let mut statement = c.prepare_cached(
                "SELECT (SELECT value FROM version), concept, variant, against, metric, epoch, limbs
                 FROM counters WHERE version > ?1
                 UNION ALL SELECT value, NULL, 0, 0, NULL, 0, NULL FROM version",
            )?;
            let mut changes = Changes::default();
            let mut rows = statement.query(params![i64::try_from(since).unwrap_or(i64::MAX)])?;
            while let Some(row) = rows.next()? {
                changes.version = row.get::<_, i64>(0)? as u64;
                if let Some(concept) = row.get::<_, Option<String>>(1)? {
                    let against = Some(row.get::<_, i64>(3)? as u64).filter(|a| *a != 0).map(VariantId);
                    let variant = VariantId(row.get::<_, i64>(2)? as u64);
                    let key = Key { concept, variant, against, metric: row.get(4)?, epoch: row.get(5)? };
                    changes.counts.push((key, Count::from_limbs(&numbers(row.get_ref(6)?.as_blob()?))));
                }
            }
            changes.counts.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(changes)
        })
    }

    fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()> {
        let mut stopped = None;
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT * FROM ledger ORDER BY decision, metric")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Err(error) = visit(row_to_reward(row)?) {
                    stopped = Some(error);
                    break;
                }
            }
            Ok(())
        })?;
        stopped.map_or(Ok(()), Err)
    }
}

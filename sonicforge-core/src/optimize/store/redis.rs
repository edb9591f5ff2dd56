//! A Redis server, or what Sentinel says is the master of one.
//!
//! One Lua script compares the ledger's row with what the caller believes to be there and, where it is, writes row and counters
//! together. The arithmetic is done here, on whole numbers of any size, and the script only adds 64-bit limbs, so nothing depends on
//! Lua's floating point. All keys of a store lie in one slot of a cluster.
//!
//! What an acknowledged reward survives is the server's setting: `appendfsync always` a power cut; `everysec` a second may be lost,
//! which a [`SpooledStore`](super::SpooledStore) delivers again. A failover may lose what was not replicated yet: ask for
//! [`RedisOptions::wait_replicas`], or spool.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use redis::{Connection, ConnectionLike, ErrorKind, RedisError, Script, ServerErrorKind};

use crate::error::{Error, Result};

use super::super::counts::{Count, Key};
use super::super::reward::{Applied, DecisionId, Reward};
use super::super::variant::Variant;
use super::{Changes, Store};

const SCHEMA: &str = "1";

/// How a Redis store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisOptions {
    /// A reward is acknowledged when this many replicas have it.
    pub wait_replicas: u32,
    /// How long one call may take, failover included, in milliseconds.
    pub patience_ms: u32,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { wait_replicas: 0, patience_ms: 10_000 }
    }
}

/// Variants, ledger and counters on a server.
pub struct RedisStore {
    source: Source,
    options: RedisOptions,
    /// "{prefix}:", the braces being Redis' mark of what decides the slot.
    prefix: String,
    address: String,
    connection: Mutex<Option<Connection>>,
    apply: Script,
    put: Script,
}

enum Source {
    Server(Box<redis::Client>),
    Sentinel(Box<Mutex<redis::sentinel::SentinelClient>>),
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.address).finish_non_exhaustive()
    }
}

/// KEYS: ledger, counters, changed, version. ARGV: rows; of each: field, row believed ("" for none), new row ("" to leave it),
/// number of counters; of each counter: field, number of limbs, limbs. All rows are as believed, or nothing is written and the
/// rows that are there come back.
///
/// What goes into the append-only file are the values that came about, not the increments: a server that is killed while it writes may
/// keep the beginning of a transaction (7.0 cuts a half-written command off, and leaves the MULTI before it open), which the next start
/// but one would run as well as what was sent again. Values may be set twice; increments would count twice.
const APPLY: &str = "
local function add(key, field, by)
  redis.set_repl(redis.REPL_NONE)
  redis.call('HINCRBY', key, field, by)
  redis.set_repl(redis.REPL_ALL)
  redis.call('HSET', key, field, redis.call('HGET', key, field))
end
local at, rows, off, work = 2, {}, false, {}
for r = 1, tonumber(ARGV[1]) do
  local field, believed, new, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  local there = redis.call('HGET', KEYS[1], field) or ''
  rows[r] = there
  if there ~= believed then off = true end
  work[r] = at
  for _ = 1, n do at = at + 2 + tonumber(ARGV[at + 1]) end
end
if off then return {0, rows} end
local version = 0
for r = 1, tonumber(ARGV[1]) do
  local begin = work[r]
  local field, new, n = ARGV[begin - 4], ARGV[begin - 2], tonumber(ARGV[begin - 1])
  if new ~= '' then redis.call('HSET', KEYS[1], field, new) end
  for _ = 1, n do
    local counter, limbs = ARGV[begin], tonumber(ARGV[begin + 1])
    if version == 0 then
      version = (redis.call('GET', KEYS[4]) or 0) + 1
      redis.call('SET', KEYS[4], string.format('%.0f', version))
    end
    for l = 1, limbs do
      local by = ARGV[begin + 1 + l]
      if by ~= '0' then add(KEYS[2], counter .. '#' .. (l - 1), by) end
    end
    if limbs > 7 then redis.call('HSET', KEYS[2], counter .. '#limbs', limbs) end
    redis.call('ZADD', KEYS[3], version, counter)
    begin = begin + 2 + limbs
  end
end
return {1, rows}
";

/// KEYS: variants. ARGV: field, the copy believed to be there ("" for none), the new one.
const PUT: &str = "
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) return '' end
return there
";

/// Limbs of a counter without contexts.
const PLAIN: usize = 7;
/// Counters of this many fields are asked for at once.
const PIECE: usize = 512;

impl RedisStore {
    /// Connects to `redis://…` or `redis+sentinel://host:port,host:port/service`; a fragment (`#radio`) names the keys.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an address that is none, [`Error::Store`] for a server that cannot be reached or holds a store of a
    /// newer version.
    pub fn open(address: &str, options: &RedisOptions) -> Result<Self> {
        let (server, name) = address.split_once('#').unwrap_or((address, "sonicforge"));
        if name.is_empty() || name.contains(['{', '}']) {
            return Err(Error::invalid(format!("the name of the keys is {name:?}; expected one without braces")));
        }
        let wrong = |e: RedisError| Error::invalid(format!("store {}: {e}", shown(address)));
        let source = match server.strip_prefix("redis+sentinel://") {
            None => Source::Server(Box::new(redis::Client::open(server).map_err(wrong)?)),
            Some(rest) => {
                let (hosts, service) =
                    rest.split_once('/').filter(|(h, s)| !h.is_empty() && !s.is_empty()).ok_or_else(|| {
                        Error::invalid(format!(
                            "store {}; expected redis+sentinel://host:port,host:port/service",
                            shown(address)
                        ))
                    })?;
                let nodes: Vec<String> = hosts.split(',').map(|h| format!("redis://{h}")).collect();
                let kind = redis::sentinel::SentinelServerType::Master;
                let client =
                    redis::sentinel::SentinelClient::build(nodes, service.to_string(), None, kind).map_err(wrong)?;
                Source::Sentinel(Box::new(Mutex::new(client)))
            }
        };
        let store = Self {
            source,
            options: *options,
            prefix: format!("{{{name}}}:"),
            address: shown(address),
            connection: Mutex::new(None),
            apply: Script::new(APPLY),
            put: Script::new(PUT),
        };
        let schema: String = store.call("open", |c| {
            redis::cmd("SET").arg(store.key("schema")).arg(SCHEMA).arg("NX").query::<redis::Value>(c)?;
            redis::cmd("GET").arg(store.key("schema")).query(c)
        })?;
        if schema != SCHEMA {
            return Err(Error::Store(format!(
                "{} was written by a newer version (schema {schema}; this one knows {SCHEMA}); update the library",
                store.address
            )));
        }
        Ok(store)
    }

    fn key(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Connection>>> {
        self.connection
            .lock()
            .map_err(|_| Error::Internal("an earlier call on this store panicked; open it again".into()))
    }

    fn connect(&self) -> redis::RedisResult<Connection> {
        let wait = Duration::from_millis(u64::from(self.options.patience_ms).clamp(50, 2_000));
        let connection = match &self.source {
            Source::Server(client) => client.get_connection_with_timeout(wait)?,
            Source::Sentinel(client) => {
                let mut client = client.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                client.get_connection()?
            }
        };
        connection.set_read_timeout(Some(wait))?;
        connection.set_write_timeout(Some(wait))?;
        Ok(connection)
    }

    /// Runs `work`, with a new connection and again while the server cannot be reached. Everything here may be done twice.
    fn call<T>(&self, action: &str, work: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> Result<T> {
        let begun = Instant::now();
        let patience = Duration::from_millis(u64::from(self.options.patience_ms));
        let mut held = self.lock()?;
        loop {
            let done = match held.as_mut().filter(|c| c.is_open()) {
                Some(connection) => work(connection),
                None => self.connect().and_then(|mut connection| {
                    let done = work(&mut connection);
                    *held = Some(connection);
                    done
                }),
            };
            let error = match done {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // What a reply may be missing of would be taken for the next one's.
            *held = None;
            let passing = error.is_io_error()
                || error.is_timeout()
                || error.is_connection_dropped()
                || error.is_connection_refusal()
                || matches!(
                    error.kind(),
                    ErrorKind::Server(
                        ServerErrorKind::ReadOnly
                            | ServerErrorKind::BusyLoading
                            | ServerErrorKind::MasterDown
                            | ServerErrorKind::TryAgain
                    ) | ErrorKind::MasterNameNotFoundBySentinel
                        | ErrorKind::NoValidReplicasFoundBySentinel
                        | ErrorKind::Io
                );
            if !passing || begun.elapsed() >= patience {
                let advice = if passing { "sending it again is safe" } else { "nothing was changed" };
                return Err(Error::Store(format!("cannot {action} {}: {error}; {advice}", self.address)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Store(format!("{}: {what} cannot be read; were its keys written by another program?", self.address))
    }

    /// Rows of the ledger as they are believed to be, changed together.
    fn apply_piece(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
        let fields: Vec<String> = rewards.iter().map(|r| field(r.decision, &r.key.metric)).collect();
        // A reward that comes twice in one call: the best of each row is sent, and the rest is judged against what came before.
        let mut believed: BTreeMap<&str, String> = fields.iter().map(|f| (f.as_str(), String::new())).collect();
        loop {
            let mut rows: BTreeMap<&str, Option<Reward>> = BTreeMap::new();
            for (field, text) in &believed {
                let row = if text.is_empty() { None } else { Some(self.row(text)?) };
                rows.insert(field, row);
            }
            let before = rows.clone();
            let mut applied = Vec::with_capacity(rewards.len());
            for (reward, field) in rewards.iter().zip(&fields) {
                let row = rows.get_mut(field.as_str()).ok_or_else(|| Error::Internal("a row went missing".into()))?;
                let what = reward.outcome(row.as_ref());
                if matches!(what, Applied::New | Applied::Revised) {
                    *row = Some(reward.clone());
                }
                applied.push(what);
            }
            let mut call = self.apply.key(self.key("ledger"));
            call.key(self.key("counters")).key(self.key("changed")).key(self.key("version"));
            call.arg(believed.len());
            for (field, text) in &believed {
                let (old, new) = (&before[field], &rows[field]);
                call.arg(*field).arg(text);
                if old == new {
                    call.arg("").arg(0);
                    continue;
                }
                let mut changes: BTreeMap<&Key, Count> = BTreeMap::new();
                if let Some(old) = old {
                    changes.entry(&old.key).or_default().subtract(&old.count());
                }
                if let Some(new) = new {
                    changes.entry(&new.key).or_default().add(&new.count());
                    call.arg(serde_json::to_string(new).map_err(|e| Error::Internal(e.to_string()))?);
                }
                call.arg(changes.len());
                for (key, change) in changes {
                    let limbs = change.limbs();
                    call.arg(serde_json::to_string(key).map_err(|e| Error::Internal(e.to_string()))?).arg(limbs.len());
                    limbs.iter().for_each(|l| {
                        call.arg(*l);
                    });
                }
            }
            let (done, there): (bool, Vec<String>) = self.call("write to", |c| call.invoke(c))?;
            if done {
                self.replicate()?;
                return Ok(applied);
            }
            believed = believed.keys().copied().zip(there).collect();
        }
    }

    fn replicate(&self) -> Result<()> {
        if self.options.wait_replicas == 0 {
            return Ok(());
        }
        let reached: u32 = self.call("write to", |c| {
            redis::cmd("WAIT").arg(self.options.wait_replicas).arg(self.options.patience_ms.min(1_500)).query(c)
        })?;
        if reached < self.options.wait_replicas {
            let wanted = self.options.wait_replicas;
            return Err(Error::Store(format!(
                "{}: {reached} of {wanted} replicas have the reward; send it again, it counts once",
                self.address
            )));
        }
        Ok(())
    }

    /// Limbs of counters, so many of each, and last the number that there are where it is not the usual one.
    fn limbs(&self, fields: &[String], length: &dyn Fn(&String) -> usize) -> Result<Vec<Vec<Option<i64>>>> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        self.call("read", |c| {
            let mut pipe = redis::pipe();
            pipe.atomic();
            for field in fields {
                pipe.cmd("HMGET").arg(self.key("counters"));
                (0..length(field)).for_each(|l| {
                    pipe.arg(format!("{field}#{l}"));
                });
                pipe.arg(format!("{field}#limbs"));
            }
            pipe.query(c)
        })
    }

    fn row(&self, text: &str) -> Result<Reward> {
        serde_json::from_str(text).map_err(|_| self.damaged("a row of the ledger"))
    }
}

/// The address without a password.
fn shown(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => address.to_string(),
    }
}

fn field(decision: DecisionId, metric: &str) -> String {
    format!("{decision}{metric}")
}

/// Rewards in one call of the script.
const BATCH: usize = 200;

impl Store for RedisStore {
    fn variants(&self) -> Result<Vec<Variant>> {
        let texts: BTreeMap<String, String> =
            self.call("read", |c| redis::cmd("HGETALL").arg(self.key("variants")).query(c))?;
        let read = |text: &String| serde_json::from_str(text).map_err(|_| self.damaged("a variant"));
        let mut variants = texts.values().map(read).collect::<Result<Vec<Variant>>>()?;
        variants.sort_by(|a, b| (&a.concept, a.id).cmp(&(&b.concept, b.id)));
        Ok(variants)
    }

    fn put_variant(&self, variant: &Variant) -> Result<()> {
        let json = serde_json::to_string(variant).map_err(|e| Error::Internal(e.to_string()))?;
        let mut believed = String::new();
        loop {
            let mut call = self.put.key(self.key("variants"));
            call.arg(format!("{}{}", variant.id, variant.concept)).arg(&believed).arg(&json);
            let there: String = self.call("write to", |c| call.invoke(c))?;
            if there.is_empty() {
                return Ok(());
            }
            let held: Variant = serde_json::from_str(&there).map_err(|_| self.damaged("a variant"))?;
            if !variant.supersedes(&held) {
                return Ok(());
            }
            believed = there;
        }
    }

    fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
        if let [one] = rewards {
            return self.apply_piece(std::slice::from_ref(one));
        }
        // All or nothing needs one call; beyond a size that would hold the server up, a retry is safe all the same.
        let mut out = Vec::with_capacity(rewards.len());
        for piece in rewards.chunks(BATCH) {
            out.extend(self.apply_piece(piece)?);
        }
        Ok(out)
    }

    fn counts(&self, since: u64) -> Result<Changes> {
        // The version is read first: what is counted meanwhile is seen again next time.
        let (version, fields): (Option<u64>, Vec<String>) = self.call("read", |c| {
            redis::pipe()
                .atomic()
                .cmd("GET")
                .arg(self.key("version"))
                .cmd("ZRANGEBYSCORE")
                .arg(self.key("changed"))
                .arg(format!("({since}"))
                .arg("+inf")
                .query(c)
        })?;
        let mut counts = Vec::with_capacity(fields.len());
        for piece in fields.chunks(PIECE) {
            let plain = self.limbs(piece, &|_| PLAIN)?;
            // With contexts there are more limbs, and how many is written beside them.
            let long: Vec<String> =
                piece.iter().zip(&plain).filter(|(_, l)| l[PLAIN].is_some()).map(|(f, _)| f.clone()).collect();
            let lengths: BTreeMap<&String, usize> =
                piece.iter().zip(&plain).filter_map(|(f, l)| Some((f, usize::try_from(l[PLAIN]?).ok()?))).collect();
            let whole = self.limbs(&long, &|field| lengths[field])?;
            let mut whole: BTreeMap<&String, Vec<Option<i64>>> = long.iter().zip(whole).collect();
            for (field, plain) in piece.iter().zip(plain) {
                let key: Key = serde_json::from_str(field).map_err(|_| self.damaged("a counter"))?;
                let mut limbs = whole.remove(field).unwrap_or(plain);
                limbs.pop();
                let limbs: Vec<i64> = limbs.into_iter().map(|l| l.unwrap_or(0)).collect();
                counts.push((key, Count::from_limbs(&limbs)));
            }
        }
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Changes { version: version.unwrap_or(0), counts })
    }

    fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()> {
        let mut fields: Vec<String> = self.call("read", |c| redis::cmd("HKEYS").arg(self.key("ledger")).query(c))?;
        fields.sort_unstable();
        for piece in fields.chunks(PIECE) {
            let rows: Vec<Option<String>> =
                self.call("read", |c| redis::cmd("HMGET").arg(self.key("ledger")).arg(piece).query(c))?;
            for row in rows.into_iter().flatten() {
                visit(self.row(&row)?)?;
            }
        }
        Ok(())
    }
}

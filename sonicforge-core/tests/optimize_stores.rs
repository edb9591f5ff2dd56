//! The stores of `optimize` against their contract, against a killed process and against a real redis-server.
//!
//! The server is Debian's package `redis-server` (`make redis` installs it); the tests start their own, on a free port, in a folder of
//! their own. Without one they fail.
#![cfg(all(feature = "sqlite", feature = "redis"))]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sonicforge_core::error::{Error, Result};
use sonicforge_core::optimize::store::{
    Durability, MemoryStore, RedisOptions, RedisStore, SpooledStore, SqliteStore, Store, store_contract,
};
use sonicforge_core::optimize::{Applied, Count, DecisionId, Key, Propensity, Reward, Variant, VariantId};

/// A server of our own.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    fsync: &'static str,
    more: Vec<String>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(name: &str) -> Command {
    let found = std::env::var_os("PATH").into_iter().flat_map(|p| std::env::split_paths(&p).collect::<Vec<_>>());
    let found =
        found.chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")]).any(|p| p.join(name).is_file());
    assert!(
        found,
        "{name} is not installed, and these tests need a real server: run `make redis` (Debian: apt-get install redis-server)"
    );
    Command::new(name)
}

impl Server {
    fn start(folder: &Path, fsync: &'static str, more: &[String]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let port = free_port();
        let child = Self::spawn(folder, port, fsync, more);
        let server = Self { child, port, folder: folder.into(), fsync, more: more.to_vec() };
        server.wait();
        server
    }

    fn spawn(folder: &Path, port: u16, fsync: &str, more: &[String]) -> Child {
        program("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", fsync, "--dir"])
            .arg(folder)
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts")
    }

    fn wait(&self) {
        wait_for(self.port, "PONG");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap(); // SIGKILL
        self.child.wait().unwrap();
    }

    fn again(&mut self) {
        self.child = Self::spawn(&self.folder, self.port, self.fsync, &self.more);
        self.wait();
    }

    fn url(&self, name: &str) -> String {
        format!("redis://127.0.0.1:{}#{name}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a server answers PING with this.
fn wait_for(port: u16, answer: &str) {
    let begun = Instant::now();
    loop {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_millis(500)))?;
            stream.write_all(b"PING\r\n")?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            Ok(line)
        };
        if ask().is_ok_and(|line| line.contains(answer)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the server on port {port} does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn reward(n: u64) -> Reward {
    let mut decision = [0; 12];
    decision[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    decision[8..].copy_from_slice(&(n as u32).to_be_bytes());
    Reward {
        decision: DecisionId(decision),
        key: Key {
            concept: format!("c{}", n % 3),
            variant: VariantId(1 + n % 4),
            against: None,
            metric: "approval".into(),
            epoch: 0,
        },
        value: ((n % 2) << 20) as i64,
        revision: 0,
        propensity: Propensity(0.25),
        context: Vec::new(),
    }
}

/// All rewards below `n` are there, once, and the counters are their sums.
fn whole(store: &dyn Store, n: u64) {
    let mut sums = BTreeMap::<Key, Count>::new();
    let mut rows = Vec::new();
    store
        .ledger(&mut |r| {
            sums.entry(r.key.clone()).or_default().add(&r.count());
            rows.push(r);
            Ok(())
        })
        .unwrap();
    let mut expected: Vec<Reward> = (0..n).map(reward).collect();
    expected.sort_by_key(|r| r.decision);
    assert_eq!(rows.len(), expected.len());
    assert!(rows == expected);
    assert_eq!(store.counts(0).unwrap().counts, sums.into_iter().collect::<Vec<_>>());
}

fn contract(open: impl Fn() -> Result<Box<dyn Store>>) {
    store_contract(&mut || open()).unwrap();
}

#[test]
fn the_contract() {
    let memory = Arc::new(MemoryStore::new());
    contract(|| Ok(Box::new(memory.clone())));
    let folder = tempfile::tempdir().unwrap();
    for (name, durability) in [("p", Durability::Process), ("w", Durability::Power)] {
        contract(|| Ok(Box::new(SqliteStore::open(folder.path().join(name), durability)?)));
    }
    let server = Server::start(&folder.path().join("redis"), "everysec", &[]);
    contract(|| Ok(Box::new(RedisStore::open(&server.url("contract"), &RedisOptions::default())?)));
    let number = std::cell::Cell::new(0);
    contract(|| {
        number.set(number.get() + 1);
        let inner = RedisStore::open(&server.url("spooled"), &RedisOptions::default())?;
        Ok(Box::new(SpooledStore::new(inner, folder.path().join(format!("spool{}", number.get())), Duration::ZERO)?))
    });
}

/// A store that loses every second reward, and one whose counters know nothing: the contract sees it.
#[test]
fn the_contract_sees_what_is_wrong() {
    struct Broken(MemoryStore, bool);
    impl Store for Broken {
        fn variants(&self) -> Result<Vec<Variant>> {
            self.0.variants()
        }
        fn put_variant(&self, variant: &Variant) -> Result<()> {
            self.0.put_variant(variant)
        }
        fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
            if self.1 && rewards.len() > 1 {
                self.0.apply(&rewards[1..])?;
                return Ok(vec![Applied::New; rewards.len()]);
            }
            self.0.apply(rewards)
        }
        fn counts(&self, since: u64) -> Result<sonicforge_core::optimize::store::Changes> {
            let mut changes = self.0.counts(since)?;
            if !self.1 {
                changes.counts.iter_mut().for_each(|(_, c)| c.n += 1);
            }
            Ok(changes)
        }
        fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()> {
            self.0.ledger(visit)
        }
    }
    for loses in [false, true] {
        let e = store_contract(&mut || Ok(Box::new(Broken(MemoryStore::new(), loses)))).unwrap_err();
        assert!(e.to_string().contains("breaks its contract"), "{e}");
    }
}

/// Not a test of its own: what the killed processes run.
#[test]
fn writer() {
    let Ok(job) = std::env::var("SONICFORGE_WRITER") else { return };
    let [path, from, to]: [&str; 3] = job.split('|').collect::<Vec<_>>().try_into().unwrap();
    let store = SqliteStore::open(path, Durability::Process).unwrap();
    for n in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        store.apply(&[reward(n)]).unwrap();
        // Acknowledged.
        println!("\nack {n}");
    }
    println!("\ndone");
}

#[test]
fn writers_are_killed_and_nothing_is_lost_or_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (workers, each) = (4u64, 1_500u64);
    let kills: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let path = &path;
                scope.spawn(move || {
                    let (mut next, end, mut kills) = (worker * each, (worker + 1) * each, 0);
                    while next < end {
                        // Three that were acknowledged come again.
                        let from = next.saturating_sub(3).max(worker * each);
                        let mut child = Command::new(std::env::current_exe().unwrap())
                            .args(["--exact", "writer", "--nocapture"])
                            .env("SONICFORGE_WRITER", format!("{}|{from}|{end}", path.display()))
                            .stdout(Stdio::piped())
                            .spawn()
                            .unwrap();
                        let mut seen = 0;
                        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
                            let Ok(line) = line else { break };
                            if let Some(n) = line.strip_prefix("ack ").and_then(|n| n.parse::<u64>().ok()) {
                                next = next.max(n + 1);
                                seen += 1;
                                if seen == 150 + 37 * worker {
                                    child.kill().unwrap();
                                    kills += 1;
                                }
                            }
                        }
                        child.wait().unwrap();
                    }
                    kills
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert!(kills >= 16, "{kills}");
    whole(&SqliteStore::open(&path, Durability::Process).unwrap(), workers * each);
}

/// `appendfsync always`: what was acknowledged is there. `everysec` with a spool too, however often the server dies.
#[test]
fn the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    for (fsync, spooled) in [("always", false), ("everysec", true)] {
        let mut server = Server::start(&folder.path().join(fsync), fsync, &[]);
        let url = server.url("killed");
        let open = || {
            RedisStore::open(
                &url,
                &RedisOptions { patience_ms: if spooled { 300 } else { 20_000 }, ..Default::default() },
            )
        };
        let hold = Duration::from_millis(2_500);
        let spool = folder.path().join("spool.db");
        let store: Box<dyn Store> = if spooled {
            Box::new(SpooledStore::new(open().unwrap(), &spool, hold).unwrap())
        } else {
            Box::new(open().unwrap())
        };
        let n = 1_200;
        std::thread::scope(|scope| {
            let store = &store;
            let sender = scope.spawn(move || {
                for at in 0..n {
                    // Sent until it is acknowledged, and sometimes once more.
                    while store.apply(&[reward(at)]).is_err() {}
                    if at % 10 == 0 {
                        store.apply(&[reward(at / 2)]).unwrap_or_default();
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
            });
            for _ in 0..4 {
                std::thread::sleep(Duration::from_millis(250));
                server.kill();
                server.again();
            }
            sender.join().unwrap();
        });
        // One more death at the end, then the spool delivers until the server has kept everything.
        server.kill();
        server.again();
        if spooled {
            drop(store);
            let store = SpooledStore::new(open().unwrap(), &spool, hold).unwrap();
            assert!(store.waiting().unwrap() > 0);
            let begun = Instant::now();
            while store.flush().unwrap() > 0 {
                assert!(begun.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        whole(&open().unwrap(), n);
    }
}

/// The master dies, Sentinel names another, and the store finds it.
#[test]
fn sentinel_fails_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut master = Server::start(&folder.path().join("a"), "always", &[]);
    let replica_of = vec!["--replicaof".to_string(), format!("127.0.0.1 {}", master.port)];
    let replica = Server::start(&folder.path().join("b"), "always", &replica_of);
    let (port, config) = (free_port(), folder.path().join("sentinel.conf"));
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor radio 127.0.0.1 {} 1\nsentinel down-after-milliseconds radio 800\n\
         sentinel failover-timeout radio 4000\nsentinel parallel-syncs radio 1\n",
        master.port
    );
    std::fs::write(&config, text).unwrap();
    let mut sentinel = program("redis-server");
    sentinel.arg(&config).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
    struct Guard(Child);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let _sentinel = Guard(sentinel.spawn().unwrap());
    wait_for(port, "PONG");
    let url = format!("redis+sentinel://127.0.0.1:{port}/radio#sentinel");
    let options = RedisOptions { wait_replicas: 0, patience_ms: 30_000 };
    let store = RedisStore::open(&url, &options).unwrap();
    let waiting = RedisStore::open(&url, &RedisOptions { wait_replicas: 1, ..options }).unwrap();
    let begun = Instant::now();
    // The replica is there when one write has reached it.
    while waiting.apply(&[reward(0)]).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    (1..200).for_each(|n| {
        // Refused where the replica was late: sent again.
        while waiting.apply(&[reward(n)]).is_err() {}
    });
    // Sentinel learns of the replica from the master's INFO, every ten seconds.
    std::thread::sleep(Duration::from_secs(11));
    master.kill();
    (200..300).for_each(|n| {
        let begun = Instant::now();
        while store.apply(&[reward(n)]).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody took over");
        }
    });
    whole(&store, 300);
    drop(replica);
}

#[test]
fn files_that_cannot_be_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, word: &str| match SqliteStore::open(path, Durability::Power) {
        Err(Error::Store(text)) => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(Path::new("/nowhere/at/all.db"), "folder");
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but long enough to look like a file of some kind").unwrap();
    refused(&text, "no SQLite database");
    let newer = folder.path().join("newer.db");
    drop(SqliteStore::open(&newer, Durability::Power).unwrap());
    sqlite(&newer, "PRAGMA user_version = 99");
    refused(&newer, "newer version (schema 99");
    let foreign = folder.path().join("foreign.db");
    sqlite(&foreign, "CREATE TABLE songs (name TEXT)");
    refused(&foreign, "another program");
    // A locked file, and then a free one.
    let locked = folder.path().join("locked.db");
    let store = SqliteStore::open(&locked, Durability::Power).unwrap();
    store.apply(&[reward(0)]).unwrap();
    let lock = rusqlite::Connection::open(&locked).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let e = store.apply(&[reward(1)]).unwrap_err();
    assert!(e.code() == "SF_STORE" && e.to_string().contains("another process"), "{e}");
    lock.execute_batch("ROLLBACK").unwrap();
    store.apply(&[reward(1)]).unwrap();
    whole(&store, 2);
}

fn sqlite(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// A full disk: a small file system of its own is not to be had without rights, a limit on the file's size is.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    if let Ok(path) = std::env::var("SONICFORGE_FULL") {
        let store = SqliteStore::open(path, Durability::Power).unwrap();
        let mut n = 0;
        let error = loop {
            match store.apply(&[reward(n)]) {
                Ok(_) => n += 1,
                Err(error) => break error,
            }
            assert!(n < 1_000_000);
        };
        println!("\nfull {n} {} {error}", error.code());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.db");
    drop(SqliteStore::open(&path, Durability::Power).unwrap());
    // 512-byte blocks; SIGXFSZ is ignored, so that writing fails instead of ending the process.
    let script = format!(
        "trap '' XFSZ; ulimit -f 400; SONICFORGE_FULL='{}' exec '{}' --exact a_full_disk --nocapture",
        path.display(),
        std::env::current_exe().unwrap().display()
    );
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text
        .lines()
        .find(|l| l.starts_with("full "))
        .unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&out.stderr)));
    let n: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(n > 5 && line.contains("SF_STORE") && line.contains("nothing was changed"), "{line}");
    whole(&SqliteStore::open(&path, Durability::Power).unwrap(), n);
}

/// A server that is gone, one that goes mid-call, one that holds something else, and one of a newer schema.
#[test]
fn servers_that_cannot_be_a_store() {
    let quick = RedisOptions { patience_ms: 200, ..RedisOptions::default() };
    let nobody = format!("redis://:secret@127.0.0.1:{}", free_port());
    let e = RedisStore::open(&nobody, &quick).unwrap_err();
    assert!(e.code() == "SF_STORE" && !e.to_string().contains("secret"), "{e}");
    assert_eq!(RedisStore::open("redis+sentinel://nowhere", &quick).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "always", &[]);
    let url = server.url("radio");
    let store = RedisStore::open(&url, &quick).unwrap();
    store.apply(&[reward(0)]).unwrap();
    server.kill();
    let e = store.apply(&[reward(1)]).unwrap_err();
    assert!(e.code() == "SF_STORE" && e.to_string().contains("sending it again is safe"), "{e}");
    server.again();
    store.apply(&[reward(1)]).unwrap();
    whole(&store, 2);
    // Full: the server refuses to write.
    command(server.port, "CONFIG SET maxmemory 1");
    let e = store.apply(&[reward(2)]).unwrap_err();
    assert!(e.code() == "SF_STORE" && e.to_string().contains("nothing was changed"), "{e}");
    command(server.port, "CONFIG SET maxmemory 0");
    whole(&store, 2);
    command(server.port, "SET {radio}:schema 9");
    let e = RedisStore::open(&url, &quick).unwrap_err();
    assert!(e.to_string().contains("newer version (schema 9"), "{e}");
    command(server.port, "HSET {other}:ledger x y");
    command(server.port, "SET {other}:counters 5");
    let other = RedisStore::open(&server.url("other"), &quick).unwrap();
    assert_eq!(other.apply(&[reward(0)]).unwrap_err().code(), "SF_STORE");
}

fn command(port: u16, line: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(!answer.starts_with('-'), "{line}: {answer}");
}

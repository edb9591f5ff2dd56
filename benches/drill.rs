//! The long form of tests/optimize_stores.rs: rewards delivered at least once (10 % twice, 5 % revised, shuffled) by eight
//! processes that are killed again and again, or to a redis-server that is; then every row of the ledger is compared with what was sent.
//!
//! ```console
//! $ cargo run --release -p sonicforge-benches --features optimize --bin drill -- sqlite 1000000 400
//! $ cargo run --release -p sonicforge-benches --features optimize --bin drill -- redis-always 200000 40
//! $ cargo run --release -p sonicforge-benches --features optimize --bin drill -- redis-spool 100000 40
//! ```
//!
//! The second word is the number of rewards, the third the number of kills (−9). Without words all three run, smaller. A redis-server must be
//! installed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sonicforge_core::optimize::store::{Durability, RedisOptions, RedisStore, SpooledStore, SqliteStore, Store};
use sonicforge_core::optimize::{Count, DecisionId, Key, Propensity, Reward, VariantId};

const WORKERS: u64 = 8;
const BATCH: usize = 25;

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn reward(n: u64, revision: u64) -> Reward {
    let mut decision = [0; 12];
    decision[..8].copy_from_slice(&mix(n).to_be_bytes());
    decision[8..].copy_from_slice(&(n as u32).to_be_bytes());
    Reward {
        decision: DecisionId(decision),
        key: Key {
            concept: format!("c{}", n % 20),
            variant: VariantId(1 + n % 4),
            against: None,
            metric: "approval".into(),
            epoch: (n % 3) as u32,
        },
        value: ((mix(n ^ revision) & 1) << 20) as i64,
        revision,
        propensity: Propensity(0.25),
        context: Vec::new(),
    }
}

/// The last revision of a reward.
fn last(n: u64) -> u64 {
    u64::from(mix(n ^ 77) % 20 == 0)
}

/// Everything that a worker sends, in its order.
fn events(worker: u64, all: u64) -> Vec<Reward> {
    let mut events = Vec::new();
    for n in (0..all).filter(|n| n % WORKERS == worker) {
        events.push(reward(n, 0));
        if last(n) == 1 {
            events.push(reward(n, 1));
        }
        if mix(n ^ 99) % 10 == 0 {
            events.push(reward(n, last(n)));
        }
    }
    let mut seed = worker;
    for i in (1..events.len()).rev() {
        seed = mix(seed);
        events.swap(i, (seed % (i as u64 + 1)) as usize);
    }
    events
}

fn open(address: &str, spool: &str, hold: Duration) -> Box<dyn Store> {
    if !address.starts_with("redis") {
        return Box::new(SqliteStore::open(address, Durability::Process).expect("the file opens"));
    }
    let patience_ms = if spool.is_empty() { 60_000 } else { 300 };
    let options = RedisOptions { patience_ms, ..RedisOptions::default() };
    let redis = loop {
        match RedisStore::open(address, &options) {
            Ok(store) => break store,
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    if spool.is_empty() {
        Box::new(redis)
    } else {
        Box::new(SpooledStore::new(redis, spool, hold).expect("the spool opens"))
    }
}

/// What a child runs: sends from an event on, and says how far it was acknowledged.
fn worker(words: &[String]) {
    let number = |i: usize| words[i].parse::<u64>().expect("a number");
    let store = open(&words[0], &words[1], Duration::from_secs(3));
    let events = events(number(2), number(3));
    let mut at = number(4) as usize;
    while at < events.len() {
        let end = (at + BATCH).min(events.len());
        while store.apply(&events[at..end]).is_err() {}
        at = end;
        println!("{at}");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    fsync: &'static str,
}

impl Server {
    fn start(folder: &Path, fsync: &'static str) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let port = free_port();
        let child = Self::spawn(folder, port, fsync);
        Self { child, port, folder: folder.into(), fsync }
    }

    fn spawn(folder: &Path, port: u16, fsync: &str) -> Child {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", fsync, "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let ready = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG")
        };
        while !ready().unwrap_or(false) {
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    fn kill_and_restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ran");
        self.child = Self::spawn(&self.folder, self.port, self.fsync);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the workers; kills them, or the server, so many times. Returns how often.
fn storm(address: &str, spools: &dyn Fn(u64) -> String, rewards: u64, kills: u64, server: Option<&mut Server>) -> u64 {
    let total: u64 = (0..WORKERS).map(|w| events(w, rewards).len() as u64).sum();
    let of_workers = if server.is_some() { 0 } else { kills };
    let sent = AtomicU64::new(0);
    let killed = AtomicU64::new(0);
    let living = AtomicU64::new(WORKERS);
    let program = std::env::current_exe().expect("a program");
    std::thread::scope(|scope| {
        for w in 0..WORKERS {
            let (spool, program) = (spools(w), &program);
            let (sent, killed, living) = (&sent, &killed, &living);
            scope.spawn(move || {
                let goal = events(w, rewards).len() as u64;
                let (mut next, mut seed) = (0u64, w + 1);
                // Every so many acknowledged events one kill.
                let every = total.checked_div(of_workers).map_or(u64::MAX, |n| n.max(BATCH as u64));
                while next < goal {
                    // The last three that were acknowledged come again.
                    let from = next.saturating_sub(3);
                    let mut child = Command::new(program)
                        .args(["worker", address, &spool, &w.to_string(), &rewards.to_string(), &from.to_string()])
                        .stdout(Stdio::piped())
                        .spawn()
                        .expect("it starts itself");
                    seed = mix(seed);
                    let die_at = from.saturating_add(every / 2 + seed % every.max(1));
                    for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
                        let Ok(at) = line.parse::<u64>() else { continue };
                        sent.fetch_add(at.saturating_sub(next), Ordering::Relaxed);
                        next = next.max(at);
                        if next >= die_at && next < goal && child.kill().is_ok() {
                            killed.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                    }
                    child.wait().expect("it ran");
                }
                living.fetch_sub(1, Ordering::Relaxed);
            });
        }
        if let Some(server) = server {
            for k in 0..kills {
                while sent.load(Ordering::Relaxed) < (k + 1) * total / (kills + 1) && living.load(Ordering::Relaxed) > 0
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                server.kill_and_restart();
                killed.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    killed.into_inner()
}

/// Compares every row, and every counter, with what was sent.
fn verify(store: &dyn Store, rewards: u64) -> (u64, u64, bool) {
    let mut expected: BTreeMap<DecisionId, Reward> =
        (0..rewards).map(|n| reward(n, last(n))).map(|r| (r.decision, r)).collect();
    let mut sums: BTreeMap<Key, Count> = BTreeMap::new();
    let mut strange = 0;
    store
        .ledger(&mut |row| {
            sums.entry(row.key.clone()).or_default().add(&row.count());
            if expected.remove(&row.decision).is_none_or(|r| r != row) {
                strange += 1;
            }
            Ok(())
        })
        .expect("the ledger can be read");
    let counters = store.counts(0).expect("the counters can be read").counts;
    let sums: Vec<(Key, Count)> = sums.into_iter().collect();
    for pair in counters.iter().filter(|c| !sums.contains(c)).chain(sums.iter().filter(|s| !counters.contains(s))) {
        eprintln!("differs: {pair:?}");
    }
    (expected.len() as u64, strange, counters == sums)
}

fn drill(what: &str, rewards: u64, kills: u64) {
    let folder = std::env::temp_dir().join(format!("drill-{what}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let begun = Instant::now();
    let path = |name: String| folder.join(name).display().to_string();
    let (killed, (lost, strange, equal)) = match what {
        "sqlite" => {
            let address = path("store.db".into());
            let killed = storm(&address, &|_| String::new(), rewards, kills, None);
            (killed, verify(&*open(&address, "", Duration::ZERO), rewards))
        }
        "redis-always" | "redis-everysec" | "redis-spool" => {
            let fsync = if what == "redis-always" { "always" } else { "everysec" };
            let mut server = Server::start(&folder.join("redis"), fsync);
            let address = format!("redis://127.0.0.1:{}#drill", server.port);
            let spool = |w: u64| if what == "redis-spool" { path(format!("spool{w}.db")) } else { String::new() };
            let killed = storm(&address, &spool, rewards, kills, Some(&mut server));
            if what == "redis-spool" {
                for w in 0..WORKERS {
                    let store = open(&address, &spool(w), Duration::from_secs(3));
                    while store.flush().unwrap_or(1) > 0 {
                        std::thread::sleep(Duration::from_millis(500));
                    }
                }
            }
            (killed, verify(&*open(&address, "", Duration::ZERO), rewards))
        }
        other => panic!("{other}; expected sqlite, redis-always, redis-everysec or redis-spool"),
    };
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{what}: {rewards} rewards, {WORKERS} processes, {killed} kills: lost {lost}, counted wrongly {strange}, counters equal the ledger: \
         {equal} ({seconds:.0} s)"
    );
    // Only everysec alone may lose; it is here to show what it loses. Where it fails, the store is left to be looked at.
    assert!(equal && (what == "redis-everysec" || (lost, strange) == (0, 0)), "see {}", folder.display());
    let _ = std::fs::remove_dir_all(&folder);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| words.get(i).and_then(|n| n.parse().ok()).unwrap_or(default);
    match words.first().map(String::as_str) {
        Some("worker") => worker(&words[1..]),
        Some(what) => drill(what, number(1, 100_000), number(2, 40)),
        None => {
            drill("sqlite", 200_000, 200);
            drill("redis-always", 50_000, 20);
            drill("redis-spool", 50_000, 20);
            drill("redis-everysec", 50_000, 20);
        }
    }
}

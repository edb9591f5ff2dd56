//! The index of fingerprints on disk, through the public door: it survives, it travels, it is shared.
#![cfg(all(feature = "fingerprint", feature = "io"))]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::Result;
use sonicforge_core::fingerprint::{
    Change, Durability, Fingerprint, FingerprintParams, Fingerprinter, Index, IndexOptions, IndexTrack, Match,
    QueryOptions, Sketch, merge_topk,
};
use sonicforge_core::testing::{Signal, Xorshift};

mod melody;
use melody::piece;

fn print(seed: u64) -> Fingerprint {
    Fingerprint::of(&piece(seed, 25.0)).unwrap()
}

fn sketch(seed: u64) -> Sketch {
    Sketch::of(&piece(seed, 25.0).trim(6.0, 17.0).unwrap()).unwrap()
}

fn ask(index: &Index, seed: u64) -> Option<Match> {
    index.query(&sketch(seed), &QueryOptions::default()).unwrap().into_iter().next()
}

fn open(path: &Path) -> Result<Index> {
    Index::open(path, &IndexOptions { log_mib: 0.02, ..IndexOptions::default() })
}

#[test]
fn what_was_inserted_is_found_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = open(folder.path()).unwrap();
    for seed in 0..9 {
        index.insert(&format!("piece {seed}"), &print(seed)).unwrap();
    }
    assert!(index.remove("piece 4").unwrap());
    let before: Vec<_> = (0..9).map(|seed| ask(&index, seed)).collect();
    drop(index);
    let mut index = open(folder.path()).unwrap();
    assert_eq!((index.len(), index.contains("piece 4").unwrap()), (8, false));
    for round in 0..2 {
        for seed in 0..9u64 {
            let found = ask(&index, seed);
            assert_eq!(found, before[seed as usize], "round {round}");
            assert_eq!(found.is_some(), seed != 4);
        }
        index.flush().unwrap();
    }
    index.check().unwrap();
    assert_eq!(index.stats().recovery.dropped_bytes, 0);
    // Many queries at once are as many queries.
    let sketches: Vec<Sketch> = (0..9).map(sketch).collect();
    let many = index.query_batch(&sketches, &QueryOptions::default(), 3).unwrap();
    for (seed, found) in many.into_iter().enumerate() {
        assert_eq!(found.into_iter().next(), before[seed]);
    }
}

#[test]
fn shards_answer_as_one_and_files_travel() {
    let folder = tempfile::tempdir().unwrap();
    let (mut whole, mut shards) = (Index::new(), [Index::new(), Index::new()]);
    for seed in 0..8 {
        whole.insert(&seed.to_string(), &print(seed)).unwrap();
        shards[seed as usize % 2].insert(&seed.to_string(), &print(seed)).unwrap();
    }
    let options = QueryOptions { limit: 1, ..QueryOptions::default() };
    for seed in 0..8 {
        let parts: Vec<_> = shards.iter().map(|s| s.query(&sketch(seed), &options).unwrap()).collect();
        let (one, all) = (merge_topk(parts, 4), whole.query(&sketch(seed), &options).unwrap());
        assert_eq!((&one[0].id, one.len()), (&all[0].id, all.len()));
    }
    // One shard as a file, into an index on disk and into one in memory.
    let file = folder.path().join("odd.segment");
    shards[1].export(&file).unwrap();
    let mut disk = open(&folder.path().join("index")).unwrap();
    disk.insert("2", &print(2)).unwrap();
    for index in [&mut disk, &mut shards[0]] {
        index.import(&file).unwrap();
        assert_eq!(ask(index, 3).unwrap().id, "3");
        let error = index.import(&file).unwrap_err();
        assert!(error.code() == "SF_INVALID_ARGUMENT" && error.to_string().contains("in the index already"), "{error}");
    }
    drop(disk);
    let disk = open(&folder.path().join("index")).unwrap();
    assert_eq!((disk.len(), ask(&disk, 7).unwrap().id), (5, "7".to_owned()));
    // A damaged file changes nothing.
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let mut fresh = Index::new();
    let error = fresh.import(&file).unwrap_err();
    assert!(error.code() == "SF_STORE" && error.to_string().contains("odd.segment"), "{error}");
    assert!(fresh.is_empty());
    std::fs::write(&file, b"sfindex\n").unwrap();
    assert_eq!(fresh.import(&file).unwrap_err().code(), "SF_STORE");
}

#[test]
fn strange_sounds_come_in_and_go() {
    let mut index = Index::new();
    let noise = Signal::Noise { level_dbfs: -20.0, seed: 1 };
    for (i, (rate, channels, seconds)) in
        [(8_000, 1, 0.001), (384_000, 1, 1.0), (48_000, 8, 3.0), (8_000, 3, 20.0), (44_100, 2, 0.5)]
            .into_iter()
            .enumerate()
    {
        let mut audio = noise.render(rate, channels, seconds).unwrap();
        audio.channel_mut(0)[0] = f32::NAN;
        let print = Fingerprint::of(&audio).unwrap();
        assert_eq!(print.non_finite_samples, 1);
        index.insert(&i.to_string(), &print).unwrap();
        index.query(&Sketch::of(&audio).unwrap(), &QueryOptions::default()).unwrap();
    }
    index.insert("silence", &Fingerprint::of(&AudioBuffer::new(44_100, 2, 441_000).unwrap()).unwrap()).unwrap();
    assert!(index.query(&Sketch::default(), &QueryOptions::default()).unwrap().is_empty());
    let long = "x".repeat(4_097);
    for id in ["", &long] {
        assert_eq!(index.insert(id, &print(1)).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    }
    let wrong = IndexOptions { lock_timeout_s: -1.0, ..IndexOptions::default() };
    assert_eq!(Index::open("nowhere", &wrong).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    let reading = IndexOptions { read_only: true, ..IndexOptions::default() };
    assert_eq!(Index::open("nowhere", &reading).unwrap_err().code(), "SF_IO");
}

/// 24 hours of sound: the memory it takes is that of its landmarks.
#[test]
fn a_day_of_sound_is_one_track() {
    let minute = Signal::Music { seed: 3 }.render(8_000, 1, 60.0).unwrap();
    let mut fingerprinter = Fingerprinter::new(8_000, 1, &FingerprintParams::default()).unwrap();
    let mut rng = Xorshift::new(1);
    for _ in 0..24 * 60 {
        // Not the same minute again: from another second on.
        let from = (rng.next_u64() % minute.frames() as u64) as usize;
        fingerprinter.push_channels(&[&minute.channel(0)[from..]]).unwrap();
        fingerprinter.push_channels(&[&minute.channel(0)[..from]]).unwrap();
    }
    let print = fingerprinter.finish();
    assert!((print.seconds - 86_400.0).abs() < 1e-6);
    let mut index = Index::new();
    index.insert("a day", &print).unwrap();
    assert_eq!(index.get("a day").unwrap().unwrap().landmarks, print.landmarks);
    assert!(index.stats().bytes < 24 * 600_000, "{}", index.stats().bytes);
}

const CHILD: &str = "SONICFORGE_INDEX_CHILD";

/// Inserts and removes until it is killed, and says after each change that it was acknowledged.
#[test]
fn child_of_the_test_below() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let mut index =
        Index::open(path, &IndexOptions { log_mib: 0.01, durability: Durability::Process, ..IndexOptions::default() })
            .unwrap();
    let prints: Vec<Fingerprint> = (0..4).map(print).collect();
    let mut out = std::io::stdout();
    let mut n =
        index.snapshot().ids().unwrap().iter().filter_map(|id| id.parse::<u64>().ok()).max().map_or(0, |n| n + 1);
    loop {
        let track = IndexTrack::new(n.to_string(), &prints[n as usize % 4]);
        index.apply(vec![Change::Insert(track)]).unwrap();
        writeln!(out, "+{n}").unwrap();
        if n % 3 == 2 {
            index.remove(&(n - 2).to_string()).unwrap();
            writeln!(out, "-{}", n - 2).unwrap();
        }
        out.flush().unwrap();
        n += 1;
    }
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut rng = Xorshift::new(17);
    let mut there = std::collections::BTreeSet::new();
    // `make drill` asks for a thousand.
    let kills: u32 = std::env::var("SONICFORGE_KILLS").map_or(25, |n| n.parse().unwrap());
    let mut slowest = std::time::Duration::ZERO;
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_of_the_test_below", "--exact", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(std::io::Result::ok);
        // After so many changes, and a little later.
        let most = 1 + rng.next_u64() % 40;
        let mut seen = Vec::new();
        while seen.len() < most as usize {
            let line = lines.next().expect("the child works until it is killed");
            seen.extend(line.starts_with(['+', '-']).then_some(line));
        }
        std::thread::sleep(std::time::Duration::from_micros(rng.next_u64() % 3_000));
        child.kill().unwrap();
        child.wait().unwrap();
        seen.extend(lines.filter(|l| l.starts_with(['+', '-'])));
        for line in &seen {
            let id = line[1..].to_owned();
            if line.starts_with('+') {
                there.insert(id)
            } else {
                there.remove(&id)
            };
        }
        let began = std::time::Instant::now();
        let index = open(&path).unwrap();
        slowest = slowest.max(began.elapsed());
        index.check().unwrap();
        let found: std::collections::BTreeSet<String> = index.snapshot().ids().unwrap().into_iter().collect();
        // The change that was being made may be there or not.
        let missing: Vec<_> = there.difference(&found).collect();
        let more: Vec<_> = found.difference(&there).collect();
        assert!(missing.len() + more.len() <= 1, "round {round}: missing {missing:?}, more {more:?}");
        there = found;
    }
    assert!(there.len() > 20, "{}", there.len());
    println!("{kills} kills, {} tracks at the end, opened again in {slowest:?} at most", there.len());
}

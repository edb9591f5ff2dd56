//! A disk that fails, and one that forgets: every call fails once, the power is cut at every call, and what was not synced is gone in
//! every way in which it may be. And: without any one of the syncs something is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::contract::{holds, posting_store_contract, random_track};
use super::files::{Appended, Files};
use super::log::Change;
use super::segment::Bytes;
use super::store::{Durability, IndexOptions, PostingStore, SegmentStore};
use super::track::IndexTrack;
use crate::error::{Error, Result};
use crate::testing::Xorshift;

/// What a file is now, and what of it is on the disk.
#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Name {
    Made(String, usize),
    Renamed(String, String),
    Gone(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sync {
    Log,
    Segment,
    Manifest,
    FolderBefore,
    FolderAfter,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    /// This call fails, and no other.
    Once(usize),
    /// This call and all after it fail: the process is gone.
    Cut(usize),
    /// No room for more than so many bytes.
    Full(usize),
}

#[derive(Debug, Clone, Default)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    /// Names on the disk, and what was done to them since.
    synced: BTreeMap<String, usize>,
    pending: Vec<Name>,
    calls: usize,
    folder_syncs: usize,
    trouble: Option<Trouble>,
    /// This kind of sync does nothing.
    without: Option<Sync>,
    locked: bool,
}

#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct Handle(Disk, usize, Sync);

fn apply(names: &mut BTreeMap<String, usize>, change: &Name) {
    match change {
        Name::Made(name, content) => drop(names.insert(name.clone(), *content)),
        Name::Renamed(from, to) => {
            if let Some(content) = names.remove(from) {
                names.insert(to.clone(), content);
            }
        }
        Name::Gone(name) => drop(names.remove(name)),
    }
}

impl State {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        let fails = match self.trouble {
            Some(Trouble::Once(n)) => self.calls == n,
            Some(Trouble::Cut(n)) => self.calls >= n,
            _ => false,
        };
        if fails { Err(io::Error::other("injected")) } else { Ok(()) }
    }

    fn change(&mut self, change: Name) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    fn used(&self) -> usize {
        let live: BTreeSet<usize> = self.names.values().copied().collect();
        live.iter().map(|&c| self.contents[c].now.len()).sum()
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn found(&self, name: &str) -> io::Result<usize> {
        self.state().names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What may be there after the power was cut. `contents` of a file: what was synced and so much of the rest in halves;
    /// `names`: which of the pending changes are on the disk.
    fn after(&self, halves: usize, names: &dyn Fn(usize) -> bool) -> Self {
        let state = self.state();
        let mut on_disk = state.synced.clone();
        state.pending.iter().enumerate().filter(|&(i, _)| names(i)).for_each(|(_, n)| apply(&mut on_disk, n));
        let contents = state.contents.iter().map(|c| {
            let kept = match halves {
                0 => c.synced.clone(),
                // Half of what was not synced, or all of it.
                n if c.now.starts_with(&c.synced) => {
                    c.now[..c.synced.len() + (c.now.len() - c.synced.len()) * n / 2].to_vec()
                }
                _ => c.now.clone(),
            };
            Content { now: kept.clone(), synced: kept }
        });
        let contents = contents.collect();
        Self(Arc::new(Mutex::new(State { contents, names: on_disk.clone(), synced: on_disk, ..State::default() })))
    }
}

fn kind(name: &str) -> Sync {
    match name {
        n if n.starts_with("log") => Sync::Log,
        n if n.starts_with("segment") => Sync::Segment,
        _ => Sync::Manifest,
    }
}

impl Files for Disk {
    fn place(&self) -> PathBuf {
        "disk".into()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appended>> {
        let mut state = self.state();
        state.call()?;
        let content = state.contents.len();
        state.contents.push(Content::default());
        state.change(Name::Made(name.to_owned(), content));
        Ok(Box::new(Handle(self.clone(), content, kind(name))))
    }

    fn append(&self, name: &str, len: u64) -> io::Result<Box<dyn Appended>> {
        let content = self.found(name)?;
        let mut handle = Handle(self.clone(), content, kind(name));
        handle.truncate(len)?;
        Ok(Box::new(handle))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.state().call()?;
        let content = self.found(name)?;
        Ok(self.state().contents[content].now.clone())
    }

    fn map(&self, name: &str) -> io::Result<Bytes> {
        Ok(Arc::new(self.read(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.change(Name::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.change(Name::Gone(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.state().call()?;
        Ok(self.state().names.keys().cloned().collect())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.folder_syncs += 1;
        // Two for each manifest.
        let which = if state.folder_syncs % 2 == 1 { Sync::FolderBefore } else { Sync::FolderAfter };
        if state.without != Some(which) {
            state.synced = state.names.clone();
            state.pending.clear();
        }
        Ok(())
    }

    fn lock(&self, _: Duration) -> io::Result<Option<Box<dyn Send + std::marker::Sync + Debug>>> {
        self.state().call()?;
        Ok((!self.state().locked).then(|| Box::new(()) as _))
    }
}

impl Appended for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        let room = match state.trouble {
            Some(Trouble::Full(most)) => most.saturating_sub(state.used()),
            _ => usize::MAX,
        };
        // What fails may have written some of it.
        let called = state.call();
        let part = if called.is_err() { bytes.len() / 2 } else { bytes.len().min(room) };
        state.contents[self.1].now.extend_from_slice(&bytes[..part]);
        called?;
        if part < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.state();
        state.call()?;
        if state.without != Some(self.2) {
            let content = &mut state.contents[self.1];
            content.synced = content.now.clone();
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        state.call()?;
        state.contents[self.1].now.truncate(len as usize);
        Ok(())
    }
}

fn options(durability: Durability) -> IndexOptions {
    // So small that segments are written and merged all the time.
    IndexOptions { durability, log_mib: 0.001, background: false, ..IndexOptions::default() }
}

fn open(disk: &Disk, durability: Durability) -> Result<SegmentStore> {
    SegmentStore::open_files(Arc::new(disk.clone()), &options(durability))
}

/// What the work does, step by step.
fn steps() -> Vec<Vec<Change>> {
    let mut rng = Xorshift::new(2);
    let mut there: Vec<String> = Vec::new();
    let mut steps = Vec::new();
    for n in 0..26u64 {
        let mut step = Vec::new();
        if n % 4 == 3 {
            let id = there.remove((rng.next_u64() % there.len() as u64) as usize);
            step.push(Change::Remove(id));
        }
        for part in 0..1 + u64::from(n % 7 == 6) {
            let track = random_track(&format!("{n}.{part}"), n * 8 + part, 30 + 40 * (n as u32 % 5));
            there.push(track.id.clone());
            step.push(Change::Insert(track));
        }
        steps.push(step);
    }
    steps
}

type Tracks = BTreeMap<String, IndexTrack>;

fn after_step(tracks: &Tracks, step: &[Change]) -> Tracks {
    let mut out = tracks.clone();
    for change in step {
        match change {
            Change::Insert(track) => drop(out.insert(track.id.clone(), track.clone())),
            Change::Remove(id) => drop(out.remove(id)),
        }
    }
    out
}

/// Does the work until something fails. Gives every state that was acknowledged, and the one that was being made, if any.
fn work(disk: &Disk, durability: Durability) -> (Vec<Tracks>, Option<Tracks>) {
    let mut acknowledged = vec![Tracks::new()];
    let Ok(mut store) = open(disk, durability) else { return (acknowledged, None) };
    for (i, step) in steps().into_iter().enumerate() {
        let next = after_step(acknowledged.last().unwrap(), &step);
        if store.apply(step).is_err() {
            return (acknowledged, Some(next));
        }
        acknowledged.push(next);
        if i == 13 && store.flush().is_err() {
            break;
        }
    }
    (acknowledged, None)
}

fn is(store: &SegmentStore, tracks: &Tracks) -> bool {
    holds(store, &tracks.values().collect::<Vec<_>>()).is_ok()
}

/// Everything that may be on the disk after a cut.
fn outcomes(disk: &Disk) -> Vec<(String, Disk)> {
    let pending = disk.state().pending.len();
    let mut out = Vec::new();
    for halves in 0..3 {
        out.push((format!("{halves} halves, all names"), disk.after(halves, &|_| true)));
        out.push((format!("{halves} halves, no names"), disk.after(halves, &|_| false)));
        for one in 0..pending {
            out.push((format!("{halves} halves, name {one}"), disk.after(halves, &|i| i == one)));
            out.push((format!("{halves} halves, all but name {one}"), disk.after(halves, &|i| i != one)));
        }
    }
    out
}

/// Cuts the power at every call; the first thing that is lost.
fn cut_everywhere(durability: Durability, without: Option<Sync>) -> std::result::Result<usize, String> {
    for n in 1.. {
        let disk = Disk::default();
        disk.state().trouble = Some(Trouble::Cut(n));
        disk.state().without = without;
        let (acknowledged, in_flight) = work(&disk, durability);
        if disk.state().calls < n {
            return Ok(n);
        }
        let last = acknowledged.last().unwrap();
        for (how, left) in outcomes(&disk) {
            let store = open(&left, durability).map_err(|e| format!("call {n}, {how}: {e}"))?;
            let right = match durability {
                Durability::Power => is(&store, last) || in_flight.as_ref().is_some_and(|t| is(&store, t)),
                // Any earlier moment, but a whole one.
                Durability::Process => acknowledged.iter().chain(&in_flight).any(|t| is(&store, t)),
            };
            if !right {
                return Err(format!("call {n}, {how}: {} tracks, not those acknowledged", store.views().count()));
            }
        }
        // The process alone is gone: everything that was written is there.
        let store = open(&disk.after(2, &|_| true), durability).map_err(|e| format!("call {n}, killed: {e}"))?;
        if !(is(&store, last) || in_flight.as_ref().is_some_and(|t| is(&store, t))) {
            return Err(format!("call {n}, killed: something acknowledged is lost"));
        }
    }
    unreachable!("the loop ends when no call is left")
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_acknowledged() {
    let calls = cut_everywhere(Durability::Power, None).unwrap();
    assert!(calls > 100, "only {calls} calls were cut");
}

#[test]
fn with_the_lesser_promise_a_power_cut_leaves_an_earlier_moment() {
    cut_everywhere(Durability::Process, None).unwrap();
}

#[test]
fn without_any_one_of_the_syncs_something_is_lost() {
    for without in [Sync::Log, Sync::Segment, Sync::Manifest, Sync::FolderBefore, Sync::FolderAfter] {
        let lost = cut_everywhere(Durability::Power, Some(without));
        assert!(lost.is_err(), "nothing is lost without the sync {without:?}");
    }
}

#[test]
fn any_call_may_fail_once() {
    for n in 1.. {
        let disk = Disk::default();
        disk.state().trouble = Some(Trouble::Once(n));
        let (acknowledged, in_flight) = work(&disk, Durability::Power);
        if disk.state().calls < n {
            assert!(n > 100, "only {n} calls");
            break;
        }
        let left = disk.after(2, &|_| true);
        let store = open(&left, Durability::Power).unwrap_or_else(|e| panic!("call {n}: {e}"));
        let last = acknowledged.last().unwrap();
        assert!(is(&store, last) || in_flight.is_some_and(|t| is(&store, &t)), "call {n}");
    }
}

#[test]
fn after_a_failure_that_leaves_no_doubt_the_store_goes_on() {
    let mut recovered = 0;
    for n in 1.. {
        let disk = Disk::default();
        let mut store = open(&disk, Durability::Power).unwrap();
        let at = disk.state().calls + n;
        disk.state().trouble = Some(Trouble::Once(at));
        let mut tracks = Tracks::new();
        for step in steps() {
            let next = after_step(&tracks, &step);
            match store.apply(step.clone()) {
                Ok(()) => tracks = next,
                // Once more: the trouble is over.
                Err(_) => match store.apply(step) {
                    Ok(()) => {
                        recovered += 1;
                        tracks = next;
                    }
                    Err(e) => {
                        assert!(e.to_string().contains("takes no changes after an earlier failure"), "{e}");
                        break;
                    }
                },
            }
            assert!(is(&store, &tracks), "call {n}");
        }
        let over = disk.state().calls < at;
        drop(store);
        disk.state().trouble = None;
        assert!(is(&open(&disk, Durability::Power).unwrap(), &tracks), "call {n}");
        if over {
            break;
        }
    }
    assert!(recovered > 10, "{recovered}");
}

#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    for most in (500..40_000).step_by(700) {
        let disk = Disk::default();
        disk.state().trouble = Some(Trouble::Full(most));
        let (acknowledged, _) = work(&disk, Durability::Power);
        // Still full: what is there can be read.
        let reader = IndexOptions { read_only: true, ..options(Durability::Power) };
        if acknowledged.len() > 1 {
            let store = SegmentStore::open_files(Arc::new(disk.clone()), &reader).unwrap();
            assert!(is(&store, acknowledged.last().unwrap()), "{most}");
        }
        disk.state().trouble = None;
        let mut store = open(&disk, Durability::Power).unwrap();
        assert!(is(&store, acknowledged.last().unwrap()), "{most}");
        let track = random_track("after", 7, 50);
        store.apply(vec![Change::Insert(track)]).unwrap();
        store.flush().unwrap();
    }
}

#[test]
fn any_flipped_bit_is_named_or_changes_nothing() {
    let disk = Disk::default();
    let (acknowledged, _) = work(&disk, Durability::Power);
    let mut store = open(&disk, Durability::Power).unwrap();
    store.flush().unwrap();
    // Something in the log as well.
    store.apply(vec![Change::Insert(random_track("last", 3, 80))]).unwrap();
    let tracks = after_step(acknowledged.last().unwrap(), &[Change::Insert(random_track("last", 3, 80))]);
    drop(store);
    let names: Vec<(String, usize)> = disk.state().names.clone().into_iter().collect();
    let mut rng = Xorshift::new(9);
    let (mut named, mut tried) = (0, 0);
    for (name, content) in names {
        let len = disk.state().contents[content].now.len();
        for _ in 0..400.min(len * 8) {
            let (byte, bit) = ((rng.next_u64() % len as u64) as usize, rng.next_u64() % 8);
            let copy = disk.after(2, &|_| true);
            copy.state().contents[content].now[byte] ^= 1 << bit;
            tried += 1;
            let looked = open(&copy, Durability::Power).and_then(|store| {
                store.check()?;
                holds(&store, &tracks.values().collect::<Vec<_>>()).map_err(|e| {
                    // The last batch of a log cannot be told from one that was not finished: dropped, and said so.
                    let dropped = store.recovery().dropped_bytes > 0 && is(&store, acknowledged.last().unwrap());
                    if dropped { Error::Store(format!("{name} dropped")) } else { e }
                })
            });
            if let Err(e) = looked {
                assert!(e.to_string().contains(&name), "{name}, byte {byte}: {e}");
                assert!(!e.to_string().contains("contract"), "{name}, byte {byte} of {len}: {e}");
                named += 1;
            }
        }
    }
    assert!(named * 100 >= tried * 99, "{named} of {tried}");
}

#[test]
fn the_contract_holds_in_memory_and_on_disk() {
    let memory: Arc<Mutex<SegmentStore>> = Arc::new(Mutex::new(SegmentStore::memory()));
    #[derive(Debug)]
    struct Shared(Arc<Mutex<SegmentStore>>);
    impl PostingStore for Shared {
        fn apply(&mut self, changes: Vec<Change>) -> Result<()> {
            self.0.lock().unwrap().apply(changes)
        }
        fn segments(&self) -> Vec<Arc<dyn crate::fingerprint::Postings>> {
            self.0.lock().unwrap().segments()
        }
    }
    posting_store_contract(&mut || Ok(Box::new(Shared(memory.clone())))).unwrap();
    for (log_mib, background) in [(4.0, true), (0.002, true), (0.002, false)] {
        let folder = tempfile::tempdir().unwrap();
        let options = IndexOptions { log_mib, background, ..IndexOptions::default() };
        posting_store_contract(&mut || Ok(Box::new(SegmentStore::open(&folder.path().join("new/index"), &options)?)))
            .unwrap();
    }
}

#[test]
fn a_second_writer_is_told_and_readers_follow() {
    let folder = tempfile::tempdir().unwrap();
    let options = IndexOptions { lock_timeout_s: 0.1, log_mib: 0.002, ..IndexOptions::default() };
    let mut writer = SegmentStore::open(folder.path(), &options).unwrap();
    let error = SegmentStore::open(folder.path(), &options).unwrap_err();
    assert!(error.to_string().contains("another process writes to"), "{error}");
    let reading = IndexOptions { read_only: true, ..options.clone() };
    let mut reader = SegmentStore::open(folder.path(), &reading).unwrap();
    assert_eq!(reader.apply(vec![Change::Remove("x".into())]).unwrap_err().code(), "SF_STORE");
    let mut tracks = Tracks::new();
    for step in steps() {
        tracks = after_step(&tracks, &step);
        let before = reader.segments().iter().map(|s| s.living()).sum::<u32>();
        writer.apply(step).unwrap();
        assert_eq!(reader.segments().iter().map(|s| s.living()).sum::<u32>(), before);
        assert!(reader.refresh().unwrap());
        assert!(is(&reader, &tracks));
        assert!(!reader.refresh().unwrap() || is(&reader, &tracks));
    }
    writer.flush().unwrap();
    reader.refresh().unwrap();
    assert!(is(&reader, &tracks));
    drop(writer);
    SegmentStore::open(folder.path(), &options).unwrap();
}

#[test]
fn what_is_newer_or_strange_is_refused_by_name() {
    let disk = Disk::default();
    work(&disk, Durability::Power);
    let change = |name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let copy = disk.after(2, &|_| true);
        let content = copy.found(name).unwrap();
        edit(&mut copy.state().contents[content].now);
        open(&copy, Durability::Power).unwrap_err()
    };
    let names: Vec<String> = disk.state().names.keys().cloned().collect();
    let named = |start: &str| names.iter().find(|n| n.starts_with(start)).unwrap().clone();
    for (name, at) in [(named("log"), 8), (named("segment"), 8)] {
        let error = change(&name, &|bytes| {
            bytes[at] = 2;
            let check = crc32fast::hash(&bytes[..12]);
            bytes[12..16].copy_from_slice(&check.to_le_bytes());
        });
        assert_eq!(error.code(), "SF_UNSUPPORTED");
        assert!(error.to_string().contains(&name) && error.to_string().contains("version 2"), "{error}");
    }
    let error = change("manifest", &|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap().replace("\"format\":1", "\"format\":7");
        let line = text.split_inclusive('\n').next().unwrap();
        *bytes = format!("{line}{:08x}\n", crc32fast::hash(line.as_bytes())).into_bytes();
    });
    assert!(error.code() == "SF_UNSUPPORTED" && error.to_string().contains("version 7"), "{error}");
    let copy = disk.after(2, &|_| true);
    copy.remove("manifest").unwrap();
    let error = open(&copy, Durability::Power).unwrap_err();
    assert!(error.to_string().contains("but no manifest"), "{error}");
    let copy = disk.after(2, &|_| true);
    copy.state().locked = true;
    assert!(open(&copy, Durability::Power).is_err());
}

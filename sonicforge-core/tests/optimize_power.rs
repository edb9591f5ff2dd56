//! The SQLite store under power cuts: a file layer that loses what was not synced.
//!
//! The layer stands before SQLite's own (a VFS, <https://www.sqlite.org/vfs.html>) and notes every change of a file and every sync of a run.
//! What a disk may hold after a cut at any moment follows from the notes: of each file what was synced, and of what came after that
//! nothing, all, or any part, torn at sectors of 512 bytes; of the folder what was synced, and of the files that were made and
//! deleted later the first few or none. Each such disk is written down, opened as a store, and held against what had been promised.
//!
//! It is registered in this test alone.
#![cfg(all(feature = "sqlite", unix))]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};

use rusqlite::ffi;
use sonicforge_core::optimize::store::{Durability, MemoryStore, SqliteStore, Store};
use sonicforge_core::optimize::{DecisionId, Key, Propensity, Reward, Variant, VariantId};

/// Something that happened to the files of a folder.
#[derive(Debug, Clone)]
enum Event {
    /// `with_folder`: SQLite syncs the folder when it first syncs this file (journals and logs; `unixSync` in its os_unix.c).
    Made {
        file: String,
        with_folder: bool,
    },
    Written {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        file: String,
        size: usize,
    },
    Synced {
        file: String,
    },
    Deleted {
        file: String,
        with_folder: bool,
    },
    /// The n-th deed of the run has begun, or was acknowledged.
    Begun(usize),
    Acknowledged(usize),
}

/// Notes by folder. Other folders are not watched.
static NOTES: Mutex<BTreeMap<PathBuf, Vec<Event>>> = Mutex::new(BTreeMap::new());

fn note(path: &Path, event: impl FnOnce(String) -> Event) {
    let (Some(folder), Some(file)) = (path.parent(), path.file_name()) else { return };
    if let Some(notes) = NOTES.lock().unwrap().get_mut(folder) {
        notes.push(event(file.to_string_lossy().into_owned()));
    }
}

/// The file layer. SQLite's interface is one of C: unsafe code cannot be avoided, and is kept to this module.
mod layer {
    use super::*;

    /// A file of ours; SQLite's own lies behind it in the same piece of memory.
    #[repr(C)]
    struct File {
        base: ffi::sqlite3_file,
        /// `None` for a temporary one. Boxed, since SQLite moves no destructor along.
        path: *mut PathBuf,
    }

    unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
        // SAFETY: `szOsFile` asks for room for both.
        unsafe { file.cast::<File>().add(1).cast() }
    }

    unsafe fn noted(file: *mut ffi::sqlite3_file, event: impl FnOnce(String) -> Event) {
        // SAFETY: `open` set it to null or to a box that lives until `close`.
        if let Some(path) = unsafe { (*file.cast::<File>()).path.as_ref() } {
            note(path, event);
        }
    }

    /// Hands a call on to SQLite's own file.
    macro_rules! hand_on {
        ($($name:ident: $method:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {$(
            unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $kind)*) $(-> $result)? {
                // SAFETY: the inner file was opened, and has its methods.
                unsafe {
                    let inner = inner(file);
                    ((*(*inner).pMethods).$method.expect("SQLite's own layer has it"))(inner $(, $arg)*)
                }
            }
        )*};
    }

    hand_on! {
        read: xRead(to: *mut c_void, amount: c_int, at: i64) -> c_int;
        real_write: xWrite(from: *const c_void, amount: c_int, at: i64) -> c_int;
        real_truncate: xTruncate(size: i64) -> c_int;
        real_close: xClose() -> c_int;
        file_size: xFileSize(size: *mut i64) -> c_int;
        lock: xLock(level: c_int) -> c_int;
        unlock: xUnlock(level: c_int) -> c_int;
        check_reserved: xCheckReservedLock(held: *mut c_int) -> c_int;
        control: xFileControl(what: c_int, with: *mut c_void) -> c_int;
        sector_size: xSectorSize() -> c_int;
        characteristics: xDeviceCharacteristics() -> c_int;
        shm_map: xShmMap(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) -> c_int;
        shm_lock: xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
        shm_barrier: xShmBarrier();
        shm_unmap: xShmUnmap(delete: c_int) -> c_int;
    }

    unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, amount: c_int, at: i64) -> c_int {
        // SAFETY: SQLite hands over `amount` bytes.
        unsafe {
            let done = real_write(file, from, amount, at);
            if done == ffi::SQLITE_OK {
                let bytes = std::slice::from_raw_parts(from.cast::<u8>(), amount as usize).to_vec();
                noted(file, |file| Event::Written { file, at: at as usize, bytes });
            }
            done
        }
    }

    unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
        // SAFETY: as in `hand_on`.
        unsafe {
            let done = real_truncate(file, size);
            if done == ffi::SQLITE_OK {
                noted(file, |file| Event::Cut { file, size: size as usize });
            }
            done
        }
    }

    /// Noted and not done: the power is cut in the notes only, and the tests do not wait for a disk.
    unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
        // SAFETY: the file is open.
        unsafe { noted(file, |file| Event::Synced { file }) };
        ffi::SQLITE_OK
    }

    unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
        // SAFETY: the box is ours, and nobody uses the file after this.
        unsafe {
            let done = real_close(file);
            let path = std::mem::replace(&mut (*file.cast::<File>()).path, std::ptr::null_mut());
            if !path.is_null() {
                drop(Box::from_raw(path));
            }
            done
        }
    }

    /// Version 2: files are not mapped into memory, so that every write is seen here.
    static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
        iVersion: 2,
        xClose: Some(close),
        xRead: Some(read),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xFileSize: Some(file_size),
        xLock: Some(lock),
        xUnlock: Some(unlock),
        xCheckReservedLock: Some(check_reserved),
        xFileControl: Some(control),
        xSectorSize: Some(sector_size),
        xDeviceCharacteristics: Some(characteristics),
        xShmMap: Some(shm_map),
        xShmLock: Some(shm_lock),
        xShmBarrier: Some(shm_barrier),
        xShmUnmap: Some(shm_unmap),
        xFetch: None,
        xUnfetch: None,
    };

    /// SQLite's own layer.
    fn own() -> *mut ffi::sqlite3_vfs {
        // SAFETY: the layer of the system is always there.
        unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) }
    }

    unsafe fn path_of(name: *const c_char) -> PathBuf {
        // SAFETY: SQLite's names end with a 0.
        PathBuf::from(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    }

    unsafe extern "C" fn open(
        _: *mut ffi::sqlite3_vfs,
        name: *const c_char,
        file: *mut ffi::sqlite3_file,
        flags: c_int,
        out: *mut c_int,
    ) -> c_int {
        // SAFETY: SQLite gives `szOsFile` bytes at `file`; `pMethods` is null unless it is to be closed.
        unsafe {
            let path = (!name.is_null()).then(|| path_of(name));
            let new = path.as_ref().is_some_and(|p| !p.exists());
            (*file).pMethods = std::ptr::null();
            let done = (*own()).xOpen.expect("a layer opens files")(own(), name, inner(file), flags, out);
            if !(*inner(file)).pMethods.is_null() {
                (*file).pMethods = &METHODS;
                let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
                if let (Some(path), true) = (&path, new) {
                    note(path, |file| Event::Made { file, with_folder: flags & journal != 0 });
                }
                (*file.cast::<File>()).path = path.map_or(std::ptr::null_mut(), |p| Box::into_raw(Box::new(p)));
            }
            done
        }
    }

    unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, with_folder: c_int) -> c_int {
        // SAFETY: as in `open`.
        unsafe {
            let done = (*own()).xDelete.expect("a layer deletes files")(own(), name, with_folder);
            if done == ffi::SQLITE_OK {
                note(&path_of(name), |file| Event::Deleted { file, with_folder: with_folder != 0 });
            }
            done
        }
    }

    /// Puts the layer before SQLite's own, for this process.
    pub fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: a copy of the own layer with two functions replaced; it lives as long as the process.
            unsafe {
                let mut vfs = *own();
                vfs.zName = c"lossy".as_ptr();
                vfs.szOsFile += size_of::<File>() as c_int;
                vfs.pNext = std::ptr::null_mut();
                vfs.xOpen = Some(open);
                vfs.xDelete = Some(delete);
                assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 1), ffi::SQLITE_OK);
            }
        });
    }
}

/// Numbers that follow from a seed: SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A file as a disk with a cache has it.
#[derive(Debug, Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    /// What came later: bytes at a place, or a new size.
    later: Vec<(usize, Option<Vec<u8>>)>,
    with_folder: bool,
}

fn put(content: &mut Vec<u8>, at: usize, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return content.truncate(at) };
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// Each piece of a sector as a coin falls.
    Torn(u64),
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    /// The folder as programs see it, and as it was synced.
    now: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
    /// Changes of the folder since: a file was made, or deleted.
    later: Vec<(String, Option<usize>)>,
    begun: usize,
    acknowledged: usize,
}

impl Disk {
    fn sync_folder(&mut self) {
        self.synced = self.now.clone();
        self.later.clear();
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Made { file, with_folder } => {
                self.now.insert(file.clone(), self.inodes.len());
                self.later.push((file.clone(), Some(self.inodes.len())));
                self.inodes.push(Inode { with_folder: *with_folder, ..Inode::default() });
            }
            Event::Written { file, at, bytes } => {
                if let Some(&i) = self.now.get(file) {
                    self.inodes[i].later.push((*at, Some(bytes.clone())));
                }
            }
            Event::Cut { file, size } => {
                if let Some(&i) = self.now.get(file) {
                    self.inodes[i].later.push((*size, None));
                }
            }
            Event::Synced { file } => {
                if let Some(&i) = self.now.get(file) {
                    let inode = &mut self.inodes[i];
                    for (at, bytes) in std::mem::take(&mut inode.later) {
                        put(&mut inode.synced, at, bytes.as_deref());
                    }
                    if std::mem::take(&mut inode.with_folder) {
                        self.sync_folder();
                    }
                }
            }
            Event::Deleted { file, with_folder } => {
                self.now.remove(file);
                self.later.push((file.clone(), None));
                if *with_folder {
                    self.sync_folder();
                }
            }
            Event::Begun(n) => self.begun = n + 1,
            Event::Acknowledged(n) => self.acknowledged = n + 1,
        }
    }

    /// What the disk holds when the power is cut now.
    fn after_a_cut(&self, fate: Fate) -> BTreeMap<String, Vec<u8>> {
        let mut dice = Dice(if let Fate::Torn(seed) = fate { seed } else { 0 });
        let mut kept = |among: usize| match fate {
            Fate::Lost => 0,
            Fate::Kept => among,
            Fate::Torn(_) => dice.next() as usize % (among + 1),
        };
        let mut folder = self.synced.clone();
        for (file, inode) in &self.later[..kept(self.later.len())] {
            match inode {
                Some(inode) => folder.insert(file.clone(), *inode),
                None => folder.remove(file),
            };
        }
        let mut content = |i: usize| {
            let mut content = self.inodes[i].synced.clone();
            for (at, bytes) in &self.inodes[i].later {
                let Some(bytes) = bytes else {
                    if kept(1) == 1 {
                        put(&mut content, *at, None);
                    }
                    continue;
                };
                let mut from = 0;
                while from < bytes.len() {
                    let to = bytes.len().min(from + 512 - (at + from) % 512);
                    if kept(1) == 1 {
                        put(&mut content, at + from, Some(&bytes[from..to]));
                    }
                    from = to;
                }
            }
            content
        };
        folder.into_iter().map(|(file, i)| (file, content(i))).collect()
    }
}

/// What a run does, one after another.
enum Deed {
    Variant(Variant),
    Rewards(Vec<Reward>),
}

fn reward(n: u64, revision: u64, features: usize) -> Reward {
    let mut decision = [0; 12];
    decision[..8].copy_from_slice(&Dice(n).next().to_be_bytes());
    decision[8..].copy_from_slice(&(n as u32).to_be_bytes());
    let key = Key {
        concept: format!("c{}", n % 3),
        variant: VariantId(1 + n % 4),
        against: None,
        metric: "approval".into(),
        epoch: (n / 50) as u32,
    };
    let value = i64::from((n + revision) % 2 == 0) << 20;
    let context = (0..features as i64).map(|i| (i * 77 + n as i64) % 1000).collect();
    Reward { decision: DecisionId(decision), key, value, revision, propensity: Propensity(0.25), context }
}

/// Enough to fill the log and begin it anew: single rewards and batches, revisions, duplicates, contexts with their large
/// counters, and variants.
fn deeds() -> Vec<Deed> {
    let mut deeds = Vec::new();
    for n in 0..180u64 {
        if n % 40 == 0 {
            deeds.push(Deed::Variant(Variant::text("c0", &format!("prompt {n}")).unwrap()));
        }
        deeds.push(Deed::Rewards(match n % 9 {
            3 => (0..30).map(|i| reward(1_000 + 30 * n + i, 0, 0)).collect(),
            5 => vec![reward(n, 0, 24), reward(n.saturating_sub(2), 3, if n % 9 < 2 { 0 } else { 24 })],
            7 => vec![reward(n, 0, 24), reward(n, 0, 24), reward(n / 2, 0, 24)],
            _ => vec![reward(n, 0, 24)],
        }));
    }
    deeds
}

fn ledger(store: &dyn Store) -> Result<Vec<Reward>, String> {
    let mut rows = Vec::new();
    let read = store.ledger(&mut |row| {
        rows.push(row);
        Ok(())
    });
    read.map_err(|e| e.to_string()).map(|()| rows)
}

/// Does the deeds through two stores over one file, as two processes would, and closes them; what happened to the files.
fn run(folder: &Path, durability: Durability, deeds: &[Deed]) -> Vec<Event> {
    layer::register();
    // As SQLite spells it.
    let folder = &folder.canonicalize().unwrap();
    NOTES.lock().unwrap().insert(folder.into(), Vec::new());
    let note = |event| NOTES.lock().unwrap().get_mut(folder).unwrap().push(event);
    {
        let open = || SqliteStore::open(folder.join("taste.db"), durability).unwrap();
        let stores = [open(), open()];
        for (n, deed) in deeds.iter().enumerate() {
            note(Event::Begun(n));
            match deed {
                Deed::Variant(variant) => stores[n % 2].put_variant(variant).unwrap(),
                Deed::Rewards(rewards) => drop(stores[n % 2].apply(rewards).unwrap()),
            }
            note(Event::Acknowledged(n));
        }
    }
    NOTES.lock().unwrap().remove(folder).unwrap()
}

/// How many of the first deeds a disk still knows.
///
/// # Errors
/// In words, where it is no store any more, or what is there is not what a number of whole deeds leaves behind.
fn surviving(disk: &BTreeMap<String, Vec<u8>>, folder: &Path, deeds: &[Deed]) -> Result<usize, String> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    for (file, content) in disk.iter().filter(|(file, _)| !file.ends_with("-shm")) {
        std::fs::write(folder.join(file), content).unwrap();
    }
    let path = folder.join("taste.db");
    let store = SqliteStore::open(&path, Durability::Power).map_err(|e| e.to_string())?;
    let counts = store.counts(0).map_err(|e| e.to_string())?;
    let (rows, variants) = (ledger(&store)?, store.variants().map_err(|e| e.to_string())?);
    // Every call of `apply` is a version.
    let mut applied = 0;
    let mut survived = 0;
    let model = MemoryStore::new();
    let mut deeds = deeds.iter().enumerate();
    for (n, deed) in &mut deeds {
        match deed {
            Deed::Rewards(_) if applied == counts.version => break,
            Deed::Rewards(rewards) => {
                model.apply(rewards).unwrap();
                applied += 1;
            }
            Deed::Variant(variant) if variants.contains(variant) => model.put_variant(variant).unwrap(),
            Deed::Variant(_) => break,
        }
        survived = n + 1;
    }
    if applied != counts.version {
        return Err(format!("{} versions; the deeds before the first missing variant are {applied}", counts.version));
    }
    if variants != model.variants().unwrap() {
        return Err("a variant of later than the last reward".into());
    }
    if rows != ledger(&model)? {
        return Err(format!("the ledger has {} rows, after {survived} deeds there are others", rows.len()));
    }
    if counts.counts != model.counts(0).unwrap().counts {
        return Err(format!("the counters are not those of {survived} deeds"));
    }
    drop(store);
    let connection = rusqlite::Connection::open(&path).map_err(|e| e.to_string())?;
    let check: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(|e| e.to_string())?;
    if check == "ok" { Ok(survived) } else { Err(check) }
}

/// What cuts brought about.
#[derive(Debug, Default)]
struct Outcome {
    cuts: usize,
    /// Acknowledged deeds that were gone, at most at once.
    lost: usize,
    /// Disks that were no whole store.
    broken: Vec<String>,
}

/// Cuts the power before and after each sync, after each acknowledgement, and at `more` moments between.
fn cut_everywhere(events: &[Event], deeds: &[Deed], folder: &Path, fates: &[Fate], more: usize) -> Outcome {
    let mut dice = Dice(5);
    let between: Vec<usize> = (0..more).map(|_| dice.next() as usize % (events.len() + 1)).collect();
    let mut outcome = Outcome::default();
    let mut disk = Disk::default();
    for at in 0..=events.len() {
        let sync = |i: usize| matches!(events.get(i), Some(Event::Synced { .. } | Event::Deleted { .. }));
        let acknowledged = at > 0 && matches!(events[at - 1], Event::Acknowledged(_));
        if sync(at) || (at > 0 && sync(at - 1)) || acknowledged || at == events.len() || between.contains(&at) {
            for &fate in fates {
                let fate = if let Fate::Torn(seed) = fate { Fate::Torn(seed + at as u64) } else { fate };
                outcome.cuts += 1;
                match surviving(&disk.after_a_cut(fate), folder, deeds) {
                    Ok(n) if n > disk.begun => {
                        outcome.broken.push(format!("{at}, {fate:?}: {n} deeds, of which {} had begun", disk.begun))
                    }
                    Ok(n) => outcome.lost = outcome.lost.max(disk.acknowledged.saturating_sub(n)),
                    Err(why) => outcome.broken.push(format!("{at}, {fate:?}: {why}")),
                }
            }
        }
        if let Some(event) = events.get(at) {
            disk.happen(event);
        }
    }
    outcome
}

const FATES: [Fate; 3] = [Fate::Lost, Fate::Kept, Fate::Torn(1)];

fn syncs(events: &[Event], log: bool) -> usize {
    events.iter().filter(|e| matches!(e, Event::Synced { file } if file.ends_with("-wal") == log)).count()
}

#[test]
fn with_power_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let deeds = deeds();
    let events = run(folder.path(), Durability::Power, &deeds);
    assert!(syncs(&events, false) >= 3, "the log came into the file more than once: {}", syncs(&events, false));
    let outcome = cut_everywhere(&events, &deeds, &folder.path().join("cut"), &FATES, 100);
    println!("{} cuts over {} deeds", outcome.cuts, deeds.len());
    assert_eq!(outcome.broken, [""; 0]);
    assert_eq!(outcome.lost, 0);
    assert!(syncs(&events, true) >= deeds.len(), "a sync of the log for each deed");
    assert!(outcome.cuts > 3 * 2 * deeds.len());
}

#[test]
fn without_it_the_last_deeds_may_be_lost_and_each_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let deeds = deeds();
    let events = run(folder.path(), Durability::Process, &deeds);
    assert!(syncs(&events, true) < deeds.len() / 4, "that is what it is faster by");
    let outcome = cut_everywhere(&events, &deeds, &folder.path().join("cut"), &FATES, 100);
    assert_eq!(outcome.broken, [""; 0]);
    assert!(outcome.lost > 0, "a layer that loses nothing would not show anything");
    // What the system has written, the death of the process cannot take.
    let outcome = cut_everywhere(&events, &deeds, &folder.path().join("cut"), &[Fate::Kept], 0);
    assert_eq!((outcome.lost, outcome.broken.len()), (0, 0));
}

/// The judge finds what is wrong: without the syncs of the same run, rewards are lost and stores broken.
#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let deeds = deeds();
    let events = run(folder.path(), Durability::Power, &deeds[..60]);
    // As synchronous=OFF would have it.
    let never: Vec<Event> = events.iter().filter(|e| !matches!(e, Event::Synced { .. })).cloned().collect();
    let outcome = cut_everywhere(&never, &deeds, &folder.path().join("cut"), &[Fate::Torn(9)], 100);
    assert!(outcome.lost > 0 && !outcome.broken.is_empty(), "{outcome:?}");
}

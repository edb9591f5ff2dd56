//! The seam between an index and where its tracks are, and the store that comes with it: segments, in memory or in a folder.
//!
//! ```text
//! changes ─► log (synced) ─► memory: small segments, merged ─► (log full) ─► segment file ─► manifest ─► new log
//!                                                     segment files ─► merged in a thread of their own ─► manifest
//! ```
//! P. O'Neil et al., "The log-structured merge-tree", 1996; the segments, the tombstones and the manifest are those of Lucene.
//!
//! What is on the disk at any moment: the manifest, replaced by a rename, names the segments and one log; whatever else is there was
//! never acknowledged and is cleared away. A file is synced before a manifest names it, and the folder before and after.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{Appended, Buffered, Files, Folder};
use super::log::{self, Change};
use super::manifest::{self, Listed, Manifest};
use super::segment::{GAP, MAX_FRAMES, Removed, Segment, View, merge};
use super::track::IndexTrack;
pub use crate::durability::Durability;
use crate::error::{Error, Result};
use crate::fingerprint::Postings;

/// Where an index keeps its tracks: the seam for other engines. [`posting_store_contract`](super::posting_store_contract) says what it
/// must do.
pub trait PostingStore: Send + Sync + std::fmt::Debug {
    /// Makes these changes in their order, all of them or none. When it returns they are kept as well as the store keeps anything.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when a track that comes in is there already or one that goes is not; `SF_STORE` and `SF_IO` when they could
    /// not be kept.
    fn apply(&mut self, changes: Vec<Change>) -> Result<()>;

    /// What there is now. Changes made later do not show in it.
    fn segments(&self) -> Vec<Arc<dyn Postings>>;

    /// The segment and the number of the track of this name.
    ///
    /// # Errors
    /// `SF_STORE` when what is kept is damaged.
    fn find(&self, id: &str) -> Result<Option<(usize, u32)>> {
        for (i, segment) in self.segments().iter().enumerate() {
            if let Some(track) = segment.find(id)? {
                return Ok(Some((i, track)));
            }
        }
        Ok(None)
    }

    /// Returns when everything is where it stays and nothing is being merged.
    ///
    /// # Errors
    /// `SF_IO` and `SF_STORE`; also of earlier work that was done in the background.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How to open an index on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexOptions {
    /// What an acknowledged change survives.
    pub durability: Durability,
    /// How long to wait for another process that writes, in seconds, 0 to 3600.
    pub lock_timeout_s: f64,
    /// A segment is written when the log has this many MiB, 0.001 to 1024. Opening reads the log again, some 20 MiB a second.
    pub log_mib: f64,
    /// Only read: no lock is taken, and another process may write. [`Index::refresh`](super::Index::refresh) shows what it wrote.
    pub read_only: bool,
    /// Merge segments in a thread of their own; else inside the call that makes it necessary.
    pub background: bool,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { durability: Durability::Power, lock_timeout_s: 5.0, log_mib: 4.0, read_only: false, background: true }
    }
}

/// What was found when an index was opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Recovery {
    /// Bytes at the end of the log that were never acknowledged: of a change that was being written when the process ended.
    pub dropped_bytes: u64,
    /// Files that no manifest named: of a segment that was being written.
    pub dropped_files: Vec<String>,
}

/// How many segments of about one size there may be.
const FAN: usize = 4;
/// Attempts of a reader whose files are merged away while it opens them.
const ATTEMPTS: usize = 20;

/// Segments in memory or in a folder.
#[derive(Debug)]
pub(super) struct SegmentStore {
    /// What is in files, with their names; nothing in memory.
    disk: Vec<(String, View)>,
    /// What only the log has.
    memory: Vec<View>,
    kept: Option<Kept>,
}

/// The folder of a store.
#[derive(Debug)]
struct Kept {
    files: Arc<dyn Files>,
    options: IndexOptions,
    /// None in one that only reads.
    writer: Option<Writer>,
    manifest: Vec<u8>,
    recovery: Recovery,
    /// Bytes of the log that were read or written.
    log_len: u64,
}

#[derive(Debug)]
struct Writer {
    log: Box<dyn Appended>,
    log_name: String,
    next: u64,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// What went wrong in the background.
    failed: Option<Error>,
    /// The log is full again when it has this many bytes.
    seal_at: u64,
    merging: Option<Merging>,
    process: u32,
    _lock: Box<dyn Send + Sync + std::fmt::Debug>,
}

#[derive(Debug)]
struct Merging {
    name: String,
    sources: Vec<(String, Arc<Removed>)>,
    thread: JoinHandle<Result<Vec<Vec<Option<u32>>>>>,
}

impl SegmentStore {
    /// An empty one in memory.
    pub fn memory() -> Self {
        Self { disk: Vec::new(), memory: Vec::new(), kept: None }
    }

    /// In a folder, which is made when it is not there.
    pub fn open(path: &Path, options: &IndexOptions) -> Result<Self> {
        let folder = Folder::open(path, !options.read_only).map_err(|e| Error::io("cannot make", path, e))?;
        Self::open_files(Arc::new(folder), options)
    }

    pub(super) fn open_files(files: Arc<dyn Files>, options: &IndexOptions) -> Result<Self> {
        crate::error::in_range("lock_timeout_s", options.lock_timeout_s, 0.0, 3_600.0)?;
        crate::error::in_range("log_mib", options.log_mib, 0.001, 1_024.0)?;
        if options.read_only {
            return Self::open_reader(files, options);
        }
        let place = files.place();
        let wait = Duration::from_secs_f64(options.lock_timeout_s);
        let lock = files.lock(wait).map_err(|e| Error::io("cannot lock", &place, e))?.ok_or_else(|| {
            Error::Store(format!(
                "another process writes to {}, and did for {:?}: wait for it to end, or open the index with read_only",
                place.display(),
                wait
            ))
        })?;
        let names = files.list().map_err(|e| Error::io("cannot list", &place, e))?;
        if !names.iter().any(|n| n == manifest::NAME) {
            Self::check_fresh(&*files, &names)?;
            let log_name = manifest::file("log", 0);
            let log = begin_log(&*files, &log_name, options.durability)?;
            let bytes = Manifest::new(log_name.clone(), 1, Vec::new()).to_bytes();
            commit(&*files, &bytes).map_err(|(e, _)| e)?;
            let writer = Writer::new(log, log_name, 1, options, lock);
            return Ok(Self::with(files, options, Some(writer), bytes));
        }
        let (manifest, bytes) = read_manifest(&*files)?;
        let disk = open_segments(&*files, &manifest, &[])?;
        let replay = read_log(&*files, &manifest.log)?;
        let begun = replay.durability.is_some();
        let as_promised = replay.durability == Some(options.durability);
        let log = if begun && (as_promised || replay.len > log::HEAD as u64) {
            files
                .append(&manifest.log, replay.len)
                .map_err(|e| Error::io("cannot open", place.join(&manifest.log), e))?
        } else {
            begin_log(&*files, &manifest.log, options.durability)?
        };
        let writer = Writer::new(log, manifest.log.clone(), manifest.next, options, lock);
        let mut store = Self::with(files.clone(), options, Some(writer), bytes);
        store.disk = disk;
        let kept = store.kept.as_mut().expect("just made");
        kept.log_len = replay.len.max(log::HEAD as u64);
        kept.recovery.dropped_bytes = if begun { replay.dropped } else { 0 };
        for name in names {
            let ours = name.starts_with("log-") || name.starts_with("segment-") || name == manifest::NEW;
            let named = name == manifest.log || manifest.segments.iter().any(|s| s.file == name);
            // Where it cannot be removed now (a reader on Windows has it open) the next writer tries again.
            if ours && !named && files.remove(&name).is_ok() {
                kept.recovery.dropped_files.push(name);
            }
        }
        store.replay(replay.batches)?;
        if !as_promised {
            // A log is all synced or all not.
            store.seal()?;
        }
        Ok(store)
    }

    fn with(files: Arc<dyn Files>, options: &IndexOptions, writer: Option<Writer>, manifest: Vec<u8>) -> Self {
        let kept = Kept {
            files,
            options: options.clone(),
            writer,
            manifest,
            recovery: Recovery::default(),
            log_len: log::HEAD as u64,
        };
        Self { disk: Vec::new(), memory: Vec::new(), kept: Some(kept) }
    }

    /// A folder without a manifest must not hold what a manifest might have named.
    fn check_fresh(files: &dyn Files, names: &[String]) -> Result<()> {
        for name in names {
            let holds = name.starts_with("segment-")
                || name.starts_with("log-") && files.read(name).is_ok_and(|b| b.len() > log::HEAD);
            if holds {
                return Err(Error::Store(format!(
                    "{} has {name} but no {}: restore that, or choose an empty folder",
                    files.place().display(),
                    manifest::NAME
                )));
            }
        }
        Ok(())
    }

    fn open_reader(files: Arc<dyn Files>, options: &IndexOptions) -> Result<Self> {
        let mut store = Self::with(files, options, None, Vec::new());
        store.refresh()?;
        Ok(store)
    }

    /// In one that only reads: shows what was written since. Whether there was anything.
    pub fn refresh(&mut self) -> Result<bool> {
        let Some(kept) = self.kept.as_mut().filter(|k| k.writer.is_none()) else { return Ok(false) };
        let files = kept.files.clone();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            // Files that are gone were merged into others after the manifest was read: the next one names those.
            let attempt = (|| {
                let (manifest, bytes) = read_manifest(&*files)?;
                let disk = open_segments(&*files, &manifest, &self.disk)?;
                let replay = read_log(&*files, &manifest.log)?;
                Ok((bytes, disk, replay))
            })();
            match attempt {
                Ok((bytes, disk, replay)) => {
                    let kept = self.kept.as_mut().expect("it was there");
                    if bytes == kept.manifest && replay.len == kept.log_len {
                        return Ok(false);
                    }
                    (kept.manifest, kept.log_len) = (bytes, replay.len);
                    (self.disk, self.memory) = (disk, Vec::new());
                    self.replay(replay.batches)?;
                    return Ok(true);
                }
                Err(e @ Error::Io { .. }) => last = Some(e),
                Err(e) => return Err(e),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(last.expect("at least one attempt failed"))
    }

    pub fn recovery(&self) -> Recovery {
        self.kept.as_ref().map(|k| k.recovery.clone()).unwrap_or_default()
    }

    /// Bytes of segments and log.
    pub fn bytes(&self) -> u64 {
        let segments = self.views().map(|v| v.segment.bytes().len() as u64);
        let disk: u64 = self.disk.iter().map(|(_, v)| v.segment.bytes().len() as u64).sum();
        match &self.kept {
            None => segments.sum(),
            Some(kept) => disk + kept.log_len + kept.manifest.len() as u64,
        }
    }

    /// Reads every byte of every segment. Errors (`SF_STORE`) name the first that is damaged.
    pub fn check(&self) -> Result<()> {
        self.views().try_for_each(|v| v.segment.check())
    }

    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.disk.iter().map(|(_, v)| v).chain(&self.memory)
    }

    /// Adds a whole segment; its tracks must be new here.
    pub fn import(&mut self, segment: Segment) -> Result<()> {
        segment.check()?;
        let view = View::new(segment);
        for track in view.living() {
            let id = view.segment.id(track)?;
            if self.find(id)?.is_some() {
                return Err(Error::invalid(format!(
                    "\"{id}\" of {} is in the index already; remove it first",
                    view.segment.name()
                )));
            }
            // All of it must be readable, not only have the right checksums.
            view.segment.track(track)?.check()?;
        }
        let Some(kept) = &mut self.kept else {
            self.memory.push(view);
            self.compact_memory()?;
            return Ok(());
        };
        let (name, view) = {
            let files = kept.files.clone();
            let writer = kept.writable()?;
            let name = manifest::file("segment", writer.next);
            writer.next += 1;
            write_segment(&*files, &name, &mut |out| {
                out.write_all(view.segment.bytes()).map_err(|e| Error::io("cannot write", &name, e))
            })?;
            let view = View::new(open_segment(&*files, &name)?);
            (name, view)
        };
        self.disk.push((name, view));
        // The log stays as it is.
        self.write_manifest(None).inspect_err(|_| {
            self.disk.pop();
        })
    }

    /// Puts what the log says into memory.
    fn replay(&mut self, batches: Vec<Vec<Change>>) -> Result<()> {
        let mut pending: Vec<Option<IndexTrack>> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for change in batches.into_iter().flatten() {
            match change {
                Change::Insert(track) => {
                    if at.contains_key(&track.id) || self.find(&track.id)?.is_some() {
                        return Err(Error::Store(format!("the log inserts \"{}\" twice; restore the index", track.id)));
                    }
                    at.insert(track.id.clone(), pending.len());
                    pending.push(Some(track));
                }
                Change::Remove(id) => {
                    if let Some(i) = at.remove(&id) {
                        pending[i] = None;
                    } else {
                        // It may be gone already: the manifest may be younger than this line of the log.
                        self.remove(&id)?;
                    }
                }
            }
        }
        let tracks: Vec<IndexTrack> = pending.into_iter().flatten().collect();
        self.memory.extend(build(&tracks.iter().collect::<Vec<_>>(), None)?);
        Ok(())
    }

    /// Marks a track as removed; whether it was there.
    fn remove(&mut self, id: &str) -> Result<bool> {
        for view in self.memory.iter_mut().chain(self.disk.iter_mut().map(|(_, v)| v)) {
            if let Some(track) = view.find(id)? {
                Arc::make_mut(&mut view.removed).insert(track);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Errors when a change does not fit what is there and what the changes before it made of it.
    fn check_changes(&self, changes: &[Change]) -> Result<()> {
        let mut made: HashMap<&str, bool> = HashMap::new();
        for change in changes {
            let (id, comes) = match change {
                Change::Insert(track) => {
                    track.check()?;
                    (&track.id, true)
                }
                Change::Remove(id) => (id, false),
            };
            let there = match made.get(id.as_str()) {
                Some(&there) => there,
                None => self.find(id)?.is_some(),
            };
            match (comes, there) {
                (true, true) => {
                    return Err(Error::invalid(format!("\"{id}\" is in the index already; remove it first")));
                }
                (false, false) => return Err(Error::invalid(format!("\"{id}\" is not in the index"))),
                _ => made.insert(id, comes),
            };
        }
        Ok(())
    }

    /// Keeps the number of segments in memory small: those of about one size are merged.
    fn compact_memory(&mut self) -> Result<()> {
        self.memory.retain(|v| v.len() > 0);
        while let Some(range) = due(&self.memory) {
            let mut out = Vec::new();
            merge(&self.memory[range.clone()], "memory", &mut out)?;
            let merged = View::new(Segment::in_memory(out)?);
            self.memory.splice(range, [merged]);
        }
        Ok(())
    }

    /// Writes what only the log has as a segment, and begins a new log.
    fn seal(&mut self) -> Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        if kept.log_len <= log::HEAD as u64 {
            return Ok(());
        }
        let (files, durability) = (kept.files.clone(), kept.options.durability);
        let writer = kept.writable()?;
        let living: Vec<View> = self.memory.iter().filter(|v| v.len() > 0).cloned().collect();
        let mut sealed = Vec::new();
        let result = (|| {
            // As few as a time line holds.
            let mut rest = &living[..];
            while !rest.is_empty() {
                let mut frames = 0;
                let fits = rest.iter().take_while(|v| {
                    frames += v.segment.frames();
                    frames <= MAX_FRAMES
                });
                let (now, later) = rest.split_at(fits.count());
                rest = later;
                let name = manifest::file("segment", writer.next);
                writer.next += 1;
                sealed.push((name.clone(), None));
                write_segment(&*files, &name, &mut |out| merge(now, &name, out).map(|_| ()))?;
                sealed.last_mut().expect("just pushed").1 = Some(View::new(open_segment(&*files, &name)?));
            }
            let log_name = manifest::file("log", writer.next);
            writer.next += 1;
            begin_log(&*files, &log_name, durability).map(|log| (log, log_name))
        })();
        let (log, log_name) = result.inspect_err(|_| {
            for (name, _) in &sealed {
                let _ = files.remove(name);
            }
        })?;
        let count = sealed.len();
        self.disk.extend(sealed.into_iter().filter_map(|(name, view)| Some((name, view?))));
        if let Err(e) = self.write_manifest(Some((log, log_name))) {
            self.disk.truncate(self.disk.len() - count);
            return Err(e);
        }
        self.memory.clear();
        Ok(())
    }

    /// Replaces the manifest by one that names what `disk` holds and, if given, a new log. What it no longer names is removed.
    fn write_manifest(&mut self, log: Option<(Box<dyn Appended>, String)>) -> Result<()> {
        let kept = self.kept.as_mut().expect("only called where there is a folder");
        let files = kept.files.clone();
        let writer = kept.writer.as_mut().expect("only called by a writer");
        let segments =
            self.disk.iter().map(|(file, view)| Listed { file: file.clone(), removed: view.removed.iter().collect() });
        let log_name = log.as_ref().map_or_else(|| writer.log_name.clone(), |(_, name)| name.clone());
        let manifest = Manifest::new(log_name, writer.next, segments.collect());
        let bytes = manifest.to_bytes();
        if let Err((e, unsure)) = commit(&*files, &bytes) {
            if unsure {
                // Which of the two manifests will be there is open, so no log is safe to write to.
                writer.broken = Some(e.to_string());
            }
            return Err(e);
        }
        if let Some((log, name)) = log {
            (writer.log, writer.log_name) = (log, name);
            kept.log_len = log::HEAD as u64;
            writer.seal_at = seal_at(&kept.options);
        }
        // Leftovers are also cleared away when the index is opened the next time.
        let old = Manifest::from_bytes(&kept.manifest, manifest::NAME);
        kept.manifest = bytes;
        if let Ok(old) = old {
            let named = old.segments.into_iter().map(|s| s.file).chain([old.log]);
            for name in named {
                if name != manifest.log && manifest.segments.iter().all(|s| s.file != name) {
                    let _ = files.remove(&name);
                }
            }
        }
        Ok(())
    }

    /// Installs a merge that is done, and begins one that is due.
    fn tend(&mut self, wait: bool) -> Result<()> {
        loop {
            let Some(writer) = self.kept.as_mut().and_then(|k| k.writer.as_mut()) else { return Ok(()) };
            match writer.merging.take() {
                Some(merging) if wait || merging.thread.is_finished() => self.install(merging)?,
                Some(merging) => {
                    writer.merging = Some(merging);
                    return Ok(());
                }
                None if !self.begin_merge() => return Ok(()),
                None => {}
            }
        }
    }

    fn begin_merge(&mut self) -> bool {
        let views: Vec<View> = self.disk.iter().map(|(_, v)| v.clone()).collect();
        let Some(range) = due(&views) else { return false };
        let kept = self.kept.as_mut().expect("there are files");
        let writer = kept.writer.as_mut().expect("only called by a writer");
        let name = manifest::file("segment", writer.next);
        writer.next += 1;
        let sources = self.disk[range.clone()].iter().map(|(n, v)| (n.clone(), v.removed.clone())).collect();
        let (views, files, file) = (views[range].to_vec(), kept.files.clone(), name.clone());
        let thread = std::thread::spawn(move || {
            let mut numbers = Vec::new();
            write_segment(&*files, &file, &mut |out| {
                numbers = merge(&views, &file, out)?;
                Ok(())
            })?;
            Ok(numbers)
        });
        writer.merging = Some(Merging { name, sources, thread });
        true
    }

    fn install(&mut self, merging: Merging) -> Result<()> {
        let Merging { name, sources, thread } = merging;
        let files = self.kept.as_ref().expect("there are files").files.clone();
        let merged = thread
            .join()
            .unwrap_or_else(|_| Err(Error::Internal("a merge of segments panicked".to_owned())))
            .and_then(|numbers| Ok((numbers, open_segment(&*files, &name)?)));
        let (numbers, segment) = merged.inspect_err(|_| {
            let _ = files.remove(&name);
        })?;
        let mut view = View::new(segment);
        let before = self.disk.clone();
        let mut first = None;
        for ((file, then), numbers) in sources.iter().zip(&numbers) {
            let at = self.disk.iter().position(|(n, _)| n == file).expect("only a merge takes a segment away");
            let (_, source) = self.disk.remove(at);
            first.get_or_insert(at);
            // What was removed while it was merged.
            for track in source.removed.iter().filter(|&t| !then.contains(t)) {
                if let Some(Some(number)) = numbers.get(track as usize) {
                    Arc::make_mut(&mut view.removed).insert(*number);
                }
            }
        }
        if view.len() > 0 {
            self.disk.insert(first.unwrap_or(0), (name.clone(), view));
        }
        self.write_manifest(None).inspect_err(|_| {
            self.disk = before;
            // If it is open which manifest is there, the file may be needed.
            if self.kept.as_ref().is_some_and(|k| k.writer.as_ref().is_some_and(|w| w.broken.is_none())) {
                let _ = files.remove(&name);
            }
        })
    }
}

impl PostingStore for SegmentStore {
    fn apply(&mut self, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(kept) = &mut self.kept {
            kept.writable()?;
        }
        self.check_changes(&changes)?;
        // Everything that can fail for another reason than the disk comes first.
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut comes: Vec<(&IndexTrack, usize)> = Vec::new();
        let mut goes: Vec<&str> = Vec::new();
        for change in &changes {
            match change {
                Change::Insert(track) => {
                    comes.push((track, records.len()));
                    records.push(track.record());
                }
                Change::Remove(id) => match comes.iter().position(|(t, _)| t.id == *id) {
                    Some(i) => drop(comes.remove(i)),
                    None => goes.push(id),
                },
            }
        }
        let tracks: Vec<&IndexTrack> = comes.iter().map(|c| c.0).collect();
        let of_tracks: Vec<&[u8]> = comes.iter().map(|c| &records[c.1][..]).collect();
        let built = build(&tracks, Some(&of_tracks))?;
        if let Some(kept) = &mut self.kept {
            kept.append(&log::record(&changes, &records)?)?;
        }
        for id in goes {
            self.remove(id)?;
        }
        self.memory.extend(built);
        let tended = self.compact_memory().and_then(|()| {
            let full = self.kept.as_ref().is_some_and(|k| k.writer.as_ref().is_some_and(|w| k.log_len >= w.seal_at));
            if full { self.seal() } else { Ok(()) }
        });
        let wait = self.kept.as_ref().is_some_and(|k| !k.options.background);
        let tended = tended.and_then(|()| self.tend(wait));
        // The changes are in the log, so they are acknowledged; `flush` says what went wrong behind them.
        if let Err(e) = tended
            && let Some(kept) = &mut self.kept
            && let Some(writer) = &mut kept.writer
        {
            writer.seal_at = kept.log_len + seal_at(&kept.options);
            writer.failed = Some(e);
        }
        Ok(())
    }

    fn segments(&self) -> Vec<Arc<dyn Postings>> {
        self.views().map(|v| Arc::new(v.clone()) as Arc<dyn Postings>).collect()
    }

    fn find(&self, id: &str) -> Result<Option<(usize, u32)>> {
        for (i, view) in self.views().enumerate() {
            if let Some(track) = view.find(id)? {
                return Ok(Some((i, track)));
            }
        }
        Ok(None)
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(writer) = self.kept.as_mut().and_then(|k| k.writer.as_mut())
            && let Some(e) = writer.failed.take()
        {
            return Err(e);
        }
        if self.kept.as_ref().is_some_and(|k| k.writer.is_some()) {
            self.seal()?;
            self.tend(true)?;
        }
        Ok(())
    }
}

impl Drop for SegmentStore {
    fn drop(&mut self) {
        // A thread that still writes must not outlive the lock. In a fork of the process that opened the index there is none.
        let writer = self.kept.as_mut().and_then(|k| k.writer.as_mut());
        let forked = writer.as_ref().is_some_and(|w| w.process != std::process::id());
        match writer.and_then(|w| w.merging.take()) {
            Some(merging) if forked => std::mem::forget(merging.thread),
            Some(merging) => drop(self.install(merging)),
            None => {}
        }
    }
}

impl Writer {
    fn new(
        log: Box<dyn Appended>,
        log_name: String,
        next: u64,
        options: &IndexOptions,
        lock: Box<dyn Send + Sync + std::fmt::Debug>,
    ) -> Self {
        let seal_at = seal_at(options);
        let process = std::process::id();
        Self { log, log_name, next, broken: None, failed: None, seal_at, merging: None, process, _lock: lock }
    }
}

impl Kept {
    fn writable(&mut self) -> Result<&mut Writer> {
        let place = self.files.place();
        let Some(writer) = &mut self.writer else {
            return Err(Error::Store(format!("{} was opened with read_only", place.display())));
        };
        if writer.process != std::process::id() {
            return Err(Error::Store(format!(
                "{} was opened by the process {}, of which this one is a fork: open it here anew",
                place.display(),
                writer.process
            )));
        }
        if let Some(why) = &writer.broken {
            return Err(Error::Store(format!(
                "{} takes no changes after an earlier failure ({why}): drop the index and open it again",
                place.display()
            )));
        }
        Ok(writer)
    }

    /// Appends a batch to the log, and syncs it when that is what was promised. When it fails the log is as it was.
    fn append(&mut self, batch: &[u8]) -> Result<()> {
        let (power, len) = (self.options.durability == Durability::Power, self.log_len);
        let path = self.files.place();
        let writer = self.writable()?;
        let path = path.join(&writer.log_name);
        let written = writer.log.write(batch).map_err(|e| ("cannot write to", e));
        let synced =
            written.and_then(|()| if power { writer.log.sync().map_err(|e| ("cannot sync", e)) } else { Ok(()) });
        if let Err((what, e)) = synced {
            // After a failed sync nobody knows what is on the disk.
            let unsure = what == "cannot sync";
            if writer.log.truncate(len).is_err() || unsure {
                writer.broken = Some(format!("{what} {}: {e}", path.display()));
            }
            return Err(Error::io(what, path, e));
        }
        self.log_len += batch.len() as u64;
        Ok(())
    }
}

fn seal_at(options: &IndexOptions) -> u64 {
    (options.log_mib * 1_048_576.0) as u64
}

/// Segments of these tracks (and their records, where they were made already): one, unless they are longer than a time line.
pub(super) fn build(tracks: &[&IndexTrack], records: Option<&[&[u8]]>) -> Result<Vec<View>> {
    let made: Vec<Vec<u8>> = match records {
        Some(_) => Vec::new(),
        None => tracks.iter().map(|t| t.record()).collect(),
    };
    let records = match records {
        Some(records) => records.to_vec(),
        None => made.iter().map(|r| &r[..]).collect(),
    };
    let all: Vec<(&IndexTrack, &[u8])> = tracks.iter().copied().zip(records).collect();
    let mut out = Vec::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let mut frames = 0u64;
        let fits = rest.iter().take_while(|(t, _)| {
            frames += u64::from(t.landmarks.frames()) + 2 * u64::from(GAP);
            frames <= MAX_FRAMES
        });
        let (now, later) = rest.split_at(fits.count());
        rest = later;
        out.push(View::new(Segment::of(now)?));
    }
    Ok(out)
}

/// Neighbours that should be one segment: [`FAN`] or more of about one size, or one of which half is gone.
fn due(views: &[View]) -> Option<std::ops::Range<usize>> {
    if let Some(i) = views.iter().position(|v| v.removed.count > 0 && v.removed.count * 2 >= v.segment.tracks()) {
        return Some(i..i + 1);
    }
    let level = |v: &View| v.segment.frames().max(1).ilog2() / FAN.ilog2();
    let highest = views.iter().map(level).max()?;
    for most in 0..=highest {
        // The young end first, where most of what is small lies.
        let mut end = views.len();
        while end > 0 {
            let mut frames = 0;
            let run = views[..end].iter().rev().take_while(|v| {
                frames += v.segment.frames();
                level(v) <= most && frames <= MAX_FRAMES
            });
            let run = run.count();
            if run >= FAN {
                return Some(end - run..end);
            }
            end -= run.max(1);
        }
    }
    None
}

/// A file of a segment, synced; gone again when that fails.
fn write_segment(files: &dyn Files, name: &str, write: &mut dyn FnMut(&mut Buffered<'_>) -> Result<()>) -> Result<()> {
    let path = files.place().join(name);
    let result = (|| {
        let mut file = files.create(name).map_err(|e| Error::io("cannot make", &path, e))?;
        let mut out = Buffered::new(&mut *file);
        write(&mut out)?;
        std::io::Write::flush(&mut out).map_err(|e| Error::io("cannot write", &path, e))?;
        drop(out);
        file.sync().map_err(|e| Error::io("cannot sync", &path, e))
    })();
    result.inspect_err(|_| {
        let _ = files.remove(name);
    })
}

fn open_segment(files: &dyn Files, name: &str) -> Result<Segment> {
    let path = files.place().join(name);
    let bytes = files.map(name).map_err(|e| Error::io("cannot map", &path, e))?;
    Segment::open(bytes, &path.display().to_string())
}

/// The segments that a manifest names; those that are open already are kept.
fn open_segments(files: &dyn Files, manifest: &Manifest, open: &[(String, View)]) -> Result<Vec<(String, View)>> {
    let mut out = Vec::new();
    for listed in &manifest.segments {
        let segment = match open.iter().find(|(name, _)| *name == listed.file) {
            Some((_, view)) => view.segment.clone(),
            None => Arc::new(open_segment(files, &listed.file)?),
        };
        let mut removed = Removed::default();
        for &track in &listed.removed {
            if track >= segment.tracks() {
                return Err(Error::Store(format!(
                    "{} removes track {track} of {}, which has {}; restore the files",
                    manifest::NAME,
                    segment.name(),
                    segment.tracks()
                )));
            }
            removed.insert(track);
        }
        out.push((listed.file.clone(), View { segment, removed: Arc::new(removed) }));
    }
    Ok(out)
}

fn read_manifest(files: &dyn Files) -> Result<(Manifest, Vec<u8>)> {
    let path = files.place().join(manifest::NAME);
    let bytes = files.read(manifest::NAME).map_err(|e| Error::io("cannot read", &path, e))?;
    Ok((Manifest::from_bytes(&bytes, &path.display().to_string())?, bytes))
}

fn read_log(files: &dyn Files, name: &str) -> Result<log::Replay> {
    let path = files.place().join(name);
    let bytes = files.read(name).map_err(|e| Error::io("cannot read", &path, e))?;
    log::replay(&bytes, &path.display().to_string())
}

/// A new log. It is synced with its first batch.
fn begin_log(files: &dyn Files, name: &str, durability: Durability) -> Result<Box<dyn Appended>> {
    let path = files.place().join(name);
    let mut log = files.create(name).map_err(|e| Error::io("cannot make", &path, e))?;
    log.write(&log::head(durability)).map_err(|e| Error::io("cannot write", &path, e))?;
    Ok(log)
}

/// Puts a manifest in the place of the one before. The error also says whether it is open which of them is there now.
fn commit(files: &dyn Files, manifest: &[u8]) -> Result<(), (Error, bool)> {
    let place = files.place();
    let sure = |what, name: &str, e| (Error::io(what, place.join(name), e), false);
    // What the manifest names must be there whenever it is.
    files.sync_folder().map_err(|e| sure("cannot sync", "", e))?;
    let mut file = files.create(manifest::NEW).map_err(|e| sure("cannot make", manifest::NEW, e))?;
    file.write(manifest).map_err(|e| sure("cannot write", manifest::NEW, e))?;
    file.sync().map_err(|e| sure("cannot sync", manifest::NEW, e))?;
    drop(file);
    let unsure = |what, e| (Error::io(what, place.join(manifest::NAME), e), true);
    files.rename(manifest::NEW, manifest::NAME).map_err(|e| unsure("cannot replace", e))?;
    files.sync_folder().map_err(|e| unsure("cannot sync the folder of", e))
}

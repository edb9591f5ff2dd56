//! The handle of an index: tracks come and go, and are searched.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::log::Change;
use super::segment::{MAX_FRAMES, Segment, merge};
use super::snapshot::Snapshot;
use super::store::{IndexOptions, PostingStore, Recovery, SegmentStore};
use super::track::IndexTrack;
use crate::error::{Error, Result};
use crate::fingerprint::{DuplicateOptions, DuplicateReport, Fingerprint, Match, QueryOptions, Sketch};
use crate::progress::Progress;

/// Many tracks, searched at once.
///
/// ```
/// use sonicforge_core::fingerprint::{Fingerprint, Index, IndexOptions, QueryOptions, Sketch};
/// use sonicforge_core::testing::Signal;
///
/// let folder = tempfile::tempdir().unwrap();
/// let audio = Signal::Music { seed: 1 }.render(22_050, 1, 10.0)?;
/// let mut index = Index::open(folder.path(), &IndexOptions::default())?;
/// index.insert("my song", &Fingerprint::of(&audio)?)?; // on the disk when it returns
/// drop(index);
///
/// let index = Index::open(folder.path(), &IndexOptions { read_only: true, ..IndexOptions::default() })?;
/// let found = index.query(&Sketch::of(&audio)?, &QueryOptions::default())?;
/// assert_eq!(found[0].id, "my song");
/// # Ok::<(), sonicforge_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Index {
    store: Store,
}

#[derive(Debug)]
enum Store {
    Segments(Box<SegmentStore>),
    Other(Box<dyn PostingStore>),
}

/// How large an index is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexStats {
    /// Tracks that can be found.
    pub tracks: usize,
    /// Places of pairs that are kept, those of removed tracks included until their segment is merged.
    pub postings: u64,
    /// Segments, in files and in memory.
    pub segments: usize,
    /// Bytes of segments and log, on disk or in memory.
    pub bytes: u64,
    /// What was found when the index was opened.
    pub recovery: Recovery,
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// An empty one in memory.
    pub fn new() -> Self {
        Self { store: Store::Segments(Box::new(SegmentStore::memory())) }
    }

    /// One in a folder, which is made when it is not there. One process writes; any number of others may open it with
    /// [`IndexOptions::read_only`].
    ///
    /// # Errors
    /// `SF_STORE` when another process writes to it and does not end in time, and when a file is damaged; `SF_UNSUPPORTED` when a newer
    /// version of the library wrote it; `SF_IO`.
    pub fn open(path: impl AsRef<Path>, options: &IndexOptions) -> Result<Self> {
        Ok(Self { store: Store::Segments(Box::new(SegmentStore::open(path.as_ref(), options)?)) })
    }

    /// On another engine.
    pub fn on(store: Box<dyn PostingStore>) -> Self {
        Self { store: Store::Other(store) }
    }

    fn store(&self) -> &dyn PostingStore {
        match &self.store {
            Store::Segments(store) => &**store,
            Store::Other(store) => &**store,
        }
    }

    fn store_mut(&mut self) -> &mut dyn PostingStore {
        match &mut self.store {
            Store::Segments(store) => &mut **store,
            Store::Other(store) => &mut **store,
        }
    }

    /// What there is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.store().segments())
    }

    /// How many tracks there are.
    pub fn len(&self) -> usize {
        self.snapshot().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a track of this name.
    ///
    /// # Errors
    /// `SF_STORE` when what is kept is damaged.
    pub fn contains(&self, id: &str) -> Result<bool> {
        Ok(self.store().find(id)?.is_some())
    }

    /// All that is known of a track.
    ///
    /// # Errors
    /// `SF_STORE` when what is kept is damaged.
    pub fn get(&self, id: &str) -> Result<Option<IndexTrack>> {
        match self.store().find(id)? {
            Some((segment, track)) => self.store().segments()[segment].track(track),
            None => Ok(None),
        }
    }

    /// Adds a track. When it returns the track is kept as [`IndexOptions::durability`] says.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when there is one of this name, when the id is empty or has more than 4096 bytes, or when the sound is
    /// longer than a hundred hours; `SF_IO` and `SF_STORE` when it cannot be kept. Then nothing is changed.
    pub fn insert(&mut self, id: &str, print: &Fingerprint) -> Result<()> {
        self.apply(vec![Change::Insert(IndexTrack::new(id, print))])
    }

    /// Takes a track out; whether it was there. Its bytes are free again when its segment is merged, at the latest when half of the
    /// segment is gone.
    ///
    /// # Errors
    /// `SF_IO` and `SF_STORE` when that cannot be kept. Then nothing is changed.
    pub fn remove(&mut self, id: &str) -> Result<bool> {
        if self.store().find(id)?.is_none() {
            return Ok(false);
        }
        self.apply(vec![Change::Remove(id.to_owned())])?;
        Ok(true)
    }

    /// Many changes at once: all of them or none, and a single wait for the disk.
    ///
    /// # Errors
    /// As [`Index::insert`]; also when a track that goes is not there.
    pub fn apply(&mut self, changes: Vec<Change>) -> Result<()> {
        self.store_mut().apply(changes)
    }

    /// Which tracks sound in the query: the best first, none below the threshold.
    ///
    /// # Errors
    /// As [`Snapshot::query`].
    pub fn query(&self, sketch: &Sketch, options: &QueryOptions) -> Result<Vec<Match>> {
        self.snapshot().query(sketch, options)
    }

    /// Many queries, in their order, on this many threads (0: one for each processor).
    ///
    /// # Errors
    /// As [`Snapshot::query`].
    pub fn query_batch(&self, sketches: &[Sketch], options: &QueryOptions, threads: usize) -> Result<Vec<Vec<Match>>> {
        self.snapshot().query_batch(sketches, options, threads)
    }

    /// All tracks that are one work, in groups, and all pairs that share a part.
    ///
    /// # Errors
    /// As [`Snapshot::duplicates`].
    pub fn duplicates(&self, options: &DuplicateOptions, progress: &mut dyn Progress) -> Result<DuplicateReport> {
        self.snapshot().duplicates(options, progress)
    }

    /// Writes what only the log has as a segment, and waits for merges. Not needed for durability: it makes the next opening fast and
    /// the files few.
    ///
    /// # Errors
    /// `SF_IO` and `SF_STORE`; also of merges that failed in the background (the index is whole all the same).
    pub fn flush(&mut self) -> Result<()> {
        self.store_mut().flush()
    }

    /// In an index that only reads: shows what was written since it was opened. Whether there was anything.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn refresh(&mut self) -> Result<bool> {
        match &mut self.store {
            Store::Segments(store) => store.refresh(),
            Store::Other(_) => Ok(false),
        }
    }

    /// Reads every byte that is kept.
    ///
    /// # Errors
    /// `SF_STORE` names the first file and byte that is damaged.
    pub fn check(&self) -> Result<()> {
        match &self.store {
            Store::Segments(store) => store.check()?,
            Store::Other(_) => {}
        }
        self.snapshot().tracks(|_| Ok(()))
    }

    /// How large it is.
    pub fn stats(&self) -> IndexStats {
        let snapshot = self.snapshot();
        let (tracks, segments) = (snapshot.len(), self.store().segments().len());
        match &self.store {
            Store::Segments(store) => IndexStats {
                tracks,
                postings: store.views().map(|v| v.segment.postings()).sum(),
                segments,
                bytes: store.bytes(),
                recovery: store.recovery(),
            },
            Store::Other(_) => IndexStats { tracks, postings: 0, segments, bytes: 0, recovery: Recovery::default() },
        }
    }

    /// Writes all tracks as one segment file, to be [imported](Index::import) elsewhere. The file is there when it is whole.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when there are more tracks than one file takes (13 800 hours); `SF_IO` and `SF_STORE`.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let views = match &self.store {
            Store::Segments(store) => store.views().cloned().collect(),
            Store::Other(_) => {
                let mut tracks = Vec::new();
                self.snapshot().tracks(|track| {
                    tracks.push(track);
                    Ok(())
                })?;
                super::store::build(&tracks.iter().collect::<Vec<_>>(), None)?
            }
        };
        if views.iter().map(|v| v.segment.frames()).sum::<u64>() > MAX_FRAMES {
            return Err(Error::invalid(format!(
                "the index has more than the {:.0} hours that one file takes; export parts of it",
                MAX_FRAMES as f64 * crate::fingerprint::landmark::FRAME_S / 3_600.0
            )));
        }
        let failed = |e| Error::io("cannot write", path, e);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let mut out = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
        merge(&views, &path.display().to_string(), &mut out)?;
        out.flush().map_err(failed)?;
        drop(out);
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// Adds all tracks of a segment file that [`Index::export`] wrote. The file may come from anywhere: it is read whole first.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when one of its tracks is in the index already; `SF_STORE` when it is damaged; `SF_UNSUPPORTED` when a newer
    /// version of the library wrote it; `SF_IO`. Then nothing is changed.
    pub fn import(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
        let segment = Segment::open(Arc::new(bytes), &path.display().to_string())?;
        match &mut self.store {
            Store::Segments(store) => store.import(segment),
            Store::Other(store) => {
                segment.check()?;
                let tracks = (0..segment.tracks()).map(|t| segment.track(t).map(Change::Insert));
                store.apply(tracks.collect::<Result<Vec<_>>>()?)
            }
        }
    }
}

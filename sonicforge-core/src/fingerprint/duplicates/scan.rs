//! A folder of sound files into an index: in parallel, to be stopped and gone on with, each file as far as it is new.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::audio::AudioBuffer;
use crate::error::{Error, Result};
use crate::fingerprint::index::parallel;
use crate::fingerprint::{Change, Fingerprint, FingerprintParams, Fingerprinter, Index, IndexTrack};
use crate::io::Reader;
use crate::progress::{Progress, Step, check};

/// Endings of names that are looked at.
const SUFFIXES: [&str; 15] =
    ["aac", "aif", "aiff", "ape", "caf", "flac", "m4a", "m4b", "mp3", "mp4", "oga", "ogg", "opus", "wav", "wave"];
/// Frames that are read at once.
const BLOCK: usize = 1 << 12;
/// Files whose fingerprints are written to the index together.
const BATCH: usize = 32;

/// How a folder is scanned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScanOptions {
    /// On this many threads; 0: one for each processor.
    pub threads: usize,
    /// Take tracks out whose files are gone.
    pub forget: bool,
    /// Also compare the samples themselves, to tell what is identical.
    pub pcm_hash: bool,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { threads: 0, forget: true, pcm_hash: true }
    }
}

/// What became of the files of a folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanReport {
    /// Files that were new or had changed, by their paths within the folder, which are their ids.
    pub added: Vec<String>,
    /// Files that the index knew already.
    pub unchanged: usize,
    /// Tracks whose files are gone.
    pub removed: Vec<String>,
    /// Files that could not be read, and why.
    pub failed: Vec<(String, String)>,
    /// Seconds of sound that were heard.
    pub seconds: f64,
}

/// Fingerprints a sound file, block by block, so that it may be of any length.
///
/// # Errors
/// Those of [`Reader::open`] and [`Reader::read`].
pub fn fingerprint_file(path: impl AsRef<Path>, params: &FingerprintParams) -> Result<Fingerprint> {
    let mut reader = Reader::open(path)?;
    let (rate, channels) = (reader.info().sample_rate, reader.info().channels);
    let mut fingerprinter = Fingerprinter::new(rate, channels, params)?;
    let mut buffer = AudioBuffer::new(rate, channels, BLOCK)?;
    loop {
        let n = reader.read(&mut buffer.block())?;
        if n == 0 {
            return Ok(fingerprinter.finish());
        }
        fingerprinter.push(&buffer.block_range(0, n))?;
    }
}

/// Brings an index up to date with a folder and all folders below it. Ids are paths within the folder, with `/`. What was added is
/// kept every few files, so a scan that was stopped goes on where it was; a file counts as changed when its size or its time of change
/// is another.
///
/// # Errors
/// `SF_IO` when the folder cannot be read, those of [`Index::apply`], and `SF_CANCELLED` (what was added until then stays). A file that
/// cannot be read is no error but is told in the report.
pub fn scan(
    folder: impl AsRef<Path>,
    index: &mut Index,
    options: &ScanOptions,
    progress: &mut dyn Progress,
) -> Result<ScanReport> {
    let folder = folder.as_ref();
    let mut files = Vec::new();
    walk(folder, String::new(), &mut files)?;
    files.sort();
    let mut report = ScanReport::default();
    let mut known: HashMap<String, String> = HashMap::new();
    index.snapshot().tracks(|track| {
        known.insert(track.id, track.note);
        Ok(())
    })?;
    let mut new: Vec<(String, String, PathBuf)> = Vec::new();
    let mut goes: Vec<String> = Vec::new();
    for (id, path) in files {
        let note = stamp(&path)?;
        match known.remove(&id) {
            Some(before) if before == note => report.unchanged += 1,
            Some(_) => {
                goes.push(id.clone());
                new.push((id, note, path));
            }
            None => new.push((id, note, path)),
        }
    }
    if options.forget {
        report.removed.extend(known.into_keys());
        report.removed.sort();
        index.apply(report.removed.iter().cloned().map(Change::Remove).collect())?;
    }
    let params = FingerprintParams { pcm_hash: options.pcm_hash, ..FingerprintParams::default() };
    for (at, batch) in new.chunks(BATCH).enumerate() {
        let mut news = |done: usize| {
            let step = Step::new("fingerprint", (at * BATCH + done) as f64 / new.len() as f64);
            check(progress, "the scan", step)
        };
        // A file that cannot be read does not end the scan.
        let hear = |i: usize| Ok(fingerprint_file(&batch[i].2, &params));
        let heard = parallel(batch.len(), options.threads, &mut news, hear)?;
        let mut changes = Vec::new();
        for ((id, note, _), print) in batch.iter().zip(heard) {
            match print {
                Ok(print) => {
                    if goes.contains(id) {
                        changes.push(Change::Remove(id.clone()));
                    }
                    report.seconds += print.seconds;
                    changes
                        .push(Change::Insert(IndexTrack { note: note.clone(), ..IndexTrack::new(id.clone(), &print) }));
                    report.added.push(id.clone());
                }
                Err(e) => report.failed.push((id.clone(), e.to_string())),
            }
        }
        index.apply(changes)?;
    }
    Ok(report)
}

/// All sound files of a folder. Links are not followed.
fn walk(folder: &Path, within: String, out: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let failed = |e| Error::io("cannot list", folder, e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
        let id = format!("{within}{}", entry.file_name().to_string_lossy());
        if kind.is_dir() {
            walk(&path, id + "/", out)?;
        } else if kind.is_file() {
            let suffix = path.extension().map(|s| s.to_string_lossy().to_ascii_lowercase());
            if suffix.is_some_and(|s| SUFFIXES.contains(&&*s)) {
                out.push((id, path));
            }
        }
    }
    Ok(())
}

/// Size and time of change of a file.
fn stamp(path: &Path) -> Result<String> {
    let data = path.metadata().map_err(|e| Error::io("cannot read", path, e))?;
    let time = data.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Ok(format!("{} bytes, changed at {}.{:09}", data.len(), time.as_secs(), time.subsec_nanos()))
}

//! One track as an index keeps it.

use serde::Serialize;

use super::bits::{put_number, take_bytes, take_number};
use super::words;
use crate::error::{Error, Result};
use crate::fingerprint::{Chromaprint, Constellation, Fingerprint};

/// The longest name of a track, in bytes.
const MAX_ID: usize = 4_096;
/// The longest note, in bytes.
const MAX_NOTE: usize = 65_536;
/// The longest track, in frames (23.2 ms): a hundred hours.
const MAX_FRAMES: u32 = 15_503_906;

/// One track as an index keeps it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexTrack {
    /// What it is called in the index: 1 to 4096 bytes of any text.
    pub id: String,
    /// Length of the sound in seconds.
    pub seconds: f64,
    /// Whatever the host wants back with the track, up to 65 536 bytes.
    pub note: String,
    /// [`Fingerprint::pcm`]: of sounds that are equal to the bit.
    #[serde(with = "crate::fingerprint::fingerprinter::hex")]
    pub pcm: Option<u128>,
    /// For whole files.
    pub chromaprint: Chromaprint,
    /// For excerpts.
    pub landmarks: Constellation,
}

impl IndexTrack {
    /// A track of this name.
    pub fn new(id: impl Into<String>, print: &Fingerprint) -> Self {
        Self {
            id: id.into(),
            seconds: print.seconds,
            note: String::new(),
            pcm: print.pcm,
            chromaprint: print.chromaprint.clone(),
            landmarks: print.landmarks.clone(),
        }
    }

    /// Errors (`SF_INVALID_ARGUMENT`) on what no index takes.
    pub(super) fn check(&self) -> Result<()> {
        if self.id.is_empty() || self.id.len() > MAX_ID {
            return Err(Error::invalid(format!(
                "the id of a track has {} bytes; expected 1 to {MAX_ID}",
                self.id.len()
            )));
        }
        if self.note.len() > MAX_NOTE {
            return Err(Error::invalid(format!(
                "the note of \"{}\" has {} bytes; expected {MAX_NOTE} at most",
                self.id,
                self.note.len()
            )));
        }
        if !(self.seconds.is_finite() && self.seconds >= 0.0) {
            return Err(Error::invalid(format!("\"{}\" is {} seconds long; expected a length", self.id, self.seconds)));
        }
        if self.landmarks.frames() > MAX_FRAMES {
            return Err(Error::invalid(format!(
                "\"{}\" is {:.0} hours long; an index takes tracks of up to 100: cut it into parts",
                self.id,
                f64::from(self.landmarks.frames()) * crate::fingerprint::landmark::FRAME_S / 3_600.0
            )));
        }
        Ok(())
    }

    /// Everything but the landmarks: length of the id (LEB128), id, length of the note (LEB128), note, seconds (f64), a 1 and the hash of the PCM or a 0, length of the
    /// Chromaprint (LEB128), the Chromaprint (`words`).
    pub(super) fn record(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.id.len() + 30 + self.chromaprint.words().len() * 3);
        put_number(self.id.len() as u64, &mut out);
        out.extend_from_slice(self.id.as_bytes());
        put_number(self.note.len() as u64, &mut out);
        out.extend_from_slice(self.note.as_bytes());
        out.extend_from_slice(&self.seconds.to_le_bytes());
        out.push(u8::from(self.pcm.is_some()));
        out.extend(self.pcm.iter().flat_map(|pcm| pcm.to_le_bytes()));
        let print = words::pack(&self.chromaprint);
        put_number(print.len() as u64, &mut out);
        out.extend_from_slice(&print);
        out
    }

    /// Reads what [`IndexTrack::record`] wrote, and takes it off `bytes`.
    pub(super) fn from_record(bytes: &mut &[u8]) -> Result<Self> {
        let damaged = |what: &str| Error::Format(format!("a track is damaged: {what}"));
        let id = take_id(bytes).ok_or_else(|| damaged("no id"))?.to_owned();
        let note = take_number(bytes).and_then(|n| take_bytes(bytes, n)).ok_or_else(|| damaged("no note"))?;
        let note = std::str::from_utf8(note).map_err(|_| damaged("its note is not text"))?.to_owned();
        let seconds = take_bytes(bytes, 8).ok_or_else(|| damaged("no length"))?;
        let seconds = f64::from_le_bytes(seconds.try_into().expect("eight bytes"));
        if !(seconds.is_finite() && seconds >= 0.0) {
            return Err(damaged("its length is not a number"));
        }
        let pcm = match take_bytes(bytes, 1) {
            Some([0]) => None,
            Some([1]) => {
                let hash = take_bytes(bytes, 16).ok_or_else(|| damaged("no hash"))?;
                Some(u128::from_le_bytes(hash.try_into().expect("sixteen bytes")))
            }
            _ => return Err(damaged("neither a hash nor none")),
        };
        let print = take_number(bytes).and_then(|n| take_bytes(bytes, n)).ok_or_else(|| damaged("no Chromaprint"))?;
        let chromaprint = words::unpack(print)?;
        Ok(Self { id, seconds, note, pcm, chromaprint, landmarks: Constellation::default() })
    }
}

/// The id that a record begins with.
pub(super) fn take_id<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let id = take_number(bytes).and_then(|n| take_bytes(bytes, n))?;
    std::str::from_utf8(id).ok().filter(|id| !id.is_empty())
}

//! The log: what was changed since the last segment was written, in the order in which it happened.
//!
//! ```text
//! head: "sfidxlog" · u16 version · u16 1 when batches are not synced, else 0 · u32 CRC-32 of these twelve bytes
//! then batches: "rec\n" · u32 length · u32 CRC-32 of the length and the payload · payload
//! payload: number of changes (LEB128), then of each: 1, record of the track (`track`), length and bytes of the constellation
//!                                                 or 2, length and bytes of the id of a track that is taken out
//! ```
//! A batch is all there or it did not happen.

use super::bits::{put_number, take_bytes, take_number};
use super::store::Durability;
use super::track::IndexTrack;
use crate::error::{Error, Result};
use crate::fingerprint::Constellation;

const MAGIC: &[u8; 8] = b"sfidxlog";
const VERSION: u16 = 1;
pub(super) const HEAD: usize = 16;
const RECORD: [u8; 4] = *b"rec\n";
const FRAME: usize = 12;

/// One change of an index.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A track comes in.
    Insert(IndexTrack),
    /// The track of this name goes.
    Remove(String),
}

pub(super) fn head(durability: Durability) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&u16::from(durability == Durability::Process).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// One batch; `records` are those of the tracks that come in.
pub(super) fn record(changes: &[Change], records: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut out = vec![0; FRAME];
    put_number(changes.len() as u64, &mut out);
    let mut records = records.iter();
    for change in changes {
        match change {
            Change::Insert(track) => {
                out.push(1);
                out.extend_from_slice(records.next().expect("one for each track"));
                let stars = track.landmarks.to_bytes();
                put_number(stars.len() as u64, &mut out);
                out.extend_from_slice(&stars);
            }
            Change::Remove(id) => {
                out.push(2);
                put_number(id.len() as u64, &mut out);
                out.extend_from_slice(id.as_bytes());
            }
        }
    }
    let length = u32::try_from(out.len() - FRAME)
        .map_err(|_| Error::invalid("the changes have more than 4 GiB; make several batches of them"))?
        .to_le_bytes();
    out[..4].copy_from_slice(&RECORD);
    out[4..8].copy_from_slice(&length);
    let check = check(&out[4..8], &out[FRAME..]);
    out[8..FRAME].copy_from_slice(&check.to_le_bytes());
    Ok(out)
}

fn check(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// What a log says.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub batches: Vec<Vec<Change>>,
    /// Bytes up to the end of the last whole batch.
    pub len: u64,
    /// Bytes behind it: of a batch that was being written when the process ended.
    pub dropped: u64,
    /// Whether batches were synced; none when the head was never on the disk.
    pub durability: Option<Durability>,
}

/// Reads a log. What is cut off at its end is left out. What is damaged before its end is an error (`SF_STORE`) when batches were
/// synced one after the other; if they were not, a power cut may have left that, and everything from there on is left out.
pub(super) fn replay(bytes: &[u8], name: &str) -> Result<Replay> {
    if bytes.len() < HEAD {
        // Its head was never synced, so nothing behind it was acknowledged.
        return Ok(Replay { dropped: bytes.len() as u64, ..Replay::default() });
    }
    let version = u16::from_le_bytes(bytes[8..10].try_into().expect("two bytes"));
    let sound = crc32fast::hash(&bytes[..12]).to_le_bytes() == bytes[12..16] && bytes[..8] == *MAGIC;
    if sound && version != VERSION {
        return Err(Error::Unsupported(format!(
            "{name} has version {version} of the format; this version of the library reads {VERSION}: open it with a newer one"
        )));
    }
    let durability = [Durability::Power, Durability::Process].into_iter().find(|&d| bytes[..HEAD] == head(d));
    let Some(durability) = durability else {
        // The head is synced with the first batch. Where neither is on the disk the file may be of any bytes.
        return match next_record(bytes, 0) {
            None => Ok(Replay { dropped: bytes.len() as u64, ..Replay::default() }),
            Some(_) => Err(Error::Store(format!("{name} is damaged at byte 0: it does not begin as a log does"))),
        };
    };
    let mut out = Replay { len: HEAD as u64, durability: Some(durability), ..Replay::default() };
    let mut at = HEAD;
    while at < bytes.len() {
        match record_at(bytes, at) {
            Some(payload) => {
                let batch = changes(payload).map_err(|e| match e {
                    Error::Unsupported(what) => Error::Unsupported(format!("{name}, byte {at}: {what}")),
                    e => Error::Store(format!("{name} is damaged at byte {at}: {e}")),
                })?;
                out.batches.push(batch);
                at += FRAME + payload.len();
                out.len = at as u64;
            }
            None if durability == Durability::Power && next_record(bytes, at + 1).is_some() => {
                return Err(Error::Store(format!(
                    "{name} is damaged at byte {at}: a batch has the wrong checksum, and there are others behind it; restore the file"
                )));
            }
            None => {
                out.dropped = (bytes.len() - at) as u64;
                break;
            }
        }
    }
    Ok(out)
}

/// The payload of a whole batch that begins here.
fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let frame = bytes.get(at..at + FRAME)?;
    let length = u32::from_le_bytes(frame[4..8].try_into().ok()?) as usize;
    let payload = bytes.get(at + FRAME..(at + FRAME).checked_add(length)?)?;
    let stored = u32::from_le_bytes(frame[8..12].try_into().ok()?);
    (frame[..4] == RECORD && check(&frame[4..8], payload) == stored).then_some(payload)
}

/// Where the next whole batch begins.
fn next_record(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(FRAME)).find(|&at| bytes[at..at + 4] == RECORD && record_at(bytes, at).is_some())
}

fn changes(mut bytes: &[u8]) -> Result<Vec<Change>> {
    let damaged = || Error::Format("a change is cut off".to_owned());
    let count = take_number(&mut bytes).ok_or_else(damaged)?;
    let mut out = Vec::new();
    for _ in 0..count {
        match take_bytes(&mut bytes, 1) {
            Some([1]) => {
                let mut track = IndexTrack::from_record(&mut bytes)?;
                let stars = take_number(&mut bytes).and_then(|n| take_bytes(&mut bytes, n)).ok_or_else(damaged)?;
                track.landmarks = Constellation::from_bytes(stars)?;
                track.check()?;
                out.push(Change::Insert(track));
            }
            Some([2]) => {
                let id = take_number(&mut bytes).and_then(|n| take_bytes(&mut bytes, n)).ok_or_else(damaged)?;
                out.push(Change::Remove(String::from_utf8(id.to_vec()).map_err(|_| damaged())?));
            }
            _ => return Err(damaged()),
        }
    }
    if bytes.is_empty() { Ok(out) } else { Err(Error::Format("a batch is longer than its changes".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landmarks_of_another_kind_are_unsupported_and_not_damage() {
        let sound = crate::testing::Signal::Music { seed: 1 }.render(22_050, 1, 5.0).unwrap();
        let track = IndexTrack::new("a", &crate::fingerprint::Fingerprint::of(&sound).unwrap());
        let (record_of, stars) = (track.record(), track.landmarks.to_bytes());
        let change = record(&[Change::Insert(track)], &[record_of]).unwrap();
        let mut bytes = head(Durability::Power);
        bytes.extend_from_slice(&change);
        assert_eq!(replay(&bytes, "log").unwrap().batches.len(), 1);
        // The constellation is the last of the batch, and its kind is its first byte.
        let kind = bytes.len() - stars.len();
        bytes[kind] = 1;
        let sum = check(&change[4..8], &bytes[HEAD + FRAME..]).to_le_bytes();
        bytes[HEAD + 8..HEAD + FRAME].copy_from_slice(&sum);
        let said = replay(&bytes, "log").unwrap_err();
        assert!(matches!(said, Error::Unsupported(_)) && said.to_string().contains("kind 1"), "{said}");
    }
}

//! A segment: some tracks on one time line, and the places of their pairs, in one run of bytes that never changes; in memory or
//! mapped from a file. docs/index-format.md says what every byte is.
//!
//! ```text
//! head · of each track: stars, record · postings · directory · tracks · ids · checksums · tail
//! ```
//! A posting is a number: key × length of the time line + place. Sorted, what is stored are the distances (`bits`), in groups of keys
//! that begin at a byte, with some 32 to 64 postings where there are enough keys; the directory says where each group begins.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bits::{BitReader, BitWriter, rice_parameter};
use super::stars;
use super::track::{IndexTrack, take_id};
use crate::error::{Error, Result};
use crate::fingerprint::landmark::LANDMARK_KIND;
use crate::fingerprint::landmark::pairs::{KEY_BITS, TICK_SHIFT};
use crate::fingerprint::{Constellation, Posting, Postings, Star, TrackAt};

/// Frames between tracks on the time line.
pub(super) const GAP: u32 = 64;
/// Frames that a time line may have: places are computed in 32 bits with a sign in front.
pub(super) const MAX_FRAMES: u64 = 1 << 31;

const MAGIC: [u8; 8] = *b"sfindex\n";
/// The version of the format that is written and read.
pub(super) const VERSION: u32 = 1;
/// How peaks and pairs are made; segments of other numbers cannot be searched together.
pub(super) const LANDMARKS: u32 = LANDMARK_KIND as u32;
const HEAD: usize = 16;
const TAIL: usize = 112;
/// Bytes of which a checksum is made.
const BLOCK: usize = 1 << 14;
/// Groups whose beginnings are counted from one number of 64 bits.
const SUPER: usize = 32;
const TRACK_ROW: usize = 24;
const ID_ROW: usize = 12;
/// Postings that a group should have.
const GROUP: u64 = 32;

/// Bytes that somebody holds.
pub(super) type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The numbers of a tail, in this order, little-endian.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tail {
    tracks: u32,
    /// Ticks on the time line.
    end: u32,
    /// A group has `1 << shift` keys.
    shift: u32,
    /// Bits of an entry of the directory.
    width: u32,
    postings: u64,
    postings_at: u64,
    directory_at: u64,
    tracks_at: u64,
    ids_at: u64,
    checks_at: u64,
}

impl Tail {
    fn to_bytes(self) -> [u8; TAIL] {
        let mut out = Vec::with_capacity(TAIL);
        out.extend_from_slice(&MAGIC);
        for n in [VERSION, LANDMARKS, KEY_BITS, TICK_SHIFT, self.tracks, self.end, self.shift, self.width] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for n in [self.postings, self.postings_at, self.directory_at, self.tracks_at, self.ids_at, self.checks_at] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.resize(TAIL - 4, 0);
        let check = crc32fast::hash(&out);
        out.extend_from_slice(&check.to_le_bytes());
        out.try_into().expect("as long as it was made")
    }
}

/// Immutable tracks with their postings.
pub(super) struct Segment {
    bytes: Bytes,
    /// What it is called in messages.
    name: String,
    tail: Tail,
    /// Of each block whether its checksum was found right; none for bytes that were made in this process.
    checked: Option<Vec<AtomicU64>>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("name", &self.name).field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl Segment {
    /// In memory, of these tracks and their records.
    pub fn of(tracks: &[(&IndexTrack, &[u8])]) -> Result<Self> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, "memory");
        let mut pairs: Vec<u64> = Vec::new();
        for (track, record) in tracks {
            let frames = track.landmarks.frames();
            let start = writer.track(&track.id, frames, &stars::pack(&track.landmarks), record)?;
            pairs.extend(track.landmarks.pairs().iter().map(|p| pack(p.key, start + (p.frame >> TICK_SHIFT))));
        }
        pairs.sort_unstable();
        writer.postings(pairs.len() as u64)?;
        let mut rest = &pairs[..];
        for group in 0..writer.groups() {
            let end = rest.partition_point(|&p| p < pack((group + 1) << writer.tail.shift, 0));
            let (now, later) = rest.split_at(end);
            rest = later;
            writer.group(now)?;
        }
        writer.finish()?;
        Self::in_memory(out)
    }

    /// Of bytes that were made in this process.
    pub fn in_memory(bytes: Vec<u8>) -> Result<Self> {
        Self::parse(Arc::new(bytes), "a segment in memory".to_owned(), false)
    }

    /// Of bytes from elsewhere: what is small is checked now, the rest when it is first read.
    pub fn open(bytes: Bytes, name: &str) -> Result<Self> {
        let segment = Self::parse(bytes, name.to_owned(), true)?;
        segment.verified(segment.tail.directory_at..segment.tail.checks_at)?;
        Ok(segment)
    }

    fn parse(bytes: Bytes, name: String, foreign: bool) -> Result<Self> {
        let all = (*bytes).as_ref();
        let len = all.len() as u64;
        let damaged = |what: &str| Error::Store(format!("{name} is damaged: {what}"));
        let head = all.get(..HEAD).ok_or_else(|| damaged("it is too short"))?;
        if head[..8] != MAGIC {
            return Err(damaged("it does not begin as a segment of an index does"));
        }
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let found = word(8);
        if found != VERSION {
            return Err(Error::Unsupported(format!(
                "{name} has version {found} of the format; this version of the library reads {VERSION}: open it with a newer one"
            )));
        }
        if word(12) != crc32fast::hash(&head[..12]) {
            return Err(damaged("the checksum of its head is wrong"));
        }
        let tail = all.len().checked_sub(TAIL).filter(|&at| at >= HEAD).ok_or_else(|| damaged("it is cut off"))?;
        let tail = &all[tail..];
        let check = u32::from_le_bytes(tail[TAIL - 4..].try_into().expect("four bytes"));
        if tail[..8] != MAGIC || check != crc32fast::hash(&tail[..TAIL - 4]) {
            return Err(damaged("its tail is missing or its checksum is wrong"));
        }
        let n32 = |i: usize| u32::from_le_bytes(tail[8 + 4 * i..12 + 4 * i].try_into().expect("four bytes"));
        let n64 = |i: usize| u64::from_le_bytes(tail[40 + 8 * i..48 + 8 * i].try_into().expect("eight bytes"));
        if [n32(1), n32(2), n32(3)] != [LANDMARKS, KEY_BITS, TICK_SHIFT] {
            return Err(Error::Unsupported(format!(
                "{name} holds landmarks of kind {}, this version of the library makes kind {LANDMARKS}: make the index anew from the sounds",
                n32(1)
            )));
        }
        let tail = Tail {
            tracks: n32(4),
            end: n32(5),
            shift: n32(6),
            width: n32(7),
            postings: n64(0),
            postings_at: n64(1),
            directory_at: n64(2),
            tracks_at: n64(3),
            ids_at: n64(4),
            checks_at: n64(5),
        };
        let groups = (1u64 << KEY_BITS) >> tail.shift.min(63);
        let directory = (groups + 1).div_ceil(SUPER as u64) * (8 + tail.width as u64 * SUPER as u64 / 8);
        let fits = tail.shift <= KEY_BITS
            && tail.width <= 48
            && tail.postings_at >= HEAD as u64
            && tail.postings_at <= tail.directory_at
            && tail.directory_at.checked_add(directory) == Some(tail.tracks_at)
            && tail.tracks_at.checked_add(u64::from(tail.tracks) * TRACK_ROW as u64) == Some(tail.ids_at)
            && tail.ids_at.checked_add(u64::from(tail.tracks) * ID_ROW as u64) == Some(tail.checks_at)
            && tail.checks_at.checked_add(tail.checks_at.div_ceil(BLOCK as u64) * 4 + TAIL as u64) == Some(len)
            && u64::from(tail.end) << TICK_SHIFT <= MAX_FRAMES;
        if !fits {
            return Err(damaged("its tail does not fit what is before it"));
        }
        let blocks = tail.checks_at.div_ceil(BLOCK as u64) as usize;
        let checked = foreign.then(|| (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect());
        Ok(Self { bytes, name, tail, checked })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// How many tracks it was made of.
    pub fn tracks(&self) -> u32 {
        self.tail.tracks
    }

    /// How many postings it was made of.
    pub fn postings(&self) -> u64 {
        self.tail.postings
    }

    /// Frames on the time line.
    pub fn frames(&self) -> u64 {
        u64::from(self.tail.end) << TICK_SHIFT
    }

    /// Looks at every byte. Errors (`SF_STORE`) name the first block that is damaged.
    pub fn check(&self) -> Result<()> {
        self.verified(0..self.tail.checks_at).map(|_| ())
    }

    /// Bytes whose checksums are right.
    #[inline]
    fn verified(&self, range: Range<u64>) -> Result<&[u8]> {
        let all = self.bytes();
        if range.start > range.end || range.end > self.tail.checks_at {
            return Err(self.damaged(range.start, "a length that does not fit"));
        }
        let Range { start, end } = Range { start: range.start as usize, end: range.end as usize };
        if let Some(checked) = &self.checked
            && end > start
        {
            for block in start / BLOCK..=(end - 1) / BLOCK {
                let (word, bit) = (&checked[block / 64], 1u64 << (block % 64));
                if word.load(Ordering::Relaxed) & bit == 0 {
                    self.check_block(block)?;
                    word.fetch_or(bit, Ordering::Relaxed);
                }
            }
        }
        Ok(&all[start..end])
    }

    #[cold]
    fn check_block(&self, block: usize) -> Result<()> {
        let (all, end) = (self.bytes(), self.tail.checks_at as usize);
        let at = end + 4 * block;
        let stored = u32::from_le_bytes(all[at..at + 4].try_into().expect("four bytes"));
        let from = block * BLOCK;
        if crc32fast::hash(&all[from..(from + BLOCK).min(end)]) == stored {
            return Ok(());
        }
        Err(self.damaged(from as u64, "the checksum of a block is wrong"))
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        Error::Store(format!(
            "{} is damaged at byte {at}: {what}; restore the file, or take its tracks out and insert them anew",
            self.name
        ))
    }

    /// Where a group begins, counted from the first.
    #[inline]
    fn offset(&self, group: usize) -> u64 {
        // Checked when it was opened.
        let (stride, width) = (8 + self.tail.width as usize * SUPER / 8, self.tail.width);
        let at = self.tail.directory_at as usize + group / SUPER * stride;
        let row = &self.bytes()[at..at + stride];
        let base = u64::from_le_bytes(row[..8].try_into().expect("eight bytes"));
        let bit = group % SUPER * width as usize;
        base.wrapping_add(BitReader::new(&row[8..], bit, usize::MAX).get(width))
    }

    /// Start and length of a track on the time line, in ticks and frames; where its stars and its record are.
    #[inline]
    fn row(&self, track: u32) -> (u32, u32, u64, u64) {
        let at = self.tail.tracks_at as usize + track as usize * TRACK_ROW;
        let row = &self.bytes()[at..at + TRACK_ROW];
        let n32 = |i: usize| u32::from_le_bytes(row[i..i + 4].try_into().expect("four bytes"));
        let n64 = |i: usize| u64::from_le_bytes(row[i..i + 8].try_into().expect("eight bytes"));
        (n32(0), n32(4), n64(8), n64(16))
    }

    /// Where the blob after the one at `at` begins at the latest.
    fn blob(&self, track: u32, stars: bool) -> Result<&[u8]> {
        let (_, _, stars_at, record_at) = self.row(track);
        let end = if track + 1 < self.tail.tracks { self.row(track + 1).2 } else { self.tail.postings_at };
        let range = if stars { stars_at..record_at } else { record_at..end };
        if end > self.tail.postings_at || range.start > range.end {
            return Err(self.damaged(range.start, "a track that lies nowhere"));
        }
        self.verified(range)
    }

    /// Reads the postings of these keys: key and tick.
    fn postings_of(&self, keys: Range<u32>, mut each: impl FnMut(u32, u32)) -> Result<()> {
        if keys.is_empty() || self.tail.end == 0 {
            return Ok(());
        }
        let shift = self.tail.shift;
        let last = ((keys.end - 1) >> shift).min((1 << KEY_BITS >> shift) - 1);
        let first = keys.start >> shift;
        if first > last {
            return Ok(());
        }
        let mut from = self.offset(first as usize);
        for group in first..=last {
            let to = self.offset(group as usize + 1);
            let range = self.tail.postings_at.saturating_add(from)..self.tail.postings_at.saturating_add(to);
            from = to;
            if range.start == range.end {
                continue;
            }
            if range.start > range.end || range.end > self.tail.directory_at {
                return Err(self.damaged(range.start, "a group that lies nowhere"));
            }
            let end = (range.end - range.start) as usize * 8;
            let start = range.start;
            self.verified(range)?;
            // Beyond the group for the reader's wide looks; what is there is not decoded.
            let bytes = &self.bytes()[start as usize..];
            let k = u32::from(bytes[0]);
            if k > 48 {
                return Err(self.damaged(start, "a parameter out of range"));
            }
            let mut reader = BitReader::new(bytes, 8, end);
            let length = u64::from(self.tail.end);
            let (mut key, mut tick) = (group << shift, 0u64);
            while let Some(distance) = reader.rice(k) {
                tick = tick.wrapping_add(distance);
                if tick >= length {
                    key = key.wrapping_add((tick / length) as u32);
                    tick %= length;
                }
                if key >= keys.end {
                    break;
                }
                if key >= keys.start {
                    each(key, tick as u32);
                }
            }
        }
        Ok(())
    }

    /// The track at this tick or the last before it.
    fn track_before(&self, tick: i64) -> Option<u32> {
        let (mut from, mut to) = (0, self.tail.tracks);
        while from < to {
            let mid = (from + to) / 2;
            if i64::from(self.row(mid).0) <= tick { from = mid + 1 } else { to = mid }
        }
        from.checked_sub(1)
    }

    /// The track of this name, whether it was removed or not.
    pub fn find(&self, id: &str) -> Result<Option<u32>> {
        let hash = hash(id);
        let ids = &self.bytes()[self.tail.ids_at as usize..self.tail.checks_at as usize];
        let row = |i: u32| {
            let at = i as usize * ID_ROW;
            let hash = u64::from_le_bytes(ids[at..at + 8].try_into().expect("eight bytes"));
            (hash, u32::from_le_bytes(ids[at + 8..at + 12].try_into().expect("four bytes")))
        };
        let (mut from, mut to) = (0, self.tail.tracks);
        while from < to {
            let mid = (from + to) / 2;
            if row(mid).0 < hash { from = mid + 1 } else { to = mid }
        }
        for i in from..self.tail.tracks {
            let (found, track) = row(i);
            if found != hash {
                break;
            }
            if track < self.tail.tracks && self.id(track)? == id {
                return Ok(Some(track));
            }
        }
        Ok(None)
    }

    pub fn id(&self, track: u32) -> Result<&str> {
        take_id(&mut self.blob(track, false)?).ok_or_else(|| self.damaged(self.row(track).3, "a track without an id"))
    }

    /// All that is known of a track.
    pub fn track(&self, track: u32) -> Result<IndexTrack> {
        let mut record = self.blob(track, false)?;
        let mut out =
            IndexTrack::from_record(&mut record).map_err(|e| self.damaged(self.row(track).3, &e.to_string()))?;
        let frames = self.row(track).1;
        let mut stars = Vec::new();
        self.stars(track, 0..frames, &mut stars)?;
        out.landmarks = Constellation::from_stars(stars, frames);
        Ok(out)
    }

    pub fn stars(&self, track: u32, frames: Range<u32>, out: &mut Vec<Star>) -> Result<()> {
        stars::unpack(self.blob(track, true)?, frames, out)
            .ok_or_else(|| self.damaged(self.row(track).2, "peaks that are cut off"))
    }
}

/// Which tracks of a segment were removed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Removed {
    bits: Vec<u64>,
    pub count: u32,
}

impl Removed {
    pub fn contains(&self, track: u32) -> bool {
        self.bits.get(track as usize / 64).is_some_and(|w| w >> (track % 64) & 1 == 1)
    }

    pub fn insert(&mut self, track: u32) {
        let word = track as usize / 64;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.count += u32::from(!self.contains(track));
        self.bits[word] |= 1 << (track % 64);
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.bits.len() as u32 * 64).filter(|&t| self.contains(t))
    }
}

/// A segment without what was removed.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub segment: Arc<Segment>,
    pub removed: Arc<Removed>,
}

impl View {
    pub fn new(segment: Segment) -> Self {
        Self { segment: Arc::new(segment), removed: Arc::default() }
    }

    /// Tracks that are left.
    pub fn len(&self) -> u32 {
        self.segment.tracks() - self.removed.count
    }

    /// The tracks that are left, one after the other, as they were inserted.
    pub fn living(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.segment.tracks()).filter(|&t| !self.removed.contains(t))
    }
}

impl Postings for View {
    fn weight(&self, keys: Range<u32>) -> usize {
        let shift = self.segment.tail.shift;
        let groups = 1usize << KEY_BITS >> shift;
        let from = (keys.start >> shift) as usize;
        let to = ((keys.end.max(1) - 1) >> shift) as usize + 1;
        // Some 21 bits each.
        let bytes = self.segment.offset(to.min(groups)).saturating_sub(self.segment.offset(from.min(groups)));
        (bytes * 3 / 8) as usize
    }

    fn read(&self, keys: Range<u32>, out: &mut Vec<Posting>) -> Result<()> {
        self.segment.postings_of(keys, |key, tick| out.push(Posting { key, frame: tick << TICK_SHIFT }))
    }

    fn track_at(&self, frame: i64) -> Option<TrackAt> {
        let track = self.segment.track_before((frame + i64::from(GAP / 2)) >> TICK_SHIFT)?;
        let (start, frames, ..) = self.segment.row(track);
        let start = start << TICK_SHIFT;
        let near = frame < i64::from(start) + i64::from(frames) + i64::from(GAP / 2);
        (near && !self.removed.contains(track)).then_some(TrackAt { track, start, frames })
    }

    fn stars(&self, track: u32, frames: Range<u32>, out: &mut Vec<Star>) -> Result<()> {
        self.segment.stars(track, frames, out)
    }

    fn tracks(&self) -> u32 {
        self.segment.tracks()
    }

    fn living(&self) -> u32 {
        self.len()
    }

    fn track(&self, track: u32) -> Result<Option<IndexTrack>> {
        if track >= self.segment.tracks() || self.removed.contains(track) {
            return Ok(None);
        }
        self.segment.track(track).map(Some)
    }

    fn find(&self, id: &str) -> Result<Option<u32>> {
        Ok(self.segment.find(id)?.filter(|&t| !self.removed.contains(t)))
    }

    fn id(&self, track: u32) -> Result<String> {
        self.segment.id(track).map(str::to_owned)
    }
}

/// Writes what is left of these segments as one. Gives how each track is numbered in the new one, source by source.
pub(super) fn merge(sources: &[View], name: &str, out: &mut dyn Write) -> Result<Vec<Vec<Option<u32>>>> {
    let mut writer = Writer::new(out, name);
    let mut numbers = Vec::new();
    // Of each source: the track's first tick here minus there.
    let mut moves: Vec<Vec<i64>> = Vec::new();
    let mut next = 0;
    for view in sources {
        let (mut number, mut moved) = (Vec::new(), Vec::new());
        for track in 0..view.segment.tracks() {
            if view.removed.contains(track) {
                number.push(None);
                moved.push(0);
                continue;
            }
            let (start, frames, ..) = view.segment.row(track);
            let (stars, record) = (view.segment.blob(track, true)?, view.segment.blob(track, false)?);
            let here = writer.track(view.segment.id(track)?, frames, stars, record)?;
            number.push(Some(next));
            moved.push(i64::from(here) - i64::from(start));
            next += 1;
        }
        numbers.push(number);
        moves.push(moved);
    }
    let share = |v: &View| v.segment.postings() * u64::from(v.len()) / u64::from(v.segment.tracks().max(1));
    writer.postings(sources.iter().map(share).sum())?;
    let mut group: Vec<u64> = Vec::new();
    for g in 0..writer.groups() {
        group.clear();
        let keys = g << writer.tail.shift..(g + 1) << writer.tail.shift;
        for (view, moved) in sources.iter().zip(&moves) {
            let whole = view.removed.count == 0;
            let by = moved.first().copied().unwrap_or(0);
            view.segment.postings_of(keys.clone(), |key, tick| {
                let by = if whole {
                    by
                } else {
                    match view.segment.track_before(i64::from(tick)) {
                        Some(t) if !view.removed.contains(t) => moved[t as usize],
                        _ => return,
                    }
                };
                group.push(pack(key, (i64::from(tick) + by) as u32));
            })?;
        }
        group.sort(); // runs, which this merges
        writer.group(&group)?;
    }
    writer.finish()?;
    Ok(numbers)
}

fn pack(key: u32, tick: u32) -> u64 {
    u64::from(key) << 32 | u64::from(tick)
}

fn hash(id: &str) -> u64 {
    twox_hash::XxHash3_64::oneshot(id.as_bytes())
}

/// Writes a segment from its first byte to its last.
struct Writer<'a> {
    out: &'a mut dyn Write,
    name: &'a str,
    at: u64,
    block: crc32fast::Hasher,
    checks: Vec<u8>,
    tracks: Vec<u8>,
    ids: Vec<(u64, u32)>,
    offsets: Vec<u64>,
    tail: Tail,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut dyn Write, name: &'a str) -> Self {
        Self {
            out,
            name,
            at: 0,
            block: crc32fast::Hasher::new(),
            checks: Vec::new(),
            tracks: Vec::new(),
            ids: Vec::new(),
            offsets: Vec::new(),
            tail: Tail::default(),
        }
    }

    fn failed(&self, e: io::Error) -> Error {
        Error::io("cannot write", self.name, e)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| self.failed(e))?;
        while !bytes.is_empty() {
            let room = BLOCK - self.at as usize % BLOCK;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.at += now.len() as u64;
            bytes = later;
            if self.at as usize % BLOCK == 0 {
                self.end_block();
            }
        }
        Ok(())
    }

    fn end_block(&mut self) {
        let check = std::mem::take(&mut self.block).finalize();
        self.checks.extend_from_slice(&check.to_le_bytes());
    }

    fn begin(&mut self) -> Result<()> {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        self.write(&head)
    }

    /// Appends a track; gives its first tick.
    fn track(&mut self, id: &str, frames: u32, stars: &[u8], record: &[u8]) -> Result<u32> {
        if self.at == 0 {
            self.begin()?;
        }
        let start = self.tail.end;
        let end = (u64::from(start) << TICK_SHIFT) + u64::from(frames) + u64::from(GAP);
        if end > MAX_FRAMES {
            return Err(Error::Internal("a segment became longer than its time line may be".to_owned()));
        }
        self.tail.end = end.div_ceil(1 << TICK_SHIFT) as u32;
        self.ids.push((hash(id), self.tail.tracks));
        self.tail.tracks += 1;
        self.tracks.extend_from_slice(&start.to_le_bytes());
        self.tracks.extend_from_slice(&frames.to_le_bytes());
        self.tracks.extend_from_slice(&self.at.to_le_bytes());
        self.tracks.extend_from_slice(&(self.at + stars.len() as u64).to_le_bytes());
        self.write(stars)?;
        self.write(record)?;
        Ok(start)
    }

    /// After the last track: about so many postings follow, in groups.
    fn postings(&mut self, count: u64) -> Result<()> {
        if self.at == 0 {
            self.begin()?;
        }
        let bits = (count / GROUP).max(1).ilog2().min(KEY_BITS);
        self.tail.shift = KEY_BITS - bits;
        self.tail.postings_at = self.at;
        self.offsets.push(0);
        Ok(())
    }

    fn groups(&self) -> u32 {
        1 << KEY_BITS >> self.tail.shift
    }

    /// The next group: keys and ticks, sorted.
    fn group(&mut self, postings: &[u64]) -> Result<()> {
        let first = (self.offsets.len() as u64 - 1) << self.tail.shift;
        let length = u64::from(self.tail.end);
        let value = |p: u64| ((p >> 32) - first) * length + (p & 0xFFFF_FFFF);
        if let Some(&last) = postings.last() {
            let k = rice_parameter(value(last), postings.len());
            let mut bits = BitWriter::default();
            bits.put(u64::from(k), 8);
            let mut before = 0;
            for &p in postings {
                let now = value(p);
                bits.rice(now - before, k);
                before = now;
            }
            self.write(&bits.take())?;
        }
        self.tail.postings += postings.len() as u64;
        self.offsets.push(self.at - self.tail.postings_at);
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        debug_assert_eq!(self.offsets.len(), self.groups() as usize + 1);
        self.tail.directory_at = self.at;
        let offsets = std::mem::take(&mut self.offsets);
        let most = offsets.chunks(SUPER).map(|c| c[c.len() - 1] - c[0]).max().unwrap_or(0);
        self.tail.width = u64::BITS - most.leading_zeros();
        for row in offsets.chunks(SUPER) {
            let mut bits = BitWriter::default();
            (0..SUPER).for_each(|i| bits.put(row.get(i).map_or(0, |o| o - row[0]), self.tail.width));
            self.write(&row[0].to_le_bytes())?;
            self.write(&bits.take())?;
        }
        self.tail.tracks_at = self.at;
        let tracks = std::mem::take(&mut self.tracks);
        self.write(&tracks)?;
        self.tail.ids_at = self.at;
        self.ids.sort_unstable();
        let ids = std::mem::take(&mut self.ids);
        for (hash, track) in ids {
            self.write(&hash.to_le_bytes())?;
            self.write(&track.to_le_bytes())?;
        }
        self.tail.checks_at = self.at;
        if self.at as usize % BLOCK != 0 {
            self.end_block();
        }
        let rest = [&self.checks[..], &self.tail.to_bytes()].concat();
        self.out.write_all(&rest).and_then(|()| self.out.flush()).map_err(|e| self.failed(e))
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::random_track;
    use super::*;

    /// The checksums of what is before them, made anew.
    fn with_checks(bytes: &mut [u8], checks_at: usize) {
        for block in 0..checks_at.div_ceil(BLOCK) {
            let check = crc32fast::hash(&bytes[block * BLOCK..checks_at.min((block + 1) * BLOCK)]);
            bytes[checks_at + 4 * block..][..4].copy_from_slice(&check.to_le_bytes());
        }
    }

    #[test]
    fn a_directory_that_runs_backwards_is_damage() {
        let track = random_track("a", 1, 4_000);
        let whole = Segment::of(&[(&track, b"record")]).unwrap();
        let mut bytes = (*whole.bytes).as_ref().to_vec();
        let (directory, checks) = (whole.tail.directory_at as usize, whole.tail.checks_at as usize);
        // The second row of the directory begins before the first ends.
        let second = directory + 8 + whole.tail.width as usize * SUPER / 8;
        assert!(second + 8 < whole.tail.tracks_at as usize);
        bytes[second..second + 8].fill(0);
        with_checks(&mut bytes, checks);
        let broken = Segment::open(Arc::new(bytes), "it").unwrap();
        let all = 0..1 << KEY_BITS;
        assert!(whole.postings_of(all.clone(), |_, _| {}).is_ok());
        let said = broken.postings_of(all, |_, _| {}).unwrap_err().to_string();
        assert!(said.contains("it is damaged") && said.contains("a group that lies nowhere"), "{said}");
    }
}

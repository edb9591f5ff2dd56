//! Many constellations, searched at once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::constellation::{Constellation, Star};
use super::matching::{self, Match, QueryOptions};
use super::pairs::{self, KEY_BITS};
use super::postings::{Posting, Postings, TrackAt};
use super::sketch::Sketch;
use crate::error::{Error, Result};

/// Frames between tracks on the time line of a segment.
const GAP: u32 = 2_048;
/// One track of a segment.
#[derive(Debug, Clone)]
struct Entry {
    id: Arc<str>,
    /// Where it begins on the time line.
    start: u32,
    constellation: Arc<Constellation>,
}

/// Some tracks, one after the other on a time line, and the places of their pairs, sorted by key.
#[derive(Debug)]
pub(super) struct Segment {
    entries: Vec<Entry>,
    end: u32,
    /// Where the list of each range of `1 << shift` keys begins.
    directory: Vec<u32>,
    shift: u32,
    /// The key of each place, where a range has more than one.
    keys: Vec<u32>,
    places: Vec<u32>,
}

impl Segment {
    fn new(tracks: impl IntoIterator<Item = (Arc<str>, Arc<Constellation>)>) -> Self {
        let mut end = GAP;
        let mut entries = Vec::new();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (id, constellation) in tracks {
            pairs::of_stars(constellation.stars(), |key, frame| {
                pairs.push((key, (end + frame) >> pairs::TICK_SHIFT << pairs::TICK_SHIFT))
            });
            let frames = constellation.frames();
            entries.push(Entry { id, start: end, constellation });
            end += frames + GAP;
        }
        // About as many ranges as places, so that a small segment is small.
        let bits = pairs.len().next_power_of_two().trailing_zeros().clamp(8, KEY_BITS);
        let shift = KEY_BITS - bits;
        pairs.sort_unstable();
        let mut directory = vec![0u32; (1 << bits) + 1];
        pairs.iter().for_each(|&(key, _)| directory[(key >> shift) as usize + 1] += 1);
        let mut sum = 0;
        directory.iter_mut().for_each(|n| {
            sum += *n;
            *n = sum;
        });
        let keys = if shift == 0 { Vec::new() } else { pairs.iter().map(|p| p.0).collect() };
        let places = pairs.iter().map(|p| p.1).collect();
        Self { entries, end, directory, shift, keys, places }
    }

    /// Where the pairs with this key are.
    #[inline]
    pub fn list(&self, key: u32) -> &[u32] {
        let range = (key >> self.shift) as usize;
        let (from, to) = (self.directory[range] as usize, self.directory[range + 1] as usize);
        if self.shift == 0 || from == to {
            return &self.places[from..to];
        }
        let keys = &self.keys[from..to];
        let (low, high) = (keys.partition_point(|&k| k < key), keys.partition_point(|&k| k <= key));
        &self.places[from + low..from + high]
    }

    fn entry_at(&self, at: f32) -> Option<usize> {
        let i = self.entries.partition_point(|e| (e.start as f32) <= at + GAP as f32 / 2.0);
        i.checked_sub(1)
    }
}

/// Many tracks, searched at once. In memory.
#[derive(Debug, Clone, Default)]
pub struct Index {
    segments: Vec<Arc<Segment>>,
    /// Which tracks there are; what is in a segment but not here, or here under another segment, was removed.
    living: HashMap<Arc<str>, Arc<Constellation>>,
}

impl Index {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tracks there are.
    pub fn len(&self) -> usize {
        self.living.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.living.is_empty()
    }

    /// How many pairs are kept.
    pub fn postings(&self) -> usize {
        self.segments.iter().map(|s| s.places.len()).sum()
    }

    /// Adds a track. Errors when there is one of this name; then nothing is changed.
    pub fn insert(&mut self, id: &str, constellation: &Constellation) -> Result<()> {
        if self.living.contains_key(id) {
            return Err(Error::invalid(format!("\"{id}\" is in the index already; remove it first")));
        }
        let (id, constellation) = (Arc::<str>::from(id), Arc::new(constellation.clone()));
        self.living.insert(id.clone(), constellation.clone());
        // Small neighbours are merged: each segment is more than twice as long as the next, so a track is moved only some
        // log2(n) times.
        let (mut tracks, mut frames) = (vec![(id, constellation.clone())], u64::from(constellation.frames() + GAP));
        while let Some(last) = self.segments.last() {
            let end = u64::from(last.end);
            if end > 2 * frames || end + frames > u64::from(u32::MAX) / 2 {
                break;
            }
            frames += end;
            let last = self.segments.pop().expect("there is one");
            let alive = last.entries.iter().filter(|e| self.lives(e)).map(|e| (e.id.clone(), e.constellation.clone()));
            tracks.splice(0..0, alive);
        }
        self.segments.push(Arc::new(Segment::new(tracks)));
        Ok(())
    }

    /// Takes a track out; whether it was there. Its place is free again when its segment is merged, at the latest when half of
    /// the segment is gone.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(gone) = self.living.remove(id) else { return false };
        let holds = |s: &Arc<Segment>| s.entries.iter().any(|e| Arc::ptr_eq(&e.constellation, &gone));
        let Some(at) = self.segments.iter().position(holds) else { return true };
        let alive: Vec<_> = self.segments[at].entries.iter().filter(|e| self.lives(e)).collect();
        if 2 * alive.len() <= self.segments[at].entries.len() {
            let tracks: Vec<_> = alive.iter().map(|e| (e.id.clone(), e.constellation.clone())).collect();
            if tracks.is_empty() {
                self.segments.remove(at);
            } else {
                self.segments[at] = Arc::new(Segment::new(tracks));
            }
        }
        true
    }

    fn lives(&self, e: &Entry) -> bool {
        self.living.get(&e.id).is_some_and(|c| Arc::ptr_eq(c, &e.constellation))
    }

    /// Which tracks sound in the query: the best first, none below the threshold.
    pub fn query(&self, sketch: &Sketch, options: &QueryOptions) -> Result<Vec<Match>> {
        let views: Vec<View<'_>> = self.segments.iter().map(|segment| View { segment, index: self }).collect();
        let segments: Vec<&dyn Postings> = views.iter().map(|v| v as &dyn Postings).collect();
        matching::search(&segments, sketch, options)
    }
}

/// A segment without what was removed.
#[derive(Debug)]
struct View<'a> {
    segment: &'a Segment,
    index: &'a Index,
}

impl Postings for View<'_> {
    fn weight(&self, keys: Range<u32>) -> usize {
        let (from, to) = (keys.start >> self.segment.shift, (keys.end - 1) >> self.segment.shift);
        (self.segment.directory[to as usize + 1] - self.segment.directory[from as usize]) as usize
    }

    fn read(&self, keys: Range<u32>, out: &mut Vec<Posting>) -> Result<()> {
        for key in keys {
            out.extend(self.segment.list(key).iter().map(|&frame| Posting { key, frame }));
        }
        Ok(())
    }

    fn track_at(&self, frame: i64) -> Option<TrackAt> {
        let track = self.segment.entry_at(frame as f32)?;
        let entry = &self.segment.entries[track];
        self.index.lives(entry).then(|| TrackAt {
            track: track as u32,
            start: entry.start,
            frames: entry.constellation.frames(),
        })
    }

    fn stars(&self, track: u32, frames: Range<u32>, out: &mut Vec<Star>) -> Result<()> {
        let stars = self.segment.entries[track as usize].constellation.stars();
        let (from, to) =
            (stars.partition_point(|s| s.frame < frames.start), stars.partition_point(|s| s.frame < frames.end));
        out.extend_from_slice(&stars[from..to.max(from)]);
        Ok(())
    }

    fn id(&self, track: u32) -> Result<String> {
        Ok(self.segment.entries[track as usize].id.to_string())
    }
}

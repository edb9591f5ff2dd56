//! Votes: pairs that the query and a track share point at a place in the track; where many point at one place there is a
//! hypothesis.
//!
//! The keys of a pair in other keys of music lie side by side, so one reading serves all of them. The votes of each are put
//! down one after the other, and counted afterwards in a table small enough for a processor's cache.

use super::pairs::{Asked, KEY_BITS, MAX_GAP, MAX_STEP, TICK_SHIFT, key};
use super::postings::{Posting, Postings};
use super::{BANDS, pairs};
use crate::error::Result;

/// Places are counted in a table of at most this many entries; what falls into one entry by chance is told apart by the
/// verification.
const MOST_ENTRIES: usize = 1 << 20;
/// Width of a place in frames, as a power of two.
const PLACE_SHIFT: u32 = if TICK_SHIFT > 2 { TICK_SHIFT } else { 2 };
/// Places before the beginning of the time line.
const BEFORE: i64 = 1 << 12;

/// A place that got votes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub votes: u32,
    /// Frame on the segment's time line that lies at the middle of the query.
    pub at: i64,
    /// Bands that the query is higher than the track.
    pub pitch: i32,
}

/// Keys that are read at once.
#[derive(Debug, Clone, Copy)]
struct Read {
    from: u32,
    to: u32,
    /// Number of the pair.
    pair: u32,
    /// Likelihood, of any scale, that the pair of the track is among them.
    likely: f32,
}

/// What the counting needs from one call to the next.
#[derive(Debug, Default)]
pub(super) struct Votes {
    reads: Vec<Read>,
    weights: Vec<u32>,
    order: Vec<u32>,
    read: Vec<Posting>,
    planes: Vec<Plane>,
    table: Vec<u16>,
    full: Vec<u32>,
}

/// The votes for one key of music: places, and where those of each anchor end.
#[derive(Debug, Default)]
struct Plane {
    places: Vec<u32>,
    ends: Vec<u32>,
}

/// How the pairs are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// Bands that the query may be higher or lower than the tracks.
    pub pitch: i32,
    /// How many times as fast as the query's the time of the tracks runs.
    pub rate: f32,
    /// Frame of the query that places are given for.
    pub middle: f32,
    /// This many places come back for each band of pitch, the fullest first.
    pub places: usize,
    /// About as many postings are read at most: the likeliest and rarest.
    pub budget: usize,
}

impl Votes {
    /// Lets the pairs of a query vote.
    pub fn count(&mut self, segment: &dyn Postings, asked: &[Asked], pass: &Pass) -> Result<Vec<Place>> {
        self.plan(asked, pass);
        self.thin(segment, pass.budget);
        self.gather(segment, asked, pass)?;
        let mut out = Vec::new();
        for (i, plane) in self.planes.iter().enumerate().take(2 * pass.pitch as usize + 1) {
            fullest(plane, &mut self.table, &mut self.full, pass.places, i as i32 - pass.pitch, &mut out);
        }
        Ok(out)
    }

    /// Which keys to read.
    fn plan(&mut self, asked: &[Asked], pass: &Pass) {
        self.reads.clear();
        for (pair, q) in asked.iter().enumerate() {
            let gap = (q.gap as f32 * pass.rate + 0.5) as i32;
            let low = pairs::half((gap - 1).clamp(pairs::MIN_GAP as i32, MAX_GAP as i32));
            let high = pairs::half((gap + 1).clamp(pairs::MIN_GAP as i32, MAX_GAP as i32));
            let reach = pass.pitch as f32 + 0.75;
            let bands = (q.anchor - reach).ceil().max(0.0) as i32..=((q.anchor + reach) as i32).min(BANDS as i32 - 1);
            let step = (q.target - q.anchor).round();
            let part = q.target - q.anchor - step;
            let steps = [(step, 1.0), (step + part.signum(), if part.abs() > 0.25 { 0.4 } else { 0.0 })];
            for (step, share) in steps {
                if share == 0.0 || step.abs() > MAX_STEP as f32 || bands.is_empty() {
                    continue;
                }
                for half in low..=high {
                    let (from, to) = (key(*bands.start(), step as i32, half), key(*bands.end(), step as i32, half) + 1);
                    let exact = if half == pairs::half(gap) { 1.0 } else { 0.5 };
                    self.reads.push(Read { from, to, pair: pair as u32, likely: share * exact * q.likely });
                }
            }
        }
    }

    /// Leaves out of the readings what the budget does not allow: the least likely for what they cost.
    fn thin(&mut self, segment: &dyn Postings, budget: usize) {
        self.weights.clear();
        self.weights.extend(self.reads.iter().map(|r| segment.weight(r.from..r.to).min(u32::MAX as usize) as u32));
        if self.weights.iter().map(|&w| w as usize).sum::<usize>() <= budget {
            return;
        }
        let worth = |i: u32| self.reads[i as usize].likely / (self.weights[i as usize] as f32 + 32.0);
        self.order.clear();
        self.order.extend(0..self.reads.len() as u32);
        self.order.sort_unstable_by(|&a, &b| worth(b).total_cmp(&worth(a)).then(a.cmp(&b)));
        let mut left = budget;
        let afford = |&i: &u32| {
            let weight = self.weights[i as usize] as usize;
            let yes = weight <= left;
            left = left.saturating_sub(weight);
            yes
        };
        let affordable = self.order.iter().copied().take_while(afford).count().max(1);
        self.order.truncate(affordable);
        self.order.sort_unstable();
        let kept: Vec<Read> = self.order.iter().map(|&i| self.reads[i as usize]).collect();
        self.reads = kept;
    }

    /// Reads, and puts the votes down.
    fn gather(&mut self, segment: &dyn Postings, asked: &[Asked], pass: &Pass) -> Result<()> {
        let Self { reads, read, planes, .. } = self;
        let count = 2 * pass.pitch as usize + 1;
        planes.resize_with(planes.len().max(count), Plane::default);
        let planes = &mut planes[..count];
        planes.iter_mut().for_each(|p| {
            p.places.clear();
            p.ends.clear();
        });
        let mut last_frame = u32::MAX;
        for r in reads.iter() {
            let q = &asked[r.pair as usize];
            if q.frame != last_frame {
                planes.iter_mut().for_each(|p| p.ends.push(p.places.len() as u32));
                last_frame = q.frame;
            }
            read.clear();
            segment.read(r.from..r.to, read)?;
            // Frames of the track from the anchor to the middle of the query.
            let to_middle = ((pass.middle - q.frame as f32) * pass.rate).round() as i64 + (BEFORE << PLACE_SHIFT);
            let band = q.anchor.round();
            let part = q.anchor - band;
            let (band, twin) = (band as i32 + pass.pitch, if part.abs() > 0.25 { part.signum() as i32 } else { 0 });
            for at in read.iter() {
                let place = ((i64::from(at.frame) + to_middle) >> PLACE_SHIFT) as u32;
                let plane = band - (at.key & 0xFF) as i32;
                if let Some(p) = planes.get_mut(plane as usize) {
                    p.places.push(place);
                }
                if twin != 0
                    && let Some(p) = planes.get_mut((plane + twin) as usize)
                {
                    p.places.push(place);
                }
            }
        }
        planes.iter_mut().for_each(|p| p.ends.push(p.places.len() as u32));
        Ok(())
    }
}

/// The places with the most votes, one from each anchor.
fn fullest(plane: &Plane, table: &mut Vec<u16>, full: &mut Vec<u32>, most: usize, pitch: i32, out: &mut Vec<Place>) {
    let entries = (2 * plane.places.len()).next_power_of_two().clamp(1 << 10, MOST_ENTRIES);
    let mask = entries - 1;
    table.clear();
    table.resize(entries, 0);
    full.clear();
    let mut threshold = 3u16;
    let mut from = 0;
    for (anchor, &to) in plane.ends.iter().enumerate() {
        // Above: which anchor was the last to vote, of those nearby; below: how many have.
        let tag = (anchor % 255 + 1) as u16;
        for &place in &plane.places[from..to as usize] {
            let entry = &mut table[place as usize & mask];
            if *entry >> 8 == tag {
                continue;
            }
            let votes = ((*entry & 0xFF) + 1).min(0xFF);
            *entry = tag << 8 | votes;
            if votes == threshold {
                full.push(place);
            }
        }
        from = to as usize;
        if full.len() > 6 * most.max(16) {
            threshold += 1;
            full.retain(|&p| table[p as usize & mask] & 0xFF >= threshold);
        }
    }
    let votes = |p: u32| u32::from(table[p as usize & mask] & 0xFF);
    let begin = out.len();
    out.extend(full.iter().filter_map(|&p| {
        let (before, here, behind) = (votes(p.wrapping_sub(1)), votes(p), votes(p.wrapping_add(1)));
        // Of two neighbours one is enough.
        if before > here || behind >= here {
            return None;
        }
        let width = 1i64 << PLACE_SHIFT;
        let off = (i64::from(behind) - i64::from(before)) * width / i64::from(before + here + behind);
        let at = ((i64::from(p) - BEFORE) << PLACE_SHIFT) + width / 2 + off;
        Some(Place { votes: here + before.max(behind), at, pitch })
    }));
    out[begin..].sort_unstable_by_key(|p| (std::cmp::Reverse(p.votes), p.at));
    out.truncate(begin + most);
}

const _: () = assert!(MAX_GAP < 64 && 2 * MAX_STEP < 128 && BANDS <= 256 && KEY_BITS == 20);

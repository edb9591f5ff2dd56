//! Votes: pairs that the query and a track share point at a place in the track; where many point at one place there is a
//! hypothesis.

use super::pairs::{Asked, KEY_BITS, MAX_GAP, MAX_STEP, key};
use super::postings::{Posting, Postings};
use super::{BANDS, pairs};
use crate::error::Result;

/// Places are counted in a table of this many entries; what falls into one entry by chance is told apart by the verification.
const TABLE: usize = 1 << 21;

/// A place that got votes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub votes: u32,
    /// Frame on the segment's time line that lies at the middle of the query.
    pub at: i64,
}

/// The counters; they are never cleared, but know of which call they are.
pub(super) struct Votes {
    /// Serial number of the last anchor that voted (24 bits), and how many have.
    table: Vec<u32>,
    serial: u32,
    full: Vec<i64>,
    read: Vec<Posting>,
}

impl Votes {
    pub fn new() -> Self {
        Self { table: vec![0; TABLE], serial: 1, full: Vec::new(), read: Vec::new() }
    }

    /// Lets the pairs of a query vote, the query being `pitch` bands too high and its time running `rate` times as fast as
    /// the tracks'. `middle` is the frame of the query that places are given for; a place is `1 << shift` frames wide. The
    /// best `most` come back, the fullest first.
    #[allow(clippy::too_many_arguments)]
    pub fn count(
        &mut self,
        segment: &dyn Postings,
        asked: &[Asked],
        pitch: i32,
        rate: f32,
        middle: f32,
        shift: u32,
        most: usize,
    ) -> Result<Vec<Place>> {
        if self.serial > (1 << 24) - 1 - asked.len() as u32 {
            self.table.fill(0);
            self.serial = 1;
        }
        let first = self.serial;
        let (mut threshold, mut last_frame) = (3u32, u32::MAX);
        self.full.clear();
        for q in asked {
            if q.frame != last_frame {
                self.serial += 1;
                last_frame = q.frame;
            }
            let serial = self.serial;
            // Frames of the track from the anchor to the middle of the query.
            let to_middle = ((middle - q.frame as f32) * rate).round() as i64;
            let gap = (q.gap as f32 * rate).round() as i32;
            let (low, high) = ((gap - 1).max(pairs::MIN_GAP as i32), (gap + 1).min(MAX_GAP as i32));
            for (i, &target) in [q.target.0, q.target.1].iter().enumerate() {
                if i == 1 && target == q.target.0 {
                    break;
                }
                for (j, &anchor) in [q.anchor.0, q.anchor.1].iter().enumerate() {
                    if j == 1 && anchor == q.anchor.0 {
                        break;
                    }
                    let (step, band) = (target - anchor, anchor - pitch);
                    if step.abs() > MAX_STEP || band < 0 || band >= BANDS as i32 {
                        continue;
                    }
                    for gap in low..=high {
                        let key = key(band, step, gap);
                        self.read.clear();
                        segment.read(key..key + 1, &mut self.read)?;
                        for at in &self.read {
                            let place = (i64::from(at.frame) + to_middle) >> shift;
                            let entry = &mut self.table[place as usize & (TABLE - 1)];
                            let (by, votes) = (*entry >> 8, *entry & 0xFF);
                            if by == serial {
                                continue;
                            }
                            let votes = if by > first { (votes + 1).min(255) } else { 1 };
                            *entry = serial << 8 | votes;
                            if votes == threshold {
                                self.full.push(place);
                            }
                        }
                    }
                }
            }
            if self.full.len() > 8 * most.max(64) {
                threshold += 1;
                let (table, t) = (&self.table, threshold);
                self.full.retain(|&p| table[p as usize & (TABLE - 1)] & 0xFF >= t);
            }
        }
        self.serial += 1;
        let mut places: Vec<Place> = self
            .full
            .iter()
            .map(|&p| Place {
                votes: self.table[p as usize & (TABLE - 1)] & 0xFF,
                at: (p << shift) + (1 << shift >> 1),
            })
            .collect();
        places.sort_unstable_by_key(|p| (std::cmp::Reverse(p.votes), p.at));
        places.truncate(most);
        Ok(places)
    }
}

const _: () = assert!(MAX_GAP < 64 && 2 * MAX_STEP < 128 && BANDS <= 256 && KEY_BITS == 21);

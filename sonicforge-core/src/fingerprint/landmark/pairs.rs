//! Peaks → pairs: what is looked up. A pair is an anchor and a target behind it; its key says the band of the anchor, and how
//! far the target is away in bands and frames.

use super::constellation::Star;
use super::peaks::Peak;

/// Frames from an anchor to its target.
pub(super) const MIN_GAP: u32 = 3;
pub(super) const MAX_GAP: u32 = 50;
/// Bands between them, up or down.
pub(super) const MAX_STEP: i32 = 40;
/// Bits of a key: 7 for the step, 5 for half the gap, 8 for the band. The band is last, so that the keys of a pair in other keys
/// of music lie side by side.
pub(in super::super) const KEY_BITS: u32 = 20;
/// An index may keep the frame of a pair in steps of `1 << TICK_SHIFT` frames, rounded down.
pub(in super::super) const TICK_SHIFT: u32 = 2;

/// Only peaks below this rank make pairs in the index …
pub(super) const INDEX_RANK: u8 = 10;
/// … each with this many targets.
pub(super) const INDEX_FAN: usize = 3;

/// A gap in steps of two frames.
pub(super) fn half(gap: i32) -> i32 {
    gap >> 1
}

/// The key of a pair; `half` as [`half`] makes it of the gap.
pub(super) fn key(band: i32, step: i32, half: i32) -> u32 {
    ((step + MAX_STEP) as u32) << 13 | (half as u32) << 8 | band as u32
}

/// The pairs of a constellation: key, and frame of the anchor.
pub(super) fn of_stars(stars: &[Star], mut pair: impl FnMut(u32, u32)) {
    let mut targets: Vec<(u8, u32, &Star)> = Vec::new();
    for (i, anchor) in stars.iter().enumerate().filter(|(_, s)| s.rank < INDEX_RANK) {
        targets.clear();
        for t in &stars[i + 1..] {
            let gap = t.frame - anchor.frame;
            if gap > MAX_GAP {
                break;
            }
            let step = i32::from(t.band) - i32::from(anchor.band);
            if gap >= MIN_GAP && step.abs() <= MAX_STEP && t.rank < INDEX_RANK {
                targets.push((t.rank, gap, t));
            }
        }
        targets.sort_unstable_by_key(|&(rank, gap, t)| (rank, gap, t.band));
        for &(_, gap, t) in targets.iter().take(INDEX_FAN) {
            let step = i32::from(t.band) - i32::from(anchor.band);
            pair(key(i32::from(anchor.band), step, half(gap as i32)), anchor.frame);
        }
    }
}

/// A pair of the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Frame of the anchor.
    pub frame: u32,
    pub gap: i32,
    /// Bands of anchor and target, with their fractions.
    pub anchor: f32,
    pub target: f32,
    /// How likely an index has it, of any scale.
    pub likely: f32,
}

/// The pairs of a query, anchor by anchor: of its peaks below `rank` each with `fan` targets, the strongest first.
pub(super) fn of_peaks(peaks: &[Peak], rank: u16, fan: usize) -> Vec<Asked> {
    let mut out = Vec::new();
    let mut targets: Vec<&Peak> = Vec::new();
    let place = |p: &Peak| f32::from(p.band) + f32::from(p.fraction) / 128.0;
    for (i, anchor) in peaks.iter().enumerate().filter(|(_, p)| p.rank < rank) {
        targets.clear();
        for t in &peaks[i + 1..] {
            let gap = t.frame - anchor.frame;
            if gap > MAX_GAP {
                break;
            }
            let step = i32::from(t.band) - i32::from(anchor.band);
            if gap >= MIN_GAP && step.abs() <= MAX_STEP && t.rank < rank {
                targets.push(t);
            }
        }
        targets.sort_unstable_by_key(|t| (std::cmp::Reverse(t.height), t.frame, t.band));
        for (nth, t) in targets.iter().take(fan).enumerate() {
            out.push(Asked {
                frame: anchor.frame,
                gap: (t.frame - anchor.frame) as i32,
                anchor: place(anchor),
                target: place(t),
                likely: 1.0 / ((2 + nth) as f32 * (8.0 + f32::from(anchor.rank))),
            });
        }
    }
    out
}

//! The peaks of one track in few bytes: about 13.7 bits each.
//!
//! ```text
//! u32 number of peaks · u8 k · for each 256 peaks: u32 cell of the first, u32 bit where its rank begins
//! then bits: the rank (4) of each first; of each other the distance from the cell before − 1 (Rice, k) and the rank
//! ```
//! The cell of a peak is its frame × 180 + its band.

use std::ops::Range;

use super::bits::{BitReader, BitWriter, rice_parameter};
use crate::fingerprint::landmark::BANDS;
use crate::fingerprint::{Constellation, Star};

/// Peaks from one place where reading can begin to the next.
const STEP: usize = 256;
const RANK_BITS: u32 = 4;
const HEAD: usize = 5;

fn cell(s: &Star) -> u32 {
    s.frame * BANDS as u32 + u32::from(s.band)
}

/// Packs a constellation. Its frames are few enough for cells of 32 bits (see `IndexTrack::check`).
pub(super) fn pack(constellation: &Constellation) -> Vec<u8> {
    let stars = constellation.stars();
    let span = stars.first().zip(stars.last()).map_or(0, |(a, b)| u64::from(cell(b) - cell(a)));
    let k = rice_parameter(span.saturating_sub(stars.len() as u64), stars.len());
    let (mut bits, mut places) = (BitWriter::default(), Vec::new());
    for block in stars.chunks(STEP) {
        places.extend_from_slice(&cell(&block[0]).to_le_bytes());
        places.extend_from_slice(&(bits.len() as u32).to_le_bytes());
        for (i, s) in block.iter().enumerate() {
            if i > 0 {
                bits.rice(u64::from(cell(s) - cell(&block[i - 1]) - 1), k);
            }
            bits.put(u64::from(s.rank), RANK_BITS);
        }
    }
    let mut out = Vec::with_capacity(HEAD + places.len() + bits.len() / 8 + 1);
    out.extend_from_slice(&(stars.len() as u32).to_le_bytes());
    out.push(k as u8);
    out.extend_from_slice(&places);
    out.extend_from_slice(&bits.take());
    out
}

/// Appends the peaks within these frames. None when `bytes`, which may be longer than what was packed, is damaged.
pub(super) fn unpack(bytes: &[u8], frames: Range<u32>, out: &mut Vec<Star>) -> Option<()> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let count = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let k = u32::from(head[4]);
    let blocks = count.div_ceil(STEP);
    let (places, bits) = rest.split_at_checked(blocks.checked_mul(8)?)?;
    if k > 32 {
        return None;
    }
    let place = |i: usize| {
        let at = |from: usize| u32::from_le_bytes(places[from..from + 4].try_into().expect("four bytes"));
        (at(8 * i), at(8 * i + 4))
    };
    let low = u64::from(frames.start) * BANDS as u64;
    let high = u64::from(frames.end) * BANDS as u64;
    // The last block that begins before the first frame asked for.
    let (mut from, mut to) = (0, blocks);
    while from < to {
        let mid = (from + to) / 2;
        if u64::from(place(mid).0) <= low { from = mid + 1 } else { to = mid }
    }
    for block in from.saturating_sub(1)..blocks {
        let (first, bit) = place(block);
        let mut cell = u64::from(first);
        let mut reader = BitReader::new(bits, bit as usize, bits.len() * 8);
        for i in 0..STEP.min(count - block * STEP) {
            if i > 0 {
                cell = cell.checked_add(reader.rice(k)? + 1).filter(|&c| c <= u64::from(u32::MAX))?;
            }
            let rank = reader.get(RANK_BITS) as u8;
            if cell >= high {
                return Some(());
            }
            if cell >= low {
                out.push(Star { frame: (cell / BANDS as u64) as u32, band: (cell % BANDS as u64) as u8, rank });
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;

    #[test]
    fn any_stretch_comes_back() {
        let mut rng = Xorshift::new(5);
        for count in [0usize, 1, 255, 256, 257, 3_000] {
            let mut cells: Vec<u32> = (0..count).map(|_| (rng.next_u64() % (count as u64 * 400)) as u32).collect();
            cells.sort_unstable();
            cells.dedup();
            let frames = cells.last().map_or(0, |c| c / BANDS as u32 + 1);
            let stars: Vec<Star> = cells
                .iter()
                .map(|c| Star {
                    frame: c / BANDS as u32,
                    band: (c % BANDS as u32) as u8,
                    rank: (rng.next_u64() % 16) as u8,
                })
                .collect();
            let made = Constellation::from_stars(stars.clone(), frames);
            let mut bytes = pack(&made);
            assert!(count < 1_000 || bytes.len() * 8 < stars.len() * 15, "{} bytes for {}", bytes.len(), stars.len());
            bytes.extend_from_slice(&[0xFF; 20]); // another track
            for _ in 0..50 {
                let from = (rng.next_u64() % u64::from(frames + 1)) as u32;
                let to = from + (rng.next_u64() % 900) as u32;
                let mut read = Vec::new();
                unpack(&bytes, from..to, &mut read).unwrap();
                let expected: Vec<Star> = stars.iter().filter(|s| (from..to).contains(&s.frame)).copied().collect();
                assert_eq!(read, expected);
            }
        }
    }

    #[test]
    fn noise_is_refused_or_read_but_never_panics() {
        let mut rng = Xorshift::new(6);
        for len in 0..400usize {
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            if len > 4 {
                bytes[1..4].fill(0);
                bytes[4] %= 40;
            }
            let _ = unpack(&bytes, 0..u32::MAX, &mut Vec::new());
        }
    }
}

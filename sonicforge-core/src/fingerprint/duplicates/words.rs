//! Whole files by their Chromaprints: which pairs share words at one distance, and how many bits differ there.
//!
//! A word that only one track has says nothing, and one that a track repeats (silence, a held note) says nothing either; what is
//! looked up are the 28 highest bits, as AcoustID does.

use std::collections::HashMap;

/// Bits that are left out of the look-up: those of the last two classifiers.
const LOW_BITS: u32 = 4;
/// A word that more tracks have joins nobody.
const COMMON: usize = 64;
/// Words that a pair must share at one distance.
const LEAST: usize = 6;
/// Of the distances of a pair, the best so many.
const DISTANCES: usize = 2;
/// Words that an overlap must have, and how many different ones among a hundred: else it is a held note or silence.
const OVERLAP: usize = 30;
const DIVERSITY: usize = 30;

/// Two tracks that might be one: word `a` of the first is word `a + distance` of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joined {
    pub first: usize,
    pub second: usize,
    pub distance: i64,
    pub shared: usize,
}

/// All pairs of tracks that share words.
pub(super) fn join(prints: &[&[u32]]) -> Vec<Joined> {
    let mut words: Vec<(u32, u32, u32)> = Vec::new();
    for (track, print) in prints.iter().enumerate() {
        for (at, w) in print.iter().enumerate() {
            words.push((w >> LOW_BITS, track as u32, at as u32));
        }
    }
    words.sort_unstable();
    let mut votes: HashMap<(u32, u32), HashMap<i32, u32>> = HashMap::new();
    for same in words.chunk_by(|a, b| a.0 == b.0) {
        // Of each track the word must be rare in it.
        let places: Vec<_> = same.chunk_by(|a, b| a.1 == b.1).filter(|c| c.len() <= 3).flatten().collect();
        if places.len() > COMMON {
            continue;
        }
        for (i, a) in places.iter().enumerate() {
            for b in &places[i + 1..] {
                if a.1 != b.1 {
                    *votes.entry((a.1, b.1)).or_default().entry(b.2 as i32 - a.2 as i32).or_default() += 1;
                }
            }
        }
    }
    let mut out = Vec::new();
    for ((first, second), distances) in votes {
        let mut best: Vec<(u32, i32)> = distances.into_iter().map(|(d, n)| (n, d)).collect();
        best.sort_unstable_by_key(|&(n, d)| (std::cmp::Reverse(n), d));
        for &(shared, distance) in best.iter().take(DISTANCES).filter(|b| b.0 as usize >= LEAST) {
            let (first, second) = (first as usize, second as usize);
            out.push(Joined { first, second, distance: distance.into(), shared: shared as usize });
        }
    }
    out.sort_unstable_by_key(|j| (j.first, j.second, std::cmp::Reverse(j.shared), j.distance));
    out
}

/// The share of bits that differ where two prints overlap. None when the overlap is short, or of too few different words.
pub(super) fn bit_error(first: &[u32], second: &[u32], distance: i64) -> Option<f64> {
    let from = (-distance).max(0) as usize;
    let a = first.get(from..)?;
    let b = second.get(distance.max(0) as usize..)?;
    let n = a.len().min(b.len());
    if n < OVERLAP {
        return None;
    }
    let mut different: Vec<u32> = a[..n].to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() * 100 < n * DIVERSITY {
        return None;
    }
    let bits: u32 = a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum();
    Some(f64::from(bits) / (32.0 * n as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;

    #[test]
    fn a_pair_is_found_at_its_distance_and_silence_is_not() {
        let mut rng = Xorshift::new(7);
        let mut word = || rng.next_u64() as u32;
        let a: Vec<u32> = (0..400).map(|_| word()).collect();
        // The same from word 50 on, with one bit in each third word flipped.
        let b: Vec<u32> = a[50..].iter().enumerate().map(|(i, w)| if i % 3 == 0 { w ^ 1 << 9 } else { *w }).collect();
        let other: Vec<u32> = (0..400).map(|_| word()).collect();
        let silence = vec![627_964_279; 400];
        let found = join(&[&a, &b, &other, &silence, &silence]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].first, found[0].second, found[0].distance), (0, 1, -50));
        let error = bit_error(&a, &b, -50).unwrap();
        assert!((error - 1.0 / 96.0).abs() < 1e-3, "{error}");
        assert!((bit_error(&a, &other, 0).unwrap() - 0.5).abs() < 0.03);
        assert_eq!(bit_error(&silence, &silence, 0), None);
        assert_eq!(bit_error(&a, &b, 9_999), None);
    }
}

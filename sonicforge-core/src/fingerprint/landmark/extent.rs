//! From where to where in the query is the track heard? The log-likelihood ratio of "it sounds" to "it does not" is summed over
//! all that is seen, in order of time, and the stretch with the greatest sum is taken (J. Bentley, "Programming Pearls", 1984).
//!
//! Two things are seen. The peaks of the track lift the query's spectrogram: evidence that is normal with the mean m it had where
//! the track was found, or 0, and variance 1, gives m·(x − m/2). And the peaks of the query are the track's: with the share p it
//! had there, or the share q that other places of the track have by chance, ln p/q or ln (1−p)/(1−q); neither counts much, as
//! what is spliced in hides peaks of its own for a second.
//!
//! Where it was cut in or out, the whole spectrogram changes (J. Foote, "Automatic audio segmentation using a measure of audio
//! novelty", ICME 2000): the edges move to where the sum and that together are greatest.

use std::ops::Range;

use super::BANDS;
use super::constellation::Star;
use super::peaks::Peak;
use super::spectrogram::{Levels, WINDOW};
use super::verify::{Evidence, Hypothesis, MIN_STARS};

/// Peaks of the query that are asked for: below this rank.
const RANK: u16 = 10;
/// How far a peak may be from the track's, in frames and bands.
const FRAMES_OFF: f32 = 2.0;
const BANDS_OFF: f32 = 1.0;
/// Other places of the track, in frames.
const ELSEWHERE: [f32; 4] = [-67.0, -29.0, 31.0, 71.0];
/// What one peak of the query may say for the track, and against it.
const FOR: f32 = 1.0;
const AGAINST: f32 = 0.5;
/// What of the evidence where it was found is expected at first.
const FAINT: f32 = 0.6;
/// How far a cut may be from where the evidence ends, in frames.
const REACH: usize = 52;
/// What a standard deviation of change is worth.
const CUT: f32 = 3.0;
/// Frames before a cut that are compared with as many behind it, and how far from it they begin: half a window, so that none
/// hears both sides.
const BESIDE: usize = 6;
const APART: usize = WINDOW / super::HOP / 2;

/// Whether this peak of the query is one of the track's.
fn is_known(p: &Peak, stars: &[Star], h: &Hypothesis, middle: f32, shift: f32) -> bool {
    let frame = h.center + (p.frame as f32 - middle) * h.rate + shift;
    let band = f32::from(p.band) + f32::from(p.fraction) / 128.0 - h.pitch;
    let from = stars.partition_point(|s| (s.frame as f32) < frame - FRAMES_OFF);
    let mut near = stars[from..].iter().take_while(|s| s.frame as f32 <= frame + FRAMES_OFF);
    near.any(|s| (f32::from(s.band) - band).abs() <= BANDS_OFF)
}

/// Which share of the query's strongest peaks are the track's; 0 when they are too few to say.
pub(super) fn share_known(peaks: &[Peak], stars: &[Star], h: &Hypothesis, middle: f32) -> f32 {
    let asked = peaks.iter().filter(|p| p.rank < RANK);
    let (known, n) =
        asked.fold((0, 0), |(known, n), p| (known + usize::from(is_known(p, stars, h, middle, 0.0)), n + 1));
    if n < MIN_STARS { 0.0 } else { known as f32 / n as f32 }
}

/// First and last frame. `white` is the whitened spectrogram of the query, `whole` its evidence, `found` the frames of it in which
/// the track was found.
pub(super) fn extent(
    white: &[Levels],
    whole: &Evidence,
    peaks: &[Peak],
    stars: &[Star],
    h: &Hypothesis,
    found: &Range<usize>,
) -> (f32, f32) {
    let heard: Vec<(f32, f32)> = whole.each(stars, h).collect();
    let asked: Vec<&Peak> = peaks.iter().filter(|p| p.rank < RANK).collect();
    let middle = whole.frames() as f32 / 2.0;
    let known: Vec<bool> = asked.iter().map(|p| is_known(p, stars, h, middle, 0.0)).collect();
    let by_chance =
        share(ELSEWHERE.iter().flat_map(|&shift| asked.iter().map(move |p| is_known(p, stars, h, middle, shift))));
    let (mut first, mut last) = (found.start as f32, found.end as f32);
    let mut seen: Vec<(f32, f32)> = Vec::new();
    // First as if it were heard less clearly than where it was found, which is where it is heard best; then as it is heard on average.
    for clear in [FAINT, 1.0] {
        let inside = |t: f32| (first..=last).contains(&t);
        let (sum, n) = heard.iter().filter(|(t, _)| inside(*t)).fold((0.0, 0), |(sum, n), (_, x)| (sum + x, n + 1));
        let mean = clear * (sum / n.max(1) as f32).clamp(0.2, 2.0);
        seen.clear();
        seen.extend(heard.iter().map(|&(t, x)| (t, mean * (x - 0.5 * mean))));
        let there = share(asked.iter().zip(&known).filter(|(p, _)| inside(p.frame as f32)).map(|(_, &known)| known));
        if there > by_chance {
            let (yes, no) = ((there / by_chance).ln().min(FOR), ((1.0 - there) / (1.0 - by_chance)).ln().max(-AGAINST));
            seen.extend(asked.iter().zip(&known).map(|(p, &known)| (p.frame as f32, if known { yes } else { no })));
            seen.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        if let Some(most) = greatest(&seen) {
            (first, last) = most;
        }
    }
    let cuts = cuts(white);
    let near = |edge: f32| {
        let frame = edge as usize;
        frame.saturating_sub(REACH)..(frame + REACH + 1).min(white.len())
    };
    let between = |from: f32, to: f32| -> f32 {
        let start = seen.partition_point(|e| e.0 < from);
        seen[start..].iter().take_while(|e| e.0 < to).map(|e| e.1).sum()
    };
    let best = |frames: Range<usize>, inside: &dyn Fn(f32) -> f32| {
        let worth = |&c: &usize| inside(c as f32) + CUT * cuts[c];
        frames.max_by(|a, b| worth(a).total_cmp(&worth(b))).map(|c| c as f32)
    };
    let reach = REACH as f32;
    if first > reach {
        let to = first + reach + 1.0;
        first = best(near(first), &|c| between(c, to)).unwrap_or(first);
    }
    if last + reach < white.len() as f32 {
        let from = last - reach;
        last = best(near(last), &|c| between(from, c)).unwrap_or(last);
    }
    (first, last)
}

/// The share of hits, one more being a hit and one not.
fn share(hits: impl Iterator<Item = bool>) -> f32 {
    let (sum, n) = hits.fold((0, 0), |(sum, n), hit| (sum + u32::from(hit), n + 1));
    (sum as f32 + 1.0) / (n as f32 + 2.0)
}

/// From where to where the sum of what is seen, in order of time, is greatest.
fn greatest(seen: &[(f32, f32)]) -> Option<(f32, f32)> {
    let (mut sum, mut began, mut before) = (0.0f32, 0.0f32, 0.0f32);
    let (mut most, mut found) = (0.0f32, None);
    for &(t, x) in seen {
        if sum <= 0.0 {
            (sum, began) = (0.0, 0.5 * (before + t));
        }
        sum += x;
        if sum > most {
            (most, found) = (sum, Some((began, t)));
        }
        before = t;
    }
    found
}

/// How much each frame is a cut: the change of all bands from before it to behind it, in standard deviations of such changes.
fn cuts(white: &[Levels]) -> Vec<f32> {
    let mut out = vec![0.0f32; white.len()];
    let edge = APART + BESIDE;
    if white.len() < 4 * edge {
        return out;
    }
    let frames = edge..white.len() - edge;
    for c in frames.clone() {
        let mut change = [0i32; BANDS];
        for k in 0..BESIDE {
            let (before, behind) = (&white[c - edge + k], &white[c + APART + k]);
            change
                .iter_mut()
                .zip(before.iter().zip(behind))
                .for_each(|(d, (a, b))| *d += i32::from(*b) - i32::from(*a));
        }
        out[c] = change.iter().map(|d| d.abs() as f32).sum();
    }
    let n = frames.len() as f32;
    let mean = out[frames.clone()].iter().sum::<f32>() / n;
    let variance = out[frames.clone()].iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n;
    let scale = 1.0 / variance.sqrt().max(1.0);
    out[frames].iter_mut().for_each(|x| *x = (*x - mean) * scale);
    out
}

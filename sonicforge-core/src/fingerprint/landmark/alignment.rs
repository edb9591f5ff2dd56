//! Two constellations laid one over the other: where do they sound the same?

use super::constellation::{Constellation, Star};
use super::matching::elsewhere;
use super::sketch::Sketch;
use super::verify::{Evidence, Hypothesis, MIN_STARS};
use super::{FRAME_S, PER_OCTAVE};

/// Frames that are compared at once (10 s), and from one such window to the next.
const WINDOW: u32 = 431;
const HOP: u32 = 215;
/// How far the alignment may drift from one window to the next, in frames.
const DRIFT: i32 = 3;
/// Standard deviations above what the second sound scores elsewhere, from which a window says yes. Windows of copies have 30 and more,
/// those of other music in the same key and beat reach 13.
pub(in super::super) const WINDOW_SCORE: f32 = 10.0;

/// How a second sound lies over a first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Placed {
    /// A second of the first sound …
    pub first_s: f64,
    /// … and the one of the second sound that is heard there.
    pub second_s: f64,
    /// How much higher the first is, and how much faster.
    pub pitch_factor: f64,
    pub tempo_factor: f64,
}

/// A stretch that both have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Shared {
    /// From and to in the first sound, in seconds.
    pub first_s: (f64, f64),
    /// And in the second.
    pub second_s: (f64, f64),
    /// Mean score of its windows, in standard deviations.
    pub score: f64,
}

/// What two sounds have in common at one alignment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Aligned {
    pub shared: Vec<Shared>,
    /// Of the windows in which both have peaks enough, the share that is the same.
    pub agreement: f64,
}

/// Lays the second over the first. From the place that is known on in both directions, as a speed that is not quite right or that
/// wanders is felt far away.
pub(in super::super) fn align(first: &Constellation, second: &Constellation, placed: &Placed) -> Aligned {
    let rate = placed.tempo_factor as f32;
    let pitch = (placed.pitch_factor.log2() * PER_OCTAVE) as f32;
    let known = ((placed.second_s - placed.first_s * placed.tempo_factor) / FRAME_S) as f32;
    let (frames, stars) = (first.frames(), first.stars());
    let windows = frames.saturating_sub(WINDOW).div_ceil(HOP) + 1;
    // Score and drift of each window that could be compared.
    let mut found: Vec<Option<(f32, f32)>> = vec![None; windows as usize];
    let mut look = |window: u32, drift: &mut f32| {
        let from = window * HOP;
        let len = WINDOW.min(frames.saturating_sub(from));
        let center = *drift + (from as f32 + len as f32 / 2.0) * rate;
        if center <= 0.0 || center >= second.frames() as f32 || len < WINDOW / 4 {
            return;
        }
        let mine = between(stars, from as f32, (from + len) as f32);
        let evidence = Evidence::new(&Sketch::of_stars(mine, from, len).frames);
        let at = Hypothesis { center, pitch, rate };
        let (begin, end) = evidence.span(&at);
        let others = between(second.stars(), begin - 8.0, end + 8.0);
        if mine.len().min(others.len()) < MIN_STARS {
            return;
        }
        let score = |shift: i32| evidence.score(others, &Hypothesis { center: center + shift as f32, ..at }).0;
        let (z, shift) = (-DRIFT..=DRIFT)
            .map(|shift| (score(shift), shift))
            .fold((0.0, 0), |best, now| if now.0 > best.0 { now } else { best });
        let mut z = z;
        if z >= WINDOW_SCORE {
            // A scale or a beat in common scores elsewhere too.
            let here = Hypothesis { center: center + shift as f32, ..at };
            let (median, spread) = elsewhere(&evidence, second.stars(), &here);
            z = (z - median) / spread.max(1.0).sqrt();
        }
        if z >= WINDOW_SCORE {
            *drift += shift as f32 * 0.5;
        }
        found[window as usize] = Some((z, *drift));
    };
    let start = ((placed.first_s / FRAME_S) as u32 / HOP).min(windows - 1);
    let mut drift = known;
    (start..windows).for_each(|w| look(w, &mut drift));
    drift = known;
    (0..start).rev().for_each(|w| look(w, &mut drift));

    let mut out = Aligned::default();
    let (mut compared, mut same, mut sum, mut count) = (0, 0, 0.0, 0);
    for (window, seen) in found.iter().enumerate() {
        let Some((z, drift)) = *seen else { continue };
        compared += 1;
        if z < WINDOW_SCORE {
            continue;
        }
        same += 1;
        let from = window as u32 * HOP;
        let over = |s: f64| f64::from(drift) * FRAME_S + s * f64::from(rate);
        let under = |s: f64| (s - f64::from(drift) * FRAME_S) / f64::from(rate);
        // What of the window the second sound covers.
        let begin = (f64::from(from) * FRAME_S).max(under(0.0));
        let end = (f64::from((from + WINDOW).min(frames)) * FRAME_S).min(under(f64::from(second.frames()) * FRAME_S));
        if begin >= end {
            continue;
        }
        let range = (begin, end);
        match out.shared.last_mut().filter(|s| s.first_s.1 + f64::from(HOP) * FRAME_S >= range.0) {
            Some(last) => {
                (last.first_s.1, last.second_s.1) = (range.1, over(range.1));
                (sum, count) = (sum + f64::from(z), count + 1);
                last.score = sum / f64::from(count);
            }
            None => {
                (sum, count) = (f64::from(z), 1);
                out.shared.push(Shared { first_s: range, second_s: (over(range.0), over(range.1)), score: sum });
            }
        }
    }
    out.agreement = f64::from(same) / f64::from(compared.max(1));
    out
}

fn between(stars: &[Star], low: f32, high: f32) -> &[Star] {
    let from = stars.partition_point(|s| (s.frame as f32) < low);
    let to = stars.partition_point(|s| (s.frame as f32) < high);
    &stars[from..to.max(from)]
}

//! From where to where in the query is the track heard? Log-likelihood ratios of "it sounds" to "it does not" are summed over all
//! that is seen, in order of time, and the stretch with the greatest sum is taken (J. Bentley, "Programming Pearls", 1984).
//!
//! Three things are seen. The peaks of the track lift the query's spectrogram: how much more often so much of evidence is seen
//! where the track was found than at other places of the track is counted. The peaks of the query are the track's: with the share
//! p they have where it was found, or the share q that other places of the track have by chance, ln p/q or ln (1−p)/(1−q); neither
//! counts much, as what is spliced in hides peaks of its own for a second. And where the track is cut in or out the query changes
//! (`cuts`), which says most where the track itself is silent.
//!
//! Where the track has no peaks and the query is silent too, they share a rest: as rare as silence is in the query.
//!
//! What is mixed with the track may hide it for a while: a stretch may be heard clearly or faintly, and from one to the other at
//! a price, as in a hidden Markov model (A. Viterbi, "Error bounds for convolutional codes", 1967).

use std::ops::RangeInclusive;

use super::HOP;
use super::constellation::Star;
use super::cuts::{Cuts, STEP};
use super::peaks::Peak;
use super::sketch::Sketch;
use super::spectrogram::WINDOW;
use super::verify::{Evidence, Hypothesis, MIN_STARS};

/// Peaks of the query that are asked for: below this rank.
const RANK: u16 = 10;
/// How far a peak may be from the track's, in frames and bands.
const FRAMES_OFF: f32 = 2.0;
const BANDS_OFF: f32 = 1.0;
/// Other places of the track, in frames.
const ELSEWHERE: [f32; 6] = [-149.0, -67.0, -29.0, 31.0, 71.0, 151.0];
/// Evidence is counted in classes between these standard deviations.
const CLASSES: [f32; 7] = [-0.6, -0.2, 0.2, 0.6, 1.1, 1.7, 2.5];
/// What one peak of the track may say for it, and against it, in nepers.
const LIFTED: f32 = 3.0;
const NOT_LIFTED: f32 = 1.5;
/// What one peak of the query may say.
const FOR: f32 = 1.0;
const AGAINST: f32 = 0.5;
/// Samples that are no louder are silent: −70 dBFS.
const SILENT: u16 = 10;
/// A rest of the track is this many frames away from its peaks, half a second; and what silence says there is said once in as long.
const REST: f32 = 22.0;
/// What is said of that: peaks near to each other say the same twice.
const SAID_ONCE: f32 = 0.6;
/// The share of what is seen that is as where the track was found, and not as elsewhere: at first, as that is where it is heard
/// best; then; and of this the share where it is heard faintly.
const AT_FIRST: f32 = 0.6;
const THEN: f32 = 1.0;
const FAINTLY: f32 = 0.5;
/// The price of a change between clearly and faintly, in nepers.
const CHANGE: f32 = 4.0;
/// Moments of half a window, before the middle of the first frame and behind that of the last.
const MARGIN: usize = WINDOW / 2 / STEP;
/// Moments from one frame to the next.
const PER_FRAME: usize = HOP / STEP;

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

/// Where a track is heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// First and last frame of the query.
    pub first: f32,
    pub last: f32,
    /// The sum of all that speaks for it, in nepers.
    pub worth: f32,
}

/// A whole query, as it is asked for extents.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    evidence: Evidence,
    cuts: Cuts,
    peaks: Vec<&'a Peak>,
    /// Whether there is silence between each moment and the next.
    silent: Vec<bool>,
}

/// Something that is seen, in classes.
struct Seen {
    /// Frame and class of each.
    here: Vec<(f32, usize)>,
    /// How many of each class are seen by chance; one more of each, as none is impossible.
    by_chance: Vec<f32>,
    /// What one may say against the track and for it, in nepers.
    most: (f32, f32),
}

impl Seen {
    /// How many times likelier each class is within these frames than by chance.
    fn ratios(&self, frames: RangeInclusive<f32>) -> Vec<f32> {
        let (all, classes) = (self.by_chance.iter().sum::<f32>(), self.by_chance.len() as f32);
        // As many more as there are classes, as they are by chance.
        let mut there: Vec<f32> = self.by_chance.iter().map(|n| n / all * classes).collect();
        self.here.iter().filter(|(t, _)| frames.contains(t)).for_each(|&(_, class)| there[class] += 1.0);
        let sum = there.iter().sum::<f32>();
        there.iter().zip(&self.by_chance).map(|(a, b)| a / sum / (b / all)).collect()
    }
}

impl<'a> Whole<'a> {
    pub fn of(sketch: &'a Sketch) -> Self {
        let evidence = Evidence::new(&sketch.frames);
        let moments = moment(evidence.frames().saturating_sub(1) as f32) + MARGIN + 1;
        let peaks = sketch.peaks.iter().filter(|p| p.rank < RANK).collect();
        let mut silent: Vec<bool> =
            sketch.samples.chunks(STEP).map(|s| s.iter().all(|x| x.unsigned_abs() <= SILENT)).collect();
        silent.resize(moments, false);
        Self { cuts: Cuts::of(&sketch.samples, moments), evidence, peaks, silent }
    }

    pub fn frames(&self) -> usize {
        self.evidence.frames()
    }

    /// First and last frame of the track that the query covers.
    pub fn span(&self, h: &Hypothesis) -> (f32, f32) {
        self.evidence.span(h)
    }

    /// Of a track with these peaks and so many frames, which was found within the frames `found` of the query.
    pub fn extent(&self, stars: &[Star], frames: u32, h: &Hypothesis, found: (usize, usize)) -> Extent {
        // It cannot begin before its own beginning, nor end behind its end.
        let in_query = |frame: f32| self.middle() + (frame - h.center) / h.rate;
        let margin = (MARGIN / PER_FRAME) as f32;
        let low = moment(in_query(-margin));
        let high = moment(in_query(frames as f32 - 1.0 + margin)).min(self.cuts.begin.len() - 1);
        let seen = [self.lifted(stars, h), self.known(stars, h)];
        let rests = self.rests(stars, h);
        let mut out = Extent { first: found.0 as f32, last: found.1 as f32, worth: 0.0 };
        for clear in [AT_FIRST, THEN] {
            let ratios = seen.each_ref().map(|seen| seen.ratios(out.first..=out.last));
            let ways = [clear, clear * FAINTLY].map(|share| self.said(&seen, &ratios, share, &rests));
            out = self.greatest(&ways, low.min(high), high);
        }
        out
    }

    fn middle(&self) -> f32 {
        self.evidence.frames() as f32 / 2.0
    }

    /// How the peaks of the track lift the query.
    fn lifted(&self, stars: &[Star], h: &Hypothesis) -> Seen {
        let class = |x: f32| CLASSES.partition_point(|&c| c <= x);
        let mut by_chance = vec![1.0; CLASSES.len() + 1];
        for shift in ELSEWHERE {
            let moved = Hypothesis { center: h.center + shift, ..*h };
            self.evidence.each(stars, &moved).for_each(|(_, x)| by_chance[class(x)] += 1.0);
        }
        let here = self.evidence.each(stars, h).map(|(t, x)| (t, class(x))).collect();
        Seen { here, by_chance, most: (NOT_LIFTED, LIFTED) }
    }

    /// Which peaks of the query are the track's.
    fn known(&self, stars: &[Star], h: &Hypothesis) -> Seen {
        let class = |p: &Peak, shift: f32| usize::from(is_known(p, stars, h, self.middle(), shift));
        let mut by_chance = vec![1.0; 2];
        for shift in ELSEWHERE {
            self.peaks.iter().for_each(|p| by_chance[class(p, shift)] += 1.0);
        }
        let here = self.peaks.iter().map(|p| (p.frame as f32, class(p, 0.0))).collect();
        Seen { here, by_chance, most: (AGAINST, FOR) }
    }

    /// What is said by silence between each moment and the next, where the track rests.
    fn rests(&self, stars: &[Star], h: &Hypothesis) -> Vec<f32> {
        let all = self.silent.len() as f32;
        let rare = (all / self.silent.iter().filter(|&&s| s).count().max(1) as f32).ln();
        let says = rare / (REST * PER_FRAME as f32);
        let rests = |moment: usize| {
            let here = h.center + (frame(moment) - self.middle()) * h.rate;
            let next = stars.partition_point(|s| (s.frame as f32) < here - REST);
            stars.get(next).is_none_or(|s| s.frame as f32 > here + REST)
        };
        self.silent.iter().enumerate().map(|(i, &silent)| if silent && rests(i) { says } else { 0.0 }).collect()
    }

    /// What is said between each moment and the next, if `share` of what is seen is as where the track was found, besides `rests`.
    fn said(&self, seen: &[Seen; 2], ratios: &[Vec<f32>; 2], share: f32, rests: &[f32]) -> Vec<f32> {
        let mut out = rests.to_vec();
        for (Seen { here, most, .. }, ratios) in seen.iter().zip(ratios) {
            let says = |ratio: &f32| SAID_ONCE * (share * ratio + 1.0 - share).ln().clamp(-most.0, most.1);
            let says: Vec<f32> = ratios.iter().map(says).collect();
            here.iter().for_each(|&(t, class)| out[moment(t)] += says[class]);
        }
        out
    }

    /// From which moment to which the sum of what is said and of the cuts there is greatest. At either end of what the query has of
    /// the track no cut is asked for: that counts as much as the rarest.
    fn greatest(&self, ways: &[Vec<f32>; 2], low: usize, high: usize) -> Extent {
        let Cuts { begin, end } = &self.cuts;
        let sure = (begin.len() as f32).ln();
        // For each way of hearing: the greatest sum of what has begun, and where it did.
        let mut open = [(f32::NEG_INFINITY, low); 2];
        let mut best = Extent { first: frame(low), last: frame(high), worth: f32::NEG_INFINITY };
        for i in low..=high {
            let (sum, began) = if open[0].0 >= open[1].0 { open[0] } else { open[1] };
            let ended = sum + if i == high { sure } else { end[i] };
            if ended > best.worth {
                best = Extent { first: frame(began), last: frame(i), worth: ended };
            }
            let begun = (if i == low { sure } else { begin[i] }, i);
            for (way, said) in open.iter_mut().zip(ways) {
                for other in [(sum - CHANGE, began), begun] {
                    if other.0 > way.0 {
                        *way = other;
                    }
                }
                way.0 += said[i];
            }
        }
        best
    }
}

/// The moment at the middle of a frame, or just before it.
fn moment(frame: f32) -> usize {
    (frame * PER_FRAME as f32 + MARGIN as f32).max(0.0) as usize
}

/// The frame whose middle is at a moment.
fn frame(moment: usize) -> f32 {
    (moment as f32 - MARGIN as f32) / PER_FRAME as f32
}

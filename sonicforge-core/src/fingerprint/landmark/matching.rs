//! A query against segments: votes, then verification; plainly first, then in other keys and at other speeds.

use serde::{Deserialize, Serialize};

use super::constellation::Star;
use super::extent::{Extent, Whole, share_known};
use super::pairs::{self, Asked};
use super::peaks::Peak;
use super::postings::{Postings, TrackAt};
use super::search::{Pass, Place, Votes};
use super::sketch::Sketch;
use super::template::Closer;
use super::verify::{Evidence, Hypothesis, MIN_STARS};
use super::{CENTER_S, FRAME_S, HOP, PER_OCTAVE};
use crate::error::Result;

/// A match is accepted from this score on. Of 7 595 excerpts of unknown tracks the best scored 12.76 (docs/measurements.md).
pub const THRESHOLD: f64 = 12.8;
/// Standard deviations above chance from which on no other keys and speeds are tried. A wrong key or speed nearby has half of
/// what the right one has.
const SURE: f32 = 20.0;
/// Frames of a query that are looked for at once (10 s), and from one such window to the next.
const WINDOW: usize = 431;
const WINDOW_HOP: usize = 215;
/// How hard to look.
#[derive(Debug, Clone, Copy)]
struct Stage {
    /// Peaks of the query below this rank are asked for, each with this many targets.
    rank: u16,
    fan: usize,
    /// Places that are verified.
    places: usize,
    /// Postings that are read at most, in all segments.
    budget: usize,
}

/// What a place must score at first sight, and then before the climb from it is tried.
const COARSE_LEAST: f32 = 2.0;
const LEAST: f32 = 6.0;
/// A sequential test: what is clear is found by the strongest peaks, and a large catalogue is read no further than it must.
const PLAIN: [Stage; 3] = [
    Stage { rank: 14, fan: 4, places: 24, budget: 1_500_000 },
    Stage { rank: 30, fan: 6, places: 250, budget: 6_000_000 },
    Stage { rank: 60, fan: 10, places: 4000, budget: 7_000_000 },
];
/// The same in other keys and at other speeds; so many places of each of them.
const WARPED: Stage = Stage { rank: 18, fan: 4, places: 16, budget: 40_000_000 };
/// How far from a match its track is asked what it scores elsewhere, in frames.
const ELSEWHERE: f32 = 760.0;
/// Of the best of a search over keys and speeds this many are polished.
const POLISHED: usize = 6;
/// What a plain explanation must reach of the best one's score.
const SIMPLER: f32 = 0.93;
/// What is taken off a score where key, speed or time were searched for: the best of many trials scores higher by chance.
const TRIALS: f32 = 1.8;
/// What the sharpened evidence has of a score.
const SHARP: f32 = 0.8;
/// The power of the spread of what the track scores elsewhere that a score is divided by: music that has a scale or a beat in
/// common with the query scatters more.
const SPREAD: f32 = 0.5;
/// Between these; what scatters more repeats itself, and is not less likely to be there.
const SPREADS: (f32, f32) = (1.0, 3.5);
/// What noise adds to a score: unknown music that is drowned in it scores less, as nothing in noise agrees with music but by
/// chance; and known music scores less too.
const IN_NOISE: f32 = 3.6;
/// What a score gains with the share of the query's strongest peaks that are the track's.
const SHARED: f32 = 6.0;
/// And what more above this share, which no place of an unknown track has come near: what is a copy is found even if it scatters.
const COPIED: f32 = 10.0;
const COPY: f32 = 0.5;
/// Where enough tracks have this score, a closer look is not needed.
const CLEAR: f32 = 16.0;
/// What a closer look adds to a score, and what more of it in noise, for each standard deviation above what it says of the best
/// places of unknown tracks.
const CLOSER: f32 = 0.5;
const CLOSER_IN_NOISE: f32 = 0.3;
const BY_CHANCE: f32 = 5.0;
/// What each doubling of the number of windows takes off: the best of more trials scores higher by chance, in the tail of the
/// unknown by a factor of e each half standard deviation.
const MANY_WINDOWS: f32 = 0.4;

/// Windows that found a track whose places are compared: the best.
const ALIGNMENTS: usize = 8;

/// How to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryOptions {
    /// Matches from this score on are given; [`THRESHOLD`] unless set.
    pub threshold: f64,
    /// At most this many, the best first.
    pub limit: usize,
    /// Also look in other keys, when nothing is found at once: up to this many semitones off, 0 to 3.
    pub max_pitch_semitones: f64,
    /// And at other speeds: up to this many per cent off, 0 to 10.
    pub max_tempo_percent: f64,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self { threshold: THRESHOLD, limit: 1, max_pitch_semitones: 3.0, max_tempo_percent: 10.0 }
    }
}

/// A track that sounds in the query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// As it was inserted.
    pub id: String,
    /// Standard deviations above chance, and what else speaks for it: [`THRESHOLD`] is enough, a clean excerpt has about 30.
    pub score: f64,
    /// Where the track begins to sound in the query, and where it ends, in seconds.
    pub query_start_s: f64,
    /// See `query_start_s`.
    pub query_end_s: f64,
    /// What is heard at `query_start_s`, in seconds from the beginning of the track.
    pub track_start_s: f64,
    /// How much higher the query is than the track: 1.06 is a semitone.
    pub pitch_factor: f64,
    /// How much faster the query is than the track.
    pub tempo_factor: f64,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    /// Standard deviations above chance; at the end what a [`Match`] has for it.
    score: f32,
    segment: usize,
    track: TrackAt,
    hypothesis: Hypothesis,
}

/// One query against a snapshot of an index.
struct Search<'a> {
    segments: &'a [&'a dyn Postings],
    stars: Vec<Star>,
}

/// Which tracks sound in the query: the best first, none below the threshold.
pub(in super::super) fn search(
    segments: &[&dyn Postings],
    sketch: &Sketch,
    options: &QueryOptions,
) -> Result<Vec<Match>> {
    Search { segments, stars: Vec::new() }.query(sketch, options)
}

/// Ten seconds of a query.
struct Window {
    /// Its frames in the query.
    from: usize,
    end: usize,
    evidence: Evidence,
    peaks: Vec<Peak>,
    /// The best of each track so far.
    best: Vec<Found>,
}

impl Search<'_> {
    fn query(&mut self, sketch: &Sketch, options: &QueryOptions) -> Result<Vec<Match>> {
        let in_range = crate::error::in_range;
        let semitones = in_range("max_pitch_semitones", options.max_pitch_semitones, 0.0, 3.0)?;
        let tempo = in_range("max_tempo_percent", options.max_tempo_percent, 0.0, 10.0)?;
        let mut windows = windows(sketch);
        let mut votes = Votes::default();
        let wanted = options.limit.max(1);
        for stage in PLAIN {
            for window in &mut windows {
                if window.sure() < wanted {
                    self.plain(window, &stage, &mut votes)?;
                }
            }
            if windows.iter().any(|w| w.sure() >= wanted) {
                break;
            }
        }
        if (semitones > 0.0 || tempo > 0.0) && windows.iter().all(|w| w.sure() < wanted) {
            let pitch = (semitones * PER_OCTAVE / 12.0).round() as i32;
            let rates = (tempo / 2.0).round() as i32;
            for window in &mut windows {
                self.warped(window, pitch, rates, wanted, &mut votes)?;
            }
        }
        let mut found: Vec<(Found, usize)> = Vec::new();
        let many = MANY_WINDOWS * windows.len().max(1).ilog2() as f32;
        for window in &mut windows {
            self.finish(window)?;
        }
        if !sketch.samples.is_empty() && windows.iter().all(|w| w.reaching(CLEAR) < wanted) {
            for window in &mut windows {
                self.look_closer(window, &sketch.samples[window.from * HOP..])?;
            }
        }
        for (i, window) in windows.iter().enumerate() {
            found.extend(window.best.iter().map(|f| (Found { score: f.score - many, ..*f }, i)));
        }
        found.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
        let (mut out, mut whole) = (Vec::<Match>::new(), None);
        for (i, &(f, _)) in found.iter().enumerate() {
            if f64::from(f.score) < options.threshold || out.len() == options.limit {
                break;
            }
            let id = self.segments[f.segment].id(f.track.track)?;
            if out.iter().all(|m| m.id != id) {
                let of_track =
                    found[i..].iter().filter(|(o, _)| (o.segment, o.track.track) == (f.segment, f.track.track));
                let found: Vec<_> = of_track.take(ALIGNMENTS).map(|&(f, w)| (f.hypothesis, &windows[w])).collect();
                let whole = whole.get_or_insert_with(|| Whole::of(sketch));
                out.push(self.describe(id, &f, whole, &found)?);
            }
        }
        Ok(out)
    }

    /// Looks for tracks in their own key and at their own speed.
    fn plain(&mut self, window: &mut Window, stage: &Stage, votes: &mut Votes) -> Result<()> {
        let asked = pairs::of_peaks(&window.peaks, stage.rank, stage.fan);
        let pass = Pass {
            pitch: 0,
            rate: 1.0,
            middle: window.middle(),
            places: stage.places,
            budget: self.share(stage.budget),
        };
        for (s, place) in self.places(votes, &asked, &pass, stage.places)? {
            self.consider(window, s, &place, 1.0)?;
        }
        Ok(())
    }

    /// Looks for them in other keys and at other speeds, one speed after the other, the nearest first.
    fn warped(&mut self, window: &mut Window, pitch: i32, rates: i32, wanted: usize, votes: &mut Votes) -> Result<()> {
        let asked = pairs::of_peaks(&window.peaks, WARPED.rank, WARPED.fan);
        let budget = self.share(WARPED.budget) / (2 * rates as usize + 1);
        let mut order: Vec<i32> = (-rates..=rates).collect();
        order.sort_by_key(|r| (r.abs(), *r));
        for r in order {
            let rate = 1.0 + 0.02 * r as f32;
            let pass = Pass { pitch, rate, middle: window.middle(), places: WARPED.places, budget };
            for (s, place) in self.places(votes, &asked, &pass, WARPED.places * (2 * pitch as usize + 1))? {
                if (place.pitch, r) != (0, 0) {
                    self.consider(window, s, &place, rate)?;
                }
            }
            if window.sure() >= wanted {
                break;
            }
        }
        Ok(())
    }

    /// The fullest places of all segments.
    fn places(&self, votes: &mut Votes, asked: &[Asked], pass: &Pass, most: usize) -> Result<Vec<(usize, Place)>> {
        let mut out = Vec::new();
        for (s, segment) in self.segments.iter().enumerate() {
            out.extend(votes.count(*segment, asked, pass)?.into_iter().map(|p| (s, p)));
        }
        out.sort_unstable_by_key(|(s, p)| (std::cmp::Reverse(p.votes), *s, p.at, p.pitch));
        out.truncate(most);
        Ok(out)
    }

    /// What one segment may take of a budget.
    fn share(&self, budget: usize) -> usize {
        budget / self.segments.len().max(1)
    }

    /// Polishes the best of a window, and says how sure they are.
    fn finish(&mut self, window: &mut Window) -> Result<()> {
        let Window { best, evidence, peaks, .. } = window;
        best.sort_by(|a, b| b.score.total_cmp(&a.score));
        best.truncate(POLISHED);
        let sharp = evidence.sharpened();
        for f in best {
            let (low, high) = evidence.span(&f.hypothesis);
            self.read_stars(f.segment, f.track, low - ELSEWHERE, high + ELSEWHERE)?;
            let stars = &self.stars[..];
            let found = f.hypothesis;
            let z = polish(evidence, stars, &mut f.hypothesis, f.score);
            let fitted = fit(peaks, stars, evidence.frames() as f32 / 2.0, f.hypothesis);
            // Of two explanations that are about as good the simpler one, neither another key nor another speed: unless the
            // peaks say clearly that it is not so.
            let plain = found.pitch == 0.0 && found.rate == 1.0;
            let simple = plain && f.score > SIMPLER * z && !fitted.is_some_and(|(_, sure)| sure);
            f.hypothesis = if simple { found } else { fitted.map_or(f.hypothesis, |(h, _)| h) };
            let z = if simple { f.score } else { z };
            let h = f.hypothesis;
            let calm = |evidence: &Evidence| elsewhere(evidence, stars, &h).1.clamp(SPREADS.0, SPREADS.1).powf(SPREAD);
            let sharpened = sharp.score(stars, &h).0 / calm(&sharp);
            let both = SHARP * sharpened + (1.0 - SHARP) * z / calm(evidence);
            let shared = share_known(peaks, stars, &h, evidence.frames() as f32 / 2.0);
            let trials = if plain && h == found { 0.0 } else { TRIALS };
            let shared = SHARED * shared + COPIED * (shared - COPY).max(0.0);
            f.score = both + IN_NOISE * evidence.noise() + shared - trials;
        }
        Ok(())
    }

    /// Adds to the scores of a window what its `samples` tell beyond the query's spectrogram.
    fn look_closer(&mut self, window: &mut Window, samples: &[i16]) -> Result<()> {
        let Window { best, evidence, .. } = window;
        let closer = Closer::new(samples, evidence.frames());
        for f in best {
            let (low, high) = evidence.span(&f.hypothesis);
            self.read_stars(f.segment, f.track, low, high)?;
            let more = closer.score(&self.stars, &f.hypothesis) - BY_CHANCE;
            f.score += (CLOSER + CLOSER_IN_NOISE * evidence.noise()) * more;
        }
        Ok(())
    }

    /// Takes the peaks of a track from one of its frames to another into `self.stars`.
    fn read_stars(&mut self, segment: usize, track: TrackAt, low: f32, high: f32) -> Result<()> {
        self.stars.clear();
        let (low, high) = (low.max(0.0) as u32, high.max(0.0).ceil() as u32);
        self.segments[segment].stars(track.track, low..high.max(low), &mut self.stars)
    }

    /// Verifies a place, and keeps it if it is the best of its track.
    fn consider(&mut self, window: &mut Window, s: usize, place: &Place, rate: f32) -> Result<()> {
        let Some(track) = self.segments[s].track_at(place.at) else { return Ok(()) };
        let evidence = &window.evidence;
        let center = (place.at - i64::from(track.start)) as f32;
        let mut h = Hypothesis { center, pitch: place.pitch as f32, rate };
        let (low, high) = evidence.span(&h);
        // At least 60 % of the query must lie in the track.
        let inside = high.min(track.frames as f32) - low.max(0.0);
        if inside < 0.6 * (high - low) {
            return Ok(());
        }
        self.read_stars(s, track, low - 40.0, high + 40.0)?;
        let stars = &self.stars[..];
        if stars.len() < MIN_STARS {
            return Ok(());
        }
        if evidence.coarse(stars, center, place.pitch, rate) < COARSE_LEAST {
            return Ok(());
        }
        let mut z = 0.0;
        for shift in [0.0, -2.0, 2.0, -4.0, 4.0] {
            if shift == -4.0 && z < 1.5 {
                break;
            }
            let moved = Hypothesis { center: center + shift, ..h };
            let (other, _) = evidence.score(stars, &moved);
            if other > z {
                (z, h) = (other, moved);
            }
        }
        // What is far behind the best is not worth the climb.
        let worth = window.best.iter().map(|f| f.score).fold(LEAST, f32::max) * 0.6;
        if z < worth {
            return Ok(());
        }
        let warped = (place.pitch, rate) != (0, 1.0);
        let score = refine(evidence, stars, &mut h, z, warped);
        let found = Found { score, segment: s, track, hypothesis: h };
        match window.best.iter_mut().find(|f| (f.segment, f.track.track) == (s, track.track)) {
            Some(f) if f.score >= score => {}
            Some(f) => *f = found,
            None => window.best.push(found),
        }
        Ok(())
    }

    /// Of the places where windows of the query have found the track, the one at which most of it is heard: where music repeats
    /// itself, ten seconds may not say which of the repetitions they are.
    fn describe(&mut self, id: String, f: &Found, whole: &Whole, found: &[(Hypothesis, &Window)]) -> Result<Match> {
        let middle = whole.frames() as f32 / 2.0;
        let mut heard: Vec<(Extent, Hypothesis)> = Vec::new();
        for (h, window) in found {
            let over =
                Hypothesis { center: h.center + (middle - (window.from + window.end) as f32 / 2.0) * h.rate, ..*h };
            if heard.iter().any(|(_, other)| other.is_near(&over)) {
                continue;
            }
            let (low, high) = whole.span(&over);
            self.read_stars(f.segment, f.track, low, high)?;
            heard.push((whole.extent(&self.stars, f.track.frames, &over, (window.from, window.end)), over));
        }
        let most = heard.into_iter().max_by(|(a, _), (b, _)| a.worth.total_cmp(&b.worth));
        let (Extent { first, last, .. }, h) = most.expect("it was found somewhere");
        let track = f64::from(h.center + (first - middle) * h.rate);
        Ok(Match {
            id,
            score: f64::from(f.score),
            query_start_s: f64::from(first) * FRAME_S + CENTER_S,
            query_end_s: f64::from(last) * FRAME_S + CENTER_S,
            track_start_s: track * FRAME_S + CENTER_S,
            pitch_factor: (f64::from(h.pitch) / PER_OCTAVE).exp2(),
            tempo_factor: f64::from(h.rate),
        })
    }
}

impl Window {
    fn middle(&self) -> f32 {
        self.evidence.frames() as f32 / 2.0
    }

    /// How many tracks are sure to be here, before the scores are finished.
    fn sure(&self) -> usize {
        self.reaching(SURE)
    }

    /// How many tracks have this score at least.
    fn reaching(&self, least: f32) -> usize {
        self.best.iter().filter(|f| f.score >= least).count()
    }
}

/// The windows of a query.
fn windows(sketch: &Sketch) -> Vec<Window> {
    let frames = sketch.frames.len();
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let end = (start + WINDOW).min(frames);
        let from = if end - start < WINDOW { frames.saturating_sub(WINDOW) } else { start };
        if end - from >= 2 {
            let here = sketch.peaks.iter().filter(|p| (from..end).contains(&(p.frame as usize)));
            let peaks = here.map(|p| Peak { frame: p.frame - from as u32, ..*p }).collect();
            out.push(Window { from, end, evidence: Evidence::new(&sketch.frames[from..end]), peaks, best: Vec::new() });
        }
        if end == frames {
            return out;
        }
        start += WINDOW_HOP;
    }
}

/// The stars of these frames.
fn within(stars: &[Star], low: f32, high: f32) -> &[Star] {
    let from = stars.partition_point(|s| (s.frame as f32) < low);
    let to = stars.partition_point(|s| (s.frame as f32) < high);
    &stars[from..to.max(from)]
}

/// The best hypothesis around one that was found in a plane nearby: all speeds within 3 %, each with its best time and key.
fn polish(evidence: &Evidence, stars: &[Star], h: &mut Hypothesis, mut z: f32) -> f32 {
    let (low, high) = evidence.span(h);
    let stars = within(stars, low - 40.0, high + 40.0);
    let around = *h;
    for rate in -6..=6 {
        let rate = around.rate + 0.005 * rate as f32;
        let mut here = (0.0, around);
        for time in -3..=3 {
            for pitch in -2..=2 {
                let moved =
                    Hypothesis { center: around.center + time as f32, pitch: around.pitch + 0.5 * pitch as f32, rate };
                let (other, _) = evidence.score(stars, &moved);
                if other > here.0 {
                    here = (other, moved);
                }
            }
        }
        let (_, mut moved) = here;
        let other = refine(evidence, stars, &mut moved, here.0, true);
        if other > z {
            (z, *h) = (other, moved);
        }
    }
    z
}

/// Time, key and speed by least squares over the peaks of the query that lie where the track has its own: what the picked
/// peaks say is finer than what the spectrogram's hills say. Two rounds, the second without what is far off. Also whether key
/// or speed are clearly not those of the track: four standard errors off, and more than a tenth of a per cent.
fn fit(peaks: &[Peak], stars: &[Star], middle: f32, mut h: Hypothesis) -> Option<(Hypothesis, bool)> {
    let mut sure = false;
    for (frames_off, bands_off) in [(3.0f32, 1.5f32), (1.6, 1.0)] {
        let (mut n, mut sx, mut sy, mut sxx, mut sxy, mut syy) = (0.0f64, 0.0, 0.0, 0.0, 0.0, 0.0);
        let (mut sp, mut spp) = (0.0f64, 0.0);
        let half = middle * h.rate;
        for s in within(stars, h.center - half, h.center + half) {
            let x = s.frame as f32 - h.center;
            let (t, band) = (middle + x / h.rate, f32::from(s.band) + h.pitch);
            let from = peaks.partition_point(|p| (p.frame as f32) < t - frames_off);
            let near = peaks[from..].iter().take_while(|p| p.frame as f32 <= t + frames_off);
            let off = |p: &Peak| f32::from(p.band) + f32::from(p.fraction) / 128.0 - band;
            let Some(p) = near.filter(|p| off(p).abs() <= bands_off).max_by_key(|p| p.height) else { continue };
            let (x, y, off) = (f64::from(x), f64::from(p.frame as f32 - middle), f64::from(off(p)));
            n += 1.0;
            (sx, sy, sxx, sxy, syy) = (sx + x, sy + y, sxx + x * x, sxy + x * y, syy + y * y);
            (sp, spp) = (sp + off, spp + off * off);
        }
        let (width, height) = (sxx - sx * sx / n, syy - sy * sy / n);
        if n < 12.0 || width <= 0.0 {
            return None;
        }
        // Frame of the query = middle + level + slope·(frame of the track − center).
        let slope = (sxy - sx * sy / n) / width;
        let level = (sy - slope * sx) / n;
        if (slope * f64::from(h.rate) - 1.0).abs() > 0.02 {
            return None;
        }
        let slope_error = ((height - slope * slope * width).max(0.0) / (n - 2.0) / width).sqrt();
        let pitch_error = ((spp - sp * sp / n).max(0.0) / (n - 1.0) / n).sqrt();
        h = Hypothesis {
            center: h.center - (level / slope) as f32,
            pitch: h.pitch + (sp / n) as f32,
            rate: (1.0 / slope) as f32,
        };
        let clear = |value: f64, error: f64, least: f64| value.abs() > (4.0 * error).max(least);
        sure = clear(slope - 1.0, slope_error, 1e-3) || clear(f64::from(h.pitch), pitch_error, 0.1);
    }
    Some((h, sure))
}

/// What the same track scores at other places, in the same key and at the same speed: median, and spread of the middle half as
/// a standard deviation. Music that has a scale or a beat in common with the query scores high everywhere.
pub(super) fn elsewhere(evidence: &Evidence, stars: &[Star], h: &Hypothesis) -> (f32, f32) {
    let mut scores: Vec<f32> = (-40..=40i32)
        .filter(|k| k.abs() >= 2)
        .filter_map(|k| {
            // Steps that no beat divides.
            let moved = Hypothesis { center: h.center + k as f32 * 17.3 + (k * k % 7) as f32, ..*h };
            let (low, high) = evidence.span(&moved);
            let (z, n) = evidence.score(within(stars, low, high), &moved);
            (n >= MIN_STARS).then_some(z)
        })
        .collect();
    if scores.len() < 16 {
        return (0.0, 1.0);
    }
    scores.sort_unstable_by(f32::total_cmp);
    let at = |share: usize| scores[share * (scores.len() - 1) / 4];
    (at(2), (at(3) - at(1)) / 1.349)
}

/// Climbs to the best hypothesis nearby: smaller and smaller steps in time, key and speed.
fn refine(evidence: &Evidence, stars: &[Star], h: &mut Hypothesis, mut z: f32, warped: bool) -> f32 {
    let steps: &[(f32, f32, f32)] = if warped {
        &[(2.0, 0.5, 0.008), (1.0, 0.25, 0.004), (0.5, 0.125, 0.002), (0.5, 0.0625, 0.001)]
    } else {
        &[(1.0, 0.0, 0.0), (0.5, 0.0, 0.0)]
    };
    for &(time, pitch, rate) in steps {
        for _ in 0..3 {
            let before = z;
            for (dt, dp, dr) in [(time, 0.0, 0.0), (0.0, pitch, 0.0), (0.0, 0.0, rate)] {
                for sign in [-1.0, 1.0] {
                    let moved = Hypothesis {
                        center: h.center + sign * dt,
                        pitch: h.pitch + sign * dp,
                        rate: h.rate + sign * dr,
                    };
                    let (other, _) = evidence.score(stars, &moved);
                    if other > z {
                        (z, *h) = (other, moved);
                    }
                }
            }
            if z == before {
                break;
            }
        }
    }
    z
}

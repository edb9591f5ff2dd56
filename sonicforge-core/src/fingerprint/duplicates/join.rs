//! All pairs of an index that are one work: by their samples, by their Chromaprints, by their landmarks; each by whatever finds it
//! first, and verified by landmarks along its whole length.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::report::{DUPLICATES_SCHEMA, DuplicateGroup, DuplicatePair, DuplicateReport, Relation, SharedStretch};
use super::words;
use crate::error::{Error, Result, in_range};
use crate::fingerprint::index::{Snapshot, parallel};
use crate::fingerprint::landmark::{self, FRAME_S, Placed, Shared, align};
use crate::fingerprint::{IndexTrack, Posting, Postings, QueryOptions, Sketch, Star, TrackAt};
use crate::progress::{Progress, Step, check};

/// How to look for duplicates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DuplicateOptions {
    /// Also find what is up to this many semitones higher or lower, 0 to 3. The search grows with it.
    pub max_pitch_semitones: f64,
    /// And what is up to this many per cent faster or slower, 0 to 10.
    pub max_tempo_percent: f64,
    /// How many places of a track are looked for in the others, 1 to 1000: more find shorter parts.
    pub probes: usize,
    /// Parts in common of less than this are not told, in seconds, 5 to 3600.
    pub min_shared_s: f64,
    /// On this many threads; 0: one for each processor.
    pub threads: usize,
}

impl Default for DuplicateOptions {
    fn default() -> Self {
        Self { max_pitch_semitones: 1.0, max_tempo_percent: 6.0, probes: 3, min_shared_s: 20.0, threads: 0 }
    }
}

/// Frames of a probe (10 s).
const PROBE: u32 = 431;
/// What a probe must score to be looked at closely.
const PROBE_SCORE: f64 = 8.0;
/// Tracks that a probe may find.
const PROBE_LIMIT: usize = 8;
/// Of the windows of an overlap, the share that must agree for it to be one work.
const AGREEMENT: f64 = 0.75;
/// What the windows that agree must score on average: copies have 33 and more, chance combinations of key and beat up to 13.
const PAIR_SCORE: f64 = 16.0;
/// Share of the shorter track that must lie within the other.
const WHOLE: f64 = 0.8;
/// Factors this close to 1 are no other speed and no other key.
const SAME_SPEED: f64 = 0.004;
/// Bits that a codec changes; an equalizer or a compressor changes more.
const CODEC_ERROR: f64 = 0.12;
/// A cut may take this share of a track, or this many seconds; what is shorter is contained.
const CUT_SHARE: f64 = 0.25;
const CUT_S: f64 = 30.0;
/// Seconds by which lengths may differ for no reason: codecs and resamplers add and lose some.
const PADDING_S: f64 = 1.0;

/// A track, and where it is.
struct Listed {
    segment: usize,
    number: u32,
    seconds: f64,
    frames: u32,
    pcm: Option<u128>,
    words: Vec<u32>,
}

/// A pair to be looked at closely.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    first: usize,
    second: usize,
    placed: Placed,
}

/// A segment in which one track does not sound.
#[derive(Debug)]
struct Without<'a> {
    inner: &'a dyn Postings,
    track: u32,
}

impl Postings for Without<'_> {
    fn weight(&self, keys: Range<u32>) -> usize {
        self.inner.weight(keys)
    }
    fn read(&self, keys: Range<u32>, out: &mut Vec<Posting>) -> Result<()> {
        self.inner.read(keys, out)
    }
    fn track_at(&self, frame: i64) -> Option<TrackAt> {
        self.inner.track_at(frame).filter(|t| t.track != self.track)
    }
    fn stars(&self, track: u32, frames: Range<u32>, out: &mut Vec<Star>) -> Result<()> {
        self.inner.stars(track, frames, out)
    }
    fn tracks(&self) -> u32 {
        self.inner.tracks()
    }
    fn living(&self) -> u32 {
        self.inner.living()
    }
    fn track(&self, track: u32) -> Result<Option<IndexTrack>> {
        self.inner.track(track)
    }
    fn find(&self, id: &str) -> Result<Option<u32>> {
        self.inner.find(id)
    }
    fn id(&self, track: u32) -> Result<String> {
        self.inner.id(track)
    }
}

impl Snapshot {
    /// All tracks that are one work, in groups, and all pairs that share a part.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when an option is out of range; `SF_STORE` when what is kept is damaged; `SF_CANCELLED`.
    pub fn duplicates(&self, options: &DuplicateOptions, progress: &mut dyn Progress) -> Result<DuplicateReport> {
        in_range("max_pitch_semitones", options.max_pitch_semitones, 0.0, 3.0)?;
        in_range("max_tempo_percent", options.max_tempo_percent, 0.0, 10.0)?;
        in_range("min_shared_s", options.min_shared_s, 5.0, 3_600.0)?;
        in_range("probes", options.probes as f64, 1.0, 1_000.0)?;
        Join { segments: self.segments(), options }.report(progress)
    }
}

struct Join<'a> {
    segments: Vec<&'a dyn Postings>,
    options: &'a DuplicateOptions,
}

impl Join<'_> {
    fn report(&self, progress: &mut dyn Progress) -> Result<DuplicateReport> {
        let mut listed = Vec::new();
        for (segment, postings) in self.segments.iter().enumerate() {
            for number in 0..postings.tracks() {
                if let Some(track) = postings.track(number)? {
                    listed.push(Listed {
                        segment,
                        number,
                        seconds: track.seconds,
                        frames: track.landmarks.frames(),
                        pcm: track.pcm,
                        words: track.chromaprint.words().to_vec(),
                    });
                }
            }
        }
        // Of tracks with the same samples one is compared with the others.
        let mut of_pcm: HashMap<u128, usize> = HashMap::new();
        let mut identical: Vec<(usize, usize)> = Vec::new();
        let mut alone: Vec<usize> = Vec::new();
        for (i, track) in listed.iter().enumerate() {
            match track.pcm.map(|pcm| *of_pcm.entry(pcm).or_insert(i)) {
                Some(first) if first != i => identical.push((first, i)),
                _ => alone.push(i),
            }
        }
        let mut candidates = self.by_words(&listed, &alone);
        candidates.extend(self.by_landmarks(&listed, &alone, progress)?);
        let pairs = self.judge_all(&listed, &identical, candidates, progress)?;
        Ok(group(listed.len(), pairs))
    }

    fn track(&self, listed: &Listed) -> Result<IndexTrack> {
        self.segments[listed.segment]
            .track(listed.number)?
            .ok_or_else(|| Error::Internal("a track was removed from a snapshot".to_owned()))
    }

    fn by_words(&self, listed: &[Listed], alone: &[usize]) -> Vec<Candidate> {
        let prints: Vec<&[u32]> = alone.iter().map(|&i| &listed[i].words[..]).collect();
        let step = crate::fingerprint::ChromaprintPreset::Test2.item_seconds();
        let candidate = |j: words::Joined| {
            let (first, second) = (alone[j.first], alone[j.second]);
            // In the middle of what overlaps.
            let from = (-j.distance).max(0);
            let to = (listed[first].words.len() as i64).min(listed[second].words.len() as i64 - j.distance);
            let first_s = (from + to) as f64 / 2.0 * step;
            let second_s = first_s + j.distance as f64 * step;
            Candidate { first, second, placed: Placed { first_s, second_s, pitch_factor: 1.0, tempo_factor: 1.0 } }
        };
        words::join(&prints).into_iter().map(candidate).collect()
    }

    fn by_landmarks(&self, listed: &[Listed], alone: &[usize], progress: &mut dyn Progress) -> Result<Vec<Candidate>> {
        let at: HashMap<(usize, u32), usize> =
            listed.iter().enumerate().map(|(i, t)| ((t.segment, t.number), i)).collect();
        let names: HashMap<String, usize> = at
            .iter()
            .map(|(&(segment, number), &i)| Ok((self.segments[segment].id(number)?, i)))
            .collect::<Result<_>>()?;
        let options = QueryOptions {
            threshold: PROBE_SCORE,
            limit: PROBE_LIMIT,
            max_pitch_semitones: self.options.max_pitch_semitones,
            max_tempo_percent: self.options.max_tempo_percent,
        };
        let mut news = |done: usize| {
            let step = Step::new("probe", 0.9 * done as f64 / alone.len() as f64);
            check(progress, "the search for duplicates", step)
        };
        let found = parallel(alone.len(), self.options.threads, &mut news, |k| {
            let first = alone[k];
            let here = self.probe(&listed[first], &options, |id| names[id])?;
            Ok(here.into_iter().map(|(second, placed)| Candidate { first, second, placed }).collect::<Vec<_>>())
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Where some places of a track sound in other tracks.
    fn probe(
        &self,
        track: &Listed,
        options: &QueryOptions,
        number: impl Fn(&str) -> usize,
    ) -> Result<Vec<(usize, Placed)>> {
        let segment = self.segments[track.segment];
        let without = Without { inner: segment, track: track.number };
        let mut segments = self.segments.clone();
        segments[track.segment] = &without;
        let length = PROBE.min(track.frames);
        let probes = (track.frames / PROBE).clamp(1, self.options.probes as u32);
        let mut out = Vec::new();
        let mut stars = Vec::new();
        for probe in 0..probes {
            let from = (u64::from(track.frames - length) * u64::from(2 * probe + 1) / u64::from(2 * probes)) as u32;
            stars.clear();
            segment.stars(track.number, from..from + length, &mut stars)?;
            for found in landmark::search(&segments, &Sketch::of_stars(&stars, from, length), options)? {
                let placed = Placed {
                    first_s: f64::from(from) * FRAME_S + found.query_start_s,
                    second_s: found.track_start_s,
                    pitch_factor: found.pitch_factor,
                    tempo_factor: found.tempo_factor,
                };
                out.push((number(&found.id), placed));
            }
        }
        Ok(out)
    }

    fn judge_all(
        &self,
        listed: &[Listed],
        identical: &[(usize, usize)],
        candidates: Vec<Candidate>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<DuplicatePair>> {
        let mut out = Vec::new();
        for &(first, second) in identical {
            let (a, b) = (&listed[first], &listed[second]);
            let mut ids = [self.segments[a.segment].id(a.number)?, self.segments[b.segment].id(b.number)?];
            ids.sort();
            let [first, second] = ids;
            let all = SharedStretch {
                first_start_s: 0.0,
                first_end_s: a.seconds,
                second_start_s: 0.0,
                second_end_s: a.seconds,
            };
            out.push(DuplicatePair {
                first,
                second,
                relation: Relation::Identical,
                score: None,
                agreement: 1.0,
                bit_error: None,
                pitch_factor: 1.0,
                tempo_factor: 1.0,
                stretches: vec![all],
            });
        }
        // Of one pair the alignments that differ.
        let mut of_pair: BTreeMap<(usize, usize), Vec<Candidate>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for c in candidates {
            let offset = c.placed.second_s - c.placed.first_s * c.placed.tempo_factor;
            let ordered = (c.first.min(c.second), c.first.max(c.second));
            let key =
                (c.first, c.second, (offset * 2.0).round() as i64, (c.placed.tempo_factor * 200.0).round() as i64);
            if seen.insert(key) {
                of_pair.entry(ordered).or_default().push(c);
            }
        }
        let pairs: Vec<Vec<Candidate>> = of_pair.into_values().collect();
        let mut news = |done: usize| {
            let step = Step::new("verify", 0.9 + 0.1 * done as f64 / pairs.len() as f64);
            check(progress, "the search for duplicates", step)
        };
        let judged = parallel(pairs.len(), self.options.threads, &mut news, |i| {
            let mut best: Option<DuplicatePair> = None;
            for c in &pairs[i] {
                let now = self.judge(listed, c)?;
                // What says most: not a part but a whole, then the most windows.
                let rank = |p: &DuplicatePair| (p.relation != Relation::Shares, p.agreement, p.score.unwrap_or(0.0));
                best = match (best, now) {
                    (Some(a), Some(b)) => Some(if rank(&b) > rank(&a) { b } else { a }),
                    (a, b) => b.or(a),
                };
            }
            Ok(best)
        })?;
        out.extend(judged.into_iter().flatten());
        Ok(out)
    }

    /// Looks at two tracks along their whole length.
    fn judge(&self, listed: &[Listed], c: &Candidate) -> Result<Option<DuplicatePair>> {
        let (a, b) = (&listed[c.first], &listed[c.second]);
        let (first, second) = (self.track(a)?, self.track(b)?);
        let aligned = align(&first.landmarks, &second.landmarks, &c.placed);
        let length = |s: &Shared| s.first_s.1 - s.first_s.0;
        let shared_s: f64 = aligned.shared.iter().map(length).sum();
        let score = aligned.shared.iter().map(|s| s.score * length(s)).sum::<f64>() / shared_s.max(1.0);
        if score < PAIR_SCORE {
            return Ok(None);
        }
        let tempo = c.placed.tempo_factor;
        let offset = c.placed.second_s - c.placed.first_s * tempo;
        // From and to in the first where the second sounds, or would.
        let from = (-offset / tempo).max(0.0);
        let to = a.seconds.min((b.seconds - offset) / tempo);
        let overlap = (to - from).max(0.0);
        let shorter = a.seconds.min(b.seconds / tempo);
        let other_speed = (tempo - 1.0).abs() > SAME_SPEED || (c.placed.pitch_factor - 1.0).abs() > SAME_SPEED;
        let step = crate::fingerprint::ChromaprintPreset::Test2.item_seconds();
        let bit_error =
            if other_speed { None } else { words::bit_error(&a.words, &b.words, (offset / step).round() as i64) };
        let whole = overlap >= WHOLE * shorter
            && aligned.agreement >= AGREEMENT
            && shared_s >= (0.4 * shorter).min(2.0 * self.options.min_shared_s);
        let relation = if whole {
            let (longer, missing) = {
                let (x, y) = (a.seconds, b.seconds / tempo);
                (x.max(y), x.max(y) - overlap)
            };
            if other_speed {
                Relation::Sped
            } else if missing > (CUT_SHARE * longer).max(CUT_S.min(0.5 * longer)) {
                Relation::Contains
            } else if missing > PADDING_S {
                Relation::Trimmed
            } else if bit_error.is_none_or(|e| e <= CODEC_ERROR) {
                Relation::Transcode
            } else {
                Relation::Remaster
            }
        } else if aligned.shared.iter().any(|s| length(s) >= self.options.min_shared_s) {
            Relation::Shares
        } else {
            return Ok(None);
        };
        let mut pair = DuplicatePair {
            first: first.id,
            second: second.id,
            relation,
            score: Some(score),
            agreement: aligned.agreement,
            bit_error,
            pitch_factor: c.placed.pitch_factor,
            tempo_factor: tempo,
            stretches: aligned
                .shared
                .iter()
                .map(|s| SharedStretch {
                    first_start_s: s.first_s.0,
                    first_end_s: s.first_s.1,
                    second_start_s: s.second_s.0.max(0.0),
                    second_end_s: s.second_s.1.min(b.seconds),
                })
                .collect(),
        };
        // The longer one first.
        let turn = match relation {
            Relation::Trimmed | Relation::Contains => b.seconds > a.seconds,
            _ => pair.second < pair.first,
        };
        if turn {
            std::mem::swap(&mut pair.first, &mut pair.second);
            (pair.pitch_factor, pair.tempo_factor) = (1.0 / pair.pitch_factor, 1.0 / pair.tempo_factor);
            for s in &mut pair.stretches {
                std::mem::swap(&mut s.first_start_s, &mut s.second_start_s);
                std::mem::swap(&mut s.first_end_s, &mut s.second_end_s);
            }
        }
        Ok(Some(pair))
    }
}

/// Pairs → groups, by union and find.
fn group(tracks: usize, mut pairs: Vec<DuplicatePair>) -> DuplicateReport {
    pairs.sort_by(|a, b| (&a.first, &a.second).cmp(&(&b.first, &b.second)));
    let (shares, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|p| p.relation == Relation::Shares);
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in &pairs {
        for id in [&pair.first, &pair.second] {
            let next = numbers.len();
            numbers.entry(id).or_insert(next);
        }
    }
    let mut parent: Vec<usize> = (0..numbers.len()).collect();
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    for pair in &pairs {
        let (a, b) = (root(&mut parent, numbers[&*pair.first]), root(&mut parent, numbers[&*pair.second]));
        parent[a] = b;
    }
    let mut groups: BTreeMap<usize, DuplicateGroup> = BTreeMap::new();
    let empty = || DuplicateGroup { ids: Vec::new(), pairs: Vec::new() };
    for (id, &n) in &numbers {
        groups.entry(root(&mut parent, n)).or_insert_with(empty).ids.push((*id).to_owned());
    }
    for pair in &pairs {
        let at = root(&mut parent, numbers[&*pair.first]);
        groups.get_mut(&at).expect("both of its tracks are there").pairs.push(pair.clone());
    }
    let mut groups: Vec<DuplicateGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| a.ids.cmp(&b.ids));
    DuplicateReport { schema: DUPLICATES_SCHEMA, tracks, groups, shares }
}

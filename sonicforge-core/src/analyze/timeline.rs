//! The sound over time in at most 36 000 steps: an hour at 100 ms, two hours at 200 ms …

use super::analysis::Timeline;
use super::loudness::LoudnessMeter;
use super::quantum::Quantum;

/// Steps per second at the finest.
const STEPS_PER_SECOND: u64 = 10;
/// When there would be more, neighbours are merged.
const MAX_STEPS: usize = 36_000;

/// Lowest and highest sample per step, while the sound goes by.
#[derive(Debug, Clone)]
pub(super) struct Waveform {
    sample_rate: u64,
    /// How many finest steps are merged into one.
    merged: u64,
    position: u64,
    end: u64,
    range: (f32, f32),
    minimum: Vec<f32>,
    maximum: Vec<f32>,
}

const NOTHING: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

impl Waveform {
    pub(super) fn new(sample_rate: u32) -> Self {
        let sample_rate = u64::from(sample_rate);
        let end = sample_rate / STEPS_PER_SECOND;
        Self { sample_rate, merged: 1, position: 0, end, range: NOTHING, minimum: Vec::new(), maximum: Vec::new() }
    }

    pub(super) fn feed(&mut self, q: &Quantum) {
        let mut start = 0;
        while start < q.frames {
            let n = ((self.end - self.position) as usize).min(q.frames - start);
            for c in 0..q.channels() {
                let (lo, hi) = range(&q.channel(c)[start..start + n]);
                self.range = (self.range.0.min(lo), self.range.1.max(hi));
            }
            self.position += n as u64;
            start += n;
            if self.position == self.end {
                self.finish_step();
            }
        }
    }

    fn finish_step(&mut self) {
        self.minimum.push(self.range.0);
        self.maximum.push(self.range.1);
        self.range = NOTHING;
        if self.minimum.len() == MAX_STEPS && self.position > 0 {
            merge(&mut self.minimum, f32::min);
            merge(&mut self.maximum, f32::max);
            self.merged *= 2;
        }
        self.end = (self.minimum.len() as u64 + 1) * self.merged * self.sample_rate / STEPS_PER_SECOND;
    }

    /// The timeline, with the loudness taken from the meter that heard the same.
    pub(super) fn finish(mut self, loudness: &LoudnessMeter) -> Timeline {
        if self.range != NOTHING {
            self.minimum.push(self.range.0);
            self.maximum.push(self.range.1);
        }
        let steps = self.minimum.len();
        let line = |width: usize| {
            let mut line: Vec<Option<f32>> = loudness.over_time(width).collect();
            for _ in 0..self.merged.trailing_zeros() {
                merge(&mut line, louder);
            }
            line.resize(steps, None);
            line
        };
        let (momentary_lufs, short_term_lufs) = (line(4), line(30));
        Timeline {
            step_s: self.merged as f64 / STEPS_PER_SECOND as f64,
            momentary_lufs,
            short_term_lufs,
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}

fn range(x: &[f32]) -> (f32, f32) {
    let (mut lo, mut hi) = ([f32::INFINITY; 16], [f32::NEG_INFINITY; 16]);
    let (body, tail) = x.as_chunks::<16>();
    for x in body {
        for i in 0..16 {
            lo[i] = if x[i] < lo[i] { x[i] } else { lo[i] };
            hi[i] = if x[i] > hi[i] { x[i] } else { hi[i] };
        }
    }
    let (lo, hi) = (lo.iter().chain(tail), hi.iter().chain(tail));
    (lo.fold(f32::INFINITY, |m, &x| m.min(x)), hi.fold(f32::NEG_INFINITY, |m, &x| m.max(x)))
}

/// Halves a list by joining neighbours; a last one without a neighbour stays.
fn merge<T: Copy>(line: &mut Vec<T>, join: impl Fn(T, T) -> T) {
    let n = line.len();
    for i in 0..n.div_ceil(2) {
        line[i] = if 2 * i + 1 < n { join(line[2 * i], line[2 * i + 1]) } else { line[2 * i] };
    }
    line.truncate(n.div_ceil(2));
}

fn louder(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

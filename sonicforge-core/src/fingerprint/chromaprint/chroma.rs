//! Samples → chroma: how the energy of a window is shared among the twelve notes (M. A. Bartsch, G. H. Wakefield, "To
//! Catch a Chorus", WASPAA 2001), smoothed over five windows and of norm one.

use std::f64::consts::TAU;
use std::ops::Range;

use crate::dsp::stft::HalfStft;

/// Notes per octave, from A on.
pub(super) const NOTES: usize = 12;
/// The band that is heard, in Hz.
const LOW_HZ: f64 = 28.0;
const HIGH_HZ: f64 = 3520.0;
/// The lowest A, in Hz.
const A0_HZ: f64 = 27.5;
/// Weights of five windows in a row.
const SMOOTH: [f64; 5] = [0.25, 0.75, 1.0, 0.75, 0.25];
/// Below this norm there is nothing to hear.
const SILENCE: f64 = 0.01;

#[derive(Debug, Clone)]
pub(super) struct Chroma {
    stft: HalfStft,
    power: Vec<f32>,
    /// Bins of one note that lie side by side, counted from the first of all.
    runs: Vec<(Range<usize>, usize)>,
    past: [[f64; NOTES]; SMOOTH.len()],
    filled: usize,
    at: usize,
}

impl Chroma {
    pub fn new(frame: usize) -> Self {
        // Hamming; samples are 16 bit and become ±1.
        let step = TAU / (frame - 1) as f64;
        let window: Vec<f64> = (0..frame).map(|n| (0.54 - 0.46 * (step * n as f64).cos()) / 32_767.0).collect();
        let bin_hz = f64::from(super::RATE) / frame as f64;
        let bins = (LOW_HZ / bin_hz).round() as usize..(HIGH_HZ / bin_hz).round() as usize;
        let note = |bin: usize| {
            let octaves = (bin as f64 * bin_hz / A0_HZ).log2();
            (NOTES as f64 * (octaves - octaves.floor())) as usize
        };
        let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
        for bin in bins.clone() {
            let at = bin - bins.start;
            match runs.last_mut() {
                Some((run, n)) if *n == note(bin) => run.end = at + 1,
                _ => runs.push((at..at + 1, note(bin))),
            }
        }
        let past = [[0.0; NOTES]; SMOOTH.len()];
        Self { power: vec![0.0; bins.len()], stft: HalfStft::new(&window, bins), runs, past, filled: 0, at: 0 }
    }

    /// Hears the next window; from the fifth on each gives a row.
    pub fn push(&mut self, frame: &[i16]) -> Option<[f64; NOTES]> {
        self.stft.power(frame, &mut self.power);
        let mut notes = [0.0; NOTES];
        for (run, note) in &self.runs {
            notes[*note] += sum(&self.power[run.clone()]);
        }
        self.past[self.at] = notes;
        self.at = (self.at + 1) % SMOOTH.len();
        self.filled = (self.filled + 1).min(SMOOTH.len());
        (self.filled == SMOOTH.len()).then(|| self.row())
    }

    fn row(&self) -> [f64; NOTES] {
        let mut row = [0.0; NOTES];
        for (k, weight) in SMOOTH.iter().enumerate() {
            let past = &self.past[(self.at + k) % SMOOTH.len()];
            for (y, x) in row.iter_mut().zip(past) {
                *y += weight * x;
            }
        }
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm < SILENCE { [0.0; NOTES] } else { row.map(|x| x / norm) }
    }
}

/// In f64; four sums side by side, so that one need not wait for the other.
fn sum(x: &[f32]) -> f64 {
    let (fours, rest) = x.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for four in fours {
        for (s, &x) in sums.iter_mut().zip(four) {
            *s += f64::from(x);
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest.iter().map(|&x| f64::from(x)).sum::<f64>()
}

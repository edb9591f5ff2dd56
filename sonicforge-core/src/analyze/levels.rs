//! Sample peak, RMS, DC, clipping. The decibels are of mean squares (a full-scale sine has −3.01 dB RMS), not of AES17.

use super::quantum::{QUANTUM, Quantum};

/// The highest magnitude that every integer format can hold with both signs at 16 bits: 32767/32768.
const FULL_SCALE: f32 = 32_767.0 / 32_768.0;
/// A run of this many samples at full scale is no coincidence.
const RUN: u64 = 3;
const LANES: usize = 16;

/// One channel's sums.
#[derive(Debug, Clone, Default)]
struct Channel {
    sum: f64,
    squares: f64,
    /// Samples of the run that is going on: positive above, negative below.
    run: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Levels {
    channels: Vec<Channel>,
    frames: u64,
    pub(super) peak: f32,
    pub(super) clipped: u64,
}

impl Levels {
    pub(super) fn new(channels: usize) -> Self {
        Self { channels: vec![Channel::default(); channels], frames: 0, peak: 0.0, clipped: 0 }
    }

    pub(super) fn feed(&mut self, q: &Quantum) {
        self.frames += q.frames as u64;
        for (c, own) in self.channels.iter_mut().enumerate() {
            if q.peaks[c] == 0.0 {
                own.run = 0;
                continue;
            }
            let (sum, squares) = sums(q.channel(c));
            own.sum += sum;
            own.squares += squares;
            self.peak = self.peak.max(q.peaks[c]);
            if q.peaks[c] >= FULL_SCALE {
                for &x in q.channel(c) {
                    self.clipped += own.clip(x);
                }
            } else {
                own.run = 0;
            }
        }
    }

    /// Mean of each channel.
    pub(super) fn dc(&self) -> Vec<f64> {
        self.channels.iter().map(|c| c.sum / self.frames.max(1) as f64).collect()
    }

    /// Mean of the squares of all samples of all channels.
    pub(super) fn mean_square(&self) -> f64 {
        let n = self.frames.max(1) as f64 * self.channels.len() as f64;
        self.channels.iter().map(|c| c.squares).sum::<f64>() / n
    }
}

impl Channel {
    /// How many clipped samples `x` adds: a run counts from its third sample on, which brings the first two along.
    /// Samples over 1 count at once.
    fn clip(&mut self, x: f32) -> u64 {
        if x.abs() > 1.0 {
            // It ends a run of exact full scale, and never belongs to one: no sample counts twice.
            self.run = 0;
            return 1;
        }
        if x.abs() < FULL_SCALE {
            self.run = 0;
            return 0;
        }
        let sign = if x > 0.0 { 1 } else { -1 };
        self.run = if self.run.signum() == sign { self.run + sign } else { sign };
        match self.run.unsigned_abs() {
            n if n < RUN => 0,
            RUN => RUN,
            _ => 1,
        }
    }
}

/// Sum and sum of squares: 16 lanes of 32 values at most, in f32, then added up in f64, always in the same order.
pub(super) fn sums(x: &[f32]) -> (f64, f64) {
    debug_assert!(x.len() <= QUANTUM);
    let (mut s, mut e) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (body, tail) = x.as_chunks::<LANES>();
    for x in body {
        for i in 0..LANES {
            s[i] += x[i];
            e[i] += x[i] * x[i];
        }
    }
    for (i, &x) in tail.iter().enumerate() {
        s[i] += x;
        e[i] += x * x;
    }
    (s.iter().map(|&v| f64::from(v)).sum(), e.iter().map(|&v| f64::from(v)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipped(x: &[f32]) -> u64 {
        let mut channel = Channel::default();
        x.iter().map(|&x| channel.clip(x)).sum()
    }

    #[test]
    fn what_counts_as_clipped() {
        assert_eq!(clipped(&[0.5, 1.0, 1.0, 0.5]), 0);
        assert_eq!(clipped(&[0.5, 1.0, 1.0, 1.0, 0.5]), 3);
        assert_eq!(clipped(&[0.5, 1.0, FULL_SCALE, 1.0, 1.0, 0.5]), 4);
        assert_eq!(clipped(&[-1.0, -1.0, -1.0, 1.0, 1.0]), 3);
        assert_eq!(clipped(&[1.0, -1.0, 1.0, -1.0]), 0);
        assert_eq!(clipped(&[0.0, 1.01, 0.0, -1.2]), 2);
        assert_eq!(clipped(&[1.0, 1.0, 1.01, 1.0, 1.0]), 1);
    }

    #[test]
    fn sums_of_odd_lengths() {
        for n in [0, 1, 15, 16, 17, 511, 512] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32) / 512.0 - 0.3).collect();
            let (s, e) = sums(&x);
            assert!((s - x.iter().map(|&x| f64::from(x)).sum::<f64>()).abs() < 1e-4);
            assert!((e - x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()).abs() < 1e-4);
        }
    }
}

//! Sliding minimum and sliding mean: the two windows of a look-ahead limiter.
//!
//! The minimum is by M. van Herk, *A fast algorithm for local minimum and maximum filters on rectangular and octagonal
//! kernels* (1992): three comparisons a sample whatever the length.

/// Minimum of the last `length` values.
#[derive(Debug, Clone)]
pub struct SlidingMin {
    length: usize,
    /// Suffix minima of the finished run.
    suffix: Vec<f64>,
    /// The run being collected.
    run: Vec<f64>,
    at: usize,
    prefix: f64,
    rest: f64,
}

impl SlidingMin {
    /// A window of `length` ≥ 1 values that begins full of `rest`.
    pub fn new(length: usize, rest: f64) -> Self {
        let length = length.max(1);
        Self { length, suffix: vec![rest; length], run: vec![rest; length], at: 0, prefix: rest, rest }
    }

    /// Takes `x` in and returns the minimum of the last `length` values, `x` included.
    #[inline(always)]
    pub fn step(&mut self, x: f64) -> f64 {
        self.run[self.at] = x;
        self.prefix = if self.at == 0 { x } else { self.prefix.min(x) };
        // The window reaches back into the finished run by what this one still lacks.
        let back = self.suffix[self.at];
        let y = self.prefix.min(back);
        self.at += 1;
        if self.at == self.length {
            self.at = 0;
            // suffix[i] = min of run[i+1 ..]: what is still inside the window when the next run has i+1 values.
            let mut m = f64::INFINITY;
            for i in (0..self.length).rev() {
                self.suffix[i] = m;
                m = m.min(self.run[i]);
            }
        }
        y
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.suffix.fill(self.rest);
        self.at = 0;
        self.prefix = self.rest;
    }
}

/// Mean of the last `length` values, by a running sum.
///
/// The sum is renewed from the values once a round, so that rounding cannot pile up however long it runs.
#[derive(Debug, Clone)]
pub struct SlidingMean {
    ring: Vec<f64>,
    at: usize,
    sum: f64,
    length: f64,
    rest: f64,
}

impl SlidingMean {
    /// A window of `length` ≥ 1 values that begins full of `rest`.
    pub fn new(length: usize, rest: f64) -> Self {
        let length = length.max(1);
        let mut mean = Self { ring: vec![rest; length], at: 0, sum: 0.0, length: length as f64, rest };
        mean.reset();
        mean
    }

    /// Takes `x` in and returns the mean of the last `length` values, `x` included.
    #[inline(always)]
    pub fn step(&mut self, x: f64) -> f64 {
        let old = std::mem::replace(&mut self.ring[self.at], x);
        self.sum += x - old;
        self.at += 1;
        if self.at == self.ring.len() {
            self.at = 0;
            self.sum = self.ring.iter().sum();
        }
        // A division, not a product with 1/length: a window full of ones gives exactly one.
        self.sum / self.length
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.ring.fill(self.rest);
        self.at = 0;
        self.sum = self.ring.iter().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;

    #[test]
    fn minimum_equals_the_plain_one() {
        for length in [1usize, 2, 3, 7, 64, 145] {
            let mut rng = Xorshift::new(length as u64);
            let x: Vec<f64> = (0..1_000).map(|_| rng.bipolar()).collect();
            let mut m = SlidingMin::new(length, 1.0);
            for n in 0..x.len() {
                let from = (n + 1).saturating_sub(length);
                let mut want = x[from..=n].iter().copied().fold(f64::INFINITY, f64::min);
                if n + 1 < length {
                    want = want.min(1.0);
                }
                assert_eq!(m.step(x[n]), want, "length {length} at {n}");
            }
        }
    }

    #[test]
    fn mean_equals_the_plain_one() {
        let mut rng = Xorshift::new(3);
        let x: Vec<f64> = (0..5_000).map(|_| rng.bipolar()).collect();
        let mut m = SlidingMean::new(73, 0.0);
        for n in 0..x.len() {
            let y = m.step(x[n]);
            if n >= 72 {
                let want = x[n - 72..=n].iter().sum::<f64>() / 73.0;
                assert!((y - want).abs() < 1e-14);
            }
        }
    }
}

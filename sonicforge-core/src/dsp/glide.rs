//! Parameters that move without zipper noise: a straight line over some quanta.

use crate::dsp::QUANTUM;

/// A number on its way to a target, renewed at quantum edges.
#[derive(Debug, Clone, Copy)]
pub struct Glide {
    start: f64,
    end: f64,
    target: f64,
    step: f64,
    quanta: u32,
    left: u32,
}

impl Glide {
    /// Rests at `value`. A move will take about 20 ms at `sample_rate`.
    pub fn new(value: f64, sample_rate: f64) -> Self {
        let quanta = (0.02 * sample_rate / QUANTUM as f64).ceil().max(1.0) as u32;
        Self { start: value, end: value, target: value, step: 0.0, quanta, left: 0 }
    }

    /// Sets out for `target`.
    pub fn set(&mut self, target: f64) {
        if target != self.target {
            self.target = target;
            self.left = self.quanta;
            self.step = (target - self.end) / f64::from(self.quanta);
        }
    }

    /// Is there at once.
    pub fn jump(&mut self) {
        self.start = self.target;
        self.end = self.target;
        self.left = 0;
    }

    /// At a quantum edge: moves on to the next piece of the line. Returns whether the value moves within it.
    #[inline]
    pub fn advance(&mut self) -> bool {
        self.start = self.end;
        if self.left > 0 {
            self.left -= 1;
            self.end = if self.left == 0 { self.target } else { self.end + self.step };
            true
        } else {
            false
        }
    }

    /// Where it is going.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// Whether it rests at its target throughout this quantum.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.left == 0 && self.start == self.end
    }

    /// The value at the end of this quantum.
    #[inline]
    pub fn value(&self) -> f64 {
        self.end
    }

    /// The value at frame `i` (0 to 63) of this quantum.
    #[inline(always)]
    pub fn at(&self, i: usize) -> f64 {
        self.start + (self.end - self.start) * ((i + 1) as f64 * (1.0 / QUANTUM as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrives_exactly_and_in_time() {
        let mut g = Glide::new(1.0, 48_000.0);
        g.set(0.3);
        let mut n = 0;
        while g.advance() {
            assert!(g.at(0) < 1.0 && g.at(63) >= 0.3);
            n += 1;
        }
        assert_eq!(n, 15);
        assert_eq!(g.value(), 0.3);
        assert!(g.is_settled());
    }
}

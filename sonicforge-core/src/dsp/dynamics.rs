//! The gain computer and the ballistics of every compressor in the house.
//!
//! D. Giannoulis, M. Massberg, J. Reiss, *Digital dynamic range compressor design – a tutorial and analysis*, JAES 60
//! (2012): level detector → static curve with a quadratic knee → smoothing of the gain in dB. The detector holds the peak
//! for half a period of the lowest tone it listens to and knows nothing of attack and release; so the static curve is the
//! one on the label whatever the ballistics, and a steady tone is turned down without a ripple (no distortion).
//!
//! The control signal is renewed once a [`STEP`] of frames and drawn as straight lines between, one step behind the sound.

use crate::dsp::QUANTUM;

/// Frames between two values of a control signal; divides the quantum.
pub const STEP: usize = 16;
/// Control values in a quantum.
pub const STEPS: usize = QUANTUM / STEP;

/// The longest time that [`PeakHold::retime`] can be given without asking for memory: half a period of 25 Hz.
const LONGEST_HOLD_S: f64 = 0.02;

/// Holds the largest magnitude of the last steps.
#[derive(Debug, Clone, Default)]
pub struct PeakHold {
    ring: Vec<f64>,
    at: usize,
}

impl PeakHold {
    /// Holds for at least `hold_s` seconds at `sample_rate`.
    pub fn new(sample_rate: f64, hold_s: f64) -> Self {
        let steps = |seconds: f64| (seconds * sample_rate / STEP as f64).ceil() as usize + 1;
        let mut ring = Vec::with_capacity(steps(hold_s.max(LONGEST_HOLD_S)));
        ring.resize(steps(hold_s), 0.0);
        Self { ring, at: 0 }
    }

    /// Forgets, and holds for `hold_s` from now on. Asks for no memory at the same rate, up to 20 ms.
    pub fn retime(&mut self, sample_rate: f64, hold_s: f64) {
        self.ring.clear();
        self.ring.resize((hold_s * sample_rate / STEP as f64).ceil() as usize + 1, 0.0);
        self.at = 0;
    }

    /// Takes the peak of the step that has just ended; returns the held one.
    #[inline]
    pub fn step(&mut self, peak: f64) -> f64 {
        self.ring[self.at] = peak;
        self.at = if self.at + 1 == self.ring.len() { 0 } else { self.at + 1 };
        let mut lanes = [0.0f64; 4];
        let mut chunks = self.ring.chunks_exact(4);
        for c in &mut chunks {
            for i in 0..4 {
                lanes[i] = if c[i] > lanes[i] { c[i] } else { lanes[i] };
            }
        }
        chunks.remainder().iter().chain(&lanes).fold(0.0, |m: f64, &x| if x > m { x } else { m })
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.ring.fill(0.0);
        self.at = 0;
    }
}

/// Threshold, ratio and knee: from a level to the gain wished for, both in dB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Level in dBFS (peak) above which the gain falls.
    pub threshold_db: f64,
    /// Input dB per output dB above the threshold; 1 does nothing.
    pub ratio: f64,
    /// Width of the knee in dB, half of it on each side of the threshold.
    pub knee_db: f64,
}

impl Curve {
    /// The gain in dB (≤ 0) for a level in dBFS. With `x` the level over the threshold, `W` the knee and `s = 1/R − 1`:
    /// `0` below `−W/2`, `s·(x + W/2)²/(2W)` in the knee, `s·x` above.
    #[inline]
    pub fn gain_db(&self, level_db: f64) -> f64 {
        let slope = 1.0 / self.ratio - 1.0;
        let over = level_db - self.threshold_db;
        let half = 0.5 * self.knee_db;
        if over <= -half {
            0.0
        } else if over < half {
            slope * (over + half) * (over + half) / (2.0 * self.knee_db)
        } else {
            slope * over
        }
    }
}

/// Attack and dual release on a gain in dB.
///
/// Two smoothers run side by side: a quick one, and a slow one that follows only what lasts. The deeper of the two wins, so
/// a short peak lets go quickly and a long loud passage does not pump. A time constant is the time in which the gain covers
/// 63 % (1 − 1/e) of the way after a step.
#[derive(Debug, Clone, Copy)]
pub struct Ballistics {
    attack: f64,
    release: f64,
    slow_attack: f64,
    slow_release: f64,
    quick: f64,
    slow: f64,
}

impl Ballistics {
    /// Times in ms. The slow part takes up a reduction in `4·attack + 100 ms` and gives it back in `slow_release_ms`;
    /// 0 switches it off.
    pub fn new(sample_rate: f64, attack_ms: f64, release_ms: f64, slow_release_ms: f64) -> Self {
        let mut b = Self { attack: 1.0, release: 1.0, slow_attack: 0.0, slow_release: 0.0, quick: 0.0, slow: 0.0 };
        b.set_times(sample_rate, attack_ms, release_ms, slow_release_ms);
        b
    }

    /// Changes the times; the gain goes on from where it is.
    pub fn set_times(&mut self, sample_rate: f64, attack_ms: f64, release_ms: f64, slow_release_ms: f64) {
        let rate = sample_rate / STEP as f64;
        let k = |ms: f64| if ms <= 0.0 { 1.0 } else { 1.0 - (-1e3 / (ms * rate)).exp() };
        self.attack = k(attack_ms);
        self.release = k(release_ms);
        if slow_release_ms > 0.0 {
            self.slow_attack = k(4.0 * attack_ms + 100.0);
            self.slow_release = k(slow_release_ms);
        } else {
            self.slow_attack = 0.0;
            self.slow_release = 1.0;
        }
    }

    /// One control step: from the gain wished for to the gain given, in dB.
    #[inline]
    pub fn step(&mut self, wish_db: f64) -> f64 {
        let k = if wish_db < self.quick { self.attack } else { self.release };
        self.quick += k * (wish_db - self.quick);
        let k = if wish_db < self.slow { self.slow_attack } else { self.slow_release };
        self.slow += k * (wish_db - self.slow);
        // Ends exactly at nought: neutral is bit exact, and nothing becomes denormal.
        if wish_db == 0.0 {
            if self.quick > -1e-6 {
                self.quick = 0.0;
            }
            if self.slow > -1e-6 {
                self.slow = 0.0;
            }
        }
        self.quick.min(self.slow)
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.quick = 0.0;
        self.slow = 0.0;
    }
}

/// How much gain was taken, over time: the deepest and the mean of all control steps.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reduction {
    /// Deepest reduction in dB, ≥ 0.
    pub max_db: f64,
    /// Sum of the reductions in dB of all steps.
    pub sum_db: f64,
    /// How many steps were counted.
    pub steps: u64,
    /// Deepest reduction in dB since [`Self::take_recent`].
    recent_db: f64,
}

impl Reduction {
    /// Counts one control step with this gain in dB (≤ 0).
    #[inline]
    pub fn count(&mut self, gain_db: f64) {
        self.max_db = self.max_db.max(-gain_db);
        self.sum_db -= gain_db;
        self.recent_db = self.recent_db.max(-gain_db);
        self.steps += 1;
    }

    /// Deepest reduction in dB since the last call.
    pub(crate) fn take_recent(&mut self) -> f64 {
        std::mem::take(&mut self.recent_db)
    }

    /// Mean reduction in dB.
    pub fn mean_db(&self) -> f64 {
        if self.steps == 0 { 0.0 } else { self.sum_db / self.steps as f64 }
    }
}

/// Level in dBFS of a magnitude, −200 for silence.
#[inline]
pub fn level_db(magnitude: f64) -> f64 {
    if magnitude <= 1e-10 { -200.0 } else { 20.0 * magnitude.log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_the_one_on_the_label() {
        let hard = Curve { threshold_db: -20.0, ratio: 4.0, knee_db: 0.0 };
        assert_eq!(hard.gain_db(-30.0), 0.0);
        assert!((hard.gain_db(-8.0) + 9.0).abs() < 1e-12);
        let soft = Curve { knee_db: 6.0, ..hard };
        assert_eq!(soft.gain_db(-23.0), 0.0);
        assert!((soft.gain_db(-20.0) + 0.75 * 9.0 / 12.0).abs() < 1e-12);
        assert!((soft.gain_db(-17.0) - hard.gain_db(-17.0)).abs() < 1e-12);
    }

    #[test]
    fn time_constants_mean_63_percent_in_db() {
        let fs = 48_000.0;
        for (attack, release) in [(5.0, 100.0), (20.0, 250.0)] {
            let mut b = Ballistics::new(fs, attack, release, 0.0);
            let mut n = 0;
            while b.step(-10.0) > -10.0 * (1.0 - (-1f64).exp()) {
                n += 1;
            }
            let ms = n as f64 * STEP as f64 / fs * 1e3;
            assert!((ms / attack - 1.0).abs() < 0.1, "attack {ms}");
            for _ in 0..100_000 {
                b.step(-10.0);
            }
            let mut n = 0;
            while b.step(0.0) < -10.0 * (-1f64).exp() {
                n += 1;
            }
            let ms = n as f64 * STEP as f64 / fs * 1e3;
            assert!((ms / release - 1.0).abs() < 0.05, "release {ms}");
        }
    }

    #[test]
    fn what_lasts_lets_go_slowly() {
        let fs = 48_000.0;
        let after = |held_steps: usize| {
            let mut b = Ballistics::new(fs, 5.0, 60.0, 1_000.0);
            for _ in 0..held_steps {
                b.step(-10.0);
            }
            let mut g = 0.0;
            for _ in 0..600 {
                g = b.step(0.0); // 200 ms
            }
            g
        };
        assert!(after(60) > -2.0 && after(10_000) < -7.0, "{} {}", after(60), after(10_000));
    }

    #[test]
    fn hold_covers_its_time_and_lets_go() {
        let mut h = PeakHold::new(48_000.0, 0.01);
        assert_eq!(h.step(1.0), 1.0);
        let mut n = 1;
        while h.step(0.0) == 1.0 {
            n += 1;
        }
        assert!(n * STEP >= 480 && n * STEP < 480 + 3 * STEP, "{n}");
    }
}

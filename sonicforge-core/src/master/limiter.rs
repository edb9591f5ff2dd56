//! True-peak limiter: looks ahead, bends the gain in a window, holds the ceiling between the samples.
//!
//! ```text
//! x ─► peaks between samples ─► wish = min(1, ceiling/peak) ─► dual release ─► minimum over the look-ahead
//!        └────────────────────── delay ───────────────────────────────► × ◄── two means (a triangular window) ◄─┘
//! ```
//!
//! The peaks are those of ITU-R BS.1770-4 Annex 2 at sixteen points a sample (`dsp::interpolate`). A frame borders two
//! intervals and obeys both. The minimum spans the two means, so the gain is down in time, and as their joint response is a
//! triangle, it moves without corners. The sound itself is never resampled: where nothing is over, it passes bit for bit.

use serde::{Deserialize, Serialize};

use crate::dsp::QUANTUM;
use crate::dsp::delay_line::DelayLine;
use crate::dsp::interpolate::{LOOK_BEHIND, PeakBetween};
use crate::dsp::sliding::{SlidingMean, SlidingMin};
use crate::error::{Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Stage};
use crate::units::{db_to_gain, gain_to_db};

/// The limiter aims this much below its ceiling, in dB: what its detector misses of content right below half the rate
/// (square waves of a chip tune), where its filter ends and a meter's may not.
const MARGIN_DB: f64 = 0.13;
/// The same where a meter checks the output afterwards and the limiter can run again; most music has nothing up there.
pub(crate) const CHECKED_MARGIN_DB: f64 = 0.05;

/// Settings of [`Limiter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimiterParams {
    /// True peak that is not exceeded, −30 to 0 dBTP.
    pub ceiling_dbtp: f64,
    /// How far ahead it looks, 0.5 to 20 ms. Shorter is louder, longer is smoother.
    pub lookahead_ms: f64,
    /// Time to 63 % of the way back after a short peak, 1 to 1 000 ms.
    pub release_ms: f64,
    /// The same after a long loud passage, 10 to 5 000 ms.
    pub slow_release_ms: f64,
}

impl Default for LimiterParams {
    fn default() -> Self {
        Self { ceiling_dbtp: -1.0, lookahead_ms: 2.0, release_ms: 12.0, slow_release_ms: 300.0 }
    }
}

impl LimiterParams {
    /// Errors when a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        in_range("ceiling_dbtp", self.ceiling_dbtp, -30.0, 0.0)?;
        in_range("lookahead_ms", self.lookahead_ms, 0.5, 20.0)?;
        in_range("release_ms", self.release_ms, 1.0, 1_000.0)?;
        in_range("slow_release_ms", self.slow_release_ms, 10.0, 5_000.0)?;
        Ok(())
    }
}

/// Dual release on a linear gain. The attack is at once: the look-ahead smooths it.
///
/// ```text
/// s += (wish − s)·(wish < s ? k_take : k_slow)      what lasts
/// f  = min(f + (s − f)·k_quick, wish)               what is given
/// ```
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    take: f64,
    slow: f64,
    quick: f64,
    s: f64,
    f: f64,
}

impl Release {
    /// `rate` in steps per second.
    pub(crate) fn new(params: &LimiterParams, rate: f64) -> Self {
        let k = |ms: f64| 1.0 - (-1e3 / (ms * rate)).exp();
        Self { take: k(50.0), slow: k(params.slow_release_ms), quick: k(params.release_ms), s: 1.0, f: 1.0 }
    }

    #[inline(always)]
    pub(crate) fn step(&mut self, wish: f64) -> f64 {
        let k = if wish < self.s { self.take } else { self.slow };
        self.s += (wish - self.s) * k;
        let back = self.f + (self.s - self.f) * self.quick;
        self.f = if back < wish { back } else { wish };
        self.f
    }

    /// Ends the way back once it is within 10⁻⁹ of one.
    fn settle(&mut self) {
        if self.s > 1.0 - 1e-9 {
            self.s = 1.0;
        }
        if self.f > 1.0 - 1e-9 {
            self.f = 1.0;
        }
    }

    fn is_open(&self) -> bool {
        self.s == 1.0 && self.f == 1.0
    }

    /// Begins again, with other times where `params` say so.
    fn set_times(&mut self, params: &LimiterParams, rate: f64) {
        let fresh = Self::new(params, rate);
        *self = Self { s: self.s, f: self.f, ..fresh };
    }
}

/// Lengths of the windows in steps of a given rate: (minimum, each mean).
pub(crate) fn windows(lookahead_ms: f64, rate: f64) -> (usize, usize) {
    let w = ((lookahead_ms * 1e-3 * rate) as usize) | 1;
    (w + 2, (w / 2) | 1)
}

/// Holds the true peak below a ceiling. Latency: the look-ahead, 16 frames of the detector and one quantum.
#[derive(Debug, Clone)]
pub struct Limiter {
    params: LimiterParams,
    sample_rate: f64,
    ceiling: f64,
    peaks: PeakBetween,
    release: Release,
    before: f64,
    minimum: SlidingMin,
    means: [SlidingMean; 2],
    delay: DelayLine<2>,
    /// The quantum being collected, and the one being given out.
    collected: [[f64; 2]; QUANTUM],
    ready: [[f64; 2]; QUANTUM],
    /// Quanta since the windows last held anything but ones.
    open_quanta: usize,
    quanta_to_open: usize,
    latency: usize,
    deepest: f64,
    recent: f64,
    quanta: u64,
    sum_db: f64,
    clock: Clock,
}

impl Limiter {
    /// Errors when a setting is out of range.
    pub fn new(params: LimiterParams) -> Result<Self> {
        params.validate()?;
        let fs = 48_000.0;
        let mut l = Self {
            sample_rate: fs,
            ceiling: 1.0,
            peaks: PeakBetween::default(),
            release: Release::new(&params, fs),
            before: 1.0,
            minimum: SlidingMin::new(1, 1.0),
            means: [SlidingMean::new(1, 1.0), SlidingMean::new(1, 1.0)],
            delay: DelayLine::new(0),
            collected: [[0.0; 2]; QUANTUM],
            ready: [[0.0; 2]; QUANTUM],
            open_quanta: 0,
            quanta_to_open: 0,
            latency: 0,
            deepest: 1.0,
            recent: 1.0,
            quanta: 0,
            sum_db: 0.0,
            params,
            clock: Clock::default(),
        };
        l.set_rate(fs);
        Ok(l)
    }

    fn set_rate(&mut self, fs: f64) {
        self.sample_rate = fs;
        let (minimum, mean) = windows(self.params.lookahead_ms, fs);
        self.minimum = SlidingMin::new(minimum, 1.0);
        self.means = [SlidingMean::new(mean, 1.0), SlidingMean::new(mean, 1.0)];
        // The centred minimum lags by half its length, the two means by half of theirs each.
        let lag = LOOK_BEHIND + minimum / 2 + (mean - 1);
        self.delay = DelayLine::new(lag);
        self.latency = lag + QUANTUM;
        self.quanta_to_open = (minimum + 2 * mean).div_ceil(QUANTUM) + 1;
        self.release = Release::new(&self.params, fs);
        self.ceiling = db_to_gain(self.params.ceiling_dbtp - MARGIN_DB);
        self.forget();
    }

    fn forget(&mut self) {
        self.peaks.reset();
        self.release = Release::new(&self.params, self.sample_rate);
        self.before = 1.0;
        self.minimum.reset();
        self.means.iter_mut().for_each(SlidingMean::reset);
        self.delay.reset();
        self.collected = [[0.0; 2]; QUANTUM];
        self.ready = [[0.0; 2]; QUANTUM];
        self.open_quanta = self.quanta_to_open;
        self.deepest = 1.0;
        self.recent = 1.0;
        self.quanta = 0;
        self.sum_db = 0.0;
    }

    /// The settings.
    pub fn params(&self) -> &LimiterParams {
        &self.params
    }

    /// Other settings. The ceiling and the releases take effect at once, the gain's window smoothing the step; the
    /// look-ahead is the latency and cannot change while it runs.
    pub fn set_params(&mut self, params: LimiterParams) -> Result<()> {
        params.validate()?;
        if params.lookahead_ms != self.params.lookahead_ms {
            return Err(crate::error::Error::invalid(format!(
                "lookahead_ms is {} while the limiter runs with {}; make a new one to change its latency",
                params.lookahead_ms, self.params.lookahead_ms
            )));
        }
        self.ceiling = db_to_gain(params.ceiling_dbtp - MARGIN_DB);
        self.release.set_times(&params, self.sample_rate);
        self.params = params;
        Ok(())
    }

    /// The deepest gain reduction since `prepare`, in dB ≥ 0.
    pub fn max_reduction_db(&self) -> f64 {
        -gain_to_db(self.deepest) + 0.0
    }

    /// The deepest reduction in dB since the last call.
    pub(crate) fn take_recent(&mut self) -> f64 {
        // Plus nought: no reduction is 0, not −0.
        -gain_to_db(std::mem::replace(&mut self.recent, 1.0)) + 0.0
    }

    /// Mean reduction in dB over all quanta, of the deepest in each.
    pub(crate) fn mean_reduction_db(&self) -> f64 {
        if self.quanta == 0 { 0.0 } else { self.sum_db / self.quanta as f64 }
    }

    /// Aims `margin_db` below the ceiling.
    pub(crate) fn set_margin(&mut self, margin_db: f64) {
        self.ceiling = db_to_gain(self.params.ceiling_dbtp - margin_db);
    }

    /// Turns the collected quantum into the one that is ready.
    fn turn(&mut self) {
        let planar: [[f64; QUANTUM]; 2] = std::array::from_fn(|c| std::array::from_fn(|i| self.collected[i][c]));
        let mono = self.clock.spec.is_some_and(|s| s.channels == 1);
        let mut peaks = [0.0f32; QUANTUM];
        self.peaks.process(&planar[..if mono { 1 } else { 2 }], self.ceiling, true, &mut peaks);
        let ceiling = self.ceiling as f32;
        let quiet = peaks.iter().all(|&p| p <= ceiling);
        if quiet && self.before == 1.0 && self.release.is_open() {
            self.open_quanta += 1;
        } else {
            self.open_quanta = 0;
        }
        self.quanta += 1;
        if self.open_quanta > self.quanta_to_open {
            // Every window is full of ones: the gain is one.
            for i in 0..QUANTUM {
                self.ready[i] = self.delay.step(self.collected[i]);
            }
            return;
        }
        let mut deepest = 1.0f64;
        for i in 0..QUANTUM {
            let peak = f64::from(peaks[i]);
            let wish = if peak > self.ceiling { self.ceiling / peak } else { 1.0 };
            let given = self.release.step(wish);
            let both = given.min(self.before);
            self.before = given;
            let low = self.minimum.step(both);
            let gain = self.means[0].step(low);
            let gain = self.means[1].step(gain);
            deepest = deepest.min(gain);
            let x = self.delay.step(self.collected[i]);
            self.ready[i] = [x[0] * gain, x[1] * gain];
        }
        self.release.settle();
        self.deepest = self.deepest.min(deepest);
        self.recent = self.recent.min(deepest);
        self.sum_db -= gain_to_db(deepest);
    }
}

impl Stage for Limiter {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        self.set_rate(f64::from(spec.sample_rate));
        // `turn` asks the clock whether the sound is mono.
        self.clock.spec = Some(spec);
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        let (at, len) = (q.at, q.len);
        for i in 0..len {
            self.collected[at + i] = q.x[i];
            q.x[i] = self.ready[at + i];
        }
        if at + len == QUANTUM {
            self.turn();
        }
    }

    fn reset_stage(&mut self) {
        self.forget();
    }

    fn stage_latency(&self) -> usize {
        self.latency
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}

//! De-esser: a high shelf that dips while sibilance sounds.
//!
//! The shelf is `H(s) = (G·s² + √(2G)·s + 1)/(s² + √2·s + 1)`: with the high-pass `h = s²/(…)` and the band-pass
//! `b = s/(…)` of one state-variable filter,
//!
//! ```text
//! y = x + (G − 1)·h + √2·(√G − 1)·b
//! ```
//!
//! so its poles stand still while the gain `G` moves, and `G = 1` leaves the samples alone to the bit. What is sibilant is
//! decided by two comparisons: the upper band must be loud (`threshold_db`) and it must stand out against everything else
//! (`relative_db`); the smaller excess counts. Cymbals in a full mix pass neither.

use serde::{Deserialize, Serialize};

use crate::dsp::dynamics::{Ballistics, PeakHold, Reduction, STEP, level_db};
use crate::dsp::svf::{Svf, SvfCoefficients};
use crate::error::{Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Stage};
use crate::units::db_to_gain;

/// Settings of [`DeEsser`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeEsserParams {
    /// Corner of the shelf and of the listener, 2 000 to 16 000 Hz.
    pub frequency_hz: f64,
    /// Peak level in dBFS above which the upper band can be sibilant, −80 to 0.
    pub threshold_db: f64,
    /// The upper band re the whole sound in dB above which it is sibilant, −40 to 0.
    pub relative_db: f64,
    /// Excess dB per remaining dB, 1 to 20; 1 is neutral.
    pub ratio: f64,
    /// The most that is taken, 0 to 24 dB; 0 is neutral.
    pub max_reduction_db: f64,
    /// 0.1 to 50 ms.
    pub attack_ms: f64,
    /// 5 to 500 ms.
    pub release_ms: f64,
}

impl Default for DeEsserParams {
    fn default() -> Self {
        Self {
            frequency_hz: 5_200.0,
            threshold_db: -36.0,
            relative_db: -14.0,
            ratio: 5.0,
            max_reduction_db: 9.0,
            attack_ms: 1.0,
            release_ms: 40.0,
        }
    }
}

impl DeEsserParams {
    /// Errors when a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        in_range("frequency_hz", self.frequency_hz, 2_000.0, 16_000.0)?;
        in_range("threshold_db", self.threshold_db, -80.0, 0.0)?;
        in_range("relative_db", self.relative_db, -40.0, 0.0)?;
        in_range("ratio", self.ratio, 1.0, 20.0)?;
        in_range("max_reduction_db", self.max_reduction_db, 0.0, 24.0)?;
        in_range("attack_ms", self.attack_ms, 0.1, 50.0)?;
        in_range("release_ms", self.release_ms, 5.0, 500.0)?;
        Ok(())
    }
}

/// Takes the edge off "s", leaves the rest alone. No latency.
#[derive(Debug, Clone)]
pub struct DeEsser {
    params: DeEsserParams,
    sample_rate: f64,
    corner: SvfCoefficients,
    shelf: Svf<2>,
    listen: Svf<2>,
    upper: PeakHold,
    whole: PeakHold,
    upper_peak: f64,
    whole_peak: f64,
    ballistics: Ballistics,
    /// `G − 1` and `√2·(√G − 1)` at the beginning and the end of this step.
    from: [f64; 2],
    to: [f64; 2],
    reduction: Reduction,
    clock: Clock,
}

impl DeEsser {
    /// Errors when a setting is out of range.
    pub fn new(params: DeEsserParams) -> Result<Self> {
        params.validate()?;
        let fs = 48_000.0;
        let mut d = Self {
            corner: SvfCoefficients::new(fs, params.frequency_hz, std::f64::consts::FRAC_1_SQRT_2),
            ballistics: Ballistics::new(fs, params.attack_ms, params.release_ms, 0.0),
            params,
            sample_rate: fs,
            shelf: Svf::default(),
            listen: Svf::default(),
            upper: PeakHold::new(fs, 0.0),
            whole: PeakHold::new(fs, 0.0),
            upper_peak: 0.0,
            whole_peak: 0.0,
            from: [0.0; 2],
            to: [0.0; 2],
            reduction: Reduction::default(),
            clock: Clock::default(),
        };
        d.set_rate(fs);
        Ok(d)
    }

    fn set_rate(&mut self, fs: f64) {
        self.sample_rate = fs;
        // Half a period of the lowest tone each listens to.
        self.upper = PeakHold::new(fs, 0.5 / self.params.frequency_hz);
        self.whole = PeakHold::new(fs, 0.005);
        self.tune();
    }

    fn tune(&mut self) {
        let p = &self.params;
        self.corner = SvfCoefficients::new(self.sample_rate, p.frequency_hz, std::f64::consts::FRAC_1_SQRT_2);
        self.ballistics.set_times(self.sample_rate, p.attack_ms, p.release_ms, 0.0);
    }

    /// The settings.
    pub fn params(&self) -> &DeEsserParams {
        &self.params
    }

    /// Other settings; the reduction glides to them with its own attack and release.
    pub fn set_params(&mut self, params: DeEsserParams) -> Result<()> {
        params.validate()?;
        self.params = params;
        self.tune();
        Ok(())
    }

    /// How much was taken off the upper band since `prepare`.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    pub(crate) fn reduction_mut(&mut self) -> &mut Reduction {
        &mut self.reduction
    }

    fn control(&mut self) {
        let upper = level_db(self.upper.step(self.upper_peak));
        let whole = level_db(self.whole.step(self.whole_peak));
        self.upper_peak = 0.0;
        self.whole_peak = 0.0;
        let p = &self.params;
        let excess = (upper - p.threshold_db).min(upper - whole - p.relative_db).max(0.0);
        let wish = -(excess * (1.0 - 1.0 / p.ratio)).min(p.max_reduction_db);
        let gain_db = self.ballistics.step(wish);
        self.reduction.count(gain_db);
        self.from = self.to;
        self.to = if gain_db == 0.0 {
            [0.0; 2]
        } else {
            let g = db_to_gain(gain_db);
            [g - 1.0, self.corner.damping() * (g.sqrt() - 1.0)]
        };
    }
}

impl Stage for DeEsser {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        self.set_rate(f64::from(spec.sample_rate));
        self.reset_stage();
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        if q.is_edge() {
            self.shelf.flush();
            self.listen.flush();
        }
        let corner = self.corner;
        let mut i = 0;
        while i < q.len {
            let (end, finished) = q.step_end(i);
            let (mut shelf, mut listen) = (self.shelf, self.listen);
            let (mut upper, mut whole) = ([self.upper_peak; 2], [self.whole_peak; 2]);
            let idle = self.from == [0.0; 2] && self.to == [0.0; 2];
            let first = (q.at + i) % STEP;
            for (j, x) in q.x[i..end].iter_mut().enumerate() {
                let (h, b, _) = shelf.step(&corner, *x);
                // A second high-pass: the listener must not hear a loud bass.
                let (hh, _, _) = listen.step(&corner, h);
                for n in 0..2 {
                    upper[n] = if hh[n].abs() > upper[n] { hh[n].abs() } else { upper[n] };
                    whole[n] = if x[n].abs() > whole[n] { x[n].abs() } else { whole[n] };
                }
                if !idle {
                    let t = (first + j + 1) as f64 * (1.0 / STEP as f64);
                    let kh = self.from[0] + t * (self.to[0] - self.from[0]);
                    let kb = self.from[1] + t * (self.to[1] - self.from[1]);
                    for n in 0..2 {
                        x[n] += kh * h[n] + kb * b[n];
                    }
                }
            }
            self.shelf = shelf;
            self.listen = listen;
            self.upper_peak = upper[0].max(upper[1]);
            self.whole_peak = whole[0].max(whole[1]);
            if finished {
                self.control();
            }
            i = end;
        }
    }

    fn reset_stage(&mut self) {
        self.shelf = Svf::default();
        self.listen = Svf::default();
        self.upper.reset();
        self.whole.reset();
        self.upper_peak = 0.0;
        self.whole_peak = 0.0;
        self.ballistics.reset();
        self.from = [0.0; 2];
        self.to = [0.0; 2];
        self.reduction = Reduction::default();
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}

//! Glue compressor: one gentle compressor over the whole mix, deaf to the deep bass.
//!
//! The same detector, curve and ballistics as each band of the multiband compressor (`dsp::dynamics`), listening through a
//! second-order high-pass.

use serde::{Deserialize, Serialize};

use crate::dsp::biquad::{Coefficients, Shape, State};
use crate::dsp::dynamics::{Ballistics, Curve, PeakHold, Reduction, STEP, level_db};
use crate::dsp::glide::Glide;
use crate::error::{Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Stage};
use crate::units::db_to_gain;

/// Settings of [`Glue`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlueParams {
    /// Peak level in dBFS above which the mix is turned down, −80 to 0.
    pub threshold_db: f64,
    /// Input dB per output dB above the threshold, 1 to 20; 1 does nothing.
    pub ratio: f64,
    /// Width of the knee, 0 to 24 dB.
    pub knee_db: f64,
    /// Time to 63 % of a deeper reduction, 0.1 to 500 ms.
    pub attack_ms: f64,
    /// Time to 63 % of the way back after a short peak, 5 to 5 000 ms.
    pub release_ms: f64,
    /// The same after a long loud passage, 0 (off) to 10 000 ms.
    pub slow_release_ms: f64,
    /// Corner of the high-pass it listens through, 10 to 500 Hz.
    pub sidechain_hz: f64,
    /// Gain after it, −24 to +24 dB.
    pub makeup_db: f64,
}

impl Default for GlueParams {
    fn default() -> Self {
        Self {
            threshold_db: -18.0,
            ratio: 1.0,
            knee_db: 10.0,
            attack_ms: 30.0,
            release_ms: 120.0,
            slow_release_ms: 800.0,
            sidechain_hz: 80.0,
            makeup_db: 0.0,
        }
    }
}

impl GlueParams {
    /// Errors when a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        in_range("threshold_db", self.threshold_db, -80.0, 0.0)?;
        in_range("ratio", self.ratio, 1.0, 20.0)?;
        in_range("knee_db", self.knee_db, 0.0, 24.0)?;
        in_range("attack_ms", self.attack_ms, 0.1, 500.0)?;
        in_range("release_ms", self.release_ms, 5.0, 5_000.0)?;
        in_range("slow_release_ms", self.slow_release_ms, 0.0, 10_000.0)?;
        in_range("sidechain_hz", self.sidechain_hz, 10.0, 500.0)?;
        in_range("makeup_db", self.makeup_db, -24.0, 24.0)?;
        Ok(())
    }
}

/// One compressor over the whole mix. No latency.
#[derive(Debug, Clone)]
pub struct Glue {
    params: GlueParams,
    sample_rate: f64,
    high_pass: Coefficients,
    listen: State<2>,
    hold: PeakHold,
    peak: f64,
    ballistics: Ballistics,
    makeup_db: Glide,
    from: f64,
    to: f64,
    gain_db: f64,
    reduction: Reduction,
    clock: Clock,
}

impl Glue {
    /// Errors when a setting is out of range.
    pub fn new(params: GlueParams) -> Result<Self> {
        params.validate()?;
        let fs = 48_000.0;
        let mut g = Self {
            sample_rate: fs,
            high_pass: Coefficients::IDENTITY,
            listen: State::default(),
            hold: PeakHold::new(fs, 0.0),
            peak: 0.0,
            ballistics: Ballistics::new(fs, params.attack_ms, params.release_ms, params.slow_release_ms),
            makeup_db: Glide::new(params.makeup_db, fs),
            from: 1.0,
            to: 1.0,
            gain_db: 0.0,
            reduction: Reduction::default(),
            clock: Clock::default(),
            params,
        };
        g.set_rate(fs);
        Ok(g)
    }

    fn set_rate(&mut self, fs: f64) {
        let p = &self.params;
        self.sample_rate = fs;
        self.hold.retime(fs, 0.5 / p.sidechain_hz.max(25.0));
        self.peak = 0.0;
        self.listen = State::default();
        self.ballistics = Ballistics::new(fs, p.attack_ms, p.release_ms, p.slow_release_ms);
        self.makeup_db = Glide::new(p.makeup_db, fs);
        self.to = db_to_gain(p.makeup_db);
        self.from = self.to;
        self.gain_db = 0.0;
        self.reduction = Reduction::default();
        self.tune();
    }

    fn tune(&mut self) {
        let q = std::f64::consts::FRAC_1_SQRT_2;
        self.high_pass = Coefficients::design(Shape::HighPass, self.sample_rate, self.params.sidechain_hz, q);
    }

    /// The settings.
    pub fn params(&self) -> &GlueParams {
        &self.params
    }

    /// Glides to other settings.
    pub fn set_params(&mut self, params: GlueParams) -> Result<()> {
        params.validate()?;
        self.ballistics.set_times(self.sample_rate, params.attack_ms, params.release_ms, params.slow_release_ms);
        self.makeup_db.set(params.makeup_db);
        self.params = params;
        self.tune();
        Ok(())
    }

    /// What was taken since `prepare`.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    pub(crate) fn reduction_mut(&mut self) -> &mut Reduction {
        &mut self.reduction
    }

    /// At the end of frame `at` of the quantum, where a step ends.
    fn control(&mut self, at: usize) {
        let level = level_db(self.hold.step(self.peak));
        self.peak = 0.0;
        let p = &self.params;
        let curve = Curve { threshold_db: p.threshold_db, ratio: p.ratio, knee_db: p.knee_db };
        self.gain_db = self.ballistics.step(curve.gain_db(level));
        self.reduction.count(self.gain_db);
        self.from = self.to;
        let gain_db = self.gain_db + self.makeup_db.at(at);
        self.to = if gain_db == 0.0 { 1.0 } else { db_to_gain(gain_db) };
    }
}

impl Stage for Glue {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        let fs = f64::from(spec.sample_rate);
        self.hold = PeakHold::new(fs, 0.0);
        self.set_rate(fs);
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        if q.is_edge() {
            self.makeup_db.advance();
            self.listen.flush();
        }
        let mut i = 0;
        while i < q.len {
            let (end, finished) = q.step_end(i);
            let first = (q.at + i) % STEP;
            let slope = (self.to - self.from) * (1.0 / STEP as f64);
            let idle = self.from == 1.0 && self.to == 1.0;
            let mut peak = self.peak;
            for (j, x) in q.x[i..end].iter_mut().enumerate() {
                let h = self.listen.step(&self.high_pass, *x);
                peak = peak.max(h[0].abs()).max(h[1].abs());
                if !idle {
                    let gain = self.from + slope * (first + j + 1) as f64;
                    *x = [gain * x[0], gain * x[1]];
                }
            }
            self.peak = peak;
            if finished {
                self.control(q.at + end - 1);
            }
            i = end;
        }
    }

    fn reset_stage(&mut self) {
        self.set_rate(self.sample_rate);
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}

//! Multiband compressor: Linkwitz–Riley bands, a compressor in each, the sum.
//!
//! Crossover: `dsp::crossover` (all-pass compensated, so that bands with nothing to do sum flat). Compressors:
//! `dsp::dynamics` (peak-hold detector, quadratic knee, attack and dual release in dB, stereo-linked).

use serde::{Deserialize, Serialize};

use crate::dsp::QUANTUM;
use crate::dsp::crossover::{Crossover, MAX_BANDS};
use crate::dsp::dynamics::{Ballistics, Curve, PeakHold, Reduction, STEP, level_db};
use crate::dsp::glide::Glide;
use crate::error::{Error, Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Share, Stage, Wet};
use crate::units::db_to_gain;

/// One band's compressor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BandParams {
    /// Peak level in dBFS above which the band is turned down, −80 to 0.
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
    /// Gain of the band after its compressor, −24 to +24 dB.
    pub makeup_db: f64,
}

impl Default for BandParams {
    fn default() -> Self {
        Self {
            threshold_db: -24.0,
            ratio: 1.0,
            knee_db: 6.0,
            attack_ms: 20.0,
            release_ms: 120.0,
            slow_release_ms: 800.0,
            makeup_db: 0.0,
        }
    }
}

impl BandParams {
    fn validate(&self, i: usize) -> Result<()> {
        in_range(&format!("bands[{i}].threshold_db"), self.threshold_db, -80.0, 0.0)?;
        in_range(&format!("bands[{i}].ratio"), self.ratio, 1.0, 20.0)?;
        in_range(&format!("bands[{i}].knee_db"), self.knee_db, 0.0, 24.0)?;
        in_range(&format!("bands[{i}].attack_ms"), self.attack_ms, 0.1, 500.0)?;
        in_range(&format!("bands[{i}].release_ms"), self.release_ms, 5.0, 5_000.0)?;
        in_range(&format!("bands[{i}].slow_release_ms"), self.slow_release_ms, 0.0, 10_000.0)?;
        in_range(&format!("bands[{i}].makeup_db"), self.makeup_db, -24.0, 24.0)?;
        Ok(())
    }

    pub(crate) fn curve(&self) -> Curve {
        Curve { threshold_db: self.threshold_db, ratio: self.ratio, knee_db: self.knee_db }
    }

    fn is_neutral(&self) -> bool {
        self.ratio == 1.0 && self.makeup_db == 0.0
    }
}

/// Settings of [`Multiband`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultibandParams {
    /// One to five rising corners in Hz.
    pub crossovers_hz: Vec<f64>,
    /// One band more than there are corners. All at ratio 1 with no makeup is neutral.
    pub bands: Vec<BandParams>,
}

impl Default for MultibandParams {
    fn default() -> Self {
        Self { crossovers_hz: vec![120.0, 1_200.0, 6_000.0], bands: vec![BandParams::default(); 4] }
    }
}

impl MultibandParams {
    /// Errors when a value is out of its range, the corners do not rise, or the numbers of corners and bands do not fit.
    pub fn validate(&self) -> Result<()> {
        let bands = self.bands.len();
        if !(2..=MAX_BANDS).contains(&bands) || self.crossovers_hz.len() + 1 != bands {
            return Err(Error::invalid(format!(
                "{bands} bands and {} crossovers; expected 2 to {MAX_BANDS} bands and one crossover less",
                self.crossovers_hz.len()
            )));
        }
        for (i, &f) in self.crossovers_hz.iter().enumerate() {
            in_range(&format!("crossovers_hz[{i}]"), f, 20.0, 20_000.0)?;
            if i > 0 && f <= self.crossovers_hz[i - 1] {
                return Err(Error::invalid(format!(
                    "crossovers_hz[{i}] is {f}; expected more than the one before it, {}",
                    self.crossovers_hz[i - 1]
                )));
            }
        }
        self.bands.iter().enumerate().try_for_each(|(i, b)| b.validate(i))
    }

    fn is_neutral(&self) -> bool {
        self.bands.iter().all(BandParams::is_neutral)
    }
}

#[derive(Debug, Clone)]
struct Band {
    curve: Curve,
    hold: PeakHold,
    peak: f64,
    ballistics: Ballistics,
    makeup_db: Glide,
    from: f64,
    to: f64,
    gain_db: f64,
    reduction: Reduction,
}

impl Band {
    /// With the memory of `hold`.
    fn new(p: &BandParams, low_hz: f64, fs: f64, mut hold: PeakHold) -> Self {
        hold.retime(fs, 0.5 / low_hz.max(25.0));
        let gain = db_to_gain(p.makeup_db);
        Self {
            curve: p.curve(),
            hold,
            peak: 0.0,
            ballistics: Ballistics::new(fs, p.attack_ms, p.release_ms, p.slow_release_ms),
            makeup_db: Glide::new(p.makeup_db, fs),
            from: gain,
            to: gain,
            gain_db: 0.0,
            reduction: Reduction::default(),
        }
    }

    /// At the end of frame `at` of the quantum, where a step ends.
    fn control(&mut self, at: usize) {
        let level = level_db(self.hold.step(self.peak));
        self.peak = 0.0;
        self.gain_db = self.ballistics.step(self.curve.gain_db(level));
        self.reduction.count(self.gain_db);
        self.from = self.to;
        self.to = db_to_gain(self.gain_db + self.makeup_db.at(at));
    }
}

/// Two to six bands, each with its compressor. No latency.
#[derive(Debug, Clone)]
pub struct Multiband {
    params: MultibandParams,
    sample_rate: f64,
    crossover: Crossover<2>,
    log_corners: Vec<Glide>,
    bands: Vec<Band>,
    split: Box<[[[f64; 2]; QUANTUM]; MAX_BANDS]>,
    wet: Wet,
    clock: Clock,
}

impl Multiband {
    /// Errors when a setting is out of range.
    pub fn new(params: MultibandParams) -> Result<Self> {
        params.validate()?;
        let fs = 48_000.0;
        let mut m = Self {
            sample_rate: fs,
            crossover: Crossover::new(fs, &params.crossovers_hz),
            log_corners: Vec::new(),
            bands: Vec::new(),
            split: Box::new([[[0.0; 2]; QUANTUM]; MAX_BANDS]),
            wet: Wet::new(!params.is_neutral(), fs),
            params,
            clock: Clock::default(),
        };
        m.set_rate(fs);
        Ok(m)
    }

    fn set_rate(&mut self, fs: f64) {
        self.sample_rate = fs;
        self.log_corners = vec![Glide::new(0.0, fs); self.params.crossovers_hz.len()];
        let fresh = |p| Band::new(p, 0.0, fs, PeakHold::new(fs, 0.0));
        self.bands = self.params.bands.iter().map(fresh).collect();
        self.forget();
    }

    /// As after `prepare`, in the memory that is there.
    fn forget(&mut self) {
        let (fs, corners) = (self.sample_rate, &self.params.crossovers_hz);
        self.crossover = Crossover::new(fs, corners);
        for (glide, f) in self.log_corners.iter_mut().zip(corners) {
            *glide = Glide::new(f.ln(), fs);
        }
        for (i, (band, p)) in self.bands.iter_mut().zip(&self.params.bands).enumerate() {
            let low = if i == 0 { 0.0 } else { corners[i - 1] };
            *band = Band::new(p, low, fs, std::mem::take(&mut band.hold));
        }
        self.wet = Wet::new(!self.params.is_neutral(), fs);
    }

    /// The settings.
    pub fn params(&self) -> &MultibandParams {
        &self.params
    }

    /// Glides to other settings. The number of bands cannot change while it runs.
    pub fn set_params(&mut self, params: MultibandParams) -> Result<()> {
        params.validate()?;
        if params.bands.len() != self.params.bands.len() {
            return Err(Error::invalid(format!(
                "a running multiband compressor has {} bands, {} came; make a new one to change their number",
                self.params.bands.len(),
                params.bands.len()
            )));
        }
        for (glide, f) in self.log_corners.iter_mut().zip(&params.crossovers_hz) {
            glide.set(f.ln());
        }
        for (band, p) in self.bands.iter_mut().zip(&params.bands) {
            band.curve = p.curve();
            band.ballistics.set_times(self.sample_rate, p.attack_ms, p.release_ms, p.slow_release_ms);
            band.makeup_db.set(p.makeup_db);
        }
        self.wet.set(!params.is_neutral());
        self.params = params;
        Ok(())
    }

    /// What each band has taken since `prepare`, lowest band first.
    pub fn reductions(&self) -> impl Iterator<Item = Reduction> + '_ {
        self.bands.iter().map(|b| b.reduction)
    }

    pub(crate) fn reductions_mut(&mut self) -> impl Iterator<Item = &mut Reduction> + '_ {
        self.bands.iter_mut().map(|b| &mut b.reduction)
    }
}

impl Stage for Multiband {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        self.set_rate(f64::from(spec.sample_rate));
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        let Self { crossover, bands, .. } = self;
        let share = self.wet.share(q, || {
            crossover.reset();
            for b in bands.iter_mut() {
                b.hold.reset();
                b.ballistics.reset();
                b.peak = 0.0;
                b.to = db_to_gain(b.makeup_db.value());
                b.from = b.to;
            }
        });
        if q.is_edge() {
            for (s, glide) in self.log_corners.iter_mut().enumerate() {
                if glide.advance() {
                    self.crossover.set_corner(self.sample_rate, s, glide.value().exp());
                }
            }
            for band in &mut self.bands {
                band.makeup_db.advance();
            }
            self.crossover.flush();
        }
        if share == Share::None {
            return;
        }
        let len = q.len;
        self.crossover.process(&q.x[..len], &mut self.split);
        let mut wet = [[0.0; 2]; QUANTUM];
        for (band, x) in self.bands.iter_mut().zip(self.split.iter()) {
            let mut i = 0;
            while i < len {
                let (end, finished) = q.step_end(i);
                let first = (q.at + i) % STEP;
                let slope = (band.to - band.from) * (1.0 / STEP as f64);
                let mut peak = [band.peak; 2];
                for (j, (x, y)) in x[i..end].iter().zip(&mut wet[i..end]).enumerate() {
                    let gain = band.from + slope * (first + j + 1) as f64;
                    for n in 0..2 {
                        let m = x[n].abs();
                        peak[n] = if m > peak[n] { m } else { peak[n] };
                        y[n] += gain * x[n];
                    }
                }
                band.peak = peak[0].max(peak[1]);
                if finished {
                    band.control(q.at + end - 1);
                }
                i = end;
            }
        }
        if share == Share::All {
            q.x[..len].copy_from_slice(&wet[..len]);
        } else {
            for i in 0..len {
                q.x[i] = self.wet.blend(q.at + i, q.x[i], wet[i]);
            }
        }
    }

    fn reset_stage(&mut self) {
        self.forget();
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}

//! Stereo widener: works on the side, never on the mid.
//!
//! With `S = (L − R)/2` and a new side `S'`, `L' = L + (S' − S)` and `R' = R − (S' − S)`: the sum of the channels stays what
//! it was, so the mono fold-down does too. The bass of the side is taken out by a second-order high-pass. Where there is no
//! side to widen, one is made of the mid by Schroeder's all-passes (M. R. Schroeder, *Natural sounding artificial
//! reverberation*, JAES 10, 1962): it has the mid's spectrum, is not correlated with it, and cancels in the fold-down like
//! any side.

use serde::{Deserialize, Serialize};

use crate::dsp::biquad::{Coefficients, Shape, State};
use crate::dsp::delay_line::DelayLine;
use crate::dsp::dynamics::STEP;
use crate::dsp::flush;
use crate::dsp::glide::Glide;
use crate::error::{Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Share, Stage, Wet};

/// Settings of [`Widener`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WidenerParams {
    /// Gain of the side, 0 (mono) to 3; 1 leaves it alone.
    pub width: f64,
    /// Below this the side is taken out, 0 (off) to 500 Hz.
    pub mono_below_hz: f64,
    /// How much of a decorrelated mid becomes the side where the sound is mono, 0 (off) to 1.
    pub decorrelation: f64,
}

impl Default for WidenerParams {
    fn default() -> Self {
        Self { width: 1.0, mono_below_hz: 0.0, decorrelation: 0.0 }
    }
}

impl WidenerParams {
    /// Errors when a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        in_range("width", self.width, 0.0, 3.0)?;
        in_range("mono_below_hz", self.mono_below_hz, 0.0, 500.0)?;
        in_range("decorrelation", self.decorrelation, 0.0, 1.0)?;
        Ok(())
    }

    fn is_neutral(&self) -> bool {
        *self == Self::default()
    }
}

/// `y = −g·x + x₋ + g·y₋`: passes all frequencies alike, smears them in time.
#[derive(Debug, Clone)]
struct AllPass {
    line: DelayLine<1>,
    g: f64,
}

impl AllPass {
    #[inline(always)]
    fn step(&mut self, x: f64) -> f64 {
        let old = self.line.oldest()[0];
        let v = flush(x + self.g * old);
        self.line.step([v]);
        old - self.g * v
    }
}

/// Widens, narrows, clears the bass of the side. No latency; does nothing to a mono sound of one channel.
#[derive(Debug, Clone)]
pub struct Widener {
    params: WidenerParams,
    sample_rate: f64,
    mono: bool,
    width: Glide,
    decorrelation: Glide,
    bass_cut: Glide,
    high_pass: Coefficients,
    side: State<1>,
    mid_high_pass: Coefficients,
    mid: State<1>,
    all_passes: Vec<AllPass>,
    /// Smoothed energies of mid and side, and their sums over the running step.
    energy: [f64; 2],
    sums: [f64; 2],
    /// 1 where the sound is mono, 0 where it has a side, at the beginning and end of this step.
    from: f64,
    to: f64,
    wet: Wet,
    clock: Clock,
}

impl Widener {
    /// Errors when a setting is out of range.
    pub fn new(params: WidenerParams) -> Result<Self> {
        params.validate()?;
        let fs = 48_000.0;
        let mut w = Self {
            sample_rate: fs,
            mono: false,
            width: Glide::new(params.width, fs),
            decorrelation: Glide::new(params.decorrelation, fs),
            bass_cut: Glide::new(0.0, fs),
            high_pass: Coefficients::IDENTITY,
            side: State::default(),
            mid_high_pass: Coefficients::IDENTITY,
            mid: State::default(),
            all_passes: Vec::new(),
            energy: [0.0; 2],
            sums: [0.0; 2],
            from: 0.0,
            to: 0.0,
            wet: Wet::new(!params.is_neutral(), fs),
            params,
            clock: Clock::default(),
        };
        w.make_lines(fs);
        w.set_rate(fs);
        Ok(w)
    }

    /// Asks for the all-passes' memory. Lengths without a common divisor, short enough not to be heard as echoes.
    fn make_lines(&mut self, fs: f64) {
        self.all_passes = [(0.001_77, 0.6), (0.003_11, 0.6), (0.005_83, 0.55), (0.010_93, 0.5)]
            .into_iter()
            .map(|(seconds, g)| AllPass { line: DelayLine::new((seconds * fs).round().max(1.0) as usize), g })
            .collect();
    }

    fn set_rate(&mut self, fs: f64) {
        self.sample_rate = fs;
        self.width = Glide::new(self.params.width, fs);
        self.decorrelation = Glide::new(self.params.decorrelation, fs);
        self.bass_cut = Glide::new(f64::from(u8::from(self.params.mono_below_hz > 0.0)), fs);
        self.wet = Wet::new(!self.params.is_neutral(), fs);
        let q = std::f64::consts::FRAC_1_SQRT_2;
        self.mid_high_pass = Coefficients::design(Shape::HighPass, fs, 200.0, q);
        self.tune();
        self.forget();
    }

    fn tune(&mut self) {
        if self.params.mono_below_hz > 0.0 {
            let q = std::f64::consts::FRAC_1_SQRT_2;
            self.high_pass = Coefficients::design(Shape::HighPass, self.sample_rate, self.params.mono_below_hz, q);
        }
    }

    fn forget(&mut self) {
        self.side = State::default();
        self.mid = State::default();
        self.all_passes.iter_mut().for_each(|a| a.line.reset());
        self.energy = [0.0; 2];
        self.sums = [0.0; 2];
        self.from = 0.0;
        self.to = 0.0;
    }

    /// The settings.
    pub fn params(&self) -> &WidenerParams {
        &self.params
    }

    /// Glides to other settings.
    pub fn set_params(&mut self, params: WidenerParams) -> Result<()> {
        params.validate()?;
        self.width.set(params.width);
        self.decorrelation.set(params.decorrelation);
        self.bass_cut.set(f64::from(u8::from(params.mono_below_hz > 0.0)));
        self.wet.set(!params.is_neutral());
        self.params = params;
        self.tune();
        Ok(())
    }

    /// Decides how mono the sound is: wholly at −50 dB of side, not at all at −30 dB.
    fn control(&mut self) {
        let k = 1.0 - (-(STEP as f64) / (0.1 * self.sample_rate)).exp();
        for n in 0..2 {
            self.energy[n] += k * (self.sums[n] - self.energy[n]);
            self.energy[n] = flush(self.energy[n]);
            self.sums[n] = 0.0;
        }
        self.from = self.to;
        let ratio_db = 10.0 * ((self.energy[1] + 1e-20) / (self.energy[0] + 1e-20)).log10();
        let mono = if self.energy[0] < 1e-14 { 0.0 } else { ((-30.0 - ratio_db) / 20.0).clamp(0.0, 1.0) };
        self.to += 0.02 * (mono - self.to);
    }
}

impl Stage for Widener {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        self.mono = spec.channels == 1;
        let fs = f64::from(spec.sample_rate);
        self.make_lines(fs);
        self.set_rate(fs);
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        if self.mono {
            return;
        }
        let mut woken = false;
        let share = self.wet.share(q, || woken = true);
        if woken {
            self.forget();
        }
        if q.is_edge() {
            self.width.advance();
            self.decorrelation.advance();
            self.bass_cut.advance();
            self.side.flush();
            self.mid.flush();
        }
        if share == Share::None {
            return;
        }
        let makes_side = !(self.decorrelation.is_settled() && self.decorrelation.value() == 0.0);
        let cuts_bass = !(self.bass_cut.is_settled() && self.bass_cut.value() == 0.0);
        let mut i = 0;
        while i < q.len {
            let (end, finished) = q.step_end(i);
            let first = (q.at + i) % STEP;
            let slope = (self.to - self.from) * (1.0 / STEP as f64);
            for j in i..end {
                let at = q.at + j;
                let [l, r] = q.x[j];
                let side = 0.5 * (l - r);
                let mut new = side;
                if cuts_bass {
                    let cut = self.side.step(&self.high_pass, [side])[0];
                    new += self.bass_cut.at(at) * (cut - side);
                }
                new *= self.width.at(at);
                if makes_side {
                    let mid = 0.5 * (l + r);
                    self.sums[0] += mid * mid;
                    self.sums[1] += side * side;
                    let mut d = self.mid.step(&self.mid_high_pass, [mid])[0];
                    for a in &mut self.all_passes {
                        d = a.step(d);
                    }
                    let mono = self.from + slope * (first + j - i + 1) as f64;
                    new += mono * self.decorrelation.at(at) * d;
                }
                let delta = new - side;
                let y = [l + delta, r - delta];
                q.x[j] = if share == Share::All { y } else { self.wet.blend(at, q.x[j], y) };
            }
            if finished {
                self.control();
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

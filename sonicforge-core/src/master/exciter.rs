//! Exciter: adds the second and third harmonic of the upper band, and nothing else.
//!
//! The band `h` (second-order high-pass) is brought to full scale by its own slow envelope `e`, shaped at twice the rate by
//! Chebyshev polynomials, which turn a sine into its pure harmonics, and brought back:
//!
//! ```text
//! u = h/e,   y = x + HP{ e·(even·(2u² − 1) + odd·(4u³ − 3u)) }
//! ```
//!
//! so the harmonics keep their distance to the band at every level. The dry sound is never filtered. Degree 3 at two times
//! oversampling cannot alias (see `dsp::oversample`). The final high-pass takes away the constant and the difference tones
//! that `2u² − 1` makes of several tones.

use serde::{Deserialize, Serialize};

use crate::dsp::QUANTUM;
use crate::dsp::biquad::{Coefficients, Shape, State};
use crate::dsp::delay_line::DelayLine;
use crate::dsp::dynamics::{PeakHold, STEP};
use crate::dsp::glide::Glide;
use crate::dsp::oversample::Oversampled2;
use crate::error::{Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Share, Stage, Wet};
use crate::units::db_to_gain;

/// The band is shaped this many frames late, so that its envelope is there before it.
const AHEAD: usize = 2 * STEP;
/// The envelope holds a peak for this long, then lets go with this time constant.
const HOLD_S: f64 = 0.02;
const RELEASE_S: f64 = 0.15;
/// At this envelope (−100 dBFS) nothing is added: the constant in `2u² − 1` would leave a trace of 10⁻²² in digital silence.
/// Up to twice as much it fades in.
const FLOOR: f64 = 1e-5;

/// Settings of [`Exciter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExciterParams {
    /// Corner of the band that is excited, 500 to 16 000 Hz.
    pub frequency_hz: f64,
    /// Level of the second harmonic re the band in dB, −60 to 0; −60 is off.
    pub even_db: f64,
    /// Level of the third harmonic re the band in dB, −60 to 0; −60 is off. Both off is neutral.
    pub odd_db: f64,
}

impl Default for ExciterParams {
    fn default() -> Self {
        Self { frequency_hz: 3_000.0, even_db: OFF_DB, odd_db: OFF_DB }
    }
}

const OFF_DB: f64 = -60.0;

impl ExciterParams {
    /// Errors when a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        in_range("frequency_hz", self.frequency_hz, 500.0, 16_000.0)?;
        in_range("even_db", self.even_db, OFF_DB, 0.0)?;
        in_range("odd_db", self.odd_db, OFF_DB, 0.0)?;
        Ok(())
    }

    fn amounts(&self) -> [f64; 2] {
        [self.even_db, self.odd_db].map(|db| if db <= OFF_DB { 0.0 } else { db_to_gain(db) })
    }

    fn is_neutral(&self) -> bool {
        self.amounts() == [0.0; 2]
    }
}

/// Adds harmonics to the upper band. No latency.
#[derive(Debug, Clone)]
pub struct Exciter {
    params: ExciterParams,
    sample_rate: f64,
    corner: Coefficients,
    band: State<2>,
    after: [State<2>; 2],
    ahead: DelayLine<2>,
    hold: PeakHold,
    peak: f64,
    envelope: f64,
    release: f64,
    from: f64,
    to: f64,
    oversampled: Oversampled2<2>,
    even: Glide,
    odd: Glide,
    wet: Wet,
    clock: Clock,
}

impl Exciter {
    /// Errors when a setting is out of range.
    pub fn new(params: ExciterParams) -> Result<Self> {
        params.validate()?;
        let fs = 48_000.0;
        let mut e = Self {
            sample_rate: fs,
            corner: Coefficients::IDENTITY,
            band: State::default(),
            after: [State::default(); 2],
            ahead: DelayLine::new(AHEAD),
            hold: PeakHold::new(fs, 0.0),
            peak: 0.0,
            envelope: FLOOR,
            release: 0.0,
            from: FLOOR,
            to: FLOOR,
            oversampled: Oversampled2::default(),
            even: Glide::new(0.0, fs),
            odd: Glide::new(0.0, fs),
            wet: Wet::new(false, fs),
            clock: Clock::default(),
            params,
        };
        e.set_rate(fs);
        Ok(e)
    }

    fn set_rate(&mut self, fs: f64) {
        self.sample_rate = fs;
        let [even, odd] = self.params.amounts();
        self.even = Glide::new(even, fs);
        self.odd = Glide::new(odd, fs);
        self.wet = Wet::new(!self.params.is_neutral(), fs);
        // At least from a frame's entry over the delay to the end of the step in which it is shaped; and so long that the
        // sampled peaks of a steady tone do not make the envelope tremble, which would surround the harmonics with side bands.
        self.hold.retime(fs, HOLD_S.max((AHEAD + 2 * STEP) as f64 / fs));
        self.release = 1.0 - (-(STEP as f64) / (RELEASE_S * fs)).exp();
        self.tune();
        self.forget();
    }

    fn tune(&mut self) {
        let q = std::f64::consts::FRAC_1_SQRT_2;
        self.corner = Coefficients::design(Shape::HighPass, self.sample_rate, self.params.frequency_hz, q);
    }

    fn forget(&mut self) {
        self.band = State::default();
        self.after = [State::default(); 2];
        self.ahead.reset();
        self.hold.reset();
        self.peak = 0.0;
        self.envelope = FLOOR;
        self.from = FLOOR;
        self.to = FLOOR;
        self.oversampled.reset();
    }

    /// The settings.
    pub fn params(&self) -> &ExciterParams {
        &self.params
    }

    /// Glides to other settings.
    pub fn set_params(&mut self, params: ExciterParams) -> Result<()> {
        params.validate()?;
        let [even, odd] = params.amounts();
        // While it fades out the harmonics keep their level.
        if !params.is_neutral() {
            self.even.set(even);
            self.odd.set(odd);
        }
        self.wet.set(!params.is_neutral());
        self.params = params;
        self.tune();
        Ok(())
    }

    fn control(&mut self) {
        let held = self.hold.step(self.peak).max(FLOOR);
        self.peak = 0.0;
        self.envelope = if held > self.envelope { held } else { self.envelope + self.release * (held - self.envelope) };
        // The way down ends.
        if self.envelope < FLOOR * (1.0 + 1e-6) {
            self.envelope = FLOOR;
        }
        self.from = self.to;
        self.to = self.envelope;
    }
}

impl Stage for Exciter {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        let fs = f64::from(spec.sample_rate);
        self.hold = PeakHold::new(fs, HOLD_S);
        self.set_rate(fs);
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        let mut woken = false;
        let share = self.wet.share(q, || woken = true);
        if woken {
            self.forget();
        }
        if q.is_edge() {
            self.even.advance();
            self.odd.advance();
            self.band.flush();
            self.after.iter_mut().for_each(State::flush);
            self.oversampled.flush();
        }
        if share == Share::None {
            return;
        }
        let corner = self.corner;
        let mut wet = [[0.0; 2]; QUANTUM];
        let mut i = 0;
        while i < q.len {
            let (end, finished) = q.step_end(i);
            let first = (q.at + i) % STEP;
            let slope = (self.to - self.from) * (1.0 / STEP as f64);
            for j in i..end {
                let at = q.at + j;
                let h = self.band.step(&corner, q.x[j]);
                self.peak = self.peak.max(h[0].abs()).max(h[1].abs());
                let h = self.ahead.step(h);
                let e = self.from + slope * (first + j - i + 1) as f64;
                let amount = e * ((e - FLOOR) * (1.0 / FLOOR)).min(1.0);
                let (even, odd) = (amount * self.even.at(at), amount * self.odd.at(at));
                let scale = 1.0 / e;
                let y = self.oversampled.step([h[0] * scale, h[1] * scale], |u| {
                    u.map(|u| even * (2.0 * u * u - 1.0) + odd * u * (4.0 * u * u - 3.0))
                });
                let y = self.after[0].step(&corner, y);
                wet[j] = self.after[1].step(&corner, y);
            }
            if finished {
                self.control();
            }
            i = end;
        }
        for i in 0..q.len {
            let y = [q.x[i][0] + wet[i][0], q.x[i][1] + wet[i][1]];
            q.x[i] = if share == Share::All { y } else { self.wet.blend(q.at + i, q.x[i], y) };
        }
    }

    fn reset_stage(&mut self) {
        self.set_rate(self.sample_rate);
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}

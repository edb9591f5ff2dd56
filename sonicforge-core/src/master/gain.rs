//! A gain.

use serde::{Deserialize, Serialize};

use crate::dsp::glide::Glide;
use crate::error::{Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Stage};
use crate::units::db_to_gain;

/// Settings of [`Gain`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GainParams {
    /// −200 to +200 dB; 0 is neutral.
    pub gain_db: f64,
}

impl GainParams {
    /// Errors when a value is out of its range.
    pub fn validate(&self) -> Result<()> {
        in_range("gain_db", self.gain_db, -200.0, 200.0).map(drop)
    }
}

/// Multiplies. Moves in a straight line of gain over 20 ms.
#[derive(Debug, Clone)]
pub struct Gain {
    params: GainParams,
    glide: Glide,
    clock: Clock,
}

impl Gain {
    /// Errors when a setting is out of range.
    pub fn new(params: GainParams) -> Result<Self> {
        params.validate()?;
        let glide = Glide::new(db_to_gain(params.gain_db), 48_000.0);
        Ok(Self { params, glide, clock: Clock::default() })
    }

    /// The settings.
    pub fn params(&self) -> &GainParams {
        &self.params
    }

    /// Glides to other settings.
    pub fn set_params(&mut self, params: GainParams) -> Result<()> {
        params.validate()?;
        self.glide.set(db_to_gain(params.gain_db));
        self.params = params;
        Ok(())
    }
}

impl Stage for Gain {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        self.glide = Glide::new(db_to_gain(self.params.gain_db), f64::from(spec.sample_rate));
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        if q.is_edge() {
            self.glide.advance();
        }
        let at = q.at;
        if self.glide.is_settled() {
            let gain = self.glide.value();
            if gain != 1.0 {
                for x in q.frames() {
                    *x = [x[0] * gain, x[1] * gain];
                }
            }
        } else {
            for (i, x) in q.frames().iter_mut().enumerate() {
                let gain = self.glide.at(at + i);
                *x = [x[0] * gain, x[1] * gain];
            }
        }
    }

    fn reset_stage(&mut self) {
        self.glide.jump();
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}

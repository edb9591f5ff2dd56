//! The true-peak meter: [`dsp::true_peak`](crate::dsp::true_peak) fed at fixed positions.

use crate::audio::{Block, MAX_CHANNELS, check_format};
use crate::dsp::true_peak::TruePeak;
use crate::error::Result;
use crate::units::gain_to_db;

use super::loudness::check_channels;
use super::quantum::Quantum;

/// Measures the highest true peak of any channel. The reading does not depend on how the sound is cut into blocks.
#[derive(Debug, Clone)]
pub struct TruePeakMeter {
    quantum: Quantum,
    detector: TruePeak,
    sample_rate: u32,
}

impl TruePeakMeter {
    /// A meter for sounds of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8).
    pub fn new(sample_rate: u32, channels: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        Ok(Self { quantum: Quantum::new(channels), detector: TruePeak::new(sample_rate, channels), sample_rate })
    }

    /// Measures the next frames. NaN and infinity are taken as 0. Errors when the block has another number of channels.
    pub fn push(&mut self, block: &Block<'_>) -> Result<()> {
        let channels = self.quantum.channels();
        check_channels(channels, block.channels())?;
        let mut slices: [&[f32]; MAX_CHANNELS] = Default::default();
        for (c, slice) in slices.iter_mut().enumerate().take(channels) {
            *slice = block.channel(c);
        }
        let mut start = 0;
        while start < block.frames() {
            start += self.quantum.fill(&slices[..channels], start);
            if self.quantum.is_full() {
                self.quantum.complete();
                let q = &self.quantum;
                self.detector.feed(q.frames, |c| q.channel(c));
                self.quantum.clear();
            }
        }
        Ok(())
    }

    /// The highest true peak so far in dBTP; `None` in silence. The newest 544 frames may still be missing from it.
    pub fn current_dbtp(&self) -> Option<f64> {
        decibels(self.detector.peak())
    }

    /// The highest true peak of the whole sound in dBTP, with what rings after its end; `None` in silence.
    pub fn finish(mut self) -> Option<f64> {
        self.quantum.complete();
        let q = &self.quantum;
        self.detector.finish(q.frames, |c| q.channel(c));
        decibels(self.detector.peak())
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        *self = Self::new(self.sample_rate, self.quantum.channels()).expect("the format was checked before");
    }
}

pub(super) fn decibels(peak: f64) -> Option<f64> {
    (peak > 0.0).then(|| gain_to_db(peak))
}

//! What every processor of the chain is: ask for memory once, then work in place, without failing.

use crate::audio::{Block, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE};
use crate::error::{Error, Result};

/// What a processor is going to run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// In Hz, 8 000 to 384 000.
    pub sample_rate: u32,
    /// 1 (mono) or 2 (stereo).
    pub channels: usize,
    /// The longest block that will be passed to [`Processor::process`].
    pub max_frames: usize,
}

impl Spec {
    /// Errors when the mastering chain cannot run at this rate or with this many channels.
    pub fn check(&self) -> Result<()> {
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&self.sample_rate) {
            return Err(Error::invalid(format!(
                "sample rate is {} Hz; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz",
                self.sample_rate
            )));
        }
        if !(1..=2).contains(&self.channels) {
            return Err(Error::Unsupported(format!(
                "{} channels; mastering takes mono or stereo (mix down first, for example with `to_stereo`)",
                self.channels
            )));
        }
        Ok(())
    }
}

/// A sound in, a sound out, in place.
pub trait Processor: Send {
    /// Gets ready to run at `spec`, forgetting the past. The only place that asks for memory.
    fn prepare(&mut self, spec: Spec) -> Result<()>;
    /// Works on the next frames. Does not allocate, lock or fail; any block length up to `max_frames` gives the same samples.
    ///
    /// # Panics
    /// When it was not prepared, or the block has other channels than it was prepared for.
    fn process(&mut self, block: &mut Block<'_>);
    /// Forgets the past; parameters stay.
    fn reset(&mut self);
    /// By how many frames the output lags. The tail is drawn out by feeding that many silent frames.
    fn latency(&self) -> usize {
        0
    }
}

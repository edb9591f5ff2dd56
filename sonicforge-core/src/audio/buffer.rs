//! A whole sound in memory.

use crate::audio::Block;
use crate::error::{Error, Result};

/// The most channels a buffer can have.
pub const MAX_CHANNELS: usize = 8;
/// The lowest sample rate in Hz.
pub const MIN_SAMPLE_RATE: u32 = 8_000;
/// The highest sample rate in Hz.
pub const MAX_SAMPLE_RATE: u32 = 384_000;

/// Planar `f32` audio: `channels` runs of `frames` samples, one after the other; 1.0 is full scale.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioBuffer {
    sample_rate: u32,
    channels: usize,
    frames: usize,
    samples: Vec<f32>,
}

impl AudioBuffer {
    /// Silence. Errors when the sample rate is outside 8–384 kHz or the channels outside 1–8.
    pub fn new(sample_rate: u32, channels: usize, frames: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        let len = channels
            .checked_mul(frames)
            .ok_or_else(|| Error::invalid(format!("{channels} channels of {frames} frames do not fit in memory")))?;
        Ok(Self { sample_rate, channels, frames, samples: vec![0.0; len] })
    }

    /// Takes samples that lie channel after channel; their number must be a multiple of `channels`.
    pub fn from_planar(sample_rate: u32, channels: usize, samples: Vec<f32>) -> Result<Self> {
        check_format(sample_rate, channels)?;
        if samples.len() % channels != 0 {
            return Err(Error::invalid(format!(
                "{} samples cannot be shared among {channels} channels; expected a multiple of {channels}",
                samples.len()
            )));
        }
        Ok(Self { sample_rate, channels, frames: samples.len() / channels, samples })
    }

    /// Copies samples that lie frame after frame (L R L R …), as sound cards and WAV files have them.
    pub fn from_interleaved(sample_rate: u32, channels: usize, samples: &[f32]) -> Result<Self> {
        check_format(sample_rate, channels)?;
        if samples.len() % channels != 0 {
            return Err(Error::invalid(format!(
                "{} interleaved samples are not whole frames of {channels} channels",
                samples.len()
            )));
        }
        let frames = samples.len() / channels;
        let mut buffer = Self::new(sample_rate, channels, frames)?;
        for (c, channel) in buffer.samples.chunks_exact_mut(frames.max(1)).enumerate() {
            for (y, frame) in channel.iter_mut().zip(samples.chunks_exact(channels)) {
                *y = frame[c];
            }
        }
        Ok(buffer)
    }

    /// Copies one slice per channel; all must be of one length.
    pub fn from_channels<S: AsRef<[f32]>>(sample_rate: u32, channels: &[S]) -> Result<Self> {
        check_format(sample_rate, channels.len())?;
        let frames = channels[0].as_ref().len();
        let mut samples = Vec::with_capacity(frames * channels.len());
        for (i, channel) in channels.iter().enumerate() {
            let channel = channel.as_ref();
            if channel.len() != frames {
                return Err(Error::invalid(format!(
                    "channel {i} has {} frames, but channel 0 has {frames}; all channels must be of one length",
                    channel.len()
                )));
            }
            samples.extend_from_slice(channel);
        }
        Ok(Self { sample_rate, channels: channels.len(), frames, samples })
    }

    /// Frames per second, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// How many frames there are (a frame is one sample of every channel).
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.sample_rate)
    }

    /// The samples of channel `index`.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn channel(&self, index: usize) -> &[f32] {
        assert!(index < self.channels, "channel {index} of {}", self.channels);
        &self.samples[index * self.frames..(index + 1) * self.frames]
    }

    /// The samples of channel `index`, to be changed.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn channel_mut(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.channels, "channel {index} of {}", self.channels);
        &mut self.samples[index * self.frames..(index + 1) * self.frames]
    }

    /// All samples, channel after channel.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// All samples, channel after channel, to be changed.
    pub fn samples_mut(&mut self) -> &mut [f32] {
        &mut self.samples
    }

    /// Gives the samples away, channel after channel.
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// A copy of the samples, frame after frame.
    pub fn to_interleaved(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.samples.len()];
        for c in 0..self.channels {
            for (frame, &x) in out.chunks_exact_mut(self.channels).zip(self.channel(c)) {
                frame[c] = x;
            }
        }
        out
    }

    /// The whole buffer as one block.
    pub fn block(&mut self) -> Block<'_> {
        let frames = self.frames;
        if frames == 0 {
            return Block::empty(self.channels);
        }
        Block::from_iter(frames, self.samples.chunks_exact_mut(frames))
    }

    /// Frames `start..end` of the buffer as a block.
    ///
    /// # Panics
    /// When the range is not inside the buffer.
    pub fn block_range(&mut self, start: usize, end: usize) -> Block<'_> {
        assert!(start <= end && end <= self.frames, "frames {start}..{end} of {}", self.frames);
        if start == end {
            return Block::empty(self.channels);
        }
        let frames = self.frames;
        Block::from_iter(end - start, self.samples.chunks_exact_mut(frames).map(|c| &mut c[start..end]))
    }

    /// Lengthens to `frames` with silence.
    #[cfg(feature = "io")]
    pub(crate) fn with_frames(self, frames: usize) -> Result<Self> {
        let mut out = Self::new(self.sample_rate, self.channels, frames)?;
        for c in 0..self.channels {
            out.channel_mut(c)[..self.frames].copy_from_slice(self.channel(c));
        }
        Ok(out)
    }

    /// Shortens to `frames`, keeping the beginning of every channel.
    pub(crate) fn truncate(&mut self, frames: usize) {
        if frames >= self.frames {
            return;
        }
        for c in 1..self.channels {
            self.samples.copy_within(c * self.frames..c * self.frames + frames, c * frames);
        }
        self.samples.truncate(self.channels * frames);
        self.frames = frames;
    }
}

/// Whether a sound of this rate and this many channels can exist here.
pub(crate) fn check_format(sample_rate: u32, channels: usize) -> Result<()> {
    if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate) {
        return Err(Error::invalid(format!(
            "sample rate is {sample_rate} Hz; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )));
    }
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(Error::invalid(format!("{channels} channels; expected 1 to {MAX_CHANNELS}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_agree() {
        let a = AudioBuffer::from_interleaved(48_000, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let b = AudioBuffer::from_planar(48_000, 2, vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]).unwrap();
        let c = AudioBuffer::from_channels(48_000, &[[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]).unwrap();
        assert_eq!(a, b);
        assert_eq!(a, c);
        assert_eq!(a.to_interleaved(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(a.channel(1), [2.0, 4.0, 6.0]);
    }

    #[test]
    fn truncate_keeps_the_beginning() {
        let mut a = AudioBuffer::from_channels(48_000, &[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).unwrap();
        a.truncate(2);
        assert_eq!(a.samples(), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(a.frames(), 2);
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert!(AudioBuffer::new(7_999, 1, 1).is_err());
        assert!(AudioBuffer::new(384_001, 1, 1).is_err());
        assert!(AudioBuffer::new(48_000, 0, 1).is_err());
        assert!(AudioBuffer::new(48_000, 9, 1).is_err());
        assert!(AudioBuffer::new(48_000, 8, usize::MAX / 4).is_err());
        assert!(AudioBuffer::from_planar(48_000, 2, vec![0.0; 3]).is_err());
        assert!(AudioBuffer::from_channels(48_000, &[vec![0.0], vec![]]).is_err());
    }

    #[test]
    fn zero_frames_are_fine() {
        let mut a = AudioBuffer::from_interleaved(48_000, 2, &[]).unwrap();
        assert_eq!(a.frames(), 0);
        assert_eq!(a.block().frames(), 0);
        assert_eq!(a.channel(1), [0f32; 0]);
    }
}

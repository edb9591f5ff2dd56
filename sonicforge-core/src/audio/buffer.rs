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
    samples: Samples,
}

/// Where the samples lie: in memory of ours, or in memory of the host that is only looked at.
enum Samples {
    Own(Vec<f32>),
    Host(Box<dyn AsRef<[f32]> + Send + Sync>),
}

impl Samples {
    fn get(&self) -> &[f32] {
        match self {
            Samples::Own(samples) => samples,
            Samples::Host(memory) => (**memory).as_ref(),
        }
    }

    /// The samples to be changed: memory of the host is copied first, once.
    fn own(&mut self) -> &mut Vec<f32> {
        if let Samples::Host(memory) = self {
            *self = Samples::Own((**memory).as_ref().to_vec());
        }
        match self {
            Samples::Own(samples) => samples,
            Samples::Host(_) => unreachable!("it was made our own above"),
        }
    }
}

/// A clone always lies in memory of ours, so that it may outlive the host's.
impl Clone for Samples {
    fn clone(&self) -> Self {
        Samples::Own(self.get().to_vec())
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

impl AudioBuffer {
    /// Silence. Errors when the sample rate is outside 8–384 kHz or the channels outside 1–8.
    pub fn new(sample_rate: u32, channels: usize, frames: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        let len = channels
            .checked_mul(frames)
            .ok_or_else(|| Error::invalid(format!("{channels} channels of {frames} frames do not fit in memory")))?;
        Ok(Self { sample_rate, channels, frames, samples: Samples::Own(vec![0.0; len]) })
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
        Ok(Self { sample_rate, channels, frames: samples.len() / channels, samples: Samples::Own(samples) })
    }

    /// Looks at samples that the host keeps, channel after channel, without copying them; their number must be a multiple
    /// of `channels`. They are copied once, before the first call that changes them.
    pub fn from_host(sample_rate: u32, channels: usize, memory: Box<dyn AsRef<[f32]> + Send + Sync>) -> Result<Self> {
        let empty = Self::from_planar(sample_rate, channels, Vec::new())?;
        let len = (*memory).as_ref().len();
        if len % channels != 0 {
            return Err(Error::invalid(format!(
                "{len} samples cannot be shared among {channels} channels; expected a multiple of {channels}"
            )));
        }
        Ok(Self { frames: len / channels, samples: Samples::Host(memory), ..empty })
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
        for (c, channel) in buffer.samples.own().chunks_exact_mut(frames.max(1)).enumerate() {
            for (y, frame) in channel.iter_mut().zip(samples.chunks_exact(channels)) {
                *y = frame[c];
            }
        }
        Ok(buffer)
    }

    /// Copies one slice per channel; all must be of one length.
    pub fn from_channels<S: AsRef<[f32]>>(sample_rate: u32, channels: &[S]) -> Result<Self> {
        check_format(sample_rate, channels.len())?;
        let frames = common_length(channels)?;
        let mut samples = Vec::with_capacity(frames * channels.len());
        channels.iter().for_each(|c| samples.extend_from_slice(c.as_ref()));
        Ok(Self { sample_rate, channels: channels.len(), frames, samples: Samples::Own(samples) })
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
        &self.samples.get()[index * self.frames..(index + 1) * self.frames]
    }

    /// The samples of channel `index`, to be changed.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn channel_mut(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.channels, "channel {index} of {}", self.channels);
        &mut self.samples.own()[index * self.frames..(index + 1) * self.frames]
    }

    /// All samples, channel after channel.
    pub fn samples(&self) -> &[f32] {
        self.samples.get()
    }

    /// All samples, channel after channel, to be changed.
    pub fn samples_mut(&mut self) -> &mut [f32] {
        self.samples.own()
    }

    /// Gives the samples away, channel after channel.
    pub fn into_samples(mut self) -> Vec<f32> {
        std::mem::take(self.samples.own())
    }

    /// A copy of the samples, frame after frame.
    pub fn to_interleaved(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.samples().len()];
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
        Block::from_iter(frames, self.samples.own().chunks_exact_mut(frames))
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
        Block::from_iter(end - start, self.samples.own().chunks_exact_mut(frames).map(|c| &mut c[start..end]))
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
        let samples = self.samples.own();
        for c in 1..self.channels {
            samples.copy_within(c * self.frames..c * self.frames + frames, c * frames);
        }
        samples.truncate(self.channels * frames);
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

/// The channels of a block or a buffer, of which there are `count`, as slices; the rest are empty.
pub(crate) fn slices<'a>(count: usize, channel: impl Fn(usize) -> &'a [f32]) -> [&'a [f32]; MAX_CHANNELS] {
    std::array::from_fn(|c| if c < count { channel(c) } else { &[] })
}

/// The length that all channels have; an error where one has another.
pub(crate) fn common_length<S: AsRef<[f32]>>(channels: &[S]) -> Result<usize> {
    let frames = channels.first().map_or(0, |c| c.as_ref().len());
    match channels.iter().position(|c| c.as_ref().len() != frames) {
        None => Ok(frames),
        Some(c) => Err(Error::invalid(format!(
            "channel {c} has {} frames, but channel 0 has {frames}; all channels must be of one length",
            channels[c].as_ref().len()
        ))),
    }
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
    fn memory_of_the_host_is_looked_at_and_copied_before_a_change() {
        let host: &'static [f32] = &[1.0, 2.0, 3.0, 4.0];
        let mut a = AudioBuffer::from_host(48_000, 2, Box::new(host)).unwrap();
        assert_eq!(a.samples().as_ptr(), host.as_ptr());
        assert_eq!(a, AudioBuffer::from_planar(48_000, 2, host.to_vec()).unwrap());
        assert_ne!(a.clone().samples().as_ptr(), host.as_ptr());
        a.channel_mut(1)[0] = 9.0;
        assert_eq!((a.samples(), host), (&[1.0, 2.0, 9.0, 4.0][..], &[1.0, 2.0, 3.0, 4.0][..]));
        assert_eq!(a.into_samples(), [1.0, 2.0, 9.0, 4.0]);
        assert!(AudioBuffer::from_host(48_000, 3, Box::new(host)).is_err());
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

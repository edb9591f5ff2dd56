//! Some frames of a buffer or of the host's memory, borrowed and worked on in place.

use crate::audio::MAX_CHANNELS;
use crate::error::{Error, Result};

/// Up to eight channels of equal length, borrowed. Making one allocates nothing.
#[derive(Debug)]
pub struct Block<'a> {
    channels: [&'a mut [f32]; MAX_CHANNELS],
    count: usize,
    frames: usize,
}

impl<'a> Block<'a> {
    /// Borrows one slice per channel; there must be 1 to 8, all of one length.
    pub fn new(channels: impl IntoIterator<Item = &'a mut [f32]>) -> Result<Self> {
        let mut block = Self::empty(0);
        for channel in channels {
            if block.count == MAX_CHANNELS {
                return Err(Error::invalid(format!("a block has at most {MAX_CHANNELS} channels")));
            }
            if block.count > 0 && channel.len() != block.frames {
                return Err(Error::invalid(format!(
                    "channel {} has {} frames, but channel 0 has {}",
                    block.count,
                    channel.len(),
                    block.frames
                )));
            }
            block.frames = channel.len();
            block.channels[block.count] = channel;
            block.count += 1;
        }
        if block.count == 0 {
            return Err(Error::invalid("a block needs at least one channel"));
        }
        Ok(block)
    }

    pub(crate) fn empty(count: usize) -> Self {
        Self { channels: Default::default(), count, frames: 0 }
    }

    pub(crate) fn from_iter(frames: usize, channels: impl Iterator<Item = &'a mut [f32]>) -> Self {
        let mut block = Self::empty(0);
        block.frames = frames;
        for channel in channels.take(MAX_CHANNELS) {
            debug_assert_eq!(channel.len(), frames);
            block.channels[block.count] = channel;
            block.count += 1;
        }
        block
    }

    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.count
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The samples of channel `index`.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn channel(&self, index: usize) -> &[f32] {
        assert!(index < self.count, "channel {index} of {}", self.count);
        self.channels[index]
    }

    /// The samples of channel `index`, to be changed.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn channel_mut(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.count, "channel {index} of {}", self.count);
        self.channels[index]
    }

    /// Frames `start..end` of this block, borrowed from it.
    ///
    /// # Panics
    /// When the range is not inside the block.
    pub fn range(&mut self, start: usize, end: usize) -> Block<'_> {
        assert!(start <= end && end <= self.frames, "frames {start}..{end} of {}", self.frames);
        let count = self.count;
        Block::from_iter(end - start, self.channels.iter_mut().take(count).map(|c| &mut c[start..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_and_splits() {
        let (mut l, mut r) = ([1.0f32, 2.0, 3.0], [4.0f32, 5.0, 6.0]);
        let mut b = Block::new([&mut l[..], &mut r[..]]).unwrap();
        assert_eq!((b.channels(), b.frames()), (2, 3));
        let mut tail = b.range(1, 3);
        tail.channel_mut(1)[0] = 9.0;
        assert_eq!(b.channel(1), [4.0, 9.0, 6.0]);
    }

    #[test]
    fn refuses_ragged_and_none() {
        let (mut l, mut r) = ([1.0f32], [4.0f32, 5.0]);
        assert!(Block::new([&mut l[..], &mut r[..]]).is_err());
        assert!(Block::new([]).is_err());
    }
}

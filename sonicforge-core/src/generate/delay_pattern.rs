//! Who speaks when: codebook k says the frame that codebook 0 said k positions before.
//!
//! Source: Copet et al., "Simple and controllable music generation", 2023, section 2.2 (delay interleaving). Position 0 is
//! the start token in every codebook; codebook k holds frame f at position f + 1 + delay(k), and what lies before its
//! first and after its last frame is the start token again. In a stereo model the codebooks of left and right take turns
//! and a pair shares its delay.

/// The pattern of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayPattern {
    codebooks: usize,
    channels: usize,
}

impl DelayPattern {
    /// For `codebooks` codebooks of all `channels` together (1 or 2).
    pub fn new(codebooks: usize, channels: usize) -> Self {
        Self { codebooks, channels: channels.max(1) }
    }

    /// Positions that codebook `k` lags behind codebook 0.
    pub fn delay(&self, k: usize) -> usize {
        k / self.channels
    }

    /// The greatest delay.
    pub fn longest_delay(&self) -> usize {
        self.delay(self.codebooks.saturating_sub(1))
    }

    /// The frame that codebook `k` holds at `position`; `None` where the start token stands before the first one.
    pub fn frame(&self, k: usize, position: usize) -> Option<usize> {
        position.checked_sub(1 + self.delay(k))
    }

    /// How many frames all codebooks have said when positions 0 to `position` are known.
    pub fn complete_frames(&self, position: usize) -> usize {
        position.saturating_sub(self.longest_delay())
    }

    /// The last position of a sequence of `frames` frames.
    pub fn last_position(&self, frames: usize) -> usize {
        frames + self.longest_delay()
    }

    /// The column of tokens at `position`: `codes[k][f]` where that is known, `start` elsewhere.
    pub fn column(&self, codes: &[Vec<u32>], position: usize, start: u32) -> Vec<u32> {
        (0..self.codebooks)
            .map(|k| self.frame(k, position).and_then(|f| codes[k].get(f).copied()).unwrap_or(start))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_codebooks_of_four_frames() {
        let pattern = DelayPattern::new(4, 1);
        let codes: Vec<Vec<u32>> = (0..4).map(|k| (0..4).map(|f| 10 * k + f).collect()).collect();
        let columns: Vec<Vec<u32>> = (0..=pattern.last_position(4)).map(|p| pattern.column(&codes, p, 99)).collect();
        assert_eq!(
            columns,
            [
                [99, 99, 99, 99],
                [0, 99, 99, 99],
                [1, 10, 99, 99],
                [2, 11, 20, 99],
                [3, 12, 21, 30],
                [99, 13, 22, 31],
                [99, 99, 23, 32],
                [99, 99, 99, 33],
            ]
        );
        assert_eq!((0..8).map(|p| pattern.complete_frames(p)).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn stereo_pairs_share_a_delay() {
        let pattern = DelayPattern::new(8, 2);
        assert_eq!((0..8).map(|k| pattern.delay(k)).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(pattern.last_position(5), 8);
        assert_eq!(pattern.frame(7, 3), None);
        assert_eq!(pattern.frame(7, 4), Some(0));
    }
}

//! How a convolution sees past the ends of its input.
//!
//! A. Défossez et al., "High Fidelity Neural Audio Compression", 2022, <https://arxiv.org/abs/2210.13438>, as transformers'
//! `EncodecConv1d` does it. In all, `K − S` rows are added (`K` the kernel with its dilation, `S` the stride): before the
//! input when causal; else the larger half before it, the smaller after it. A last incomplete stride is filled up, so that
//! n rows give ⌈n / S⌉. A reflection that reaches beyond a short input finds zeros there.

use crate::generate::musicgen::config::PadMode;

/// The padding of one convolution. Rows are frames of all its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Padding {
    /// Rows before the input.
    pub left: usize,
    /// Rows after it, an incomplete stride apart.
    pub right: usize,
    /// The stride.
    pub stride: usize,
    /// What the rows are.
    pub mode: PadMode,
}

impl Padding {
    /// For a kernel of `span` rows (dilation included), `span ≥ stride ≥ 1`.
    pub fn new(span: usize, stride: usize, causal: bool, mode: PadMode) -> Self {
        let total = span - stride;
        let right = if causal { 0 } else { total / 2 };
        Self { left: total - right, right, stride, mode }
    }

    /// Rows of input that must be there before those on the left are known, unless the input ends earlier.
    pub fn rows_to_start(&self) -> usize {
        match self.mode {
            PadMode::Constant => 0,
            PadMode::Replicate => usize::from(self.left > 0),
            PadMode::Reflect => self.left + usize::from(self.left > 0),
        }
    }

    /// Rows after an input of `rows`, an incomplete stride included.
    pub fn right_of(&self, rows: usize) -> usize {
        self.right + rows.next_multiple_of(self.stride) - rows
    }

    /// The most rows of the input's end that the right side may copy.
    pub fn history(&self) -> usize {
        self.right + self.stride
    }

    /// Which row of an input of `rows` (or more) is copied to row `at` before it (0 is the first); `None` is zero.
    pub fn left_source(&self, at: usize, rows: usize) -> Option<usize> {
        let row = match self.mode {
            PadMode::Constant => return None,
            PadMode::Replicate => 0,
            PadMode::Reflect => self.left - at,
        };
        (row < rows).then_some(row)
    }

    /// Which row is copied to row `at` after an input of exactly `rows`; `None` is zero.
    pub fn right_source(&self, at: usize, rows: usize) -> Option<usize> {
        match self.mode {
            PadMode::Constant => None,
            PadMode::Replicate => rows.checked_sub(1),
            PadMode::Reflect => {
                // Zeros lengthen what is shorter than the reflection is long; what that adds is cut off again.
                let extended = rows.max(self.left.max(self.right_of(rows)) + 1);
                let row = if rows + at < extended { rows + at } else { 2 * (extended - 1) - (rows + at) };
                (row < rows).then_some(row)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole padded input as transformers makes it: lengthen, pad, cut.
    fn reference(padding: &Padding, rows: usize) -> Vec<Option<usize>> {
        let right = padding.right_of(rows);
        let most = padding.left.max(right);
        let extra = if padding.mode == PadMode::Reflect && rows <= most { most - rows + 1 } else { 0 };
        let mut input: Vec<Option<usize>> = (0..rows).map(Some).collect();
        input.resize(rows + extra, None);
        let last = input.len() as isize - 1;
        let mut padded: Vec<Option<usize>> = (-(padding.left as isize)..input.len() as isize + right as isize)
            .map(|i| match padding.mode {
                PadMode::Constant => usize::try_from(i).ok().and_then(|i| input.get(i).copied().flatten()),
                PadMode::Replicate => input[i.clamp(0, last) as usize],
                PadMode::Reflect => input[if i < 0 { -i } else { last - (last - i).abs() } as usize],
            })
            .collect();
        padded.truncate(padded.len() - extra);
        padded
    }

    #[test]
    fn rows_are_those_of_the_reference() {
        for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Constant] {
            for (span, stride) in [(1, 1), (2, 1), (3, 1), (7, 1), (16, 8), (10, 5), (4, 2), (13, 1)] {
                for causal in [false, true] {
                    let padding = Padding::new(span, stride, causal, mode);
                    assert_eq!(padding.left + padding.right, span - stride);
                    for rows in 1..30 {
                        let got: Vec<_> = (0..padding.left)
                            .map(|at| padding.left_source(at, rows))
                            .chain((0..rows).map(Some))
                            .chain((0..padding.right_of(rows)).map(|at| padding.right_source(at, rows)))
                            .collect();
                        let expected = reference(&padding, rows);
                        assert_eq!(got, expected, "{padding:?}, {rows} rows");
                        assert_eq!((got.len() - span) / stride + 1, rows.div_ceil(stride));
                        for at in 0..padding.right_of(rows) {
                            let oldest = padding.right_source(at, rows).unwrap_or(rows);
                            assert!(
                                oldest + padding.history() >= rows,
                                "{padding:?}, {rows} rows: {oldest} is forgotten"
                            );
                        }
                        // Once started, the left side does not change with what follows.
                        if rows >= padding.rows_to_start() {
                            for at in 0..padding.left {
                                assert_eq!(padding.left_source(at, rows), padding.left_source(at, rows + 100));
                            }
                        }
                    }
                }
            }
        }
    }
}

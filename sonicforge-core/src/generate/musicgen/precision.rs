//! In how many bits the weights of a model are kept.
//!
//! The quantized layouts are those of ggml (`block_q8_0`, `block_q4_K`, `block_q6_K` in
//! <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>), so that any reader of GGUF understands them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How the weight matrices are kept. Activations, norms and biases stay f32 on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats: the reference.
    F32,
    /// 16-bit floats, 10 bits of mantissa.
    F16,
    /// 16-bit floats with the range of f32, 7 bits of mantissa.
    Bf16,
    /// 8 bits and one scale for every 32 weights: 8.5 bits per weight.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 4 bits, with scales and minima in blocks of 256 weights: 4.5 bits per weight.
    #[serde(rename = "q4_k")]
    Q4K,
    /// 6 bits, with scales in blocks of 256 weights: 6.5625 bits per weight.
    #[serde(rename = "q6_k")]
    Q6K,
}

impl Precision {
    /// Every precision, the widest first.
    pub const ALL: [Self; 6] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0, Self::Q6K, Self::Q4K];

    /// The word for it: `f32 f16 bf16 q8_0 q4_k q6_k`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
            Self::Q6K => "q6_k",
        }
    }

    /// Weights that share their scales; 1 for the floats. A row has to be a whole number of blocks.
    pub(crate) fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }

    /// Bytes of `count` weights in rows of `k`, or `None` when `k` is not a whole number of blocks or the size overflows.
    pub(crate) fn bytes(self, count: usize, k: usize) -> Option<usize> {
        if !k.is_multiple_of(self.block()) || !count.is_multiple_of(self.block()) {
            return None;
        }
        (count / self.block()).checked_mul(self.block_bytes())
    }

    /// This precision, or the nearest wider one whose blocks divide rows of `k` weights: Q4_K and Q6_K fall to Q8_0
    /// where 256 does not divide `k`, Q8_0 to f16 where 32 does not.
    pub(crate) fn for_rows_of(self, k: usize) -> Self {
        match self {
            Self::Q4K | Self::Q6K if !k.is_multiple_of(256) => Self::Q8_0.for_rows_of(k),
            Self::Q8_0 if !k.is_multiple_of(32) => Self::F16,
            other => other,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|p| p.as_str() == word).ok_or_else(|| {
            Error::invalid(format!("the precision {word:?} is unknown; expected f32, f16, bf16, q8_0, q4_k or q6_k"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for p in Precision::ALL {
            assert_eq!(p.to_string().parse::<Precision>().unwrap(), p);
            assert_eq!(serde_json::to_string(&p).unwrap(), format!("{:?}", p.as_str()));
        }
        let refused = "q4_0".parse::<Precision>().unwrap_err();
        assert_eq!(refused.code(), "SF_INVALID_ARGUMENT");
        assert!(refused.to_string().contains("\"q4_0\""), "{refused}");
    }

    #[test]
    fn sizes_and_falls() {
        assert_eq!(Precision::Q8_0.bytes(64, 32), Some(68));
        assert_eq!(Precision::Q4K.bytes(512, 256), Some(288));
        assert_eq!(Precision::Q6K.bytes(256, 256), Some(210));
        assert_eq!(Precision::Q8_0.bytes(48, 16), None);
        assert!(Precision::Q4K.bytes(usize::MAX - 255, 256).is_some());
        assert_eq!(Precision::F32.bytes(usize::MAX, 1), None);
        assert_eq!(Precision::Q4K.for_rows_of(1024), Precision::Q4K);
        assert_eq!(Precision::Q4K.for_rows_of(96), Precision::Q8_0);
        assert_eq!(Precision::Q6K.for_rows_of(20), Precision::F16);
        assert_eq!(Precision::Bf16.for_rows_of(3), Precision::Bf16);
    }
}

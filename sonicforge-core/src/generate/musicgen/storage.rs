//! Bytes of weights, and the numbers in them.
//!
//! Safetensors and GGUF are little-endian. Tensors may start anywhere in a file, so numbers are put together from bytes.

use std::fmt;
use std::ops::{Deref, Range};

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::blocks::dequantize_blocks;
use super::precision::Precision;

/// A file in memory.
pub(crate) enum Bytes {
    /// Mapped: the system reads what is used, when it is used, and shares it between processes. The file must not be
    /// shortened while it is mapped; writers that replace it by renaming (as ours do) are safe.
    Mapped(memmap2::Mmap),
    /// Already here.
    Owned(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Bytes {
    /// Gives back the memory of a part that was read; reading it again brings it back from the file.
    pub fn release(&self, place: Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self
            && place.end <= map.len()
            && !place.is_empty()
        {
            // SAFETY: the map is only read, and shared with the file, so nothing that was written can be lost. That the
            // system may refuse does no harm.
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, place.start, place.len()) };
        }
        #[cfg(not(unix))]
        let _ = place;
    }
}

/// What the numbers of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dtype {
    /// One of ours.
    Weights(Precision),
    /// Doubles: only read.
    F64,
    /// Integers and others that no weight of these models is made of; by its name in the file.
    Other(String),
}

impl Dtype {
    pub fn from_safetensors(name: &str) -> Self {
        match name {
            "F32" => Self::Weights(Precision::F32),
            "F16" => Self::Weights(Precision::F16),
            "BF16" => Self::Weights(Precision::Bf16),
            "F64" => Self::F64,
            other => Self::Other(other.chars().take(20).collect()),
        }
    }

    /// Bytes of `count` numbers in rows of `k`; 0 for foreign types, `None` when blocks do not divide or it overflows.
    pub fn bytes(&self, count: usize, k: usize) -> Option<usize> {
        match self {
            Self::Weights(precision) => precision.bytes(count, k),
            Self::F64 => count.checked_mul(8),
            Self::Other(_) => Some(0),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights(precision) => precision.fmt(f),
            Self::F64 => f.write_str("f64"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Where a tensor lies. Whoever makes one has checked that `place` is in the file and as long as shape and type say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Which of the checkpoint's files.
    pub file: usize,
    /// As it is spelled there.
    pub name: String,
    pub dtype: Dtype,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub place: Range<usize>,
}

/// The numbers in `bytes` as f32; `None` for foreign types. The caller looks for infinities (a double may be too large).
pub(crate) fn to_f32(bytes: &[u8], dtype: &Dtype) -> Option<Vec<f32>> {
    let precision = match dtype {
        Dtype::Weights(precision) => *precision,
        Dtype::F64 => {
            let doubles = bytes.as_chunks::<8>().0;
            return Some(doubles.iter().map(|b| f64::from_le_bytes(*b) as f32).collect());
        }
        Dtype::Other(_) => return None,
    };
    let halves = bytes.as_chunks::<2>().0;
    Some(match precision {
        Precision::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Precision::Bf16 => halves.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)).collect(),
        Precision::F16 => {
            // By chunks, because the conversion of slices has the processor's instruction for it.
            let mut values = vec![0.0; halves.len()];
            let mut chunk = [f16::ZERO; 1024];
            for (out, bytes) in values.chunks_mut(1024).zip(halves.chunks(1024)) {
                for (half, b) in chunk.iter_mut().zip(bytes) {
                    *half = f16::from_le_bytes(*b);
                }
                chunk[..bytes.len()].convert_to_f32_slice(out);
            }
            values
        }
        Precision::Q8_0 | Precision::Q4K | Precision::Q6K => dequantize_blocks(precision, bytes),
    })
}

/// The first value that is NaN or infinite.
pub(crate) fn not_finite(values: &[f32]) -> Option<usize> {
    // Without a branch per value, so that it runs as fast as memory gives them.
    let block = |values: &[f32]| values.iter().fold(false, |bad, x| bad | !x.is_finite());
    let (at, values) = values.chunks(4096).enumerate().find(|(_, values)| block(values))?;
    values.iter().position(|x| !x.is_finite()).map(|i| at * 4096 + i)
}

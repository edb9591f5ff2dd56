//! Blocks of quantized weights.
//!
//! Source: `block_q8_0`, `block_q4_K`, `block_q6_K` and their `dequantize_row_…` in ggml
//! (<https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>), little-endian:
//! - Q8_0, 34 bytes for 32 weights: d (f16), q₀…q₃₁ (i8); x = d·q.
//! - Q4_K, 144 bytes for 256: d, dmin (f16), 8 × (scale, min) of 6 bits in 12 bytes, 128 bytes of two 4-bit q each;
//!   x = d·scale·q − dmin·min, q from 0 to 15, scale and min for every 32 weights.
//! - Q6_K, 210 bytes for 256: 128 bytes of low halves, 64 of high pairs, 16 scales (i8), d (f16);
//!   x = d·scale·(q − 32), q from 0 to 63, scale for every 16 weights.

use candle_core::quantized::k_quants::{BlockQ6K, GgmlType};
use half::{bf16, f16};

use super::precision::Precision;
use super::{q4_k, storage};
use crate::error::{Error, Result};

/// `values`, rows of `k`, as this precision keeps them: the floats little-endian, the blocks row by row. Serial: the
/// same bytes on every machine and thread count.
///
/// # Errors
/// [`Error::Model`] when `k` is not a whole number of blocks, or a value is not finite or too large for the f16 of a scale.
pub(crate) fn quantize_blocks(precision: Precision, values: &[f32], k: usize) -> Result<Vec<u8>> {
    let Some(size) = precision.bytes(values.len(), k) else {
        return Err(Error::Model(format!(
            "rows of {k} weights are no whole number of {precision} blocks of {}",
            precision.block()
        )));
    };
    // The worst of the values that could not be kept.
    let refuse = |at: usize, values: &mut dyn Iterator<Item = f32>| {
        let worst = values.fold(0f32, |worst, x| if x.abs() <= worst { worst } else { x.abs() });
        Error::Model(format!("row {} holds {worst:e}, which {precision} cannot keep", at / k))
    };
    let too_large = || match precision {
        // Candle's search squares the weights, and what overflows there ends as zeros.
        Precision::Q6K => values.iter().position(|x| x.abs() >= 1e8),
        _ => None,
    };
    if let Some(at) = storage::not_finite(values).or_else(too_large) {
        return Err(refuse(at, &mut values[at..=at].iter().copied()));
    }
    let mut bytes = Vec::with_capacity(size);
    match precision {
        Precision::F32 => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
        Precision::F16 => bytes.extend(values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
        Precision::Bf16 => bytes.extend(values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
        Precision::Q8_0 => values.as_chunks::<32>().0.iter().for_each(|x| bytes.extend(to_q8_0(x))),
        Precision::Q4K => values.as_chunks().0.iter().for_each(|x| bytes.extend(q4_k::q4_k(x))),
        Precision::Q6K => through_candle::<BlockQ6K>(values, &mut bytes),
    }
    match not_finite(precision, &bytes) {
        None => Ok(bytes),
        Some(at) => Err(refuse(at, &mut values[at..at + precision.block()].iter().copied())),
    }
}

/// The numbers in whole blocks of this precision (or in little-endian f16, bf16, f32).
pub(crate) fn dequantize_blocks(precision: Precision, bytes: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(bytes.len() / precision.block_bytes() * precision.block());
    match precision {
        Precision::F32 => values.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Precision::F16 => values.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
        Precision::Bf16 => values.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32())),
        Precision::Q8_0 => bytes.as_chunks::<34>().0.iter().for_each(|block| {
            let d = half(block, 0);
            values.extend(block[2..].iter().map(|q| d * f32::from(*q as i8)));
        }),
        Precision::Q4K => bytes.as_chunks().0.iter().for_each(|block| from_q4_k(block, &mut values)),
        Precision::Q6K => bytes.as_chunks().0.iter().for_each(|block| from_q6_k(block, &mut values)),
    }
    values
}

/// The index of the first weight whose block (or, in the floats, which itself) is not finite.
pub(crate) fn not_finite(precision: Precision, bytes: &[u8]) -> Option<usize> {
    let exponent_full = |bits: u16, mask: u16| bits & mask == mask;
    let f16_at = |block: &[u8], at: usize| exponent_full(u16::from_le_bytes([block[at], block[at + 1]]), 0x7c00);
    let bad = |block: &[u8]| match precision {
        Precision::F32 => exponent_full(u16::from_le_bytes([block[2], block[3]]), 0x7f80),
        Precision::Bf16 => exponent_full(u16::from_le_bytes([block[0], block[1]]), 0x7f80),
        Precision::F16 | Precision::Q8_0 => f16_at(block, 0),
        Precision::Q4K => f16_at(block, 0) | f16_at(block, 2),
        Precision::Q6K => f16_at(block, 208),
    };
    bytes.chunks_exact(precision.block_bytes()).position(bad).map(|block| block * precision.block())
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn to_q8_0(x: &[f32; 32]) -> [u8; 34] {
    let largest = x.iter().fold(0f32, |m, x| m.max(x.abs()));
    let d = f16::from_f32(largest / 127.0);
    // What is too small for a scale is nothing.
    let inverse = if d.to_bits() == 0 { 0.0 } else { 127.0 / largest };
    let mut block = [0; 34];
    block[..2].copy_from_slice(&d.to_le_bytes());
    for (q, x) in block[2..].iter_mut().zip(x) {
        // Adding 1.5·2²³ leaves the rounded number in the low bits: |x·inverse| ≤ 127.
        *q = (x * inverse + 12_582_912.0).to_bits() as u8;
    }
    block
}

/// Candle's quantizer: a search for the scales with the smallest error, block by block.
fn through_candle<T: GgmlType>(values: &[f32], bytes: &mut Vec<u8>) {
    // A few rows at a time, so that no second copy of the tensor stands beside the first.
    let mut blocks = vec![T::zeros(); 64];
    for values in values.chunks(64 * T::BLCK_SIZE) {
        blocks.fill(T::zeros());
        let blocks = &mut blocks[..values.len() / T::BLCK_SIZE];
        T::from_float(values, blocks);
        // SAFETY: the blocks are `repr(C)` structs of integers and f16 bits without padding (candle asserts their sizes),
        // so every byte of them is initialized; the view ends before they change again.
        bytes.extend(unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size_of_val(blocks)) });
    }
}

fn from_q4_k(block: &[u8; 144], values: &mut Vec<f32>) {
    let (d, dmin) = (half(block, 0), half(block, 2));
    let (scales, nibbles) = block[4..].split_at(12);
    let pair = |i: usize| {
        let (scale, min) = if i < 4 {
            (scales[i] & 63, scales[i + 4] & 63)
        } else {
            (scales[i + 4] & 15 | scales[i - 4] >> 6 << 4, scales[i + 4] >> 4 | scales[i] >> 6 << 4)
        };
        (d * f32::from(scale), dmin * f32::from(min))
    };
    for (i, q) in nibbles.as_chunks::<32>().0.iter().enumerate() {
        let (low, low_min) = pair(2 * i);
        let (high, high_min) = pair(2 * i + 1);
        values.extend(q.iter().map(|q| low * f32::from(q & 15) - low_min));
        values.extend(q.iter().map(|q| high * f32::from(q >> 4) - high_min));
    }
}

fn from_q6_k(block: &[u8; 210], values: &mut Vec<f32>) {
    let d = half(block, 208);
    let scale = |i: usize| d * f32::from(block[192 + i] as i8);
    for i in 0..256 {
        // Two halves of 128; in each, 64 bytes of low halves are two quarters of 32 below and two above.
        let (part, quarter, j) = (i / 128, i % 128 / 32, i % 32);
        let low = block[64 * part + 32 * (quarter % 2) + j] >> (4 * (quarter / 2)) & 15;
        let high = block[128 + 32 * part + j] >> (2 * quarter) & 3;
        values.push(scale(i / 16) * f32::from((low | high << 4) as i8 - 32));
    }
}

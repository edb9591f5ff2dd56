//! The codec's tensors, brought into the shape in which they are multiplied.
//!
//! Weight norm (T. Salimans, D. Kingma, "Weight Normalization", 2016, <https://arxiv.org/abs/1602.07868>) is folded here:
//! `w = g·v / ‖v‖`, the norm over everything but the first dimension. Signals are channel-last, `[rows][channels]`, so a
//! convolution is a product of a matrix with rows that overlap: the row of output t begins at `t · stride · channels` and
//! holds `kernel · channels` values. A transposed convolution of kernel 2s and stride s is one too: outputs `t·s … t·s + s − 1`
//! are what `[x(t−1), x(t)]` gives.

use super::layers::{ConvShape, LstmShape, TransposedShape};
use crate::error::{Error, Result};

/// Where tensors come from: a checkpoint, or a table in a test.
pub(super) trait Tensors: Send + Sync {
    /// Whether there is a tensor of this name.
    fn contains(&self, name: &str) -> bool;
    /// Its values, if it has exactly this shape.
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
}

/// `y = w·x + bias`.
pub(super) struct Affine {
    /// Row-major `[outputs][inputs]`.
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub outputs: usize,
    pub inputs: usize,
    /// What the whole result goes through then.
    pub norm: Option<TimeNorm>,
}

/// Brings a whole signal, all frames and channels together, to mean 0 and variance 1; then each channel to a scale and an
/// offset of its own (Y. Wu, K. He, "Group Normalization", 2018, <https://arxiv.org/abs/1803.08494>, with one group).
pub(super) struct TimeNorm {
    pub scale: Vec<f32>,
    pub offset: Vec<f32>,
}

impl TimeNorm {
    /// Added to the variance.
    pub const EPSILON: f64 = 1e-5;

    /// On `[rows][channels]`.
    pub fn apply(&self, y: &mut [f32]) {
        let count = y.len().max(1) as f64;
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / count;
        let variance = y.iter().map(|&y| (f64::from(y) - mean).powi(2)).sum::<f64>() / count;
        let gain = 1.0 / (variance + Self::EPSILON).sqrt();
        for row in y.chunks_exact_mut(self.scale.len()) {
            for ((y, &scale), &offset) in row.iter_mut().zip(&self.scale).zip(&self.offset) {
                *y = ((f64::from(*y) - mean) * gain) as f32 * scale + offset;
            }
        }
    }
}

/// One layer of an LSTM; gates in PyTorch's order: input, forget, cell, output.
pub(super) struct LstmWeights {
    /// From the layer below to the gates, with both biases.
    pub input: Affine,
    /// From the last output to the gates, row-major `[4·size][size]`.
    pub recurrent: Vec<f32>,
}

/// As [`ConvShape`] says: `inputs` of the product are `[kernel][channels]`.
pub(super) fn conv(tensors: &dyn Tensors, prefix: &str, shape: &ConvShape) -> Result<Affine> {
    let name = format!("{prefix}{}.conv", shape.name);
    let (outputs, channels, kernel) = (shape.outputs, shape.inputs, shape.kernel);
    let w = folded(tensors, &name, [outputs, channels, kernel])?;
    let mut weight = vec![0.0; w.len()];
    for (to, from) in weight.chunks_exact_mut(channels * kernel).zip(w.chunks_exact(channels * kernel)) {
        for c in 0..channels {
            for tap in 0..kernel {
                to[tap * channels + c] = from[c * kernel + tap];
            }
        }
    }
    let bias = tensors.f32(&format!("{name}.bias"), &[outputs])?;
    let norm = time_norm(tensors, prefix, &shape.name, outputs, shape.normed)?;
    Ok(Affine { weight, bias, outputs, inputs: channels * kernel, norm })
}

/// As [`TransposedShape`] says: `inputs` of the product are `[x(t−1), x(t)]`, its outputs `[stride][outputs]`.
pub(super) fn transposed(tensors: &dyn Tensors, prefix: &str, shape: &TransposedShape) -> Result<Affine> {
    let name = format!("{prefix}{}.conv", shape.name);
    let (channels, outputs, stride) = (shape.inputs, shape.outputs, shape.stride);
    let w = folded(tensors, &name, [channels, outputs, 2 * stride])?;
    let mut weight = vec![0.0; w.len()];
    for (c, from) in w.chunks_exact(outputs * 2 * stride).enumerate() {
        for (o, taps) in from.chunks_exact(2 * stride).enumerate() {
            for (phase, (&now, &before)) in taps[..stride].iter().zip(&taps[stride..]).enumerate() {
                let row = &mut weight[(phase * outputs + o) * 2 * channels..][..2 * channels];
                row[c] = before;
                row[channels + c] = now;
            }
        }
    }
    let bias = tensors.f32(&format!("{name}.bias"), &[outputs])?.repeat(stride);
    let norm = time_norm(tensors, prefix, &shape.name, outputs, shape.normed)?;
    Ok(Affine { weight, bias, outputs: stride * outputs, inputs: 2 * channels, norm })
}

/// As [`LstmShape`] says, from the first layer to the last.
pub(super) fn lstm(tensors: &dyn Tensors, prefix: &str, shape: &LstmShape) -> Result<Vec<LstmWeights>> {
    let (name, size) = (format!("{prefix}{}.lstm", shape.name), shape.size);
    (0..shape.layers)
        .map(|layer| {
            let weight = tensors.f32(&format!("{name}.weight_ih_l{layer}"), &[4 * size, size])?;
            let recurrent = tensors.f32(&format!("{name}.weight_hh_l{layer}"), &[4 * size, size])?;
            let mut bias = tensors.f32(&format!("{name}.bias_ih_l{layer}"), &[4 * size])?;
            let other = tensors.f32(&format!("{name}.bias_hh_l{layer}"), &[4 * size])?;
            bias.iter_mut().zip(&other).for_each(|(bias, other)| *bias += other);
            Ok(LstmWeights { input: Affine { weight, bias, outputs: 4 * size, inputs: size, norm: None }, recurrent })
        })
        .collect()
}

/// The norm after a convolution, where there is one.
fn time_norm(
    tensors: &dyn Tensors,
    prefix: &str,
    name: &str,
    channels: usize,
    normed: bool,
) -> Result<Option<TimeNorm>> {
    if !normed {
        return Ok(None);
    }
    let values = |which: &str| tensors.f32(&format!("{prefix}{name}.norm.{which}"), &[channels]);
    Ok(Some(TimeNorm { scale: values("weight")?, offset: values("bias")? }))
}

/// A weight whose norm may be kept apart.
fn folded(tensors: &dyn Tensors, name: &str, shape: [usize; 3]) -> Result<Vec<f32>> {
    let plain = format!("{name}.weight");
    if tensors.contains(&plain) {
        return tensors.f32(&plain, &shape);
    }
    let mut w = tensors.f32(&format!("{name}.weight_v"), &shape)?;
    let gains = tensors.f32(&format!("{name}.weight_g"), &[shape[0], 1, 1])?;
    for (row, gain) in w.chunks_exact_mut(shape[1] * shape[2]).zip(gains) {
        let norm = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err(Error::Model(format!("{name}.weight_v has a row of zeros, whose direction is unknown")));
        }
        let scale = f64::from(gain) / norm;
        row.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
    }
    Ok(w)
}

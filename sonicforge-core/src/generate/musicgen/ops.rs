//! The small operations of the model, on either arithmetic.

use candle_core::Tensor;

use super::checkpoint::Checkpoint;
use super::compute::{Compute, failed, lend, map};
use super::config::Activation;
use super::kernels;
use crate::error::Result;

/// A layer normalization, or T5's norm when there is no bias.
pub(crate) struct Norm {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    epsilon: f32,
    /// Weight and bias on the device.
    tensors: Option<(Tensor, Option<Tensor>)>,
    compute: Compute,
}

impl Norm {
    /// `{name}.weight` and, for a layer normalization, `{name}.bias`, of `n` values.
    pub fn load(compute: &Compute, from: &Checkpoint, name: &str, n: usize, epsilon: f32, bias: bool) -> Result<Self> {
        let weight = from.f32(&format!("{name}.weight"), &[n])?;
        let bias = if bias { Some(from.f32(&format!("{name}.bias"), &[n])?) } else { None };
        let tensors = if compute.kernels() {
            None
        } else {
            let bias = bias.clone().map(|b| compute.tensor(b, &[n])).transpose()?;
            Some((compute.tensor(weight.clone(), &[n])?, bias))
        };
        Ok(Self { weight, bias, epsilon, tensors, compute: compute.clone() })
    }

    /// Normalizes the last dimension.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.tensors {
            Some((weight, Some(bias))) => candle_nn::ops::layer_norm(x, weight, bias, self.epsilon).map_err(failed),
            Some((weight, None)) => candle_nn::ops::rms_norm(x, weight, self.epsilon).map_err(failed),
            None => {
                debug_assert!(self.compute.kernels());
                map(x, x.dims(), |x, y| match &self.bias {
                    Some(bias) => kernels::layer_norm(x, &self.weight, bias, self.epsilon, y),
                    None => kernels::rms_norm(x, &self.weight, self.epsilon, y),
                })
            }
        }
    }
}

/// The activation between the halves of a feed-forward.
pub(crate) fn activate(compute: &Compute, kind: Activation, x: &Tensor) -> Result<Tensor> {
    if compute.kernels() {
        let wide = x.dims().last().copied().unwrap_or(1).max(1);
        let mut out = lend(x, <[f32]>::to_vec)?;
        let rows = out.len() / wide;
        // One thread has enough with a few rows; a prompt of hundreds is shared.
        let share = if rows < 16 { out.len() } else { rows.div_ceil(compute.pool.threads() * 2) * wide }.max(1);
        let parts: Vec<std::sync::Mutex<&mut [f32]>> = out.chunks_mut(share).map(std::sync::Mutex::new).collect();
        compute.pool.each(parts.len(), |i| {
            kernels::activate(kind, &mut parts[i].lock().unwrap_or_else(|e| e.into_inner()));
        });
        drop(parts);
        return Tensor::from_vec(out, x.dims(), x.device()).map_err(failed);
    }
    match kind {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
    }
    .map_err(failed)
}

/// a + b for equal shapes.
pub(crate) fn add(compute: &Compute, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if compute.kernels() {
        return lend(b, |b| {
            map(a, a.dims(), |a, y| y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = a + b))
        })?;
    }
    (a + b).map_err(failed)
}

/// a·b, value by value, for equal shapes.
pub(crate) fn multiply(compute: &Compute, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if compute.kernels() {
        return lend(b, |b| {
            map(a, a.dims(), |a, y| y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = a * b))
        })?;
    }
    (a * b).map_err(failed)
}

/// Adds `b` to the first rows of `a` (dimension 0); the others stay.
pub(crate) fn add_to_first(compute: &Compute, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (all, some) = (a.dim(0).map_err(failed)?, b.dim(0).map_err(failed)?);
    if all == some {
        return add(compute, a, b);
    }
    if compute.kernels() {
        return lend(b, |b| {
            map(a, a.dims(), |a, y| {
                y.copy_from_slice(a);
                y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
            })
        })?;
    }
    let sum = (a.narrow(0, 0, some).map_err(failed)? + b).map_err(failed)?;
    Tensor::cat(&[&sum, &a.narrow(0, some, all - some).map_err(failed)?], 0).map_err(failed)
}

//! T5's encoder: a prompt's token ids become one vector per token.
//!
//! Source: Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text transformer", 2020;
//! tensor names and the buckets of the relative position bias as in transformers' `T5EncoderModel`. There is no padding
//! here: prompts of several lengths lie one below the other, and each attends to itself.

use candle_core::Tensor;

use super::cache::{KvCache, View};
use super::checkpoint::Checkpoint;
use super::compute::{Compute, failed};
use super::config::{Activation, TextConfig};
use super::ops::{self, Norm};
use super::precision::Precision;
use super::weights::{Embedding, Linear};
use crate::error::{Error, Result};

/// The encoder.
pub(crate) struct TextEncoder {
    compute: Compute,
    config: TextConfig,
    embedding: Embedding,
    /// `[buckets][heads]`, shared by all layers.
    position_bias: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
}

struct Layer {
    attention_norm: Norm,
    qkv: Linear,
    out: Linear,
    ff_norm: Norm,
    /// One matrix, or the gate above it: `wi`, or `wi_0` and `wi_1`.
    up: Linear,
    gate: Option<Linear>,
    down: Linear,
    activation: Activation,
}

impl TextEncoder {
    /// Reads the tensors under `text_encoder.`.
    /// `before` is called before each layer with the share that is loaded; its error ends the loading.
    pub fn load(
        compute: &Compute,
        from: &Checkpoint,
        precision: Precision,
        before: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Self> {
        let config = from.config().text.clone();
        let (d, inner) = (config.d_model, config.heads * config.d_kv);
        let epsilon = config.layer_norm_epsilon;
        let matrix = |names: &[String], outputs, inputs| Linear::load(compute, from, names, outputs, inputs, precision);
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            before(i as f64 / config.layers as f64)?;
            let at = format!("text_encoder.encoder.block.{i}.layer");
            let attention = |part: &str| format!("{at}.0.SelfAttention.{part}.weight");
            let ff = |part: &str| [format!("{at}.1.DenseReluDense.{part}.weight")];
            layers.push(Layer {
                attention_norm: Norm::load(compute, from, &format!("{at}.0.layer_norm"), d, epsilon, false)?,
                qkv: matrix(&["q", "k", "v"].map(attention), inner, d)?,
                out: matrix(&[attention("o")], d, inner)?,
                ff_norm: Norm::load(compute, from, &format!("{at}.1.layer_norm"), d, epsilon, false)?,
                gate: if config.gated { Some(matrix(&ff("wi_0"), config.d_ff, d)?) } else { None },
                up: matrix(&ff(if config.gated { "wi_1" } else { "wi" }), config.d_ff, d)?,
                down: matrix(&ff("wo"), d, config.d_ff)?,
                activation: config.activation,
            });
        }
        Ok(Self {
            compute: compute.clone(),
            embedding: Embedding::load(from, "text_encoder.shared.weight", config.vocab_size, d, precision)?,
            position_bias: from.f32(
                "text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                &[config.relative_attention_buckets, config.heads],
            )?,
            layers,
            norm: Norm::load(compute, from, "text_encoder.encoder.final_layer_norm", d, epsilon, false)?,
            config,
        })
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        let layer = |l: &Layer| {
            l.qkv.bytes() + l.out.bytes() + l.up.bytes() + l.gate.as_ref().map_or(0, Linear::bytes) + l.down.bytes()
        };
        self.embedding.bytes() + self.layers.iter().map(layer).sum::<usize>()
    }

    /// One tensor `[1, tokens, d_model]` per prompt.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a prompt without tokens or a token the model does not have.
    #[cfg(test)]
    pub fn encode(&self, prompts: &[&[u32]]) -> Result<Vec<Tensor>> {
        self.encode_with(prompts, &mut || Ok(()))
    }

    /// The same; `check` is called before every layer and may end it with an error.
    pub fn encode_with(&self, prompts: &[&[u32]], check: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Tensor>> {
        let d = self.config.d_model;
        let total: usize = prompts.iter().map(|p| p.len()).sum();
        let mut x = vec![0.0; total * d];
        for (row, &id) in x.chunks_exact_mut(d).zip(prompts.iter().copied().flatten()) {
            if id as usize >= self.embedding.rows() {
                return Err(Error::invalid(format!(
                    "token id {id} is outside the text encoder's vocabulary of {}; expected ids from this checkpoint's \
                     tokenizer",
                    self.embedding.rows()
                )));
            }
            self.embedding.add(id as usize, row);
        }
        if prompts.iter().any(|p| p.is_empty()) {
            return Err(Error::invalid("a prompt has no token ids; expected at least one, the end-of-sequence token"));
        }
        let compute = &self.compute;
        let biases: Vec<Vec<f32>> = prompts.iter().map(|p| self.bias(p.len())).collect();
        let mut x = compute.tensor(x, &[1, total, d])?;
        for layer in &self.layers {
            check()?;
            let qkv = layer.qkv.forward(&layer.attention_norm.forward(&x)?)?;
            let seen = self.attend(&qkv, prompts, &biases)?;
            x = ops::add(compute, &x, &layer.out.forward(&seen)?)?;
            let y = layer.ff_norm.forward(&x)?;
            let up = layer.up.forward(&y)?;
            let wide = match &layer.gate {
                Some(gate) => {
                    let gate = ops::activate(compute, layer.activation, &gate.forward(&y)?)?;
                    ops::multiply(compute, &gate, &up)?
                }
                None => ops::activate(compute, layer.activation, &up)?,
            };
            x = ops::add(compute, &x, &layer.down.forward(&wide)?)?;
        }
        let x = self.norm.forward(&x)?;
        let mut from = 0;
        prompts
            .iter()
            .map(|p| {
                from += p.len();
                x.narrow(1, from - p.len(), p.len()).and_then(|x| x.contiguous()).map_err(failed)
            })
            .collect()
    }

    /// Each prompt's tokens look at each other.
    fn attend(&self, qkv: &Tensor, prompts: &[&[u32]], biases: &[Vec<f32>]) -> Result<Tensor> {
        let (heads, dimension) = (self.config.heads, self.config.d_kv);
        let inner = heads * dimension;
        let mut parts = Vec::with_capacity(prompts.len());
        let mut from = 0;
        for (prompt, bias) in prompts.iter().zip(biases) {
            let part = qkv.narrow(1, from, prompt.len()).and_then(|x| x.contiguous()).map_err(failed)?;
            let mut cache = KvCache::new(&self.compute, 1, heads, dimension, prompt.len(), false)?;
            cache.append(&[0], &part, inner, 2 * inner)?;
            let view = View { rows: &[0], causal: false, scale: 1.0, bias: Some(bias) };
            parts.push(cache.attend(&self.compute, &part, 0, &view)?);
            from += prompt.len();
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { Tensor::cat(&parts, 1).map_err(failed) }
    }

    /// The position bias by distance, `[heads][2·n − 1]`, for a prompt of `n` tokens.
    fn bias(&self, n: usize) -> Vec<f32> {
        let heads = self.config.heads;
        let mut bias = Vec::with_capacity(heads * (2 * n - 1));
        for head in 0..heads {
            bias.extend((1 - n as i64..n as i64).map(|d| self.position_bias[self.bucket(d) * heads + head]));
        }
        bias
    }

    /// Half the buckets for each direction: one per distance up to half of them, then logarithmic up to the greatest
    /// distance, which the last one shares with all beyond.
    fn bucket(&self, distance: i64) -> usize {
        let half = self.config.relative_attention_buckets / 2;
        let exact = (half / 2).max(1);
        let side = if distance > 0 { half } else { 0 };
        let far = distance.unsigned_abs() as usize;
        if far < exact {
            return side + far;
        }
        // In f32 as the reference: at powers of two the logarithm lands on the edge of a bucket.
        let ln = |x: usize| (x as f64 / exact as f64).ln() as f32;
        let log = ln(far) / ln(self.config.relative_attention_max_distance) * half.saturating_sub(exact) as f32;
        side + (exact + log as usize).min(half.saturating_sub(1))
    }
}

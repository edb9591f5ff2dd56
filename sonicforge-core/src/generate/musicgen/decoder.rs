//! The language model over codes: K codebooks in, K distributions out, one position after the other.
//!
//! Source: Copet et al., "Simple and controllable music generation", 2023; tensor names and order of operations as in
//! transformers' `MusicgenForCausalLM`. Pre-norm layers of self attention, cross attention to the prompt, feed-forward. A
//! melody model has no cross attention: its prompt comes first in the sequence.
//!
//! Rows are sequences. With classifier-free guidance a song has two, one with its prompt and one without. What attends to
//! nothing adds nothing (no bias anywhere in an attention), so the rows without a prompt skip the cross attention.

use candle_core::Tensor;

use super::cache::{KvCache, View};
use super::checkpoint::Checkpoint;
use super::compute::{Compute, failed, values};
use super::config::DecoderConfig;
use super::ops::{self, Norm};
use super::precision::Precision;
use super::weights::{Embedding, Linear};
use crate::error::Result;

/// transformers builds its layer norms with torch's default.
const EPSILON: f32 = 1e-5;

/// The decoder with its heads.
pub(crate) struct Decoder {
    compute: Compute,
    config: DecoderConfig,
    embeddings: Vec<Embedding>,
    /// The positions that old checkpoints store, `[positions][hidden]`.
    positions: Option<Vec<f32>>,
    /// Of the sinusoids, in radians per position.
    frequencies: Vec<f32>,
    /// From the text encoder's width to this one's.
    text_projection: Option<Linear>,
    layers: Vec<Layer>,
    norm: Norm,
    heads: Linear,
    /// 16-bit keys and values, unless the weights are f32.
    half_cache: bool,
}

struct Layer {
    attention_norm: Norm,
    qkv: Linear,
    out: Linear,
    cross: Option<CrossAttention>,
    ff_norm: Norm,
    up: Linear,
    down: Linear,
}

struct CrossAttention {
    norm: Norm,
    q: Linear,
    kv: Linear,
    out: Linear,
}

/// The past of every row, layer by layer.
pub(crate) struct Cache {
    layers: Vec<KvCache>,
}

/// The prompts' keys and values, one row per prompt, layer by layer.
pub(crate) struct Prompts {
    layers: Vec<KvCache>,
}

impl Decoder {
    /// Reads the tensors under `decoder.`, and `enc_to_dec_proj`.
    /// `before` is called before each layer with the share that is loaded; its error ends the loading.
    pub fn load(
        compute: &Compute,
        from: &Checkpoint,
        precision: Precision,
        before: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Self> {
        let config = from.config().decoder.clone();
        let melody = from.config().melody.is_some();
        let (h, width) = (config.hidden_size, from.config().text.d_model);
        let base = "decoder.model.decoder";
        let matrix = |names: &[String], outputs, inputs| Linear::load(compute, from, names, outputs, inputs, precision);
        let norm = |name: &str| Norm::load(compute, from, name, h, EPSILON, true);
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            before(i as f64 / config.layers as f64)?;
            let at = format!("{base}.layers.{i}");
            let own = |part: &str| format!("{at}.self_attn.{part}_proj.weight");
            let other = |part: &str| format!("{at}.encoder_attn.{part}_proj.weight");
            let cross = if melody {
                None
            } else {
                Some(CrossAttention {
                    norm: norm(&format!("{at}.encoder_attn_layer_norm"))?,
                    q: matrix(&[other("q")], h, h)?,
                    kv: matrix(&["k", "v"].map(other), h, h)?,
                    out: matrix(&[other("out")], h, h)?,
                })
            };
            layers.push(Layer {
                attention_norm: norm(&format!("{at}.self_attn_layer_norm"))?,
                qkv: matrix(&["q", "k", "v"].map(own), h, h)?,
                out: matrix(&[own("out")], h, h)?,
                cross,
                ff_norm: norm(&format!("{at}.final_layer_norm"))?,
                up: matrix(&[format!("{at}.fc1.weight")], config.ffn_dim, h)?,
                down: matrix(&[format!("{at}.fc2.weight")], h, config.ffn_dim)?,
            });
        }
        let embeddings = (0..config.codebooks)
            .map(|k| {
                let name = format!("{base}.embed_tokens.{k}.weight");
                Embedding::load(from, &name, config.vocab_size + 1, h, precision)
            })
            .collect::<Result<_>>()?;
        let heads: Vec<String> = (0..config.codebooks).map(|k| format!("decoder.lm_heads.{k}.weight")).collect();
        let text_projection = if width == h {
            None
        } else {
            let linear = matrix(&["enc_to_dec_proj.weight".into()], h, width)?;
            Some(linear.with_bias(from.f32("enc_to_dec_proj.bias", &[h])?)?)
        };
        let stored = format!("{base}.embed_positions.weights");
        let positions = match from.shape(&stored) {
            Some(&[rows, columns]) if columns == h => Some(from.f32(&stored, &[rows, h])?),
            _ => None,
        };
        // Rounded to f32 where the reference does, since the angles become large.
        let step = -(10_000f64.ln() / (h as f64 / 2.0 - 1.0).floor().max(1.0)) as f32;
        let frequencies = (0..h / 2).map(|i| f64::from(i as f32 * step).exp() as f32).collect();
        Ok(Self {
            compute: compute.clone(),
            embeddings,
            positions,
            frequencies,
            text_projection,
            layers,
            norm: norm(&format!("{base}.layer_norm"))?,
            heads: matrix(&heads, config.vocab_size, h)?,
            half_cache: precision != Precision::F32,
            config,
        })
    }

    /// What it was built from.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Bytes of the weights, and of those among them that every step reads.
    pub fn bytes(&self) -> (usize, usize) {
        let step = |l: &Layer| {
            let cross = l.cross.as_ref().map_or(0, |c| c.q.bytes() + c.out.bytes());
            l.qkv.bytes() + l.out.bytes() + cross + l.up.bytes() + l.down.bytes()
        };
        let step = self.layers.iter().map(step).sum::<usize>() + self.heads.bytes();
        let once = self.layers.iter().filter_map(|l| l.cross.as_ref()).map(|c| c.kv.bytes()).sum::<usize>();
        (step + once + self.embeddings.iter().map(Embedding::bytes).sum::<usize>(), step)
    }

    /// Memory for `rows` sequences of `capacity` positions.
    pub fn cache(&self, rows: usize, capacity: usize) -> Result<Cache> {
        let (heads, dimension) = (self.config.heads, self.config.hidden_size / self.config.heads);
        let layers = (0..self.config.layers)
            .map(|_| KvCache::new(&self.compute, rows, heads, dimension, capacity, self.half_cache))
            .collect::<Result<_>>()?;
        Ok(Cache { layers })
    }

    /// The text encoder's states in this decoder's width, `[1, tokens, hidden]`.
    pub fn project(&self, states: &Tensor) -> Result<Tensor> {
        match &self.text_projection {
            Some(projection) => projection.forward(states),
            None => Ok(states.clone()),
        }
    }

    /// Keys and values of projected prompts for the cross attention.
    pub fn prompts(&self, states: &[Tensor]) -> Result<Prompts> {
        let (heads, h) = (self.config.heads, self.config.hidden_size);
        let longest = states.iter().map(|s| s.dims()[1]).max().unwrap_or(0);
        let mut layers = Vec::new();
        for cross in self.layers.iter().filter_map(|l| l.cross.as_ref()) {
            let mut cache = KvCache::new(&self.compute, states.len(), heads, h / heads, longest, self.half_cache)?;
            for (row, states) in states.iter().enumerate() {
                cache.append(&[row], &cross.kv.forward(states)?, 0, h)?;
            }
            layers.push(cache);
        }
        Ok(Prompts { layers })
    }

    /// Adds the embeddings of one position's codes and the position itself to `sum` (`hidden` values). Codes are at most
    /// `vocab_size`, the token that starts and pads. (`scale_embedding` is read by the reference and never used.)
    pub fn embed(&self, codes: &[u32], position: usize, sum: &mut [f32]) {
        for (table, &code) in self.embeddings.iter().zip(codes) {
            table.add(code as usize, sum);
        }
        self.add_position(position, sum);
    }

    /// Adds the sinusoids of a position: cosines, then sines, of position·10000^(−i/(n/2 − 1)). Old checkpoints store them,
    /// rounded to the type of the file, and were used with them.
    pub fn add_position(&self, position: usize, sum: &mut [f32]) {
        let h = self.config.hidden_size;
        if let Some(line) = self.positions.as_ref().and_then(|p| p.get(position * h..(position + 1) * h)) {
            sum.iter_mut().zip(line).for_each(|(s, x)| *s += x);
            return;
        }
        let half = h / 2;
        for (i, frequency) in self.frequencies.iter().enumerate() {
            let (sine, cosine) = f64::from(position as f32 * frequency).sin_cos();
            sum[i] += cosine as f32;
            sum[half + i] += sine as f32;
        }
    }

    /// Runs `[rows, T, hidden]` embedded positions through the layers; row i of x goes on where `rows[i]` of the cache is,
    /// and the first `prompts.1.len()` rows look at these prompts. Gives the normalized states, `[rows, T, hidden]`.
    pub fn forward(
        &self,
        x: Tensor,
        rows: &[usize],
        cache: &mut Cache,
        prompts: Option<(&Prompts, &[usize])>,
    ) -> Result<Tensor> {
        let states = self.layers_forward(x, rows, cache, prompts, &mut |_| ())?;
        self.norm.forward(&states)
    }

    /// The same without the last norm; `seen` is shown what comes out of each layer.
    pub fn layers_forward(
        &self,
        mut x: Tensor,
        rows: &[usize],
        cache: &mut Cache,
        prompts: Option<(&Prompts, &[usize])>,
        seen: &mut dyn FnMut(&Tensor),
    ) -> Result<Tensor> {
        let compute = &self.compute;
        let h = self.config.hidden_size;
        let scale = 1.0 / ((h / self.config.heads) as f32).sqrt();
        for (i, layer) in self.layers.iter().enumerate() {
            let past = &mut cache.layers[i];
            let qkv = layer.qkv.forward(&layer.attention_norm.forward(&x)?)?;
            past.append(rows, &qkv, h, 2 * h)?;
            let view = View { rows, causal: true, scale, bias: None };
            let heard = past.attend(compute, &qkv, 0, &view)?;
            x = ops::add(compute, &x, &layer.out.forward(&heard)?)?;
            if let (Some(cross), Some((prompts, which))) = (&layer.cross, prompts)
                && !which.is_empty()
            {
                let asking = x.narrow(0, 0, which.len()).and_then(|x| x.contiguous()).map_err(failed)?;
                let q = cross.q.forward(&cross.norm.forward(&asking)?)?;
                let view = View { rows: which, causal: false, scale, bias: None };
                let told = prompts.layers[i].attend(compute, &q, 0, &view)?;
                x = ops::add_to_first(compute, &x, &cross.out.forward(&told)?)?;
            }
            let wide = layer.up.forward(&layer.ff_norm.forward(&x)?)?;
            let wide = ops::activate(compute, self.config.activation, &wide)?;
            x = ops::add(compute, &x, &layer.down.forward(&wide)?)?;
            seen(&x);
        }
        Ok(x)
    }

    /// Logits of all codebooks from normalized states: `[…, hidden]` to values `[…][codebooks][vocab_size]`, on the host.
    pub fn logits(&self, states: &Tensor) -> Result<Vec<f32>> {
        values(&self.heads.forward(states)?)
    }
}

impl Cache {
    /// Forgets what a row holds.
    pub fn clear(&mut self, row: usize) {
        self.layers.iter_mut().for_each(|l| l.clear(row));
    }

    /// Keeps these rows, in this order.
    pub fn keep(&mut self, rows: &[usize]) -> Result<()> {
        self.layers.iter_mut().try_for_each(|l| l.keep(rows))
    }
}

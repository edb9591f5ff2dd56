//! The codec once more, for the tests: in f64, channel by channel, tap by tap, whole signals, and in transformers' own order
//! of operations (pad, convolve, cut). It shares no arithmetic with the executors.

use super::weights::Tensors;
use crate::generate::musicgen::config::{CodecConfig, CodecNorm, PadMode};

/// `[channels][frames]`.
type Signal = Vec<Vec<f64>>;

pub(super) struct Reference<'a> {
    pub config: &'a CodecConfig,
    pub tensors: &'a dyn Tensors,
    pub prefix: &'a str,
}

impl Reference<'_> {
    /// Codes, `[codebook][frame]`, to samples.
    pub fn decode(&self, codes: &[Vec<u32>]) -> Vec<f64> {
        let (size, dim) = (self.config.codebook_size, self.config.codebook_dim);
        let mut x = vec![vec![0.0; codes[0].len()]; dim];
        for (k, codes) in codes.iter().enumerate() {
            let rows = self.tensor(&format!("quantizer.layers.{k}.codebook.embed"), &[size, dim]);
            for (t, &code) in codes.iter().enumerate() {
                for c in 0..dim {
                    x[c][t] += rows[code as usize * dim + c];
                }
            }
        }
        let c = self.config;
        let mut width = c.filters * (1 << c.ratios.len());
        x = self.conv(&x, "decoder.layers.0", width, c.kernel_size, 1, 1);
        x = self.lstm(&x, "decoder.layers.1");
        let mut number = 2;
        for &ratio in &c.ratios {
            number += 1;
            width /= 2;
            x = self.transposed(&elu(&x), &format!("decoder.layers.{number}"), width, ratio);
            number += 1;
            for j in 0..c.residual_layers {
                x = self.residual(&x, &format!("decoder.layers.{number}"), c.dilation_growth_rate.pow(j as u32));
                number += 1;
            }
        }
        self.conv(&elu(&x), &format!("decoder.layers.{}", number + 1), 1, c.last_kernel_size, 1, 1).swap_remove(0)
    }

    /// Samples to latents, `[frames][hidden_size]`.
    pub fn latents(&self, samples: &[f32]) -> Vec<f64> {
        let c = self.config;
        let mut x = vec![samples.iter().map(|&x| f64::from(x)).collect()];
        let mut width = c.filters;
        x = self.conv(&x, "encoder.layers.0", width, c.kernel_size, 1, 1);
        let mut number = 1;
        for &ratio in c.ratios.iter().rev() {
            for j in 0..c.residual_layers {
                x = self.residual(&x, &format!("encoder.layers.{number}"), c.dilation_growth_rate.pow(j as u32));
                number += 1;
            }
            width *= 2;
            x = self.conv(&elu(&x), &format!("encoder.layers.{}", number + 1), width, 2 * ratio, ratio, 1);
            number += 2;
        }
        x = self.lstm(&x, &format!("encoder.layers.{number}"));
        let name = format!("encoder.layers.{}", number + 2);
        x = self.conv(&elu(&x), &name, c.hidden_size, c.last_kernel_size, 1, 1);
        (0..x[0].len()).flat_map(|t| x.iter().map(move |channel| channel[t])).collect()
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Vec<f64> {
        let values = self.tensors.f32(&format!("{}{name}", self.prefix), shape).expect("a tensor of the test");
        values.into_iter().map(f64::from).collect()
    }

    fn weight(&self, name: &str, shape: &[usize; 3]) -> Vec<f64> {
        if self.config.norm == CodecNorm::TimeGroup {
            return self.tensor(&format!("{name}.conv.weight"), shape);
        }
        let mut v = self.tensor(&format!("{name}.conv.weight_v"), shape);
        let g = self.tensor(&format!("{name}.conv.weight_g"), &[shape[0], 1, 1]);
        for (row, g) in v.chunks_mut(shape[1] * shape[2]).zip(g) {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.iter_mut().for_each(|v| *v *= g / norm);
        }
        v
    }

    fn conv(&self, x: &Signal, name: &str, outputs: usize, kernel: usize, stride: usize, dilation: usize) -> Signal {
        let inputs = x.len();
        let w = self.weight(name, &[outputs, inputs, kernel]);
        let bias = self.tensor(&format!("{name}.conv.bias"), &[outputs]);
        let (len, span) = (x[0].len(), (kernel - 1) * dilation + 1);
        let total = span - stride;
        let frames = (len as f64 + total as f64 - span as f64) / stride as f64 + 1.0;
        let extra = (frames.ceil() as usize - 1) * stride + span - total - len;
        let (left, right) = if self.config.causal { (total, extra) } else { (total - total / 2, total / 2 + extra) };
        let x: Signal = x.iter().map(|x| padded(x, left, right, self.config.pad_mode)).collect();
        let rows = (x[0].len() - span) / stride + 1;
        let y = (0..outputs)
            .map(|o| {
                let at = |t: usize| {
                    let mut sum = bias[o];
                    for (c, x) in x.iter().enumerate() {
                        for k in 0..kernel {
                            sum += w[(o * inputs + c) * kernel + k] * x[t * stride + k * dilation];
                        }
                    }
                    sum
                };
                (0..rows).map(at).collect()
            })
            .collect();
        self.normed(y, name)
    }

    /// Group norm with one group.
    fn normed(&self, mut y: Signal, name: &str) -> Signal {
        if self.config.norm == CodecNorm::Weight {
            return y;
        }
        let [scale, offset] = ["weight", "bias"].map(|k| self.tensor(&format!("{name}.norm.{k}"), &[y.len()]));
        let count = (y.len() * y[0].len()) as f64;
        let mean = y.iter().flatten().sum::<f64>() / count;
        let variance = y.iter().flatten().map(|y| (y - mean) * (y - mean)).sum::<f64>() / count;
        for (c, y) in y.iter_mut().enumerate() {
            y.iter_mut().for_each(|y| *y = (*y - mean) / (variance + 1e-5).sqrt() * scale[c] + offset[c]);
        }
        y
    }

    fn transposed(&self, x: &Signal, name: &str, outputs: usize, stride: usize) -> Signal {
        let w = self.weight(name, &[x.len(), outputs, 2 * stride]);
        let bias = self.tensor(&format!("{name}.conv.bias"), &[outputs]);
        let len = x[0].len();
        let mut y: Signal = bias.iter().map(|&bias| vec![bias; (len - 1) * stride + 2 * stride]).collect();
        for (c, x) in x.iter().enumerate() {
            for o in 0..outputs {
                for (t, x) in x.iter().enumerate() {
                    for k in 0..2 * stride {
                        y[o][t * stride + k] += x * w[(c * outputs + o) * 2 * stride + k];
                    }
                }
            }
        }
        let right = match self.config.causal {
            true => (stride as f64 * self.config.trim_right_ratio).ceil() as usize,
            false => stride / 2,
        };
        let y = self.normed(y, name);
        y.into_iter().map(|y| y[stride - right..y.len() - right].to_vec()).collect()
    }

    fn residual(&self, x: &Signal, name: &str, dilation: usize) -> Signal {
        let c = self.config;
        let width = x.len();
        let first = format!("{name}.block.1");
        let h = self.conv(&elu(x), &first, width / c.compress, c.residual_kernel_size, 1, dilation);
        let y = self.conv(&elu(&h), &format!("{name}.block.3"), width, 1, 1, 1);
        let x = if c.conv_shortcut { self.conv(x, &format!("{name}.shortcut"), width, 1, 1, 1) } else { x.clone() };
        sum(&x, &y)
    }

    fn lstm(&self, x: &Signal, name: &str) -> Signal {
        if self.config.lstm_layers == 0 {
            return x.clone();
        }
        let (size, len) = (x.len(), x[0].len());
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut y = x.clone();
        for layer in 0..self.config.lstm_layers {
            let [w, u] =
                ["ih", "hh"].map(|k| self.tensor(&format!("{name}.lstm.weight_{k}_l{layer}"), &[4 * size, size]));
            let [b, d] = ["ih", "hh"].map(|k| self.tensor(&format!("{name}.lstm.bias_{k}_l{layer}"), &[4 * size]));
            let (mut h, mut c) = (vec![0.0; size], vec![0.0; size]);
            for t in 0..len {
                let gates: Vec<f64> = (0..4 * size)
                    .map(|g| {
                        b[g] + d[g] + (0..size).map(|s| w[g * size + s] * y[s][t] + u[g * size + s] * h[s]).sum::<f64>()
                    })
                    .collect();
                for s in 0..size {
                    c[s] = sigmoid(gates[size + s]) * c[s] + sigmoid(gates[s]) * gates[2 * size + s].tanh();
                    h[s] = sigmoid(gates[3 * size + s]) * c[s].tanh();
                }
                for s in 0..size {
                    y[s][t] = h[s];
                }
            }
        }
        sum(&y, x)
    }
}

fn padded(x: &[f64], left: usize, right: usize, mode: PadMode) -> Vec<f64> {
    let most = left.max(right);
    let mut x = x.to_vec();
    let extra = if mode == PadMode::Reflect && x.len() <= most { most - x.len() + 1 } else { 0 };
    x.resize(x.len() + extra, 0.0);
    let last = x.len() as isize - 1;
    let mut y: Vec<f64> = (-(left as isize)..x.len() as isize + right as isize)
        .map(|i| match mode {
            PadMode::Constant if i < 0 || i > last => 0.0,
            PadMode::Constant => x[i as usize],
            PadMode::Replicate => x[i.clamp(0, last) as usize],
            PadMode::Reflect if i < 0 => x[-i as usize],
            PadMode::Reflect => x[(last - (last - i).abs()) as usize],
        })
        .collect();
    y.truncate(y.len() - extra);
    y
}

fn elu(x: &Signal) -> Signal {
    x.iter().map(|x| x.iter().map(|&x| if x > 0.0 { x } else { x.exp_m1() }).collect()).collect()
}

fn sum(x: &Signal, y: &Signal) -> Signal {
    x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(x, y)| x + y).collect()).collect()
}

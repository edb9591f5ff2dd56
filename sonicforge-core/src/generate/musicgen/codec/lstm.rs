//! The LSTM between the convolutions, on slices.
//!
//! S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997), with a forget gate, as
//! `torch.nn.LSTM`: `i, f, o = σ(…)`, `g = tanh(…)`, `c = f·c + i·g`, `h = o·tanh(c)`. What the layer below contributes to
//! the gates is one product for all rows; only `W·h` runs row by row. It reads 4·size² weights a row, layer after layer over
//! a piece of rows, so that one layer's weights stay in the last-level cache.

use std::sync::Arc;

use super::cpu::{Flow, Stage};
use super::elementwise::lstm_step;
use super::layers::LstmShape;
use super::product::{Product, in_parts};
use super::weights::{self, Tensors};
use crate::error::Result;
use crate::generate::musicgen::kernels::{Dense, PackedF32, Pool};

/// LSTM layers whose input is added to their output.
pub(super) struct Lstm {
    size: usize,
    layers: Vec<(Product, Recurrent)>,
}

/// The weights from the last output to the gates.
enum Recurrent {
    Single(PackedF32),
    /// Where every weight is a binary16 number anyway: the same results from half the bytes.
    Half(Dense<half::f16>),
}

impl Recurrent {
    fn pack(w: &[f32], size: usize) -> Self {
        match w.iter().all(|&w| half::f16::from_f32(w).to_f32() == w) {
            true => Recurrent::Half(Dense::pack(w, 4 * size, size)),
            false => Recurrent::Single(PackedF32::pack(w, 4 * size, size)),
        }
    }

    fn matmul(&self, pool: &Pool, h: &[f32], size: usize, streams: usize, gates: &mut [f32]) {
        match self {
            Recurrent::Single(w) => w.matmul(pool, h, size, streams, None, gates, 4 * size),
            Recurrent::Half(w) => w.matmul(pool, h, size, streams, None, gates, 4 * size),
        }
    }
}

impl Lstm {
    pub fn load(tensors: &dyn Tensors, prefix: &str, shape: &LstmShape) -> Result<Self> {
        let layers = weights::lstm(tensors, prefix, shape)?
            .into_iter()
            .map(|layer| (Product::new(layer.input), Recurrent::pack(&layer.recurrent, shape.size)))
            .collect();
        Ok(Self { size: shape.size, layers })
    }
}

impl Stage for Lstm {
    fn start(self: Arc<Self>, streams: usize) -> Box<dyn Flow> {
        let state = || vec![vec![0.0; streams * self.size]; self.layers.len()];
        Box::new(LstmFlow {
            cell: state(),
            hidden: state(),
            gates: vec![0.0; streams * 4 * self.size],
            from_below: vec![Vec::new(); streams],
            lstm: self,
        })
    }

    fn bytes(&self) -> usize {
        let recurrent = |w: &Recurrent| match w {
            Recurrent::Single(w) => w.bytes(),
            Recurrent::Half(w) => w.bytes(),
        };
        self.layers.iter().map(|(input, w)| input.bytes() + recurrent(w)).sum()
    }
}

struct LstmFlow {
    lstm: Arc<Lstm>,
    /// Of each layer, `[streams][size]`.
    cell: Vec<Vec<f32>>,
    hidden: Vec<Vec<f32>>,
    /// `[streams][4·size]`.
    gates: Vec<f32>,
    /// Of each stream, `[rows][4·size]`.
    from_below: Vec<Vec<f32>>,
}

impl Flow for LstmFlow {
    fn push(&mut self, pool: &Pool, x: &[&[f32]], y: &mut [Vec<f32>]) {
        let size = self.lstm.size;
        let rows = x[0].len() / size;
        for (y, x) in y.iter_mut().zip(x) {
            y.clear();
            y.extend_from_slice(x);
        }
        for (layer, (input, recurrent)) in self.lstm.layers.iter().enumerate() {
            for (below, y) in self.from_below.iter_mut().zip(y.iter()) {
                below.resize(rows * 4 * size, 0.0);
                input.apply(pool, y, size, rows, below);
            }
            let (cell, hidden) = (&mut self.cell[layer], &mut self.hidden[layer]);
            for row in 0..rows {
                recurrent.matmul(pool, hidden, size, y.len(), &mut self.gates);
                for (stream, y) in y.iter_mut().enumerate() {
                    let hidden = &mut hidden[stream * size..][..size];
                    lstm_step(
                        &self.gates[stream * 4 * size..][..4 * size],
                        &self.from_below[stream][row * 4 * size..][..4 * size],
                        &mut cell[stream * size..][..size],
                        hidden,
                    );
                    y[row * size..][..size].copy_from_slice(hidden);
                }
            }
        }
        for (y, x) in y.iter_mut().zip(x) {
            in_parts(pool, y, 1, |at, y| y.iter_mut().zip(&x[at..]).for_each(|(y, x)| *y += x));
        }
    }

    fn finish(&mut self, _: &Pool, y: &mut [Vec<f32>]) {
        y.iter_mut().for_each(Vec::clear);
    }
}

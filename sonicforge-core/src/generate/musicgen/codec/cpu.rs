//! A network on CPU slices: a chain of flows through which rows run piece by piece.
//!
//! Every flow keeps the rows that its kernel still needs (its window) and gives out all that no later row can change, so
//! offline is the same as streaming: push everything, then finish. A row's sums run in one order however rows are grouped
//! ([`kernels`](crate::generate::musicgen::kernels)), so pieces of any size give the same bits. The chain is walked depth
//! first in pieces small enough for the cache, which is also what bounds memory. Several streams in step share one
//! pass over the recurrent weights.

use std::sync::Arc;

use super::conv::{Conv, Residual, Transposed};
use super::layers::Layer;
use super::lstm::Lstm;
use super::weights::Tensors;
use crate::error::Result;
use crate::generate::musicgen::kernels::Pool;

/// What is left of a layer once its weights are packed.
pub(super) trait Stage: Send + Sync {
    /// The state of `streams` streams that begin.
    fn start(self: Arc<Self>, streams: usize) -> Box<dyn Flow>;
    /// Bytes of weights.
    fn bytes(&self) -> usize;
}

/// A stage at work on streams that go in step. One slice and one vector per stream; vectors are overwritten.
pub(super) trait Flow: Send {
    /// Takes rows, `[rows][channels]`, and gives those that are final.
    fn push(&mut self, pool: &Pool, x: &[&[f32]], y: &mut [Vec<f32>]);
    /// The rows that waited for more.
    fn finish(&mut self, pool: &Pool, y: &mut [Vec<f32>]);
}

/// A network with its weights.
pub(super) struct Net {
    layers: Vec<(Layer, Arc<dyn Stage>)>,
    pool: Pool,
}

impl Net {
    /// Reads and packs the weights of `layers`.
    pub fn load(tensors: &dyn Tensors, prefix: &str, layers: Vec<Layer>, pool: Pool) -> Result<Self> {
        let layers = layers
            .into_iter()
            .map(|layer| {
                let stage: Arc<dyn Stage> = match &layer {
                    Layer::Conv(shape) => Arc::new(Conv::load(tensors, prefix, shape)?),
                    Layer::Transposed(shape) => Arc::new(Transposed::load(tensors, prefix, shape)?),
                    Layer::Lstm(shape) => Arc::new(Lstm::load(tensors, prefix, shape)?),
                    Layer::Residual(shape) => Arc::new(Residual::load(tensors, prefix, shape)?),
                };
                Ok((layer, stage))
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers, pool })
    }

    /// The layers' shapes.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().map(|(layer, _)| layer)
    }

    /// Bytes of weights.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|(_, stage)| stage.bytes()).sum()
    }

    /// `streams` streams in step, at their beginning.
    pub fn start(&self, streams: usize) -> Chain {
        let links = self
            .layers
            .iter()
            .map(|(layer, stage)| {
                let (piece, gather) = sizes(layer);
                Link {
                    flow: Arc::clone(stage).start(streams),
                    width: layer.inputs(),
                    piece,
                    gather,
                    waiting: vec![Vec::new(); streams],
                    y: vec![Vec::new(); streams],
                }
            })
            .collect();
        Chain { links, pool: self.pool.clone() }
    }
}

/// Floats that a piece of a layer's input or output should have: a quarter of a megabyte, so that both and a slab of
/// weights stay in the second-level cache.
const PIECE: usize = 1 << 16;
/// Rows for which it is worth to read a large matrix through.
const ROWS: usize = 96;

/// (rows in at which a piece is cut, rows in for which it is worth to wait).
fn sizes(layer: &Layer) -> (usize, usize) {
    let (inputs, outputs) = (layer.inputs(), layer.outputs());
    match layer {
        Layer::Conv(conv) => {
            let rows = (PIECE / inputs.max(outputs)).max(ROWS) * conv.stride;
            // Where rows become fewer by a stride, too few may arrive at a time.
            (rows, if conv.stride > 1 { rows } else { 0 })
        }
        Layer::Transposed(conv) => ((PIECE / (conv.stride * outputs)).max(ROWS), 0),
        Layer::Lstm(_) => (ROWS, 0),
        Layer::Residual(_) => ((PIECE / inputs).max(ROWS), 0),
    }
}

/// A network at work.
pub(super) struct Chain {
    links: Vec<Link>,
    pool: Pool,
}

struct Link {
    flow: Box<dyn Flow>,
    width: usize,
    piece: usize,
    gather: usize,
    /// Rows that wait until they are `gather`.
    waiting: Vec<Vec<f32>>,
    y: Vec<Vec<f32>>,
}

impl Chain {
    /// Takes rows, `[rows][channels]` of each stream, all of one length; appends what is final to `out`.
    pub fn push(&mut self, x: &[&[f32]], out: &mut [Vec<f32>]) {
        let Self { links, pool } = self;
        pool.enter(|| feed(links, pool, x, out));
    }

    /// The inputs have ended: appends the rest to `out`.
    pub fn finish(mut self, out: &mut [Vec<f32>]) {
        let Self { links, pool } = &mut self;
        pool.enter(|| {
            for i in 0..links.len() {
                let (link, rest) = links[i..].split_first_mut().expect("i is below the length");
                link.run_waiting(rest, pool, out);
                link.flow.finish(pool, &mut link.y);
                feed(rest, pool, &slices(&link.y), out);
            }
        });
    }
}

/// Runs rows through what is left of a chain.
fn feed(links: &mut [Link], pool: &Pool, x: &[&[f32]], out: &mut [Vec<f32>]) {
    let Some((link, rest)) = links.split_first_mut() else {
        return out.iter_mut().zip(x).for_each(|(out, x)| out.extend_from_slice(x));
    };
    if link.gather == 0 {
        return link.run(rest, pool, x, out);
    }
    link.waiting.iter_mut().zip(x).for_each(|(waiting, x)| waiting.extend_from_slice(x));
    if link.waiting[0].len() >= link.gather * link.width {
        link.run_waiting(rest, pool, out);
    }
}

impl Link {
    fn run(&mut self, rest: &mut [Link], pool: &Pool, x: &[&[f32]], out: &mut [Vec<f32>]) {
        let (len, step) = (x[0].len(), self.piece * self.width);
        let mut from = 0;
        while from < len {
            let to = len.min(from + step);
            let piece: Vec<&[f32]> = x.iter().map(|x| &x[from..to]).collect();
            self.flow.push(pool, &piece, &mut self.y);
            feed(rest, pool, &slices(&self.y), out);
            from = to;
        }
    }

    fn run_waiting(&mut self, rest: &mut [Link], pool: &Pool, out: &mut [Vec<f32>]) {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.run(rest, pool, &slices(&waiting), out);
        waiting.iter_mut().for_each(Vec::clear);
        self.waiting = waiting;
    }
}

fn slices(rows: &[Vec<f32>]) -> Vec<&[f32]> {
    rows.iter().map(Vec::as_slice).collect()
}

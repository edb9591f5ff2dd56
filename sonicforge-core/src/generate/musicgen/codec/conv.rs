//! Convolutions on slices, as products of a packed matrix with overlapping rows, and the residual block made of two.

use std::sync::Arc;

use super::cpu::{Flow, Stage};
use super::elementwise::{elu, elu_in_place};
use super::layers::{ConvShape, ResidualShape, TransposedShape};
use super::product::{Product, in_parts};
use super::weights::{self, Tensors};
use crate::error::Result;
use crate::generate::musicgen::kernels::Pool;

/// A convolution along time.
pub(super) struct Conv {
    shape: ConvShape,
    product: Product,
}

impl Conv {
    pub fn load(tensors: &dyn Tensors, prefix: &str, shape: &ConvShape) -> Result<Self> {
        Ok(Self { shape: shape.clone(), product: Product::new(weights::conv(tensors, prefix, shape)?) })
    }

    fn begin(self: Arc<Self>, streams: usize) -> ConvFlow {
        ConvFlow {
            windows: vec![Vec::new(); streams],
            rows: 0,
            dropped: 0,
            started: false,
            next: 0,
            gathered: Vec::new(),
            held: vec![Vec::new(); streams],
            conv: self,
        }
    }
}

impl Stage for Conv {
    fn start(self: Arc<Self>, streams: usize) -> Box<dyn Flow> {
        Box::new(self.begin(streams))
    }

    fn bytes(&self) -> usize {
        self.product.bytes()
    }
}

/// Positions count rows of the padded input: row 0 is the first of the left padding.
struct ConvFlow {
    conv: Arc<Conv>,
    /// Rows that are still needed, activated, of each stream.
    windows: Vec<Vec<f32>>,
    /// Rows of input seen.
    rows: usize,
    /// Position of the window's first row.
    dropped: usize,
    /// Whether the left padding is in the window.
    started: bool,
    /// Where the next output's kernel begins.
    next: usize,
    /// Rows put side by side for a kernel with holes.
    gathered: Vec<f32>,
    /// Results that a norm will need.
    held: Vec<Vec<f32>>,
}

impl ConvFlow {
    /// Puts the left padding before the rows that have come.
    fn pad_left(&mut self) {
        let (padding, width) = (&self.conv.shape.padding, self.conv.shape.inputs);
        for window in &mut self.windows {
            let mut left = vec![0.0; padding.left * width];
            for (at, row) in left.chunks_exact_mut(width).enumerate() {
                if let Some(from) = padding.left_source(at, self.rows) {
                    row.copy_from_slice(&window[from * width..][..width]);
                }
            }
            window.splice(..0, left);
        }
        self.started = true;
    }

    /// Appends the right padding.
    fn pad_right(&mut self) {
        let (padding, width) = (&self.conv.shape.padding, self.conv.shape.inputs);
        for window in &mut self.windows {
            for at in 0..padding.right_of(self.rows) {
                match padding.right_source(at, self.rows) {
                    Some(row) => {
                        let from = (padding.left + row - self.dropped) * width;
                        window.extend_from_within(from..from + width);
                    }
                    None => window.resize(window.len() + width, 0.0),
                }
            }
        }
    }

    /// All outputs whose kernel lies in the window; then forgets what no output or padding needs.
    fn run(&mut self, pool: &Pool, y: &mut [Vec<f32>]) {
        let shape = &self.conv.shape;
        let width = shape.inputs;
        let end = self.dropped + self.windows[0].len() / width;
        let outputs = (end + shape.stride).saturating_sub(self.next + shape.span()) / shape.stride;
        for (window, y) in self.windows.iter().zip(y) {
            y.resize(outputs * shape.outputs, 0.0);
            if outputs > 0 {
                let x = &window[(self.next - self.dropped) * width..];
                if shape.dilation == 1 {
                    self.conv.product.apply(pool, x, shape.stride * width, outputs, y);
                } else {
                    spread(pool, &self.conv, x, outputs, &mut self.gathered, y);
                }
            }
        }
        self.next += outputs * shape.stride;
        let keep = self.next.min(end.saturating_sub(shape.padding.history())).max(self.dropped);
        for window in &mut self.windows {
            window.drain(..(keep - self.dropped) * width);
        }
        self.dropped = keep;
    }
}

/// As [`Product::apply`] for a kernel with holes: the rows it meets are put side by side first.
fn spread(pool: &Pool, conv: &Conv, x: &[f32], outputs: usize, gathered: &mut Vec<f32>, y: &mut [f32]) {
    const AT_ONCE: usize = 96;
    let shape = &conv.shape;
    let width = shape.inputs;
    for from in (0..outputs).step_by(AT_ONCE) {
        let count = AT_ONCE.min(outputs - from);
        gathered.clear();
        for t in from..from + count {
            for tap in 0..shape.kernel {
                gathered.extend_from_slice(&x[(t * shape.stride + tap * shape.dilation) * width..][..width]);
            }
        }
        let y = &mut y[from * shape.outputs..][..count * shape.outputs];
        conv.product.apply(pool, gathered, shape.kernel * width, count, y);
    }
}

impl Flow for ConvFlow {
    fn push(&mut self, pool: &Pool, x: &[&[f32]], y: &mut [Vec<f32>]) {
        let (width, activated) = (self.conv.shape.inputs, self.conv.shape.elu);
        for (window, x) in self.windows.iter_mut().zip(x) {
            if activated {
                let old = window.len();
                window.resize(old + x.len(), 0.0);
                in_parts(pool, &mut window[old..], width, |row, y| elu(&x[row * width..][..y.len()], y));
            } else {
                window.extend_from_slice(x);
            }
        }
        self.rows += x[0].len() / width;
        if !self.started && self.rows >= self.conv.shape.padding.rows_to_start() {
            self.pad_left();
        }
        if self.started {
            self.run(pool, y)
        } else {
            y.iter_mut().for_each(Vec::clear)
        }
        if self.conv.product.is_normed() {
            hold(&mut self.held, y);
        }
    }

    fn finish(&mut self, pool: &Pool, y: &mut [Vec<f32>]) {
        if self.rows == 0 {
            return y.iter_mut().for_each(Vec::clear);
        }
        if !self.started {
            self.pad_left();
        }
        self.pad_right();
        self.run(pool, y);
        if self.conv.product.is_normed() {
            hold(&mut self.held, y);
            y.iter_mut().zip(&mut self.held).for_each(|(y, held)| *y = std::mem::take(held));
            y.iter_mut().for_each(|y| self.conv.product.normalize(y));
        }
    }
}

/// Keeps results until they are complete.
fn hold(held: &mut [Vec<f32>], y: &mut [Vec<f32>]) {
    held.iter_mut().zip(y).for_each(|(held, y)| held.append(y));
}

/// A transposed convolution: one row in, a stride of rows out.
pub(super) struct Transposed {
    shape: TransposedShape,
    product: Product,
}

impl Transposed {
    pub fn load(tensors: &dyn Tensors, prefix: &str, shape: &TransposedShape) -> Result<Self> {
        Ok(Self { shape: shape.clone(), product: Product::new(weights::transposed(tensors, prefix, shape)?) })
    }
}

impl Stage for Transposed {
    fn start(self: Arc<Self>, streams: usize) -> Box<dyn Flow> {
        // Before the first row there are zeros.
        let windows = vec![vec![0.0; self.shape.inputs]; streams];
        Box::new(TransposedFlow { windows, began: false, held: vec![Vec::new(); streams], conv: self })
    }

    fn bytes(&self) -> usize {
        self.product.bytes()
    }
}

struct TransposedFlow {
    conv: Arc<Transposed>,
    /// The last row, activated, then the new ones.
    windows: Vec<Vec<f32>>,
    /// Whether rows have come, and the left side was trimmed, unless a norm comes first.
    began: bool,
    /// Results that a norm will need.
    held: Vec<Vec<f32>>,
}

impl TransposedFlow {
    /// A stride of rows for each but the first row of the window.
    fn run(&mut self, pool: &Pool, y: &mut [Vec<f32>]) {
        let shape = &self.conv.shape;
        let rows = self.windows[0].len() / shape.inputs - 1;
        for (window, y) in self.windows.iter_mut().zip(y) {
            y.resize(rows * shape.stride * shape.outputs, 0.0);
            self.conv.product.apply(pool, window, shape.inputs, rows, y);
            window.drain(..rows * shape.inputs);
            if !self.began && rows > 0 && !shape.normed {
                y.drain(..shape.trim_left * shape.outputs);
            }
        }
        self.began |= rows > 0;
    }
}

impl Flow for TransposedFlow {
    fn push(&mut self, pool: &Pool, x: &[&[f32]], y: &mut [Vec<f32>]) {
        let width = self.conv.shape.inputs;
        for (window, x) in self.windows.iter_mut().zip(x) {
            window.resize(width + x.len(), 0.0);
            in_parts(pool, &mut window[width..], width, |row, y| elu(&x[row * width..][..y.len()], y));
        }
        self.run(pool, y);
        if self.conv.shape.normed {
            hold(&mut self.held, y);
        }
    }

    fn finish(&mut self, pool: &Pool, y: &mut [Vec<f32>]) {
        if !self.began {
            return y.iter_mut().for_each(Vec::clear);
        }
        let width = self.conv.shape.inputs;
        self.windows.iter_mut().for_each(|window| window.resize(2 * width, 0.0));
        self.run(pool, y);
        let shape = &self.conv.shape;
        if shape.normed {
            hold(&mut self.held, y);
            for (y, held) in y.iter_mut().zip(&mut self.held) {
                *y = std::mem::take(held);
                self.conv.product.normalize(y);
                y.drain(..shape.trim_left * shape.outputs);
            }
        }
        y.iter_mut().for_each(|y| y.truncate(y.len() - shape.trim_right * shape.outputs));
    }
}

/// ELU, convolution, ELU, product; plus the input.
pub(super) struct Residual {
    first: Arc<Conv>,
    second: Product,
    shortcut: Option<Product>,
}

impl Residual {
    pub fn load(tensors: &dyn Tensors, prefix: &str, shape: &ResidualShape) -> Result<Self> {
        let product = |shape: &ConvShape| Ok(Product::new(weights::conv(tensors, prefix, shape)?));
        Ok(Self {
            first: Arc::new(Conv::load(tensors, prefix, &shape.first)?),
            second: product(&shape.second)?,
            shortcut: shape.shortcut.as_ref().map(product).transpose()?,
        })
    }

    /// `y += shortcut(x)`.
    fn add(&self, pool: &Pool, x: &[f32], scratch: &mut Vec<f32>, y: &mut [f32]) {
        let x = match &self.shortcut {
            Some(product) => {
                let width = product.outputs();
                scratch.resize(x.len(), 0.0);
                product.apply(pool, x, width, x.len() / width, scratch);
                product.normalize(scratch);
                scratch
            }
            None => x,
        };
        in_parts(pool, y, 1, |at, y| y.iter_mut().zip(&x[at..]).for_each(|(y, x)| *y += x));
    }
}

impl Stage for Residual {
    fn start(self: Arc<Self>, streams: usize) -> Box<dyn Flow> {
        Box::new(ResidualFlow {
            first: Arc::clone(&self.first).begin(streams),
            hidden: vec![Vec::new(); streams],
            ahead: vec![Vec::new(); streams],
            scratch: Vec::new(),
            block: self,
        })
    }

    fn bytes(&self) -> usize {
        self.first.bytes() + self.second.bytes() + self.shortcut.as_ref().map_or(0, Product::bytes)
    }
}

struct ResidualFlow {
    block: Arc<Residual>,
    first: ConvFlow,
    hidden: Vec<Vec<f32>>,
    /// Rows of input whose output is still to come.
    ahead: Vec<Vec<f32>>,
    scratch: Vec<f32>,
}

impl ResidualFlow {
    /// What follows the first convolution; `x` are the rows of input that came with this call, one slice per stream.
    fn rest(&mut self, pool: &Pool, x: &[&[f32]], y: &mut [Vec<f32>]) {
        let block = &self.block;
        let (narrow, width) = (block.first.shape.outputs, block.second.outputs());
        for (stream, y) in y.iter_mut().enumerate() {
            let (hidden, ahead, x) = (&mut self.hidden[stream], &mut self.ahead[stream], x[stream]);
            let rows = hidden.len() / narrow;
            in_parts(pool, hidden, narrow, |_, y| elu_in_place(y));
            y.resize(rows * width, 0.0);
            block.second.apply(pool, hidden, narrow, rows, y);
            // Where there is a norm, the first convolution gave nothing until it could give all.
            block.second.normalize(y);
            let (old, new) = y.split_at_mut(ahead.len().min(rows * width));
            block.add(pool, &ahead[..old.len()], &mut self.scratch, old);
            block.add(pool, &x[..new.len()], &mut self.scratch, new);
            let used = old.len();
            let fresh = new.len();
            ahead.drain(..used);
            ahead.extend_from_slice(&x[fresh..]);
        }
    }
}

impl Flow for ResidualFlow {
    fn push(&mut self, pool: &Pool, x: &[&[f32]], y: &mut [Vec<f32>]) {
        self.first.push(pool, x, &mut self.hidden);
        self.rest(pool, x, y);
    }

    fn finish(&mut self, pool: &Pool, y: &mut [Vec<f32>]) {
        self.first.finish(pool, &mut self.hidden);
        self.rest(pool, &vec![&[][..]; y.len()], y);
    }
}

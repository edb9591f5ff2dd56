//! The same networks on candle's tensors, `[streams][rows][channels]`, for devices other than the CPU.
//!
//! A convolution is a product here as well: the rows that a kernel meets are put side by side. It streams like
//! [`cpu`](super::cpu) does and carries the same state, so nothing is computed twice. But a library of products chooses its
//! order of sums by the shape, so pieces of other sizes give results that differ by rounding.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::layers::{ConvShape, Layer, LstmShape, TransposedShape};
use super::weights::{self, Affine, Tensors, TimeNorm};
use crate::error::{Error, Result};

type Candle<T> = candle_core::Result<T>;

/// Frames (rows of the network's narrow end) that run at a time: bounds memory.
const FRAMES: usize = 250;

/// A network with its weights on a device.
pub(super) struct DeviceNet {
    stages: Vec<(Layer, Stage)>,
    device: Device,
    bytes: usize,
    /// Rows in at which a long input is cut.
    piece: usize,
}

enum Stage {
    Conv(Product),
    Transposed(Product),
    Lstm(Vec<(Product, Tensor)>),
    Residual { first: Product, second: Product, shortcut: Option<Product> },
}

/// `x·w + bias` with `w` of shape `[inputs][outputs]`.
struct Product {
    w: Tensor,
    bias: Tensor,
    /// Scale and offset of the norm on the whole result.
    norm: Option<(Tensor, Tensor)>,
}

impl Product {
    fn new(affine: Affine, device: &Device) -> Candle<Self> {
        let Affine { weight, bias, outputs, inputs, norm } = affine;
        let vector = |values: Vec<f32>| Tensor::new(values, &Device::Cpu)?.to_device(device);
        let w = Tensor::from_vec(weight, (outputs, inputs), &Device::Cpu)?.t()?.contiguous()?.to_device(device)?;
        let norm =
            norm.map(|norm| Ok::<_, candle_core::Error>((vector(norm.scale)?, vector(norm.offset)?))).transpose()?;
        Ok(Self { w, bias: vector(bias)?, norm })
    }

    /// `[streams][rows][inputs]` to `[streams][rows][outputs]`.
    fn apply(&self, x: &Tensor) -> Candle<Tensor> {
        let (streams, rows, inputs) = x.dims3()?;
        let y = x.reshape((streams * rows, inputs))?.matmul(&self.w)?.broadcast_add(&self.bias)?;
        y.reshape((streams, rows, self.bias.dim(0)?))
    }

    /// [`TimeNorm`] on a whole result, if there is one.
    fn normalize(&self, y: &Tensor) -> Candle<Tensor> {
        let Some((scale, offset)) = &self.norm else { return Ok(y.clone()) };
        let y = y.broadcast_sub(&y.flatten_from(1)?.mean_keepdim(1)?.unsqueeze(2)?)?;
        let variance = y.sqr()?.flatten_from(1)?.mean_keepdim(1)?.unsqueeze(2)?;
        let y = y.broadcast_div(&(variance + TimeNorm::EPSILON)?.sqrt()?)?;
        y.broadcast_mul(scale)?.broadcast_add(offset)
    }
}

/// A convolution with a stride meets whole strides: the kernel is filled up with zeros.
fn conv(tensors: &dyn Tensors, prefix: &str, shape: &ConvShape) -> Result<Affine> {
    let mut affine = weights::conv(tensors, prefix, shape)?;
    if shape.stride > 1 {
        let inputs = shape.kernel.next_multiple_of(shape.stride) * shape.inputs;
        let rows = affine.weight.chunks_exact(affine.inputs);
        affine.weight =
            rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, inputs - row.len()))).collect();
        affine.inputs = inputs;
    }
    Ok(affine)
}

/// σ(x) = (1 + tanh(x / 2)) / 2: with the halves in the weights, one tanh serves all gates, which are put in the order
/// input, forget, output, cell.
fn lstm_rows(values: &mut [f32]) {
    let gate = values.len() / 4;
    values[2 * gate..].rotate_left(gate);
    values[..3 * gate].iter_mut().for_each(|v| *v *= 0.5);
}

impl DeviceNet {
    /// Reads the weights of `layers` to `device`.
    pub fn load(tensors: &dyn Tensors, prefix: &str, layers: Vec<Layer>, device: &Device) -> Result<Self> {
        let mut bytes = 0;
        let mut product = |affine: Result<Affine>| -> Result<Product> {
            let affine = affine?;
            bytes += 4 * (affine.weight.len() + affine.bias.len());
            Product::new(affine, device).map_err(failed)
        };
        let mut stages = Vec::new();
        for layer in layers {
            let stage = match &layer {
                Layer::Conv(shape) => Stage::Conv(product(conv(tensors, prefix, shape))?),
                Layer::Transposed(shape) => Stage::Transposed(product(weights::transposed(tensors, prefix, shape))?),
                Layer::Residual(block) => Stage::Residual {
                    first: product(conv(tensors, prefix, &block.first))?,
                    second: product(conv(tensors, prefix, &block.second))?,
                    shortcut: block.shortcut.as_ref().map(|shape| product(conv(tensors, prefix, shape))).transpose()?,
                },
                Layer::Lstm(shape) => {
                    let mut layers = Vec::new();
                    for mut layer in weights::lstm(tensors, prefix, shape)? {
                        for rows in [&mut layer.input.weight, &mut layer.input.bias, &mut layer.recurrent] {
                            lstm_rows(rows);
                        }
                        let bias = vec![0.0; 4 * shape.size];
                        let (outputs, inputs) = (4 * shape.size, shape.size);
                        let recurrent = Affine { weight: layer.recurrent, bias, outputs, inputs, norm: None };
                        layers.push((product(Ok(layer.input))?, product(Ok(recurrent))?.w));
                    }
                    Stage::Lstm(layers)
                }
            };
            stages.push((layer, stage));
        }
        let strides = stages.iter().map(|(layer, _)| match layer {
            Layer::Conv(conv) => conv.stride,
            _ => 1,
        });
        let piece = FRAMES * strides.product::<usize>();
        Ok(Self { stages, device: device.clone(), bytes, piece })
    }

    /// The layers' shapes.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.stages.iter().map(|(layer, _)| layer)
    }

    /// Bytes of weights.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// `streams` streams in step, at their beginning.
    pub fn start(self: &Arc<Self>, streams: usize) -> DeviceChain {
        let states = self.stages.iter().map(|_| State::default()).collect();
        DeviceChain { net: Arc::clone(self), streams, states }
    }
}

/// A network at work on a device.
pub(super) struct DeviceChain {
    net: Arc<DeviceNet>,
    streams: usize,
    states: Vec<State>,
}

/// What a stage remembers. Absent tensors have no rows.
#[derive(Default)]
struct State {
    window: Option<Tensor>,
    /// Rows of input seen; of a convolution, rows of the padded input forgotten, and where the next output begins.
    rows: usize,
    dropped: usize,
    next: usize,
    started: bool,
    /// Results that a norm will need.
    held: Option<Tensor>,
    /// Rows that a residual block has still to add.
    ahead: Option<Tensor>,
    /// Of each LSTM layer, output and cell.
    lstm: Vec<(Tensor, Tensor)>,
}

impl DeviceChain {
    /// Takes rows, `[rows][channels]` of each stream, all of one length; appends what is final to `out`.
    pub fn push(&mut self, x: &[&[f32]], out: &mut [Vec<f32>]) -> Result<()> {
        let net = Arc::clone(&self.net);
        let width = net.stages[0].0.inputs();
        let len = x[0].len();
        for from in (0..len).step_by(net.piece * width) {
            let to = len.min(from + net.piece * width);
            let piece: Vec<f32> = x.iter().flat_map(|x| &x[from..to]).copied().collect();
            let shape = (self.streams, (to - from) / width, width);
            let piece = Tensor::from_vec(piece, shape, &net.device).map_err(failed)?;
            self.run(0, Some(piece), out).map_err(failed)?;
        }
        Ok(())
    }

    /// The inputs have ended: appends the rest to `out`.
    pub fn finish(mut self, out: &mut [Vec<f32>]) -> Result<()> {
        let net = Arc::clone(&self.net);
        for i in 0..net.stages.len() {
            let (layer, stage) = &net.stages[i];
            let rest = self.states[i].step(layer, stage, None).map_err(failed)?;
            self.run(i + 1, rest, out).map_err(failed)?;
        }
        Ok(())
    }

    /// Runs rows through the stages from `first` on.
    fn run(&mut self, first: usize, mut x: Option<Tensor>, out: &mut [Vec<f32>]) -> Candle<()> {
        let net = Arc::clone(&self.net);
        for (state, (layer, stage)) in self.states.iter_mut().zip(&net.stages).skip(first) {
            let Some(rows) = x else { return Ok(()) };
            x = state.step(layer, stage, Some(rows))?;
        }
        if let Some(y) = x {
            for (out, y) in out.iter_mut().zip(y.flatten_from(1)?.to_vec2::<f32>()?) {
                out.extend(y);
            }
        }
        Ok(())
    }
}

impl State {
    /// Rows in, or their end; rows out.
    fn step(&mut self, layer: &Layer, stage: &Stage, x: Option<Tensor>) -> Candle<Option<Tensor>> {
        match (layer, stage) {
            (Layer::Conv(shape), Stage::Conv(product)) => self.conv(shape, product, x),
            (Layer::Transposed(shape), Stage::Transposed(product)) => self.transposed(shape, product, x),
            (Layer::Lstm(shape), Stage::Lstm(layers)) => x.map(|x| self.lstm(shape, layers, &x)).transpose(),
            (Layer::Residual(shape), Stage::Residual { first, second, shortcut }) => {
                if let Some(x) = &x {
                    self.ahead = append(self.ahead.take(), x)?;
                }
                let Some(hidden) = self.conv(&shape.first, first, x)? else { return Ok(None) };
                let (rows, ahead) = (hidden.dim(1)?, self.ahead.take().expect("rows out were rows in"));
                self.ahead = tail(&ahead, rows)?;
                let input = ahead.narrow(1, 0, rows)?.contiguous()?;
                // Where there is a norm, the first convolution gave nothing until it could give all.
                let run = |product: &Product, x: &Tensor| product.normalize(&product.apply(x)?);
                let input = shortcut.as_ref().map_or(Ok(input.clone()), |product| run(product, &input))?;
                Ok(Some((run(second, &hidden.elu(1.0)?)? + input)?))
            }
            _ => unreachable!("stages are made from their layers"),
        }
    }

    fn conv(&mut self, shape: &ConvShape, product: &Product, x: Option<Tensor>) -> Candle<Option<Tensor>> {
        let padding = &shape.padding;
        let ended = x.is_none();
        if let Some(x) = x {
            let x = if shape.elu { x.elu(1.0)? } else { x };
            self.rows += x.dim(1)?;
            self.window = append(self.window.take(), &x)?;
        }
        if self.rows == 0 {
            return Ok(None);
        }
        if !self.started && (ended || self.rows >= padding.rows_to_start()) {
            let left = (0..padding.left).map(|at| padding.left_source(at, self.rows));
            let window = self.window.take().expect("rows have come");
            self.window = Some(pick(&window, left.chain((0..self.rows).map(Some)).collect())?);
            self.started = true;
        }
        if !self.started {
            return Ok(None);
        }
        let mut window = self.window.take().expect("its history is kept");
        if ended {
            let kept = window.dim(1)?;
            let at = |row: usize| padding.left + row - self.dropped;
            let right = (0..padding.right_of(self.rows)).map(|i| padding.right_source(i, self.rows).map(at));
            window = pick(&window, (0..kept).map(Some).chain(right).collect())?;
        }
        let end = self.dropped + window.dim(1)?;
        let outputs = (end + shape.stride).saturating_sub(self.next + shape.span()) / shape.stride;
        let y = match outputs {
            0 => None,
            _ => {
                let from = self.next - self.dropped;
                let rows = (outputs - 1) * shape.stride + shape.span();
                Some(product.apply(&side_by_side(&window.narrow(1, from, rows)?, shape, outputs)?)?)
            }
        };
        self.next += outputs * shape.stride;
        let keep = self.next.min(end.saturating_sub(padding.history())).max(self.dropped);
        self.window = tail(&window, keep - self.dropped)?;
        self.dropped = keep;
        self.normed(product, y, ended)
    }

    /// Holds what a norm needs until it is complete.
    fn normed(&mut self, product: &Product, y: Option<Tensor>, ended: bool) -> Candle<Option<Tensor>> {
        if product.norm.is_none() {
            return Ok(y);
        }
        if let Some(y) = y {
            self.held = append(self.held.take(), &y)?;
        }
        if ended { self.held.take().map(|y| product.normalize(&y)).transpose() } else { Ok(None) }
    }

    fn transposed(&mut self, shape: &TransposedShape, product: &Product, x: Option<Tensor>) -> Candle<Option<Tensor>> {
        let ended = x.is_none();
        let x = match (x, &self.window) {
            (Some(x), _) => x.elu(1.0)?,
            (None, Some(last)) => last.zeros_like()?,
            (None, None) => return Ok(None),
        };
        let (streams, rows, _) = x.dims3()?;
        let before = match self.window.take() {
            Some(last) => last,
            None => x.narrow(1, 0, 1)?.zeros_like()?,
        };
        let window = Tensor::cat(&[&before, &x], 1)?;
        let pairs = Tensor::cat(&[window.narrow(1, 0, rows)?, window.narrow(1, 1, rows)?], 2)?;
        let y = product.apply(&pairs)?.reshape((streams, rows * shape.stride, shape.outputs))?;
        self.window = tail(&window, rows)?;
        let Some(y) = self.normed(product, Some(y), ended)? else { return Ok(None) };
        let y = if ended { y.narrow(1, 0, y.dim(1)? - shape.trim_right)? } else { y };
        let trimmed = if self.started { 0 } else { shape.trim_left };
        self.started = true;
        tail(&y, trimmed)
    }

    fn lstm(&mut self, shape: &LstmShape, layers: &[(Product, Tensor)], x: &Tensor) -> Candle<Tensor> {
        let (streams, rows, size) = (x.dim(0)?, x.dim(1)?, shape.size);
        if self.lstm.is_empty() {
            let zero = x.narrow(1, 0, 1)?.squeeze(1)?.zeros_like()?;
            self.lstm = vec![(zero.clone(), zero); layers.len()];
        }
        let mut y = x.clone();
        for ((input, recurrent), (hidden, cell)) in layers.iter().zip(&mut self.lstm) {
            let below = input.apply(&y)?;
            let mut outputs = Vec::with_capacity(rows);
            for row in 0..rows {
                let below = below.narrow(1, row, 1)?.reshape((streams, 4 * size))?;
                let gates = (hidden.matmul(recurrent)? + below)?.tanh()?;
                let open = gates.narrow(1, 0, 3 * size)?.affine(0.5, 0.5)?;
                let new = (open.narrow(1, 0, size)? * gates.narrow(1, 3 * size, size)?)?;
                *cell = ((open.narrow(1, size, size)? * &*cell)? + new)?;
                *hidden = (open.narrow(1, 2 * size, size)? * cell.tanh()?)?;
                outputs.push(hidden.clone());
            }
            y = Tensor::stack(&outputs, 1)?;
        }
        y + x
    }
}

/// The rows that each output's kernel meets, `[streams][outputs][kernel · channels]`.
fn side_by_side(x: &Tensor, shape: &ConvShape, outputs: usize) -> Candle<Tensor> {
    if shape.kernel == 1 && shape.stride == 1 {
        return x.contiguous();
    }
    if shape.stride == 1 {
        let taps =
            (0..shape.kernel).map(|tap| x.narrow(1, tap * shape.dilation, outputs)).collect::<Candle<Vec<_>>>()?;
        return Tensor::cat(&taps, 2);
    }
    // Strides, of which each output meets a few; rows that only meet the zeros of the kernel are zeros too.
    let strides = shape.kernel.div_ceil(shape.stride);
    let (streams, rows, width) = x.dims3()?;
    let whole = (outputs - 1 + strides) * shape.stride;
    let x = x.pad_with_zeros(1, 0, whole - rows)?.contiguous()?;
    let x = x.reshape((streams, outputs - 1 + strides, shape.stride * width))?;
    let taps = (0..strides).map(|tap| x.narrow(1, tap, outputs)).collect::<Candle<Vec<_>>>()?;
    Tensor::cat(&taps, 2)
}

/// Rows of `x` by number; `None` is a row of zeros.
fn pick(x: &Tensor, sources: Vec<Option<usize>>) -> Candle<Tensor> {
    let rows = x.dim(1)?;
    let extended = x.pad_with_zeros(1, 0, 1)?.contiguous()?;
    let index: Vec<u32> = sources.into_iter().map(|row| row.unwrap_or(rows) as u32).collect();
    let count = index.len();
    extended.index_select(&Tensor::from_vec(index, count, x.device())?, 1)
}

fn append(rows: Option<Tensor>, x: &Tensor) -> Candle<Option<Tensor>> {
    Ok(Some(match rows {
        Some(rows) => Tensor::cat(&[&rows, x], 1)?,
        None => x.clone(),
    }))
}

/// The rows from `from` on, if there are any, in memory of their own.
fn tail(x: &Tensor, from: usize) -> Candle<Option<Tensor>> {
    let rows = x.dim(1)?;
    if from >= rows {
        return Ok(None);
    }
    Ok(Some(if from == 0 { x.clone() } else { x.narrow(1, from, rows - from)?.force_contiguous()? }))
}

fn failed(error: candle_core::Error) -> Error {
    Error::Model(format!("the codec cannot run on this device: {error}"))
}

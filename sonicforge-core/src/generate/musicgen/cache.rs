//! Keys and values of what was said so far: memory asked for once, written in place, one length per row.
//!
//! Rows are independent: a row may begin, grow and be dropped without the others. On the CPU the layout is that of
//! [`kernels`](super::kernels) attention; on a device K and V are `[rows, heads, capacity, dimension]`.

use candle_core::Tensor;
use half::slice::HalfBitsSliceExt;

use super::compute::{Compute, failed, lend};
use super::kernels::{Attend, CacheElement, Shared, padded, write_cache};
use crate::error::Result;

/// The cache of one attention.
pub(crate) struct KvCache {
    heads: usize,
    dimension: usize,
    capacity: usize,
    lens: Vec<usize>,
    store: Store,
}

enum Store {
    F32 {
        keys: Vec<f32>,
        values: Vec<f32>,
    },
    /// binary16; as bits, because fresh zeros of `u16` cost nothing until they are written.
    F16 {
        keys: Vec<u16>,
        values: Vec<u16>,
    },
    Device {
        keys: Tensor,
        values: Tensor,
    },
}

/// How a query looks at the cache.
pub(crate) struct View<'a> {
    /// Rows of the cache, one per row of the query.
    pub rows: &'a [usize],
    /// Query t of T sees only what was there when it was appended.
    pub causal: bool,
    /// On the products of query and key.
    pub scale: f32,
    /// Added to the score of query t and key s of T: `[heads][2·T − 1]`, entry T − 1 + s − t. Only for a view of one row
    /// whose T queries look at T keys.
    pub bias: Option<&'a [f32]>,
}

impl KvCache {
    /// Room for `capacity` positions of `rows` rows. `half` keeps them in 16 bits on the CPU.
    pub fn new(
        compute: &Compute,
        rows: usize,
        heads: usize,
        dimension: usize,
        capacity: usize,
        half: bool,
    ) -> Result<Self> {
        let capacity = padded(capacity);
        let (k, v) = (rows * heads * capacity * dimension, rows * heads * capacity * padded(dimension));
        let store = if !compute.kernels() {
            let zeros =
                || Tensor::zeros((rows, heads, capacity, dimension), compute.dtype, &compute.device).map_err(failed);
            Store::Device { keys: zeros()?, values: zeros()? }
        } else if half {
            Store::F16 { keys: vec![0; k], values: vec![0; v] }
        } else {
            Store::F32 { keys: vec![0.0; k], values: vec![0.0; v] }
        };
        Ok(Self { heads, dimension, capacity, lens: vec![0; rows], store })
    }

    /// Forgets what a row holds.
    pub fn clear(&mut self, row: usize) {
        self.lens[row] = 0;
    }

    /// Appends T positions to each of `rows`. `x` is `[rows, T, columns]`; keys begin at column `k_at`, values at `v_at`.
    ///
    /// # Panics
    /// When the room is used up.
    pub fn append(&mut self, rows: &[usize], x: &Tensor, k_at: usize, v_at: usize) -> Result<()> {
        let (_, t, columns) = x.dims3().map_err(failed)?;
        for &row in rows {
            assert!(
                self.lens[row] + t <= self.capacity,
                "room for {} positions, {} + {t} asked",
                self.capacity,
                self.lens[row]
            );
        }
        match &mut self.store {
            Store::F32 { keys, values } => {
                let place = Place { heads: self.heads, dimension: self.dimension, capacity: self.capacity };
                lend(x, |x| place.write(keys, values, &self.lens, rows, x, t, columns, (k_at, v_at)))?;
            }
            Store::F16 { keys, values } => {
                let place = Place { heads: self.heads, dimension: self.dimension, capacity: self.capacity };
                let (keys, values) = (keys.reinterpret_cast_mut(), values.reinterpret_cast_mut());
                lend(x, |x| place.write::<half::f16>(keys, values, &self.lens, rows, x, t, columns, (k_at, v_at)))?;
            }
            Store::Device { keys, values } => {
                let wide = self.heads * self.dimension;
                for (cache, at) in [(keys, k_at), (values, v_at)] {
                    let new = x.narrow(2, at, wide).map_err(failed)?;
                    let new = new.reshape((rows.len(), t, self.heads, self.dimension)).map_err(failed)?;
                    let new = new.transpose(1, 2).and_then(|n| n.contiguous()).map_err(failed)?;
                    let together = rows.iter().enumerate().all(|(i, &row)| row == rows[0] + i)
                        && rows.iter().all(|&row| self.lens[row] == self.lens[rows[0]]);
                    if together {
                        let part = cache.narrow(0, rows[0], rows.len()).map_err(failed)?;
                        part.slice_set(&new, 2, self.lens[rows[0]]).map_err(failed)?;
                    } else {
                        for (i, &row) in rows.iter().enumerate() {
                            let part = cache.narrow(0, row, 1).map_err(failed)?;
                            part.slice_set(&new.narrow(0, i, 1).map_err(failed)?, 2, self.lens[row]).map_err(failed)?;
                        }
                    }
                }
            }
        }
        rows.iter().for_each(|&row| self.lens[row] += t);
        Ok(())
    }

    /// Attention of the queries in `x` (`[rows, T, columns]`, the query at column `q_at`): `[rows, T, heads·dimension]`.
    pub fn attend(&self, compute: &Compute, x: &Tensor, q_at: usize, view: &View<'_>) -> Result<Tensor> {
        match &self.store {
            Store::F32 { keys, values } => self.kernel(compute, keys, values, x, q_at, view),
            Store::F16 { keys, values } => {
                self.kernel::<half::f16>(compute, keys.reinterpret_cast(), values.reinterpret_cast(), x, q_at, view)
            }
            Store::Device { keys, values } => self.device(keys, values, x, q_at, view),
        }
    }

    fn kernel<T: CacheElement>(
        &self,
        compute: &Compute,
        keys: &[T],
        values: &[T],
        x: &Tensor,
        q_at: usize,
        view: &View<'_>,
    ) -> Result<Tensor> {
        let (r, t, columns) = x.dims3().map_err(failed)?;
        let (h, d) = (self.heads, self.dimension);
        let (key_size, value_size) = (self.capacity * d, self.capacity * padded(d));
        let mut out = vec![0.0f32; r * t * h * d];
        let shared = Shared::new(&mut out);
        // A piece is one head of one row, and of a long prompt 16 queries of it.
        let stretch = t.min(16);
        let stretches = t.div_ceil(stretch.max(1));
        lend(x, |x| {
            compute.pool.each(r * h * stretches, |piece| {
                let (i, head, part) = (piece / (h * stretches), piece / stretches % h, piece % stretches);
                let (row, len) = (view.rows[i], self.lens[view.rows[i]]);
                let at = row * h + head;
                let mut scores = Vec::new();
                for query in part * stretch..t.min((part + 1) * stretch) {
                    let seen = if view.causal { len - t + query + 1 } else { len };
                    let bias = view.bias.map(|b| &b[head * (2 * t - 1) + t - 1 - query..][..len]);
                    let attend = Attend {
                        keys: &keys[at * key_size..][..key_size],
                        values: &values[at * value_size..][..value_size],
                        len: seen,
                        scale: view.scale,
                        bias,
                    };
                    let q = &x[(i * t + query) * columns + q_at + head * d..][..d];
                    // SAFETY: each piece writes the lines of its own row, head and queries.
                    let line =
                        unsafe { std::slice::from_raw_parts_mut(shared.at(((i * t + query) * h + head) * d), d) };
                    attend.run(q, &mut scores, line);
                }
            });
        })?;
        Tensor::from_vec(out, (r, t, h * d), x.device()).map_err(failed)
    }

    fn device(&self, keys: &Tensor, values: &Tensor, x: &Tensor, q_at: usize, view: &View<'_>) -> Result<Tensor> {
        let (r, t, _) = x.dims3().map_err(failed)?;
        let (h, d) = (self.heads, self.dimension);
        let contiguous = view.rows.iter().enumerate().all(|(i, &row)| row == view.rows[0] + i);
        let longest = view.rows.iter().map(|&row| self.lens[row]).max().unwrap_or(0);
        let run = || -> candle_core::Result<Tensor> {
            let q = x.narrow(2, q_at, h * d)?.reshape((r, t, h, d))?.transpose(1, 2)?.contiguous()?;
            let pick = |cache: &Tensor| -> candle_core::Result<Tensor> {
                let rows = if contiguous {
                    cache.narrow(0, view.rows[0], r)?
                } else {
                    let index: Vec<u32> = view.rows.iter().map(|&row| row as u32).collect();
                    cache.index_select(&Tensor::from_vec(index, r, cache.device())?, 0)?
                };
                rows.narrow(2, 0, longest)?.contiguous()
            };
            let scores = (q.matmul(&pick(keys)?.t()?)? * f64::from(view.scale))?;
            let even = view.rows.iter().all(|&row| self.lens[row] == longest);
            let scores = match view.bias {
                Some(bias) => {
                    let line = |i: usize| &bias[i / t * (2 * t - 1) + t - 1 - i % t..][..t];
                    let all: Vec<f32> = (0..h * t).flat_map(line).copied().collect();
                    let bias = Tensor::from_vec(all, (1, h, t, t), &candle_core::Device::Cpu)?;
                    scores.broadcast_add(&bias.to_dtype(scores.dtype())?.to_device(scores.device())?)?
                }
                None if even && (t == 1 || !view.causal) => scores,
                None => {
                    let mut mask = vec![0.0f32; r * t * longest];
                    for (i, &row) in view.rows.iter().enumerate() {
                        for query in 0..t {
                            let seen = if view.causal { self.lens[row] - t + query + 1 } else { self.lens[row] };
                            mask[(i * t + query) * longest..][seen..longest].fill(f32::NEG_INFINITY);
                        }
                    }
                    let mask = Tensor::from_vec(mask, (r, 1, t, longest), &candle_core::Device::Cpu)?;
                    scores.broadcast_add(&mask.to_dtype(scores.dtype())?.to_device(scores.device())?)?
                }
            };
            let p = candle_nn::ops::softmax_last_dim(&scores)?;
            p.matmul(&pick(values)?)?.transpose(1, 2)?.reshape((r, t, h * d))
        };
        run().map_err(failed)
    }

    /// Keeps these rows, in this order.
    pub fn keep(&mut self, rows: &[usize]) -> Result<()> {
        let (key_size, value_size) =
            (self.heads * self.capacity * self.dimension, self.heads * self.capacity * padded(self.dimension));
        match &mut self.store {
            Store::F32 { keys, values } => {
                *keys = pick(keys, rows, key_size);
                *values = pick(values, rows, value_size);
            }
            Store::F16 { keys, values } => {
                *keys = pick(keys, rows, key_size);
                *values = pick(values, rows, value_size);
            }
            Store::Device { keys, values } => {
                let index: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                let index = Tensor::from_vec(index, rows.len(), keys.device()).map_err(failed)?;
                *keys = keys.index_select(&index, 0).map_err(failed)?;
                *values = values.index_select(&index, 0).map_err(failed)?;
            }
        }
        self.lens = rows.iter().map(|&row| self.lens[row]).collect();
        Ok(())
    }
}

fn pick<T: Copy>(from: &[T], rows: &[usize], size: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.len() * size);
    rows.iter().for_each(|&row| out.extend_from_slice(&from[row * size..][..size]));
    out
}

/// Where a row and head lies in the kernels' layout.
struct Place {
    heads: usize,
    dimension: usize,
    capacity: usize,
}

impl Place {
    #[allow(clippy::too_many_arguments)] // Two targets, one source, and where in each.
    fn write<T: CacheElement>(
        &self,
        keys: &mut [T],
        values: &mut [T],
        lens: &[usize],
        rows: &[usize],
        x: &[f32],
        t: usize,
        columns: usize,
        (k_at, v_at): (usize, usize),
    ) {
        let d = self.dimension;
        let (key_size, value_size) = (self.capacity * d, self.capacity * padded(d));
        for (i, &row) in rows.iter().enumerate() {
            for step in 0..t {
                let line = &x[(i * t + step) * columns..][..columns];
                for head in 0..self.heads {
                    let at = row * self.heads + head;
                    write_cache(
                        &mut keys[at * key_size..][..key_size],
                        &mut values[at * value_size..][..value_size],
                        lens[row] + step,
                        &line[k_at + head * d..][..d],
                        &line[v_at + head * d..][..d],
                    );
                }
            }
        }
    }
}

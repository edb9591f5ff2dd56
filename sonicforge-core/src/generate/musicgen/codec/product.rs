//! A matrix with its bias, packed for the rows it will meet; and work on rows shared among threads.

use std::sync::Mutex;

use super::elementwise::dots;
use super::weights::{Affine, TimeNorm};
use crate::generate::musicgen::kernels::{PackedF32, Pool};

/// Below this many outputs, tiles of 32 cost more than dot products.
const NARROW: usize = 8;

/// `y = w·x + bias` over rows.
pub(super) struct Product {
    matrix: Matrix,
    bias: Vec<f32>,
    norm: Option<TimeNorm>,
}

enum Matrix {
    Packed(PackedF32),
    Narrow(Vec<f32>),
}

impl Product {
    pub fn new(affine: Affine) -> Self {
        let Affine { weight, bias, outputs, inputs, norm } = affine;
        let matrix = match outputs < NARROW {
            true => Matrix::Narrow(weight),
            false => Matrix::Packed(PackedF32::pack(&weight, outputs, inputs)),
        };
        Self { matrix, bias, norm }
    }

    /// Whether [`Product::normalize`] has something to do, for which it needs the whole result.
    pub fn is_normed(&self) -> bool {
        self.norm.is_some()
    }

    /// The norm on a whole result, if there is one.
    pub fn normalize(&self, y: &mut [f32]) {
        if let Some(norm) = &self.norm {
            norm.apply(y);
        }
    }

    /// Values in a row of the result.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let weights = match &self.matrix {
            Matrix::Packed(w) => w.bytes(),
            Matrix::Narrow(w) => std::mem::size_of_val(&w[..]),
        };
        weights + std::mem::size_of_val(&self.bias[..])
    }

    /// `rows` rows, which begin every `ldx` values of `x` and may overlap. `y` has exactly `rows` rows.
    pub fn apply(&self, pool: &Pool, x: &[f32], ldx: usize, rows: usize, y: &mut [f32]) {
        let n = self.outputs();
        assert_eq!(y.len(), rows * n);
        match &self.matrix {
            Matrix::Packed(w) => w.matmul(pool, x, ldx, rows, Some(&self.bias), y, n),
            Matrix::Narrow(w) => in_parts(pool, y, n, |row, y| dots(&x[row * ldx..], ldx, w, &self.bias, y)),
        }
    }
}

/// Calls `work(row, rows)` for parts of `y`, whose rows have `width` values; `row` is the first of the part.
pub(super) fn in_parts(pool: &Pool, y: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
    const WORTH: usize = 1 << 14;
    let rows = y.len() / width;
    let parts = (pool.threads() * 2).min(y.len() / WORTH).min(rows);
    if pool.threads() == 1 || parts <= 1 {
        return work(0, y);
    }
    let each = rows.div_ceil(parts);
    // Each part is locked once, by the thread that takes it.
    let parts: Vec<Mutex<&mut [f32]>> = y.chunks_mut(each * width).map(Mutex::new).collect();
    pool.each(parts.len(), |part| {
        let mut y = parts[part].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(part * each, &mut y);
    });
}

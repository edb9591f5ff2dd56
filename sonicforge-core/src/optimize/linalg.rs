//! Dense symmetric matrices, as little as the models need: Cholesky, solving, inverting.

/// A square matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    pub n: usize,
    pub at: Vec<f64>,
}

impl Matrix {
    pub fn new(n: usize, of: impl Fn(usize, usize) -> f64) -> Self {
        let mut at = Vec::with_capacity(n * n);
        for i in 0..n {
            at.extend((0..n).map(|j| of(i, j)));
        }
        Self { n, at }
    }

    pub fn row(&self, i: usize) -> &[f64] {
        &self.at[i * self.n..(i + 1) * self.n]
    }

    /// L with L·Lᵀ = self; `None` where it is not positive definite.
    pub fn cholesky(mut self) -> Option<Cholesky> {
        let n = self.n;
        for j in 0..n {
            for i in j..n {
                let (a, b) = (&self.at[i * n..i * n + j], &self.at[j * n..j * n + j]);
                let x = self.at[i * n + j] - dot(a, b);
                if i == j {
                    if x.is_nan() || x <= 0.0 {
                        return None;
                    }
                    self.at[j * n + j] = libm::sqrt(x);
                } else {
                    self.at[i * n + j] = x / self.at[j * n + j];
                }
            }
        }
        Some(Cholesky(self))
    }
}

/// Four sums side by side, so that the order of the additions is fixed and fast.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for k in 0..4 {
            sum[k] += x[k] * y[k];
        }
    }
    (sum[0] + sum[1]) + (sum[2] + sum[3]) + rest
}

/// The lower triangle L of A = L·Lᵀ; above it lie the remains of A.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cholesky(pub Matrix);

impl Cholesky {
    /// L⁻¹ b, in place.
    pub fn forward(&self, b: &mut [f64]) {
        let m = &self.0;
        for i in 0..m.n {
            let row = m.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// L⁻ᵀ b, in place.
    pub fn backward(&self, b: &mut [f64]) {
        let m = &self.0;
        for i in (0..m.n).rev() {
            b[i] /= m.at[i * m.n + i];
            let x = b[i];
            for (j, b) in b[..i].iter_mut().enumerate() {
                *b -= m.at[i * m.n + j] * x;
            }
        }
    }

    /// A⁻¹ b, in place.
    pub fn solve(&self, b: &mut [f64]) {
        self.forward(b);
        self.backward(b);
    }

    /// ln |A|.
    pub fn ln_det(&self) -> f64 {
        (0..self.0.n).map(|i| 2.0 * super::special::ln(self.0.at[i * self.0.n + i])).sum()
    }

    /// A⁻¹.
    pub fn inverse(&self) -> Matrix {
        let n = self.0.n;
        let mut out = Matrix::new(n, |_, _| 0.0);
        let mut column = vec![0.0; n];
        for j in 0..n {
            column.fill(0.0);
            column[j] = 1.0;
            self.solve(&mut column);
            (0..n).for_each(|i| out.at[i * n + j] = column[i]);
        }
        out
    }
}

//! Linear Thompson sampling for contexts (Agrawal & Goyal, ICML 2013), one ridge regression per arm, from counters.
//!
//! θ ~ N(A⁻¹b, v²A⁻¹) with A = λI + Σ x·xᵀ and b = Σ r·x. At a context the rewards of the arms are independent normals, so the policy
//! is their P(best) by quadrature, and the propensity exact.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, in_range};

use super::counts::Count;
use super::linalg::{Cholesky, Matrix, dot};
use super::metric::ONE;
use super::posterior::Posterior;
use super::token::MAX_FEATURES;

/// How contexts are learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearParams {
    /// λ, above 0: how firmly the coefficients are believed to be near 0.
    pub ridge: f64,
    /// v, above 0: how many standard errors wide the exploration is; the noise of one reward, where it is known.
    pub exploration: f64,
}

impl Default for LinearParams {
    fn default() -> Self {
        Self { ridge: 1.0, exploration: 0.1 }
    }
}

impl LinearParams {
    pub(super) fn validate(&self) -> Result<()> {
        in_range("ridge", self.ridge, 1e-9, 1e9)?;
        in_range("exploration", self.exploration, 1e-9, 1e9).map(drop)
    }
}

/// Features as fixed point, with a constant 1 at the end.
pub(super) fn quantize(context: &[f64]) -> Result<Vec<i64>> {
    if context.is_empty() || context.len() >= MAX_FEATURES {
        let n = context.len();
        return Err(Error::invalid(format!("context has {n} features; expected 1 to {}", MAX_FEATURES - 1)));
    }
    let one = |(i, &x): (usize, &f64)| -> Result<i64> {
        if x.is_finite() && x.abs() <= 1_000.0 {
            return Ok((x * ONE as f64).round_ties_even() as i64);
        }
        Err(Error::invalid(format!("context[{i}] is {x}; expected a number from -1000 to 1000: scale the features")))
    };
    let mut fixed = context.iter().enumerate().map(one).collect::<Result<Vec<i64>>>()?;
    fixed.push(ONE);
    Ok(fixed)
}

/// One arm's regression.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// How many rewards it has seen, to know whether it is still true.
    pub seen: (i64, i128),
    factor: Cholesky,
    coefficients: Vec<f64>,
    exploration: f64,
}

impl Fit {
    /// `None` where the counters belong to contexts of another length.
    pub fn new(count: &Count, features: usize, params: &LinearParams) -> Option<Self> {
        let d = features;
        if !count.moments.is_empty() && count.moments.len() != d + d * (d + 1) / 2 {
            return None;
        }
        const UNIT: f64 = 1.0 / (ONE as f64 * ONE as f64);
        let moment = |i: usize| count.moments.get(i).map_or(0.0, |m| *m as f64 * UNIT);
        let gram = Matrix::new(d, |i, j| {
            let (i, j) = (i.max(j), i.min(j));
            moment(d + i * (i + 1) / 2 + j) + if i == j { params.ridge } else { 0.0 }
        });
        let factor = gram.cholesky()?;
        let mut coefficients: Vec<f64> = (0..d).map(moment).collect();
        factor.solve(&mut coefficients);
        Some(Self { seen: (count.n, count.sum), factor, coefficients, exploration: params.exploration })
    }

    /// How many features it knows.
    pub fn features(&self) -> usize {
        self.coefficients.len()
    }

    /// The reward at a context.
    pub fn at(&self, context: &[f64]) -> Posterior {
        let mut half = context.to_vec();
        self.factor.forward(&mut half);
        let mean = dot(&self.coefficients, context);
        Posterior::Normal { mean, sd: self.exploration * libm::sqrt(dot(&half, &half)) }
    }
}

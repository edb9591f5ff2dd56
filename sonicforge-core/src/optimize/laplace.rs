//! A Gaussian prior over the logits of arms, seen through successes and duels: Laplace's approximation.
//!
//! Rasmussen & Williams, "Gaussian Processes for Machine Learning" (2006), section 3.4, with the precision A = K⁻¹ + HᵀWH in place
//! of their B, since a duel looks at a difference of two arms (Bradley & Terry, 1952) and makes HᵀWH more than a diagonal.

use super::linalg::{Cholesky, Matrix, dot};
use super::posterior::{sigmoid, softplus};

/// n trials with s successes (a rating of .3 is .3 of one) at the logit f[arm], or f[arm] − f[against].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trials {
    pub arm: usize,
    pub against: Option<usize>,
    pub n: f64,
    pub s: f64,
}

/// The Gaussian around the mode.
pub(super) struct Laplace {
    pub mode: Vec<f64>,
    /// Of the precision.
    precision: Cholesky,
    /// ln p(data), but for the binomial coefficients.
    pub ln_evidence: f64,
}

/// A prior covariance, taken apart once.
pub(super) struct Prior {
    inverse: Matrix,
    ln_det: f64,
}

impl Prior {
    /// `None` where `covariance` is not positive definite.
    pub fn new(covariance: Matrix) -> Option<Self> {
        let factor = covariance.cholesky()?;
        Some(Self { ln_det: factor.ln_det(), inverse: factor.inverse() })
    }

    /// The posterior after these trials.
    pub fn observe(&self, trials: &[Trials]) -> Option<Laplace> {
        let n = self.inverse.n;
        let logit = |f: &[f64], t: &Trials| f[t.arm] - t.against.map_or(0.0, |a| f[a]);
        let objective = |f: &[f64]| {
            let fit: f64 = trials.iter().map(|t| t.s * logit(f, t) - t.n * softplus(logit(f, t))).sum();
            let prior: f64 = (0..n).map(|i| f[i] * dot(self.inverse.row(i), f)).sum();
            fit - 0.5 * prior
        };
        let mut f = vec![0.0; n];
        let mut value = objective(&f);
        for _ in 0..50 {
            let (gradient, factor) = self.step(&f, trials)?;
            let mut step = gradient.clone();
            factor.solve(&mut step);
            let decrement = dot(&step, &gradient);
            // Newton on a concave function; halved where it overshoots.
            let mut size = 1.0;
            let next = loop {
                let next: Vec<f64> = f.iter().zip(&step).map(|(f, s)| f + size * s).collect();
                let better = objective(&next);
                if better >= value || size < 1e-6 {
                    value = better;
                    break next;
                }
                size *= 0.5;
            };
            f = next;
            if decrement < 1e-12 {
                break;
            }
        }
        let (_, precision) = self.step(&f, trials)?;
        let ln_evidence = value - 0.5 * (self.ln_det + precision.ln_det());
        Some(Laplace { mode: f, precision, ln_evidence })
    }

    /// The gradient of the log posterior, and its precision.
    fn step(&self, f: &[f64], trials: &[Trials]) -> Option<(Vec<f64>, Cholesky)> {
        let n = f.len();
        let mut gradient: Vec<f64> = (0..n).map(|i| -dot(self.inverse.row(i), f)).collect();
        let mut a = self.inverse.clone();
        for t in trials {
            let p = sigmoid(f[t.arm] - t.against.map_or(0.0, |b| f[b]));
            let (slope, weight) = (t.s - t.n * p, t.n * p * (1.0 - p));
            gradient[t.arm] += slope;
            a.at[t.arm * n + t.arm] += weight;
            if let Some(b) = t.against {
                gradient[b] -= slope;
                a.at[b * n + b] += weight;
                a.at[t.arm * n + b] -= weight;
                a.at[b * n + t.arm] -= weight;
            }
        }
        Some((gradient, a.cholesky()?))
    }
}

impl Laplace {
    /// Mean and covariance of some of the arms.
    pub fn marginal(&self, arms: &[usize]) -> (Vec<f64>, Matrix) {
        // Columns of L⁻¹: the covariance is their products.
        let columns: Vec<Vec<f64>> = arms
            .iter()
            .map(|&arm| {
                let mut unit = vec![0.0; self.mode.len()];
                unit[arm] = 1.0;
                self.precision.forward(&mut unit);
                unit
            })
            .collect();
        let covariance = Matrix::new(arms.len(), |i, j| dot(&columns[i], &columns[j]));
        (arms.iter().map(|&arm| self.mode[arm]).collect(), covariance)
    }
}

/// Points of the quasi-Monte-Carlo rule.
const POINTS: usize = 2_048;

/// P(best) of each of jointly normal numbers, and E[max σ(f)], over a Kronecker lattice of √primes (Richtmyer, 1951).
///
/// It is known to about 1/POINTS; half a point each keeps everybody above zero. The policy that is drawn from is this vector itself, so
/// its propensities are exact all the same.
pub(super) fn best_of_normal(mean: &[f64], covariance: &Matrix, optimistic: bool) -> (Vec<f64>, f64) {
    let n = mean.len();
    let factor = jittered(covariance);
    let points = lattice(n);
    let mut wins = vec![0.5; n];
    let mut expected_max = 0.0;
    for z in points.chunks_exact(n.max(1)) {
        let (mut top, mut at) = (f64::NEG_INFINITY, 0);
        for i in 0..n {
            let f = mean[i] + dot(&factor.0.row(i)[..=i], &z[..=i]);
            let f = if optimistic { f.max(mean[i]) } else { f };
            if f > top {
                (top, at) = (f, i);
            }
        }
        wins[at] += 1.0;
        expected_max += sigmoid(top);
    }
    let all = POINTS as f64 + 0.5 * n as f64;
    wins.iter_mut().for_each(|w| *w /= all);
    (wins, expected_max / POINTS as f64)
}

/// The factor of a covariance that rounding may have made a little indefinite.
pub(super) fn jittered(covariance: &Matrix) -> Cholesky {
    let n = covariance.n;
    let size = (0..n).map(|i| covariance.at[i * n + i]).fold(1e-12, f64::max);
    let mut jitter = 0.0;
    loop {
        let mut m = covariance.clone();
        (0..n).for_each(|i| m.at[i * n + i] += jitter);
        if let Some(factor) = m.cholesky() {
            return factor;
        }
        jitter = if jitter == 0.0 { 1e-12 * size } else { jitter * 10.0 };
    }
}

fn lattice(n: usize) -> Vec<f64> {
    let is_prime = |p: &u32| (2..*p).take_while(|d| d * d <= *p).all(|d| p % d != 0);
    let roots: Vec<f64> = (2u32..).filter(is_prime).take(n).map(|p| libm::sqrt(f64::from(p))).collect();
    let mut out = Vec::with_capacity(POINTS * n);
    for k in 0..POINTS {
        for root in &roots {
            let x = (k as f64 + 0.5) * root;
            out.push(super::special::normal_quantile((x - libm::floor(x)).clamp(1e-12, 1.0 - 1e-12)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_arm_is_near_its_beta() {
        // A logit prior of variance 3 looks like Beta(1, 1); with 60 trials the data speaks.
        let prior = Prior::new(Matrix::new(1, |_, _| 3.0)).unwrap();
        let seen = prior.observe(&[Trials { arm: 0, against: None, n: 60.0, s: 45.0 }]).unwrap();
        let (mean, covariance) = seen.marginal(&[0]);
        assert!((sigmoid(mean[0]) - 46.0 / 62.0).abs() < 0.01, "{mean:?}");
        let beta = super::super::special::trigamma(46.0) + super::super::special::trigamma(16.0);
        assert!((covariance.at[0] / beta - 1.0).abs() < 0.1, "{} {beta}", covariance.at[0]);
        let exact = super::super::special::ln_beta(46.0, 16.0) - super::super::special::ln_beta(1.0, 1.0);
        assert!((seen.ln_evidence - exact).abs() < 0.15, "{} {exact}", seen.ln_evidence);
    }

    #[test]
    fn duels_order_arms_that_never_met() {
        let prior = Prior::new(Matrix::new(3, |i, j| if i == j { 1.0 } else { 0.0 })).unwrap();
        let duel = |arm, against, s| Trials { arm, against: Some(against), n: 20.0, s };
        let seen = prior.observe(&[duel(0, 1, 15.0), duel(1, 2, 15.0)]).unwrap();
        let (mean, covariance) = seen.marginal(&[0, 1, 2]);
        assert!(mean[0] > mean[1] && mean[1] > mean[2]);
        let (p, _) = best_of_normal(&mean, &covariance, false);
        assert!(p[0] > 0.9 && (p.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{p:?}");
    }

    #[test]
    fn quasi_monte_carlo_against_quadrature() {
        let (mean, sd) = ([0.0, 0.3, -0.2, 0.1], [1.0, 0.5, 0.8, 0.1]);
        let (p, _) = best_of_normal(&mean, &Matrix::new(4, |i, j| if i == j { sd[i] * sd[i] } else { 0.0 }), false);
        let exact: Vec<_> =
            (0..4).map(|i| super::super::posterior::Posterior::Normal { mean: mean[i], sd: sd[i] }).collect();
        let exact = super::super::best::best(&exact, false).probabilities;
        assert!(p.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 4e-3), "{p:?} {exact:?}");
    }
}

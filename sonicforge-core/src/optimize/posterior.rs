//! What is believed of one number.

use super::special::{
    beta_cdf, beta_quantile, bisect, exp, ln, ln_beta, ln_gamma, normal_cdf, normal_quantile, trigamma,
};

/// A distribution of a mean reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Posterior {
    /// Of a probability.
    Beta {
        /// 1 + successes, with the uniform prior.
        a: f64,
        /// 1 + failures.
        b: f64,
    },
    /// Of a real mean.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        sd: f64,
    },
    /// Of a real mean whose variance is unknown too: location + scale · t.
    StudentT {
        /// Its location.
        location: f64,
        /// Its scale.
        scale: f64,
        /// Degrees of freedom.
        dof: f64,
    },
    /// Of a probability whose logit is normal.
    LogitNormal {
        /// Mean of the logit.
        mean: f64,
        /// Standard deviation of the logit.
        sd: f64,
    },
}

/// Nodes and weights of Gauss–Hermite for N(0, 1), seven points (DLMF 3.5.28).
const HERMITE: [(f64, f64); 4] = [
    (0.0, 0.457_142_857_142_857_1),
    (1.154_405_394_739_968, 0.240_123_178_605_012_7),
    (2.366_759_410_734_541, 0.030_757_123_967_586_5),
    (3.750_439_717_725_742, 0.000_548_268_855_972_217_9),
];

/// E[g(σ(X))] for normal X.
fn hermite(mean: f64, sd: f64, g: impl Fn(f64) -> f64) -> f64 {
    let at = |z: f64| g(sigmoid(mean + sd * z));
    HERMITE.iter().map(|&(z, w)| if z == 0.0 { w * at(0.0) } else { w * (at(z) + at(-z)) }).sum()
}

impl Posterior {
    /// Its mean; of a Student t with at most one degree of freedom the location.
    pub fn mean(&self) -> f64 {
        match *self {
            Posterior::Beta { a, b } => a / (a + b),
            Posterior::Normal { mean, .. } => mean,
            Posterior::StudentT { location, .. } => location,
            Posterior::LogitNormal { mean, sd } => hermite(mean, sd, |p| p),
        }
    }

    /// Its variance; of a Student t with at most two degrees of freedom that of the next with a finite one, ν = 2.1.
    pub fn variance(&self) -> f64 {
        match *self {
            Posterior::Beta { a, b } => a * b / ((a + b) * (a + b) * (a + b + 1.0)),
            Posterior::Normal { sd, .. } => sd * sd,
            Posterior::StudentT { scale, dof, .. } => {
                let dof = dof.max(2.1);
                scale * scale * dof / (dof - 2.0)
            }
            Posterior::LogitNormal { mean, sd } => {
                let center = self.mean();
                hermite(mean, sd, |p| (p - center) * (p - center))
            }
        }
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        match *self {
            Posterior::Beta { a, b } => beta_cdf(x, a, b),
            Posterior::Normal { mean, sd } => normal_cdf((x - mean) / sd),
            Posterior::StudentT { location, scale, dof } => {
                let t = (x - location) / scale;
                let tail = 0.5 * beta_cdf(dof / (dof + t * t), 0.5 * dof, 0.5);
                if t < 0.0 { tail } else { 1.0 - tail }
            }
            Posterior::LogitNormal { mean, sd } => {
                if x <= 0.0 || x >= 1.0 {
                    return if x <= 0.0 { 0.0 } else { 1.0 };
                }
                normal_cdf((ln(x / (1.0 - x)) - mean) / sd)
            }
        }
    }

    /// Where P(X ≤ x) = q.
    pub fn quantile(&self, q: f64) -> f64 {
        match *self {
            Posterior::Beta { a, b } => beta_quantile(q, a, b),
            Posterior::Normal { mean, sd } => mean + sd * normal_quantile(q),
            Posterior::StudentT { location, scale, .. } => {
                let mut reach = scale;
                while (self.cdf(location - reach) > q || self.cdf(location + reach) < q) && reach < 1e300 {
                    reach *= 2.0;
                }
                bisect(location - reach, location + reach, |x| self.cdf(x) < q)
            }
            Posterior::LogitNormal { mean, sd } => sigmoid(mean + sd * normal_quantile(q)),
        }
    }

    /// The density's shape, for the quadrature: Beta over the logit, the others over the value itself.
    pub(super) fn curve(&self) -> Curve {
        match *self {
            Posterior::Beta { a, b } => {
                let ln_norm = -ln_beta(a, b);
                let log = |x: f64| log_logistic_beta(x, a, b);
                let peak = ln(a / b);
                let drop = log(peak) - DROP;
                // Newton on a concave function, from outside: one side falls like a·x, the other like −b·x.
                let edge = |mut x: f64, slope_sign: f64| {
                    for _ in 0..60 {
                        let slope = a - (a + b) * sigmoid(x);
                        let gap = log(x) - drop;
                        if gap.abs() < 0.1 || slope * slope_sign <= 0.0 {
                            break;
                        }
                        x -= gap / slope;
                    }
                    x
                };
                let low = edge(peak - DROP / a - 2.0, 1.0);
                let high = edge(peak + DROP / b + 2.0, -1.0);
                let scale = libm::sqrt(trigamma(a) + trigamma(b)).min(1.0);
                Curve { shape: Shape::LogisticBeta { a, b }, ln_norm, center: peak, scale, low, high }
            }
            Posterior::Normal { mean, sd } => {
                let sd = sd.max(1e-150);
                let ln_norm = -0.5 * ln(2.0 * std::f64::consts::PI) - ln(sd);
                let (low, high) = (mean - 8.2 * sd, mean + 8.2 * sd);
                Curve { shape: Shape::Normal, ln_norm, center: mean, scale: sd, low, high }
            }
            Posterior::StudentT { location, scale, dof } => {
                let scale = scale.max(1e-150);
                let half = 0.5 * dof;
                let ln_norm = ln_gamma(half + 0.5) - ln_gamma(half) - 0.5 * ln(dof * std::f64::consts::PI) - ln(scale);
                let mut curve =
                    Curve { shape: Shape::StudentT { dof }, ln_norm, center: location, scale, low: 0.0, high: 0.0 };
                // The tail beyond t holds less than t·f(t)/ν.
                let mut reach = 4.0;
                while reach * scale * curve.density(location + reach * scale) / dof > 1e-13 && reach < 1e15 {
                    reach *= 1.5;
                }
                (curve.low, curve.high) = (location - reach * scale, location + reach * scale);
                curve
            }
            Posterior::LogitNormal { .. } => {
                Posterior::Normal { mean: self.mean(), sd: libm::sqrt(self.variance()) }.curve()
            }
        }
    }
}

/// A density is zero to us where its logarithm is this far below its peak's: 10⁻¹⁴.
const DROP: f64 = 33.0;

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// ln(1 + eˣ).
pub(super) fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + libm::log1p(exp(-x)) } else { libm::log1p(exp(x)) }
}

/// ln θᵃ(1−θ)ᵇ at θ = 1/(1+e⁻ˣ): the density of a Beta's logit but for its constant.
fn log_logistic_beta(x: f64, a: f64, b: f64) -> f64 {
    a * x - (a + b) * softplus(x)
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    LogisticBeta { a: f64, b: f64 },
    Normal,
    StudentT { dof: f64 },
}

/// A density over the coordinate of the quadrature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    shape: Shape,
    ln_norm: f64,
    center: f64,
    scale: f64,
    /// Outside of low … high it is taken as zero.
    pub low: f64,
    pub high: f64,
}

impl Curve {
    pub fn density(&self, x: f64) -> f64 {
        exp(self.ln_norm
            + match self.shape {
                Shape::LogisticBeta { a, b } => log_logistic_beta(x, a, b),
                Shape::Normal => {
                    let z = (x - self.center) / self.scale;
                    -0.5 * z * z
                }
                Shape::StudentT { dof } => {
                    let z = (x - self.center) / self.scale;
                    -0.5 * (dof + 1.0) * libm::log1p(z * z / dof)
                }
            })
    }

    /// The length over which it changes around x.
    pub fn scale_at(&self, x: f64) -> f64 {
        match self.shape {
            Shape::StudentT { .. } => self.scale.max(0.2 * (x - self.center).abs()),
            _ => self.scale,
        }
    }

    /// The coordinate of a value.
    pub fn coordinate(&self, value: f64) -> f64 {
        match self.shape {
            Shape::LogisticBeta { .. } => ln(value / (1.0 - value)),
            _ => value,
        }
    }

    /// The value at a coordinate.
    pub fn value(&self, x: f64) -> f64 {
        match self.shape {
            Shape::LogisticBeta { .. } => sigmoid(x),
            _ => x,
        }
    }
}

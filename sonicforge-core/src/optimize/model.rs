//! From counters to posteriors: Beta for what lies between 0 and 1, normal-inverse-gamma for real values.

use super::counts::Count;
use super::metric::{Metric, MetricKind};
use super::posterior::Posterior;
use super::special::{ln, ln_beta, ln_gamma};

/// Sums that a view weighs: discounted counts are no whole numbers any more.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Stats {
    pub n: f64,
    pub sum: f64,
    pub sq: f64,
}

impl Stats {
    pub fn add(&mut self, other: &Self, weight: f64) {
        self.n += weight * other.n;
        self.sum += weight * other.sum;
        self.sq += weight * other.sq;
    }

    pub fn plus(mut self, other: &Self) -> Self {
        self.add(other, 1.0);
        self
    }
}

impl From<&Count> for Stats {
    fn from(count: &Count) -> Self {
        Self { n: count.n as f64, sum: count.total(), sq: count.squares() }
    }
}

/// What is believed of a metric before an arm has said anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Prior {
    Beta {
        a: f64,
        b: f64,
    },
    /// Normal-inverse-gamma: μ | σ² ~ N(m, σ²/κ), σ² ~ IG(α, β) (Murphy, 2007, "Conjugate Bayesian analysis of the Gaussian").
    Nig {
        m: f64,
        kappa: f64,
        alpha: f64,
        beta: f64,
    },
}

impl Prior {
    /// Of a metric whose arms together have seen `pooled`. A real metric has no scale of its own: its arms are believed to lie around
    /// their common mean, within their common spread, as firmly as one observation says.
    pub fn of(metric: &Metric, beta: (f64, f64), pooled: &Stats) -> Self {
        match metric.kind {
            MetricKind::Binary | MetricKind::Rating => Prior::Beta { a: beta.0, b: beta.1 },
            MetricKind::Real => {
                let m = if pooled.n > 0.0 { pooled.sum / pooled.n } else { 0.0 };
                let spread = if pooled.n > 1.0 { (pooled.sq / pooled.n - m * m).max(0.0) } else { 0.0 };
                // Where nothing has varied yet: a unit, or a tenth of what was seen.
                let floor = if pooled.n > 0.0 { (0.1 * m).abs().max(1e-3) } else { 1.0 };
                Prior::Nig { m, kappa: 1.0, alpha: 1.0, beta: spread.max(floor * floor * 0.01) }
            }
        }
    }

    /// The posterior of the mean.
    pub fn posterior(&self, s: &Stats) -> Posterior {
        match *self {
            Prior::Beta { a, b } => {
                // Revisions and discounting leave tiny negative remainders.
                Posterior::Beta { a: a + s.sum.max(0.0), b: b + (s.n - s.sum).max(0.0) }
            }
            Prior::Nig { .. } => {
                let (m, kappa, alpha, beta) = self.nig(s);
                Posterior::StudentT { location: m, scale: libm::sqrt(beta / (alpha * kappa)), dof: 2.0 * alpha }
            }
        }
    }

    /// ln p(data), of one order of it.
    pub fn ln_evidence(&self, s: &Stats) -> f64 {
        match *self {
            Prior::Beta { a, b } => ln_beta(a + s.sum.max(0.0), b + (s.n - s.sum).max(0.0)) - ln_beta(a, b),
            Prior::Nig { kappa: k0, alpha: a0, beta: b0, .. } => {
                let (_, k, a, b) = self.nig(s);
                ln_gamma(a) - ln_gamma(a0) + a0 * ln(b0) - a * ln(b) + 0.5 * ln(k0 / k)
                    - 0.5 * s.n * ln(2.0 * std::f64::consts::PI)
            }
        }
    }

    fn nig(&self, s: &Stats) -> (f64, f64, f64, f64) {
        let Prior::Nig { m, kappa, alpha, beta } = *self else { return (0.0, 1.0, 1.0, 1.0) };
        let n = s.n.max(0.0);
        if n == 0.0 {
            return (m, kappa, alpha, beta);
        }
        let mean = s.sum / n;
        let within = (s.sq - n * mean * mean).max(0.0);
        let between = kappa * n * (mean - m) * (mean - m) / (kappa + n);
        ((kappa * m + s.sum) / (kappa + n), kappa + n, alpha + 0.5 * n, beta + 0.5 * (within + between))
    }
}

/// The posterior of Σ weight · mean over metrics: exact for one, the normal of its moments for several.
pub(super) fn utility(parts: &[(f64, Posterior)]) -> Posterior {
    if let [(weight, posterior)] = parts
        && *weight > 0.0
    {
        return match *posterior {
            Posterior::Normal { mean, sd } => Posterior::Normal { mean: weight * mean, sd: weight * sd },
            Posterior::StudentT { location, scale, dof } => {
                Posterior::StudentT { location: weight * location, scale: weight * scale, dof }
            }
            // The order of arms does not depend on the weight.
            beta => beta,
        };
    }
    let mean = parts.iter().map(|(w, p)| w * p.mean()).sum();
    let variance: f64 = parts.iter().map(|(w, p)| w * w * p.variance()).sum();
    Posterior::Normal { mean, sd: libm::sqrt(variance) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nig_is_students() {
        let prior = Prior::Nig { m: 0.0, kappa: 1e-9, alpha: 1e-9, beta: 1e-9 };
        let data = [2.0, 4.0, 9.0, 3.0, 7.0];
        let mut s = Stats::default();
        data.iter().for_each(|x| s.add(&Stats { n: 1.0, sum: *x, sq: x * x }, 1.0));
        // With a vague prior the interval is the one of the t test but for n against n − 1 degrees of freedom.
        let Posterior::StudentT { location, scale, dof } = prior.posterior(&s) else { panic!() };
        assert!((location - 5.0).abs() < 1e-6 && (dof - 5.0).abs() < 1e-6);
        assert!((scale - (34.0f64 / 5.0 / 5.0).sqrt()).abs() < 1e-6, "{scale}");
        // Evidence is a chain of predictions: one by one as all at once.
        let prior = Prior::Nig { m: 1.0, kappa: 2.0, alpha: 3.0, beta: 4.0 };
        let mut chain = 0.0;
        let mut seen = Stats::default();
        for x in data {
            let one = Stats { n: 1.0, sum: x, sq: x * x };
            chain += prior.ln_evidence(&seen.plus(&one)) - prior.ln_evidence(&seen);
            seen.add(&one, 1.0);
        }
        assert!((chain - prior.ln_evidence(&s)).abs() < 1e-12);
        // The first of them is a Student t with 2α degrees of freedom around m, of scale √(β(κ+1)/(ακ)).
        let first = prior.ln_evidence(&Stats { n: 1.0, sum: 2.0, sq: 4.0 });
        let t = Posterior::StudentT { location: 1.0, scale: (4.0f64 * 3.0 / (3.0 * 2.0)).sqrt(), dof: 6.0 };
        let slope = (t.cdf(2.0001) - t.cdf(1.9999)) / 0.0002;
        assert!((first - slope.ln()).abs() < 1e-6, "{first} {}", slope.ln());
    }
}

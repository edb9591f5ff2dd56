//! What variants and concepts have in common: a Gaussian process over logits, its kernel chosen by evidence.
//!
//! k(v, v′) = base + slots·x·x′ + [same concept] (level + concept_slots·x·x′ + residual·[same variant]), where x·x′ is the share of
//! slots with equal values. Six beliefs compete, from "slots explain everything" to "nothing is shared" (exact Beta posteriors);
//! each counts by its evidence over all arms, so what slots do not explain is soon not asked of them. Hierarchical Thompson
//! sampling: Hong et al., 2022; slots as metadata: Wan et al., 2021.

use super::best::best;
use super::laplace::{Prior, Trials, best_of_normal};
use super::linalg::Matrix;
use super::model::{self, Stats};
use super::posterior::Posterior;
use super::special::exp;

/// An arm as the kernel sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arm {
    /// Number of its concept.
    pub concept: u32,
    /// Number of its variant: the same variant of another concept has the same.
    pub variant: u64,
    /// Numbers of its slot values, sorted.
    pub values: Vec<u32>,
    pub stats: Stats,
}

struct Kernel {
    base: f64,
    slots: f64,
    level: f64,
    concept_slots: f64,
    residual: f64,
}

/// Variances of logits; a spread of 1 is one between 27 % and 73 %.
const KERNELS: [Kernel; 6] = [
    Kernel { base: 1.0, slots: 1.0, level: 0.1, concept_slots: 0.0, residual: 0.02 },
    Kernel { base: 1.0, slots: 0.4, level: 0.1, concept_slots: 0.0, residual: 0.03 },
    Kernel { base: 1.0, slots: 0.4, level: 0.1, concept_slots: 0.25, residual: 0.1 },
    Kernel { base: 1.0, slots: 0.2, level: 0.1, concept_slots: 0.1, residual: 0.3 },
    // Slots mean nothing; what is shared is how good and how different variants are.
    Kernel { base: 1.0, slots: 0.0, level: 0.1, concept_slots: 0.0, residual: 0.6 },
    // Nothing is shared; stands in for Beta where there are duels, which Beta does not know.
    Kernel { base: 0.0, slots: 0.0, level: 0.0, concept_slots: 0.0, residual: 3.0 },
];
/// Prior probability of each kernel.
const PRIOR: [f64; 6] = [0.25, 0.2, 0.2, 0.1, 0.15, 0.1];
/// A kernel below this share is left out.
const NEGLIGIBLE: f64 = 0.002;

/// What the kernels together say of a concept's offered arms.
pub(super) struct Shared {
    /// P(best) of each.
    pub probabilities: Vec<f64>,
    pub expected_max: f64,
    /// Of each arm its posterior under each kernel, with the kernel's share.
    pub posteriors: Vec<Vec<(f64, Posterior)>>,
}

/// The arms in the view: `own` are the offered ones among them. `beta` is the prior of an arm alone.
pub(super) fn fit(arms: &[Arm], own: &[usize], duels: &[Trials], beta: (f64, f64), optimistic: bool) -> Option<Shared> {
    let trials: Vec<Trials> = arms
        .iter()
        .enumerate()
        .filter(|(_, a)| a.stats.n > 0.0)
        .map(|(arm, a)| Trials { arm, against: None, n: a.stats.n, s: a.stats.sum.clamp(0.0, a.stats.n) })
        .chain(duels.iter().copied())
        .collect();
    let alone = model::Prior::Beta { a: beta.0, b: beta.1 };
    let mut beliefs: Vec<(f64, Vec<f64>, f64, Vec<Posterior>)> = Vec::new();
    for (kernel, prior) in KERNELS.iter().zip(PRIOR) {
        let ln_prior = super::special::ln(prior);
        if kernel.base == 0.0 && duels.is_empty() {
            let evidence: f64 = arms.iter().map(|a| alone.ln_evidence(&a.stats)).sum();
            let posteriors: Vec<Posterior> = own.iter().map(|&i| alone.posterior(&arms[i].stats)).collect();
            let b = best(&posteriors, optimistic);
            beliefs.push((ln_prior + evidence, b.probabilities, b.expected_max, posteriors));
            continue;
        }
        let covariance = Matrix::new(arms.len(), |i, j| kernel.of(&arms[i], &arms[j], i == j));
        let seen = Prior::new(covariance)?.observe(&trials)?;
        let (mean, covariance) = seen.marginal(own);
        let (p, expected_max) = best_of_normal(&mean, &covariance, optimistic);
        let sd = |i: usize| libm::sqrt(covariance.at[i * own.len() + i]);
        let posteriors = (0..own.len()).map(|i| Posterior::LogitNormal { mean: mean[i], sd: sd(i) }).collect();
        beliefs.push((ln_prior + seen.ln_evidence, p, expected_max, posteriors));
    }
    let top = beliefs.iter().map(|b| b.0).fold(f64::NEG_INFINITY, f64::max);
    beliefs.retain(|b| exp(b.0 - top) >= NEGLIGIBLE);
    let all: f64 = beliefs.iter().map(|b| exp(b.0 - top)).sum();
    let mut out =
        Shared { probabilities: vec![0.0; own.len()], expected_max: 0.0, posteriors: vec![Vec::new(); own.len()] };
    for (ln_weight, p, expected_max, posteriors) in beliefs {
        let weight = exp(ln_weight - top) / all;
        out.expected_max += weight * expected_max;
        for i in 0..own.len() {
            out.probabilities[i] += weight * p[i];
            out.posteriors[i].push((weight, posteriors[i]));
        }
    }
    Some(out)
}

impl Kernel {
    fn of(&self, a: &Arm, b: &Arm, same: bool) -> f64 {
        let all = a.values.len().max(b.values.len());
        let alike = if all == 0 { 0.0 } else { common(&a.values, &b.values) as f64 / all as f64 };
        let mut k = self.base + self.slots * alike;
        if a.concept == b.concept {
            k += self.level + self.concept_slots * alike;
            if a.variant == b.variant {
                k += self.residual;
            }
        }
        // Keeps the matrix positive definite, whatever rounding does.
        if same { k + 1e-6 } else { k }
    }
}

/// How many numbers two sorted lists have in common.
fn common(a: &[u32], b: &[u32]) -> usize {
    let (mut i, mut j, mut n) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, n) = (i + 1, j + 1, n + 1),
        }
    }
    n
}

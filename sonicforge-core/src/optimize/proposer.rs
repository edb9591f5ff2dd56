//! New variants: spread by design at first, then by what the slots have shown.
//!
//! The first ones maximize det(I + M), M the number of slots in which two variants agree: a D-optimal design for slot effects, found by
//! exchanging one coordinate at a time (Meyer & Nachtsheim, 1995). Later ones are the best assignment under effects drawn from their
//! posterior; effects add up, so the best is found slot by slot, without looking at the other 57,599 combinations.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::error::{Error, Result};

use super::laplace::jittered;
use super::linalg::{Cholesky, Matrix};
use super::metric::{Metric, MetricKind};
use super::model::Stats;
use super::sampling::normals;
use super::space::Space;
use super::variant::VariantId;
use super::view::{Counters, Variants};

/// Assignments as far from each other as can be, at most `count` different ones: the best of a greedy start and a few random ones, each
/// improved by exchange.
pub(super) fn spread(space: &Space, concept: &str, count: usize, seed: u64) -> Vec<Vec<u16>> {
    let count = usize::try_from(space.size()).unwrap_or(usize::MAX).min(count);
    // Each concept begins elsewhere, so that together they see more of the space.
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ VariantId::of_text(concept).0);
    let sizes: Vec<usize> = space.slots.iter().map(|s| s.values.len()).collect();
    let mut best = greedy(&sizes, count, &mut rng);
    // Of many, a greedy start is good enough.
    for _ in 0..if count <= 16 { STARTS } else { 0 } {
        if total(&best) == 0 {
            break;
        }
        let random = |rng: &mut ChaCha8Rng| sizes.iter().map(|n| (rng.next_u64() as usize % n) as u16).collect();
        let mut other: Vec<Vec<u16>> = (0..count).map(|_| random(&mut rng)).collect();
        exchange(&mut other, &sizes);
        if total(&other) < total(&best) && (1..count).all(|i| !other[..i].contains(&other[i])) {
            best = other;
        }
    }
    best
}

/// Random starts besides the greedy one.
const STARTS: usize = 8;

/// In how many slots two assignments agree, squared: two agreements with one are worse than one with each of two. The sum over all
/// pairs stands for −2 ln det(I + M), to second order.
fn agreement(a: &[u16], b: &[u16]) -> u64 {
    (a.iter().zip(b).filter(|(x, y)| x == y).count() as u64).pow(2)
}

fn total(chosen: &[Vec<u16>]) -> u64 {
    chosen.iter().enumerate().map(|(i, a)| chosen[..i].iter().map(|b| agreement(a, b)).sum::<u64>()).sum()
}

/// Changes one slot of one assignment at a time, as long as that lowers the total.
fn exchange(chosen: &mut [Vec<u16>], sizes: &[usize]) {
    loop {
        let before = total(chosen);
        for i in 0..chosen.len() {
            for (slot, n) in sizes.iter().enumerate() {
                let cost = |c: &[Vec<u16>], v: &[u16]| -> u64 {
                    c.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, o)| agreement(o, v)).sum()
                };
                for t in 1..(*n).min(64) {
                    let mut other = chosen[i].clone();
                    other[slot] = ((usize::from(chosen[i][slot]) + t) % n) as u16;
                    if cost(chosen, &other) < cost(chosen, &chosen[i]) {
                        chosen[i] = other;
                    }
                }
            }
        }
        if total(chosen) == before {
            return;
        }
    }
}

/// One after another, each as far as can be from those before; all different.
fn greedy(sizes: &[usize], count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u16>> {
    let mut chosen: Vec<Vec<u16>> = Vec::with_capacity(count);
    let offset: Vec<usize> = sizes.iter().map(|n| rng.next_u64() as usize % n).collect();
    while chosen.len() < count {
        // In turn, which is optimal where there are enough values; then one slot at a time, as long as it helps.
        let j = chosen.len();
        let mut next: Vec<u16> = sizes.iter().zip(&offset).map(|(n, o)| ((o + j) % n) as u16).collect();
        let cost = |next: &[u16]| -> (bool, u64) {
            (chosen.iter().any(|c| c == next), chosen.iter().map(|c| agreement(c, next)).sum())
        };
        for _ in 0..4 {
            let before = cost(&next);
            for (slot, n) in sizes.iter().enumerate() {
                for t in 1..(*n).min(64) {
                    let mut other = next.clone();
                    other[slot] = ((usize::from(next[slot]) + t) % n) as u16;
                    if cost(&other) < cost(&next) {
                        next = other;
                    }
                }
            }
            if cost(&next) == before {
                break;
            }
        }
        if cost(&next).0 {
            // Everything near is taken: the next free one in counting order.
            match free(sizes, &chosen, &next) {
                Some(found) => next = found,
                None => break,
            }
        }
        chosen.push(next);
    }
    chosen
}

/// The first assignment after `from`, in counting order and around, that is not taken.
fn free(sizes: &[usize], taken: &[Vec<u16>], from: &[u16]) -> Option<Vec<u16>> {
    let mut next = from.to_vec();
    for _ in 0..=taken.len() {
        if !taken.contains(&next) {
            return Some(next);
        }
        for (value, n) in next.iter_mut().zip(sizes) {
            *value = ((usize::from(*value) + 1) % n) as u16;
            if *value != 0 {
                break;
            }
        }
    }
    (!taken.contains(&next)).then_some(next)
}

/// What is believed of the effect of every value of every slot: jointly normal.
#[derive(Debug, Clone)]
pub struct Effects {
    mean: Vec<f64>,
    /// Of the covariance.
    factor: Cholesky,
    /// Where the values of each slot begin.
    begin: Vec<usize>,
}

/// Variance of one slot's effect on the logit; of the concept's level; of what slots do not explain.
const SLOT: f64 = 0.5;
const LEVEL: f64 = 1.0;

impl Effects {
    /// From all counters of variants with slots; those of the concept weigh in full, those of others a half.
    pub(super) fn fit(
        space: &Space,
        concept: &str,
        metric: &Metric,
        variants: &Variants,
        counters: &Counters,
    ) -> Result<Self> {
        let mut begin = vec![0];
        space.slots.iter().for_each(|s| begin.push(begin[begin.len() - 1] + s.values.len()));
        let values = begin[space.slots.len()];
        if values > 4_096 {
            return Err(Error::Unsupported(format!("the slots have {values} values; proposals take up to 4096")));
        }
        let concepts: BTreeMap<&str, usize> = variants.keys().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
        let sign = metric.weight.signum();
        let mut rows: Vec<(Vec<usize>, Stats)> = Vec::new();
        for (name, of_concept) in variants {
            let mut sums: BTreeMap<VariantId, Stats> = BTreeMap::new();
            for (key, count) in counters.get(name).into_iter().flatten() {
                if key.metric == metric.name && key.against.is_none() {
                    let weight = if name == concept { 1.0 } else { 0.5 };
                    sums.entry(key.variant).or_default().add(&Stats::from(count), weight);
                }
            }
            for (id, stats) in sums {
                let indices = of_concept.get(&id).and_then(|v| space.indices(&v.slots).ok());
                if let Some(indices) = indices.filter(|_| stats.n > 0.0) {
                    let mut row: Vec<usize> = indices.iter().zip(&begin).map(|(v, b)| b + usize::from(*v)).collect();
                    row.push(values + concepts[name.as_str()]);
                    rows.push((row, stats));
                }
            }
        }
        let d = values + concepts.len();
        let (mean, factor) = if metric.kind == MetricKind::Real {
            gaussian(d, values, &rows, sign)?
        } else {
            logistic(d, values, &rows, sign)?
        };
        Ok(Self { mean, factor, begin })
    }

    /// The best assignment under effects that are drawn anew.
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<u16> {
        let n = self.mean.len();
        let mut z = vec![0.0; n];
        normals(rng, &mut z);
        let effect: Vec<f64> =
            (0..n).map(|i| self.mean[i] + super::linalg::dot(&self.factor.0.row(i)[..=i], &z[..=i])).collect();
        self.begin
            .windows(2)
            .map(|w| (w[0]..w[1]).fold(w[0], |m, i| if effect[i] > effect[m] { i } else { m }) as u16 - w[0] as u16)
            .collect()
    }

    /// Assignments that are not taken, each the best under a draw of its own.
    pub(super) fn propose(&self, space: &Space, count: usize, taken: &[Vec<u16>], rng: &mut impl Rng) -> Vec<Vec<u16>> {
        let sizes: Vec<usize> = space.slots.iter().map(|s| s.values.len()).collect();
        let mut taken = taken.to_vec();
        let mut out = Vec::new();
        while out.len() < count {
            let mut next = self.draw(rng);
            for _ in 0..64 {
                if !taken.contains(&next) {
                    break;
                }
                next = self.draw(rng);
            }
            let Some(next) = free(&sizes, &taken, &next) else { break };
            taken.push(next.clone());
            out.push(next);
        }
        out
    }
}

/// Effects on the logit by Laplace's approximation: Newton steps over the effects, of which each row sums some.
fn logistic(d: usize, values: usize, rows: &[(Vec<usize>, Stats)], sign: f64) -> Result<(Vec<f64>, Cholesky)> {
    let failed = || Error::Internal("the slot effects have no posterior".into());
    let prior = |i: usize| if i < values { SLOT } else { LEVEL };
    let mut w = vec![0.0; d];
    let mut last = f64::INFINITY;
    let mut precision = Matrix::new(d, |i, j| if i == j { 1.0 / prior(i) } else { 0.0 });
    for _ in 0..60 {
        let mut gradient: Vec<f64> = (0..d).map(|i| -w[i] / prior(i)).collect();
        precision = Matrix::new(d, |i, j| if i == j { 1.0 / prior(i) } else { 0.0 });
        for (row, s) in rows {
            let p = super::posterior::sigmoid(row.iter().map(|&i| w[i]).sum());
            let wins = if sign < 0.0 { s.n - s.sum } else { s.sum };
            let (slope, weight) = (wins - s.n * p, s.n * p * (1.0 - p));
            for &i in row {
                gradient[i] += slope;
                row.iter().for_each(|&j| precision.at[i * d + j] += weight);
            }
        }
        let mut step = gradient.clone();
        precision.clone().cholesky().ok_or_else(failed)?.solve(&mut step);
        let size: f64 = step.iter().map(|s| s * s).sum::<f64>();
        // Damped where a full step would leap.
        let shrink = if size > 4.0 { 2.0 / libm::sqrt(size) } else { 1.0 };
        w.iter_mut().zip(&step).for_each(|(w, s)| *w += shrink * s);
        if size < 1e-16 || (size >= last && size < 1e-10) {
            break;
        }
        last = size;
    }
    let covariance = precision.cholesky().ok_or_else(failed)?.inverse();
    Ok((w, jittered(&covariance)))
}

/// The same for real values, in units of their spread.
fn gaussian(d: usize, values: usize, rows: &[(Vec<usize>, Stats)], sign: f64) -> Result<(Vec<f64>, Cholesky)> {
    let mut all = Stats::default();
    rows.iter().for_each(|(_, s)| all.add(s, 1.0));
    let center = if all.n > 0.0 { all.sum / all.n } else { 0.0 };
    let spread = if all.n > 1.0 { (all.sq / all.n - center * center).max(1e-12) } else { 1.0 };
    let unit = libm::sqrt(spread);
    let mut precision = Matrix::new(d, |i, j| {
        if i != j {
            0.0
        } else if i < values {
            1.0 / SLOT
        } else {
            1.0 / LEVEL
        }
    });
    let mut mean = vec![0.0; d];
    for (row, s) in rows {
        for &i in row {
            mean[i] += sign * (s.sum - s.n * center) / unit;
            row.iter().for_each(|&j| precision.at[i * d + j] += s.n);
        }
    }
    let factor = precision.cholesky().ok_or_else(|| Error::Internal("the slot effects have no posterior".into()))?;
    factor.solve(&mut mean);
    Ok((mean, jittered(&factor.inverse())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::space::Slot;

    fn space(sizes: &[usize]) -> Space {
        let slot = |(i, n): (usize, &usize)| Slot {
            name: format!("s{i}"),
            values: (0..*n).map(|v| format!("v{v}")).collect(),
        };
        let slots: Vec<Slot> = sizes.iter().enumerate().map(slot).collect();
        let template = slots.iter().map(|s| format!("{{{}}}", s.name)).collect::<String>();
        Space::new(slots, template).unwrap()
    }

    #[test]
    fn the_first_four_share_nothing_where_that_can_be() {
        let four = spread(&space(&[10, 8, 12, 6, 10]), "rain", 4, 0);
        for (i, a) in four.iter().enumerate() {
            assert!(four[..i].iter().all(|b| a.iter().zip(b).all(|(x, y)| x != y)), "{four:?}");
        }
        // With three slots of two values the four of a half fraction, 2 ** (3-1): any two differ in two slots.
        let four = spread(&space(&[2, 2, 2]), "rain", 4, 0);
        for (i, a) in four.iter().enumerate() {
            assert!(four[..i].iter().all(|b| a.iter().zip(b).filter(|(x, y)| x != y).count() >= 2), "{four:?}");
        }
        // All there are, once each.
        let mut all = spread(&space(&[2, 1, 3]), "rain", 100, 0);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn proposals_follow_the_effects() {
        let space = space(&[4, 4]);
        let mut variants = Variants::new();
        let mut counters = Counters::new();
        for (a, b) in (0..4u16).flat_map(|a| (0..4u16).map(move |b| (a, b))) {
            // The second value of the first slot is good, and the third of the second.
            let v = space.variant("c", space.assignment(&[a, b])).unwrap();
            let key = super::super::counts::Key {
                concept: "c".into(),
                variant: v.id,
                against: None,
                metric: "approval".into(),
                epoch: 0,
            };
            let wins = 20 + if a == 1 { 40 } else { 0 } + if b == 2 { 30 } else { 0 };
            let count = super::super::counts::Count {
                n: 100,
                sum: i128::from(wins) << 20,
                sq: i128::from(wins) << 40,
                moments: vec![],
            };
            counters.entry("c".to_string()).or_default().insert(key, count);
            variants.entry("c".to_string()).or_default().insert(v.id, std::sync::Arc::new(v));
        }
        let metric = Metric::new("approval", MetricKind::Binary);
        let effects = Effects::fit(&space, "c", &metric, &variants, &counters).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let hits = (0..200).filter(|_| effects.draw(&mut rng) == [1, 2]).count();
        assert!(hits > 190, "{hits}");
        // Whatever is taken is not proposed again, until there is nothing left.
        let all = effects.propose(&space, 100, &[vec![1, 2]], &mut rng);
        assert_eq!(all.len(), 15);
        assert!(!all.contains(&vec![1, 2]));
    }
}

//! When the past stops counting: discounting and windows over time-bucketed counters, or change points by evidence.
//!
//! Buckets belong to the time of the decision, so a late reward falls into its own bucket and every view is right in any order of
//! arrival. The evidence is Bayesian online change-point detection (Adams & MacKay, 2007) over buckets, with the rate of changes itself
//! unknown: "never" has half of the prior, so a world that stands still is hardly disturbed.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::model::{Prior, Stats};
use super::special::{exp, ln};

/// How the past is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// Change points and their rate are inferred from the counters.
    #[default]
    Auto,
    /// Nothing is forgotten.
    None,
    /// A bucket weighs this much less than the next, 0 to 1 (exclusive).
    Discount(f64),
    /// Only the last buckets count, this many, from 1 on.
    Window(u32),
}

impl Drift {
    pub(super) fn validate(&self) -> Result<()> {
        match *self {
            Drift::Discount(d) if !(d > 0.0 && d < 1.0) => {
                Err(Error::invalid(format!("drift discount is {d}; expected a number between 0 and 1")))
            }
            Drift::Window(0) => Err(Error::invalid("drift window is 0; expected at least one bucket")),
            _ => Ok(()),
        }
    }
}

/// One bucket: its epoch, and of each arm and metric what was seen in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    pub epoch: u32,
    /// Arm by arm, metric by metric.
    pub stats: Vec<Stats>,
}

/// A way to see the past, and how much is believed in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hypothesis {
    pub weight: f64,
    /// Whether all of the past counts.
    pub whole: bool,
    pub stats: Vec<Stats>,
}

/// Probability of a change from one bucket to the next, and its prior.
const HAZARDS: [(f64, f64); 3] = [(0.0, 0.5), (1.0 / 400.0, 0.25), (1.0 / 40.0, 0.25)];
/// So many runs are followed.
const RUNS: usize = 24;
/// Of more arms × metrics than this no change points are looked for: each has too little to say of one.
const MAX_FOLLOWED: usize = 512;
/// A hypothesis below this is not worth a quadrature.
const NEGLIGIBLE: f64 = 0.005;

/// The run that began with a bucket.
#[derive(Debug, Clone)]
struct Run {
    from_start: bool,
    stats: Vec<Stats>,
    /// ln weight under each hazard.
    ln_weight: [f64; 3],
}

/// Where the filter stands after some buckets; only a memory of work done, never of what is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    priors: Vec<Prior>,
    buckets: Vec<Bucket>,
    runs: Vec<Run>,
}

/// The hypotheses about the past, their weights summing to 1. `priors` has one entry per arm and metric, `now` is the epoch of the decision.
pub(super) fn hypotheses(
    drift: Drift,
    buckets: &[Bucket],
    priors: &[Prior],
    now: u32,
    memory: &mut Filter,
) -> Vec<Hypothesis> {
    let weighed = |weight: &dyn Fn(u32) -> f64, whole: bool| {
        let mut stats = vec![Stats::default(); priors.len()];
        for bucket in buckets {
            let w = weight(now.saturating_sub(bucket.epoch));
            stats.iter_mut().zip(&bucket.stats).for_each(|(s, b)| s.add(b, w));
        }
        vec![Hypothesis { weight: 1.0, whole, stats }]
    };
    match drift {
        Drift::None => weighed(&|_| 1.0, true),
        Drift::Discount(d) => weighed(&|age| exp(ln(d) * f64::from(age)), false),
        Drift::Window(n) => weighed(&|age| if age < n { 1.0 } else { 0.0 }, false),
        Drift::Auto if priors.len() > MAX_FOLLOWED => weighed(&|_| 1.0, true),
        Drift::Auto => memory.follow(buckets, priors),
    }
}

impl Filter {
    fn follow(&mut self, buckets: &[Bucket], priors: &[Prior]) -> Vec<Hypothesis> {
        // The last bucket is still filling, so it is not kept.
        let done = buckets.len().saturating_sub(1);
        let known =
            self.buckets.len() <= done && self.priors == priors && self.buckets == buckets[..self.buckets.len()];
        if !known {
            *self = Self { priors: priors.to_vec(), ..Self::default() };
        }
        if self.runs.is_empty() {
            let ln_weight = HAZARDS.map(|(_, prior)| ln(prior));
            self.runs = vec![Run { from_start: true, stats: vec![Stats::default(); priors.len()], ln_weight }];
        }
        for bucket in &buckets[self.buckets.len()..done] {
            step(&mut self.runs, bucket, priors, self.buckets.is_empty());
            self.buckets.push(bucket.clone());
        }
        let mut runs = self.runs.clone();
        if let Some(last) = buckets.get(done) {
            step(&mut runs, last, priors, done == 0);
        }
        let weight = |run: &Run| run.ln_weight.iter().map(|w| exp(*w)).sum::<f64>();
        let top = runs.iter().map(weight).fold(0.0, f64::max);
        runs.retain(|run| weight(run) >= NEGLIGIBLE * top);
        let all: f64 = runs.iter().map(weight).sum();
        let made = |run: Run| Hypothesis { weight: weight(&run) / all, whole: run.from_start, stats: run.stats };
        runs.into_iter().map(made).collect()
    }
}

/// One bucket further.
fn step(runs: &mut Vec<Run>, bucket: &Bucket, priors: &[Prior], first: bool) {
    let touched: Vec<usize> = (0..priors.len()).filter(|&i| bucket.stats[i].n != 0.0).collect();
    let predict = |stats: &[Stats]| -> f64 {
        let of =
            |&i: &usize| priors[i].ln_evidence(&stats[i].plus(&bucket.stats[i])) - priors[i].ln_evidence(&stats[i]);
        touched.iter().map(of).sum()
    };
    // What a change would make of it: everything anew.
    if !first {
        let anew: f64 = touched.iter().map(|&i| priors[i].ln_evidence(&bucket.stats[i])).sum();
        let total = |h: usize| runs.iter().map(|r| exp(r.ln_weight[h])).sum::<f64>();
        let born: [f64; 3] = std::array::from_fn(|h| ln(total(h) * HAZARDS[h].0) + anew);
        for run in runs.iter_mut() {
            let told = predict(&run.stats);
            for (h, w) in run.ln_weight.iter_mut().enumerate() {
                *w += libm::log1p(-HAZARDS[h].0) + told;
            }
            run.stats.iter_mut().zip(&bucket.stats).for_each(|(s, b)| s.add(b, 1.0));
        }
        runs.push(Run { from_start: false, stats: bucket.stats.clone(), ln_weight: born });
    } else {
        for run in runs.iter_mut() {
            let told = predict(&run.stats);
            run.ln_weight.iter_mut().for_each(|w| *w += told);
            run.stats.iter_mut().zip(&bucket.stats).for_each(|(s, b)| s.add(b, 1.0));
        }
    }
    // Scaled to the heaviest, so that nothing underflows; the least believed runs go.
    let top = |run: &Run| run.ln_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let highest = runs.iter().map(top).fold(f64::NEG_INFINITY, f64::max);
    runs.iter_mut().for_each(|r| r.ln_weight.iter_mut().for_each(|w| *w -= highest));
    if runs.len() > RUNS {
        let mut order: Vec<usize> = (0..runs.len()).collect();
        // The newest has had no chance yet.
        order.sort_by(|&a, &b| {
            let newest = |i: usize| i + 1 == runs.len();
            newest(b).cmp(&newest(a)).then(top(&runs[b]).total_cmp(&top(&runs[a]))).then(a.cmp(&b))
        });
        order.truncate(RUNS);
        order.sort_unstable();
        *runs = order.into_iter().map(|i| runs[i].clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(epoch: u32, n: f64, s: f64) -> Bucket {
        Bucket { epoch, stats: vec![Stats { n, sum: s, sq: s }] }
    }

    const PRIOR: [Prior; 1] = [Prior::Beta { a: 1.0, b: 1.0 }];

    #[test]
    fn a_change_is_seen_and_standing_still_too() {
        let still: Vec<_> = (0..100).map(|e| bucket(e, 20.0, 12.0)).collect();
        let h = hypotheses(Drift::Auto, &still, &PRIOR, 99, &mut Filter::default());
        assert!(h.iter().any(|h| h.whole && h.weight > 0.9), "{h:?}");
        let moved: Vec<_> = (0..100).map(|e| bucket(e, 20.0, if e < 70 { 12.0 } else { 6.0 })).collect();
        let h = hypotheses(Drift::Auto, &moved, &PRIOR, 99, &mut Filter::default());
        let rate: f64 = h.iter().map(|h| h.weight * h.stats[0].sum / h.stats[0].n).sum();
        assert!((rate - 0.3).abs() < 0.02, "{rate}");
        assert!((h.iter().map(|h| h.weight).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_memory_changes_nothing() {
        let mut memory = Filter::default();
        let mut buckets: Vec<Bucket> = Vec::new();
        for e in 0..60 {
            buckets.push(bucket(e, 10.0, f64::from(e % 7)));
            let with = hypotheses(Drift::Auto, &buckets, &PRIOR, e, &mut memory);
            assert_eq!(with, hypotheses(Drift::Auto, &buckets, &PRIOR, e, &mut Filter::default()));
        }
        // A late reward for an old bucket.
        buckets[5].stats[0].n += 3.0;
        let with = hypotheses(Drift::Auto, &buckets, &PRIOR, 60, &mut memory);
        assert_eq!(with, hypotheses(Drift::Auto, &buckets, &PRIOR, 60, &mut Filter::default()));
    }

    #[test]
    fn views() {
        let buckets = [bucket(3, 8.0, 4.0), bucket(5, 8.0, 8.0)];
        let of = |drift| hypotheses(drift, &buckets, &PRIOR, 6, &mut Filter::default())[0].stats[0];
        assert_eq!((of(Drift::None).n, of(Drift::Window(2)).n, of(Drift::Window(1)).n), (16.0, 8.0, 0.0));
        assert!((of(Drift::Discount(0.5)).n - 5.0).abs() < 1e-12);
    }
}

//! What another policy would have earned, from the log of the one that ran.
//!
//! Inverse propensity score (Horvitz & Thompson, 1952), self-normalized (Swaminathan & Joachims, 2015), doubly robust (Dudík et al.,
//! 2014), with intervals by the central limit theorem: logged propensities make the sums martingales, so they hold for a policy that
//! learnt while it ran, as long as no propensity is tiny. The effective sample size (Kong, 1992) says when one was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::metric::ONE;
use super::optimizer::PromptOptimizer;
use super::variant::VariantId;

/// One decision of the log, as the policy in question sees it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logged {
    /// The probability with which it was drawn, above 0, up to 1.
    pub propensity: f64,
    /// The reward.
    pub reward: f64,
    /// The probability with which the policy in question would have drawn the same, 0 to 1.
    pub target: f64,
    /// The reward that a model expects of what was drawn, and of the policy in question; for the doubly robust estimate.
    #[serde(default)]
    pub model: Option<[f64; 2]>,
}

/// An estimate of the reward per decision and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Reward per decision.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// What the log says of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Decisions in the log.
    pub decisions: u64,
    /// Effective sample size, (Σw)²/Σw²: as many decisions of the policy itself would say as much.
    pub effective: f64,
    /// Inverse propensity score: unbiased, wide.
    pub ips: Estimate,
    /// Self-normalized: a little biased, narrower.
    pub snips: Estimate,
    /// Doubly robust, where every decision came with a model.
    pub dr: Option<Estimate>,
    /// Why not to trust it, in words.
    pub warning: Option<String>,
}

/// Where fewer decisions than this, or a smaller share, are effective, the estimate is not to be trusted.
const FEW: f64 = 30.0;
const SHARE: f64 = 0.01;

/// Mean and interval of independent terms.
fn estimate(terms: impl Iterator<Item = f64> + Clone, n: f64) -> Estimate {
    let value = terms.clone().sum::<f64>() / n;
    let spread = terms.map(|x| (x - value) * (x - value)).sum::<f64>() / (n - 1.0).max(1.0);
    around(value, libm::sqrt(spread / n))
}

fn around(value: f64, error: f64) -> Estimate {
    const Z: f64 = 1.959_963_984_540_054;
    Estimate { value, low: value - Z * error, high: value + Z * error }
}

/// Estimates the reward of a policy from a log.
///
/// # Errors
/// [`Error::InvalidArgument`] for an empty log and numbers out of range.
pub fn evaluate(log: &[Logged]) -> Result<Evaluation> {
    if log.is_empty() {
        return Err(Error::invalid("the log is empty; expected at least one decision with a reward"));
    }
    for (i, row) in log.iter().enumerate() {
        let Logged { propensity, reward, target, model } = *row;
        if !(propensity > 0.0 && propensity <= 1.0) {
            return Err(Error::invalid(format!(
                "log[{i}]: propensity is {propensity}; expected a number above 0, up to 1"
            )));
        }
        crate::error::in_range(&format!("log[{i}]: target"), target, 0.0, 1.0)?;
        if !reward.is_finite() || model.is_some_and(|m| !m.iter().all(|x| x.is_finite())) {
            return Err(Error::invalid(format!("log[{i}]: the reward or its model is not finite")));
        }
    }
    let n = log.len() as f64;
    let weight = |row: &Logged| row.target / row.propensity;
    let sum: f64 = log.iter().map(weight).sum();
    let squares: f64 = log.iter().map(|r| weight(r) * weight(r)).sum();
    let effective = if squares > 0.0 { sum * sum / squares } else { 0.0 };
    let ips = estimate(log.iter().map(|r| weight(r) * r.reward), n);
    let snips = if sum > 0.0 {
        let value = log.iter().map(|r| weight(r) * r.reward).sum::<f64>() / sum;
        let spread: f64 = log.iter().map(|r| weight(r) * (r.reward - value)).map(|x| x * x).sum();
        around(value, libm::sqrt(spread) / sum)
    } else {
        Estimate { value: 0.0, low: f64::MIN, high: f64::MAX }
    };
    let modelled: Option<Vec<f64>> =
        log.iter().map(|r| r.model.map(|[drawn, policy]| policy + weight(r) * (r.reward - drawn))).collect();
    let dr = modelled.map(|terms| estimate(terms.iter().copied(), n));
    let warning = if sum == 0.0 {
        Some("the log holds nothing that this policy would do".to_string())
    } else if effective < FEW || effective < SHARE * n {
        Some(format!(
            "only {effective:.0} of {n} decisions are effective: the policy does what was rarely tried; run with a floor"
        ))
    } else {
        None
    };
    Ok(Evaluation { decisions: log.len() as u64, effective, ips, snips, dr, warning })
}

/// One rewarded decision of an optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoggedReward {
    /// What was drawn.
    pub variant: VariantId,
    /// With what probability.
    pub propensity: f64,
    /// The reward.
    pub reward: f64,
    /// The bucket of time.
    pub epoch: u32,
}

impl PromptOptimizer {
    /// The rewarded decisions of a concept and a metric (the first, when none is named), in the order of their ids; duels aside.
    ///
    /// # Errors
    /// [`Error::Store`] from the store.
    pub fn log(&self, concept: &str, metric: Option<&str>) -> Result<Vec<LoggedReward>> {
        let metric = metric.unwrap_or(&self.options.metrics[0].name);
        let mut log = Vec::new();
        self.store.ledger(&mut |row| {
            if row.key.concept == concept && row.key.metric == metric && row.key.against.is_none() {
                let reward = row.value as f64 / ONE as f64;
                let propensity = row.propensity.0;
                log.push(LoggedReward { variant: row.key.variant, propensity, reward, epoch: row.key.epoch });
            }
            Ok(())
        })?;
        Ok(log)
    }

    /// What a policy (variants with their probabilities, summing to 1) would have earned in place of the one that ran. The model of
    /// the doubly robust estimate is the mean of each variant, without the decision in question.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for probabilities that do not sum to 1 and for a concept without rewards, [`Error::Store`] from the store.
    pub fn evaluate(&self, concept: &str, metric: Option<&str>, policy: &[(VariantId, f64)]) -> Result<Evaluation> {
        let target: BTreeMap<VariantId, f64> = policy.iter().copied().collect();
        let sum: f64 = policy.iter().map(|(_, p)| p).sum();
        if target.len() != policy.len() || (sum - 1.0).abs() > 1e-9 || policy.iter().any(|(_, p)| *p < 0.0) {
            return Err(Error::invalid(format!(
                "the policy sums to {sum} over {} variants; expected different variants whose probabilities sum to 1",
                policy.len()
            )));
        }
        let log = self.log(concept, metric)?;
        if log.is_empty() {
            return Err(Error::invalid(format!("concept {concept:?} has no rewards to evaluate a policy with")));
        }
        let mut sums: BTreeMap<VariantId, (f64, f64)> = BTreeMap::new();
        let (mut all, n) = (0.0, log.len() as f64);
        for row in &log {
            let of = sums.entry(row.variant).or_default();
            *of = (of.0 + 1.0, of.1 + row.reward);
            all += row.reward;
        }
        // As firmly as one observation, a variant is like the others.
        let expected = |variant: VariantId, without: Option<f64>| {
            let (count, sum) = sums.get(&variant).copied().unwrap_or_default();
            match without {
                Some(reward) => (sum - reward + (all - reward) / (n - 1.0).max(1.0)) / count,
                None => (sum + all / n) / (count + 1.0),
            }
        };
        let rows: Vec<Logged> = log
            .iter()
            .map(|row| {
                let of = |v: VariantId| expected(v, (v == row.variant).then_some(row.reward));
                let value = target.iter().map(|(v, p)| p * of(*v)).sum();
                Logged {
                    propensity: row.propensity,
                    reward: row.reward,
                    target: target.get(&row.variant).copied().unwrap_or(0.0),
                    model: Some([of(row.variant), value]),
                }
            })
            .collect();
        evaluate(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let row = |propensity, reward, target| Logged { propensity, reward, target, model: Some([0.5, 0.6]) };
        let e = evaluate(&[row(0.5, 1.0, 1.0), row(0.25, 0.0, 0.5), row(1.0, 1.0, 0.0)]).unwrap();
        // Weights 2, 2, 0.
        assert!((e.ips.value - 2.0 / 3.0).abs() < 1e-15 && (e.snips.value - 0.5).abs() < 1e-15, "{e:?}");
        assert!((e.dr.unwrap().value - (0.6 + (2.0 * 0.5 - 2.0 * 0.5) / 3.0)).abs() < 1e-15);
        assert!((e.effective - 2.0).abs() < 1e-15 && e.warning.is_some());
        assert!(evaluate(&[]).is_err());
        assert!(evaluate(&[row(0.0, 1.0, 1.0)]).is_err() && evaluate(&[row(0.5, f64::NAN, 1.0)]).is_err());
        assert!(evaluate(&[row(0.5, 1.0, 0.0)]).unwrap().warning.unwrap().contains("nothing"));
    }
}

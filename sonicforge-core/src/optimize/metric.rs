//! What is rewarded: metrics with weights, and the fixed-point numbers that rewards are kept as.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rewards are whole multiples of 2⁻²⁰, so that sums do not depend on the order.
pub(super) const ONE: i64 = 1 << 20;
/// The largest magnitude of a real reward.
const MAX_REAL: f64 = 1_048_576.0;

/// What values a metric takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// 0 or 1: liked, skipped.
    #[default]
    Binary,
    /// A number from 0 to 1: five stars as 0, .25, .5, .75, 1.
    Rating,
    /// Any number of magnitude up to 2²⁰: seconds heard, cost, decibels.
    Real,
}

/// One kind of reward and its share in the utility Σ weight · mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What values it takes.
    #[serde(default)]
    pub kind: MetricKind,
    /// Weight in the utility; negative for a penalty such as cost or latency, 0 for what is only constrained or watched.
    #[serde(default = "one")]
    pub weight: f64,
    /// The mean must be at least this; a variant that misses it is not offered.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// The mean must be at most this.
    #[serde(default)]
    pub at_most: Option<f64>,
    /// How probable the miss must be before a variant is left out, .5 to 1 (exclusive).
    #[serde(default = "confidence")]
    pub confidence: f64,
}

fn one() -> f64 {
    1.0
}

fn confidence() -> f64 {
    0.95
}

impl Metric {
    /// A metric of this kind with weight 1.
    pub fn new(name: &str, kind: MetricKind) -> Self {
        Self { name: name.into(), kind, weight: 1.0, at_least: None, at_most: None, confidence: confidence() }
    }

    /// The same with another weight.
    pub fn weighing(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        super::variant::check_name("metric", &self.name)?;
        crate::error::in_range("weight", self.weight, -1e6, 1e6)?;
        for (name, bound) in [("at_least", self.at_least), ("at_most", self.at_most)] {
            if let Some(bound) = bound {
                crate::error::in_range(name, bound, -MAX_REAL, MAX_REAL)?;
            }
        }
        if !(self.confidence >= 0.5 && self.confidence < 1.0) {
            let c = self.confidence;
            return Err(Error::invalid(format!("confidence is {c}; expected a number from 0.5 up to, but not, 1")));
        }
        Ok(())
    }

    /// The value as fixed point.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for NaN, infinity and what is out of the kind's range.
    pub(super) fn quantize(&self, value: f64) -> Result<i64> {
        let (fits, expected) = match self.kind {
            MetricKind::Binary => (value == 0.0 || value == 1.0, "0 or 1"),
            MetricKind::Rating => ((0.0..=1.0).contains(&value), "a number from 0 to 1"),
            MetricKind::Real => (value.abs() <= MAX_REAL, "a finite number of magnitude up to 1048576"),
        };
        if !fits {
            let kind = serde_json::to_string(&self.kind).unwrap_or_default();
            let name = &self.name;
            return Err(Error::invalid(format!("the reward of {name} is {value}; a {kind} metric takes {expected}")));
        }
        Ok((value * ONE as f64).round_ties_even() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_out_of_range() {
        let bad = [
            (MetricKind::Binary, vec![0.5, -1.0, 2.0, f64::NAN, f64::INFINITY]),
            (MetricKind::Rating, vec![-0.01, 1.01, f64::NAN, f64::NEG_INFINITY]),
            (MetricKind::Real, vec![2e6, f64::NAN, f64::INFINITY]),
        ];
        for (kind, values) in bad {
            for value in values {
                let e = Metric::new("stars", kind).quantize(value).unwrap_err();
                assert!(e.to_string().contains("the reward of stars is"), "{e}");
            }
        }
        assert_eq!(Metric::new("stars", MetricKind::Rating).quantize(0.25).unwrap(), ONE / 4);
    }
}

//! What has been learnt, for people: means with intervals, P(best), expected loss, lift, and whether it is time to stop.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, in_range};

use super::optimizer::PromptOptimizer;
use super::special::normal_quantile;
use super::variant::{Variant, VariantId};
use super::view::{self, Mixture};

const SCHEMA: u32 = 1;
/// Steps of the drawn densities.
const STEPS: usize = 120;

/// When a concept is decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopRule {
    /// When a variant is the best with at least this probability, .5 to 1.
    pub p_best: f64,
    /// Or when choosing the leader is expected to cost at most this much utility per decision; 0 asks for certainty only.
    pub expected_loss: f64,
    /// But not before so many rewards for each offered variant, on the average. Who looks after every reward looks often, and most wrong
    /// leaders pass with the first few.
    pub at_least: u64,
}

impl Default for StopRule {
    fn default() -> Self {
        Self { p_best: 0.95, expected_loss: 0.0, at_least: 20 }
    }
}

/// A mean with its 95 % credible interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// 2.5 % lie below.
    pub low: f64,
    /// 2.5 % lie above.
    pub high: f64,
}

/// One metric of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    /// Its name.
    pub name: String,
    /// Rewards that were counted.
    pub rewards: f64,
    /// What is believed of its mean.
    pub value: Interval,
}

/// One variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantReport {
    /// The variant.
    pub variant: Variant,
    /// Share of the traffic that it gets now.
    pub share: f64,
    /// The probability that it is the best of those offered.
    pub p_best: f64,
    /// Its utility: Σ weight · mean over metrics, or the mean itself where there is one metric.
    pub utility: Interval,
    /// How much utility per decision choosing it would cost, as far as is known.
    pub expected_loss: f64,
    /// Utility over the control's; `None` without one.
    pub lift: Option<Interval>,
    /// The probability that it is better than the control.
    pub p_over_control: Option<f64>,
    /// Metric by metric.
    pub metrics: Vec<MetricReport>,
    /// The density of its utility at equal steps over the report's axis.
    pub density: Vec<f64>,
}

/// One bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The bucket.
    pub epoch: u32,
    /// Rewards of the first metric in it.
    pub rewards: f64,
    /// Their mean.
    pub mean: f64,
    /// What was lost in it against the variant that is believed to be the best now.
    pub regret: f64,
}

/// What is known of a concept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptReport {
    /// Version of the JSON form.
    pub schema: u32,
    /// The concept.
    pub concept: String,
    /// Variants that are offered, the likeliest to be the best first.
    pub variants: Vec<VariantReport>,
    /// How many others are paused or retired.
    pub resting: u64,
    /// Whether the rule says that it is decided.
    pub finished: bool,
    /// The leader.
    pub leader: VariantId,
    /// Why it is decided or not, in words.
    pub verdict: String,
    /// The axis of the densities.
    pub axis: [f64; 2],
    /// Bucket by bucket.
    pub history: Vec<Moment>,
    /// Name of the first metric.
    pub metric: String,
}

fn interval(mixture: &Mixture) -> Interval {
    Interval { mean: view::mean(mixture), low: view::quantile(mixture, 0.025), high: view::quantile(mixture, 0.975) }
}

impl PromptOptimizer {
    /// What is known of a concept, with the default rule for stopping.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`].
    pub fn report(&self, concept: &str) -> Result<PromptReport> {
        self.report_with(concept, &StopRule::default())
    }

    /// What is known of a concept, and whether it is decided by this rule.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`]; [`Error::InvalidArgument`] for a rule out of range.
    pub fn report_with(&self, concept: &str, rule: &StopRule) -> Result<PromptReport> {
        in_range("p_best", rule.p_best, 0.5, 1.0)?;
        in_range("expected_loss", rule.expected_loss, 0.0, 1e9)?;
        self.refresh()?;
        let epoch = self.epoch();
        let mut state = self.lock()?;
        let view = self.view(&mut state, concept, epoch)?;
        let history = history(&state.counters, concept, &self.options.metrics[0].name, &view);
        let all = state.variants.get(concept).map_or(0, |v| v.len());
        drop(state);

        let k = view.offered.len();
        let utilities: Vec<Interval> = view.utility.iter().map(interval).collect();
        let axis = axis(&utilities, view.utility.iter().flatten().all(|(_, p)| is_probability(p)));
        let share =
            |i: usize| view.eligible.iter().position(|&e| e == i).map_or(0.0, |at| view.candidates[at].propensity);
        let mut variants: Vec<VariantReport> = (0..k)
            .map(|i| {
                let against = view.control.filter(|c| *c != i);
                let metrics = self.options.metrics.iter().enumerate().map(|(j, metric)| MetricReport {
                    name: metric.name.clone(),
                    rewards: view.stats[i][j].n,
                    value: interval(&view.metrics[i][j]),
                });
                VariantReport {
                    variant: (*view.offered[i]).clone(),
                    share: share(i),
                    p_best: view.best[i],
                    utility: utilities[i],
                    expected_loss: (view.expected_max - utilities[i].mean).max(0.0),
                    lift: against.map(|c| lift(&view.utility[i], &view.utility[c])),
                    p_over_control: against.map(|c| over(&view.utility[i], &view.utility[c])),
                    metrics: metrics.collect(),
                    density: density(&view.utility[i], axis),
                }
            })
            .collect();
        variants.sort_by(|a, b| b.p_best.total_cmp(&a.p_best).then(a.variant.id.cmp(&b.variant.id)));
        let rewards: f64 = view.stats.iter().map(|s| s[0].n).sum();
        let (finished, verdict) = decide(&variants[0], rewards, k, rule);
        Ok(PromptReport {
            schema: SCHEMA,
            concept: concept.into(),
            leader: variants[0].variant.id,
            resting: (all - k) as u64,
            variants,
            finished,
            verdict,
            axis,
            history,
            metric: self.options.metrics[0].name.clone(),
        })
    }
}

fn is_probability(posterior: &super::posterior::Posterior) -> bool {
    matches!(posterior, super::posterior::Posterior::Beta { .. } | super::posterior::Posterior::LogitNormal { .. })
}

fn decide(leader: &VariantReport, rewards: f64, variants: usize, rule: &StopRule) -> (bool, String) {
    let (name, p, loss) = (&leader.variant.text, leader.p_best, leader.expected_loss);
    let state = format!("\"{name}\" is the best with probability {p:.3}; choosing it is expected to cost {loss:.4}");
    let needed = rule.at_least.saturating_mul(variants as u64);
    if rewards < needed as f64 {
        return (false, format!("{rewards} of at least {needed} rewards; {state}"));
    }
    if p >= rule.p_best {
        return (true, format!("decided: {state}"));
    }
    if loss <= rule.expected_loss {
        return (true, format!("decided, as more would hardly help: {state}"));
    }
    (false, format!("not decided: {state}; expected a probability of {}", rule.p_best))
}

fn history(counters: &view::Counters, concept: &str, metric: &str, view: &view::View) -> Vec<Moment> {
    let means: std::collections::BTreeMap<VariantId, f64> =
        view.offered.iter().enumerate().map(|(i, v)| (v.id, view::mean(&view.metrics[i][0]))).collect();
    let top = means.values().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut by_epoch: std::collections::BTreeMap<u32, (f64, f64, f64)> = std::collections::BTreeMap::new();
    for (key, count) in counters.get(concept).into_iter().flatten() {
        if key.metric == metric && key.against.is_none() && count.n > 0 {
            let (n, sum) = (count.n as f64, count.total());
            // Of what is no longer offered its own mean is all that is known.
            let mean = means.get(&key.variant).copied().unwrap_or(sum / n);
            let of = by_epoch.entry(key.epoch).or_default();
            *of = (of.0 + n, of.1 + sum, of.2 + n * (top - mean).max(0.0));
        }
    }
    by_epoch.into_iter().map(|(epoch, (n, sum, regret))| Moment { epoch, rewards: n, mean: sum / n, regret }).collect()
}

/// The normal of the difference's moments.
fn lift(a: &Mixture, b: &Mixture) -> Interval {
    let mean = view::mean(a) - view::mean(b);
    let reach = normal_quantile(0.975) * libm::sqrt(view::variance(a) + view::variance(b));
    Interval { mean, low: mean - reach, high: mean + reach }
}

/// P(A > B), part by part.
fn over(a: &Mixture, b: &Mixture) -> f64 {
    let mut sum = 0.0;
    for (w, p) in a {
        for (v, q) in b {
            sum += w * v * super::best::best(&[*p, *q], false).probabilities[0];
        }
    }
    sum
}

fn axis(utilities: &[Interval], probability: bool) -> [f64; 2] {
    let low = utilities.iter().map(|u| u.low - (u.high - u.low) * 0.3).fold(f64::INFINITY, f64::min);
    let high = utilities.iter().map(|u| u.high + (u.high - u.low) * 0.3).fold(f64::NEG_INFINITY, f64::max);
    if probability { [low.max(0.0), high.min(1.0)] } else { [low, high] }
}

fn density(mixture: &Mixture, axis: [f64; 2]) -> Vec<f64> {
    let step = (axis[1] - axis[0]) / STEPS as f64;
    let mass: Vec<f64> = (0..=STEPS).map(|i| view::cdf(mixture, axis[0] + i as f64 * step)).collect();
    mass.windows(2).map(|w| ((w[1] - w[0]) / step).max(0.0)).collect()
}

impl PromptReport {
    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From JSON.
    ///
    /// # Errors
    /// [`Error::Format`] for what is no report.
    pub fn from_json(text: &str) -> Result<Self> {
        let report: Self = serde_json::from_str(text).map_err(|e| Error::Format(format!("this is no report: {e}")))?;
        if report.schema != SCHEMA {
            return Err(Error::Format(format!("the report has schema {}; this version knows {SCHEMA}", report.schema)));
        }
        Ok(report)
    }

    /// A few lines for a terminal.
    pub fn summary(&self) -> String {
        let mut text = format!("{}: {}\n", self.concept, self.verdict);
        let _ = writeln!(text, "  share  P(best)  {:<22}  loss    rewards  prompt", "utility (95 %)");
        for v in &self.variants {
            let Interval { mean, low, high } = v.utility;
            let rewards = v.metrics.first().map_or(0.0, |m| m.rewards);
            let _ = write!(
                text,
                "  {:>4.1}%  {:>7.3}  {mean:>6.3} [{low:>6.3}, {high:>6.3}]  {:.4}  {rewards:>7}  {}",
                100.0 * v.share,
                v.p_best,
                v.expected_loss,
                v.variant.text
            );
            if v.variant.control {
                text.push_str(" (control)");
            } else if let Some(lift) = v.lift {
                let _ = write!(text, " ({:+.3} [{:+.3}, {:+.3}] over the control)", lift.mean, lift.low, lift.high);
            }
            text.push('\n');
        }
        if self.resting > 0 {
            let _ = writeln!(text, "  {} more are paused or retired", self.resting);
        }
        text
    }
}

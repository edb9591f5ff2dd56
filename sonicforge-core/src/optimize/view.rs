//! A concept seen through its counters: posteriors, P(best), and the policy that suggestions are drawn from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::best::best;
use super::counts::{Count, Key};
use super::drift::{Bucket, Filter, Hypothesis, hypotheses};
use super::laplace::Trials;
use super::metric::{Metric, MetricKind};
use super::model::{Prior, Stats, utility};
use super::optimizer::{Candidate, DUEL, ModelChoice, Options};
use super::policy::{Mode, Policy};
use super::posterior::Posterior;
use super::shared::{self, Arm};
use super::variant::{Status, Variant, VariantId};

/// Counters by concept.
pub(super) type Counters = BTreeMap<String, BTreeMap<Key, Count>>;
/// Variants by concept and id.
pub(super) type Variants = BTreeMap<String, BTreeMap<VariantId, Arc<Variant>>>;

/// No more arms than this are looked at together.
const MAX_SHARED: usize = 160;
/// From so many offered variants on, their slots are looked at even where nothing else is known.
const MANY: usize = 9;

/// A mixture of posteriors, weights summing to 1.
pub(super) type Mixture = Vec<(f64, Posterior)>;

/// What is believed of the offered variants of a concept.
#[derive(Debug)]
pub(super) struct View {
    pub offered: Vec<Arc<Variant>>,
    pub control: Option<usize>,
    /// Those that the constraints leave, as numbers of offered ones.
    pub eligible: Vec<usize>,
    /// P(best) among the eligible ones, over all offered ones.
    pub best: Vec<f64>,
    pub expected_max: f64,
    /// Utility of each offered one.
    pub utility: Vec<Mixture>,
    /// Of each offered one and each metric.
    pub metrics: Vec<Vec<Mixture>>,
    /// Whole counts of each offered one and each metric.
    pub stats: Vec<Vec<Stats>>,
    pub policy: Policy,
    /// Offered variants with their probabilities.
    pub candidates: Arc<[Candidate]>,
    /// Of candidates.
    pub hash: u32,
    /// The epoch that it was made for.
    pub epoch: u32,
}

/// The mean of a mixture.
pub(super) fn mean(mixture: &Mixture) -> f64 {
    mixture.iter().map(|(w, p)| w * p.mean()).sum()
}

/// Its variance.
pub(super) fn variance(mixture: &Mixture) -> f64 {
    let center = mean(mixture);
    mixture.iter().map(|(w, p)| w * (p.variance() + (p.mean() - center) * (p.mean() - center))).sum()
}

/// P(X ≤ x).
pub(super) fn cdf(mixture: &Mixture, x: f64) -> f64 {
    mixture.iter().map(|(w, p)| w * p.cdf(x)).sum()
}

/// Where P(X ≤ x) = q.
pub(super) fn quantile(mixture: &Mixture, q: f64) -> f64 {
    let ends = mixture.iter().map(|(_, p)| p.quantile(q));
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    if mixture.len() == 1 { low } else { super::special::bisect(low, high, |x| cdf(mixture, x) < q) }
}

pub(super) struct Maker<'a> {
    pub options: &'a Options,
    pub variants: &'a Variants,
    pub counters: &'a Counters,
    pub epoch: u32,
}

impl Maker<'_> {
    /// `None` where the concept has no active variant.
    pub fn make(&self, concept: &str, filter: &mut Filter) -> Option<View> {
        let all = self.variants.get(concept)?;
        let offered: Vec<Arc<Variant>> = all.values().filter(|v| v.status == Status::Active).cloned().collect();
        if offered.is_empty() {
            return None;
        }
        let control = offered.iter().position(|v| v.control);
        let metrics = &self.options.metrics;
        let (k, m) = (offered.len(), metrics.len());
        let buckets = self.buckets(concept, &offered);
        let mut whole = vec![Stats::default(); k * m];
        buckets.iter().for_each(|b| whole.iter_mut().zip(&b.stats).for_each(|(w, s)| w.add(s, 1.0)));
        let priors = self.priors(k, &whole);
        let ways = hypotheses(self.options.drift, &buckets, &priors, self.epoch, filter);

        let optimistic = self.options.policy.mode == Mode::Optimistic;
        let weighing: Vec<usize> = (0..m).filter(|&j| metrics[j].weight != 0.0).collect();
        let mut view = Believed::new(k, m);
        for way in &ways {
            view.see(way, &priors, metrics);
        }
        let eligible = view.eligible(metrics, control);
        for way in &ways {
            let posteriors: Vec<Posterior> = (0..k)
                .map(|i| {
                    let part = |&j: &usize| (metrics[j].weight, priors[i * m + j].posterior(&way.stats[i * m + j]));
                    utility(&weighing.iter().map(part).collect::<Vec<_>>())
                })
                .collect();
            let of_eligible: Vec<Posterior> = eligible.iter().map(|&i| posteriors[i]).collect();
            let together = if way.whole { self.shared(concept, &offered, &eligible, optimistic) } else { None };
            let (p, top) = match &together {
                Some((shared, ..)) => (shared.probabilities.clone(), shared.expected_max),
                None => {
                    let b = best(&of_eligible, optimistic);
                    // A single Beta keeps its own scale whatever its weight.
                    (b.probabilities, if optimistic { best(&of_eligible, false).expected_max } else { b.expected_max })
                }
            };
            view.expected_max += way.weight * top;
            eligible.iter().zip(p).for_each(|(&i, p)| view.best[i] += way.weight * p);
            for (i, own) in posteriors.into_iter().enumerate() {
                match together.as_ref().and_then(|(s, _)| Some(&s.posteriors[eligible.iter().position(|&e| e == i)?])) {
                    Some(mixture) => {
                        view.utility[i].extend(mixture.iter().map(|(w, p)| (way.weight * w, *p)));
                        if let Some((_, metric)) = together {
                            view.replace(
                                i,
                                metric,
                                way.weight,
                                mixture,
                                &priors[i * m + metric],
                                way.stats[i * m + metric],
                            );
                        }
                    }
                    None => view.utility[i].push((way.weight, own)),
                }
            }
        }
        let shaped: Vec<f64> = eligible.iter().map(|&i| view.best[i]).collect();
        let place = control.and_then(|c| eligible.iter().position(|&i| i == c));
        let policy = self.options.policy.shape(&shaped, place);
        let candidate = |(&i, &propensity): (&usize, &f64)| Candidate { variant: offered[i].id, propensity };
        let candidates: Arc<[Candidate]> = eligible.iter().zip(policy.probabilities()).map(candidate).collect();
        let stats = whole.chunks(m).map(<[Stats]>::to_vec).collect();
        let Believed { best, expected_max, utility, metrics } = view;
        let hash = hash(&candidates);
        let epoch = self.epoch;
        Some(View {
            offered,
            control,
            eligible,
            best,
            expected_max,
            utility,
            metrics,
            stats,
            policy,
            candidates,
            hash,
            epoch,
        })
    }

    /// Counters of the offered variants by time.
    fn buckets(&self, concept: &str, offered: &[Arc<Variant>]) -> Vec<Bucket> {
        let metrics = &self.options.metrics;
        let arms: BTreeMap<VariantId, usize> = offered.iter().enumerate().map(|(i, v)| (v.id, i)).collect();
        let mut by_epoch: BTreeMap<u32, Vec<Stats>> = BTreeMap::new();
        for (key, count) in self.counters.get(concept).into_iter().flatten() {
            let place = (arms.get(&key.variant), metrics.iter().position(|m| m.name == key.metric));
            if let (Some(&arm), Some(metric), None) = (place.0, place.1, key.against) {
                let bucket = by_epoch
                    .entry(if self.options.drift == super::drift::Drift::None { 0 } else { key.epoch })
                    .or_insert_with(|| vec![Stats::default(); offered.len() * metrics.len()]);
                bucket[arm * metrics.len() + metric].add(&Stats::from(count), 1.0);
            }
        }
        by_epoch.into_iter().map(|(epoch, stats)| Bucket { epoch, stats }).collect()
    }

    fn priors(&self, arms: usize, whole: &[Stats]) -> Vec<Prior> {
        let metrics = &self.options.metrics;
        let of = |j: usize| {
            let mut pooled = Stats::default();
            (0..arms).for_each(|i| pooled.add(&whole[i * metrics.len() + j], 1.0));
            Prior::of(&metrics[j], (self.options.prior[0], self.options.prior[1]), &pooled)
        };
        let each: Vec<Prior> = (0..metrics.len()).map(of).collect();
        (0..arms).flat_map(|_| each.iter().copied()).collect()
    }

    /// The concept together with everything like it, and the metric that is shared; `None` where there is nothing to share.
    fn shared(
        &self,
        concept: &str,
        offered: &[Arc<Variant>],
        eligible: &[usize],
        optimistic: bool,
    ) -> Option<(shared::Shared, usize)> {
        let metrics = &self.options.metrics;
        let mut weighing = metrics.iter().enumerate().filter(|(_, m)| m.weight != 0.0);
        let (metric, only) = weighing.next()?;
        let fits = weighing.next().is_none() && only.weight > 0.0 && only.kind != MetricKind::Real;
        if self.options.model == ModelChoice::Independent || !fits {
            return None;
        }
        let mut numbers: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let mut own = Vec::new();
        let mut others = Vec::new();
        for (number, (name, variants)) in self.variants.iter().enumerate() {
            let mut sums: BTreeMap<VariantId, Stats> = BTreeMap::new();
            for (key, count) in self.counters.get(name).into_iter().flatten() {
                if key.metric == only.name && key.against.is_none() {
                    sums.entry(key.variant).or_default().add(&Stats::from(count), 1.0);
                }
            }
            for variant in variants.values() {
                let mut values: Vec<u32> = variant
                    .slots
                    .iter()
                    .map(|(slot, value)| {
                        let next = numbers.len() as u32;
                        *numbers.entry((slot, value)).or_insert(next)
                    })
                    .collect();
                values.sort_unstable();
                let stats = sums.get(&variant.id).copied().unwrap_or_default();
                let arm = Arm { concept: number as u32, variant: variant.id.0, values, stats };
                if name == concept && variant.status == Status::Active {
                    own.push(arm);
                } else if stats.n > 0.0 {
                    others.push((name == concept, arm));
                }
            }
        }
        let duels = self.duels(concept, offered);
        let slots = own.iter().filter(|a| !a.values.is_empty()).count();
        if own.len() > MAX_SHARED || (others.is_empty() && duels.is_empty() && (own.len() < MANY || slots < MANY)) {
            return None;
        }
        // Of too many others those of the concept stay, then those with the most to say.
        others.sort_by(|(here, a), (there, b)| {
            there
                .cmp(here)
                .then(b.stats.n.total_cmp(&a.stats.n))
                .then((a.concept, a.variant).cmp(&(b.concept, b.variant)))
        });
        others.truncate(MAX_SHARED - own.len());
        let arms: Vec<Arm> = own.into_iter().chain(others.into_iter().map(|(_, a)| a)).collect();
        let beta = (self.options.prior[0], self.options.prior[1]);
        Some((shared::fit(&arms, eligible, &duels, beta, optimistic)?, metric))
    }

    /// Duels between offered variants.
    fn duels(&self, concept: &str, offered: &[Arc<Variant>]) -> Vec<Trials> {
        let arm = |id: VariantId| offered.iter().position(|v| v.id == id);
        let mut sums: BTreeMap<(usize, usize), Stats> = BTreeMap::new();
        for (key, count) in self.counters.get(concept).into_iter().flatten() {
            if key.metric == DUEL
                && let (Some(a), Some(b)) = (arm(key.variant), key.against.and_then(arm))
            {
                sums.entry((a, b)).or_default().add(&Stats::from(count), 1.0);
            }
        }
        let trial = |((arm, b), s): ((usize, usize), Stats)| Trials { arm, against: Some(b), n: s.n, s: s.sum };
        sums.into_iter().map(trial).filter(|t| t.n > 0.0).collect()
    }
}

/// A view that is being made.
struct Believed {
    best: Vec<f64>,
    expected_max: f64,
    utility: Vec<Mixture>,
    metrics: Vec<Vec<Mixture>>,
}

impl Believed {
    fn new(arms: usize, metrics: usize) -> Self {
        Self {
            best: vec![0.0; arms],
            expected_max: 0.0,
            utility: vec![Vec::new(); arms],
            metrics: vec![vec![Vec::new(); metrics]; arms],
        }
    }

    fn see(&mut self, way: &Hypothesis, priors: &[Prior], metrics: &[Metric]) {
        for (i, of_arm) in self.metrics.iter_mut().enumerate() {
            for (j, mixture) in of_arm.iter_mut().enumerate() {
                let at = i * metrics.len() + j;
                mixture.push((way.weight, priors[at].posterior(&way.stats[at])));
            }
        }
    }

    /// The shared model knows better than the arm alone.
    fn replace(&mut self, arm: usize, metric: usize, weight: f64, by: &Mixture, prior: &Prior, stats: Stats) {
        let alone = (weight, prior.posterior(&stats));
        let mixture = &mut self.metrics[arm][metric];
        if let Some(at) = mixture.iter().position(|part| *part == alone) {
            mixture.remove(at);
        }
        mixture.extend(by.iter().map(|(w, p)| (weight * w, *p)));
    }

    /// Who keeps the constraints with enough probability. Where nobody does, the control alone, or the one nearest to keeping them.
    fn eligible(&self, metrics: &[Metric], control: Option<usize>) -> Vec<usize> {
        let risk = |i: usize, j: usize| {
            let metric = &metrics[j];
            let mixture = &self.metrics[i][j];
            let low = metric.at_least.map_or(0.0, |bound| cdf(mixture, bound));
            let high = metric.at_most.map_or(0.0, |bound| 1.0 - cdf(mixture, bound));
            low.max(high)
        };
        let all = 0..self.metrics.len();
        let keeps = |&i: &usize| (0..metrics.len()).all(|j| risk(i, j) <= metrics[j].confidence);
        let eligible: Vec<usize> = all.clone().filter(keeps).collect();
        if !eligible.is_empty() {
            return eligible;
        }
        let worst = |i: usize| (0..metrics.len()).map(|j| risk(i, j)).fold(0.0, f64::max);
        let least = all.reduce(|a, b| if worst(b) < worst(a) { b } else { a });
        control.or(least).into_iter().collect()
    }
}

fn hash(candidates: &[Candidate]) -> u32 {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for candidate in candidates {
        hasher.update(candidate.variant.0.to_le_bytes());
        hasher.update(candidate.propensity.to_bits().to_le_bytes());
    }
    let digest = hasher.finalize();
    u32::from_le_bytes(std::array::from_fn(|i| digest[i]))
}

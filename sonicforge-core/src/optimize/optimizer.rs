//! The door: suggest, reward, and what keeps them in step with the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, in_range};

use super::best::best;
use super::counts::{Count, Key};
use super::drift::{Drift, Filter};
use super::linear::{self, Fit, LinearParams};
use super::metric::{Metric, MetricKind, ONE};
use super::model::utility;
use super::policy::{PolicyParams, inclusion};
use super::proposer::{self, Effects};
use super::reward::{Applied, DecisionId, Propensity, Reward};
use super::space::Space;
use super::store::{MemoryStore, Store};
use super::token::{Token, realm};
use super::variant::{Status, Variant, VariantId, check_name};
use super::view::{Counters, Maker, Variants, View};

/// The metric of duels: 1 where the first won, 0 where the second did, ½ for a draw.
pub const DUEL: &str = "duel";

/// Whether variants and concepts learn from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelChoice {
    /// As far as the evidence says: through slots, from concept to concept, from retired variants.
    #[default]
    Auto,
    /// Every variant learns alone: Beta or normal-inverse-gamma.
    Independent,
}

/// How an optimizer works. Everything has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Tokens are taken by optimizers of the same name only.
    pub name: String,
    /// What is rewarded; the first is the one that [`PromptOptimizer::reward`] means when none is named. By default one binary
    /// metric, `approval`.
    pub metrics: Vec<Metric>,
    /// Whether variants and concepts learn from each other.
    pub model: ModelChoice,
    /// How the past is weighed.
    pub drift: Drift,
    /// What the policy keeps to.
    pub policy: PolicyParams,
    /// The Beta prior (a, b) of binary metrics and ratings, each above 0.
    pub prior: [f64; 2],
    /// Of suggestions at a context.
    pub linear: LinearParams,
    /// Length of a bucket of time in seconds, from 1 on.
    pub bucket_s: u32,
    /// A policy is renewed after this many rewards of its concept, from 1 on; of many variants later, after an eighth of their number.
    pub refresh_rewards: u32,
    /// The store is asked for other processes' rewards at most this often, in milliseconds.
    pub refresh_ms: u32,
    /// Of the randomness: the same seed, decision id and counters give the same suggestion.
    pub seed: u64,
    /// Signs the tokens, for those that travel through clients.
    pub secret: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "sonicforge".into(),
            metrics: vec![Metric::new("approval", MetricKind::Binary)],
            model: ModelChoice::Auto,
            drift: Drift::Auto,
            policy: PolicyParams::default(),
            prior: [1.0, 1.0],
            linear: LinearParams::default(),
            bucket_s: 86_400,
            refresh_rewards: 1,
            refresh_ms: 200,
            seed: 0,
            secret: None,
        }
    }
}

impl Options {
    /// Checks all ranges.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the field.
    pub fn validate(&self) -> Result<()> {
        check_name("name", &self.name)?;
        if self.metrics.is_empty() {
            return Err(Error::invalid("no metrics; expected at least one"));
        }
        for (i, metric) in self.metrics.iter().enumerate() {
            metric.validate()?;
            if metric.name == DUEL {
                return Err(Error::invalid("a metric is called \"duel\"; that name is kept for duels"));
            }
            if self.metrics[..i].iter().any(|m| m.name == metric.name) {
                return Err(Error::invalid(format!("two metrics are called {:?}", metric.name)));
            }
        }
        if self.metrics.iter().all(|m| m.weight == 0.0) {
            return Err(Error::invalid("all metrics weigh 0; expected one that is to be maximized"));
        }
        self.drift.validate()?;
        self.policy.validate()?;
        self.linear.validate()?;
        in_range("prior[0]", self.prior[0], 1e-3, 1e6)?;
        in_range("prior[1]", self.prior[1], 1e-3, 1e6)?;
        for (name, value) in [("bucket_s", self.bucket_s), ("refresh_rewards", self.refresh_rewards)] {
            if value == 0 {
                return Err(Error::invalid(format!("{name} is 0; expected at least 1")));
            }
        }
        if self.secret.as_ref().is_some_and(|s| s.len() < 16) {
            return Err(Error::invalid(
                "the secret has fewer than 16 bytes; expected something that cannot be guessed",
            ));
        }
        Ok(())
    }

    /// From JSON; missing fields have their defaults.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for unknown fields and values out of range.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = serde_json::from_str(text).map_err(|e| Error::invalid(format!("options: {e}")))?;
        options.validate()?;
        Ok(options)
    }
}

/// A variant that could have been suggested, and with what probability it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The variant.
    pub variant: VariantId,
    /// Its probability.
    pub propensity: f64,
}

/// What to generate next.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// What the reward is to come back with. Keep it beside the track.
    pub token: String,
    /// The decision's id, which the token holds too.
    pub decision: DecisionId,
    /// The concept.
    pub concept: String,
    /// The variant.
    pub variant: VariantId,
    /// The prompt.
    pub prompt: String,
    /// The probability with which it was drawn; exact.
    pub propensity: f64,
    /// All that could have been drawn.
    pub candidates: Arc<[Candidate]>,
}

/// Two prompts to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Duel {
    /// What the verdict is to come back with, as the metric `duel`: 1 where the first won, 0 where the second did, ½ for a draw.
    pub token: String,
    /// The decision's id.
    pub decision: DecisionId,
    /// The first.
    pub first: Arc<Variant>,
    /// The second.
    pub second: Arc<Variant>,
    /// The probability of this pair, in any order.
    pub propensity: f64,
}

/// What a caller may fix about a suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SuggestOptions<'a> {
    /// The decision's id; by default from the system's entropy. The same id is the same decision.
    pub decision: Option<DecisionId>,
    /// The bucket of time; by default that of now.
    pub epoch: Option<u32>,
    /// Features that the suggestion depends on, −1000 to 1000 each, best within ±1.
    pub context: Option<&'a [f64]>,
}

/// A reward that is to be counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feedback<'a> {
    /// Of the suggestion.
    pub token: &'a str,
    /// The metric; the first when none is named.
    pub metric: Option<&'a str>,
    /// The value, in the range of the metric's kind.
    pub value: f64,
    /// The highest revision holds; of equal ones the larger value.
    pub revision: u64,
}

/// Learns which prompts please. May be shared between threads; processes share the store.
pub struct PromptOptimizer {
    pub(super) space: Option<Space>,
    pub(super) options: Options,
    pub(super) store: Box<dyn Store>,
    realm: u32,
    state: Mutex<State>,
}

/// What is known of the store.
#[derive(Default)]
pub(super) struct State {
    pub variants: Variants,
    pub counters: Counters,
    version: u64,
    /// When the store was last asked, and how long that took.
    asked: Option<(Instant, Duration)>,
    variants_asked: Option<(Instant, Duration)>,
    /// Own rewards that have not been fetched yet.
    pending: u64,
    views: BTreeMap<String, Arc<View>>,
    /// Rewards of each concept since its view was made.
    since: BTreeMap<String, u64>,
    filters: BTreeMap<String, Filter>,
    fits: BTreeMap<(VariantId, String), (String, Arc<Fit>)>,
}

impl std::fmt::Debug for PromptOptimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptOptimizer").field("name", &self.options.name).finish_non_exhaustive()
    }
}

impl PromptOptimizer {
    /// An optimizer over a store. Without a space only free text can be offered, and nothing is proposed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a space or options out of range, [`Error::Store`] from the store.
    pub fn new(space: Option<Space>, store: Box<dyn Store>, options: Options) -> Result<Self> {
        if let Some(space) = &space {
            space.validate()?;
        }
        options.validate()?;
        let optimizer =
            Self { realm: realm(&options.name), space, options, store, state: Mutex::new(State::default()) };
        optimizer.refresh()?;
        Ok(optimizer)
    }

    /// An optimizer with the defaults, in memory.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a space out of range.
    pub fn in_memory(space: Space) -> Result<Self> {
        Self::new(Some(space), Box::new(MemoryStore::new()), Options::default())
    }

    /// The space, where there is one.
    pub fn space(&self) -> Option<&Space> {
        self.space.as_ref()
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| broken())
    }

    /// Asks the store for everything that others have done.
    ///
    /// # Errors
    /// [`Error::Store`] from the store.
    pub fn refresh(&self) -> Result<()> {
        let mut state = self.lock()?;
        self.fetch_variants(&mut state)?;
        self.fetch_counts(&mut state)
    }

    fn fetch_variants(&self, state: &mut State) -> Result<()> {
        let begun = Instant::now();
        let mut variants = Variants::new();
        for variant in self.store.variants()? {
            variants.entry(variant.concept.clone()).or_default().insert(variant.id, Arc::new(variant));
        }
        if variants != state.variants {
            state.variants = variants;
            state.views.clear();
            state.filters.clear();
        }
        state.variants_asked = Some((begun, begun.elapsed()));
        Ok(())
    }

    fn fetch_counts(&self, state: &mut State) -> Result<()> {
        let begun = Instant::now();
        let changes = self.store.counts(state.version)?;
        state.version = changes.version;
        for (key, count) in changes.counts {
            let of_concept = state.counters.entry(key.concept.clone()).or_default();
            let before = of_concept.get(&key).map_or(0, |c| c.n);
            // A revision changes the sum and not the number.
            let news = count.n.abs_diff(before).max(1);
            *state.since.entry(key.concept.clone()).or_default() += news;
            of_concept.insert(key, count);
        }
        state.pending = 0;
        state.asked = Some((begun, begun.elapsed()));
        Ok(())
    }

    /// Asks the store again where that is due: never more than a twentieth of the time is spent on it.
    fn keep_up(&self, state: &mut State) -> Result<()> {
        let (variants, counts) = self.due(state);
        if variants {
            self.fetch_variants(state)?;
        }
        if counts {
            self.fetch_counts(state)?;
        }
        Ok(())
    }

    /// Whether the store is to be asked for variants, and whether for counters.
    fn due(&self, state: &State) -> (bool, bool) {
        let every = Duration::from_millis(u64::from(self.options.refresh_ms));
        let now = Instant::now();
        let due = |asked: Option<(Instant, Duration)>| {
            asked.is_none_or(|(at, took)| now.duration_since(at) >= every.max(20 * took))
        };
        let news = state.pending >= u64::from(self.options.refresh_rewards);
        (due(state.variants_asked), news || due(state.asked))
    }

    /// The bucket of now.
    pub(super) fn epoch(&self) -> u32 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u32::try_from(now.as_secs() / u64::from(self.options.bucket_s)).unwrap_or(u32::MAX)
    }

    /// The concept as it is now; for an `epoch` that matters only to discounting.
    pub(super) fn view(&self, state: &mut State, concept: &str, epoch: u32) -> Result<Arc<View>> {
        if let Some(view) = self.held(state, concept, epoch) {
            return Ok(view);
        }
        let mut filter = state.filters.remove(concept).unwrap_or_default();
        let maker = Maker { options: &self.options, variants: &state.variants, counters: &state.counters, epoch };
        let view = maker.make(concept, &mut filter).map(Arc::new);
        state.filters.insert(concept.into(), filter);
        let view = view.ok_or_else(|| self.nothing_to_offer(state, concept))?;
        state.since.remove(concept);
        state.views.insert(concept.into(), view.clone());
        Ok(view)
    }

    /// The view that was made before, where it is still good.
    fn held(&self, state: &State, concept: &str, epoch: u32) -> Option<Arc<View>> {
        let view = state.views.get(concept)?;
        let moves = !matches!(self.options.drift, Drift::None | Drift::Auto);
        let news = state.since.get(concept).copied().unwrap_or(0);
        let patience = u64::from(self.options.refresh_rewards).max(view.offered.len() as u64 / 8);
        (news < patience && (!moves || view.epoch == epoch)).then(|| view.clone())
    }

    fn nothing_to_offer(&self, state: &State, concept: &str) -> Error {
        match state.variants.get(concept).map_or(0, BTreeMap::len) {
            0 => Error::invalid(format!("concept {concept:?} has no variants; add some, or call start({concept:?})")),
            n => {
                Error::invalid(format!("none of the {n} variants of concept {concept:?} is active; add or resume one"))
            }
        }
    }

    /// Draws a prompt for a concept. Nothing is written: the token carries all that the reward needs.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a concept without active variants, [`Error::Store`] from the store.
    pub fn suggest(&self, concept: &str) -> Result<Suggestion> {
        self.suggest_with(concept, &SuggestOptions::default())
    }

    /// The same, with something fixed.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`]; [`Error::InvalidArgument`] for a context out of range.
    pub fn suggest_with(&self, concept: &str, how: &SuggestOptions<'_>) -> Result<Suggestion> {
        let epoch = how.epoch.unwrap_or_else(|| self.epoch());
        let decision = how.decision.map_or_else(fresh, Ok)?;
        let mut state = self.lock()?;
        self.keep_up(&mut state)?;
        let view = self.view(&mut state, concept, epoch)?;
        let Some(context) = how.context else {
            drop(state);
            return Ok(self.draw(&view, decision, epoch));
        };
        let context = linear::quantize(context)?;
        let best = self.at_context(&mut state, &view, concept, &context)?;
        drop(state);
        let place = view.control.and_then(|c| view.eligible.iter().position(|&i| i == c));
        let policy = self.options.policy.shape(&best, place);
        let drawn = policy.draw(self.rng(decision).next_u64());
        let candidates = view.eligible.iter().zip(policy.probabilities());
        let candidates = candidates.map(|(&i, &propensity)| Candidate { variant: view.offered[i].id, propensity });
        let variant = &view.offered[view.eligible[drawn]];
        Ok(self.suggestion(
            variant,
            policy.probabilities()[drawn],
            candidates.collect(),
            decision,
            epoch,
            view.hash,
            context,
        ))
    }

    /// The same where it can be had at once; `None` where the store has to be asked, the policy to be renewed or another thread to be
    /// waited for, and at every context. For event loops, which call [`PromptOptimizer::suggest_with`] elsewhere after a `None`.
    ///
    /// # Errors
    /// [`Error::Internal`] where an earlier call panicked, or the system has no entropy.
    pub fn try_suggest(&self, concept: &str, how: &SuggestOptions<'_>) -> Result<Option<Suggestion>> {
        if how.context.is_some() {
            return Ok(None);
        }
        let epoch = how.epoch.unwrap_or_else(|| self.epoch());
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Poisoned(_)) => return Err(broken()),
        };
        if self.due(&state) != (false, false) {
            return Ok(None);
        }
        let Some(view) = self.held(&state, concept, epoch) else { return Ok(None) };
        drop(state);
        let decision = how.decision.map_or_else(fresh, Ok)?;
        Ok(Some(self.draw(&view, decision, epoch)))
    }

    /// P(best) of the eligible variants at a context.
    fn at_context(&self, state: &mut State, view: &View, concept: &str, context: &[i64]) -> Result<Vec<f64>> {
        let features: Vec<f64> = context.iter().map(|&x| x as f64 / ONE as f64).collect();
        let metrics: Vec<&Metric> = self.options.metrics.iter().filter(|m| m.weight != 0.0).collect();
        let mut posteriors = Vec::with_capacity(view.eligible.len());
        for &i in &view.eligible {
            let id = view.offered[i].id;
            let mut parts = Vec::with_capacity(metrics.len());
            for metric in &metrics {
                let mut sum = Count::default();
                if let Some(counters) = state.counters.get(concept) {
                    let of = |epoch| Key {
                        concept: concept.into(),
                        variant: id,
                        against: None,
                        metric: metric.name.clone(),
                        epoch,
                    };
                    for (_, count) in counters.range(of(0)..=of(u32::MAX)).filter(|(_, c)| !c.moments.is_empty()) {
                        sum.add(count);
                    }
                }
                let key = (id, metric.name.clone());
                let held = state.fits.get(&key);
                let held = held
                    .filter(|(c, fit)| c == concept && fit.seen == (sum.n, sum.sum) && fit.features() == features.len())
                    .map(|(_, fit)| fit.clone());
                let fit = match held {
                    Some(fit) => fit,
                    None => {
                        let fit = Fit::new(&sum, features.len(), &self.options.linear).ok_or_else(|| {
                            let n = features.len() - 1;
                            Error::invalid(format!(
                                "context has {n} features; {concept:?} has had contexts of another length"
                            ))
                        })?;
                        let fit = Arc::new(fit);
                        state.fits.insert(key, (concept.into(), fit.clone()));
                        fit
                    }
                };
                parts.push((metric.weight, fit.at(&features)));
            }
            posteriors.push(utility(&parts));
        }
        Ok(best(&posteriors, self.options.policy.mode == super::policy::Mode::Optimistic).probabilities)
    }

    /// Several independent suggestions, for generating in parallel.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`].
    pub fn suggest_batch(&self, concept: &str, count: usize) -> Result<Vec<Suggestion>> {
        let epoch = self.epoch();
        let mut state = self.lock()?;
        self.keep_up(&mut state)?;
        let view = self.view(&mut state, concept, epoch)?;
        drop(state);
        let mut ids = vec![0; 12 * count.min(1 << 24)];
        getrandom::fill(&mut ids).map_err(no_entropy)?;
        let one = |id: &[u8]| self.draw(&view, DecisionId(id.try_into().unwrap_or_default()), epoch);
        Ok(ids.chunks_exact(12).map(one).collect())
    }

    /// Several different variants, the likeliest to be best first: draws without putting back. `propensity` is the probability of
    /// being among them.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`]; [`Error::InvalidArgument`] when there are not as many variants.
    pub fn suggest_top(&self, concept: &str, count: usize) -> Result<Vec<Suggestion>> {
        let epoch = self.epoch();
        let mut state = self.lock()?;
        self.keep_up(&mut state)?;
        let view = self.view(&mut state, concept, epoch)?;
        drop(state);
        let k = view.eligible.len();
        if count == 0 || count > k {
            return Err(Error::invalid(format!("count is {count}; {concept:?} can offer 1 to {k} different variants")));
        }
        let p = view.policy.probabilities();
        let within = inclusion(p, count);
        let mut rest: Vec<Option<f64>> = p.iter().map(|p| Some(*p)).collect();
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            let decision = fresh()?;
            let there = || rest.iter().enumerate().filter_map(|(i, p)| p.map(|p| (i, p)));
            let mut left = unit(self.rng(decision).next_u64()) * there().map(|(_, p)| p).sum::<f64>();
            let mut at = 0;
            for (i, p) in there() {
                at = i;
                left -= p;
                if left < 0.0 {
                    break;
                }
            }
            rest[at] = None;
            // Who has no probability can only come because there is nobody else.
            let p = if within[at] > 0.0 { within[at] } else { 1.0 };
            let variant = &view.offered[view.eligible[at]];
            out.push(self.suggestion(variant, p, view.candidates.clone(), decision, epoch, view.hash, Vec::new()));
        }
        Ok(out)
    }

    /// Two different variants to be compared by a listener.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`]; [`Error::InvalidArgument`] where there is only one variant.
    pub fn suggest_duel(&self, concept: &str) -> Result<Duel> {
        let epoch = self.epoch();
        let decision = fresh()?;
        let mut state = self.lock()?;
        self.keep_up(&mut state)?;
        let view = self.view(&mut state, concept, epoch)?;
        drop(state);
        let k = view.eligible.len();
        if k < 2 {
            return Err(Error::invalid(format!("a duel needs two variants; {concept:?} can offer {k}")));
        }
        // Nobody is certain of the first place in a duel: each may be drawn.
        let p: Vec<f64> = view.policy.probabilities().iter().map(|p| 0.98 * p + 0.02 / k as f64).collect();
        let mut rng = self.rng(decision);
        let pick = |random: u64, skip: Option<usize>| {
            let all: f64 = (0..k).filter(|i| Some(*i) != skip).map(|i| p[i]).sum();
            let mut left = unit(random) * all;
            let mut last = 0;
            for i in (0..k).filter(|i| Some(*i) != skip) {
                last = i;
                left -= p[i];
                if left < 0.0 {
                    break;
                }
            }
            last
        };
        let a = pick(rng.next_u64(), None);
        let b = pick(rng.next_u64(), Some(a));
        let others = |i: usize| (0..k).filter(|j| *j != i).map(|j| p[j]).sum::<f64>();
        let propensity = (p[a] * p[b] / others(a) + p[b] * p[a] / others(b)).min(1.0);
        // Who is heard first is a coin's choice: listeners like what they hear first.
        let (a, b) = if rng.next_u64() & 1 == 0 { (a, b) } else { (b, a) };
        let (first, second) = (view.offered[view.eligible[a]].clone(), view.offered[view.eligible[b]].clone());
        let token = Token {
            realm: self.realm,
            decision,
            concept: concept.into(),
            variant: first.id,
            against: Some(second.id),
            epoch,
            propensity,
            view: view.hash,
            context: Vec::new(),
        };
        Ok(Duel { token: token.encode(self.secret()), decision, first, second, propensity })
    }

    fn secret(&self) -> Option<&[u8]> {
        self.options.secret.as_ref().map(String::as_bytes)
    }

    fn rng(&self, decision: DecisionId) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.options.seed.to_le_bytes());
        key[8..20].copy_from_slice(&decision.0);
        ChaCha8Rng::from_seed(key)
    }

    fn draw(&self, view: &View, decision: DecisionId, epoch: u32) -> Suggestion {
        let drawn = view.policy.draw(self.rng(decision).next_u64());
        let propensity = view.policy.probabilities()[drawn];
        let variant = &view.offered[view.eligible[drawn]];
        self.suggestion(variant, propensity, view.candidates.clone(), decision, epoch, view.hash, Vec::new())
    }

    #[allow(clippy::too_many_arguments)] // a private constructor
    fn suggestion(
        &self,
        variant: &Variant,
        propensity: f64,
        candidates: Arc<[Candidate]>,
        decision: DecisionId,
        epoch: u32,
        view: u32,
        context: Vec<i64>,
    ) -> Suggestion {
        let token = Token {
            realm: self.realm,
            decision,
            concept: variant.concept.clone(),
            variant: variant.id,
            against: None,
            epoch,
            propensity,
            view,
            context,
        };
        Suggestion {
            token: token.encode(self.secret()),
            decision,
            concept: variant.concept.clone(),
            variant: variant.id,
            prompt: variant.text.clone(),
            propensity,
            candidates,
        }
    }

    /// Counts a reward of the first metric.
    ///
    /// # Errors
    /// As [`PromptOptimizer::reward_all`].
    pub fn reward(&self, token: &str, value: f64) -> Result<Applied> {
        self.reward_with(Feedback { token, metric: None, value, revision: 0 })
    }

    /// Counts a reward of any metric, or revises one.
    ///
    /// # Errors
    /// As [`PromptOptimizer::reward_all`].
    pub fn reward_with(&self, feedback: Feedback<'_>) -> Result<Applied> {
        Ok(self.reward_all(&[feedback])?[0])
    }

    /// Counts rewards, all or none; says of each what became of it. A reward counts once, however often it comes; in case of doubt
    /// send it again. A retired variant's reward counts too.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a token that is damaged, forged or foreign, an unknown metric, and a value that is not of the metric's
    /// kind: then nothing is counted. [`Error::Store`] from the store: send it again later.
    pub fn reward_all(&self, feedback: &[Feedback<'_>]) -> Result<Vec<Applied>> {
        let rewards = feedback.iter().map(|f| self.read(f)).collect::<Result<Vec<Reward>>>()?;
        {
            // Concepts of tokens must be known here: a store of the same name but another content would swallow them.
            let mut state = self.lock()?;
            let known = |state: &State, r: &Reward| {
                state.variants.get(&r.key.concept).is_some_and(|v| v.contains_key(&r.key.variant))
            };
            if rewards.iter().any(|r| !known(&state, r)) {
                self.fetch_variants(&mut state)?;
            }
            if let Some(r) = rewards.iter().find(|r| !known(&state, r)) {
                return Err(Error::invalid(format!(
                    "the token is of variant {} of concept {:?}, which this store does not have; is it the token of another store?",
                    r.key.variant, r.key.concept
                )));
            }
        }
        let applied = self.store.apply(&rewards)?;
        let news = applied.iter().filter(|a| matches!(a, Applied::New | Applied::Revised)).count();
        self.lock()?.pending += news as u64;
        Ok(applied)
    }

    fn read(&self, feedback: &Feedback<'_>) -> Result<Reward> {
        let token = Token::decode(feedback.token, self.realm, self.secret())?;
        let mut variant = token.variant;
        let mut against = token.against;
        let name = match (feedback.metric, token.against) {
            (Some(name), _) => name,
            (None, Some(_)) => DUEL,
            (None, None) => &self.options.metrics[0].name,
        };
        if (name == DUEL) != against.is_some() {
            let (is, takes) = if against.is_some() { ("a duel", "\"duel\"") } else { ("a suggestion", "another") };
            return Err(Error::invalid(format!(
                "the token is of {is}, and the metric {name:?}; expected {takes} metric"
            )));
        }
        let value = if name == DUEL {
            let mut value = Metric::new(DUEL, MetricKind::Rating).quantize(feedback.value)?;
            // In the counters the smaller id is always the one that wins or loses.
            if against.is_some_and(|b| b < variant) {
                (variant, against) = (against.unwrap_or(variant), Some(variant));
                value = ONE - value;
            }
            value
        } else {
            let metric = self.options.metrics.iter().find(|m| m.name == name).ok_or_else(|| {
                let known: Vec<&str> = self.options.metrics.iter().map(|m| m.name.as_str()).collect();
                Error::invalid(format!("no metric is called {name:?}; expected one of {}", known.join(", ")))
            })?;
            metric.quantize(feedback.value)?
        };
        Ok(Reward {
            decision: token.decision,
            key: Key { concept: token.concept, variant, against, metric: name.into(), epoch: token.epoch },
            value,
            revision: feedback.revision,
            propensity: Propensity(token.propensity),
            context: token.context,
        })
    }

    /// All variants of a concept, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Store`] from the store.
    pub fn variants(&self, concept: &str) -> Result<Vec<Variant>> {
        let mut state = self.lock()?;
        self.fetch_variants(&mut state)?;
        Ok(state.variants.get(concept).into_iter().flatten().map(|(_, v)| (**v).clone()).collect())
    }

    /// All concepts that have variants.
    ///
    /// # Errors
    /// [`Error::Store`] from the store.
    pub fn concepts(&self) -> Result<Vec<String>> {
        let mut state = self.lock()?;
        self.fetch_variants(&mut state)?;
        Ok(state.variants.keys().cloned().collect())
    }

    /// Offers a variant from now on; what is there already stays as it is.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a variant out of range, [`Error::Store`] from the store.
    pub fn add(&self, variant: &Variant) -> Result<()> {
        variant.validate()?;
        self.store.put_variant(variant)?;
        let mut state = self.lock()?;
        self.fetch_variants(&mut state)
    }

    /// Pauses, retires or resumes a variant.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a variant that is not there, [`Error::Store`] from the store.
    pub fn set_status(&self, concept: &str, variant: VariantId, status: Status) -> Result<()> {
        self.change(concept, variant, |v| v.status = status)
    }

    /// Makes a variant the control of its concept, in place of the one before.
    ///
    /// # Errors
    /// As [`PromptOptimizer::set_status`].
    pub fn set_control(&self, concept: &str, variant: VariantId) -> Result<()> {
        let others: Vec<Variant> =
            self.variants(concept)?.into_iter().filter(|v| v.control && v.id != variant).collect();
        self.change(concept, variant, |v| v.control = true)?;
        others.iter().try_for_each(|v| self.change(concept, v.id, |v| v.control = false))
    }

    fn change(&self, concept: &str, variant: VariantId, change: impl FnOnce(&mut Variant)) -> Result<()> {
        let mut state = self.lock()?;
        self.fetch_variants(&mut state)?;
        let held = state
            .variants
            .get(concept)
            .and_then(|v| v.get(&variant))
            .ok_or_else(|| Error::invalid(format!("concept {concept:?} has no variant {variant}")))?;
        let mut changed = (**held).clone();
        change(&mut changed);
        if changed != **held {
            changed.revision += 1;
            self.store.put_variant(&changed)?;
            self.fetch_variants(&mut state)?;
        }
        Ok(())
    }

    fn needs_space(&self) -> Result<&Space> {
        self.space.as_ref().ok_or_else(|| Error::invalid("this optimizer has no space; add variants of free text"))
    }

    /// Begins a concept with variants that are spread over the space, at most `count`; where it has active ones, nothing happens.
    /// Returns what is offered.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] without a space or for a count of 0, [`Error::Store`] from the store.
    pub fn start(&self, concept: &str, count: usize) -> Result<Vec<Variant>> {
        check_name("concept", concept)?;
        let space = self.needs_space()?;
        if count == 0 || count > 4_096 {
            return Err(Error::invalid(format!("count is {count}; expected 1 to 4096")));
        }
        let active = |v: &Variant| v.status == Status::Active;
        if !self.variants(concept)?.iter().any(active) {
            for indices in proposer::spread(space, concept, count, self.options.seed) {
                self.store.put_variant(&space.variant(concept, space.assignment(&indices))?)?;
            }
        }
        Ok(self.variants(concept)?.into_iter().filter(active).collect())
    }

    /// New variants that are likely to please, by what the slots have shown so far in this concept and the others; they are not added
    /// yet. Fewer than `count` where the space has no more.
    ///
    /// # Errors
    /// As [`PromptOptimizer::start`].
    pub fn propose(&self, concept: &str, count: usize) -> Result<Vec<Variant>> {
        let space = self.needs_space()?;
        let effects = self.effects(concept)?;
        let decision = fresh()?;
        let state = self.lock()?;
        let taken: Vec<Vec<u16>> = state
            .variants
            .get(concept)
            .into_iter()
            .flatten()
            .filter_map(|(_, v)| space.indices(&v.slots).ok())
            .collect();
        drop(state);
        let mut rng = self.rng(decision);
        let chosen = effects.propose(space, count, &taken, &mut rng);
        chosen.iter().map(|indices| space.variant(concept, space.assignment(indices))).collect()
    }

    /// What is believed of the slots' effects, from this concept and, half as firmly, from the others.
    ///
    /// # Errors
    /// As [`PromptOptimizer::start`].
    pub fn effects(&self, concept: &str) -> Result<Effects> {
        let space = self.needs_space()?;
        check_name("concept", concept)?;
        let mut state = self.lock()?;
        self.fetch_variants(&mut state)?;
        self.fetch_counts(&mut state)?;
        let metric = self.options.metrics.iter().find(|m| m.weight != 0.0).unwrap_or(&self.options.metrics[0]);
        Effects::fit(space, concept, metric, &state.variants, &state.counters)
    }

    /// Retires the hopeless (P(best) below `below` after at least `at_least` rewards; never the control, never the last) and adds a new
    /// proposal for each. Returns the retired and the added.
    ///
    /// # Errors
    /// As [`PromptOptimizer::start`].
    pub fn evolve(&self, concept: &str, below: f64, at_least: u64) -> Result<(Vec<Variant>, Vec<Variant>)> {
        in_range("below", below, 0.0, 0.5)?;
        self.refresh()?;
        let view = {
            let mut state = self.lock()?;
            state.views.remove(concept);
            self.view(&mut state, concept, self.epoch())?
        };
        let seen = |i: usize| view.stats[i].iter().map(|s| s.n).fold(0.0, f64::max);
        let hopeless = |&i: &usize| view.best[i] < below && seen(i) >= at_least as f64 && view.control != Some(i);
        let mut gone: Vec<usize> = (0..view.offered.len()).filter(hopeless).collect();
        gone.truncate(view.offered.len() - 1);
        let added = if gone.is_empty() { Vec::new() } else { self.propose(concept, gone.len())? };
        added.iter().try_for_each(|v| self.store.put_variant(v))?;
        let mut retired = Vec::new();
        for i in gone {
            self.set_status(concept, view.offered[i].id, Status::Retired)?;
            retired.push(Variant {
                status: Status::Retired,
                revision: view.offered[i].revision + 1,
                ..(*view.offered[i]).clone()
            });
        }
        self.refresh()?;
        Ok((retired, added))
    }

    /// Delivers what a spooled store has only taken note of; how many rewards are still on the way.
    ///
    /// # Errors
    /// [`Error::Store`] from the store.
    pub fn flush(&self) -> Result<u64> {
        self.store.flush()
    }

    /// P(best) and policy of the offered variants, as suggestions are drawn from now.
    ///
    /// # Errors
    /// As [`PromptOptimizer::suggest`].
    pub fn policy(&self, concept: &str) -> Result<Arc<[Candidate]>> {
        let mut state = self.lock()?;
        self.keep_up(&mut state)?;
        Ok(self.view(&mut state, concept, self.epoch())?.candidates.clone())
    }
}

fn broken() -> Error {
    Error::Internal("an earlier call on this optimizer panicked; make a new one".into())
}

fn no_entropy(error: getrandom::Error) -> Error {
    Error::Internal(format!("the system has no entropy: {error}"))
}

fn fresh() -> Result<DecisionId> {
    let mut id = [0; 12];
    getrandom::fill(&mut id).map_err(no_entropy)?;
    Ok(DecisionId(id))
}

/// A number from 0 up to, but not, 1.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

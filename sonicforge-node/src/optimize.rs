//! Prompts that learn. Everything that may wait for a store is a promise; what crosses is text. What all suggestions from one policy
//! have in common crosses once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use napi::Result;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use sonicforge_core::error;
use sonicforge_core::optimize::ope::{Logged, evaluate};
use sonicforge_core::optimize::store::{Durability, open_store};
use sonicforge_core::optimize::{
    Applied, Candidate, DecisionId, Feedback, Options, PromptReport, Space, Status, StopRule, SuggestOptions,
    Suggestion, Variant, VariantId,
};

use crate::enter::{Job, Work, enter, start};
use crate::values::{Outcome, from_json, to_json};

/// The core's optimizer.
#[napi]
pub struct PromptOptimizer {
    core: Arc<sonicforge_core::optimize::PromptOptimizer>,
    told: Mutex<Told>,
}

/// What the facade knows of the concepts' policies.
#[derive(Default)]
struct Told {
    concepts: BTreeMap<String, ToldPolicy>,
    /// Of the policy that was told last.
    serial: u32,
}

struct ToldPolicy {
    serial: u32,
    candidates: Arc<[Candidate]>,
    /// Which candidates' prompts it knows.
    prompts: Vec<bool>,
}

/// The policies of no more concepts than this are kept in mind.
const MAX_TOLD: usize = 1_024;

/// What the constructor of the facade collects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    space: Option<Space>,
    store: String,
    durability: Durability,
    spool: Option<String>,
    options: Options,
}

/// Opens the store and makes an optimizer over it.
#[napi]
pub fn open_optimizer(job: &Job, text: String) -> Result<AsyncTask<Work>, String> {
    let opening: Opening = enter(|| from_json("options", &text))?;
    Ok(start(job, move |_| {
        opening.options.validate()?;
        let store = open_store(&opening.store, opening.durability, opening.spool.as_deref().map(std::path::Path::new))?;
        let core = sonicforge_core::optimize::PromptOptimizer::new(opening.space, store, opening.options)?;
        Ok(Outcome::Optimizer(PromptOptimizer { core: Arc::new(core), told: Mutex::default() }))
    }))
}

/// A call as text: its name and arguments.
#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
enum Call {
    Options,
    Suggest {
        concept: String,
        decision: Option<DecisionId>,
        epoch: Option<u32>,
        context: Option<Vec<f64>>,
    },
    SuggestTop {
        concept: String,
        count: usize,
    },
    SuggestDuel {
        concept: String,
    },
    RewardAll {
        feedback: Vec<Given>,
    },
    Variants {
        concept: String,
    },
    Concepts,
    Add {
        concept: String,
        text: Option<String>,
        slots: Option<std::collections::BTreeMap<String, String>>,
        control: bool,
    },
    SetStatus {
        concept: String,
        variant: VariantId,
        status: Status,
    },
    SetControl {
        concept: String,
        variant: VariantId,
    },
    Start {
        concept: String,
        count: usize,
    },
    Propose {
        concept: String,
        count: usize,
    },
    Evolve {
        concept: String,
        below: f64,
        at_least: u64,
    },
    Policy {
        concept: String,
    },
    Report {
        concept: String,
        rule: StopRule,
    },
    Log {
        concept: String,
        metric: Option<String>,
    },
    Evaluate {
        concept: String,
        metric: Option<String>,
        policy: Vec<(VariantId, f64)>,
    },
    ImportState {
        text: String,
    },
    Refresh,
    Flush,
}

#[derive(Deserialize)]
struct Given {
    token: String,
    value: f64,
    metric: Option<String>,
    revision: u64,
}

#[derive(Serialize)]
struct Suggested<'a> {
    token: &'a str,
    decision: DecisionId,
    concept: &'a str,
    variant: VariantId,
    prompt: &'a str,
    propensity: f64,
    candidates: &'a [Candidate],
}

fn suggested(s: &Suggestion) -> Suggested<'_> {
    let Suggestion { token, decision, concept, variant, prompt, propensity, candidates } = s;
    Suggested { token, decision: *decision, concept, variant: *variant, prompt, propensity: *propensity, candidates }
}

/// What suggestions of one candidate have in common.
#[derive(Serialize)]
struct Row<'a> {
    /// Its number among the candidates.
    index: usize,
    variant: VariantId,
    prompt: &'a str,
    propensity: f64,
    /// Of the policy, so that it can be known again.
    serial: u32,
    /// All candidates, where the policy is new to the reader.
    candidates: Option<&'a [Candidate]>,
}

/// Candidates come in the order of their ids.
fn index(s: &Suggestion) -> error::Result<usize> {
    let found = s.candidates.binary_search_by_key(&s.variant, |c| c.variant);
    found.map_err(|_| error::Error::Internal("a suggestion is none of its candidates".into()))
}

/// Token, then the decision's 24 hexadecimal digits, then 8 of the candidate's number.
fn short(s: &Suggestion, index: usize, text: &mut String) {
    text.push_str(&s.token);
    for byte in s.decision.0.into_iter().chain((index as u32).to_be_bytes()) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

impl Told {
    /// A suggestion in as few words as the facade needs, which knows the policy of this serial number.
    fn tell(&mut self, s: &Suggestion, known: u32) -> error::Result<String> {
        let index = index(s)?;
        let held = self.concepts.get_mut(&s.concept);
        let held = held.filter(|t| t.serial == known && Arc::ptr_eq(&t.candidates, &s.candidates));
        let mut text = String::new();
        let (serial, news) = match held {
            Some(policy) if policy.prompts[index] => {
                text.reserve_exact(s.token.len() + 32);
                short(s, index, &mut text);
                return Ok(text);
            }
            Some(policy) => {
                policy.prompts[index] = true;
                (policy.serial, false)
            }
            None => {
                self.serial = self.serial.wrapping_add(1).max(1);
                let mut prompts = vec![false; s.candidates.len()];
                prompts[index] = true;
                if self.concepts.len() >= MAX_TOLD {
                    self.concepts.clear();
                }
                let policy = ToldPolicy { serial: self.serial, candidates: s.candidates.clone(), prompts };
                self.concepts.insert(s.concept.clone(), policy);
                (self.serial, true)
            }
        };
        let candidates = news.then_some(&*s.candidates);
        let (variant, prompt, propensity) = (s.variant, s.prompt.as_str(), s.propensity);
        let row = to_json(&Row { index, variant, prompt, propensity, serial, candidates })?;
        text.reserve_exact(row.len() + s.token.len() + 32);
        // A row begins with a brace, a token does not.
        text.push_str(&row);
        short(s, index, &mut text);
        Ok(text)
    }
}

/// Independent suggestions: what they have in common, and the rest of each.
pub struct Batch {
    /// JSON: candidates, and of each that was drawn its number, variant, prompt and propensity.
    pub head: String,
    /// As [`short`] writes them, all of one width, some in each.
    pub rows: Vec<String>,
}

/// A token is kept alive with no more than so many others.
const ROWS: usize = 64;

#[derive(Serialize)]
struct Head<'a> {
    candidates: &'a [Candidate],
    drawn: Vec<Row<'a>>,
    width: usize,
}

fn batch(suggestions: &[Suggestion]) -> error::Result<Batch> {
    let Some(first) = suggestions.first() else { return Ok(Batch { head: String::new(), rows: Vec::new() }) };
    let mut drawn: BTreeMap<usize, Row<'_>> = BTreeMap::new();
    let width = first.token.len() + 32;
    let mut rows = Vec::with_capacity(suggestions.len().div_ceil(ROWS));
    for some in suggestions.chunks(ROWS) {
        let mut text = String::with_capacity(some.len() * width);
        for s in some {
            let index = index(s)?;
            let (variant, prompt, propensity) = (s.variant, s.prompt.as_str(), s.propensity);
            drawn.entry(index).or_insert(Row { index, variant, prompt, propensity, serial: 0, candidates: None });
            short(s, index, &mut text);
        }
        if text.len() != some.len() * width {
            return Err(error::Error::Internal("tokens of one batch differ in length".into()));
        }
        rows.push(text);
    }
    let head = Head { candidates: &first.candidates, drawn: drawn.into_values().collect(), width };
    Ok(Batch { head: to_json(&head)?, rows })
}

#[derive(Serialize)]
struct Fought<'a> {
    token: &'a str,
    decision: DecisionId,
    first: &'a Variant,
    second: &'a Variant,
    propensity: f64,
}

fn answer(core: &sonicforge_core::optimize::PromptOptimizer, call: Call) -> error::Result<String> {
    let many = |s: Vec<Suggestion>| to_json(&s.iter().map(suggested).collect::<Vec<_>>());
    match call {
        Call::Options => to_json(core.options()),
        Call::Suggest { concept, decision, epoch, context } => {
            let how = SuggestOptions { decision, epoch, context: context.as_deref() };
            to_json(&suggested(&core.suggest_with(&concept, &how)?))
        }
        Call::SuggestTop { concept, count } => many(core.suggest_top(&concept, count)?),
        Call::SuggestDuel { concept } => {
            let duel = core.suggest_duel(&concept)?;
            let (token, first, second) = (&duel.token, &*duel.first, &*duel.second);
            to_json(&Fought { token, decision: duel.decision, first, second, propensity: duel.propensity })
        }
        Call::RewardAll { feedback } => {
            let rows: Vec<Feedback<'_>> = feedback
                .iter()
                .map(|g| Feedback {
                    token: &g.token,
                    metric: g.metric.as_deref(),
                    value: g.value,
                    revision: g.revision,
                })
                .collect();
            to_json::<Vec<Applied>>(&core.reward_all(&rows)?)
        }
        Call::Variants { concept } => to_json(&core.variants(&concept)?),
        Call::Concepts => to_json(&core.concepts()?),
        Call::Add { concept, text, slots, control } => {
            let mut variant = match (text, slots) {
                (Some(text), None) => Variant::text(&concept, &text)?,
                (None, Some(slots)) => {
                    let none = || error::Error::invalid("this optimizer has no space; pass a text");
                    core.space().ok_or_else(none)?.variant(&concept, slots)?
                }
                _ => return Err(error::Error::invalid("pass either a text or slots")),
            };
            variant.control = control;
            core.add(&variant)?;
            to_json(&variant)
        }
        Call::SetStatus { concept, variant, status } => to_json(&core.set_status(&concept, variant, status)?),
        Call::SetControl { concept, variant } => to_json(&core.set_control(&concept, variant)?),
        Call::Start { concept, count } => to_json(&core.start(&concept, count)?),
        Call::Propose { concept, count } => to_json(&core.propose(&concept, count)?),
        Call::Evolve { concept, below, at_least } => to_json(&core.evolve(&concept, below, at_least)?),
        Call::Policy { concept } => to_json(&core.policy(&concept)?.to_vec()),
        Call::Report { concept, rule } => Ok(core.report_with(&concept, &rule)?.to_json()),
        Call::Log { concept, metric } => to_json(&core.log(&concept, metric.as_deref())?),
        Call::Evaluate { concept, metric, policy } => to_json(&core.evaluate(&concept, metric.as_deref(), &policy)?),
        Call::ImportState { text } => to_json(&core.import_state(&text)?),
        Call::Refresh => to_json(&core.refresh()?),
        Call::Flush => to_json(&core.flush()?),
    }
}

#[napi]
impl PromptOptimizer {
    /// A suggestion that can be had at once, as [`Told::tell`] writes it, or null. `known` is the number of the policy that the
    /// facade knows of this concept; 0 for none.
    #[napi]
    pub fn try_suggest(
        &self,
        concept: String,
        known: u32,
        decision: Option<String>,
        epoch: Option<u32>,
    ) -> Result<Option<String>, String> {
        enter(|| {
            let decision = decision.map(|text| text.parse()).transpose()?;
            let found = self.core.try_suggest(&concept, &SuggestOptions { decision, epoch, context: None })?;
            found.map(|s| self.told.lock().unwrap_or_else(PoisonError::into_inner).tell(&s, known)).transpose()
        })
    }

    /// Independent suggestions.
    #[napi]
    pub fn suggest_batch(&self, job: &Job, concept: String, count: u32) -> AsyncTask<Work> {
        let core = self.core.clone();
        start(job, move |_| Ok(Outcome::Batch(batch(&core.suggest_batch(&concept, count as usize)?)?)))
    }

    /// Runs a call on libuv's pool; the answer is JSON.
    #[napi]
    pub fn call(&self, job: &Job, text: String) -> Result<AsyncTask<Work>, String> {
        let call: Call = enter(|| from_json("arguments", &text))?;
        let core = self.core.clone();
        Ok(start(job, move |_| Ok(Outcome::Text(answer(&core, call)?))))
    }

    /// Variants and ledger as JSON.
    #[napi]
    pub fn export_state(&self, job: &Job) -> AsyncTask<Work> {
        let core = self.core.clone();
        start(job, move |_| Ok(Outcome::Text(core.export_state()?)))
    }
}

/// What another policy would have earned, from rows of a log; JSON both ways.
#[napi]
pub fn evaluate_policy(log: String) -> Result<String, String> {
    enter(|| to_json(&evaluate(&from_json::<Vec<Logged>>("log", &log)?)?))
}

/// A space, checked and written anew.
#[napi]
pub fn space_normalize(text: String) -> Result<String, String> {
    enter(|| {
        let space: Space = from_json("space", &text)?;
        space.validate()?;
        to_json(&space)
    })
}

/// A prompt report in a few lines.
#[napi]
pub fn prompt_summary(report: String) -> Result<String, String> {
    enter(|| Ok(PromptReport::from_json(&report)?.summary()))
}

/// A prompt report as one SVG.
#[napi]
pub fn prompt_svg(report: String) -> Result<String, String> {
    enter(|| Ok(sonicforge_core::plot::prompt_svg(&PromptReport::from_json(&report)?)))
}

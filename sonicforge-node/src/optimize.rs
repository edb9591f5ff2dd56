//! Prompts that learn. Everything that may wait for a store is a promise; what crosses is text.

use std::sync::Arc;

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
#[derive(Clone)]
pub struct PromptOptimizer {
    core: Arc<sonicforge_core::optimize::PromptOptimizer>,
}

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
        Ok(Outcome::Optimizer(PromptOptimizer { core: Arc::new(core) }))
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
    SuggestBatch {
        concept: String,
        count: usize,
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
        Call::SuggestBatch { concept, count } => many(core.suggest_batch(&concept, count)?),
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

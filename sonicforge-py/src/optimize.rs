//! `sonicforge_core::optimize`: suggestions as objects, everything else as JSON text.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use sonicforge_core::error::Result;
use sonicforge_core::optimize::ope::{Logged, evaluate};
use sonicforge_core::optimize::store::{Durability, open_store};
use sonicforge_core::optimize::{
    Applied, Candidate, DecisionId, Feedback, Options, PromptOptimizer, PromptReport, Space, Status, StopRule,
    SuggestOptions, Variant, VariantId,
};

use crate::enter::{enter, enter_at_once};
use crate::json;

/// What to generate next: the token that its reward is to come back with, the prompt, and how probable it was.
#[pyclass(module = "sonicforge", frozen)]
pub struct Suggestion {
    /// What the reward is to come back with; keep it beside the track.
    #[pyo3(get)]
    token: String,
    /// The concept.
    #[pyo3(get)]
    concept: String,
    /// The prompt.
    #[pyo3(get)]
    prompt: String,
    /// The probability with which it was drawn; exact.
    #[pyo3(get)]
    propensity: f64,
    decision: DecisionId,
    variant: VariantId,
    candidates: Arc<[Candidate]>,
}

#[pymethods]
impl Suggestion {
    /// The decision's id, 24 hexadecimal digits.
    #[getter]
    fn decision(&self) -> String {
        self.decision.to_string()
    }

    /// The variant's id, 16 hexadecimal digits.
    #[getter]
    fn variant(&self) -> String {
        self.variant.to_string()
    }

    /// All variants that could have been drawn, with their probabilities.
    #[getter]
    fn candidates(&self) -> Vec<(String, f64)> {
        self.candidates.iter().map(|c| (c.variant.to_string(), c.propensity)).collect()
    }

    fn __repr__(&self) -> String {
        format!("Suggestion(concept={:?}, prompt={:?}, propensity={})", self.concept, self.prompt, self.propensity)
    }
}

impl From<sonicforge_core::optimize::Suggestion> for Suggestion {
    fn from(s: sonicforge_core::optimize::Suggestion) -> Self {
        let sonicforge_core::optimize::Suggestion { token, decision, concept, variant, prompt, propensity, candidates } =
            s;
        Self { token, concept, prompt, propensity, decision, variant, candidates }
    }
}

fn applied(what: Applied) -> &'static str {
    match what {
        Applied::New => "new",
        Applied::Duplicate => "duplicate",
        Applied::Revised => "revised",
        Applied::Stale => "stale",
    }
}

/// Read as the core reads it, in its own words.
fn space(text: Option<&str>) -> Result<Option<Space>> {
    text.map(|text| json::read("space", text)).transpose()
}

#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Optimizer(PromptOptimizer);

type Row = (String, Option<String>, f64, u64);

#[pymethods]
impl Optimizer {
    #[new]
    fn new(
        py: Python<'_>,
        space_json: Option<&str>,
        store: &str,
        durability: &str,
        spool: Option<PathBuf>,
        options: &str,
    ) -> PyResult<Self> {
        enter(py, || {
            let durability: Durability = json::read("durability", &format!("{durability:?}"))?;
            let options = Options::from_json(options)?;
            let space = space(space_json)?;
            Ok(Self(PromptOptimizer::new(space, open_store(store, durability, spool.as_deref())?, options)?))
        })
    }

    fn options(&self, py: Python<'_>) -> PyResult<String> {
        enter(py, || json::write(self.0.options()))
    }

    fn suggest(
        &self,
        py: Python<'_>,
        concept: &str,
        decision: Option<&str>,
        epoch: Option<u32>,
        context: Option<Vec<f64>>,
    ) -> PyResult<Suggestion> {
        let how = |decision: Option<&str>| -> Result<SuggestOptions<'_>> {
            let decision = decision.map(str::parse).transpose()?;
            Ok(SuggestOptions { decision, epoch, context: context.as_deref() })
        };
        // Mostly it is there at once.
        if let Some(suggestion) = enter_at_once(py, || self.0.try_suggest(concept, &how(decision)?))? {
            return Ok(suggestion.into());
        }
        enter(py, || Ok(self.0.suggest_with(concept, &how(decision)?)?.into()))
    }

    fn suggest_batch(&self, py: Python<'_>, concept: &str, count: usize) -> PyResult<Vec<Suggestion>> {
        enter(py, || Ok(self.0.suggest_batch(concept, count)?.into_iter().map(Into::into).collect()))
    }

    fn suggest_top(&self, py: Python<'_>, concept: &str, count: usize) -> PyResult<Vec<Suggestion>> {
        enter(py, || Ok(self.0.suggest_top(concept, count)?.into_iter().map(Into::into).collect()))
    }

    /// Token, decision, first and second variant as JSON, propensity.
    fn suggest_duel(&self, py: Python<'_>, concept: &str) -> PyResult<(String, String, String, String, f64)> {
        enter(py, || {
            let duel = self.0.suggest_duel(concept)?;
            let (first, second) = (json::write(&*duel.first)?, json::write(&*duel.second)?);
            Ok((duel.token, duel.decision.to_string(), first, second, duel.propensity))
        })
    }

    fn reward(
        &self,
        py: Python<'_>,
        token: &str,
        value: f64,
        metric: Option<&str>,
        revision: u64,
    ) -> PyResult<&'static str> {
        enter(py, || Ok(applied(self.0.reward_with(Feedback { token, metric, value, revision })?)))
    }

    fn reward_all(&self, py: Python<'_>, rows: Vec<Row>) -> PyResult<Vec<&'static str>> {
        enter(py, || {
            let feedback: Vec<Feedback<'_>> = rows
                .iter()
                .map(|(token, metric, value, revision)| Feedback {
                    token,
                    metric: metric.as_deref(),
                    value: *value,
                    revision: *revision,
                })
                .collect();
            Ok(self.0.reward_all(&feedback)?.into_iter().map(applied).collect())
        })
    }

    fn variants(&self, py: Python<'_>, concept: &str) -> PyResult<String> {
        enter(py, || json::write(&self.0.variants(concept)?))
    }

    fn concepts(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        enter(py, || self.0.concepts())
    }

    /// A variant from its slots, or of free text; returns it.
    fn add(&self, py: Python<'_>, concept: &str, slots: Option<&str>, text: &str, control: bool) -> PyResult<String> {
        enter(py, || {
            let mut variant = match slots {
                None => Variant::text(concept, text)?,
                Some(slots) => {
                    let slots: std::collections::BTreeMap<String, String> = json::read("slots", slots)?;
                    let space = self.0.space().ok_or_else(|| {
                        sonicforge_core::error::Error::invalid("this optimizer has no space; pass a text")
                    })?;
                    space.variant(concept, slots)?
                }
            };
            variant.control = control;
            self.0.add(&variant)?;
            json::write(&variant)
        })
    }

    fn set_status(&self, py: Python<'_>, concept: &str, variant: &str, status: &str) -> PyResult<()> {
        enter(py, || {
            let status: Status = json::read("status", &format!("{status:?}"))?;
            self.0.set_status(concept, variant.parse()?, status)
        })
    }

    fn set_control(&self, py: Python<'_>, concept: &str, variant: &str) -> PyResult<()> {
        enter(py, || self.0.set_control(concept, variant.parse()?))
    }

    fn start(&self, py: Python<'_>, concept: &str, count: usize) -> PyResult<String> {
        enter(py, || json::write(&self.0.start(concept, count)?))
    }

    fn propose(&self, py: Python<'_>, concept: &str, count: usize) -> PyResult<String> {
        enter(py, || json::write(&self.0.propose(concept, count)?))
    }

    fn evolve(&self, py: Python<'_>, concept: &str, below: f64, at_least: u64) -> PyResult<String> {
        enter(py, || json::write(&self.0.evolve(concept, below, at_least)?))
    }

    fn policy(&self, py: Python<'_>, concept: &str) -> PyResult<Vec<(String, f64)>> {
        enter(py, || Ok(self.0.policy(concept)?.iter().map(|c| (c.variant.to_string(), c.propensity)).collect()))
    }

    fn report(&self, py: Python<'_>, concept: &str, rule: &str) -> PyResult<String> {
        enter(py, || {
            let rule: StopRule = json::read("rule", rule)?;
            Ok(self.0.report_with(concept, &rule)?.to_json())
        })
    }

    fn log(&self, py: Python<'_>, concept: &str, metric: Option<&str>) -> PyResult<String> {
        enter(py, || json::write(&self.0.log(concept, metric)?))
    }

    fn evaluate(
        &self,
        py: Python<'_>,
        concept: &str,
        metric: Option<&str>,
        policy: Vec<(String, f64)>,
    ) -> PyResult<String> {
        enter(py, || {
            let policy = policy.iter().map(|(id, p)| Ok((id.parse()?, *p))).collect::<Result<Vec<_>>>()?;
            json::write(&self.0.evaluate(concept, metric, &policy)?)
        })
    }

    fn export_state(&self, py: Python<'_>) -> PyResult<String> {
        enter(py, || self.0.export_state())
    }

    fn import_state(&self, py: Python<'_>, text: &str) -> PyResult<String> {
        enter(py, || json::write(&self.0.import_state(text)?))
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, || self.0.refresh())
    }

    fn flush(&self, py: Python<'_>) -> PyResult<u64> {
        enter(py, || self.0.flush())
    }
}

/// A space, checked and written anew.
#[pyfunction]
fn space_normalize(py: Python<'_>, text: &str) -> PyResult<String> {
    enter(py, || {
        let space: Space = json::read("space", text)?;
        space.validate()?;
        json::write(&space)
    })
}

/// What another policy would have earned, from rows of a log; JSON both ways.
#[pyfunction]
fn evaluate_policy(py: Python<'_>, log: &str) -> PyResult<String> {
    enter(py, || json::write(&evaluate(&json::read::<Vec<Logged>>("log", log)?)?))
}

/// A prompt report in a few lines.
#[pyfunction]
fn prompt_summary(py: Python<'_>, report: &str) -> PyResult<String> {
    enter(py, || Ok(PromptReport::from_json(report)?.summary()))
}

/// Puts what is in this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Suggestion>()?;
    m.add_class::<Optimizer>()?;
    m.add_function(wrap_pyfunction!(space_normalize, m)?)?;
    m.add_function(wrap_pyfunction!(evaluate_policy, m)?)?;
    m.add_function(wrap_pyfunction!(prompt_summary, m)?)
}

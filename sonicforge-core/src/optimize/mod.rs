//! Prompts that learn: Thompson sampling over variants of a prompt, with rewards that count exactly once.
//!
//! Three sentences: counters are the only truth; the posterior is a pure function of counters; the policy is a probability vector, and
//! every decision is a token drawn from it.
//!
//! ```text
//! suggest ─► token ─► (listener) ─► reward ─► store: ledger + counters, atomically
//!    ▲                                                   │
//!  policy ◄─ P(best) ◄─ posteriors ◄─ hypotheses of drift ◄─ counters by variant, metric and time
//! ```
//!
//! [`PromptOptimizer`] is the door, [`store`] where counters live, [`ope`] what another policy would have earned. The room knows
//! no audio.

mod best;
mod counts;
mod drift;
mod laplace;
mod linalg;
mod linear;
mod metric;
mod model;
pub mod ope;
mod optimizer;
mod policy;
mod posterior;
mod proposer;
mod report;
mod reward;
mod sampling;
mod shared;
mod space;
mod special;
mod state;
pub mod store;
mod token;
mod variant;
mod view;

pub use best::{Best, best};
pub use counts::{Count, Key};
pub use drift::Drift;
pub use linear::LinearParams;
pub use metric::{Metric, MetricKind};
pub use optimizer::{
    Candidate, DUEL, Duel, Feedback, ModelChoice, Options, PromptOptimizer, SuggestOptions, Suggestion,
};
pub use policy::{Mode, Policy, PolicyParams};
pub use posterior::Posterior;
pub use proposer::Effects;
pub use report::{Interval, MetricReport, Moment, PromptReport, StopRule, VariantReport};
pub use reward::{Applied, DecisionId, Propensity, Reward};
pub use sampling::ThompsonSampler;
pub use space::{Slot, Space};
pub use state::Imported;
pub use variant::{Status, Variant, VariantId};

//! The mastering chain: processors, their order as data, and — on top — plan, render, report.
//!
//! Every processor is `prepare / process / reset / latency` ([`Processor`]), has settings with units that (de)serialise,
//! and does nothing, to the bit, when they are neutral.

mod chain;
mod de_esser;
mod equalizer;
mod exciter;
mod gain;
mod glue;
mod limiter;
mod mastering;
mod matching;
mod multiband;
mod plan;
mod preset;
mod processor;
mod report;
mod solver;
mod stage;
mod target;
mod widener;

pub use chain::{MasteringChain, Module};
pub use de_esser::{DeEsser, DeEsserParams};
pub use equalizer::{BandKind, Equalizer, EqualizerBand, EqualizerParams, MAX_EQUALIZER_BANDS};
pub use exciter::{Exciter, ExciterParams};
pub use gain::{Gain, GainParams};
pub use glue::{Glue, GlueParams};
pub use limiter::{Limiter, LimiterParams};
pub use mastering::master;
#[cfg(feature = "io")]
pub use mastering::master_file;
pub use matching::{MatchParts, plan_match};
pub use multiband::{BandParams, Multiband, MultibandParams};
pub use plan::{DEFAULT_MAX_GAIN_REDUCTION_DB, PLAN_SCHEMA, Plan, WORKING_LUFS, plan, plan_for};
pub use preset::{PRESET_SCHEMA, Preset};
pub use processor::{Processor, Spec};
pub use report::{
    BandReduction, GainReduction, LOUDNESS_TOLERANCE_LU, REPORT_SCHEMA, ReductionTimeline, Report, gain_matched,
};
pub use target::Target;
pub use widener::{Widener, WidenerParams};

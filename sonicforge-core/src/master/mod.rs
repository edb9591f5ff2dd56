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
mod multiband;
mod preset;
mod processor;
mod stage;
mod widener;

pub use chain::{MasteringChain, Module};
pub use de_esser::{DeEsser, DeEsserParams};
pub use equalizer::{BandKind, Equalizer, EqualizerBand, EqualizerParams, MAX_EQUALIZER_BANDS};
pub use exciter::{Exciter, ExciterParams};
pub use gain::{Gain, GainParams};
pub use glue::{Glue, GlueParams};
pub use limiter::{Limiter, LimiterParams};
pub use multiband::{BandParams, Multiband, MultibandParams};
pub use preset::{PRESET_SCHEMA, Preset};
pub use processor::{Processor, Spec};
pub use widener::{Widener, WidenerParams};

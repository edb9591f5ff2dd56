//! The chain: an order of modules as data, and the processor that runs it.

use serde::{Deserialize, Serialize};

use crate::audio::{AudioBuffer, Block};
use crate::error::{Error, Result};
use crate::master::de_esser::{DeEsser, DeEsserParams};
use crate::master::equalizer::{Equalizer, EqualizerParams};
use crate::master::exciter::{Exciter, ExciterParams};
use crate::master::gain::{Gain, GainParams};
use crate::master::glue::{Glue, GlueParams};
use crate::master::limiter::{Limiter, LimiterParams};
use crate::master::multiband::{Multiband, MultibandParams};
use crate::master::preset::Preset;
use crate::master::processor::{Processor, Spec};
use crate::master::stage::{Clock, Quantum, Stage, drive};
use crate::master::widener::{Widener, WidenerParams};
use crate::progress::{NoProgress, Progress, Step, check};

/// One module of a chain with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Module {
    /// A gain.
    Gain(GainParams),
    /// A parametric equalizer.
    Equalizer(EqualizerParams),
    /// A de-esser.
    DeEsser(DeEsserParams),
    /// A multiband compressor.
    Multiband(MultibandParams),
    /// A glue compressor.
    Glue(GlueParams),
    /// An exciter.
    Exciter(ExciterParams),
    /// A stereo widener.
    Widener(WidenerParams),
    /// A true-peak limiter.
    Limiter(LimiterParams),
    /// A chain inside the chain.
    Chain(Preset),
}

impl Module {
    /// The name it has in JSON and TOML.
    pub fn name(&self) -> &'static str {
        match self {
            Module::Gain(_) => "gain",
            Module::Equalizer(_) => "equalizer",
            Module::DeEsser(_) => "de_esser",
            Module::Multiband(_) => "multiband",
            Module::Glue(_) => "glue",
            Module::Exciter(_) => "exciter",
            Module::Widener(_) => "widener",
            Module::Limiter(_) => "limiter",
            Module::Chain(_) => "chain",
        }
    }

    /// Errors when a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        self.validate_at(0)
    }

    pub(crate) fn validate_at(&self, depth: usize) -> Result<()> {
        match self {
            Module::Gain(p) => p.validate(),
            Module::Equalizer(p) => p.validate(),
            Module::DeEsser(p) => p.validate(),
            Module::Multiband(p) => p.validate(),
            Module::Glue(p) => p.validate(),
            Module::Exciter(p) => p.validate(),
            Module::Widener(p) => p.validate(),
            Module::Limiter(p) => p.validate(),
            Module::Chain(p) => p.validate_at(depth + 1),
        }
    }
}

/// A module ready to run.
#[derive(Debug)]
pub(crate) enum AnyStage {
    Gain(Gain),
    Equalizer(Equalizer),
    DeEsser(Box<DeEsser>),
    Multiband(Box<Multiband>),
    Glue(Box<Glue>),
    Exciter(Box<Exciter>),
    Widener(Box<Widener>),
    Limiter(Box<Limiter>),
    Chain(Vec<AnyStage>),
}

/// Calls the same method on whichever stage it is; a nested chain is folded by the closure-like second arm.
macro_rules! each {
    ($self:expr, $s:ident => $one:expr, $list:ident => $many:expr) => {
        match $self {
            AnyStage::Gain($s) => $one,
            AnyStage::Equalizer($s) => $one,
            AnyStage::DeEsser($s) => $one,
            AnyStage::Multiband($s) => $one,
            AnyStage::Glue($s) => $one,
            AnyStage::Exciter($s) => $one,
            AnyStage::Widener($s) => $one,
            AnyStage::Limiter($s) => $one,
            AnyStage::Chain($list) => $many,
        }
    };
}

impl AnyStage {
    fn new(module: &Module) -> Result<Self> {
        Ok(match module {
            Module::Gain(p) => AnyStage::Gain(Gain::new(p.clone())?),
            Module::Equalizer(p) => AnyStage::Equalizer(Equalizer::new(p.clone())?),
            Module::DeEsser(p) => AnyStage::DeEsser(Box::new(DeEsser::new(p.clone())?)),
            Module::Multiband(p) => AnyStage::Multiband(Box::new(Multiband::new(p.clone())?)),
            Module::Glue(p) => AnyStage::Glue(Box::new(Glue::new(p.clone())?)),
            Module::Exciter(p) => AnyStage::Exciter(Box::new(Exciter::new(p.clone())?)),
            Module::Widener(p) => AnyStage::Widener(Box::new(Widener::new(p.clone())?)),
            Module::Limiter(p) => AnyStage::Limiter(Box::new(Limiter::new(p.clone())?)),
            Module::Chain(p) => AnyStage::Chain(p.modules.iter().map(AnyStage::new).collect::<Result<_>>()?),
        })
    }

    fn prepare(&mut self, spec: Spec) -> Result<()> {
        each!(self, s => s.prepare_stage(spec), list => list.iter_mut().try_for_each(|s| s.prepare(spec)))
    }

    #[inline]
    fn run(&mut self, q: &mut Quantum) {
        each!(self, s => s.run(q), list => list.iter_mut().for_each(|s| s.run(q)));
    }

    fn reset(&mut self) {
        each!(self, s => s.reset_stage(), list => list.iter_mut().for_each(AnyStage::reset));
    }

    fn latency(&self) -> usize {
        each!(self, s => s.stage_latency(), list => list.iter().map(AnyStage::latency).sum())
    }

    /// Whether `module` can be set on this stage while it runs.
    fn set(&mut self, module: &Module) -> Result<bool> {
        match (self, module) {
            (AnyStage::Gain(s), Module::Gain(p)) => s.set_params(p.clone())?,
            (AnyStage::Equalizer(s), Module::Equalizer(p)) => s.set_params(p.clone())?,
            (AnyStage::DeEsser(s), Module::DeEsser(p)) => s.set_params(p.clone())?,
            (AnyStage::Multiband(s), Module::Multiband(p)) => s.set_params(p.clone())?,
            (AnyStage::Glue(s), Module::Glue(p)) => s.set_params(p.clone())?,
            (AnyStage::Exciter(s), Module::Exciter(p)) => s.set_params(p.clone())?,
            (AnyStage::Widener(s), Module::Widener(p)) => s.set_params(p.clone())?,
            (AnyStage::Limiter(s), Module::Limiter(p)) => s.set_params(p.clone())?,
            (AnyStage::Chain(list), Module::Chain(p)) if list.len() == p.modules.len() => {
                for (s, m) in list.iter_mut().zip(&p.modules) {
                    if !s.set(m)? {
                        return Ok(false);
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn visit(&mut self, f: &mut dyn FnMut(&mut AnyStage)) {
        if let AnyStage::Chain(list) = self {
            list.iter_mut().for_each(|s| s.visit(f));
        } else {
            f(self);
        }
    }
}

/// Runs the modules of a [`Preset`] one after the other.
///
/// The samples are the same however the sound is cut into blocks; [`Self::render`] is the same stream with the latency taken
/// off and the tail drawn out.
#[derive(Debug)]
pub struct MasteringChain {
    preset: Preset,
    stages: Vec<AnyStage>,
    clock: Clock,
}

impl MasteringChain {
    /// Errors when a setting of the preset is out of range.
    pub fn new(preset: &Preset) -> Result<Self> {
        preset.validate()?;
        let stages = preset.modules.iter().map(AnyStage::new).collect::<Result<_>>()?;
        Ok(Self { preset: preset.clone(), stages, clock: Clock::default() })
    }

    /// What it runs.
    pub fn preset(&self) -> &Preset {
        &self.preset
    }

    /// Gives module `index` other settings while the chain runs; they glide in. The module must stay of its type.
    pub fn set_module(&mut self, index: usize, module: Module) -> Result<()> {
        module.validate()?;
        let count = self.stages.len();
        let stage = self.stages.get_mut(index).ok_or_else(|| {
            Error::invalid(format!("module {index} of a chain of {count}; expected 0 to {}", count.max(1) - 1))
        })?;
        if !stage.set(&module)? {
            return Err(Error::invalid(format!(
                "module {index} is of type {}, {} came; make a new chain to change its order",
                self.preset.modules[index].name(),
                module.name()
            )));
        }
        self.preset.modules[index] = module;
        Ok(())
    }

    /// Samples that came in as NaN or infinite since `prepare`, and were taken as silence.
    pub fn non_finite_samples(&self) -> u64 {
        self.clock.non_finite
    }

    /// Renders a whole buffer in place: prepares, processes, draws out the tail, takes off the latency. The length stays.
    pub fn render(&mut self, buffer: &mut AudioBuffer) -> Result<()> {
        self.render_with(buffer, &mut NoProgress)
    }

    /// As [`Self::render`], with news of the stage `"render"`. When it is stopped, the buffer is rendered in part.
    pub fn render_with(&mut self, buffer: &mut AudioBuffer, progress: &mut dyn Progress) -> Result<()> {
        let (rate, channels, frames) = (buffer.sample_rate(), buffer.channels(), buffer.frames());
        self.prepare(Spec { sample_rate: rate, channels, max_frames: RENDER_FRAMES })?;
        let latency = self.latency();
        let mut piece = AudioBuffer::new(rate, channels, RENDER_FRAMES)?;
        let mut read = 0;
        while read < frames + latency {
            let len = RENDER_FRAMES.min(frames + latency - read);
            for c in 0..channels {
                let to = &mut piece.channel_mut(c)[..len];
                let have = len.min(frames.saturating_sub(read));
                to[..have].copy_from_slice(&buffer.channel(c)[read.min(frames)..read.min(frames) + have]);
                to[have..].fill(0.0);
            }
            self.process(&mut piece.block_range(0, len));
            // Frame `read + i` that came out belongs to `read + i − latency`, which has been read already.
            let skip = latency.saturating_sub(read).min(len);
            for c in 0..channels {
                let at = read + skip - latency.min(read + skip);
                buffer.channel_mut(c)[at..at + len - skip].copy_from_slice(&piece.channel(c)[skip..len]);
            }
            read += len;
            check(progress, "render", Step::new("render", read as f64 / (frames + latency) as f64))?;
        }
        Ok(())
    }

    /// Every stage, those of nested chains too, in the order of the sound.
    pub(crate) fn visit(&mut self, mut f: impl FnMut(&mut AnyStage)) {
        self.stages.iter_mut().for_each(|s| s.visit(&mut f));
    }
}

/// Frames a piece of an offline render.
pub(crate) const RENDER_FRAMES: usize = 4_096;

impl Processor for MasteringChain {
    fn prepare(&mut self, spec: Spec) -> Result<()> {
        spec.check()?;
        self.stages.iter_mut().try_for_each(|s| s.prepare(spec))?;
        self.clock = Clock { spec: Some(spec), position: 0, non_finite: 0 };
        Ok(())
    }

    fn process(&mut self, block: &mut Block<'_>) {
        let stages = &mut self.stages;
        drive(&mut self.clock, block, |q| stages.iter_mut().for_each(|s| s.run(q)));
    }

    fn reset(&mut self) {
        self.stages.iter_mut().for_each(AnyStage::reset);
        self.clock.position = 0;
        self.clock.non_finite = 0;
    }

    fn latency(&self) -> usize {
        self.stages.iter().map(AnyStage::latency).sum()
    }
}

//! How a processor is driven: in pieces of a quantum, in f64, with the two channels side by side.
//!
//! A host's block is cut wherever its absolute position is a multiple of [`QUANTUM`]; a stage sees pieces of at most that
//! many frames and knows at which frame of the quantum each begins. Everything that happens "now and then" happens at
//! quantum or step edges, so the samples do not depend on the host's block sizes. There is no extra delay.

use crate::audio::Block;
use crate::dsp::QUANTUM;
use crate::dsp::dynamics::STEP;
use crate::error::Result;
use crate::master::processor::{Processor, Spec};

/// A piece of a quantum.
pub struct Quantum {
    /// Left and right; a mono sound lies in both.
    pub(crate) x: [[f64; 2]; QUANTUM],
    /// Frame of the quantum at which the piece begins, 0 to 63.
    pub(crate) at: usize,
    /// Frames in the piece; `at + len ≤ 64`.
    pub(crate) len: usize,
}

impl Quantum {
    pub(crate) fn new() -> Self {
        Self { x: [[0.0; 2]; QUANTUM], at: 0, len: 0 }
    }

    /// Whether the piece begins at a quantum edge.
    #[inline(always)]
    pub(crate) fn is_edge(&self) -> bool {
        self.at == 0
    }

    /// The frames of the piece.
    #[inline(always)]
    pub(crate) fn frames(&mut self) -> &mut [[f64; 2]] {
        &mut self.x[..self.len]
    }

    /// The end of the control step that holds frame `i` of the piece, and whether the step is finished there.
    #[inline(always)]
    pub(crate) fn step_end(&self, i: usize) -> (usize, bool) {
        let end = i + STEP - (self.at + i) % STEP;
        if end <= self.len { (end, true) } else { (self.len, false) }
    }
}

/// Where a stage is in time, and what it was prepared for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Clock {
    /// `None` before `prepare`.
    pub(crate) spec: Option<Spec>,
    /// Frames since `prepare` or `reset`.
    pub(crate) position: u64,
    /// Samples that were NaN or infinite when they came in, and were taken as silence.
    pub(crate) non_finite: u64,
}

/// One box of the block diagram. Whoever is a stage is a [`Processor`].
pub trait Stage: Send {
    /// As [`Processor::prepare`].
    fn prepare_stage(&mut self, spec: Spec) -> Result<()>;
    /// Works on a piece of a quantum.
    fn run(&mut self, q: &mut Quantum);
    /// As [`Processor::reset`].
    fn reset_stage(&mut self);
    /// As [`Processor::latency`].
    fn stage_latency(&self) -> usize {
        0
    }
    /// The stage's clock.
    fn clock(&mut self) -> &mut Clock;
}

impl<S: Stage> Processor for S {
    fn prepare(&mut self, spec: Spec) -> Result<()> {
        spec.check()?;
        self.prepare_stage(spec)?;
        *self.clock() = Clock { spec: Some(spec), position: 0, non_finite: 0 };
        Ok(())
    }

    fn process(&mut self, block: &mut Block<'_>) {
        let mut clock = *self.clock();
        drive(&mut clock, block, |q| self.run(q));
        *self.clock() = clock;
    }

    fn reset(&mut self) {
        self.reset_stage();
        self.clock().position = 0;
        self.clock().non_finite = 0;
    }

    fn latency(&self) -> usize {
        self.stage_latency()
    }
}

/// Cuts `block` at quantum edges, hands the pieces to `run` in f64 and takes them back as f32.
pub(crate) fn drive(clock: &mut Clock, block: &mut Block<'_>, mut run: impl FnMut(&mut Quantum)) {
    let spec = clock.spec.expect("prepare must be called before process");
    assert_eq!(block.channels(), spec.channels, "the block has other channels than the processor was prepared for");
    let mut q = Quantum::new();
    let mut done = 0;
    while done < block.frames() {
        q.at = (clock.position % QUANTUM as u64) as usize;
        q.len = (QUANTUM - q.at).min(block.frames() - done);
        for c in 0..spec.channels {
            let from = &block.channel(c)[done..done + q.len];
            let mut bad = 0u64;
            for (x, &y) in q.x.iter_mut().zip(from) {
                let ok = y.is_finite();
                bad += u64::from(!ok);
                x[c] = if ok { f64::from(y) } else { 0.0 };
            }
            clock.non_finite += bad;
        }
        if spec.channels == 1 {
            for x in q.frames() {
                x[1] = x[0];
            }
        }
        run(&mut q);
        for c in 0..spec.channels {
            let to = &mut block.channel_mut(c)[done..done + q.len];
            for (y, x) in to.iter_mut().zip(&q.x) {
                // Two hundred dB of gain still come out as a number.
                *y = x[c].clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
            }
        }
        done += q.len;
        clock.position += q.len as u64;
    }
}

/// Fades a stage in when its settings begin to do something and out when they stop: while neutral it leaves the samples
/// alone to the bit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wet {
    mix: crate::dsp::glide::Glide,
}

/// What a stage has to do with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Nothing.
    None,
    /// Mix by [`Wet::blend`].
    Some,
    /// Everything.
    All,
}

impl Wet {
    pub(crate) fn new(active: bool, sample_rate: f64) -> Self {
        Self { mix: crate::dsp::glide::Glide::new(f64::from(u8::from(active)), sample_rate) }
    }

    pub(crate) fn set(&mut self, active: bool) {
        self.mix.set(f64::from(u8::from(active)));
    }

    /// At a piece's beginning. Calls `wake` when the stage starts to sound after having been neutral.
    #[inline]
    pub(crate) fn share(&mut self, q: &Quantum, wake: impl FnOnce()) -> Share {
        if q.is_edge() {
            let slept = self.mix.is_settled() && self.mix.value() == 0.0;
            if self.mix.advance() && slept {
                wake();
            }
        }
        if !self.mix.is_settled() {
            Share::Some
        } else if self.mix.value() == 0.0 {
            Share::None
        } else {
            Share::All
        }
    }

    /// `dry + w·(wet − dry)` at frame `i` of the quantum, with `w = m²(3 − 2m)`, which has no corners.
    #[inline(always)]
    pub(crate) fn blend(&self, i: usize, dry: [f64; 2], wet: [f64; 2]) -> [f64; 2] {
        let m = self.mix.at(i);
        let m = m * m * (3.0 - 2.0 * m);
        [dry[0] + m * (wet[0] - dry[0]), dry[1] + m * (wet[1] - dry[1])]
    }

    pub(crate) fn jump(&mut self) {
        self.mix.jump();
    }
}

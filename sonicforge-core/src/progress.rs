//! News out of a long call, and the wish to stop back in.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// One piece of news.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// What is being done: `"analyze"`, `"measure"`, `"render"` …
    pub stage: &'static str,
    /// Share of the whole call that is done, 0 to 1, never falling.
    pub fraction: f64,
}

impl Step {
    /// News of `stage`, with `fraction` of the whole call done.
    pub fn new(stage: &'static str, fraction: f64) -> Self {
        Self { stage, fraction: fraction.clamp(0.0, 1.0) }
    }
}

/// Receives news and answers whether to go on. Every closure `FnMut(Step) -> ControlFlow<()>` is one, and so is
/// [`NoProgress`].
pub trait Progress {
    /// Called at least every 50 ms of work. `ControlFlow::Break(())` makes the call end with [`Error::Cancelled`].
    fn report(&mut self, step: Step) -> ControlFlow<()>;
}

impl<F: FnMut(Step) -> ControlFlow<()>> Progress for F {
    fn report(&mut self, step: Step) -> ControlFlow<()> {
        self(step)
    }
}

/// Nobody listens, nobody stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn report(&mut self, _: Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Reports a step and turns the wish to stop into the error that ends the call `what`.
pub(crate) fn check(progress: &mut dyn Progress, what: &'static str, step: Step) -> Result<()> {
    match progress.report(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled(what)),
    }
}

/// A flag that another thread may raise.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the calls that hold this token to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

//! The only ways into the core: [`enter`] for what is soon over, [`enter_long`] for what can take seconds, and [`enter_at_once`] for
//! what waits for nobody and takes no longer than letting the GIL go and having it again.
//!
//! The first two release the GIL; all turn errors into exceptions and catch panics: a panic that reached Python would be a
//! `BaseException`, which no `except Exception` of a host sees.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::progress::{self, Progress, Step};

use crate::errors;

/// How often a long call looks for Ctrl-C.
const POLL: Duration = Duration::from_millis(10);
/// News of the same stage is passed on no more often than this.
const NEWS: Duration = Duration::from_millis(40);

/// Runs `work` with the GIL released.
pub fn enter<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| guarded(work)).map_err(|error| errors::to_py(py, error))
}

/// Runs `work`, which takes a microsecond or two and waits for nothing, with the GIL held.
pub fn enter_at_once<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    guarded(work).map_err(|error| errors::to_py(py, error))
}

/// Runs `work` on a thread of its own while this one looks for signals and hands progress to the caller's function.
///
/// A signal handler that raises (Ctrl-C), a progress function that raises, and a raised cancel token all stop the work at
/// its next step; the first two come back as the exception they raised, the last as `CancelledError`.
pub fn enter_long<T: Send>(
    py: Python<'_>,
    watch: Watch,
    work: impl FnOnce(&mut dyn Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let Watch { progress, cancel } = watch;
    let stop = progress::CancelToken::new();
    let cancel = cancel.unwrap_or_default();
    let wanted = progress.is_some();
    let mut raised: Option<PyErr> = None;
    let outcome = py.detach(|| {
        let (sender, news) = mpsc::channel::<Step>();
        thread::scope(|scope| {
            let (stop, cancel, raised) = (&stop, &cancel, &mut raised);
            let worker = thread::Builder::new().name("sonicforge".into()).spawn_scoped(scope, move || {
                let mut last: Option<(Step, Instant)> = None;
                guarded(|| {
                    work(&mut |step: Step| {
                        if stop.is_cancelled() || cancel.is_cancelled() {
                            return ControlFlow::Break(());
                        }
                        let old = last.is_some_and(|(s, at)| s.stage == step.stage && at.elapsed() < NEWS);
                        if wanted && (!old || step.fraction >= 1.0) && last.is_none_or(|(s, _)| s != step) {
                            last = Some((step, Instant::now()));
                            let _ = sender.send(step); // nobody listens any more: the call is being stopped
                        }
                        ControlFlow::Continue(())
                    })
                })
            });
            let worker = worker.map_err(|e| Error::Internal(format!("cannot start a thread: {e}")))?;
            loop {
                let step = match news.recv_timeout(POLL) {
                    Ok(step) => Some(step),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                if raised.is_some() {
                    continue;
                }
                let told = Python::attach(|py| {
                    py.check_signals()?;
                    match (step, &progress) {
                        (Some(step), Some(progress)) => progress.call1(py, (step.stage, step.fraction)).map(drop),
                        _ => Ok(()),
                    }
                });
                if let Err(error) = told {
                    stop.cancel();
                    *raised = Some(error);
                }
            }
            worker.join().unwrap_or_else(|_| Err(Error::Internal("the worker died".into())))
        })
    });
    match raised {
        Some(error) => Err(error),
        None => outcome.map_err(|error| errors::to_py(py, error)),
    }
}

/// Who looks on at a long call.
#[derive(Default)]
pub struct Watch {
    /// Called with (stage, fraction) on the thread that made the call.
    pub progress: Option<Py<PyAny>>,
    /// Raised by another thread.
    pub cancel: Option<progress::CancelToken>,
}

impl Watch {
    /// From what the Python side passed.
    pub fn new(progress: Option<Py<PyAny>>, cancel: Option<&Bound<'_, CancelToken>>) -> Self {
        Self { progress, cancel: cancel.map(|token| token.get().0.clone()) }
    }
}

/// State of the core behind a Python object: calls from several threads take turns, with the GIL released while they wait.
pub struct Shared<T>(Mutex<T>);

impl<T: Send> Shared<T> {
    /// Keeps `state`.
    pub fn new(state: T) -> Self {
        Self(Mutex::new(state))
    }

    /// Runs `work` on the state with the GIL released.
    pub fn enter<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> Result<R> + Send) -> PyResult<R> {
        enter(py, || work(&mut *self.lock()?))
    }

    /// The state, for `work` inside [`enter_long`].
    pub fn lock(&self) -> Result<MutexGuard<'_, T>> {
        self.0.lock().map_err(|_| Error::Internal("an earlier call on this object panicked; make a new one".into()))
    }
}

/// Runs `work`; a panic in it becomes an error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::Internal(format!("panic: {what}")))
    })
}

/// A flag that one thread raises to stop the call of another.
#[pyclass(module = "sonicforge", frozen)]
pub struct CancelToken(progress::CancelToken);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self(progress::CancelToken::new())
    }

    /// Asks the calls that were given this token to stop.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether somebody asked.
    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

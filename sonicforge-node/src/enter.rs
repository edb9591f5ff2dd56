//! The only way into the core: [`enter`] for calls that return at once, [`start`] for calls that become a `Promise`.
//!
//! Both catch panics (one that leaves a Node-API callback would end the process) and give every error its `code`.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, JsError, Task};
use napi_derive::napi;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::progress::{CancelToken, Progress, Step};

use crate::values::Outcome;

/// Runs `work`; an error or a panic becomes a JavaScript error that carries its `code`.
pub fn enter<T>(work: impl FnOnce() -> Result<T>) -> napi::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error::Internal(panic_text(&*panic))))
        .map_err(|error| napi::Error::new(error.code().to_owned(), error.to_string()))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words").to_owned()
}

/// One long call, seen from JavaScript: it can be cancelled, and its news are fetched, never pushed. So no callback of the
/// host runs at a moment that the host did not choose.
#[napi]
pub struct Job {
    cancel: CancelToken,
    news: Option<Arc<Mutex<Vec<News>>>>,
}

/// A step of a long call.
#[napi(object, object_from_js = false)]
#[derive(Clone)]
pub struct News {
    /// What is being done.
    pub stage: &'static str,
    /// Share of the whole call that is done, 0 to 1.
    pub fraction: f64,
}

#[napi]
impl Job {
    /// A call that has not begun. `listening` says whether anybody will fetch the news.
    #[napi(constructor)]
    pub fn new(listening: bool) -> Self {
        Self { cancel: CancelToken::new(), news: listening.then(Arc::default) }
    }

    /// Asks the call to stop.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// What was reported since the last time.
    #[napi]
    pub fn news(&self) -> Vec<News> {
        let lock =
            |news: &Arc<Mutex<Vec<News>>>| std::mem::take(&mut *news.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.as_ref().map(lock).unwrap_or_default()
    }
}

/// The core's end of a [`Job`].
pub struct Watch {
    cancel: CancelToken,
    news: Option<Arc<Mutex<Vec<News>>>>,
    last: Option<(&'static str, Instant)>,
}

/// News of one stage are kept at most this often.
const NEWS_EVERY: Duration = Duration::from_millis(40);

impl Watch {
    /// Errors when the call `what` was asked to stop.
    pub fn check(&self, what: &'static str) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled(what)) } else { Ok(()) }
    }
}

impl Progress for Watch {
    fn report(&mut self, step: Step) -> ControlFlow<()> {
        if self.cancel.is_cancelled() {
            return ControlFlow::Break(());
        }
        let Some(news) = &self.news else { return ControlFlow::Continue(()) };
        let due = self.last.is_none_or(|(stage, at)| stage != step.stage || at.elapsed() >= NEWS_EVERY);
        if due || step.fraction >= 1.0 {
            self.last = Some((step.stage, Instant::now()));
            let item = News { stage: step.stage, fraction: step.fraction };
            news.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        }
        ControlFlow::Continue(())
    }
}

type Body = Box<dyn FnOnce(&mut Watch) -> Result<Outcome> + Send>;

/// The one task that libuv's pool runs for us.
pub struct Work {
    body: Option<Body>,
    watch: Watch,
    failure: Option<napi::Error<String>>,
}

impl Task for Work {
    type Output = Outcome;
    type JsValue = Outcome;

    fn compute(&mut self) -> napi::Result<Outcome> {
        let (body, watch) = (self.body.take(), &mut self.watch);
        enter(|| {
            watch.check("the call")?;
            body.ok_or_else(|| Error::Internal("a task ran twice".to_owned()))?(watch)
        })
        .map_err(|error| {
            let plain = napi::Error::from_reason(error.reason.clone());
            self.failure = Some(error);
            plain
        })
    }

    fn resolve(&mut self, _: Env, outcome: Outcome) -> napi::Result<Outcome> {
        Ok(outcome)
    }

    // napi would give every error the code `GenericFailure`.
    fn reject(&mut self, env: Env, plain: napi::Error) -> napi::Result<Outcome> {
        Err(self.failure.take().map_or(plain, |error| JsError::from(error).into_unknown(env).into()))
    }
}

/// Runs `body` on libuv's pool, as a `Promise`.
pub fn start(job: &Job, body: impl FnOnce(&mut Watch) -> Result<Outcome> + Send + 'static) -> AsyncTask<Work> {
    let watch = Watch { cancel: job.cancel.clone(), news: job.news.clone(), last: None };
    AsyncTask::new(Work { body: Some(Box::new(body)), watch, failure: None })
}

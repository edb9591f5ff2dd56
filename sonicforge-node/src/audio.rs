//! The format check of every buffer, signals made by name, and two hooks that let the tests see a slow call and a defect.

use std::time::{Duration, Instant};

use napi::Result;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::Error;
use sonicforge_core::progress::{Progress, Step};
use sonicforge_core::testing::Signal;

use crate::enter::{Job, Work, enter, start};
use crate::values::{Outcome, from_json};

/// Errors when no buffer can have this rate and this many channels.
#[napi]
pub fn check_format(sample_rate: u32, channels: u32) -> Result<(), String> {
    enter(|| AudioBuffer::new(sample_rate, channels as usize, 0).map(|_| ()))
}

/// A named deterministic signal.
#[napi]
pub fn signal(description: String, sample_rate: u32, channels: u32, seconds: f64) -> Result<Outcome, String> {
    enter(|| {
        let signal: Signal = from_json("signal", &description)?;
        Ok(Outcome::Copied(signal.render(sample_rate, channels as usize, seconds)?))
    })
}

/// A defect, on the caller's thread: the tests see it become `SF_INTERNAL`.
#[napi]
pub fn test_panic() -> Result<(), String> {
    enter(|| panic!("a test asked for this panic"))
}

/// A call that takes `milliseconds` and reports every 10 ms; it ends with a defect when `panics` is set.
#[napi]
pub fn test_wait(job: &Job, milliseconds: u32, panics: bool) -> AsyncTask<Work> {
    start(job, move |watch| {
        let (begin, all) = (Instant::now(), Duration::from_millis(u64::from(milliseconds)));
        while begin.elapsed() < all {
            std::thread::sleep(Duration::from_millis(10));
            let fraction = begin.elapsed().as_secs_f64() / all.as_secs_f64();
            if watch.report(Step::new("wait", fraction)).is_break() {
                return Err(Error::Cancelled("waiting"));
            }
        }
        assert!(!panics, "a test asked for this panic");
        Ok(Outcome::Text("waited".to_owned()))
    })
}

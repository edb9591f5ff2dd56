//! The threads a model works with: as many as the caller asked for, none of them global.

use std::sync::Arc;

use crate::error::{Error, Result};

/// Threads of one model; clones share them.
#[derive(Clone)]
pub(crate) struct Pool(Option<Arc<Inner>>);

struct Inner {
    workers: rayon::ThreadPool,
    process: u32,
}

impl Pool {
    /// `threads` workers; with one, the caller's thread does the work and nothing is started.
    pub fn new(threads: usize) -> Result<Self> {
        if threads <= 1 {
            return Ok(Self(None));
        }
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("sonicforge-{i}"))
            .build()
            .map_err(|e| Error::Model(format!("cannot start {threads} threads: {e}; ask for fewer")))?;
        Ok(Self(Some(Arc::new(Inner { workers, process: std::process::id() }))))
    }

    /// How many threads work.
    pub fn threads(&self) -> usize {
        self.0.as_ref().map_or(1, |inner| inner.workers.current_num_threads())
    }

    /// An error in a process forked from the one that started the threads: they did not come along.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Some(inner) if inner.process != std::process::id() => Err(Error::Model(format!(
                "this model was loaded with {} threads before the process forked, and threads do not survive a fork; load \
                 it in the child, or with threads = 1",
                self.threads()
            ))),
            _ => Ok(()),
        }
    }

    /// Runs `work` on the workers, so that the [`Pool::each`] inside need not change threads every time.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            Some(inner) => inner.workers.install(work),
            None => work(),
        }
    }

    /// Calls `work` with 0 to `parts - 1`, on several threads when there are any.
    pub fn each(&self, parts: usize, work: impl Fn(usize) + Sync + Send) {
        match &self.0 {
            Some(inner) if parts > 1 => inner.workers.install(|| split(0, parts, &work)),
            _ => (0..parts).for_each(work),
        }
    }
}

/// Halves the range until single parts are left; idle workers take halves.
fn split(from: usize, to: usize, work: &(impl Fn(usize) + Sync)) {
    if to - from == 1 {
        work(from);
    } else {
        let middle = from + (to - from) / 2;
        rayon::join(|| split(from, middle, work), || split(middle, to, work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_part_runs_once() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            let seen: Vec<AtomicUsize> = (0..17).map(|_| AtomicUsize::new(0)).collect();
            pool.each(17, |i| {
                seen[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) == 1));
            pool.each(0, |_| panic!("there is nothing to do"));
        }
    }
}

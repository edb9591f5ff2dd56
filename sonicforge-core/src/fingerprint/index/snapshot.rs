//! What an index holds at one moment; searching it needs nothing but this.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use super::track::IndexTrack;
use crate::error::{Error, Result};
use crate::fingerprint::landmark;
use crate::fingerprint::{Explanation, Match, Postings, QueryOptions, Sketch};

/// What an [`Index`](super::Index) held when it was taken. Cheap to clone, and free to be searched by many threads while the index
/// changes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    segments: Vec<Arc<dyn Postings>>,
}

impl Snapshot {
    /// Of these segments.
    pub fn new(segments: Vec<Arc<dyn Postings>>) -> Self {
        Self { segments }
    }

    pub(in crate::fingerprint) fn segments(&self) -> Vec<&dyn Postings> {
        self.segments.iter().map(|s| &**s).collect()
    }

    /// How many tracks there are.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|s| s.living() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which tracks sound in the query: the best first, none below the threshold.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when an option is out of range; `SF_STORE` when what is kept is damaged.
    pub fn query(&self, sketch: &Sketch, options: &QueryOptions) -> Result<Vec<Match>> {
        landmark::search(&self.segments(), sketch, options)
    }

    /// Many queries, in their order, on this many threads (0: one for each processor).
    ///
    /// # Errors
    /// As [`Snapshot::query`]; the first of them.
    pub fn query_batch(&self, sketches: &[Sketch], options: &QueryOptions, threads: usize) -> Result<Vec<Vec<Match>>> {
        parallel(sketches.len(), threads, &mut |_| Ok(()), |i| self.query(&sketches[i], options))
    }

    /// Why a track was found in a query: what there is to draw of it.
    ///
    /// # Errors
    /// `SF_INVALID_ARGUMENT` when there is no such track; `SF_STORE` when what is kept is damaged.
    pub fn explain(&self, sketch: &Sketch, found: &Match) -> Result<Explanation> {
        for segment in &self.segments {
            if let Some(number) = segment.find(&found.id)?
                && let Some(track) = segment.track(number)?
            {
                return Ok(landmark::explain(sketch, &track.landmarks, found));
            }
        }
        Err(Error::invalid(format!("\"{}\" is not in the index", found.id)))
    }

    /// The names of all tracks, segment by segment.
    ///
    /// # Errors
    /// `SF_STORE` when what is kept is damaged.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut out = Vec::with_capacity(self.len());
        self.tracks(|track| {
            out.push(track.id);
            Ok(())
        })?;
        Ok(out)
    }

    /// Gives every track to `each`, one at a time.
    ///
    /// # Errors
    /// `SF_STORE` when what is kept is damaged, and those of `each`.
    pub fn tracks(&self, mut each: impl FnMut(IndexTrack) -> Result<()>) -> Result<()> {
        for segment in &self.segments {
            for number in 0..segment.tracks() {
                if let Some(track) = segment.track(number)? {
                    each(track)?;
                }
            }
        }
        Ok(())
    }
}

/// The answers of several indexes to one query (shards of a catalogue, say) as that of one: the best `limit` of all, each track once.
/// Scores are comparable: a track is measured against itself, not against the others of its index.
pub fn merge_topk(answers: impl IntoIterator<Item = Vec<Match>>, limit: usize) -> Vec<Match> {
    let mut all: Vec<Match> = answers.into_iter().flatten().collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    let mut out: Vec<Match> = Vec::new();
    for found in all {
        if out.len() == limit {
            break;
        }
        if out.iter().all(|m| m.id != found.id) {
            out.push(found);
        }
    }
    out
}

/// `work` of all numbers below `count`, on this many threads (0: one for each processor), in order. `news` hears, on the caller's
/// thread, how many are done, and may end it with an error.
pub(in crate::fingerprint) fn parallel<T: Send>(
    count: usize,
    threads: usize,
    news: &mut dyn FnMut(usize) -> Result<()>,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        n => n,
    };
    if threads.min(count) <= 1 {
        return (0..count).map(|i| work(i).and_then(|made| news(i + 1).map(|()| made))).collect();
    }
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel::<(usize, Result<T>)>();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count || sender.send((i, work(i))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut made: Vec<Option<T>> = (0..count).map(|_| None).collect();
        let mut failed = None;
        for (done, (i, result)) in receiver.into_iter().enumerate() {
            match result.and_then(|made| news(done + 1).map(|()| made)) {
                Ok(one) => made[i] = Some(one),
                Err(e) => {
                    // Nobody begins another; those that were begun end.
                    next.store(count, Ordering::Relaxed);
                    failed.get_or_insert(e);
                }
            }
        }
        match failed {
            Some(e) => Err(e),
            None => made
                .into_iter()
                .map(|m| m.ok_or_else(|| Error::Internal("a thread of the search panicked".to_owned())))
                .collect(),
        }
    })
}

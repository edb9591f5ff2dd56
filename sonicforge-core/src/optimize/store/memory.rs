//! The store that ends with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};

use super::super::counts::{Count, Key};
use super::super::reward::{Applied, DecisionId, Reward};
use super::super::variant::{Variant, VariantId};
use super::{Changes, Store};

/// Variants, ledger and counters in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    version: u64,
    variants: BTreeMap<(String, VariantId), Variant>,
    ledger: BTreeMap<(DecisionId, String), Reward>,
    counters: BTreeMap<Key, (u64, Count)>,
    /// Which key changed at which version, the last change only.
    changed: BTreeMap<u64, Key>,
}

impl State {
    fn count(&mut self, key: &Key, change: impl FnOnce(&mut Count)) {
        self.version += 1;
        let version = self.version;
        let entry = self.counters.entry(key.clone()).or_default();
        change(&mut entry.1);
        let before = std::mem::replace(&mut entry.0, version);
        self.changed.remove(&before);
        self.changed.insert(version, key.clone());
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        self.0.lock().map_err(|_| Error::Internal("an earlier call on this store panicked; make a new one".into()))
    }
}

impl Store for MemoryStore {
    fn variants(&self) -> Result<Vec<Variant>> {
        Ok(self.state()?.variants.values().cloned().collect())
    }

    fn put_variant(&self, variant: &Variant) -> Result<()> {
        let mut state = self.state()?;
        let key = (variant.concept.clone(), variant.id);
        if state.variants.get(&key).is_none_or(|held| variant.supersedes(held)) {
            state.variants.insert(key, variant.clone());
        }
        Ok(())
    }

    fn apply(&self, rewards: &[Reward]) -> Result<Vec<Applied>> {
        let mut state = self.state()?;
        let one = |reward: &Reward| {
            let row = (reward.decision, reward.key.metric.clone());
            let held = state.ledger.get(&row);
            let applied = reward.outcome(held);
            let old = held.map(|h| (h.key.clone(), h.count()));
            if matches!(applied, Applied::New | Applied::Revised) {
                if let Some((key, count)) = old {
                    state.count(&key, |c| c.subtract(&count));
                }
                state.count(&reward.key, |c| c.add(&reward.count()));
                state.ledger.insert(row, reward.clone());
            }
            applied
        };
        Ok(rewards.iter().map(one).collect())
    }

    fn counts(&self, since: u64) -> Result<Changes> {
        let state = self.state()?;
        let keys = state.changed.range(since.saturating_add(1)..).map(|(_, key)| key);
        let mut counts: Vec<(Key, Count)> = keys.map(|k| (k.clone(), state.counters[k].1.clone())).collect();
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Changes { version: state.version, counts })
    }

    fn ledger(&self, visit: &mut dyn FnMut(Reward) -> Result<()>) -> Result<()> {
        let rows: Vec<Reward> = self.state()?.ledger.values().cloned().collect();
        rows.into_iter().try_for_each(visit)
    }
}

//! Everything that an optimizer knows, as JSON: variants and ledger. Counters follow from the ledger.
//!
//! The text depends on what happened only, not on the order: exported after any order of the same events it is the same to the byte.
//! Importing merges row by row, so it may be done twice, and A into B gives what B into A does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::optimizer::PromptOptimizer;
use super::reward::{Applied, DecisionId, Reward};
use super::variant::Variant;

const SCHEMA: u32 = 1;
/// Rewards given to the store at once.
const BATCH: usize = 1_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    schema: u32,
    variants: Vec<Variant>,
    rewards: Vec<Reward>,
}

/// What came of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Imported {
    /// Variants that the text holds.
    pub variants: u64,
    /// Rewards that were not known.
    pub new: u64,
    /// Rewards that were known with a lower revision.
    pub revised: u64,
    /// Rewards that were known.
    pub duplicate: u64,
    /// Rewards that were known with a higher revision.
    pub stale: u64,
}

impl PromptOptimizer {
    /// Variants and ledger as JSON.
    ///
    /// # Errors
    /// [`Error::Store`] from the store.
    pub fn export_state(&self) -> Result<String> {
        let mut state = State { schema: SCHEMA, variants: self.store.variants()?, rewards: Vec::new() };
        self.store.ledger(&mut |row| {
            state.rewards.push(row);
            Ok(())
        })?;
        serde_json::to_string(&state).map_err(|e| Error::Internal(e.to_string()))
    }

    /// Merges what another optimizer (or an earlier self) exported.
    ///
    /// # Errors
    /// [`Error::Format`] for a text that is damaged, of a newer version, or tells another story of a decision that is known: then nothing
    /// is taken. [`Error::Store`] from the store: import it again.
    pub fn import_state(&self, text: &str) -> Result<Imported> {
        let damaged = |e: serde_json::Error| Error::Format(format!("this is no exported state: {e}"));
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = serde_json::from_str(text).map_err(damaged)?;
        if schema != SCHEMA {
            return Err(Error::Format(format!(
                "the state has schema {schema}; this version knows {SCHEMA}: update the library"
            )));
        }
        let state: State = serde_json::from_str(text).map_err(damaged)?;
        for variant in &state.variants {
            variant.validate().map_err(|e| Error::Format(e.to_string()))?;
        }
        let mut rows: BTreeMap<(DecisionId, &str), &Reward> = BTreeMap::new();
        for reward in &state.rewards {
            reward.validate()?;
            if rows.insert((reward.decision, &reward.key.metric), reward).is_some() {
                return Err(Error::Format(format!(
                    "decision {} has two rewards of {}",
                    reward.decision, reward.key.metric
                )));
            }
        }
        self.store.ledger(&mut |held| match rows.get(&(held.decision, held.key.metric.as_str())) {
            Some(reward) if !reward.same_decision(&held) => Err(Error::Format(format!(
                "decision {} was drawn differently here; the two states do not belong together",
                held.decision
            ))),
            _ => Ok(()),
        })?;
        let mut imported = Imported { variants: state.variants.len() as u64, ..Imported::default() };
        state.variants.iter().try_for_each(|v| self.store.put_variant(v))?;
        for piece in state.rewards.chunks(BATCH) {
            for applied in self.store.apply(piece)? {
                *match applied {
                    Applied::New => &mut imported.new,
                    Applied::Revised => &mut imported.revised,
                    Applied::Duplicate => &mut imported.duplicate,
                    Applied::Stale => &mut imported.stale,
                } += 1;
            }
        }
        self.refresh()?;
        Ok(imported)
    }
}

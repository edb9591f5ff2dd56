//! A reward as the ledger keeps it, and how two reports of the same thing become one.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::counts::{Count, Key};

/// Ninety-six bits that no other decision has; as text 24 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(pub [u8; 12]);

impl std::fmt::Display for DecisionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digit = |i: usize| b"0123456789abcdef"[usize::from(self.0[i / 2] >> (4 * (1 - i % 2)) & 15)];
        let digits: [u8; 24] = std::array::from_fn(digit);
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl std::str::FromStr for DecisionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("decision {text:?}; expected 24 digits 0-9 a-f"));
        if text.len() != 24 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let mut bytes = [0; 12];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for DecisionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DecisionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What became of a reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// It was counted.
    New,
    /// It had been counted before: nothing changed.
    Duplicate,
    /// It took the place of one with a lower revision.
    Revised,
    /// One with a higher revision had been counted: nothing changed.
    Stale,
}

/// One row of the ledger: the reward of one decision on one metric. Equal decision and metric are the same reward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reward {
    /// The decision.
    pub decision: DecisionId,
    /// What is counted.
    pub key: Key,
    /// The value in 2⁻²⁰; of a duel 2²⁰ when `key.variant` won, 0 when it lost, half of it for a draw.
    pub value: i64,
    /// The highest revision holds; of equal ones the larger value.
    #[serde(default)]
    pub revision: u64,
    /// The probability with which the decision was drawn.
    pub propensity: Propensity,
    /// The features of the context, in 2⁻²⁰.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<i64>,
}

/// A probability above 0, up to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Propensity(pub f64);

// Never NaN.
impl Eq for Propensity {}

impl Reward {
    /// What it adds to the counter of its key.
    pub fn count(&self) -> Count {
        Count::of(self.value, &self.context)
    }

    /// What becomes of this reward where `held` (if any) is in the ledger. Only `New` and `Revised` change it.
    ///
    /// A lexicographic maximum over (revision, value): whatever the order of arrival, the same one holds in the end.
    pub fn outcome(&self, held: Option<&Self>) -> Applied {
        let Some(held) = held else { return Applied::New };
        match (self.revision, self.value).cmp(&(held.revision, held.value)) {
            std::cmp::Ordering::Less => Applied::Stale,
            std::cmp::Ordering::Equal => Applied::Duplicate,
            std::cmp::Ordering::Greater => Applied::Revised,
        }
    }

    /// Checks what a foreign ledger may have wrong.
    ///
    /// # Errors
    /// [`Error::Format`] that names what is wrong.
    pub(super) fn validate(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::Format(format!("the reward of decision {}: {why}", self.decision)));
        for (what, name) in [("concept", &self.key.concept), ("metric", &self.key.metric)] {
            if let Err(e) = super::variant::check_name(what, name) {
                return wrong(e.to_string());
            }
        }
        let p = self.propensity.0;
        if !(p > 0.0 && p <= 1.0) {
            return wrong(format!("propensity is {p}; expected a number above 0, up to 1"));
        }
        if self.value.unsigned_abs() > 1 << 40 {
            return wrong(format!("value is {}; expected at most 2^40 in magnitude", self.value));
        }
        if self.key.variant.0 == 0 || self.key.against.is_some_and(|a| a <= self.key.variant) {
            return wrong("the variants of a duel are not in order".into());
        }
        if self.context.len() > super::token::MAX_FEATURES || self.context.iter().any(|x| x.unsigned_abs() > 1 << 30) {
            return wrong("the context is out of range".into());
        }
        Ok(())
    }

    /// Whether the two are of one decision: all but value and revision is equal.
    pub(super) fn same_decision(&self, other: &Self) -> bool {
        let of = |r: &Self| (r.decision, r.key.clone(), r.propensity.0.to_bits(), r.context.clone());
        of(self) == of(other)
    }
}

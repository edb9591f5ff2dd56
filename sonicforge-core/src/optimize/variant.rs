//! A variant: one prompt of a concept, known by an id that follows from its slots or its text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Names and texts that are kept are at most this long, in bytes.
pub(super) const MAX_TEXT: usize = 65_535;

/// Sixty-four bits of SHA-256 over what the variant is; as text sixteen hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariantId(pub u64);

impl VariantId {
    /// The id of an assignment, whatever the order of its slots.
    pub fn of_slots(slots: &BTreeMap<String, String>) -> Self {
        Self::hash("slots", slots.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]))
    }

    /// The id of free text.
    pub fn of_text(text: &str) -> Self {
        Self::hash("text", [text])
    }

    fn hash<'a>(kind: &str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = Sha256::new_with_prefix(kind);
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest = hasher.finalize();
        let bytes: [u8; 8] = std::array::from_fn(|i| digest[i]);
        // Zero means "no variant" in a counter's key.
        Self(u64::from_be_bytes(bytes).max(1))
    }
}

impl fmt::Display for VariantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for VariantId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let id = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or_else(|| Error::invalid(format!("variant id {text:?}; expected sixteen digits 0-9 a-f")))
    }
}

impl Serialize for VariantId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VariantId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a variant is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is.
    #[default]
    Active,
    /// Not now; its knowledge is kept.
    Paused,
    /// Never again; what was learnt from it still informs the others, and late rewards still count.
    Retired,
}

/// One prompt of a concept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Stable: the same assignment (or text) has the same id everywhere.
    pub id: VariantId,
    /// The concept that it is a prompt for.
    pub concept: String,
    /// Value by slot; empty for free text.
    #[serde(default)]
    pub slots: BTreeMap<String, String>,
    /// The prompt.
    pub text: String,
    /// Whether it is offered.
    #[serde(default)]
    pub status: Status,
    /// Whether it is the one that the others are compared with.
    #[serde(default)]
    pub control: bool,
    /// Counts the changes of status and control; of two copies the one that changed more often holds.
    #[serde(default)]
    pub revision: u64,
}

impl Variant {
    /// A variant of free text, without slots.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when concept or text is empty or longer than 65,535 bytes.
    pub fn text(concept: &str, text: &str) -> Result<Self> {
        let variant = Self {
            id: VariantId::of_text(text),
            concept: concept.into(),
            slots: BTreeMap::new(),
            text: text.into(),
            status: Status::Active,
            control: false,
            revision: 0,
        };
        variant.validate()?;
        Ok(variant)
    }

    /// The same, as the control.
    pub fn as_control(mut self) -> Self {
        self.control = true;
        self
    }

    /// Checks lengths, and that the id is the one that follows from slots or text.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names what is wrong.
    pub fn validate(&self) -> Result<()> {
        check_name("concept", &self.concept)?;
        if self.text.is_empty() || self.text.len() > MAX_TEXT {
            return Err(Error::invalid(format!(
                "the text of variant {} has {} bytes; expected 1 to {MAX_TEXT}",
                self.id,
                self.text.len()
            )));
        }
        let id = if self.slots.is_empty() { VariantId::of_text(&self.text) } else { VariantId::of_slots(&self.slots) };
        if id != self.id {
            return Err(Error::invalid(format!("variant {} has the id {id} by what it is made of", self.id)));
        }
        Ok(())
    }

    /// Which of two copies holds, whichever came first: the one that changed more often, then by its content.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        let rank = |v: &Self| (v.revision, v.status, v.control, v.text.clone());
        rank(self) > rank(other)
    }
}

/// Names of concepts and metrics: 1 to 255 bytes without control characters.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{what} is {name:?}; expected 1 to 255 bytes without control characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable() {
        let slots = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        };
        let one = VariantId::of_slots(&slots(&[("a", "x"), ("b", "y")]));
        assert_eq!(one, VariantId::of_slots(&slots(&[("b", "y"), ("a", "x")])));
        assert_ne!(one, VariantId::of_slots(&slots(&[("a", "xb"), ("", "y")])));
        assert_eq!(one.to_string().parse::<VariantId>().unwrap(), one);
        assert!("00".parse::<VariantId>().is_err() && "+000000000000001".parse::<VariantId>().is_err());
        // Pinned: ids are in the stores of users.
        assert_eq!(VariantId::of_text("lo-fi").to_string(), "7355f1cb47107075");
    }
}

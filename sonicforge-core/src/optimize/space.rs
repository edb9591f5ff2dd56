//! What a prompt is made of: slots, their values, and a template that renders an assignment as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::variant::{Status, Variant, VariantId};

/// One part of a prompt and the values that it can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Its name, as in the template's `{name}`.
    pub name: String,
    /// Its values, 1 to 65,535, all different. A slot with one value is text that never changes.
    pub values: Vec<String>,
}

/// Slots × values, and the template that makes a prompt of one value per slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// The slots, at least one.
    pub slots: Vec<Slot>,
    /// Text with `{slot}` for each slot and, where it is wanted, `{concept}`; `{{` and `}}` are braces.
    pub template: String,
}

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

impl Space {
    /// A space of these slots.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no slots, a slot without values, names or values that come twice, and a template that
    /// names what is not there or leaves out a slot.
    pub fn new(slots: Vec<Slot>, template: impl Into<String>) -> Result<Self> {
        let space = Self { slots, template: template.into() };
        space.validate()?;
        Ok(space)
    }

    /// A space of these slots, whose prompts are the concept and the values, with commas between.
    ///
    /// # Errors
    /// As [`Space::new`].
    pub fn of<S: Into<String>, V: Into<String>>(slots: impl IntoIterator<Item = (S, Vec<V>)>) -> Result<Self> {
        let slots: Vec<Slot> = slots
            .into_iter()
            .map(|(name, values)| Slot { name: name.into(), values: values.into_iter().map(Into::into).collect() })
            .collect();
        let template = std::iter::once("{concept}".to_string()).chain(slots.iter().map(|s| format!("{{{}}}", s.name)));
        let template = template.collect::<Vec<_>>().join(", ");
        Self::new(slots, template)
    }

    /// Checks what [`Space::new`] checks.
    ///
    /// # Errors
    /// As [`Space::new`].
    pub fn validate(&self) -> Result<()> {
        if self.slots.is_empty() {
            return Err(Error::invalid("the space has no slots; expected at least one, such as genre with its values"));
        }
        for (i, slot) in self.slots.iter().enumerate() {
            let name = &slot.name;
            if name.is_empty() || name == "concept" || name.contains(['{', '}', '\0']) {
                return Err(Error::invalid(format!(
                    "slots[{i}] is called {name:?}; expected a name without braces that is neither empty nor \"concept\""
                )));
            }
            if self.slots[..i].iter().any(|s| s.name == *name) {
                return Err(Error::invalid(format!("two slots are called {name:?}; expected different names")));
            }
            if slot.values.is_empty() || slot.values.len() > usize::from(u16::MAX) {
                let n = slot.values.len();
                return Err(Error::invalid(format!("slot {name} has {n} values; expected 1 to 65535")));
            }
            let mut sorted: Vec<&str> = slot.values.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
                return Err(Error::invalid(format!("slot {name} has the value {:?} twice", twice[0])));
            }
        }
        let pieces = pieces(&self.template)?;
        for piece in &pieces {
            if let Piece::Name(name) = piece
                && *name != "concept"
                && !self.slots.iter().any(|s| s.name == *name)
            {
                let known: Vec<&str> = self.slots.iter().map(|s| s.name.as_str()).collect();
                return Err(Error::invalid(format!(
                    "the template names {{{name}}}; expected concept or a slot: {}",
                    known.join(", ")
                )));
            }
        }
        for slot in &self.slots {
            if !pieces.iter().any(|p| matches!(p, Piece::Name(name) if *name == slot.name)) {
                return Err(Error::invalid(format!(
                    "the template {:?} does not name slot {}; write {{{}}} where its value belongs",
                    self.template, slot.name, slot.name
                )));
            }
        }
        Ok(())
    }

    /// How many assignments there are; saturates.
    pub fn size(&self) -> u64 {
        self.slots.iter().fold(1u64, |n, s| n.saturating_mul(s.values.len() as u64))
    }

    /// The text of an assignment, one value per slot.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a slot that is missing or unknown, and for a value that its slot does not have.
    pub fn render(&self, concept: &str, assignment: &BTreeMap<String, String>) -> Result<String> {
        self.indices(assignment)?;
        let mut text = String::new();
        for piece in pieces(&self.template)? {
            match piece {
                Piece::Text(t) => text.push_str(t),
                Piece::Name("concept") => text.push_str(concept),
                Piece::Name(name) => text.push_str(&assignment[name]),
            }
        }
        Ok(text)
    }

    /// A variant of `concept` from one value per slot.
    ///
    /// # Errors
    /// As [`Space::render`].
    pub fn variant<K: Into<String>, V: Into<String>>(
        &self,
        concept: &str,
        assignment: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Variant> {
        let slots: BTreeMap<String, String> = assignment.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let text = self.render(concept, &slots)?;
        Ok(Variant {
            id: VariantId::of_slots(&slots),
            concept: concept.into(),
            slots,
            text,
            status: Status::Active,
            control: false,
            revision: 0,
        })
    }

    /// The number of each slot's value, in the order of the slots.
    pub(super) fn indices(&self, assignment: &BTreeMap<String, String>) -> Result<Vec<u16>> {
        if let Some(stranger) = assignment.keys().find(|k| !self.slots.iter().any(|s| s.name == **k)) {
            return Err(Error::invalid(format!("the space has no slot called {stranger:?}")));
        }
        let index = |slot: &Slot| {
            let value = assignment.get(&slot.name).ok_or_else(|| {
                Error::invalid(format!("slot {} has no value; expected one of {}", slot.name, slot.values.join(", ")))
            })?;
            slot.values.iter().position(|v| v == value).map(|i| i as u16).ok_or_else(|| {
                Error::invalid(format!("slot {} is {value:?}; expected one of {}", slot.name, slot.values.join(", ")))
            })
        };
        self.slots.iter().map(index).collect()
    }

    /// The assignment with these values.
    pub(super) fn assignment(&self, indices: &[u16]) -> BTreeMap<String, String> {
        let pair = |(slot, &i): (&Slot, &u16)| (slot.name.clone(), slot.values[usize::from(i)].clone());
        self.slots.iter().zip(indices).map(pair).collect()
    }
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            out.push(Piece::Text(&rest[..at]));
        }
        let (brace, after) = rest[at..].split_at(1);
        if after.starts_with(brace) {
            out.push(Piece::Text(brace));
            rest = &after[1..];
            continue;
        }
        let end = after.find('}').filter(|_| brace == "{");
        let Some(end) = end else {
            return Err(Error::invalid(format!(
                "the template {template:?} has a lone {brace}; expected {{slot}}, or {brace}{brace} for a brace"
            )));
        };
        out.push(Piece::Name(&after[..end]));
        rest = &after[end + 1..];
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str, values: &[&str]) -> Slot {
        Slot { name: name.into(), values: values.iter().map(|v| v.to_string()).collect() }
    }

    #[test]
    fn a_template_renders() {
        let space = Space::new(
            vec![slot("genre", &["lo-fi", "jazz"]), slot("mood", &["calm"])],
            "{{{genre}}} {concept}; {mood}",
        );
        let space = space.unwrap();
        let v = space.variant("rain", [("mood", "calm"), ("genre", "jazz")]).unwrap();
        assert_eq!(v.text, "{jazz} rain; calm");
        assert_eq!(space.size(), 2);
        assert_eq!(space.assignment(&space.indices(&v.slots).unwrap()), v.slots);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: [(Vec<Slot>, &str, &str); 9] = [
            (vec![], "", "no slots"),
            (vec![slot("a", &[])], "{a}", "slot a has 0 values"),
            (vec![slot("a", &["x", "x"])], "{a}", "\"x\" twice"),
            (vec![slot("a", &["x"]), slot("a", &["y"])], "{a}", "two slots"),
            (vec![slot("a", &["x"])], "{b}", "names {b}"),
            (vec![slot("a", &["x"])], "plain", "does not name slot a"),
            (vec![slot("a", &["x"])], "{a", "lone {"),
            (vec![slot("a", &["x"])], "{a} }", "lone }"),
            (vec![slot("concept", &["x"])], "{concept}", "slots[0]"),
        ];
        for (slots, template, expected) in cases {
            let e = Space::new(slots, template).unwrap_err().to_string();
            assert!(e.contains(expected), "{e}");
        }
        let space = Space::of([("a", vec!["x", "y"])]).unwrap();
        for (given, expected) in
            [(vec![("a", "z")], "expected one of x, y"), (vec![], "no value"), (vec![("a", "x"), ("b", "x")], "\"b\"")]
        {
            let e = space.variant("c", given).unwrap_err().to_string();
            assert!(e.contains(expected), "{e}");
        }
    }
}

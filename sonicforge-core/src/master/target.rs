//! How loud, and under which ceiling: the named targets of the services, or any number.
//!
//! Sources: the loudness pages of the services; EBU R 128 (−23 LUFS, −1 dBTP), ATSC A/85 (−24 LKFS, −2 dBTP), AES TD1004
//! for podcasts. "club" is what loud dance masters measure.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, in_range};

/// A loudness and a ceiling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// For people.
    pub name: String,
    /// Integrated loudness in LUFS, −40 to −5.
    pub loudness_lufs: f64,
    /// Highest true peak in dBTP, −20 to 0.
    pub ceiling_dbtp: f64,
}

const NAMED: [(&str, f64, f64); 10] = [
    ("spotify", -14.0, -1.0),
    ("apple", -16.0, -1.0),
    ("youtube", -14.0, -1.0),
    ("tidal", -14.0, -1.0),
    ("amazon", -14.0, -2.0),
    ("deezer", -15.0, -1.0),
    ("club", -9.0, -1.0),
    ("podcast", -16.0, -1.0),
    ("broadcast", -23.0, -1.0),
    ("broadcast_us", -24.0, -2.0),
];

impl Target {
    /// A target by its numbers. Errors when they are out of range.
    pub fn custom(loudness_lufs: f64, ceiling_dbtp: f64) -> Result<Self> {
        let target = Self { name: "custom".into(), loudness_lufs, ceiling_dbtp };
        target.validate()?;
        Ok(target)
    }

    /// A target by its name. Errors with the names that there are.
    pub fn named(name: &str) -> Result<Self> {
        NAMED
            .iter()
            .find(|(n, ..)| n.eq_ignore_ascii_case(name))
            .map(|&(n, loudness_lufs, ceiling_dbtp)| Self { name: n.into(), loudness_lufs, ceiling_dbtp })
            .ok_or_else(|| {
                let names: Vec<_> = NAMED.iter().map(|(n, ..)| *n).collect();
                Error::invalid(format!(
                    "no target is called {name:?}; expected one of {}, or a loudness in LUFS such as \"-14\"",
                    names.join(", ")
                ))
            })
    }

    /// All named targets.
    pub fn all() -> Vec<Self> {
        NAMED
            .iter()
            .map(|&(n, loudness_lufs, ceiling_dbtp)| Self { name: n.into(), loudness_lufs, ceiling_dbtp })
            .collect()
    }

    /// Errors when a number is out of range.
    pub fn validate(&self) -> Result<()> {
        in_range("loudness_lufs", self.loudness_lufs, -40.0, -5.0)?;
        in_range("ceiling_dbtp", self.ceiling_dbtp, -20.0, 0.0)?;
        Ok(())
    }
}

impl FromStr for Target {
    type Err = Error;

    /// A name ("spotify") or a loudness in LUFS ("-14"), then with a ceiling of −1 dBTP.
    fn from_str(text: &str) -> Result<Self> {
        match text.trim().parse::<f64>() {
            Ok(loudness) => Self::custom(loudness, -1.0),
            Err(_) => Self::named(text.trim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!("spotify".parse::<Target>().unwrap().loudness_lufs, -14.0);
        assert_eq!("Apple".parse::<Target>().unwrap().loudness_lufs, -16.0);
        assert_eq!("-11.5".parse::<Target>().unwrap(), Target::custom(-11.5, -1.0).unwrap());
        assert!("spotfy".parse::<Target>().unwrap_err().to_string().contains("spotify"));
        assert!("3".parse::<Target>().is_err() && "nan".parse::<Target>().is_err());
        assert!(Target::all().iter().all(|t| t.validate().is_ok()));
    }
}

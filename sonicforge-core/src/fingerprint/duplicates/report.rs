//! What was found, for people and for programs.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The version of the JSON form of [`DuplicateReport`].
pub const DUPLICATES_SCHEMA: u32 = 1;

/// How two tracks are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same samples.
    Identical,
    /// The same sound through another codec, rate or level.
    Transcode,
    /// The same work and length, with another balance: equalized, compressed, remastered.
    Remaster,
    /// The second is the first without some of its beginning or end.
    Trimmed,
    /// The same at another speed, in another key, or both.
    Sped,
    /// The second sounds within the first, which is much longer.
    Contains,
    /// They have a part in common, and each has others.
    Shares,
}

impl Relation {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Relation::Identical => "identical",
            Relation::Transcode => "transcode",
            Relation::Remaster => "remaster",
            Relation::Trimmed => "trimmed",
            Relation::Sped => "sped",
            Relation::Contains => "contains",
            Relation::Shares => "shares",
        }
    }
}

/// A stretch that two tracks have in common, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SharedStretch {
    /// Where it begins in the first track.
    pub first_start_s: f64,
    /// Where it ends there.
    pub first_end_s: f64,
    /// Where it begins in the second track.
    pub second_start_s: f64,
    /// Where it ends there.
    pub second_end_s: f64,
}

/// Two tracks that are related, and the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DuplicatePair {
    /// The longer one, or the one whose id comes first.
    pub first: String,
    /// The other.
    pub second: String,
    /// How they are related.
    pub relation: Relation,
    /// Mean score of the ten-second windows that agree, in standard deviations above chance; of equal samples none.
    pub score: Option<f64>,
    /// Of the windows that could be compared, the share that agrees, 0 to 1.
    pub agreement: f64,
    /// Share of the bits of their Chromaprints that differ, where these can be laid over each other.
    pub bit_error: Option<f64>,
    /// How much higher the first is.
    pub pitch_factor: f64,
    /// How much faster the first is.
    pub tempo_factor: f64,
    /// What they have in common.
    pub stretches: Vec<SharedStretch>,
}

/// Tracks that are the same work, each connected with the others by pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DuplicateGroup {
    /// The tracks, in order of their names.
    pub ids: Vec<String>,
    /// What connects them.
    pub pairs: Vec<DuplicatePair>,
}

/// All duplicates of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DuplicateReport {
    /// Version of this form, [`DUPLICATES_SCHEMA`].
    pub schema: u32,
    /// How many tracks were compared.
    pub tracks: usize,
    /// Tracks that are the same work.
    pub groups: Vec<DuplicateGroup>,
    /// Pairs that only have a part in common.
    pub shares: Vec<DuplicatePair>,
}

impl DuplicateReport {
    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain numbers and text always have a JSON form")
    }

    /// As a table for people.
    pub fn to_table(&self) -> String {
        let mut out = format!("{} tracks, {} groups of duplicates\n", self.tracks, self.groups.len());
        for (i, group) in self.groups.iter().enumerate() {
            let _ = writeln!(out, "\n{}. {} tracks", i + 1, group.ids.len());
            group.pairs.iter().for_each(|pair| line(&mut out, pair));
        }
        if !self.shares.is_empty() {
            let _ = writeln!(out, "\n{} pairs have a part in common", self.shares.len());
            self.shares.iter().for_each(|pair| line(&mut out, pair));
        }
        out
    }
}

fn line(out: &mut String, pair: &DuplicatePair) {
    let _ = write!(out, "   {:<9}  {}\n              {}\n             ", pair.relation.name(), pair.first, pair.second);
    if let Some(score) = pair.score {
        let _ = write!(out, " score {score:.1}, {:.0} % of windows", 100.0 * pair.agreement);
    }
    if let Some(error) = pair.bit_error {
        let _ = write!(out, ", {:.1} % of bits differ", 100.0 * error);
    }
    if pair.relation == Relation::Sped {
        let _ = write!(out, ", pitch × {:.3}, tempo × {:.3}", pair.pitch_factor, pair.tempo_factor);
    }
    for s in pair.stretches.iter().take(3) {
        let _ = write!(
            out,
            ", {}–{} = {}–{}",
            clock(s.first_start_s),
            clock(s.first_end_s),
            clock(s.second_start_s),
            clock(s.second_end_s)
        );
    }
    out.push('\n');
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    format!("{}:{:02}", s / 60, s % 60)
}

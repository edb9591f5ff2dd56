//! The manifest: which files an index is made of. One of JSON, replaced as a whole.
//!
//! ```text
//! {"format":1,"log":"log-00000007","next":8,"segments":[{"file":"segment-00000003","removed":[4,17]}]}
//! CRC-32 of the line above and its line end, eight hexadecimal digits
//! ```

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(super) const NAME: &str = "manifest";
pub(super) const NEW: &str = "manifest.new";
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The file that changes are appended to.
    pub log: String,
    /// The number of the next file; none is used twice.
    pub next: u64,
    pub segments: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub file: String,
    /// Tracks that were removed when the manifest was written.
    pub removed: Vec<u32>,
}

impl Manifest {
    pub fn new(log: String, next: u64, segments: Vec<Listed>) -> Self {
        Self { format: FORMAT, log, next, segments }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string(self).expect("plain numbers and text always have a JSON form");
        text.push('\n');
        let check = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("{check:08x}\n"));
        text.into_bytes()
    }

    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let damaged = |what: &str| Error::Store(format!("{name} is damaged: {what}; restore the file"));
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        let (line, check) = text.split_once('\n').ok_or_else(|| damaged("it is cut off"))?;
        let expected = crc32fast::hash(&text.as_bytes()[..=line.len()]);
        if check.trim_end() != format!("{expected:08x}") {
            return Err(damaged("its checksum is wrong"));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let read = |e: serde_json::Error| damaged(&e.to_string());
        let Version { format } = serde_json::from_str(line).map_err(read)?;
        if format != FORMAT {
            return Err(Error::Unsupported(format!(
                "{name} has version {format} of the format; this version of the library reads {FORMAT}: open it with a newer one"
            )));
        }
        let out: Self = serde_json::from_str(line).map_err(read)?;
        let plain = |n: &String| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain(&out.log) || !out.segments.iter().all(|s| plain(&s.file)) {
            return Err(damaged("it names a file that is not of an index"));
        }
        Ok(out)
    }
}

/// The name of a file.
pub(super) fn file(kind: &str, number: u64) -> String {
    format!("{kind}-{number:08}")
}

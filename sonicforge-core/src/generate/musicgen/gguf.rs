//! GGUF: one file with the tensors and everything that describes them.
//!
//! Source: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, version 3, little-endian. Read and written here
//! rather than by candle, whose reader divides by an alignment that a file may set to 0 and whose writer wants all
//! tensors in memory at once. Reading borrows from the bytes; nothing is asked for that the bytes themselves do not pay.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::precision::Precision;
use super::storage::{Dtype, Entry};
use crate::error::{Error, Result};

/// The first four bytes.
pub(crate) const MAGIC: &[u8; 4] = b"GGUF";

/// Tensors begin at multiples of this, where a file does not say otherwise.
pub(crate) const ALIGNMENT: usize = 32;

/// The metadata of our files. `general.…` are those of the specification.
pub(crate) mod keys {
    pub const ARCHITECTURE: &str = "general.architecture";
    pub const MUSICGEN: &str = "musicgen";
    pub const NAME: &str = "general.name";
    pub const LICENCE: &str = "general.license";
    pub const FILE_TYPE: &str = "general.file_type";
    pub const QUANTIZATION_VERSION: &str = "general.quantization_version";
    pub const ALIGNMENT: &str = "general.alignment";
    /// Of what follows; raised when an old reader would misread a new file.
    pub const FORMAT_VERSION: &str = "sonicforge.format_version";
    pub const THIS_VERSION: u32 = 1;
    pub const PRECISION: &str = "sonicforge.precision";
    /// The files of the folder, whole.
    pub const CONFIG: &str = "sonicforge.config";
    pub const GENERATION_CONFIG: &str = "sonicforge.generation_config";
    pub const TOKENIZER: &str = "sonicforge.tokenizer";
}

/// `GGML_MAX_DIMS`.
const MOST_DIMENSIONS: u32 = 4;

/// Arrays in arrays.
const DEEPEST: usize = 4;

/// The numbers of the value types.
const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// What a file holds.
pub(crate) struct Gguf<'a> {
    /// The metadata that are strings.
    pub words: BTreeMap<&'a str, &'a str>,
    /// The metadata that are unsigned 32-bit numbers.
    pub numbers: BTreeMap<&'a str, u32>,
    /// Tensors by name, with positions counted from the start of the file.
    pub entries: Vec<(String, Entry)>,
}

/// Reads the header. `path` is for messages.
///
/// # Errors
/// [`Error::Format`], naming `path`, for anything the format does not allow, [`Error::Unsupported`] for other versions.
pub(crate) fn read<'a>(bytes: &'a [u8], path: &str) -> Result<Gguf<'a>> {
    let mut cursor = Cursor { bytes, at: 0, path };
    if cursor.take(4)? != MAGIC {
        return Err(cursor.broken("it does not begin with GGUF".into()));
    }
    let version = cursor.u32()?;
    if version != 3 {
        return Err(Error::Unsupported(format!("{path}: GGUF version {version} is not handled; expected 3")));
    }
    let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
    let mut gguf = Gguf { words: BTreeMap::new(), numbers: BTreeMap::new(), entries: Vec::new() };
    for _ in 0..pairs {
        let key = cursor.string()?;
        match cursor.u32()? {
            STRING => drop(gguf.words.insert(key, cursor.string()?)),
            U32 => drop(gguf.numbers.insert(key, cursor.u32()?)),
            other => cursor.skip(other, 0)?,
        }
    }
    let alignment = gguf.numbers.get(keys::ALIGNMENT).map_or(ALIGNMENT, |a| *a as usize);
    if !alignment.is_power_of_two() || !(8..=1 << 16).contains(&alignment) {
        return Err(cursor.broken(format!("general.alignment is {alignment}; expected a power of two from 8 to 65536")));
    }
    for _ in 0..tensors {
        let entry = tensor(&mut cursor)?;
        gguf.entries.push((entry.name.clone(), entry));
    }
    let start = cursor.at.next_multiple_of(alignment);
    for (name, entry) in &mut gguf.entries {
        let size = entry.place.len();
        let place = entry.place.start.checked_add(start).and_then(|from| Some(from..from.checked_add(size)?));
        match place {
            Some(place) if place.end <= bytes.len() && place.start % alignment == 0 => entry.place = place,
            _ => {
                let what = format!("at {} of the data", entry.place.start);
                let has = bytes.len().saturating_sub(start);
                return Err(cursor.broken(format!(
                    "the tensor {name:?} of {size} bytes lies {what}; expected a multiple of {alignment} within {has} bytes"
                )));
            }
        }
    }
    gguf.entries.sort_by_key(|(_, entry)| (entry.place.start, entry.place.end));
    if let Some(pair) = gguf.entries.windows(2).find(|pair| pair[0].1.place.end > pair[1].1.place.start) {
        return Err(cursor.broken(format!("the tensors {:?} and {:?} overlap", pair[0].0, pair[1].0)));
    }
    Ok(gguf)
}

/// One line of the table; its place still counts from the start of the data.
fn tensor(cursor: &mut Cursor) -> Result<Entry> {
    let name = cursor.string()?.to_owned();
    let dimensions = cursor.u32()?;
    if dimensions > MOST_DIMENSIONS {
        return Err(cursor.broken(format!("the tensor {name:?} has {dimensions} dimensions; expected at most 4")));
    }
    // Innermost first in the file.
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(usize::try_from(cursor.u64()?).unwrap_or(usize::MAX));
    }
    shape.reverse();
    let dtype = match cursor.u32()? {
        28 => Dtype::F64,
        number => Precision::ALL
            .into_iter()
            .find(|p| ggml_type(*p) == number)
            .map_or_else(|| Dtype::Other(format!("ggml type {number}")), Dtype::Weights),
    };
    let offset = usize::try_from(cursor.u64()?).unwrap_or(usize::MAX);
    let count = shape.iter().try_fold(1usize, |count, n| count.checked_mul(*n));
    let size = count.and_then(|count| dtype.bytes(count, shape.last().copied().unwrap_or(1)));
    let end = size.and_then(|size| offset.checked_add(size));
    match end {
        Some(end) => Ok(Entry { file: 0, name, dtype, shape, place: offset..end }),
        None => Err(cursor.broken(format!(
            "the tensor {name:?} of shape {shape:?} at {offset} is larger than memory or no whole number of {dtype} blocks"
        ))),
    }
}

/// `enum ggml_type`.
fn ggml_type(precision: Precision) -> u32 {
    match precision {
        Precision::F32 => 0,
        Precision::F16 => 1,
        Precision::Q8_0 => 8,
        Precision::Q4K => 12,
        Precision::Q6K => 14,
        Precision::Bf16 => 30,
    }
}

struct Cursor<'a, 'p> {
    bytes: &'a [u8],
    at: usize,
    path: &'p str,
}

impl<'a> Cursor<'a, '_> {
    fn broken(&self, what: String) -> Error {
        Error::Format(format!("{}: {what}; the file is damaged or no GGUF file", self.path))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(count).ok().and_then(|count| rest.get(..count)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.broken(format!(
                "it ends at {}, {count} bytes were expected after {}",
                self.bytes.len(),
                self.at
            ))),
        }
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N as u64)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.number()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.number()?))
    }

    fn string(&mut self) -> Result<&'a str> {
        let at = self.at;
        let length = self.u64()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| self.broken(format!("the string at {at} is not UTF-8")))
    }

    /// Past a value of this type.
    fn skip(&mut self, kind: u32, depth: usize) -> Result<()> {
        if let Some(size) = size_of_value(kind) {
            return self.take(size).map(drop);
        }
        match kind {
            STRING => self.string().map(drop),
            ARRAY if depth < DEEPEST => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match size_of_value(kind) {
                    Some(size) => self.take(size.saturating_mul(count)).map(drop),
                    // Each takes at least the eight bytes of a length: the file's end is the end of a lie.
                    None => (0..count).try_for_each(|_| self.skip(kind, depth + 1)),
                }
            }
            ARRAY => Err(self.broken(format!("its metadata nest deeper than {DEEPEST} arrays"))),
            other => Err(self.broken(format!("a value of type {other} in the metadata"))),
        }
    }
}

fn size_of_value(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

/// The metadata of a file to be written.
#[derive(Default)]
pub(crate) struct Metadata {
    pairs: u64,
    bytes: Vec<u8>,
}

impl Metadata {
    pub fn word(&mut self, key: &str, value: &str) {
        self.begin(key, STRING);
        put_string(&mut self.bytes, value);
    }

    pub fn number(&mut self, key: &str, value: u32) {
        self.begin(key, U32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn begin(&mut self, key: &str, kind: u32) {
        self.pairs += 1;
        put_string(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }
}

/// A tensor to be written.
pub(crate) struct Plan {
    pub name: String,
    pub shape: Vec<usize>,
    pub precision: Precision,
    pub bytes: usize,
}

/// Writes all that comes before the data. The data of `tensors` follow in this order, each with [`padding`] after it.
pub(crate) fn write_header(out: &mut impl Write, metadata: &Metadata, tensors: &[Plan]) -> io::Result<()> {
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(3u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend(metadata.pairs.to_le_bytes());
    header.extend(&metadata.bytes);
    let mut offset = 0u64;
    for Plan { name, shape, precision, bytes } in tensors {
        put_string(&mut header, name);
        header.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|n| header.extend((*n as u64).to_le_bytes()));
        header.extend(ggml_type(*precision).to_le_bytes());
        header.extend(offset.to_le_bytes());
        offset += (bytes + padding(*bytes)) as u64;
    }
    header.resize(header.len() + padding(header.len()), 0);
    out.write_all(&header)
}

/// Zero bytes after `bytes` of data.
pub(crate) fn padding(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT) - bytes
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

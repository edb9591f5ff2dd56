//! The header of a safetensors file: eight bytes of length, a JSON object, then the data.
//!
//! Source: <https://github.com/huggingface/safetensors#format>. The same rules as the reference reader: tensors follow
//! each other without holes or overlaps and fill the file to its end. Read here rather than by the crate of that name,
//! so that an error says which tensor of which file lies, and so that a header may only ask for what its own bytes pay.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::storage::{Dtype, Entry};
use crate::error::{Error, Result};

/// The reference reader's bound.
const LONGEST_HEADER: u64 = 100_000_000;

/// More dimensions no tensor of these models has.
const MOST_DIMENSIONS: usize = 8;

/// The tensors of a file, by name, with positions counted from the start of the file. `file` is what they belong to.
///
/// # Errors
/// [`Error::Format`], naming `path`, for anything the format does not allow.
pub(crate) fn read(bytes: &[u8], file: usize, path: &str) -> Result<Vec<(String, Entry)>> {
    let broken = |what: String| Error::Format(format!("{path}: {what}; the file is damaged or no safetensors file"));
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(broken(format!("it has {} bytes, fewer than the 8 of a header's length", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER || length > rest.len() as u64 {
        return Err(broken(format!("the header claims {length} bytes of the {} that follow", rest.len())));
    }
    let (header, data) = rest.split_at(length as usize);
    let header = std::str::from_utf8(header).map_err(|e| broken(format!("the header is not UTF-8: {e}")))?;
    let Header(tensors) = serde_json::from_str(header).map_err(|e| broken(format!("the header: {e}")))?;

    let start = bytes.len() - data.len();
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        let (from, to) = info.data_offsets;
        let shape = || info.shape.0.iter().map(|n| usize::try_from(*n).ok());
        let dtype = Dtype::from_safetensors(&info.dtype);
        let count = shape().try_fold(1usize, |product, n| product.checked_mul(n?));
        let size = count.and_then(|n| dtype.bytes(n, n));
        let (Some(size), Some(shape)) = (size, shape().collect::<Option<Vec<usize>>>()) else {
            return Err(broken(format!("the tensor {name:?} of shape {:?} is larger than memory", info.shape.0)));
        };
        if from > to || to > data.len() as u64 {
            return Err(broken(format!(
                "the tensor {name:?} lies at {from}..{to}, outside the {} bytes of data",
                data.len()
            )));
        }
        // The size of foreign types is not known here, nor needed.
        if size as u64 != to - from && !matches!(dtype, Dtype::Other(_)) {
            return Err(broken(format!(
                "the tensor {name:?} of shape {shape:?} in {dtype} takes {size} bytes, but its place has {}",
                to - from
            )));
        }
        let place = start + from as usize..start + to as usize;
        entries.push((name.clone(), Entry { file, name, dtype, shape, place }));
    }
    entries.sort_by_key(|(_, entry)| (entry.place.start, entry.place.end));
    let mut end = start;
    for (name, entry) in &entries {
        if entry.place.start != end {
            let what = if entry.place.start < end { "overlaps the one before it" } else { "follows a hole" };
            return Err(broken(format!("the tensor {name:?} {what}")));
        }
        end = entry.place.end;
    }
    if end != bytes.len() {
        return Err(broken(format!("{} bytes follow the last tensor", bytes.len() - end)));
    }
    Ok(entries)
}

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// Tensors by name; `__metadata__` is passed over, and a name that comes twice is refused.
struct Header(BTreeMap<String, Info>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let info = map.next_value::<Info>()?;
                        if tensors.insert(name, info).is_some() {
                            return Err(de::Error::custom("a tensor comes twice"));
                        }
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a shape of at most {MOST_DIMENSIONS} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(n) = list.next_element()? {
                    if shape.len() == MOST_DIMENSIONS {
                        return Err(de::Error::invalid_length(shape.len() + 1, &self));
                    }
                    shape.push(n);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

//! The header: where each tensor is. It is read entry by entry into its table, so that a hostile header cannot make the
//! reader hold more than a small multiple of its own length.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use tunesmith_ops::Result;

use crate::input::{invalid, unsupported};
use crate::stored_type::StoredType;

/// Longest header in bytes that is read; the format's own limit is 100 MB. The largest published single files need about a
/// tenth of this.
pub const MAX_HEADER_BYTES: usize = 32 << 20;

/// Most tensors of a file; the largest published ones hold about a quarter of this.
const MAX_TENSORS: usize = 1 << 17;

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 8;

/// Where one tensor is: `offset..offset + len` in the file.
#[derive(Debug, Clone)]
pub struct Entry {
    pub stored: StoredType,
    pub shape: Vec<usize>,
    pub offset: usize,
    pub len: usize,
}

/// The checked table of a file.
#[derive(Debug, Default)]
pub struct Header {
    pub entries: BTreeMap<String, Entry>,
    pub metadata: BTreeMap<String, String>,
}

/// Reads and checks the header of a whole file: known types, sizes that follow from the shapes, no hole, no overlap, and
/// exactly the bytes that are there.
pub fn read_header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let truncated = |expected: usize| {
        let got = bytes.len();
        invalid(
            path,
            format!(
                "expected {expected} bytes, got {got}; the file is truncated or damaged, download or copy it again"
            ),
        )
    };
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(truncated(8));
    };
    let length = u64::from_le_bytes(*length);
    let Some(length) = usize::try_from(length).ok().filter(|&length| length <= MAX_HEADER_BYTES) else {
        let limit = MAX_HEADER_BYTES;
        return Err(invalid(
            path,
            format!("expected a header of at most {limit} bytes, got {length}; this is not a safetensors file"),
        ));
    };
    let data_start = length.saturating_add(8);
    let Some((text, data)) = rest.split_at_checked(length) else {
        return Err(truncated(data_start));
    };
    let raw: RawHeader = serde_json::from_slice(text).map_err(|error| {
        invalid(path, format!("expected a safetensors header, got: {error}; download or copy the file again"))
    })?;
    let entries = place_tensors(path, raw.tensors, data_start)?;
    let described = entries.values().map(|entry| entry.offset.saturating_add(entry.len)).max().unwrap_or(data_start);
    match described {
        end if end > bytes.len() => Err(truncated(end)),
        end if end < bytes.len() => Err(invalid(
            path,
            format!(
                "expected {} bytes of data, got {}; the file holds bytes that its header does not describe",
                end.saturating_sub(data_start),
                data.len()
            ),
        )),
        _ => Ok(Header { entries, metadata: raw.metadata }),
    }
}

fn place_tensors(path: &Path, raw: BTreeMap<String, RawEntry>, data_start: usize) -> Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    for (name, tensor) in raw {
        let Some(stored) = stored_type(&tensor.dtype) else {
            return Err(unsupported(
                path,
                format!(
                    "expected F32, F16, BF16, I64, I32 or U8 in `{name}`, got {}; convert the model to one of them",
                    tensor.dtype
                ),
            ));
        };
        let Dimensions(shape) = tensor.shape;
        let (begin, end) = tensor.data_offsets;
        let stated = end.checked_sub(begin).and_then(|len| usize::try_from(len).ok());
        let (Some(len), Some(begin)) = (stored.byte_len(&shape), usize::try_from(begin).ok()) else {
            return Err(invalid(
                path,
                format!(
                    "expected a size that can be counted in `{name}`, got shape {shape:?} at {begin}; the header is damaged"
                ),
            ));
        };
        let offset = begin.checked_add(data_start).filter(|offset| offset.checked_add(len).is_some());
        let (true, Some(offset)) = (stated == Some(len), offset) else {
            return Err(invalid(
                path,
                format!(
                    "expected {len} bytes for `{name}` ({} {shape:?}), got offsets from {} to {}; the header is damaged",
                    stored.name(),
                    tensor.data_offsets.0,
                    tensor.data_offsets.1
                ),
            ));
        };
        entries.insert(name, Entry { stored, shape, offset, len });
    }
    check_cover(path, &entries, data_start)?;
    Ok(entries)
}

/// Tensors follow one another without hole or overlap, so that no byte of the file is hidden or shared.
fn check_cover(path: &Path, entries: &BTreeMap<String, Entry>, data_start: usize) -> Result<()> {
    let mut order: Vec<(&String, &Entry)> = entries.iter().collect();
    order.sort_by_key(|(_, entry)| (entry.offset, entry.len));
    let mut next = data_start;
    for (name, entry) in order {
        if entry.offset != next {
            let (at, got) = (next.saturating_sub(data_start), entry.offset.saturating_sub(data_start));
            return Err(invalid(
                path,
                format!("expected `{name}` to begin at {at}, got {got}; tensors may neither overlap nor leave holes"),
            ));
        }
        next = entry.offset.saturating_add(entry.len);
    }
    Ok(())
}

fn stored_type(name: &str) -> Option<StoredType> {
    use StoredType::{Bf16, F16, F32, I32, I64, U8};
    [F32, F16, Bf16, I64, I32, U8].into_iter().find(|stored| stored.name() == name)
}

/// A key of another name would say something about the tensor that is not understood.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    dtype: String,
    shape: Dimensions,
    data_offsets: (u64, u64),
}

struct Dimensions(Vec<usize>);

impl<'de> Deserialize<'de> for Dimensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Dimensions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_DIMENSIONS} dimensions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Dimensions, A::Error> {
                let mut shape = Vec::new();
                while let Some(dimension) = list.next_element()? {
                    if shape.len() == MAX_DIMENSIONS {
                        return Err(de::Error::invalid_length(shape.len(), &self));
                    }
                    shape.push(dimension);
                }
                Ok(Dimensions(shape))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

#[derive(Default)]
struct RawHeader {
    tensors: BTreeMap<String, RawEntry>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = RawHeader;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                let mut metadata = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if metadata.replace(map.next_value()?).is_some() {
                            return Err(de::Error::duplicate_field("__metadata__"));
                        }
                        continue;
                    }
                    if header.tensors.len() == MAX_TENSORS {
                        return Err(de::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    match header.tensors.entry(name) {
                        Slot::Occupied(slot) => {
                            return Err(de::Error::custom(format!("tensor `{}` twice", slot.key())));
                        }
                        Slot::Vacant(slot) => slot.insert(map.next_value()?),
                    };
                }
                header.metadata = metadata.unwrap_or_default();
                Ok(header)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

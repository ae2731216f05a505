//! The key-value section of a GGUF file. Scalars and strings are kept; arrays, which hold the vocabulary, are checked and
//! left in place until their elements are asked for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::{Path, PathBuf};

use tunesmith_ops::{Error, Result};

use super::cursor::Cursor;
use crate::config::shown;
use crate::input::invalid;

/// Most keys; models carry 20 to 60.
const MAX_KEYS: usize = 1 << 16;
/// Longest key in bytes, as the format says.
const MAX_KEY_BYTES: usize = (1 << 16) - 1;
/// Deepest nesting of arrays; no known file nests at all.
const MAX_DEPTH: usize = 4;
/// Most elements an array is decoded to; the largest published vocabularies have 262,144 tokens and 0.6 million merges.
const MAX_ELEMENTS: usize = 1 << 20;

/// One value. Integers of all widths are one kind, but for the type the file gives them, and so are floats.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i128, u32),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(Array),
}

impl Value {
    /// The value in the words of an error.
    fn shown(&self) -> String {
        match self {
            Self::Integer(number, kind) => format!("the {} {number}", type_name(*kind)),
            Self::Float(number) => format!("the float {number}"),
            Self::Bool(flag) => flag.to_string(),
            Self::Text(text) => shown(&text.as_str().into()),
            Self::Array(array) => format!("{} elements of type {}", array.count, type_name(array.element)),
        }
    }
}

/// The format's name of a value type.
fn type_name(kind: u32) -> &'static str {
    const NAMES: [&str; 13] = [
        "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64",
        "float64",
    ];
    usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).copied().unwrap_or("unknown type")
}

/// An array still in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    element: u32,
    count: usize,
    /// Where the first element is.
    offset: usize,
}

/// All keys of a file.
#[derive(Debug)]
pub struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Reads `count` key-value pairs.
    pub fn read(path: &Path, cursor: &mut Cursor<'_>, count: usize) -> Result<Self> {
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let key = cursor.string("a key", MAX_KEY_BYTES)?;
            let kind = cursor.u32()?;
            let value = read_value(cursor, key, kind)?;
            match values.entry(key.to_owned()) {
                Slot::Occupied(_) => return Err(cursor.refuse(format!("expected unique keys, got `{key}` twice"))),
                Slot::Vacant(slot) => slot.insert(value),
            };
        }
        Ok(Self { path: path.to_path_buf(), values })
    }

    /// Smallest size of a pair in bytes, and the most pairs.
    pub const COUNT_LIMITS: (usize, usize) = (13, MAX_KEYS);

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// A non-negative integer that fits JSON's and our own sizes.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.convert(key, "a non-negative integer", |value| match value {
            Value::Integer(number, _) => u64::try_from(*number).ok(),
            _ => None,
        })
    }

    /// An integer stored as uint32, where the format allows no other type.
    pub fn uint32(&self, key: &str) -> Result<Option<u64>> {
        self.convert(key, "an integer of type uint32", |value| match value {
            Value::Integer(number, UINT32) => u64::try_from(*number).ok(),
            _ => None,
        })
    }

    /// A floating-point number.
    pub fn float(&self, key: &str) -> Result<Option<f64>> {
        self.convert(key, "a finite float", |value| match value {
            Value::Float(number) => Some(*number).filter(|number| number.is_finite()),
            _ => None,
        })
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.convert(key, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.convert(key, "a string", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The strings of an array.
    pub fn strings(&self, key: &str, bytes: &[u8]) -> Result<Option<Vec<String>>> {
        self.elements(key, "elements of type string", STRING, bytes, |cursor| {
            Ok(cursor.string("a string", usize::MAX)?.to_owned())
        })
    }

    /// The 32-bit integers of an array.
    pub fn integers(&self, key: &str, bytes: &[u8]) -> Result<Option<Vec<i32>>> {
        self.elements(key, "elements of type int32", INT32, bytes, |cursor| cursor.array().map(i32::from_le_bytes))
    }

    /// The flags of an array; None where the key holds something else than an array.
    pub fn flags(&self, key: &str, bytes: &[u8]) -> Result<Option<Vec<bool>>> {
        if !matches!(self.values.get(key), Some(Value::Array(_))) {
            return Ok(None);
        }
        self.elements(key, "elements of type bool", BOOL, bytes, |cursor| Ok(cursor.array::<1>()? != [0]))
    }

    /// The 32-bit floats of an array.
    pub fn floats(&self, key: &str, bytes: &[u8]) -> Result<Option<Vec<f32>>> {
        self.elements(key, "elements of type float32", FLOAT32, bytes, |cursor| cursor.array().map(f32::from_le_bytes))
    }

    fn elements<T>(
        &self,
        key: &str,
        expected: &str,
        element: u32,
        bytes: &[u8],
        read: impl Fn(&mut Cursor<'_>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let expected = format!("at most {MAX_ELEMENTS} {expected}");
        let array = self.convert(key, &expected, |value| match value {
            Value::Array(array) if array.element == element && array.count <= MAX_ELEMENTS => Some(array),
            _ => None,
        })?;
        let Some(array) = array else { return Ok(None) };
        let mut cursor = Cursor::new(&self.path, bytes, array.offset);
        let mut elements = Vec::with_capacity(array.count);
        for _ in 0..array.count {
            elements.push(read(&mut cursor)?);
        }
        Ok(Some(elements))
    }

    fn convert<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| {
            self.refuse(format!(
                "expected {expected} in `{key}`, got {}; use a file made by llama.cpp's converter",
                value.shown()
            ))
        })
    }

    /// An error at this file.
    pub fn refuse(&self, message: impl Into<String>) -> Error {
        invalid(&self.path, message)
    }
}

const UINT32: u32 = 4;
const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of the scalar types, by their number in the format.
fn scalar_bytes(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        UINT32 | INT32 | FLOAT32 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn read_value(cursor: &mut Cursor<'_>, key: &str, kind: u32) -> Result<Value> {
    let integer = |number: i128| Value::Integer(number, kind);
    Ok(match kind {
        0 => integer(u8::from_le_bytes(cursor.array()?).into()),
        1 => integer(i8::from_le_bytes(cursor.array()?).into()),
        2 => integer(u16::from_le_bytes(cursor.array()?).into()),
        3 => integer(i16::from_le_bytes(cursor.array()?).into()),
        UINT32 => integer(cursor.u32()?.into()),
        INT32 => integer(i32::from_le_bytes(cursor.array()?).into()),
        FLOAT32 => Value::Float(shortest(f32::from_le_bytes(cursor.array()?))),
        BOOL => match cursor.array()? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            [other] => return Err(cursor.refuse(format!("expected 0 or 1 in `{key}`, got {other}"))),
        },
        STRING => Value::Text(cursor.string("a value", usize::MAX)?.to_owned()),
        ARRAY => {
            let mut array = Array { element: cursor.u32()?, count: 0, offset: 0 };
            array.count = array_count(cursor, array.element)?;
            array.offset = cursor.position();
            skip_elements(cursor, array.element, array.count, MAX_DEPTH)?;
            Value::Array(array)
        }
        10 => integer(cursor.u64()?.into()),
        11 => integer(i64::from_le_bytes(cursor.array()?).into()),
        12 => Value::Float(f64::from_le_bytes(cursor.array()?)),
        other => return Err(cursor.refuse(format!("expected a value type from 0 to 12 in `{key}`, got {other}"))),
    })
}

/// A float32 as the number its shortest decimal form denotes: a converter wrote 1e-5 and means 1e-5, not
/// 9.999999747378752e-6, which is what `config.json` of the same model says.
pub(super) fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| number.into())
}

fn array_count(cursor: &mut Cursor<'_>, element: u32) -> Result<usize> {
    let minimum = match element {
        STRING => 8,
        ARRAY => 12,
        kind => scalar_bytes(kind)
            .ok_or_else(|| cursor.refuse(format!("expected an element type from 0 to 12, got {kind}")))?,
    };
    cursor.count("elements", minimum, usize::MAX)
}

fn skip_elements(cursor: &mut Cursor<'_>, element: u32, count: usize, depth: usize) -> Result<()> {
    if let Some(bytes) = scalar_bytes(element) {
        return cursor.take(count.saturating_mul(bytes)).map(|_| ());
    }
    for _ in 0..count {
        if element == STRING {
            let length = cursor.count("bytes of a string", 1, usize::MAX)?;
            cursor.take(length)?;
        } else {
            let Some(depth) = depth.checked_sub(1) else {
                return Err(cursor.refuse(format!("expected arrays nested at most {MAX_DEPTH} deep, got more")));
            };
            let inner = cursor.u32()?;
            let count = array_count(cursor, inner)?;
            skip_elements(cursor, inner, count, depth)?;
        }
    }
    Ok(())
}

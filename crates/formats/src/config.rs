//! `config.json` of a Hugging Face model: the parsed JSON with typed getters. What a key means for a family is decided by
//! the engine; here live the checks that hold for every family, and both spellings of what transformers 5 renamed.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tunesmith_ops::{Code, DType, Error, Result};

use crate::input::{MAX_JSON_BYTES, read_limited};

/// A model's configuration. A key whose value is `null` counts as absent, as in transformers.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    place: PathBuf,
    map: Map<String, Value>,
}

impl ModelConfig {
    /// Reads a JSON file of at most 1 MiB.
    ///
    /// # Errors
    /// `FileMissing`, `FileInvalid` where it is too long, `ConfigInvalid` where it is not JSON.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_limited(path, MAX_JSON_BYTES)?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(
                Code::ConfigInvalid,
                path.display().to_string(),
                format!("expected JSON without NaN or Infinity, got: {error}; correct the file"),
            )
        })?;
        Self::from_json(path, value)
    }

    /// Wraps parsed JSON, which must be an object; `place` is named in errors.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is not.
    pub fn from_json(place: &Path, value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { place: place.to_path_buf(), map }),
            other => Err(Error::new(
                Code::ConfigInvalid,
                place.display().to_string(),
                format!("expected an object, got {}", shown(&other)),
            )),
        }
    }

    /// The whole configuration.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// The same with another value of a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.map.insert(key.to_owned(), value);
        self
    }

    /// The value of a key that is present and not null.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A size: an integer from 1 to 2³¹ − 1.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is absent or something else.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.absent(key))
    }

    /// A size that may be absent.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is something else.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        self.read_value(key, "an integer from 1 to 2147483647", |value| {
            value.as_u64().filter(|size| (1..1 << 31).contains(size)).map(|size| size as usize)
        })
    }

    /// A number above zero that float32 can hold.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is absent or something else.
    pub fn positive(&self, key: &str) -> Result<f64> {
        self.optional_positive(key)?.ok_or_else(|| self.absent(key))
    }

    /// A number above zero that float32 can hold, which may be absent.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is something else.
    pub fn optional_positive(&self, key: &str) -> Result<Option<f64>> {
        self.read_value(key, POSITIVE, as_positive)
    }

    /// True or false; `default` where absent.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is something else.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.read_value(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A string that may be absent.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is something else.
    pub fn optional_string(&self, key: &str) -> Result<Option<&str>> {
        self.read_value(key, "a string", Value::as_str)
    }

    /// A list of strings that may be absent, such as `layer_types`.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is something else.
    pub fn optional_strings(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.read_value(key, "a list of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    /// The family's name, by which the engine finds its description.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is absent.
    pub fn model_type(&self) -> Result<&str> {
        self.optional_string("model_type")?.ok_or_else(|| self.absent("model_type"))
    }

    /// Element type the model was saved in: `dtype` (transformers 5) or `torch_dtype` (4.x); None where neither is given.
    ///
    /// # Errors
    /// `ConfigInvalid` where both are given and differ, `ModelUnsupported` for another type.
    pub fn dtype(&self) -> Result<Option<DType>> {
        let (new, old) = (self.optional_string("dtype")?, self.optional_string("torch_dtype")?);
        if let (Some(new), Some(old)) = (new, old)
            && new != old
        {
            return Err(self.refuse(
                Code::ConfigInvalid,
                format!("expected one element type, got dtype {new} and torch_dtype {old}; remove one"),
            ));
        }
        let Some(name) = new.or(old) else { return Ok(None) };
        let known = [DType::F32, DType::F16, DType::Bf16].into_iter().find(|dtype| dtype.name() == name);
        let refuse = || {
            self.refuse(
                Code::ModelUnsupported,
                format!("expected dtype float32, float16 or bfloat16, got {name}; convert the model"),
            )
        };
        known.map(Some).ok_or_else(refuse)
    }

    /// `eos_token_id`: one id, a list of ids, or none.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is something else.
    pub fn eos_token_ids(&self) -> Result<Vec<u32>> {
        let ids = self.read_value("eos_token_id", "a token id or a list of token ids", |value| match value {
            Value::Array(list) => list.iter().map(as_token_id).collect(),
            single => as_token_id(single).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default())
    }

    /// An error at this configuration.
    pub fn refuse(&self, code: Code, message: impl Into<String>) -> Error {
        Error::new(code, self.place.display().to_string(), message)
    }

    fn absent(&self, key: &str) -> Error {
        self.refuse(
            Code::ConfigInvalid,
            format!("expected the key `{key}`, got none; this is not the configuration of a language model"),
        )
    }

    fn read_value<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let refuse = || {
            self.refuse(
                Code::ConfigInvalid,
                format!("expected {expected} in `{key}`, got {}; correct it", shown(value)),
            )
        };
        convert(value).map(Some).ok_or_else(refuse)
    }
}

/// What [`as_positive`] accepts, in words.
pub(crate) const POSITIVE: &str = "a number above 0 that float32 can hold";

/// A number above zero that neither overflows float32 nor vanishes in it.
pub(crate) fn as_positive(value: &Value) -> Option<f64> {
    value.as_f64().filter(|&number| (number as f32).is_normal() && number > 0.0)
}

/// A value in an error message, cut to a readable length.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn as_token_id(value: &Value) -> Option<u32> {
    value.as_u64().filter(|&id| id < 1 << 31).map(|id| id as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: Value) -> ModelConfig {
        ModelConfig::from_json(Path::new("config.json"), value).unwrap()
    }

    #[test]
    fn sizes_and_numbers_out_of_range_are_refused_by_name() {
        for bad in [json!(0), json!(-4), json!(1.5), json!("64"), json!(1_u64 << 31), json!([64])] {
            let error = config(json!({ "hidden_size": bad })).size("hidden_size").unwrap_err();
            assert_eq!(error.code, Code::ConfigInvalid);
            assert!(error.message.contains("hidden_size"), "{error}");
        }
        for bad in [json!(0.0), json!(-1e-5), json!(1e308), json!(1e-300), json!("1e-5")] {
            assert!(config(json!({ "rms_norm_eps": bad })).positive("rms_norm_eps").is_err());
        }
        assert!(config(json!({})).size("hidden_size").unwrap_err().message.contains("hidden_size"));
        assert_eq!(config(json!({ "head_dim": null })).optional_size("head_dim").unwrap(), None);
        assert_eq!(config(json!({ "hidden_size": 64 })).size("hidden_size").unwrap(), 64);
    }

    #[test]
    fn python_nan_is_refused_with_the_file_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"rms_norm_eps": NaN}"#).unwrap();
        let error = ModelConfig::read(&path).unwrap_err();
        assert_eq!(error.code, Code::ConfigInvalid);
        assert!(error.place.ends_with("config.json"));
    }

    #[test]
    fn both_spellings_of_the_element_type() {
        assert_eq!(config(json!({ "dtype": "bfloat16" })).dtype().unwrap(), Some(DType::Bf16));
        assert_eq!(config(json!({ "torch_dtype": "float32" })).dtype().unwrap(), Some(DType::F32));
        assert_eq!(config(json!({})).dtype().unwrap(), None);
        assert_eq!(config(json!({ "dtype": "float8_e4m3fn" })).dtype().unwrap_err().code, Code::ModelUnsupported);
        let both = json!({ "dtype": "float32", "torch_dtype": "float16" });
        assert_eq!(config(both).dtype().unwrap_err().code, Code::ConfigInvalid);
    }

    #[test]
    fn end_of_text_ids_come_single_listed_or_not_at_all() {
        assert_eq!(config(json!({ "eos_token_id": 2 })).eos_token_ids().unwrap(), [2]);
        assert_eq!(config(json!({ "eos_token_id": [128_001, 128_009] })).eos_token_ids().unwrap(), [128_001, 128_009]);
        assert_eq!(config(json!({ "eos_token_id": null })).eos_token_ids().unwrap(), [0_u32; 0]);
        assert!(config(json!({ "eos_token_id": -1 })).eos_token_ids().is_err());
    }
}

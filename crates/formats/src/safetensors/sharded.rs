//! A model split over several safetensors files by `model.safetensors.index.json`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use tunesmith_ops::Result;

use super::file::SafetensorsFile;
use crate::input::{invalid, missing, read_limited};
use crate::stored_tensor::{StoredTensor, TensorSource};

/// Longest index in bytes; the largest published ones are about 10 MB.
const MAX_INDEX_BYTES: u64 = 32 << 20;

/// Most tensors an index is read of; the largest published ones name about 100,000.
const MAX_TENSORS: usize = 1 << 18;

/// All shards of a model, opened.
#[derive(Debug)]
pub struct ShardedSafetensors {
    index: PathBuf,
    shards: Vec<SafetensorsFile>,
    /// Tensor name to place in `shards`.
    places: BTreeMap<String, usize>,
    /// What the index lists and no shard holds, sorted.
    stale: Vec<String>,
}

impl ShardedSafetensors {
    /// Opens the index and every shard it names, all of which must be in the folder of the index. The shards say which tensors
    /// there are, as for transformers: what only the index lists is in [`Self::stale`], and no tensor may be in another shard than
    /// the index says.
    ///
    /// # Errors
    /// `FileMissing` names a shard that is absent, `FileInvalid` a damaged shard or index; those of
    /// [`SafetensorsFile::open`].
    pub fn open(index_path: &Path) -> Result<Self> {
        let index: Index = serde_json::from_slice(&read_limited(index_path, MAX_INDEX_BYTES)?).map_err(|error| {
            invalid(index_path, format!("expected a shard index, got: {error}; download or copy it again"))
        })?;
        let folder = index_path.parent().unwrap_or(Path::new(""));
        let WeightMap { files, places: listed } = index.weight_map;
        let mut shards = Vec::new();
        for file in &files {
            if !is_plain_name(file) {
                return Err(invalid(
                    index_path,
                    format!(
                        "expected names of files beside the index, got `{}`; do not use this model",
                        file.escape_debug()
                    ),
                ));
            }
            let path = folder.join(file);
            if !path.exists() {
                return Err(missing(
                    &path,
                    format!("expected this shard of {}, got no such file; download it", index_path.display()),
                ));
            }
            shards.push(SafetensorsFile::open(&path)?);
        }
        let places = places_in(&shards, &listed)?;
        let stale: Vec<String> = listed.into_keys().filter(|name| !places.contains_key(name)).collect();
        Ok(Self { index: index_path.to_path_buf(), shards, places, stale })
    }

    /// Tensors that the index lists and no shard holds, sorted.
    pub fn stale(&self) -> &[String] {
        &self.stale
    }
}

/// Where every tensor is: in one shard only, and in the one that the index says, if it says any.
fn places_in(shards: &[SafetensorsFile], listed: &BTreeMap<String, usize>) -> Result<BTreeMap<String, usize>> {
    let mut places = BTreeMap::new();
    for (place, shard) in shards.iter().enumerate() {
        for name in shard.names() {
            if listed.get(&name).is_some_and(|&other| other != place) || places.contains_key(&name) {
                return Err(invalid(
                    shard.path(),
                    format!(
                        "expected `{name}` in the one shard that the index names, got it here; the index is damaged"
                    ),
                ));
            }
            places.insert(name, place);
        }
    }
    Ok(places)
}

impl TensorSource for ShardedSafetensors {
    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        let shard = self.places.get(name).and_then(|&place| self.shards.get(place));
        let absent = || {
            invalid(
                &self.index,
                format!("expected tensor `{name}`, got no shard that holds it; the model is not whole"),
            )
        };
        shard.ok_or_else(absent)?.get(name)
    }

    fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn files(&self) -> Vec<&Path> {
        self.shards.iter().map(SafetensorsFile::path).collect()
    }

    fn release(&self, name: &str) {
        if let Some(shard) = self.places.get(name).and_then(|&place| self.shards.get(place)) {
            shard.release(name);
        }
    }
}

/// A file name without any part that could lead out of its folder, on any operating system.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: WeightMap,
}

/// Tensor names with the place of their file in `files`: each file name is kept once, however many tensors it holds.
#[derive(Default)]
struct WeightMap {
    files: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = WeightMap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from tensor name to file name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<WeightMap, A::Error> {
                let mut weights = WeightMap::default();
                let mut known = BTreeMap::new();
                while let Some((name, file)) = map.next_entry::<String, String>()? {
                    if weights.places.len() == MAX_TENSORS {
                        return Err(de::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    let place = *known.entry(file).or_insert_with_key(|file| {
                        weights.files.push(file.clone());
                        weights.files.len().saturating_sub(1)
                    });
                    match weights.places.entry(name) {
                        Slot::Occupied(slot) => {
                            return Err(de::Error::custom(format!("tensor `{}` twice", slot.key())));
                        }
                        Slot::Vacant(slot) => slot.insert(place),
                    };
                }
                Ok(weights)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain_name;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "../x", "a/../b", "/etc/passwd", "C:x", "c:\\x", "a\\b", "a/b", "nul\0"] {
            assert!(!is_plain_name(name), "{name:?}");
        }
        assert!(is_plain_name("model-00001-of-00002.safetensors"));
        assert!(is_plain_name("..model.safetensors"));
    }
}

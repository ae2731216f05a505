//! A model split over several safetensors files by `model.safetensors.index.json`.

#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::path::Path;

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
    shards: Vec<SafetensorsFile>,
    /// Tensor name to place in `shards`.
    places: BTreeMap<String, usize>,
}

impl ShardedSafetensors {
    /// Opens the index and every shard it names, all of which must be in the folder of the index, and checks that each
    /// tensor is in its shard and in no other.
    ///
    /// # Errors
    /// `FileMissing` names a shard that is absent, `FileInvalid` a damaged shard or index; those of
    /// [`SafetensorsFile::open`].
    pub fn open(index_path: &Path) -> Result<Self> {
        let index: Index = serde_json::from_slice(&read_limited(index_path, MAX_INDEX_BYTES)?).map_err(|error| {
            invalid(index_path, format!("expected a shard index, got: {error}; download or copy it again"))
        })?;
        let folder = index_path.parent().unwrap_or(Path::new(""));
        let WeightMap { files, places } = index.weight_map;
        let mut shards = Vec::new();
        for file in &files {
            if !is_plain_name(file) {
                return Err(invalid(
                    index_path,
                    format!("expected names of files beside the index, got {file:?}; do not use this model"),
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
        let sharded = Self { shards, places };
        sharded.check_tensors(index_path)?;
        Ok(sharded)
    }

    fn check_tensors(&self, index_path: &Path) -> Result<()> {
        for (place, shard) in self.shards.iter().enumerate() {
            for name in shard.names() {
                if self.places.get(&name).is_some_and(|&other| other != place) {
                    return Err(invalid(
                        shard.path(),
                        format!("expected `{name}` in one shard, got it here and in another; the index is damaged"),
                    ));
                }
            }
        }
        for (name, &place) in &self.places {
            let shard = self.shards.get(place).filter(|shard| shard.contains(name));
            if shard.is_none() {
                return Err(invalid(
                    index_path,
                    format!(
                        "expected every tensor in the shard the index names, got none of `{name}`; \
                         download the shards again"
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl TensorSource for ShardedSafetensors {
    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        let shard = self.places.get(name).and_then(|&place| self.shards.get(place)).or(self.shards.first());
        let empty = || invalid(Path::new(name), "expected a model with this tensor, got an index without any");
        shard.ok_or_else(empty)?.get(name)
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

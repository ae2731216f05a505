//! A model whose vocabulary has grown: embedding and head with rows for new tokens, everything else as its files have it
//! (transformers' `resize_token_embeddings`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tunesmith_formats::{
    AdapterFiles, AdapterTensor, ModelConfig as HfConfig, StoredTensor, StoredType, TensorSource, TokenIndices,
};
use tunesmith_ops::{Code, DType, Error, Result};

use crate::families::names;

/// Where the rows of new tokens come from.
#[derive(Debug, Clone, Copy)]
pub enum NewRows<'a> {
    /// So many tokens in all; each new row is the mean of the model's own.
    Mean(usize),
    /// The tables that an adapter's folder has, where they have more rows than the model; the mean where it only trains such rows.
    Of(&'a Path),
}

/// A source with larger tables.
pub struct Grown<'a> {
    source: &'a dyn TensorSource,
    tables: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl<'a> Grown<'a> {
    /// The model, whose head is the embedding where it is `tied`, with more rows; None where there is nothing to add.
    ///
    /// # Errors
    /// `ArgumentInvalid` for fewer tokens than the model has, `ConfigInvalid` for tables of another model, and those of reading them.
    pub fn new(tied: bool, source: &'a dyn TensorSource, rows: NewRows<'_>) -> Result<Option<Self>> {
        let head = format!("{}.weight", names::HEAD);
        let (count, copies) = match rows {
            NewRows::Mean(count) => (count, BTreeMap::new()),
            NewRows::Of(dir) => saved(AdapterFiles::read(dir)?),
        };
        let mut tables = BTreeMap::new();
        for name in [names::EMBEDDING, &head].into_iter().filter(|name| source.contains(name)) {
            let own = source.get(name)?.shape;
            let (Some(have), Some(width)) = (own.first().copied(), own.get(1).copied()) else { continue };
            if count < have && matches!(rows, NewRows::Mean(_)) {
                let expected = format!("at least {have}, the rows of the model's embedding");
                return Err(Error::argument("resizeTokenEmbeddings", expected, count));
            }
            if count <= have || (tied && name == head) {
                continue;
            }
            let copy = copies.get(name);
            if let Some(copy) = copy.filter(|copy| copy.shape != [count, width]) {
                let message = format!("expected a table [{count}, {width}] of this model, got {:?}", copy.shape);
                return Err(Error::new(Code::ConfigInvalid, name, message + "; the adapter belongs to another model"));
            }
            tables.insert(name.to_owned(), (vec![count, width], table(source, name, [have, count, width], copy)?));
        }
        Ok((!tables.is_empty()).then_some(Self { source, tables }))
    }

    /// The same where new rows are asked for at all.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn asked(tied: bool, source: &'a dyn TensorSource, rows: Option<NewRows<'_>>) -> Result<Option<Self>> {
        rows.map_or(Ok(None), |rows| Self::new(tied, source, rows))
    }

    /// The configuration of the model with its new size.
    pub fn config(&self, hf_config: &HfConfig) -> HfConfig {
        hf_config.clone().with("vocab_size", json!(self.tokens()))
    }

    /// Rows of its tables.
    pub fn tokens(&self) -> usize {
        self.tables.values().map(|(shape, _)| shape[0]).max().unwrap_or_default()
    }

    /// Bytes of its tables, which it holds while weights are read.
    pub fn bytes(&self) -> usize {
        self.tables.values().map(|(_, values)| DType::F32.size() * values.len()).sum()
    }
}

/// Rows of the tables that an adapter has or trains rows of, and the tables.
fn saved(files: AdapterFiles) -> (usize, BTreeMap<String, AdapterTensor>) {
    let tokens = files.config.trainable_token_indices.as_ref().map_or_else(Vec::new, TokenIndices::lists);
    let trained = tokens.iter().flat_map(|(_, ids)| ids.iter().map(|id| id + 1)).max().unwrap_or_default();
    let is_table = |name: &String| name == names::EMBEDDING || name.strip_suffix(".weight") == Some(names::HEAD);
    let copies: BTreeMap<String, AdapterTensor> = files.copies.into_iter().filter(|(name, _)| is_table(name)).collect();
    let rows = copies.values().filter_map(|copy| copy.shape.first().copied()).max();
    (rows.unwrap_or_default().max(trained), copies)
}

/// The rows that a model has, and after them those of a copy, or their mean.
fn table(
    source: &dyn TensorSource,
    name: &str,
    [have, count, width]: [usize; 3],
    copy: Option<&AdapterTensor>,
) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    source.get(name)?.to_f32(&mut values)?;
    if let Some(copy) = copy {
        values.extend_from_slice(&copy.data[have * width..]);
        return Ok(values);
    }
    let mut sums = vec![0.0_f64; width];
    for row in values.chunks(width.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / have as f64) as f32).collect();
    (have..count).for_each(|_| values.extend_from_slice(&mean));
    Ok(values)
}

impl TensorSource for Grown<'_> {
    fn names(&self) -> Vec<String> {
        self.source.names()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        match self.tables.get_key_value(name) {
            Some((name, (shape, values))) => {
                StoredTensor::from_bytes(name, StoredType::F32, shape.clone(), bytemuck::cast_slice(values))
            }
            None => self.source.get(name),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn files(&self) -> Vec<&Path> {
        self.source.files()
    }

    fn release(&self, name: &str) {
        self.source.release(name);
    }
}

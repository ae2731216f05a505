//! A model whose vocabulary has grown: embedding and head with rows for new tokens, everything else as its files have it
//! (transformers' `resize_token_embeddings`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tunesmith_formats::{
    AdapterFiles, AdapterTensor, ModelConfig as HfConfig, ModuleTensors, StoredTensor, StoredType, TensorSource,
    TokenIndices,
};
use tunesmith_ops::{Code, DType, Error, Result};

use crate::families::names;

/// How many rows a model gets, and what is in them: the mean of the model's own, where nothing else is said.
#[derive(Debug, Clone, Copy)]
pub struct NewRows<'a> {
    /// So many tokens at least.
    pub count: Option<usize>,
    /// An adapter's folder, which may have larger tables, or train rows beyond the model's.
    pub of: Option<&'a Path>,
}

impl<'a> NewRows<'a> {
    /// Those of an adapter's folder.
    pub fn of(folder: &'a Path) -> Self {
        Self { count: None, of: Some(folder) }
    }
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
        let (of_adapter, copies) = match rows.of {
            None => Default::default(),
            Some(dir) => saved(AdapterFiles::read(dir)?),
        };
        let count = rows.count.unwrap_or_default().max(of_adapter);
        let mut tables = BTreeMap::new();
        for name in [names::EMBEDDING, &head].into_iter().filter(|name| source.contains(name)) {
            let own = source.get(name)?.shape;
            let (Some(have), Some(width)) = (own.first().copied(), own.get(1).copied()) else { continue };
            if let Some(fewer) = rows.count.filter(|count| *count < have) {
                let expected = format!("at least {have}, the rows of the model's embedding");
                return Err(Error::argument("resizeTokenEmbeddings", expected, fewer));
            }
            if count <= have || (tied && name == head) {
                continue;
            }
            let copy = copies.get(name);
            let fits = |copy: &AdapterTensor| match copy.shape[..] {
                [rows, columns] => columns == width && (have..=count).contains(&rows),
                _ => false,
            };
            if let Some(copy) = copy.filter(|copy| !fits(copy)) {
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

/// Rows of the tables that an adapter has, or trains rows of; 0 where it has nothing to do with them.
///
/// # Errors
/// Those of reading the adapter.
pub fn adapter_rows(adapter: &Path) -> Result<usize> {
    Ok(saved(AdapterFiles::read(adapter)?).0)
}

/// Rows of the tables that an adapter has or trains rows of, and the tables.
fn saved(mut files: AdapterFiles) -> (usize, BTreeMap<String, AdapterTensor>) {
    let tokens = files.config.trainable_token_indices.as_ref().map_or_else(Vec::new, TokenIndices::lists);
    let trained = tokens.iter().flat_map(|(_, ids)| ids.iter().map(|id| id + 1)).max().unwrap_or_default();
    let is_table = |name: &String| name == names::EMBEDDING || name.strip_suffix(".weight") == Some(names::HEAD);
    let copies: BTreeMap<String, AdapterTensor> =
        std::mem::take(&mut files.copies).into_iter().filter(|(name, _)| is_table(name)).collect();
    let whole = files.modules.iter().filter_map(|(module, tensors)| match tensors {
        ModuleTensors::Saved(parts) if is_table(&format!("{module}.weight")) => parts.get("weight"),
        _ => None,
    });
    let rows = copies.values().chain(whole).filter_map(|table| table.shape.first().copied()).max();
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
    let mut sums = vec![0.0_f64; width];
    for row in values.chunks(width.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / have as f64) as f32).collect();
    values.extend_from_slice(copy.map_or(&[], |copy| &copy.data[have * width..]));
    while values.len() < count * width {
        values.extend_from_slice(&mean);
    }
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

//! Matrices that are already NF4: as bitsandbytes saves them in safetensors files, read without being dequantised, and written.
//!
//! A matrix `X` of `[n, k]` is the tensor `X` (the codes, `⌈n·k / 2⌉` bytes) with companions: `X.absmax` (its scales: float32,
//! or one byte each where they are quantised too), `X.quant_map` (the sixteen values), `X.nested_absmax` and
//! `X.nested_quant_map` (the second level) and `X.quant_state.bitsandbytes__nf4` (JSON: shape, block sizes, offset).

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tunesmith_ops::nf4::{NESTED_BLOCK, NF4};
use tunesmith_ops::{Code, Error, Nf4Matrix, Nf4Scales, Result};

use crate::config::ModelConfig;
use crate::input::invalid;
use crate::safetensors::{SafetensorsFile, SafetensorsWriter, TensorSpec};
use crate::stored_tensor::TensorSource;
use crate::stored_type::StoredType;

const ABSMAX: &str = ".absmax";
const QUANT_MAP: &str = ".quant_map";
const NESTED_ABSMAX: &str = ".nested_absmax";
const NESTED_QUANT_MAP: &str = ".nested_quant_map";
const STATE: &str = ".quant_state.bitsandbytes__";
const NF4_STATE: &str = ".quant_state.bitsandbytes__nf4";

/// Name of the matrix in a file of [`write_nf4`], and of its checksum: the last name in the order of names.
const WEIGHT: &str = "weight";
const CHECKSUM: &str = "~sha256";

/// A quantised matrix: codes of a file in place, or its own.
#[derive(Debug, Clone)]
pub struct Nf4Tensor<'a> {
    /// Elements of a block.
    pub block_size: usize,
    /// Two elements a byte.
    pub codes: Cow<'a, [u8]>,
    /// Scales of the blocks.
    pub scales: Nf4TensorScales<'a>,
}

/// Scales of an [`Nf4Tensor`].
#[derive(Debug, Clone)]
pub enum Nf4TensorScales<'a> {
    /// float32.
    Plain(Vec<f32>),
    /// Quantised themselves.
    Double {
        /// One byte a block.
        codes: Cow<'a, [u8]>,
        /// One for 256 blocks.
        nested: Vec<f32>,
        /// 256 values.
        code_book: Vec<f32>,
        /// Mean of the scales.
        offset: f32,
    },
}

impl Nf4Tensor<'_> {
    /// As a backend takes it.
    pub fn matrix(&self) -> Nf4Matrix<'_> {
        let scales = match &self.scales {
            Nf4TensorScales::Plain(scales) => Nf4Scales::Plain(scales),
            Nf4TensorScales::Double { codes, nested, code_book, offset } => {
                Nf4Scales::Double { codes, nested, code_book, offset: *offset }
            }
        };
        Nf4Matrix { block_size: self.block_size, codes: &self.codes, scales }
    }

    /// The numbers that must be finite for every element to be.
    fn is_finite(&self) -> bool {
        let all = |x: &[f32]| x.iter().all(|x| x.is_finite());
        match &self.scales {
            Nf4TensorScales::Plain(scales) => all(scales),
            Nf4TensorScales::Double { nested, code_book, offset, .. } => {
                all(nested) && all(code_book) && offset.is_finite()
            }
        }
    }
}

/// Refuses a model whose `quantization_config` asks for anything but NF4 of bitsandbytes.
///
/// # Errors
/// `ModelUnsupported` names the method or type and what to do, `ConfigInvalid` where it is no object.
pub fn check_quantization(config: &ModelConfig) -> Result<()> {
    let Some(quantization) = config.value("quantization_config") else { return Ok(()) };
    let Value::Object(entries) = quantization else {
        let got = crate::config::shown(quantization);
        let text = format!("expected an object in `quantization_config`, got {got}; correct it");
        return Err(config.refuse(Code::ConfigInvalid, text));
    };
    let text = |key: &str| entries.get(key).and_then(Value::as_str);
    let flag = |key: &str| entries.get(key).and_then(Value::as_bool).unwrap_or(false);
    let refuse = |got: String| {
        let text = format!(
            "expected weights that are not quantised, or NF4 of bitsandbytes, got {got}; use the original model, with \
             loadIn4bit where it shall be held in four bits"
        );
        Err(config.refuse(Code::ModelUnsupported, text))
    };
    match text("quant_method") {
        // Files of bitsandbytes' first releases do not name the method.
        Some("bitsandbytes") | None => {}
        Some(other) => return refuse(format!("quant_method {other}")),
    }
    if !flag("load_in_4bit") && !flag("_load_in_4bit") {
        return refuse("bitsandbytes weights of eight bits".to_owned());
    }
    // The library's own default is fp4.
    match text("bnb_4bit_quant_type").unwrap_or("fp4") {
        "nf4" => Ok(()),
        other => refuse(format!("bnb_4bit_quant_type {other}")),
    }
}

/// The matrix `name` of `[n, k]`, or None where the file does not hold it quantised.
///
/// # Errors
/// `ModelUnsupported` for another type than NF4, `FileInvalid` where the parts do not fit together, `NonFinite`.
pub fn read_nf4<'a>(source: &'a dyn TensorSource, name: &str, [n, k]: [usize; 2]) -> Result<Option<Nf4Tensor<'a>>> {
    let state = format!("{name}{NF4_STATE}");
    if !source.contains(&state) {
        return refuse_other(source, name).map(|()| None);
    }
    let state = State::read(source, name, &state)?;
    if state.shape != [n, k] {
        let text = format!(
            "expected shape [{n}, {k}] by the configuration, got {:?}; config.json and weights do not belong together",
            state.shape
        );
        return Err(damaged(name, text));
    }
    let floats = |part: &str| {
        let mut values = Vec::new();
        source.get(&format!("{name}{part}"))?.to_f32(&mut values)?;
        Ok::<_, Error>(values)
    };
    if floats(QUANT_MAP)?.iter().map(|x| x.to_bits()).ne(NF4.map(f32::to_bits)) {
        return Err(Error::new(
            Code::ModelUnsupported,
            name,
            "expected the sixteen values of NF4, got others; quantise the original model again",
        ));
    }
    let bytes = |tensor: &str| {
        let natural = source.get(tensor)?.bytes();
        natural.ok_or_else(|| damaged(tensor, "expected bytes in the order of the file, got rows in another one"))
    };
    let absmax = format!("{name}{ABSMAX}");
    let scales = match state.offset {
        None => Nf4TensorScales::Plain(floats(ABSMAX)?),
        Some(offset) => Nf4TensorScales::Double {
            codes: Cow::Borrowed(bytes(&absmax)?),
            nested: floats(NESTED_ABSMAX)?,
            code_book: floats(NESTED_QUANT_MAP)?,
            offset,
        },
    };
    let tensor = Nf4Tensor { block_size: state.block_size, codes: Cow::Borrowed(bytes(name)?), scales };
    let fits = tensor.matrix().check(n, k);
    fits.map_err(|error| damaged(name, format!("{}; the file is damaged", error.message)))?;
    if !tensor.is_finite() {
        let text = "expected finite scales, got NaN or infinity; the file is damaged or was saved from a diverged run";
        return Err(Error::new(Code::NonFinite, name, text));
    }
    Ok(Some(tensor))
}

/// Rows and columns of a matrix that a file holds quantised; None for every other tensor.
///
/// # Errors
/// `FileInvalid` where what the file says of it is damaged.
pub fn shape(source: &dyn TensorSource, name: &str) -> Result<Option<[usize; 2]>> {
    let state = format!("{name}{NF4_STATE}");
    if !source.contains(&state) {
        return Ok(None);
    }
    match State::read(source, name, &state)?.shape[..] {
        [n, k] => Ok(Some([n, k])),
        ref other => Err(damaged(name, format!("expected a matrix, got shape {other:?}; the file is damaged"))),
    }
}

/// Whether a tensor is no weight of its own but belongs to a quantised one.
pub fn is_companion(source: &dyn TensorSource, name: &str) -> bool {
    let parts = [ABSMAX, QUANT_MAP, NESTED_ABSMAX, NESTED_QUANT_MAP, NF4_STATE];
    let owner = parts.iter().find_map(|part| name.strip_suffix(part));
    owner.is_some_and(|owner| source.contains(&format!("{owner}{NF4_STATE}")))
}

/// Bitsandbytes' other types carry the same companions, or `SCB` for eight bits.
fn refuse_other(source: &dyn TensorSource, name: &str) -> Result<()> {
    let module = name.strip_suffix(".weight").unwrap_or(name);
    let kinds = [(format!("{name}{STATE}fp4"), "fp4"), (format!("{module}.SCB"), "eight bits")];
    match kinds.iter().find(|(companion, _)| source.contains(companion)) {
        None => Ok(()),
        Some((_, kind)) => Err(Error::new(
            Code::ModelUnsupported,
            name,
            format!(
                "expected NF4 or weights that are not quantised, got bitsandbytes weights of {kind}; use the original model"
            ),
        )),
    }
}

/// What the JSON of a matrix says.
struct State {
    shape: Vec<usize>,
    block_size: usize,
    /// Of the scales, where they are quantised.
    offset: Option<f32>,
}

impl State {
    fn read(source: &dyn TensorSource, name: &str, state: &str) -> Result<Self> {
        let bytes = source.get(state)?.bytes().unwrap_or_default();
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| damaged(state, format!("expected JSON, got: {error}; the file is damaged")))?;
        let as_size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
        let size = |key: &str| value.get(key).and_then(as_size);
        let sizes = |list: &Vec<Value>| list.iter().map(as_size).collect::<Option<Vec<_>>>();
        let shape = value.get("shape").and_then(Value::as_array).and_then(sizes);
        let (Some(shape), Some(block_size), Some("nf4")) =
            (shape, size("blocksize"), value.get("quant_type").and_then(Value::as_str))
        else {
            return Err(damaged(
                state,
                format!(
                    "expected nf4 with its shape and blocksize, got {}; the file is damaged",
                    crate::config::shown(&value)
                ),
            ));
        };
        let nested = source.contains(&format!("{name}{NESTED_ABSMAX}"));
        let nested_block = size("nested_blocksize").unwrap_or(NESTED_BLOCK);
        if nested && nested_block != NESTED_BLOCK {
            return Err(Error::new(
                Code::ModelUnsupported,
                name,
                format!(
                    "expected nested_blocksize {NESTED_BLOCK}, got {nested_block}; quantise the original model again"
                ),
            ));
        }
        let offset = value.get("nested_offset").and_then(Value::as_f64).map(|offset| offset as f32);
        if nested && offset.is_none() {
            return Err(damaged(state, "expected nested_offset, got none; the file is damaged"));
        }
        Ok(Self { shape, block_size, offset: offset.filter(|_| nested) })
    }
}

fn damaged(place: &str, text: impl Into<String>) -> Error {
    Error::new(Code::FileInvalid, place, text)
}

/// Parts of one matrix in a file, in the order of their names, with their bytes.
fn parts<'a>(tensor: &'a Nf4Tensor<'_>, [n, k]: [usize; 2]) -> Vec<(TensorSpec, Cow<'a, [u8]>)> {
    let spec = |part: &str, stored: StoredType, shape: Vec<usize>| TensorSpec {
        name: format!("{WEIGHT}{part}"),
        stored,
        shape,
    };
    let mut state = Map::new();
    state.insert("quant_type".to_owned(), json!("nf4"));
    state.insert("blocksize".to_owned(), json!(tensor.block_size));
    state.insert("dtype".to_owned(), json!("float32"));
    state.insert("shape".to_owned(), json!([n, k]));
    let floats = |part: &str, values: &'a [f32]| {
        (spec(part, StoredType::F32, vec![values.len()]), Cow::Borrowed(bytemuck::cast_slice(values)))
    };
    let mut parts = vec![(spec("", StoredType::U8, vec![tensor.codes.len(), 1]), Cow::Borrowed(&*tensor.codes))];
    match &tensor.scales {
        Nf4TensorScales::Plain(scales) => parts.push(floats(ABSMAX, scales)),
        Nf4TensorScales::Double { codes, nested, code_book, offset } => {
            state.insert("nested_blocksize".to_owned(), json!(NESTED_BLOCK));
            state.insert("nested_dtype".to_owned(), json!("float32"));
            state.insert("nested_offset".to_owned(), json!(f64::from(*offset)));
            parts.push((spec(ABSMAX, StoredType::U8, vec![codes.len()]), Cow::Borrowed(&**codes)));
            parts.push(floats(NESTED_ABSMAX, nested));
            parts.push(floats(NESTED_QUANT_MAP, code_book));
        }
    }
    parts.push(floats(QUANT_MAP, &NF4));
    let state = Value::Object(state).to_string().into_bytes();
    parts.push((spec(NF4_STATE, StoredType::U8, vec![state.len()]), Cow::Owned(state)));
    parts
}

/// Writes one matrix as a file of its own, in bitsandbytes' layout under the name `weight`, with a checksum over its parts.
///
/// # Errors
/// `FileMissing` for the folder, `Io`.
pub fn write_nf4(path: &Path, tensor: &Nf4Tensor<'_>, shape: [usize; 2]) -> Result<()> {
    let parts = parts(tensor, shape);
    let mut hash = Sha256::new();
    for (spec, bytes) in &parts {
        add(&mut hash, &spec.name, bytes);
    }
    let checksum = TensorSpec { name: CHECKSUM.to_owned(), stored: StoredType::U8, shape: vec![32] };
    let specs = parts.iter().map(|(spec, _)| spec.clone()).chain([checksum]);
    let mut writer = SafetensorsWriter::create(path, specs.collect())?;
    for (spec, bytes) in &parts {
        writer.write(&spec.name, bytes)?;
    }
    writer.write(CHECKSUM, &hash.finalize())?;
    writer.finish()
}

/// Name, length and bytes of a part go into its file's checksum.
fn add(hash: &mut Sha256, name: &str, bytes: &[u8]) {
    hash.update(name);
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// A file of [`write_nf4`].
#[derive(Debug)]
pub struct Nf4File(SafetensorsFile);

impl Nf4File {
    /// Opens a file and compares its content with its checksum.
    ///
    /// # Errors
    /// `FileMissing`; `FileInvalid` where a single bit is not what was written.
    pub fn open(path: &Path) -> Result<Self> {
        let file = SafetensorsFile::open(path)?;
        let mut hash = Sha256::new();
        for name in file.names().iter().filter(|name| *name != CHECKSUM) {
            add(&mut hash, name, file.get(name)?.bytes().unwrap_or_default());
        }
        if file.get(CHECKSUM)?.bytes() == Some(&hash.finalize()[..]) {
            return Ok(Self(file));
        }
        Err(invalid(path, "expected the content of its checksum, got another; remove the file"))
    }

    /// The matrix.
    ///
    /// # Errors
    /// `FileInvalid` where it is not of this shape.
    pub fn tensor(&self, shape: [usize; 2]) -> Result<Nf4Tensor<'_>> {
        let absent = || invalid(self.0.path(), "expected a quantised matrix, got none; remove the file");
        read_nf4(&self.0, WEIGHT, shape)?.ok_or_else(absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(double: bool) -> Nf4Tensor<'static> {
        let scales = if double {
            let code_book = tunesmith_ops::nf4::code_book().to_vec();
            Nf4TensorScales::Double { codes: Cow::Owned(vec![9, 200]), nested: vec![0.5], code_book, offset: 0.1 }
        } else {
            Nf4TensorScales::Plain(vec![0.5, 2.0])
        };
        Nf4Tensor { block_size: 64, codes: Cow::Owned((0..40).collect()), scales }
    }

    fn values(tensor: &Nf4Tensor<'_>) -> Vec<f32> {
        let mut values = vec![0.0; 80];
        tunesmith_ops::nf4::reference::dequantize(&tensor.matrix(), 0, &mut values);
        values
    }

    #[test]
    fn a_matrix_comes_back_and_a_changed_bit_anywhere_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        for double in [false, true] {
            let tensor = tensor(double);
            write_nf4(&path, &tensor, [5, 16]).unwrap();
            let file = Nf4File::open(&path).unwrap();
            assert_eq!(values(&file.tensor([5, 16]).unwrap()), values(&tensor));
            assert_eq!(file.tensor([16, 5]).unwrap_err().code, Code::FileInvalid);
            drop(file);
            let good = std::fs::read(&path).unwrap();
            for place in 0..good.len() {
                let mut bad = good.clone();
                bad[place] ^= 1;
                std::fs::write(&path, &bad).unwrap();
                let opened = Nf4File::open(&path).and_then(|file| file.tensor([5, 16]).map(|tensor| values(&tensor)));
                // A bit of white space or of a name's order may change without changing the matrix.
                assert!(opened.is_err() || opened.unwrap() == values(&tensor), "byte {place}");
            }
        }
    }

    #[test]
    fn other_quantisations_are_named() {
        let config = |value: Value| {
            let value = json!({ "quantization_config": value });
            check_quantization(&ModelConfig::from_json(Path::new("config.json"), value).unwrap())
        };
        let four =
            |kind: &str| json!({ "quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": kind });
        assert_eq!(config(four("nf4")), Ok(()));
        assert_eq!(config(Value::Null), Ok(()));
        for (value, word) in [
            (four("fp4"), "fp4"),
            (json!({ "quant_method": "gptq", "bits": 4 }), "gptq"),
            (json!({ "quant_method": "bitsandbytes", "load_in_8bit": true }), "eight bits"),
            (json!({ "quant_method": "bitsandbytes", "load_in_4bit": true }), "fp4"),
        ] {
            let error = config(value).unwrap_err();
            assert_eq!(error.code, Code::ModelUnsupported);
            assert!(error.message.contains(word) && error.message.contains("loadIn4bit"), "{error}");
        }
        assert_eq!(config(json!("nf4")).unwrap_err().code, Code::ConfigInvalid);
    }
}

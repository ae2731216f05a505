//! NF4: what bitsandbytes made of single matrices, number by number.

use std::path::Path;

use serde_json::Value;
use tunesmith_formats::{SafetensorsFile, TensorSource};
use tunesmith_ops::nf4::{code_book, double_quantize, double_quantize_from};
use tunesmith_ops::{Backend, Error, Nf4Matrix, Nf4Scales, Result};

use super::outcome::Outcome;
use super::reference::{floats, relative};

/// Relative tolerance of the mean of the scales; everything else is equal to the bit.
const OFFSET_TOLERANCE: f64 = 1e-6;

/// Block size of the model goldens (README of the goldens).
const BLOCK_SIZE: usize = 64;

/// Every linear layer of a model: the weights are those of the model's own files.
pub fn model<B: Backend>(
    backend: &B,
    id: &str,
    file: &Path,
    weights: &dyn TensorSource,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let file = SafetensorsFile::open(file)?;
    for name in file.names() {
        let Some(module) = name.strip_suffix(".packed") else { continue };
        let weight = weights.get(&format!("{module}.weight"))?;
        let mut w = Vec::new();
        weight.to_f32(&mut w)?;
        matrix(backend, &format!("{id}/nf4/{module}"), &file, module, &w, (weight.rows(), BLOCK_SIZE), report)?;
    }
    Ok(())
}

/// The edge cases of `misc/nf4.safetensors`, listed in its metadata.
pub fn edges<B: Backend>(backend: &B, file: &Path, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    let file = SafetensorsFile::open(file)?;
    let list = file.metadata().get("cases").map(String::as_str).unwrap_or_default();
    let cases: Vec<Value> =
        serde_json::from_str(list).map_err(|error| Error::argument("misc/nf4", "a list of cases", error))?;
    for case in cases {
        let (name, size) = (case["name"].as_str().unwrap_or_default(), case["blocksize"].as_u64().unwrap_or(0));
        let rows = case["shape"][0].as_u64().unwrap_or(0) as usize;
        let w = floats(&file, &format!("{name}.weight"))?;
        matrix(backend, &format!("misc/nf4/{name}"), &file, name, &w, (rows, size as usize), report)?;
    }
    Ok(())
}

/// Counts the numbers that differ; the offset, the only one that need not be equal, is measured.
fn matrix<B: Backend>(
    backend: &B,
    id: &str,
    file: &SafetensorsFile,
    name: &str,
    w: &[f32],
    (rows, block_size): (usize, usize),
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let recorded = |part: &str| floats(file, &format!("{name}.{part}"));
    let bytes = |part: &str| Ok::<_, Error>(file.get(&format!("{name}.{part}"))?.bytes().unwrap_or_default());
    let (mut codes, mut absmax) = (vec![0; w.len().div_ceil(2)], vec![0.0; w.len().div_ceil(block_size)]);
    backend.nf4_quantize(w, block_size, &mut codes, &mut absmax)?;
    let offset = recorded("offset")?.first().copied().unwrap_or(f32::NAN);
    let own = double_quantize(&absmax).offset;
    report(Outcome::measured(&format!("{id}/offset"), relative(own.into(), offset.into()), OFFSET_TOLERANCE));

    let second = double_quantize_from(&absmax, offset);
    let (nested, book) = (recorded("nested_absmax")?, recorded("nested_code")?);
    let scales = Nf4Scales::Double { codes: &second.codes, nested: &second.nested, code_book: code_book(), offset };
    let weight = backend.nf4_prepare(rows, w.len() / rows.max(1), Nf4Matrix { block_size, codes: &codes, scales })?;
    let mut values = vec![f32::NAN; w.len()];
    backend.read_weight(&weight, 0, rows, &mut values)?;
    for (part, differing) in [
        ("packed", differing(&codes, bytes("packed")?)),
        ("absmax_u8", differing(&second.codes, bytes("absmax_u8")?)),
        ("nested_absmax", differing(&bits(&second.nested), &bits(&nested))),
        ("nested_code", differing(&bits(code_book()), &bits(&book))),
        ("dequantized", differing(&bits(&values), &bits(&recorded("dequantized")?))),
    ] {
        report(Outcome::measured(&format!("{id}/{part}"), differing, 0.0));
    }
    Ok(())
}

/// Bit patterns, without the sign of zero.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| (x + 0.0).to_bits()).collect()
}

fn differing<T: PartialEq>(got: &[T], want: &[T]) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    got.iter().zip(want).filter(|(a, b)| a != b).count() as f64
}

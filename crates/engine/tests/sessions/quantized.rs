//! Linear layers in four bits: quantised at load, kept for the next load, refused where they cannot be trained.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tunesmith_cpu::Cpu;
use tunesmith_engine::adapter::linears;
use tunesmith_engine::layer::Weight;
use tunesmith_engine::{AdapterOptions, Engine, Session, SessionOptions, WeightOptions};
use tunesmith_formats::{ModelConfig, ModuleNames, TensorSource};
use tunesmith_ops::nf4::{code_book, double_quantize, reference};
use tunesmith_ops::{Code, Matmul, Nf4Matrix, Nf4Options, Nf4Scales, Result};

use super::common::{config, lora, options, write_model};

const NF4: Nf4Options = Nf4Options { block_size: 64, double_quant: true };

fn weights_of(options: Nf4Options, cache_dir: Option<PathBuf>) -> WeightOptions {
    WeightOptions { cache_dir, ..WeightOptions::nf4(options) }
}

fn open(source: &dyn TensorSource, weights: WeightOptions, adapter: Option<AdapterOptions>) -> Result<Session<Cpu>> {
    let config = ModelConfig::from_json(Path::new("config.json"), config())?;
    let options = SessionOptions { weights, ..options(adapter) };
    Session::new(Arc::new(Cpu::new(2)?), config, source, "tiny", &options)
}

/// Every linear layer but the head, dequantised.
fn weights(session: &mut Session<Cpu>) -> Result<Vec<(String, Vec<f32>)>> {
    let (backend, decoder, _) = session.parts();
    let mut weights = Vec::new();
    for linear in linears(decoder) {
        let name = linear.module.clone();
        let Weight::Frozen(weight) = &linear.weight else { panic!("{name} is trained") };
        let mut values = vec![0.0; linear.n * linear.k];
        backend.read_weight(weight, 0, linear.n, &mut values)?;
        weights.push((name, values));
    }
    weights.retain(|(name, _)| name.contains("layers"));
    Ok(weights)
}

/// By the contract's own reference, the whole matrix at once.
fn expected(source: &dyn TensorSource, module: &str, nf4: Nf4Options) -> Result<Vec<f32>> {
    let mut w = Vec::new();
    source.get(&format!("{module}.weight"))?.to_f32(&mut w)?;
    let (mut codes, mut absmax) = (vec![0; w.len().div_ceil(2)], vec![0.0; nf4.blocks(w.len())]);
    reference::quantize(&w, nf4.block_size, &mut codes, &mut absmax);
    let second = double_quantize(&absmax);
    let scales = if nf4.double_quant {
        let (codes, nested, offset) = (&second.codes, &second.nested, second.offset);
        Nf4Scales::Double { codes, nested, code_book: code_book(), offset }
    } else {
        Nf4Scales::Plain(&absmax)
    };
    let matrix = Nf4Matrix { block_size: nf4.block_size, codes: &codes, scales };
    reference::dequantize(&matrix, 0, &mut w);
    Ok(w)
}

#[test]
fn layers_are_quantised_as_the_contract_says_and_the_rest_is_not() -> Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let source = write_model(dir.path(), None);
    for (block_size, double_quant) in [(64, true), (64, false), (256, true), (4096, true)] {
        let nf4 = Nf4Options { block_size, double_quant };
        let mut session = open(&source, weights_of(nf4, None), lora(ModuleNames::AllLinear))?;
        for (name, got) in weights(&mut session)? {
            assert_eq!(got, expected(&source, &name, nf4)?, "{name} in blocks of {block_size}");
        }
        let info = session.quantization().expect("quantised layers");
        assert_eq!((info.nf4, info.matrices, info.from_cache, info.from_checkpoint), (nf4, 14, 0, 0));
        assert!(session.warnings().is_empty() && info.cache.is_none());
    }
    let error =
        open(&source, weights_of(Nf4Options { block_size: 96, ..NF4 }, None), lora(ModuleNames::AllLinear)).err();
    assert_eq!(error.expect("a refusal").code, Code::ArgumentInvalid);
    Ok(())
}

/// Weights by name, matrices out of the cache, warnings, and the cache's folder.
type Loaded = (Vec<(String, Vec<f32>)>, usize, Vec<String>, PathBuf);

#[test]
fn the_cache_gives_the_same_weights_and_a_damaged_file_is_made_anew() -> Result<()> {
    let (dir, cache) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let source = write_model(dir.path(), None);
    let load = |source: &dyn TensorSource| -> Result<Loaded> {
        let mut session =
            open(source, weights_of(NF4, Some(cache.path().to_path_buf())), lora(ModuleNames::AllLinear))?;
        let info = session.quantization().cloned().expect("quantised layers");
        let folder = info.cache.expect("a cache");
        Ok((weights(&mut session)?, info.from_cache, session.warnings().to_vec(), folder))
    };
    let (first, from_cache, warnings, folder) = load(&source)?;
    assert_eq!((from_cache, warnings.len()), (0, 0));
    let (second, from_cache, warnings, again) = load(&source)?;
    assert_eq!((&second, from_cache, warnings.len(), &again), (&first, 14, 0, &folder));

    let damaged = folder.join("model.layers.1.mlp.up_proj.weight.safetensors");
    let mut bytes = std::fs::read(&damaged).expect("a cached matrix");
    let last = bytes.len() - 40;
    bytes[last] ^= 4;
    std::fs::write(&damaged, &bytes).expect("a file");
    let (third, from_cache, warnings, _) = load(&source)?;
    assert_eq!((&third, from_cache), (&first, 13));
    assert!(matches!(&warnings[..], [one] if one.contains("up_proj") && one.contains("again")), "{warnings:?}");
    assert_eq!(load(&source)?.1, 14, "the damaged file was replaced");

    // Another model at the same place: one weight differs.
    drop(source);
    let path = dir.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("a model");
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).expect("a file");
    let changed = tunesmith_formats::SafetensorsFile::open(&path)?;
    let (_, from_cache, _, other) = load(&changed)?;
    assert_eq!(from_cache, 0);
    assert_ne!(other, folder);
    Ok(())
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_costs_nothing_else() -> Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let source = write_model(dir.path(), None);
    let file = dir.path().join("no-folder");
    std::fs::write(&file, "a file").expect("a file");
    let session = open(&source, weights_of(NF4, Some(file.clone())), lora(ModuleNames::AllLinear))?;
    assert_eq!(session.quantization().expect("quantised layers").matrices, 14);
    assert!(matches!(session.warnings(), [one] if one.contains("no-folder")), "{:?}", session.warnings());
    Ok(())
}

#[test]
fn full_fine_tuning_in_four_bits_and_weights_that_are_no_numbers_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let source = write_model(dir.path(), None);
    let error = open(&source, weights_of(NF4, None), None).err().expect("a refusal");
    assert!(error.code == Code::ArgumentInvalid && error.message.contains("adapter"), "{error}");
    for name in ["model.layers.1.mlp.down_proj.weight", "model.embed_tokens.weight"] {
        let poisoned = write_model(dir.path(), Some(name));
        let error = open(&poisoned, weights_of(NF4, None), lora(ModuleNames::AllLinear)).err().expect("a refusal");
        assert!(
            error.code == Code::NonFinite && error.place == name && error.message.contains("element 1;"),
            "{error}"
        );
    }
}

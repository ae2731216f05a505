//! The frozen matrices of linear layers in four bits: taken from a bitsandbytes checkpoint, from the cache, or quantised
//! while they are read, a few rows at a time.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use tunesmith_formats::{Nf4Tensor, Nf4TensorScales, TensorSource, check_finite, read_nf4};
use tunesmith_ops::nf4::{code_book, double_quantize};
use tunesmith_ops::{Backend, Code, Error, Nf4Options, Result};

use super::checked::shaped;
use super::nf4_cache::Nf4Cache;
use super::options::WeightOptions;

/// Where quantised matrices came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizationInfo {
    /// Block size and kind of the scales.
    pub nf4: Nf4Options,
    /// Quantised matrices.
    pub matrices: usize,
    /// Of these, taken as they are from the model's own file.
    pub from_checkpoint: usize,
    /// Of these, read from the cache.
    pub from_cache: usize,
    /// The cache's folder of this model, where there is one.
    pub cache: Option<PathBuf>,
}

/// Elements quantised at a time, or a whole number of blocks above it.
const PIECE: usize = 1 << 20;

/// Makes quantised weights of a source's matrices, one after the other.
pub(crate) struct Quantizer<'a> {
    source: &'a dyn TensorSource,
    /// Block size and kind of the scales; None: matrices are held as the file has them.
    nf4: Option<Nf4Options>,
    cache_dir: Option<&'a Path>,
    /// Opened with the first matrix.
    cache: Option<Nf4Cache>,
    host: Vec<f32>,
    info: Option<QuantizationInfo>,
}

impl<'a> Quantizer<'a> {
    pub(crate) fn new(source: &'a dyn TensorSource, weights: &'a WeightOptions) -> Self {
        let cache_dir = weights.cache_dir.as_deref();
        Self { source, nf4: weights.quantization(), cache_dir, cache: None, host: Vec::new(), info: None }
    }

    /// What was done so far; None where nothing was quantised.
    pub(crate) fn info(&self) -> Option<QuantizationInfo> {
        self.info.clone()
    }

    /// What the user should know.
    pub(crate) fn into_warnings(self) -> Vec<String> {
        self.cache.map(Nf4Cache::into_warnings).unwrap_or_default()
    }

    /// The matrix in four bits; None where it is not to be.
    ///
    /// # Errors
    /// `ArgumentInvalid` when it is to be trained; those of reading it.
    pub(crate) fn weight<B: Backend>(
        &mut self,
        backend: &B,
        name: &str,
        [n, k]: [usize; 2],
        train: bool,
    ) -> Result<Option<B::Weight>> {
        let stored = read_nf4(self.source, name, [n, k])?;
        if train && (stored.is_some() || self.nf4.is_some()) {
            return Err(Error::new(
                Code::ArgumentInvalid,
                "loadIn4bit",
                "expected an adapter to train on weights of four bits, got full fine-tuning, which cannot train them; \
                 train an adapter, or load the original model without loadIn4bit",
            ));
        }
        if let Some(tensor) = stored {
            let weight = backend.nf4_prepare(n, k, tensor.matrix())?;
            self.count(tensor.matrix().options()).from_checkpoint += 1;
            self.source.release(name);
            return Ok(Some(weight));
        }
        let Some(nf4) = self.nf4 else { return Ok(None) };
        nf4.check()?;
        if let (None, Some(root), true) = (&self.info, self.cache_dir, backend.keeps_values()) {
            self.cache = Nf4Cache::open(self.source, root, nf4)?;
        }
        let cached = self.cache.as_mut().and_then(|cache| cache.read(name, [n, k]));
        let weight = if let Some(file) = &cached {
            let weight = backend.nf4_prepare(n, k, file.tensor([n, k])?.matrix())?;
            self.count(nf4).from_cache += 1;
            weight
        } else {
            let tensor = self.quantize(backend, name, [n, k], nf4)?;
            if let Some(cache) = &mut self.cache {
                cache.write(name, &tensor, [n, k]);
            }
            self.count(nf4);
            backend.nf4_prepare(n, k, tensor.matrix())?
        };
        self.source.release(name);
        Ok(Some(weight))
    }

    fn count(&mut self, nf4: Nf4Options) -> &mut QuantizationInfo {
        let cache = self.cache.as_ref().map(|cache| cache.folder().to_path_buf());
        let empty = QuantizationInfo { nf4, matrices: 0, from_checkpoint: 0, from_cache: 0, cache };
        let info = self.info.get_or_insert(empty);
        info.matrices += 1;
        info
    }

    /// Quantises a matrix a few rows at a time: in memory are the result and those rows.
    fn quantize<B: Backend>(
        &mut self,
        backend: &B,
        name: &str,
        [n, k]: [usize; 2],
        options: Nf4Options,
    ) -> Result<Nf4Tensor<'static>> {
        let tensor = shaped(self.source, name, &[n, k])?;
        let (elements, block_size) = (n * k, options.block_size);
        let (mut codes, mut absmax) = (vec![0; elements.div_ceil(2)], vec![0.0; options.blocks(elements)]);
        // Pieces of rows that are pieces of whole blocks as well. The block size is a power of two.
        let rows = block_size >> k.trailing_zeros().min(block_size.trailing_zeros());
        let step = rows * (PIECE / (rows * k).max(1)).max(1);
        // Without values only the lengths matter, and memory that is not written to is not taken.
        let rows = if backend.keeps_values() { n } else { 0 };
        for first in (0..rows).step_by(step.max(1)) {
            tensor.rows_to_f32(first, step.min(n - first), &mut self.host)?;
            check_finite(name, first * k, &self.host)?;
            let (start, len) = (first * k, self.host.len());
            let codes = &mut codes[start / 2..(start + len).div_ceil(2)];
            let absmax = &mut absmax[start / block_size..(start + len).div_ceil(block_size)];
            backend.nf4_quantize(&self.host, block_size, codes, absmax)?;
        }
        let scales = if options.double_quant {
            let second = double_quantize(&absmax);
            Nf4TensorScales::Double {
                codes: Cow::Owned(second.codes),
                nested: second.nested,
                code_book: code_book().to_vec(),
                offset: second.offset,
            }
        } else {
            Nf4TensorScales::Plain(absmax)
        };
        Ok(Nf4Tensor { block_size, codes: Cow::Owned(codes), scales })
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_cpu::Cpu;
    use tunesmith_formats::{F32Tensor, SafetensorsFile, write_safetensors};
    use tunesmith_ops::nf4::reference;

    use super::*;

    #[test]
    fn a_matrix_of_several_pieces_is_quantised_as_if_it_were_one() -> Result<()> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.safetensors");
        // An odd number of columns: blocks and rows meet only every 64 rows.
        let (n, k) = (1100, 1001);
        let data: Vec<f32> = (0..n * k).map(|i| ((i * 7919 % 10_007) as f32 - 5003.0) / 5003.0).collect();
        write_safetensors(&path, &[F32Tensor { name: "w".to_owned(), shape: vec![n, k], data: &data }])?;
        let (source, weights) = (SafetensorsFile::open(&path)?, WeightOptions::default());
        for block_size in [64, 4096] {
            let options = Nf4Options { block_size, double_quant: false };
            let tensor = Quantizer::new(&source, &weights).quantize(&Cpu::new(1)?, "w", [n, k], options)?;
            let (mut codes, mut absmax) = (vec![0; (n * k).div_ceil(2)], vec![0.0; options.blocks(n * k)]);
            reference::quantize(&data, block_size, &mut codes, &mut absmax);
            assert!(tensor.codes == codes);
            assert!(matches!(&tensor.scales, Nf4TensorScales::Plain(scales) if *scales == absmax));
        }
        Ok(())
    }
}

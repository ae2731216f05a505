//! How the frozen weights of a model are held.

use std::path::PathBuf;

use serde::Deserialize;
use tunesmith_ops::{Nf4Options, Storage};

/// How the frozen weights of a model are held: names of transformers' `from_pretrained` and `BitsAndBytesConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeightOptions {
    /// Storage of the frozen matrices that are not quantized.
    pub dtype: WeightDtype,
    /// Hold the linear layers in four bits.
    pub load_in_4bit: bool,
    /// The four-bit type.
    pub bnb_4bit_quant_type: QuantType,
    /// Hold the scales of the blocks in eight bits.
    pub bnb_4bit_use_double_quant: bool,
    /// Weights that share a scale: a power of two from 64 to 4096.
    pub bnb_4bit_blocksize: usize,
    /// Folder in which quantized matrices are kept for the next load; made where absent. None: nothing is kept.
    pub cache_dir: Option<PathBuf>,
}

/// Storage of frozen matrices, by its name in transformers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightDtype {
    /// bfloat16 with quantised matrices, else float32.
    Auto,
    /// Four bytes a weight.
    Float32,
    /// Two bytes a weight.
    Bfloat16,
}

/// Four-bit types of bitsandbytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuantType {
    /// NormalFloat 4 (QLoRA, arXiv:2305.14314).
    Nf4,
}

impl Default for WeightOptions {
    /// Everything in float32; bitsandbytes' constants for where it is not.
    fn default() -> Self {
        Self {
            dtype: WeightDtype::Float32,
            load_in_4bit: false,
            bnb_4bit_quant_type: QuantType::Nf4,
            bnb_4bit_use_double_quant: true,
            bnb_4bit_blocksize: 64,
            cache_dir: None,
        }
    }
}

impl WeightOptions {
    /// Linear layers in NF4, all other matrices in bfloat16, without a cache.
    pub fn nf4(Nf4Options { block_size, double_quant }: Nf4Options) -> Self {
        Self {
            dtype: WeightDtype::Auto,
            load_in_4bit: true,
            bnb_4bit_use_double_quant: double_quant,
            bnb_4bit_blocksize: block_size,
            ..Self::default()
        }
    }

    /// Storage of the matrices that are not quantized. `quantized`: the model's own file holds quantized matrices.
    pub fn storage(&self, quantized: bool) -> Storage {
        match self.dtype {
            WeightDtype::Auto if quantized || self.load_in_4bit => Storage::Bf16,
            WeightDtype::Auto | WeightDtype::Float32 => Storage::F32,
            WeightDtype::Bfloat16 => Storage::Bf16,
        }
    }

    /// How the linear layers of the decoder's layers are quantized at load; None: they are held as their file has them.
    pub fn quantization(&self) -> Option<Nf4Options> {
        let QuantType::Nf4 = self.bnb_4bit_quant_type;
        self.load_in_4bit
            .then_some(Nf4Options { block_size: self.bnb_4bit_blocksize, double_quant: self.bnb_4bit_use_double_quant })
    }
}

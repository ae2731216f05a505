//! How the frozen weights of a model are held.

use std::path::PathBuf;

use tunesmith_ops::{Nf4Options, Storage};

/// How the frozen weights of a model are held.
#[derive(Debug, Clone)]
pub struct BaseOptions {
    /// Matrices that are not quantised: embedding, head and, without `quantization`, the linear layers.
    pub storage: Storage,
    /// The linear layers of the decoder's layers in four bits. None: as `storage` says, unless the file holds them quantised.
    pub quantization: Option<QuantizeOptions>,
}

impl Default for BaseOptions {
    /// Everything in binary32.
    fn default() -> Self {
        Self { storage: Storage::F32, quantization: None }
    }
}

/// Quantising at load.
#[derive(Debug, Clone)]
pub struct QuantizeOptions {
    /// Block size and kind of the scales.
    pub nf4: Nf4Options,
    /// Folder in which quantised matrices are kept for the next load; made where absent. None: nothing is kept.
    pub cache: Option<PathBuf>,
}

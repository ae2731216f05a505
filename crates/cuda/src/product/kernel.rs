//! Kernels of products with their tiles.

/// A kernel with its tile.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) tile: usize,
    pub(crate) step: usize,
    pub(crate) threads: u32,
    pub(crate) shared: usize,
}

impl Kernel {
    /// A kernel of the exact product.
    pub(crate) fn exact(name: &'static str) -> Self {
        Self { name, tile: 64, step: 16, threads: 256, shared: 2 * 16 * 68 * 4 }
    }

    /// A kernel on tensor cores with the large tile.
    pub(crate) fn large(name: &'static str) -> Self {
        Self { name, tile: 128, step: 32, threads: 256, shared: 4 * 256 * 32 * 2 }
    }

    /// A kernel on tensor cores with the small tile.
    pub(crate) fn small(name: &'static str) -> Self {
        Self { name, tile: 64, step: 32, threads: 128, shared: 4 * 128 * 32 * 2 }
    }
}

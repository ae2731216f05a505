//! Kernel registry: names and embedded fatbins.

/// The kernels of one file.
#[derive(Debug)]
pub(crate) struct Module {
    /// Name of the file without `.cu`.
    pub(crate) stem: &'static str,
    /// The fatbin; empty in a build without nvcc.
    pub(crate) image: &'static [u8],
    /// Names of the entry points.
    pub(crate) kernels: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// True when this build holds code for a GPU.
pub fn has_kernels() -> bool {
    !MODULES.is_empty() && MODULES.iter().all(|module| !module.image.is_empty())
}

/// Every kernel as (file, entry point).
pub fn kernels() -> impl Iterator<Item = (&'static str, &'static str)> {
    MODULES.iter().flat_map(|module| module.kernels.iter().map(|kernel| (module.stem, *kernel)))
}

/// Bytes of all fatbins.
pub fn image_bytes() -> usize {
    MODULES.iter().map(|module| module.image.len()).sum()
}

/// Every file of kernels.
pub(crate) fn all() -> &'static [Module] {
    MODULES
}

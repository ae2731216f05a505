//! Devices: the driver interface and its implementations, device memory, and kernel launches.

mod accounts;
mod buffer;
mod driver;
mod driver_error;
#[cfg(feature = "emulated")]
mod emulated;
#[cfg(all(test, feature = "emulated"))]
mod faults;
mod launch;
mod loaded;
mod memory;
mod module;
mod pool;
#[cfg(test)]
mod ptxas;
mod real;
mod spans;
mod structure;
mod vendor;

pub use buffer::Buffer;
pub use driver::{Attributes, Work};
#[cfg(feature = "emulated")]
pub use emulated::{EmulatedOptions, Schedule};
pub use module::{has_kernels, image_bytes, kernels};

pub(crate) use accounts::Accounts;
pub(crate) use driver::{Address, DenseProduct, Dimensions, Driver, Function, Mode};
#[cfg(feature = "emulated")]
pub(crate) use emulated::Emulated;
pub(crate) use launch::Launch;
pub(crate) use pool::Pool;
pub(crate) use real::{Real, probe};
pub(crate) use structure::Structure;

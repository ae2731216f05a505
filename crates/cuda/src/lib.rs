//! The CUDA backend: our own kernels (`kernels/`), one stream, a caching allocator.
//!
//! Activations are bfloat16 or float32; sums, statistics and angles are float32. Every kernel is deterministic. The driver
//! is loaded when a device is opened, and every failure to do so names the missing piece.

mod adafactor;
mod adamw;
mod attention;
mod attention_plan;
mod blockwise_step;
mod cross_entropy;
mod device;
mod dora;
mod dropout;
mod elementwise;
mod elementwise_step;
mod embedding;
mod grad_norm;
mod grouped_matmul;
mod lora_matmul;
mod matmul;
mod muon;
mod neftune;
mod nf4;
mod packs;
mod product;
mod rms_norm;
mod rope;
mod router;
mod sgd;
mod swiglu;
mod tensors;
mod weight;

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tunesmith_ops::{Backend, Call, DType, Error, Result};

pub use attention_plan::AttentionPlan;
pub use device::{Attributes, Buffer, Work, has_kernels, image_bytes, kernels};
#[cfg(feature = "emulated")]
pub use device::{EmulatedOptions, Schedule};
pub use grad_norm::Norm;
pub use grouped_matmul::Stacked;
pub use weight::Weight;

use device::{Accounts, Address, Dimensions, Driver, Function, Pool, Real};

/// One CUDA device as a backend of the engine.
#[derive(Debug)]
pub struct Cuda {
    driver: Arc<dyn Driver>,
    pool: Arc<Pool>,
    dtype: DType,
    functions: RwLock<HashMap<&'static str, Function>>,
    launches: AtomicU64,
    waits: AtomicU64,
    vendor_products: AtomicU64,
}

/// What a machine offers to this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The driver's CUDA version, as 13000 for 13.0.
    pub driver_version: i32,
    /// Devices that it sees.
    pub devices: usize,
}

/// Asks the driver what there is.
///
/// # Errors
/// `DeviceUnavailable` naming the missing piece.
pub fn probe() -> Result<Probe> {
    let (driver_version, devices) = device::probe()?;
    Ok(Probe { driver_version, devices })
}

impl Cuda {
    /// Device `ordinal` with activations of `dtype` (bf16 or f32).
    ///
    /// # Errors
    /// `DeviceUnavailable` naming the missing piece, `ArgumentInvalid` for another dtype.
    pub fn new(ordinal: usize, dtype: DType) -> Result<Self> {
        Self::on(Arc::new(Real::open(ordinal)?), dtype)
    }

    /// The emulated device.
    ///
    /// # Errors
    /// `DeviceUnavailable` when the library of its kernels cannot be opened, `ArgumentInvalid` for another dtype.
    #[cfg(feature = "emulated")]
    pub fn emulated(options: &EmulatedOptions, dtype: DType) -> Result<Self> {
        Self::on(Arc::new(device::Emulated::open(options)?), dtype)
    }

    /// A backend that holds what this one would hold and computes nothing, for the plan of a session on this device.
    ///
    /// # Errors
    /// None that this one was not refused with.
    pub fn accounts(&self) -> Result<Self> {
        Self::on(Arc::new(Accounts::of(Arc::clone(&self.driver))), self.dtype)
    }

    fn on(driver: Arc<dyn Driver>, dtype: DType) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::Bf16) {
            return Err(Error::argument("cuda", "activations of float32 or bfloat16", dtype));
        }
        let pool = Arc::new(Pool::new(Arc::clone(&driver)));
        Ok(Self {
            driver,
            pool,
            dtype,
            functions: RwLock::default(),
            launches: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            vendor_products: AtomicU64::new(0),
        })
    }

    /// Facts about the device.
    pub fn attributes(&self) -> &Attributes {
        self.driver.attributes()
    }

    /// Bytes that this backend can still have, and bytes in all: what the device's driver calls free, and what this backend holds
    /// of it without using it.
    ///
    /// # Errors
    /// Whatever the driver fails with.
    pub fn memory_info(&self) -> Result<(usize, usize)> {
        let (free, all) = self.driver.memory_info()?;
        Ok((free + self.pool.unused(), all))
    }

    /// Bytes of the block that this backend takes for an allocation.
    pub fn rounded(&self, bytes: usize) -> usize {
        self.pool.rounded(bytes).unwrap_or(usize::MAX)
    }

    /// Kernels started so far.
    pub fn launches(&self) -> u64 {
        self.launches.load(Ordering::Relaxed)
    }

    /// Times that the host has waited for the device so far: to read a result, or when told to.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Products that went to the vendor's library (cuBLASLt) so far; the others were computed by our own kernel.
    pub fn vendor_products(&self) -> u64 {
        self.vendor_products.load(Ordering::Relaxed)
    }

    /// Name and version of the vendor's library that large products go to; None where our own kernel computes them all.
    pub fn product_library(&self) -> Option<String> {
        self.driver.product_library()
    }

    /// Times that the driver was asked for memory so far: in a steady step it is not.
    pub fn allocations(&self) -> u64 {
        self.pool.allocations()
    }

    /// Whether a launch ends with an error where a kernel reads or writes beyond its memory: the emulated device's does, when
    /// its library was compiled with AddressSanitizer.
    pub fn watches_memory(&self) -> bool {
        self.driver.watches_memory()
    }

    /// What the threads of all launches of a kernel did so far, where the device is the emulated one: the part of its speed
    /// that can be counted.
    pub fn work(&self, kernel: &str) -> Work {
        self.driver.work(kernel)
    }

    /// A call of `op` on this backend.
    pub(crate) fn call(&self, op: &'static str) -> Call {
        Call::new(op, self.dtype)
    }

    /// Copies from the device, waiting for everything in flight.
    pub(crate) fn download_bytes(&self, source: Address, bytes: &mut [u8]) -> Result<()> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.driver.download(source, bytes)
    }

    fn function(&self, kernel: &'static str) -> Result<Function> {
        if let Some(function) = self.functions.read().unwrap_or_else(PoisonError::into_inner).get(kernel) {
            return Ok(*function);
        }
        let function = self.driver.function(kernel)?;
        self.functions.write().unwrap_or_else(PoisonError::into_inner).insert(kernel, function);
        Ok(function)
    }

    /// Starts a kernel, as `launch.rs` packed it.
    pub(crate) fn start(
        &self,
        kernel: &'static str,
        at: Dimensions,
        signature: &str,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        let function = self.function(kernel)?;
        self.launches.fetch_add(1, Ordering::Relaxed);
        self.driver.launch(function, at, signature, arguments)
    }
}

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    /// 1920 rows of 128,256 logits in bf16: half a gigabyte, and enough rows that the head's weights are read seldom.
    fn logit_bytes(&self) -> usize {
        480 << 20
    }
}

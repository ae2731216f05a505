//! The CUDA driver: loaded when a device is asked for, so that one binary serves machines with and without it.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cudarc::driver::{result, sys};
use tunesmith_ops::{Code, Error, Result};

use super::driver::{Address, Attributes, DenseProduct, Dimensions, Driver, Function};
use super::driver_error::{error_name, failed, unavailable};
use super::loaded::Loaded;
use super::module;
use super::vendor::{Vendor, WORKSPACE};

/// Multiply-adds from which on a product goes to the vendor's library: below, a launch of our own is no slower.
const VENDOR_WORK: usize = 1 << 27;

thread_local! {
    /// The context that this thread has last been given.
    static BOUND: Cell<usize> = const { Cell::new(0) };
}

/// One device with its own stream.
pub(crate) struct Real {
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    attributes: Attributes,
    kernels: Loaded,
    /// The vendor's library, where it is there.
    vendor: Option<Vendor>,
}

// SAFETY: contexts, streams and modules are handles of the driver, which any thread may use.
unsafe impl Send for Real {}
// SAFETY: as above; the driver guards itself.
unsafe impl Sync for Real {}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Real({})", self.attributes.name)
    }
}

/// cudarc panics where the driver lacks a symbol.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(unavailable("a driver of CUDA 12.8 or newer", "one that lacks functions", "update the NVIDIA driver"))
    })
}

/// The driver's version and its number of devices; the missing piece as an error.
pub(crate) fn probe() -> Result<(i32, usize)> {
    // SAFETY: opens a library by its name and closes it.
    if !unsafe { sys::is_culib_present() } {
        return Err(unavailable("the NVIDIA driver (libcuda)", "none", "install it, or use device \"cpu\""));
    }
    guarded(|| {
        let mut version = 0;
        // SAFETY: writes one integer.
        let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result();
        asked.map_err(failed("cuDriverGetVersion"))?;
        let count = result::init().and_then(|()| result::device::get_count());
        let advice = "see `nvidia-smi`, or use device \"cpu\"";
        let count = count.map_err(|error| unavailable("a CUDA device", error_name(error), advice))?;
        Ok((version, count as usize))
    })
}

impl Real {
    /// Opens device `ordinal`.
    pub(crate) fn open(ordinal: usize) -> Result<Self> {
        let (driver_version, count) = probe()?;
        if ordinal >= count {
            let got = format!("{count} of them");
            return Err(unavailable(&format!("a CUDA device number {ordinal}"), got, "see `nvidia-smi`"));
        }
        if !module::has_kernels() {
            return Err(unavailable(
                "a build with CUDA kernels",
                "one that was made without nvcc",
                "build it with nvcc, or use device \"cpu\"",
            ));
        }
        guarded(|| {
            let device = result::device::get(ordinal as i32).map_err(failed("cuDeviceGet"))?;
            // SAFETY: the device exists; the context is released when this is dropped.
            let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed("cuDevicePrimaryCtxRetain"))?;
            // SAFETY: the context was just retained.
            unsafe { result::ctx::set_current(context) }.map_err(failed("cuCtxSetCurrent"))?;
            let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
            let stream = stream.map_err(failed("cuStreamCreate"))?;
            let attributes = attributes(device, driver_version)?;
            let (major, minor) = attributes.capability;
            if major < 8 {
                let got = format!("{major}.{minor} ({})", attributes.name);
                return Err(unavailable("compute capability 8.0 or newer", got, "use device \"cpu\""));
            }
            let mut real = Self { device, context, stream, attributes, kernels: Loaded::default(), vendor: None };
            // What a driver cannot do, or a device has no room for, is found out here and not in the middle of a run.
            real.kernels = Loaded::load(&real.attributes)?;
            real.vendor = Vendor::open(|| real.workspace())?;
            Ok(real)
        })
    }

    /// Makes the context this thread's own, once per thread.
    fn bind(&self) -> Result<()> {
        let context = self.context as usize;
        if BOUND.get() != context {
            // SAFETY: the context lives as long as `self`.
            unsafe { result::ctx::set_current(self.context) }.map_err(failed("cuCtxSetCurrent"))?;
            BOUND.set(context);
        }
        Ok(())
    }

    /// Memory for the algorithms of the vendor's library.
    fn workspace(&self) -> Result<Address> {
        self.allocate(WORKSPACE)?.ok_or_else(|| {
            let text = format!(
                "expected {WORKSPACE} bytes for cuBLASLt, got none; end other programs on this device, or set \
                 TUNESMITH_SKIP_CUBLASLT=1 to compute with our own kernels"
            );
            Error::new(Code::OutOfMemory, "cuda", text)
        })
    }
}

fn attributes(device: sys::CUdevice, driver_version: i32) -> Result<Attributes> {
    use sys::CUdevice_attribute as A;
    let ask = |attribute| {
        // SAFETY: the device exists.
        let value = unsafe { result::device::get_attribute(device, attribute) };
        value.map(|value| value as usize).map_err(failed("cuDeviceGetAttribute"))
    };
    // SAFETY: the device exists.
    let memory = unsafe { result::device::total_mem(device) }.map_err(failed("cuDeviceTotalMem"))?;
    Ok(Attributes {
        name: result::device::get_name(device).map_err(failed("cuDeviceGetName"))?,
        capability: (
            ask(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
            ask(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
        ),
        multiprocessors: ask(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_memory: ask(A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        l2_cache: ask(A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
        memory,
        driver_version,
    })
}

impl Driver for Real {
    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn granularity(&self) -> usize {
        512
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>> {
        self.bind()?;
        // SAFETY: a context is bound.
        match unsafe { result::malloc_sync(bytes) } {
            Ok(address) => Ok(Some(address)),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => Ok(None),
            Err(error) => Err(failed("cuMemAlloc")(error)),
        }
    }

    fn free(&self, address: Address) {
        // cuMemFree waits for the work that may still use the memory; an error means that the context is gone, and with it
        // the memory.
        if self.bind().is_ok() {
            // SAFETY: the pool gives each address back once, and nothing holds it any more.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn memory_info(&self) -> Result<(usize, usize)> {
        self.bind()?;
        result::mem_get_info().map_err(failed("cuMemGetInfo"))
    }

    fn upload(&self, target: Address, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.bind()?;
        // SAFETY: the view was checked. Pageable memory is staged before the call returns, so `bytes` may end after it.
        unsafe { result::memcpy_htod_async(target, bytes, self.stream) }.map_err(failed("cuMemcpyHtoDAsync"))
    }

    fn download(&self, source: Address, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return self.synchronize();
        }
        self.bind()?;
        // SAFETY: the view was checked, and the stream is waited for before `bytes` is used.
        unsafe { result::memcpy_dtoh_async(bytes, source, self.stream) }.map_err(failed("cuMemcpyDtoHAsync"))?;
        self.synchronize()
    }

    fn copy(&self, source: Address, target: Address, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.bind()?;
        // SAFETY: both views were checked.
        unsafe { result::memcpy_dtod_async(target, source, bytes, self.stream) }.map_err(failed("cuMemcpyDtoDAsync"))
    }

    fn clear(&self, target: Address, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.bind()?;
        // SAFETY: the view was checked.
        unsafe { result::memset_d8_async(target, 0, bytes, self.stream) }.map_err(failed("cuMemsetD8Async"))
    }

    fn function(&self, name: &str) -> Result<Function> {
        self.kernels.function(name)
    }

    fn launch(&self, function: Function, at: Dimensions, _: &str, arguments: &mut [*mut c_void]) -> Result<()> {
        self.bind()?;
        let [grid, block] = [at.grid, at.block].map(|[x, y, z]| (x, y, z));
        let function = function.0 as sys::CUfunction;
        // SAFETY: the emulated device checks in tests that types and number of the arguments are the kernel's.
        unsafe { result::launch_kernel(function, grid, block, at.shared as u32, self.stream, arguments) }
            .map_err(failed("cuLaunchKernel"))
    }

    fn offers_product(&self, p: &DenseProduct) -> Result<bool> {
        let Some(vendor) = self.vendor.as_ref().filter(|_| p.m * p.n * p.reduced >= VENDOR_WORK) else {
            return Ok(false);
        };
        self.bind()?;
        Ok(vendor.offers(p))
    }

    fn product_library(&self) -> Option<String> {
        self.vendor.as_ref().map(|vendor| vendor.name().to_owned())
    }

    fn dense_product(&self, p: &DenseProduct) -> Result<()> {
        self.bind()?;
        let failed = |got: String| {
            let text = format!("expected cublasLtMatmul to succeed, got {got}; start again from the last checkpoint");
            Error::new(Code::Internal, "cuda", text)
        };
        match &self.vendor {
            Some(vendor) => vendor.start(p, self.stream.cast()).map_err(|error| failed(error.to_string())),
            None => Err(failed("no library".to_owned())),
        }
    }

    fn synchronize(&self) -> Result<()> {
        self.bind()?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed("the work in flight"))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if self.bind().is_err() {
            return;
        }
        // SAFETY: the stream lives until the next lines.
        let _ = unsafe { result::stream::synchronize(self.stream) };
        if let Some(vendor) = self.vendor.take() {
            self.free(vendor.workspace());
        }
        self.kernels.unload();
        // SAFETY: nothing else holds the stream or this hold on the context.
        unsafe {
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.device);
        }
        BOUND.set(0);
    }
}

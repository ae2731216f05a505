//! The CUDA driver: loaded when a device is asked for, so that one binary serves machines with and without it.

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use cudarc::driver::{DriverError, result, sys};
use tunesmith_ops::{Code, Error, Result};

use super::driver::{Address, Attributes, DenseProduct, Dimensions, Driver, Function};
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
    /// Loaded modules by their place in the table.
    modules: Mutex<Vec<(usize, sys::CUmodule)>>,
    /// The vendor's library, looked for at the first product that is large enough.
    vendor: OnceLock<Option<Vendor>>,
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

fn unavailable(expected: &str, got: impl std::fmt::Display, advice: &str) -> Error {
    Error::new(Code::DeviceUnavailable, "cuda", format!("expected {expected}, got {got}; {advice}"))
}

fn failed(call: &str) -> impl Fn(DriverError) -> Error + '_ {
    move |error| {
        let name = error.error_name().map_or("an unknown error".into(), |name| name.to_string_lossy().into_owned());
        let advice = "the device cannot be used any more by this process; start again from the last checkpoint";
        Error::new(Code::Internal, "cuda", format!("expected {call} to succeed, got {name}; {advice}"))
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
        let count = count.map_err(|error| {
            let name = error.error_name().map_or("an error".into(), |name| name.to_string_lossy().into_owned());
            unavailable("a CUDA device", name, "see `nvidia-smi`, or use device \"cpu\"")
        })?;
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
            let (modules, vendor) = (Mutex::default(), OnceLock::new());
            let real = Self { device, context, stream, attributes, modules, vendor };
            // A driver too old for our kernels is found out here and not in the middle of a run.
            real.function("add_f32")?;
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

    /// The module of a kernel, loaded at its first use.
    fn module(&self, name: &str) -> Result<sys::CUmodule> {
        let missing = || Error::new(Code::Internal, name, "expected a kernel of this build, got an unknown name");
        let (place, module) = module::of_kernel(name).ok_or_else(missing)?;
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, loaded)) = modules.iter().find(|(known, _)| *known == place) {
            return Ok(*loaded);
        }
        // SAFETY: the image is a whole fatbin that nvcc made.
        let loaded = unsafe { result::module::load_data(module.image.as_ptr().cast()) }.map_err(|error| {
            let name = error.error_name().map_or("an error".into(), |name| name.to_string_lossy().into_owned());
            let (major, minor) = self.attributes.capability;
            let expected = format!("kernels for compute capability {major}.{minor} (8.0 or newer)");
            unavailable(&expected, name, "update the NVIDIA driver to R580 or newer, or use device \"cpu\"")
        })?;
        modules.push((place, loaded));
        Ok(loaded)
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
        self.bind()?;
        let module = self.module(name)?;
        let text =
            CString::new(name).map_err(|_| Error::new(Code::Internal, name, "expected a name without a zero"))?;
        // SAFETY: the module is loaded and never unloaded before this is dropped.
        let function = unsafe { result::module::get_function(module, text) }.map_err(failed(name))?;
        // A kernel may ask for all the shared memory there is; what it asks for is checked at its launch.
        let most = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function exists.
        unsafe { result::function::set_function_attribute(function, most, self.attributes.shared_memory as i32) }
            .map_err(failed("cuFuncSetAttribute"))?;
        Ok(Function(function as usize))
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
        if p.m * p.n * p.reduced < VENDOR_WORK {
            return Ok(false);
        }
        self.bind()?;
        let vendor = self.vendor.get_or_init(|| Vendor::open(|| self.allocate(WORKSPACE).ok().flatten()));
        Ok(vendor.as_ref().is_some_and(|vendor| vendor.offers(p)))
    }

    fn dense_product(&self, p: &DenseProduct) -> Result<()> {
        self.bind()?;
        let failed = |got: String| {
            let text = format!("expected cublasLtMatmul to succeed, got {got}; start again from the last checkpoint");
            Error::new(Code::Internal, "cuda", text)
        };
        match self.vendor.get() {
            Some(Some(vendor)) => vendor.start(p, self.stream.cast()).map_err(|error| failed(error.to_string())),
            _ => Err(failed("no library".to_owned())),
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
        let vendor = self.vendor.take().flatten();
        let modules = std::mem::take(self.modules.get_mut().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: nothing else holds the stream, the modules or this hold on the context.
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            if let Some(vendor) = vendor {
                self.free(vendor.workspace());
            }
            let _ = result::stream::destroy(self.stream);
            for (_, module) in modules {
                let _ = result::module::unload(module);
            }
            let _ = result::primary_ctx::release(self.device);
        }
        BOUND.set(0);
    }
}

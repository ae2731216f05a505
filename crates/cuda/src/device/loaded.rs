//! The kernels of this build on a device: every module loaded and every entry point known when the device is opened, so that
//! nothing of it can fail in the middle of a run.

use std::collections::HashMap;
use std::ffi::CString;

use cudarc::driver::{DriverError, result, sys};
use tunesmith_ops::{Code, Error, Result};

use super::driver::{Attributes, Function};
use super::driver_error::{error_name, failed, unavailable};
use super::module::{self, Module};

/// Loaded modules and their entry points by name.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    modules: Vec<sys::CUmodule>,
    functions: HashMap<&'static str, Function>,
}

impl Loaded {
    /// Loads what this build has. A context must be current.
    ///
    /// # Errors
    /// `OutOfMemory` where the device has no room for them, `DeviceUnavailable` where its driver is too old for them, `Internal` for
    /// any other answer of the driver. What was loaded until then is unloaded.
    pub(super) fn load(attributes: &Attributes) -> Result<Self> {
        let mut loaded = Self::default();
        for module in module::all() {
            if let Err(error) = loaded.add(module, attributes) {
                loaded.unload();
                return Err(error);
            }
        }
        Ok(loaded)
    }

    fn add(&mut self, module: &'static Module, attributes: &Attributes) -> Result<()> {
        // SAFETY: the image is a whole fatbin that nvcc made.
        let handle = unsafe { result::module::load_data(module.image.as_ptr().cast()) };
        let handle = handle.map_err(|error| refused(error, attributes))?;
        self.modules.push(handle);
        for &name in module.kernels {
            let text = CString::new(name);
            let text = text.map_err(|_| Error::new(Code::Internal, name, "expected a name without a zero"))?;
            // SAFETY: the module was just loaded.
            let function = unsafe { result::module::get_function(handle, text) }.map_err(failed(name))?;
            // A kernel may ask for all the shared memory there is; what it asks for is checked at its launch. Where the driver loads
            // code only when it is wanted, this is what wants it.
            let most = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function exists.
            unsafe { result::function::set_function_attribute(function, most, attributes.shared_memory as i32) }
                .map_err(|error| refused(error, attributes))?;
            self.functions.insert(name, Function(function as usize));
        }
        Ok(())
    }

    /// The kernel of a name.
    pub(super) fn function(&self, name: &str) -> Result<Function> {
        let missing = || Error::new(Code::Internal, name, "expected a kernel of this build, got an unknown name");
        self.functions.get(name).copied().ok_or_else(missing)
    }

    /// Gives the driver its modules back. Nothing may run any more.
    pub(super) fn unload(&mut self) {
        for module in self.modules.drain(..) {
            // SAFETY: nothing else holds it; an error means that the context is gone, and with it the module.
            let _ = unsafe { result::module::unload(module) };
        }
    }
}

/// Why a driver did not take a module.
fn refused(error: DriverError, attributes: &Attributes) -> Error {
    use sys::CUresult as R;
    let (major, minor) = attributes.capability;
    let name = error_name(error);
    match error.0 {
        R::CUDA_ERROR_OUT_OF_MEMORY => {
            let text = format!(
                "expected room for the kernels ({} bytes), got {name}; end other programs on this device, or use device \"cpu\"",
                module::image_bytes()
            );
            Error::new(Code::OutOfMemory, "cuda", text)
        }
        R::CUDA_ERROR_INVALID_IMAGE
        | R::CUDA_ERROR_NO_BINARY_FOR_GPU
        | R::CUDA_ERROR_INVALID_PTX
        | R::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | R::CUDA_ERROR_JIT_COMPILER_NOT_FOUND => {
            let expected = format!("kernels for compute capability {major}.{minor} (8.0 or newer)");
            unavailable(&expected, name, "update the NVIDIA driver to R580 or newer, or use device \"cpu\"")
        }
        _ => failed("cuModuleLoadData")(error),
    }
}

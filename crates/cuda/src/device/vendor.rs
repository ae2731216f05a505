//! cuBLASLt, loaded at run time, for large dense products.
//!
//! The library is looked for in `TUNESMITH_CUDA_LIB_DIR`, in the toolkit at `CUDA_PATH`, in `/usr/local/cuda/lib64` and where the
//! system's loader looks. Without it, or with `TUNESMITH_SKIP_CUBLASLT=1`, every product is computed by `kernels/matmul.cu`. An
//! algorithm is chosen by the library's heuristic from a shape alone, so that a shape has the same bits all through a run, and is
//! kept for the shapes used last.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cudarc::cublaslt::{result, sys};
use lru::LruCache;
use tunesmith_ops::Result;

use super::driver::{Address, DenseProduct, Mode};

/// Bytes of workspace that an algorithm may use.
pub(super) const WORKSPACE: usize = 32 << 20;

/// Shapes that are kept ready: a step has about twenty for each number of tokens, and runs of unequal rows meet new numbers all the
/// time.
const SHAPES: NonZeroUsize = NonZeroUsize::new(1024).expect("above zero");

type Outcome<T> = std::result::Result<T, result::CublasError>;

/// What decides about an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    mode: Mode,
    sizes: [usize; 3],
    strides: [usize; 3],
    accumulate: bool,
    wide_result: bool,
}

/// A shape made ready: descriptors and the algorithm.
#[derive(Clone, Copy)]
struct Prepared {
    product: sys::cublasLtMatmulDesc_t,
    first: sys::cublasLtMatrixLayout_t,
    second: sys::cublasLtMatrixLayout_t,
    output: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Prepared {
    fn destroy(self) {
        // SAFETY: whoever calls this has taken the shape out of the table, and no call of the library is reading it.
        unsafe {
            let _ = result::destroy_matmul_desc(self.product);
            for layout in [self.first, self.second, self.output] {
                let _ = result::destroy_matrix_layout(layout);
            }
        }
    }
}

/// The shapes used last; None where the library has no algorithm for one.
type Shapes = LruCache<Key, Option<Prepared>>;

/// The library on one device.
pub(crate) struct Vendor {
    name: String,
    handle: sys::cublasLtHandle_t,
    workspace: Address,
    shapes: Mutex<Shapes>,
}

// SAFETY: a handle and descriptors of the library may be used by any thread; the table is guarded.
unsafe impl Send for Vendor {}
// SAFETY: as above.
unsafe impl Sync for Vendor {}

/// How the library's file is named, the newest first.
const NAMES: &[&str] = if cfg!(windows) {
    &["cublasLt64_13.dll", "cublasLt64_12.dll"]
} else {
    &["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]
};

/// Where a toolkit has its libraries; that of CUDA 13 for Windows one folder deeper than those before.
const IN_TOOLKIT: &[&str] = if cfg!(windows) { &["bin/x64", "bin"] } else { &["lib64"] };

/// Folders in which the library may lie, besides those that the loader knows.
fn folders() -> Vec<PathBuf> {
    let named = std::env::var_os("TUNESMITH_CUDA_LIB_DIR").map(PathBuf::from);
    let toolkit = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let toolkit = toolkit.iter().flat_map(|path| IN_TOOLKIT.iter().map(|folder| path.join(folder)));
    named.into_iter().chain(toolkit).chain([PathBuf::from("/usr/local/cuda/lib64")]).collect()
}

/// Opens a library for good, so that the loader knows it by its bare name. Does nothing where it does not open.
#[cfg(unix)]
fn keep_open(path: &Path) {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
    // SAFETY: NVIDIA's library, whose initialisers only prepare itself; it stays open for good.
    if let Ok(library) = unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_GLOBAL) } {
        std::mem::forget(library);
    }
}

/// Opens a library for good, so that the loader knows it by its bare name. Does nothing where it does not open.
#[cfg(not(unix))]
fn keep_open(path: &Path) {
    // SAFETY: NVIDIA's library, whose initialisers only prepare itself; it stays open for good.
    if let Ok(library) = unsafe { libloading::Library::new(path) } {
        std::mem::forget(library);
    }
}

/// True when the library can be opened by its bare name from now on: the loader knows a library that is open.
fn present() -> bool {
    for folder in folders() {
        for path in NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file()) {
            keep_open(&path);
        }
    }
    // SAFETY: opens the library by its name and closes it.
    unsafe { sys::is_culib_present() }
}

fn name() -> String {
    // SAFETY: asks for a number; called when the library is open.
    let version = unsafe { sys::cublasLtGetVersion() };
    format!("cuBLASLt {}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

impl Vendor {
    /// The library, if it is there and not left out; `workspace` is device memory of [`WORKSPACE`] bytes, asked for when it is.
    ///
    /// # Errors
    /// That of `workspace`: a run that cannot have it would silently compute with other kernels, to other bits.
    pub(super) fn open(workspace: impl FnOnce() -> Result<Address>) -> Result<Option<Self>> {
        if std::env::var_os("TUNESMITH_SKIP_CUBLASLT").is_some_and(|value| value == "1") || !present() {
            return Ok(None);
        }
        let Ok(Ok(handle)) = std::panic::catch_unwind(result::create_handle) else {
            return Ok(None);
        };
        let mut vendor = Self { name: name(), handle, workspace: 0, shapes: Mutex::new(LruCache::new(SHAPES)) };
        vendor.workspace = workspace()?;
        Ok(Some(vendor))
    }

    /// Name and version.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The workspace, which whoever gave it takes back.
    pub(crate) fn workspace(&self) -> Address {
        self.workspace
    }

    /// Whether the library has an algorithm for a product.
    pub(crate) fn offers(&self, p: &DenseProduct) -> bool {
        self.prepared(&mut self.shapes(), p).is_some()
    }

    fn shapes(&self) -> MutexGuard<'_, Shapes> {
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepared(&self, shapes: &mut Shapes, p: &DenseProduct) -> Option<Prepared> {
        let key = Key {
            mode: p.mode,
            sizes: [p.m, p.n, p.reduced],
            strides: [p.a_stride, p.b_stride, p.c_stride],
            accumulate: p.accumulate,
            wide_result: p.wide_result,
        };
        if let Some(shape) = shapes.get(&key) {
            return *shape;
        }
        let shape = self.prepare(&key).ok();
        if let Some((_, Some(old))) = shapes.push(key, shape) {
            old.destroy();
        }
        shape
    }

    /// Starts a product on a stream.
    pub(crate) fn start(&self, p: &DenseProduct, stream: sys::cudaStream_t) -> Outcome<()> {
        let missing = result::CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED);
        // Held until the library has read the descriptors: no other thread's shape may take this one's place.
        let mut shapes = self.shapes();
        let shape = self.prepared(&mut shapes, p).ok_or(missing)?;
        let (alpha, beta) = (p.alpha, f32::from(u8::from(p.accumulate)));
        let place = |address: Address| address as *const c_void;
        // SAFETY: the descriptors were made from the sizes of this product, whose views were checked; the factors are
        // read before the call returns.
        unsafe {
            result::matmul(
                self.handle,
                shape.product,
                ptr::from_ref(&alpha).cast(),
                ptr::from_ref(&beta).cast(),
                place(p.b),
                shape.first,
                place(p.a),
                shape.second,
                place(p.c),
                shape.output,
                p.c as *mut c_void,
                shape.output,
                &raw const shape.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream,
            )
        }
    }

    /// Descriptors and algorithm of a shape. The library counts by columns: a row-major matrix is its transpose there, and
    /// so `c = a · b` is computed as `cᵀ = bᵀ · aᵀ`.
    fn prepare(&self, key: &Key) -> Outcome<Prepared> {
        let (half, single) = (sys::cudaDataType::CUDA_R_16BF, sys::cudaDataType::CUDA_R_32F);
        let product = result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, single)?;
        let [m, n, reduced] = key.sizes.map(|size| size as u64);
        let [a_stride, b_stride, c_stride] = key.strides.map(|stride| stride as i64);
        // Rows and columns as the library sees them, and whether it is to transpose.
        let (first, first_turned) = if key.mode == Mode::Forward { ((reduced, n), 1_i32) } else { ((n, reduced), 0) };
        let (second, second_turned) = if key.mode == Mode::Weight { ((m, reduced), 1_i32) } else { ((reduced, m), 0) };
        let first = result::create_matrix_layout(half, first.0, first.1, b_stride)?;
        let second = result::create_matrix_layout(half, second.0, second.1, a_stride)?;
        let result_type = if key.wide_result { single } else { half };
        let output = result::create_matrix_layout(result_type, n, m, c_stride)?;
        let preference = result::create_matmul_pref()?;
        let attribute = |value: &i32| ptr::from_ref(value).cast::<c_void>();
        // SAFETY: the descriptors were just made; the attributes are 32-bit integers and one size.
        unsafe {
            let kind = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA;
            result::set_matmul_desc_attribute(product, kind, attribute(&first_turned), 4)?;
            let kind = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB;
            result::set_matmul_desc_attribute(product, kind, attribute(&second_turned), 4)?;
            let kind = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
            let bytes = ptr::from_ref(&WORKSPACE).cast();
            result::set_matmul_pref_attribute(preference, kind, bytes, size_of::<usize>())?;
            let found =
                result::get_matmul_algo_heuristic(self.handle, product, first, second, output, output, preference);
            result::destroy_matmul_pref(preference)?;
            let algorithm = found.as_ref().map_or(sys::cublasLtMatmulAlgo_t { data: [0; 8] }, |found| found.algo);
            let prepared = Prepared { product, first, second, output, algorithm };
            match found {
                Ok(_) => Ok(prepared),
                Err(error) => {
                    prepared.destroy();
                    Err(error)
                }
            }
        }
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        let shapes = self.shapes.get_mut().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, shape)) = shapes.pop_lru() {
            shape.into_iter().for_each(Prepared::destroy);
        }
        // SAFETY: nothing else holds the handle, and the stream has come to its end.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

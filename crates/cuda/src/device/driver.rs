//! The device interface, with three implementations: the CUDA driver (`real.rs`), the emulated device (`emulated.rs`), and one
//! that only accounts for memory (`accounts.rs`).

use std::ffi::c_void;
use std::fmt::Debug;

use tunesmith_ops::Result;

/// A device address; 0 is null.
pub(crate) type Address = u64;

/// Facts about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Product name.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of shared memory a block may ask for.
    pub shared_memory: usize,
    /// Bytes of second-level cache.
    pub l2_cache: usize,
    /// Bytes of memory.
    pub memory: usize,
    /// Version of the driver's CUDA, as 13000 for 13.0.
    pub driver_version: i32,
}

/// Blocks and threads of a launch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dimensions {
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub(crate) shared: usize,
}

/// Which product of a linear layer: forward, gradient of the input, gradient of the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// `c[m, n] = a[m, r] · b[n, r]ᵀ`
    Forward,
    /// `c[m, n] = a[m, r] · b[r, n]`
    Input,
    /// `c[m, n] = a[r, m]ᵀ · b[r, n]`, float32
    Weight,
}

/// A product of two dense row-major bf16 matrices: `c = alpha · a · b (+ c)`. Everything begins on 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DenseProduct {
    pub(crate) mode: Mode,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) reduced: usize,
    pub(crate) a: Address,
    pub(crate) a_stride: usize,
    pub(crate) b: Address,
    pub(crate) b_stride: usize,
    pub(crate) c: Address,
    pub(crate) c_stride: usize,
    pub(crate) alpha: f32,
    pub(crate) accumulate: bool,
    /// `c` is float32, not bf16.
    pub(crate) wide_result: bool,
}

/// What the threads of an emulated device did, each thread counted. What a kernel leaves out shows here and in no result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Arrivals at a barrier of the block.
    pub barriers: u64,
    /// Arrivals at what a warp does together: shuffles, ballots, matrix loads and tensor-core products.
    pub exchanges: u64,
    /// Asynchronous copies of 16 bytes.
    pub copies: u64,
}

/// A kernel as the driver knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Function(pub(crate) usize);

/// Memory, copies and launches on one stream of one device: everything happens in the order of the calls.
pub(crate) trait Driver: Send + Sync + Debug {
    fn attributes(&self) -> &Attributes;

    /// The multiple of bytes in which memory is handed out; 1 where every byte beyond an allocation is watched.
    fn granularity(&self) -> usize;

    /// Whether memory holds what is written into it.
    fn keeps_values(&self) -> bool {
        true
    }

    /// Memory, or none when there is not enough.
    fn allocate(&self, bytes: usize) -> Result<Option<Address>>;

    /// Gives memory back, after everything in flight.
    fn free(&self, address: Address);

    /// Bytes free and in all.
    fn memory_info(&self) -> Result<(usize, usize)>;

    /// Host to device. The bytes may be changed when this returns.
    fn upload(&self, target: Address, bytes: &[u8]) -> Result<()>;

    /// Device to host, waiting for everything in flight.
    fn download(&self, source: Address, bytes: &mut [u8]) -> Result<()>;

    fn copy(&self, source: Address, target: Address, bytes: usize) -> Result<()>;

    fn clear(&self, target: Address, bytes: usize) -> Result<()>;

    /// Finds a kernel by its name. Slow: the backend remembers the answer.
    fn function(&self, name: &str) -> Result<Function>;

    /// Starts a kernel. `signature` names the arguments' types, for drivers that can check them.
    fn launch(&self, function: Function, at: Dimensions, signature: &str, arguments: &mut [*mut c_void]) -> Result<()>;

    /// Whether the vendor's library is there and takes this product.
    fn offers_product(&self, _: &DenseProduct) -> Result<bool> {
        Ok(false)
    }

    /// Name and version of the vendor's library, where it is there: a run computes to other bits with it than without.
    fn product_library(&self) -> Option<String> {
        None
    }

    /// Starts a product that was offered.
    fn dense_product(&self, p: &DenseProduct) -> Result<()>;

    fn synchronize(&self) -> Result<()>;

    /// Whether a launch ends with an error where a kernel reads or writes beyond its memory.
    fn watches_memory(&self) -> bool {
        false
    }

    /// What the threads of all launches of a kernel did so far; zeros on a device that does not count.
    fn work(&self, _kernel: &str) -> Work {
        Work::default()
    }
}

//! The emulated device: kernels compiled for the CPU, memory of the host, every launch finished when it returns.
//!
//! For tests. Fresh memory is filled with NaN, allocations have exactly the size asked for unless told otherwise (so that
//! AddressSanitizer sees the first byte beyond one), and a launch is refused where types or number of its arguments are not
//! the kernel's.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libloading::{Library, Symbol};
use tunesmith_ops::{Code, Error, Result};

use super::driver::{Address, Attributes, DenseProduct, Dimensions, Driver, Function, Mode, Work};

/// The order in which the fibers of a block run between barriers. A kernel that misses a barrier gives other results in
/// another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Thread 0 first, and each warp as far as it can go.
    Forward,
    /// The last thread, warp and block first.
    Reverse,
    /// All threads side by side, shuffled again after each round.
    Shuffled(u64),
}

/// How the emulated device behaves.
#[derive(Debug, Clone)]
pub struct EmulatedOptions {
    /// Order of the threads.
    pub schedule: Schedule,
    /// Bytes of memory.
    pub memory: usize,
    /// Memory is handed out in multiples of this, as a real device does; 1: to the byte, so that every access beyond is seen.
    pub granularity: usize,
    /// Takes every product that the vendor's library could take, as a slow loop: for tests of what is left to do then.
    pub vendor: bool,
    /// A library of kernels other than the one that this crate was built with.
    pub library: Option<std::path::PathBuf>,
}

impl Default for EmulatedOptions {
    fn default() -> Self {
        Self { schedule: Schedule::Forward, memory: 64 << 30, granularity: 1, vendor: false, library: None }
    }
}

type Watched = unsafe extern "C" fn() -> c_int;
type Find = unsafe extern "C" fn(*const c_char) -> *const c_void;
type Launch = unsafe extern "C" fn(
    *const c_void,
    *const c_char,
    *mut *mut c_void,
    *const c_uint,
    *const c_uint,
    usize,
    c_int,
    u64,
    *mut u64,
    *mut c_char,
    usize,
) -> c_int;

/// Alignment of allocations, as cuMemAlloc gives it.
const ALIGNMENT: usize = 256;

/// An emulated device.
#[derive(Debug)]
pub(crate) struct Emulated {
    library: Library,
    attributes: Attributes,
    schedule: Schedule,
    granularity: usize,
    vendor: bool,
    /// Allocations by address, with their sizes.
    memory: Mutex<HashMap<Address, usize>>,
    /// By kernel.
    work: Mutex<HashMap<Function, Work>>,
}

impl Emulated {
    pub(crate) fn open(options: &EmulatedOptions) -> Result<Self> {
        let path = match &options.library {
            Some(path) => path.clone(),
            None => std::env::var_os("TUNESMITH_EMULATED_LIBRARY")
                .map_or_else(|| env!("TUNESMITH_EMULATED_LIBRARY").into(), Into::into),
        };
        // SAFETY: our own library, whose initialisers note its kernels.
        let library = unsafe { Library::new(&path) }.map_err(|error| {
            let text = format!("expected the emulated device in {}, got: {error}", path.display());
            Error::new(Code::DeviceUnavailable, "cuda", text)
        })?;
        let attributes = Attributes {
            name: "emulated device".to_owned(),
            capability: (8, 0),
            multiprocessors: 4,
            // As sm_86 has it, the least of all cards that the kernels run on.
            shared_memory: 99 << 10,
            // Small, so that quantised matrices are expanded in many parts.
            l2_cache: 64 << 10,
            memory: options.memory,
            driver_version: 13_000,
        };
        let EmulatedOptions { schedule, granularity, vendor, .. } = *options;
        Ok(Self {
            library,
            attributes,
            schedule,
            granularity,
            vendor,
            memory: Mutex::default(),
            work: Mutex::default(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn symbol<T>(&self, name: &[u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: the types stand beside the functions in kernels/host/device.cpp.
        unsafe { self.library.get(name) }.map_err(|error| Error::new(Code::Internal, "cuda", error.to_string()))
    }

    fn layout(bytes: usize) -> Result<Layout> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT);
        layout.map_err(|error| Error::new(Code::Internal, "cuda", error.to_string()))
    }
}

impl Driver for Emulated {
    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn granularity(&self) -> usize {
        self.granularity
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>> {
        let mut memory = self.memory();
        let used: usize = memory.values().sum();
        if bytes > self.attributes.memory.saturating_sub(used) {
            return Ok(None);
        }
        // SAFETY: the pool asks for at least one byte.
        let pointer = unsafe { alloc(Self::layout(bytes)?) };
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: the memory was just allocated with this size.
        unsafe { pointer.write_bytes(0xff, bytes) };
        memory.insert(pointer as Address, bytes);
        Ok(Some(pointer as Address))
    }

    fn free(&self, address: Address) {
        if let Some(bytes) = self.memory().remove(&address)
            && let Ok(layout) = Self::layout(bytes)
        {
            // SAFETY: allocated above with this layout, and forgotten by the line before.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }

    fn memory_info(&self) -> Result<(usize, usize)> {
        let used: usize = self.memory().values().sum();
        Ok((self.attributes.memory.saturating_sub(used), self.attributes.memory))
    }

    fn upload(&self, target: Address, bytes: &[u8]) -> Result<()> {
        // SAFETY: the view was checked against its buffer, which is an allocation of this device.
        unsafe { (target as *mut u8).copy_from(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn download(&self, source: Address, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: as for upload.
        unsafe { bytes.as_mut_ptr().copy_from(source as *const u8, bytes.len()) };
        Ok(())
    }

    fn copy(&self, source: Address, target: Address, bytes: usize) -> Result<()> {
        // SAFETY: both views were checked against their buffers.
        unsafe { (target as *mut u8).copy_from(source as *const u8, bytes) };
        Ok(())
    }

    fn clear(&self, target: Address, bytes: usize) -> Result<()> {
        if bytes > 0 {
            // SAFETY: the view was checked against its buffer.
            unsafe { (target as *mut u8).write_bytes(0, bytes) };
        }
        Ok(())
    }

    fn function(&self, name: &str) -> Result<Function> {
        let find: Symbol<'_, Find> = self.symbol(b"tunesmith_device_kernel")?;
        let text = CString::new(name).unwrap_or_default();
        // SAFETY: reads a name that ends with a zero.
        let kernel = unsafe { find(text.as_ptr()) };
        if kernel.is_null() {
            return Err(Error::new(Code::Internal, name, "expected a kernel of this build, got an unknown name"));
        }
        Ok(Function(kernel as usize))
    }

    fn launch(&self, function: Function, at: Dimensions, signature: &str, arguments: &mut [*mut c_void]) -> Result<()> {
        let launch: Symbol<'_, Launch> = self.symbol(b"tunesmith_device_launch")?;
        let signature = CString::new(signature).unwrap_or_default();
        let (schedule, seed) = match self.schedule {
            Schedule::Forward => (0, 0),
            Schedule::Reverse => (1, 0),
            Schedule::Shuffled(seed) => (2, seed),
        };
        let (mut counts, mut error) = ([0; 3], [0 as c_char; 1024]);
        // SAFETY: the device compares the signature with the kernel's before it reads an argument; addresses in them come
        // from views that were checked.
        let failed = unsafe {
            launch(
                function.0 as *const c_void,
                signature.as_ptr(),
                arguments.as_mut_ptr(),
                at.grid.as_ptr(),
                at.block.as_ptr(),
                at.shared,
                schedule,
                seed,
                counts.as_mut_ptr(),
                error.as_mut_ptr(),
                error.len(),
            )
        };
        let mut all = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let work = all.entry(function).or_default();
        for (sum, more) in [&mut work.barriers, &mut work.exchanges, &mut work.copies].into_iter().zip(counts) {
            *sum += more;
        }
        if failed == 0 {
            return Ok(());
        }
        // SAFETY: the device writes a text that ends with a zero.
        let text = unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy().into_owned();
        Err(Error::new(Code::Internal, "emulated", text))
    }

    fn offers_product(&self, _: &DenseProduct) -> Result<bool> {
        Ok(self.vendor)
    }

    fn dense_product(&self, p: &DenseProduct) -> Result<()> {
        let half = |address: Address, index: usize| {
            // SAFETY: the views were checked against their buffers.
            let bits = unsafe { (address as *const u16).add(index).read() };
            f32::from_bits(u32::from(bits) << 16)
        };
        for (i, j) in (0..p.m).flat_map(|i| (0..p.n).map(move |j| (i, j))) {
            let term = |l: usize| match p.mode {
                Mode::Forward => half(p.a, i * p.a_stride + l) * half(p.b, j * p.b_stride + l),
                Mode::Input => half(p.a, i * p.a_stride + l) * half(p.b, l * p.b_stride + j),
                Mode::Weight => half(p.a, l * p.a_stride + i) * half(p.b, l * p.b_stride + j),
            };
            let (sum, place) = ((0..p.reduced).map(term).sum::<f32>() * p.alpha, i * p.c_stride + j);
            // SAFETY: as above; nothing else writes while a product runs.
            unsafe {
                if p.wide_result {
                    let c = (p.c as *mut f32).add(place);
                    c.write(sum + if p.accumulate { c.read() } else { 0.0 });
                } else {
                    let c = (p.c as *mut u16).add(place);
                    let old = if p.accumulate { half(p.c, place) } else { 0.0 };
                    c.write(half::bf16::from_f32(sum + old).to_bits());
                }
            }
        }
        Ok(())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn watches_memory(&self) -> bool {
        let watched: Result<Symbol<'_, Watched>> = self.symbol(b"tunesmith_device_watched");
        // SAFETY: takes nothing, and gives a constant.
        watched.is_ok_and(|watched| unsafe { watched() } != 0)
    }

    fn work(&self, kernel: &str) -> Work {
        let all = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        self.function(kernel).ok().and_then(|function| all.get(&function).copied()).unwrap_or_default()
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let left: Vec<Address> = self.memory().keys().copied().collect();
        left.into_iter().for_each(|address| self.free(address));
    }
}

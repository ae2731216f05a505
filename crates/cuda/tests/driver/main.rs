//! What the backend asks of the CUDA driver and of cuBLASLt, recorded by a driver that computes nothing.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tunesmith_cuda::{Cuda, has_kernels, kernels};
use tunesmith_ops::{Code, DType, Host, Matmul, MatmulShape, Matrix, Memory, Storage, View, ViewMut};

const OUT_OF_MEMORY: i32 = 2;
const NO_BINARY_FOR_GPU: i32 = 209;

/// As `recorded.cpp` lays them out.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    modules_loaded: u64,
    modules_unloaded: u64,
    functions: u64,
    blocks_taken: u64,
    blocks_given_back: u64,
    contexts: u64,
    descriptors: u64,
    launches: u64,
}

/// What is to fail: loading a module, taking memory; each with the driver's answer and the calls that succeed before.
#[derive(Default)]
struct Failing {
    load: (i32, i32),
    memory: (i32, i32),
}

/// The recording driver, which this process has to itself while this is held.
struct Recorded {
    library: &'static Library,
    _alone: MutexGuard<'static, ()>,
}

impl Recorded {
    /// None, with a word, in a build without CUDA kernels, which opens no device.
    fn driver(failing: &Failing) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        if !has_kernels() {
            eprintln!("skipped: this build has no CUDA kernels");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let library = LIBRARY.get_or_init(|| {
            // A library that is open is found by its name, by whoever opens it next.
            let lt = compiled("libcublasLt.so");
            std::mem::forget(lt);
            compiled("libcuda.so")
        });
        // SAFETY: the function's type is that of recorded.cpp.
        let reset = unsafe { library.get::<unsafe extern "C" fn(i32, i32, i32, i32)>(b"recorded_reset") };
        // SAFETY: sets integers.
        unsafe { reset.expect("a driver of ours")(failing.load.0, failing.load.1, failing.memory.0, failing.memory.1) };
        Some(Self { library, _alone: alone })
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        // SAFETY: the function's type is that of recorded.cpp, and the layout of the counts.
        let read = unsafe { self.library.get::<unsafe extern "C" fn(*mut Counts)>(b"recorded_counts") };
        // SAFETY: writes as many integers as there are.
        unsafe { read.expect("a driver of ours")(&raw mut counts) };
        counts
    }
}

fn compiled(name: &str) -> Library {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver/recorded.cpp");
    let output = folder.join(name);
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "g++".into());
    let made = Command::new(compiler)
        .args(["-shared", "-fPIC", "-std=c++17", "-Wno-int-to-pointer-cast"])
        .arg(format!("-Wl,-soname,{name}"))
        .arg("-o")
        .arg(&output)
        .arg(source)
        .status();
    assert!(made.expect("a C++ compiler").success());
    // SAFETY: our own library, which has no initialisers.
    unsafe { Library::open(Some(&output), RTLD_NOW | RTLD_GLOBAL) }.expect("the library just made")
}

fn stems() -> u64 {
    let mut stems: Vec<_> = kernels().map(|(stem, _)| stem).collect();
    stems.dedup();
    stems.len() as u64
}

#[test]
fn everything_is_loaded_when_the_device_is_opened_and_given_back_with_it() {
    let Some(driver) = Recorded::driver(&Failing::default()) else { return };
    let cuda = Cuda::new(0, DType::Bf16).unwrap();
    let opened = driver.counts();
    assert_eq!((opened.modules_loaded, opened.functions), (stems(), kernels().count() as u64));
    assert_eq!((opened.blocks_taken, opened.contexts), (1, 1), "the workspace of cuBLASLt");
    assert_eq!(cuda.product_library().as_deref(), Some("cuBLASLt 13.2.1"));
    products(&cuda, &[64, 64, 65]);
    let used = driver.counts();
    assert_eq!((used.modules_loaded, used.functions), (opened.modules_loaded, opened.functions));
    assert_eq!(cuda.vendor_products(), 3);
    drop(cuda);
    let closed = driver.counts();
    assert_eq!((closed.modules_unloaded, closed.blocks_given_back), (closed.modules_loaded, closed.blocks_taken));
    assert_eq!((closed.contexts, closed.descriptors), (0, 0));
}

/// A product of bf16 matrices for each number of rows, each large enough for the vendor's library.
fn products(cuda: &Cuda, rows: &[usize]) {
    const SIZE: usize = 2048;
    let weight = cuda
        .prepare_weight(SIZE, SIZE, Host::Bf16(&vec![0; SIZE * SIZE]), Storage::Bf16)
        .expect("memory and products that are recorded");
    let most = rows.iter().copied().max().unwrap_or(0);
    let [x, mut y] = [(); 2].map(|()| cuda.zeros(DType::Bf16, most * SIZE).expect("memory that is recorded"));
    for &m in rows {
        let shape = MatmulShape { m, n: SIZE, k: SIZE };
        let y = ViewMut::new(&mut y, 0, m * SIZE);
        cuda.matmul_forward(shape, View::new(&x, 0, m * SIZE), Matrix::Frozen(&weight), None, y)
            .expect("memory and products that are recorded");
    }
}

#[test]
fn a_device_without_room_for_the_kernels_is_full_and_its_driver_not_old() {
    let failing = Failing { load: (OUT_OF_MEMORY, 3), ..Failing::default() };
    let Some(driver) = Recorded::driver(&failing) else { return };
    let error = Cuda::new(0, DType::Bf16).unwrap_err();
    assert_eq!(error.code, Code::OutOfMemory);
    let text = error.to_string();
    assert!(text.contains("end other programs") && !text.contains("update"), "{text}");
    let counts = driver.counts();
    assert_eq!((counts.modules_loaded, counts.modules_unloaded, counts.contexts), (3, 3, 0));
}

#[test]
fn a_driver_too_old_for_the_kernels_is_to_be_updated() {
    let failing = Failing { load: (NO_BINARY_FOR_GPU, 0), ..Failing::default() };
    let Some(driver) = Recorded::driver(&failing) else { return };
    let error = Cuda::new(0, DType::Bf16).unwrap_err();
    assert_eq!(error.code, Code::DeviceUnavailable);
    assert!(error.to_string().contains("update the NVIDIA driver"), "{error}");
    assert_eq!(driver.counts().contexts, 0);
}

#[test]
fn without_room_for_its_workspace_no_other_product_is_taken_in_silence() {
    let failing = Failing { memory: (OUT_OF_MEMORY, 0), ..Failing::default() };
    let Some(driver) = Recorded::driver(&failing) else { return };
    let error = Cuda::new(0, DType::Bf16).unwrap_err();
    assert_eq!(error.code, Code::OutOfMemory);
    assert!(error.to_string().contains("TUNESMITH_SKIP_CUBLASLT"), "{error}");
    let counts = driver.counts();
    assert_eq!((counts.modules_unloaded, counts.contexts), (counts.modules_loaded, 0));
}

#[test]
fn of_the_shapes_those_used_last_are_kept() {
    let Some(driver) = Recorded::driver(&Failing::default()) else { return };
    let cuda = Cuda::new(0, DType::Bf16).unwrap();
    products(&cuda, &(64..3000).collect::<Vec<_>>());
    let kept = driver.counts().descriptors;
    assert_eq!(kept, 4 * 1024, "four descriptors a shape");
    drop(cuda);
    assert_eq!(driver.counts().descriptors, 0);
}

#[test]
fn memory_that_lies_free_is_cut_joined_and_counted_as_free() {
    const MIB: usize = 1 << 20;
    let Some(driver) = Recorded::driver(&Failing { memory: (OUT_OF_MEMORY, 3), ..Failing::default() }) else { return };
    let cuda = Cuda::new(0, DType::Bf16).unwrap();
    let (_, all) = cuda.memory_info().unwrap();
    let bytes = |mib: usize| cuda.zeros(DType::U8, mib * MIB);
    let (first, second) = (bytes(100).unwrap(), bytes(50).unwrap());
    drop(first);
    assert_eq!(cuda.memory_info().unwrap(), (all + 100 * MIB, all), "the recording driver calls everything free");
    // No further block is to be had, and none is needed.
    let parts = [bytes(60).unwrap(), bytes(30).unwrap(), bytes(10).unwrap()];
    let error = bytes(2).unwrap_err();
    assert_eq!(error.code, Code::OutOfMemory);
    assert!(error.to_string().contains("0 held for reuse"), "{error}");
    drop(parts);
    let whole = bytes(100).unwrap();
    assert_eq!(driver.counts().blocks_taken, 3, "two and the workspace");
    drop((whole, second));
    // Neither is large enough: both go back to the driver, which has nothing for this one either.
    assert_eq!(bytes(101).unwrap_err().code, Code::OutOfMemory);
    assert_eq!(driver.counts().blocks_given_back, 2);
}

#[test]
fn a_vendors_library_can_be_left_out() {
    const ASKED: &str = "TUNESMITH_SKIP_CUBLASLT";
    if std::env::var_os(ASKED).is_none() {
        let name = "a_vendors_library_can_be_left_out";
        let again = Command::new(std::env::current_exe().unwrap()).args(["--exact", name]).env(ASKED, "1").output();
        let again = again.unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
        return;
    }
    let Some(driver) = Recorded::driver(&Failing::default()) else { return };
    let cuda = Cuda::new(0, DType::Bf16).unwrap();
    products(&cuda, &[64]);
    assert_eq!((cuda.product_library(), cuda.vendor_products()), (None, 0));
    assert!(driver.counts().launches > 0);
}

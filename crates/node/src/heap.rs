//! Giving freed memory back to the system.

/// Returns what is free to the system. glibc keeps freed blocks in the arena of the thread that asked for them, and every engine
/// has a thread of its own: without this, the next session would take new memory in addition to that of the last one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn return_freed_memory() {
    // SAFETY: the declaration is that of malloc(3) in glibc, which may be called on any thread at any time.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // It says whether anything was returned; both answers are fine.
    let _ = malloc_trim(0);
}

/// Other allocators return large blocks by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn return_freed_memory() {}

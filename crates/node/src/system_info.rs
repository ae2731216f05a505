//! Facts about this build on this machine.

use napi::Env;
use napi_derive::napi;
use tunesmith_cpu::simd::Isa;

use crate::device;
use crate::error::Failure;

/// What this binary can use here. The TypeScript side adds what Node knows.
#[napi(object, use_nullable = true)]
pub struct NativeInfo {
    /// Version of the binary.
    pub version: String,
    /// Backends that can be used here, best first.
    pub backends: Vec<String>,
    /// Name of the CUDA device.
    pub cuda_device: Option<String>,
    /// What CUDA lacks here.
    pub cuda_missing: Option<String>,
    /// Instruction set that the CPU backend uses here.
    pub instruction_set: String,
}

/// Facts about this build on this machine.
#[napi(catch_unwind)]
pub fn native_info(env: Env) -> napi::Result<NativeInfo> {
    let isa = Isa::resolve().map_err(|error| Failure::from(error).into_js(env))?;
    let cuda = device::cuda_name();
    let backends: &[&str] = if cuda.is_ok() { &["cuda", "cpu"] } else { &["cpu"] };
    Ok(NativeInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backends: backends.iter().map(|name| (*name).to_owned()).collect(),
        cuda_missing: cuda.as_ref().err().map(ToString::to_string),
        cuda_device: cuda.ok(),
        instruction_set: isa.name().to_owned(),
    })
}

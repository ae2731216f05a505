//! Facts about this build on this machine.

use napi::Env;
use napi_derive::napi;

use crate::device;
use crate::error::Failure;

/// What this binary can use here. The TypeScript side adds what Node knows.
#[napi(object)]
pub struct NativeInfo {
    /// Version of the binary.
    pub version: String,
    /// Backends, best first.
    pub backends: Vec<String>,
    /// Instruction set that the CPU backend uses here.
    pub instruction_set: String,
}

/// Facts about this build on this machine.
#[napi(catch_unwind)]
pub fn native_info(env: Env) -> napi::Result<NativeInfo> {
    let cpu = device::open("cpu", 1).map_err(|error| Failure::from(error).into_js(env))?;
    Ok(NativeInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backends: device::BACKENDS.map(str::to_owned).to_vec(),
        instruction_set: cpu.isa().name().to_owned(),
    })
}

//! Files as memory of JavaScript: what a file holds is read by the system as it is looked at.

use std::path::PathBuf;

use napi::Env;
use napi::bindgen_prelude::{Object, Uint8Array};
use napi_derive::napi;
use tunesmith_formats::PrivateMap;

use crate::deferred::in_background;

/// Maps a file into memory. What JavaScript writes there stays in this process.
#[napi(catch_unwind, ts_return_type = "Promise<Uint8Array>")]
pub fn map_file(env: &Env, path: String) -> napi::Result<Object<'_>> {
    let path = PathBuf::from(path);
    let work = move || Ok(PrivateMap::open(&path)?);
    in_background(env, "mapFile", work, |_, mut map: PrivateMap| {
        let bytes = map.bytes_mut();
        let (start, length) = (bytes.as_mut_ptr(), bytes.len());
        // SAFETY: the bytes are the map's, which the finaliser owns and drops when JavaScript has let go of them; nothing else
        // holds them, and they may be written to.
        Ok(unsafe { Uint8Array::with_external_data(start, length, move |_, _| drop(map)) })
    })
}

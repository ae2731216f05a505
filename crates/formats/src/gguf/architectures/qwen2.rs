//! `qwen2`: Qwen2 and Qwen2.5.

use super::architecture::{Architecture, PLAIN, WideValues};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "qwen2",
    model_types: &["qwen2"],
    square: true,
    wide_values: Some(WideValues { layers: 80, shared_only: false }),
    ..PLAIN
};

//! `qwen2`: Qwen2 and Qwen2.5.

use super::architecture::{Architecture, PLAIN};

pub(super) const ARCHITECTURE: Architecture =
    Architecture { name: "qwen2", model_types: &["qwen2"], square: true, ..PLAIN };

//! `smollm3`: every fourth layer is without rotation.

use crate::rope::RopeRules;

use super::architecture::{Architecture, PLAIN, PLAIN_ROPE};

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: "smollm3",
    model_types: &["smollm3"],
    interleaved: true,
    rope: RopeRules { theta: 2e6, ..PLAIN_ROPE },
    no_rope_step: Some(4),
    ..PLAIN
};

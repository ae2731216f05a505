//! The parts of a tensor's name in an adapter's file.

/// What PEFT puts before a module's path.
pub const PREFIX: &str = "base_model.model.";
/// What PEFT appends to it for A.
pub const A_SUFFIX: &str = ".lora_A.weight";
/// What PEFT appends to it for B.
pub const B_SUFFIX: &str = ".lora_B.weight";
/// What PEFT appends to it for the lengths of the rows of a DoRA.
pub const MAGNITUDE_SUFFIX: &str = ".lora_magnitude_vector";

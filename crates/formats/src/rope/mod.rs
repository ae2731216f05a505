//! Rotary embedding parameters from both spellings: `rope_parameters` (transformers 5) and `rope_theta` with `rope_scaling`
//! (4.x). Every key is understood or refused: a rotation that is silently wrong trains a model that is silently worse.

mod object;
mod parameters;
mod read;

pub use parameters::{LongRopeScaling, RopeConfig, RopeRules, RopeScaling, Ropes, WindowedRope, YarnScaling};

#[cfg(test)]
mod tests;

//! What is minimised, and the head that computes it.
//!
//! Objectives local to a token run in one pass ([`Head::loss`]). All others have two phases: the values of a whole micro-batch
//! ([`Head::values`]), from which whoever knows the objective makes a coefficient for each, and then backward
//! ([`Head::backward`]).

mod columns;
mod head;
mod local;
mod supervised;

pub use columns::Asked;
pub use head::{Head, HeadInput, HeadScratch, HiddenGradient};
pub use local::Objective;
pub use supervised::{SequenceSums, Supervised, TokenCoefficients, TokenValues};

//! What is minimised, and the head that computes it.

mod head;

pub use head::{Head, HeadScratch, HiddenGradient, SequenceSums, Supervised};

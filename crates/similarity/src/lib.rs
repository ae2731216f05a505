//! How alike texts are: ROUGE-L against a pool, n-grams that repeat, and near duplicates by Jaccard similarity.
//!
//! Results are exact and the same with any number of threads. Where a set is too large to compare each text with each,
//! MinHash proposes pairs and the shingles themselves decide.

// Texts of strangers: no index may lie outside and no count overflow.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod clusters;
mod hash;
mod join;
mod lcs;
mod minhash;
mod near_duplicates;
mod ngrams;
mod pair;
mod pool;
mod rouge;
mod shingles;
mod words;

pub use near_duplicates::{NearDuplicates, Search, near_duplicates};
pub use ngrams::{Ngrams, count_ngrams, distinct_ngrams};
pub use pair::Pair;
pub use pool::{MostSimilar, RougePool};
pub use rouge::rouge_l;
pub use shingles::{Shingling, Unit, jaccard, shingles};

//! Numbers of 64 bits for words and for sequences of them. Two different ones get the same once in 2⁶⁴.

use std::hash::{DefaultHasher, Hasher};

/// The number of a word.
pub fn of_word(word: &str) -> u64 {
    // Without a key, so that a text gives the same numbers in every run.
    let mut hasher = DefaultHasher::new();
    hasher.write(word.as_bytes());
    hasher.finish()
}

/// The number of a sequence: its items in their order.
pub fn of_sequence(items: impl Iterator<Item = u64>) -> u64 {
    items.fold(0x9e37_79b9_7f4a_7c15, |state, item| mix(state.wrapping_add(item)))
}

/// Spreads every bit over all others and loses none (the finalizer of SplitMix64).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

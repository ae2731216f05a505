//! Mutation of bytes without knowing what they mean: the last layer over every structural one.

use super::random::Random;

/// Numbers that readers of binary files stumble over: ends of ranges, their neighbours, and those whose product with the
/// size of an element or a block wraps around 64 bits.
pub const NUMBERS: [u64; 28] = [
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    31,
    32,
    33,
    63,
    255,
    1 << 16,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 42) + 1,
    1 << 61,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    5_124_095_576_030_431_008,
    u64::MAX / 8 + 2,
    u64::MAX / 4,
    u64::MAX - 7,
    u64::MAX,
];

/// One change: a bit, a byte or a number written over, a piece removed or doubled, or the end cut off.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        bytes.push(random.bits() as u8);
        return;
    }
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(24)).min(bytes.len());
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.bits() as u8,
        2 => {
            let number = random.pick(&NUMBERS).to_le_bytes();
            let width = random.pick(&[4, 8]).min(&(bytes.len() - at)).to_owned();
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => bytes.truncate(at),
    }
}

//! A binary file as a list of fields with their meaning, and changes that keep it close to well formed.

use super::bytes::NUMBERS;
use super::common::gguf::{Field, Role};
use super::random::Random;

/// One to three changes that know what a field is, and now and then one that does not.
pub fn mutated(random: &mut Random, seed: &[Field], words: &[&str]) -> Vec<u8> {
    let mut fields = seed.to_vec();
    for _ in 0..=random.below(3) {
        mutate(random, &mut fields, words);
    }
    let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.bytes.iter().copied()).collect();
    match random.below(10) {
        0 => super::bytes::mutate(random, &mut bytes),
        1 => {
            // Most of the file is data: a byte of the head says more.
            let head = bytes.len().min(1200);
            let mut front: Vec<u8> = bytes.drain(..head).collect();
            super::bytes::mutate(random, &mut front);
            bytes.splice(..0, front);
        }
        _ => {}
    }
    bytes
}

fn mutate(random: &mut Random, fields: &mut Vec<Field>, words: &[&str]) {
    match random.below(8) {
        0..4 => {
            let role = *random.pick(&[
                Role::Version,
                Role::Count,
                Role::Length,
                Role::Kind,
                Role::Number,
                Role::Number,
                Role::Dimensions,
                Role::Dimension,
                Role::Dimension,
                Role::Offset,
            ]);
            let other = fields[random.below(fields.len())].number();
            if let Some(at) = pick_role(random, fields, role) {
                let new = number(random, fields[at].number(), other);
                let width = fields[at].bytes.len();
                fields[at].bytes.splice(.., new.to_le_bytes().into_iter().take(width));
            }
        }
        4 => {
            if let Some(at) = pick_role(random, fields, Role::Text) {
                let text = words[random.below(words.len())].repeat(*random.pick(&[1, 1, 1, 0, 40]));
                fields[at - 1].bytes.splice(.., (text.len() as u64).to_le_bytes());
                fields[at].bytes = text.into_bytes();
            }
        }
        5 => regroup(random, fields),
        6 => add_pair(random, fields, words),
        _ => retype(random, fields),
    }
}

fn pick_role(random: &mut Random, fields: &[Field], role: Role) -> Option<usize> {
    let places: Vec<usize> = (0..fields.len()).filter(|&at| fields[at].role == role).collect();
    (!places.is_empty()).then(|| *random.pick(&places))
}

fn number(random: &mut Random, old: u64, other: u64) -> u64 {
    match random.below(7) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => old.wrapping_mul(2),
        3 => old ^ (1 << random.below(64)),
        4 => other,
        5 => random.below(16) as u64,
        _ => *random.pick(&NUMBERS),
    }
}

/// Removes, doubles or moves a whole key-value pair or tensor row; the counts in the head mostly follow.
fn regroup(random: &mut Random, fields: &mut Vec<Field>) {
    let groups: Vec<u32> = fields.iter().map(|field| field.group).filter(|&group| group > 0).collect();
    let group = *random.pick(&groups);
    let start = fields.iter().position(|field| field.group == group).unwrap();
    let length = fields[start..].iter().take_while(|field| field.group == group).count();
    let piece: Vec<Field> = fields[start..start + length].to_vec();
    let count = usize::from(!piece.iter().any(|field| field.role == Role::Dimensions));
    let honest = !random.one_in(6);
    match random.below(3) {
        0 => {
            fields.drain(start..start + length);
            shift_count(fields, count, if honest { u64::MAX } else { 0 });
        }
        1 => {
            fields.splice(start..start, piece);
            shift_count(fields, count, u64::from(honest));
        }
        _ => {
            fields.drain(start..start + length);
            // Pairs among pairs, rows among rows, or the one among the other.
            let other = *random.pick(&groups);
            let to = fields.iter().position(|field| field.group == other).unwrap_or(start);
            fields.splice(to..to, piece);
        }
    }
}

/// Adds to one of the two counts of the head: that of the tensors (0) or that of the pairs (1).
fn shift_count(fields: &mut [Field], which: usize, by: u64) {
    if let Some(field) = fields.iter_mut().filter(|field| field.role == Role::Count).nth(which) {
        field.bytes = field.number().wrapping_add(by).to_le_bytes().to_vec();
    }
}

/// A new pair of a known key and a value of any type, arrays in arrays included.
fn add_pair(random: &mut Random, fields: &mut Vec<Field>, words: &[&str]) {
    let Some(first) = fields.iter().position(|field| field.group > 0) else { return };
    let key = *random.pick(words);
    let mut bytes = (key.len() as u64).to_le_bytes().to_vec();
    bytes.extend(key.as_bytes());
    let depth = *random.pick(&[0, 0, 0, 1, 2, 3, 4, 5, 6]);
    bytes.extend(if depth > 0 { 9_u32 } else { random.below(14) as u32 }.to_le_bytes());
    for level in 0..depth {
        let inner = if level + 1 < depth { 9_u32 } else { random.below(14) as u32 };
        bytes.extend(inner.to_le_bytes());
        bytes.extend(random.pick(&[0_u64, 1, 1, 1, 2, u64::MAX / 8]).to_le_bytes());
    }
    let payload = *random.pick(&[0, 1, 4, 8, 16]);
    bytes.extend((0..payload).map(|_| random.bits() as u8));
    fields.insert(first, Field { role: Role::Data, group: 0, bytes });
    shift_count(fields, 1, 1);
}

/// Another element type for a tensor, with a shape that may fit it.
fn retype(random: &mut Random, fields: &mut [Field]) {
    let rows: Vec<usize> = (0..fields.len()).filter(|&at| fields[at].role == Role::TensorKind).collect();
    if rows.is_empty() {
        return;
    }
    let at = *random.pick(&rows);
    fields[at].bytes =
        random.pick(&[0_u32, 1, 2, 3, 6, 7, 8, 9, 10, 12, 13, 14, 15, 24, 28, 30, 39]).to_le_bytes().to_vec();
    if random.one_in(2) {
        fields[at - 1].bytes = random.pick(&[1_u64, 2, 16, 32, 64, 256, 512]).to_le_bytes().to_vec();
    }
}

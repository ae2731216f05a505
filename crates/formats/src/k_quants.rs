//! llama.cpp's K-quants to float32: blocks of 256 whose groups have scales of their own (ggml-quants.c,
//! `dequantize_row_q3_K`, `_q4_K`, `_q5_K`, `_q6_K`).

use half::f16;

/// Elements of a group that shares a scale in `Q4_K` and `Q5_K`.
const GROUP: usize = 32;

/// Sixteen groups of 16: w = d·(s − 32)·(q − 4). First the highest bit of each code, bit `g` of 32 bytes for the elements from
/// 32·g; then the two low bits, four quarters of 32 elements one above the other in each half; then the scales: low four bits in
/// the halves of 8 bytes, the two high bits in 4.
pub fn q3_k(block: &[u8; 110], out: &mut Vec<f32>) {
    let (high, rest) = block.split_at(32);
    let (low, rest) = rest.split_at(64);
    let (scales, factor) = rest.split_at(12);
    let factor = f16::from_le_bytes([factor[0], factor[1]]).to_f32();
    let scale = |group: usize| {
        let code = scales[group % 8] >> (4 * (group / 8)) & 15 | (scales[8 + group % 4] >> (2 * (group / 4)) & 3) << 4;
        factor * (f32::from(code) - 32.0)
    };
    for group in 0..16 {
        let scale = scale(group);
        for place in 16 * group..16 * (group + 1) {
            let code = low[32 * (place / 128) + place % 32] >> (2 * (place / 32 % 4)) & 3
                | (high[place % 32] >> (place / 32) & 1) << 2;
            out.push(scale * (f32::from(code) - 4.0));
        }
    }
}

/// Eight groups of 32: w = d·s·q − m·t. Each 32 bytes of codes hold two groups, the first in the low halves.
pub fn q4_k(block: &[u8; 144], out: &mut Vec<f32>) {
    let (head, codes) = block.split_at(16);
    for (group, bytes) in (0..8).zip(codes.chunks(GROUP).flat_map(|bytes| [bytes, bytes])) {
        let (scale, minimum) = scale_and_minimum(head, group);
        let shift = 4 * (group % 2);
        out.extend(bytes.iter().map(|byte| scale * f32::from(byte >> shift & 15) - minimum));
    }
}

/// As [`q4_k`]; bit `g` of the high bits belongs to group `g`.
pub fn q5_k(block: &[u8; 176], out: &mut Vec<f32>) {
    let (head, rest) = block.split_at(16);
    let (high, codes) = rest.split_at(GROUP);
    for (group, bytes) in (0..8).zip(codes.chunks(GROUP).flat_map(|bytes| [bytes, bytes])) {
        let (scale, minimum) = scale_and_minimum(head, group);
        let shift = 4 * (group % 2);
        out.extend(bytes.iter().zip(high).map(|(byte, high)| {
            let code = byte >> shift & 15 | (high >> group & 1) << 4;
            scale * f32::from(code) - minimum
        }));
    }
}

/// Sixteen groups of 16: w = d·s·(q − 32). Each half of the block has 64 bytes of low bits and 32 of high bits, which hold its
/// four quarters of 32 elements one above the other.
pub fn q6_k(block: &[u8; 210], out: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, scale) = rest.split_at(16);
    let scale = f16::from_le_bytes([scale[0], scale[1]]).to_f32();
    for (half, (low, high)) in low.chunks(64).zip(high.chunks(32)).enumerate() {
        for quarter in 0..4 {
            let low = &low[32 * (quarter % 2)..][..32];
            let shift = 4 * (quarter / 2);
            for (index, (low, high)) in low.iter().zip(high).enumerate() {
                let code = low >> shift & 15 | (high >> (2 * quarter) & 3) << 4;
                let group = scales[8 * half + 2 * quarter + index / 16].cast_signed();
                out.push(scale * f32::from(group) * f32::from(code.cast_signed() - 32));
            }
        }
    }
}

/// Scale and minimum of one of eight groups. `head` holds both factors as binary16, then 16 six-bit numbers in 12 bytes: the
/// first four of each in the low six bits of bytes 0–3 and 4–7, the others in the halves of bytes 8–11 with their two highest
/// bits above those of the first four.
fn scale_and_minimum(head: &[u8], group: usize) -> (f32, f32) {
    let factor = |at: usize| f16::from_le_bytes([head[at], head[at + 1]]).to_f32();
    let packed = &head[4..];
    let (scale, minimum) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let (low, first, second) = (packed[group + 4], packed[group - 4], packed[group]);
        (low & 15 | (first >> 6) << 4, low >> 4 | (second >> 6) << 4)
    };
    (factor(0) * f32::from(scale), factor(2) * f32::from(minimum))
}

//! Stored elements to float32, each operation as llama.cpp's reference does it (ggml-quants.c, `dequantize_row_*`).

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::k_quants;
use crate::stored_type::StoredType;

/// Appends the float32 values of whole blocks to `out`.
///
/// # Errors
/// The type itself, where it does not hold weights.
pub fn dequantize(stored: StoredType, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), StoredType> {
    match stored {
        StoredType::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
        StoredType::Bf16 => {
            out.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)),
            );
        }
        StoredType::F16 => half_to_f32(bytes, out),
        StoredType::U8 => out.extend(bytes.iter().map(|&byte| f32::from(byte))),
        StoredType::Q8_0 => bytes.as_chunks::<34>().0.iter().for_each(|block| q8_0(block, out)),
        StoredType::Q4_0 => bytes.as_chunks::<18>().0.iter().for_each(|block| q4_0(block, out)),
        StoredType::Q4_1 => bytes.as_chunks::<20>().0.iter().for_each(|block| q4_1(block, out)),
        StoredType::Q5_0 => bytes.as_chunks::<22>().0.iter().for_each(|block| q5_0(block, out)),
        StoredType::Q5_1 => bytes.as_chunks::<24>().0.iter().for_each(|block| q5_1(block, out)),
        StoredType::Iq4Nl => bytes.as_chunks::<18>().0.iter().for_each(|block| iq4_nl(block, out)),
        StoredType::Q3K => bytes.as_chunks::<110>().0.iter().for_each(|block| k_quants::q3_k(block, out)),
        StoredType::Q4K => bytes.as_chunks::<144>().0.iter().for_each(|block| k_quants::q4_k(block, out)),
        StoredType::Q5K => bytes.as_chunks::<176>().0.iter().for_each(|block| k_quants::q5_k(block, out)),
        StoredType::Q6K => bytes.as_chunks::<210>().0.iter().for_each(|block| k_quants::q6_k(block, out)),
        StoredType::I64 | StoredType::I32 => return Err(stored),
    }
    Ok(())
}

/// Goes through an aligned buffer, so that the conversion instruction handles many elements at once and the bytes of the
/// file may lie anywhere.
fn half_to_f32(bytes: &[u8], out: &mut Vec<f32>) {
    let mut halves = [f16::ZERO; 1024];
    for piece in bytes.chunks(2 * halves.len()) {
        let (pairs, _) = piece.as_chunks::<2>();
        for (half, &pair) in halves.iter_mut().zip(pairs) {
            *half = f16::from_le_bytes(pair);
        }
        let start = out.len();
        out.resize(start + pairs.len(), 0.0);
        halves[..pairs.len()].convert_to_f32_slice(&mut out[start..]);
    }
}

/// w = d·q.
fn q8_0(block: &[u8; 34], out: &mut Vec<f32>) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    out.extend(block[2..].iter().map(|&byte| f32::from(byte.cast_signed()) * scale));
}

/// w = d·(q − 8); the low halves of the bytes are the first 16 elements.
fn q4_0(block: &[u8; 18], out: &mut Vec<f32>) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    out.extend(block[2..].iter().map(|&byte| f32::from((byte & 15).cast_signed() - 8) * scale));
    out.extend(block[2..].iter().map(|&byte| f32::from((byte >> 4).cast_signed() - 8) * scale));
}

/// w = d·q + m. The product of an 11-bit and a 4-bit significand is exact: a fused multiply-add would give the same bits.
fn q4_1(block: &[u8; 20], out: &mut Vec<f32>) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let minimum = f16::from_le_bytes([block[2], block[3]]).to_f32();
    out.extend(block[4..].iter().map(|&byte| f32::from(byte & 15) * scale + minimum));
    out.extend(block[4..].iter().map(|&byte| f32::from(byte >> 4) * scale + minimum));
}

/// w = d·(q − 16); bit `i` of the 32 high bits belongs to element `i`, the low bits are ordered as in `q4_0`.
fn q5_0(block: &[u8; 22], out: &mut Vec<f32>) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    out.extend(five_bits(&block[6..], high).map(|code| (f32::from(code) - 16.0) * scale));
}

/// w = d·q + m.
fn q5_1(block: &[u8; 24], out: &mut Vec<f32>) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let minimum = f16::from_le_bytes([block[2], block[3]]).to_f32();
    let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    out.extend(five_bits(&block[8..], high).map(|code| f32::from(code) * scale + minimum));
}

/// What the codes of `IQ4_NL` stand for, in units of the block's scale (ggml-common.h, `kvalues_iq4nl`).
pub const IQ4_NL_LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// w = d·level; the codes are ordered as in `q4_0`.
fn iq4_nl(block: &[u8; 18], out: &mut Vec<f32>) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let level = |code: u8| scale * f32::from(IQ4_NL_LEVELS[usize::from(code)]);
    out.extend(block[2..].iter().map(|&byte| level(byte & 15)));
    out.extend(block[2..].iter().map(|&byte| level(byte >> 4)));
}

/// 32 codes of five bits: four from the halves of `low`, the fifth from `high`.
fn five_bits(low: &[u8], high: u32) -> impl Iterator<Item = u8> {
    let nibbles = low.iter().map(|byte| byte & 15).chain(low.iter().map(|byte| byte >> 4));
    nibbles.enumerate().map(move |(index, low)| low | ((high >> index & 1) as u8) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(stored: StoredType, bytes: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        dequantize(stored, bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn four_bit_blocks_hold_low_halves_first() {
        let mut block = f16::from_f32(0.5).to_le_bytes().to_vec();
        block.extend((0..16_u8).map(|i| i | ((15 - i) << 4)));
        let values = converted(StoredType::Q4_0, &block);
        assert_eq!(values.len(), 32);
        assert_eq!((values[0], values[15], values[16], values[31]), (-4.0, 3.5, 3.5, -4.0));

        let mut block = f16::from_f32(0.25).to_le_bytes().to_vec();
        block.extend(f16::from_f32(-1.0).to_le_bytes());
        block.extend((0..16_u8).map(|i| i | ((15 - i) << 4)));
        let values = converted(StoredType::Q4_1, &block);
        assert_eq!((values[0], values[4], values[16], values[31]), (-1.0, 0.0, 2.75, -1.0));
    }

    #[test]
    fn eight_bit_blocks_are_signed() {
        let mut block = f16::from_f32(2.0).to_le_bytes().to_vec();
        block.extend((0..32_u8).map(|i| i.wrapping_sub(16)));
        let values = converted(StoredType::Q8_0, &block);
        assert_eq!((values[0], values[16], values[31]), (-32.0, 0.0, 30.0));
    }

    #[test]
    fn sixteen_bit_floats_convert_exactly_at_any_length_and_alignment() {
        let halves: Vec<f16> = (0..3001_u16).map(f16::from_bits).collect();
        let mut bytes = vec![0_u8];
        bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        let expected: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        assert_eq!(converted(StoredType::F16, &bytes[1..]), expected);
        assert_eq!(converted(StoredType::Bf16, &[0x80, 0x3f, 0x00, 0xc0]), [1.0, -2.0]);
    }
}

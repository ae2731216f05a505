//! Float32 to stored elements, each operation as ggml's reference does it (ggml-quants.c, `quantize_row_*_ref`, and
//! `quantize_row_*_impl` where columns have an importance).

mod importance;
mod k_blocks;
mod scale_search;
mod small_blocks;

use half::{bf16, f16};

pub use importance::Importance;

use importance::square_sum;

use crate::stored_type::StoredType;

/// No block holds a larger magnitude: the largest is that of `Q6_K`, 65504 · 128 · 32. Beyond it the sums of a search may be
/// infinite.
const LARGEST_OF_A_BLOCK: f32 = 1e9;

/// Why elements cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is written in this type.
    Type,
    /// The element at this place is not finite, or too large for the type.
    Element(usize),
}

/// Appends the stored form of `values`, which are whole blocks, to `out`. With an importance they are one row, and as many;
/// types without a search do not use it.
///
/// # Errors
/// The first element that the type cannot hold, or that the type is never written.
pub fn quantize(
    stored: StoredType,
    values: &[f32],
    importance: Importance<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let most = if stored.block_elements() == 1 { f32::MAX } else { LARGEST_OF_A_BLOCK };
    if let Some(place) = values.iter().position(|value| value.is_nan() || value.abs() > most) {
        return Err(Refusal::Element(place));
    }
    debug_assert!(importance.is_none_or(|importance| importance.len() == values.len()), "callers check the columns");
    let spread = importance.map_or(0.0, |_| square_sum(values) / values.len() as f32);
    match stored {
        StoredType::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        StoredType::F16 => return each(values, out, |value| f16::from_f32(value).to_bits(), f16::INFINITY.to_bits()),
        StoredType::Bf16 => {
            return each(values, out, |value| bf16::from_f32(value).to_bits(), bf16::INFINITY.to_bits());
        }
        StoredType::Q8_0 => return blocks(values, None, |values, _| small_blocks::q8_0(values, out)),
        StoredType::Q4_0 => {
            return blocks(values, importance, |values, part| small_blocks::centred(8, values, part, spread, out));
        }
        StoredType::Q5_0 => {
            return blocks(values, importance, |values, part| small_blocks::centred(16, values, part, spread, out));
        }
        StoredType::Q4_1 => {
            return blocks(values, importance, |values, part| {
                small_blocks::above_minimum(15, values, part, spread, out)
            });
        }
        StoredType::Q5_1 => {
            return blocks(values, importance, |values, part| {
                small_blocks::above_minimum(31, values, part, spread, out)
            });
        }
        StoredType::Iq4Nl => return blocks(values, importance, |values, part| small_blocks::iq4_nl(values, part, out)),
        StoredType::Q3K => return blocks(values, importance, |values, part| k_blocks::q3_k(values, part, out)),
        StoredType::Q4K => return blocks(values, importance, |values, part| k_blocks::q4_k(values, part, out)),
        StoredType::Q5K => return blocks(values, importance, |values, part| k_blocks::q5_k(values, part, out)),
        StoredType::Q6K => return blocks(values, importance, |values, part| k_blocks::q6_k(values, part, out)),
        StoredType::I64 | StoredType::I32 | StoredType::U8 => return Err(Refusal::Type),
    }
    Ok(())
}

/// Rounds to nearest, ties to even, and refuses what becomes infinite.
fn each(values: &[f32], out: &mut Vec<u8>, round: impl Fn(f32) -> u16, infinity: u16) -> Result<(), Refusal> {
    for (place, value) in values.iter().enumerate() {
        let bits = round(*value);
        if bits & 0x7fff == infinity {
            return Err(Refusal::Element(place));
        }
        out.extend(bits.to_le_bytes());
    }
    Ok(())
}

/// Writes block after block; `block` gives whether the type holds its factors.
fn blocks<const N: usize>(
    values: &[f32],
    importance: Importance<'_>,
    mut block: impl FnMut(&[f32; N], Importance<'_>) -> bool,
) -> Result<(), Refusal> {
    let (whole, rest) = values.as_chunks::<N>();
    debug_assert!(rest.is_empty(), "callers check that rows are whole blocks");
    for (index, values) in whole.iter().enumerate() {
        let part = importance.map(|importance| &importance[N * index..N * (index + 1)]);
        if !block(values, part) {
            return Err(Refusal::Element(N * index));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let refused = |stored, values: &[f32]| quantize(stored, values, None, &mut Vec::new()).unwrap_err();
        assert_eq!(refused(StoredType::F16, &[1.0, 65_520.0]), Refusal::Element(1));
        assert_eq!(refused(StoredType::Bf16, &[f32::MAX]), Refusal::Element(0));
        assert_eq!(refused(StoredType::F32, &[0.0, f32::NAN]), Refusal::Element(1));
        let mut block = [0.0; 64];
        block[40] = 1e9;
        assert_eq!(refused(StoredType::Q8_0, &block), Refusal::Element(32));
        assert_eq!(refused(StoredType::Q4_0, &block), Refusal::Element(32));
        assert_eq!(refused(StoredType::I32, &[0.0; 256]), Refusal::Type);
        let mut large = [0.0; 512];
        large[300] = 1e9;
        for stored in [StoredType::Q3K, StoredType::Q4K, StoredType::Q5K, StoredType::Q6K] {
            assert_eq!(refused(stored, &large), Refusal::Element(256), "{}", stored.name());
        }
        large[301] = 1e30;
        assert_eq!(refused(StoredType::Q4K, &large), Refusal::Element(301));
        for stored in [StoredType::Q4_1, StoredType::Q5_0, StoredType::Q5_1, StoredType::Iq4Nl] {
            assert_eq!(refused(stored, &block), Refusal::Element(32), "{}", stored.name());
        }
    }

    #[test]
    fn a_block_of_zeros_and_one_of_subnormal_numbers_stay_finite() {
        for value in [0.0, 1e-44] {
            for stored in [
                StoredType::Q8_0,
                StoredType::Q4_0,
                StoredType::Q4_1,
                StoredType::Q5_0,
                StoredType::Q5_1,
                StoredType::Iq4Nl,
                StoredType::Q3K,
                StoredType::Q4K,
                StoredType::Q5K,
                StoredType::Q6K,
            ] {
                let (mut bytes, mut back) = (Vec::new(), Vec::new());
                quantize(stored, &[value; 256], None, &mut bytes).unwrap();
                crate::dequantize::dequantize(stored, &bytes, &mut back).unwrap();
                assert_eq!(back, [0.0; 256], "{}", stored.name());
            }
        }
    }
}

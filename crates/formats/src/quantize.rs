//! Float32 to stored elements, each operation as ggml's reference does it (ggml-quants.c, `quantize_row_*_ref`).

use half::{bf16, f16};

use crate::stored_type::StoredType;

/// Why elements cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is written in this type.
    Type,
    /// The element at this place is not finite, or too large for the type.
    Element(usize),
}

/// Appends the stored form of `values`, which are whole blocks, to `out`.
///
/// # Errors
/// The first element that the type cannot hold, or that the type is never written.
pub fn quantize(stored: StoredType, values: &[f32], out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Some(place) = values.iter().position(|value| !value.is_finite()) {
        return Err(Refusal::Element(place));
    }
    match stored {
        StoredType::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        StoredType::F16 => return each(values, out, |value| f16::from_f32(value).to_bits(), f16::INFINITY.to_bits()),
        StoredType::Bf16 => {
            return each(values, out, |value| bf16::from_f32(value).to_bits(), bf16::INFINITY.to_bits());
        }
        StoredType::Q8_0 => return blocks(values, out, q8_0),
        StoredType::Q4_0 => return blocks(values, out, q4_0),
        _ => return Err(Refusal::Type),
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

fn blocks(values: &[f32], out: &mut Vec<u8>, block: fn(&[f32; 32], &mut Vec<u8>) -> f16) -> Result<(), Refusal> {
    let (whole, rest) = values.as_chunks::<32>();
    debug_assert!(rest.is_empty(), "callers check that rows are whole blocks");
    for (index, values) in whole.iter().enumerate() {
        if block(values, out).is_infinite() {
            return Err(Refusal::Element(index.saturating_mul(32)));
        }
    }
    Ok(())
}

/// d = max|w| / 127; codes round half away from zero.
fn q8_0(values: &[f32; 32], out: &mut Vec<u8>) -> f16 {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    out.extend(values.iter().map(|value| ((value * inverse).round() as i8).cast_unsigned()));
    stored
}

/// d = the element of the largest magnitude (the first of equals) / −8, so that it becomes code 0.
fn q4_0(values: &[f32; 32], out: &mut Vec<u8>) -> f16 {
    let largest = values.iter().fold(0.0_f32, |found, &value| if found.abs() < value.abs() { value } else { found });
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    let code = |value: f32| ((value * inverse + 8.5) as u8).min(15);
    let (low, high) = values.split_at(16);
    out.extend(low.iter().zip(high).map(|(low, high)| code(*low) | code(*high) << 4));
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let refused = |stored, values: &[f32]| quantize(stored, values, &mut Vec::new()).unwrap_err();
        assert_eq!(refused(StoredType::F16, &[1.0, 65_520.0]), Refusal::Element(1));
        assert_eq!(refused(StoredType::Bf16, &[f32::MAX]), Refusal::Element(0));
        assert_eq!(refused(StoredType::F32, &[0.0, f32::NAN]), Refusal::Element(1));
        let mut block = [0.0; 64];
        block[40] = 1e9;
        assert_eq!(refused(StoredType::Q8_0, &block), Refusal::Element(32));
        assert_eq!(refused(StoredType::Q4_0, &block), Refusal::Element(32));
        assert_eq!(refused(StoredType::Q4K, &[0.0; 256]), Refusal::Type);
    }

    #[test]
    fn a_block_of_zeros_and_one_of_subnormal_numbers_stay_finite() {
        for value in [0.0, 1e-44] {
            for stored in [StoredType::Q8_0, StoredType::Q4_0] {
                let (mut bytes, mut back) = (Vec::new(), Vec::new());
                quantize(stored, &[value; 32], &mut bytes).unwrap();
                crate::dequantize::dequantize(stored, &bytes, &mut back).unwrap();
                assert_eq!(back, [0.0; 32]);
            }
        }
    }
}

//! Float32 to blocks of 32 (ggml-quants.c, `quantize_row_*_ref`; with the importance of the columns `quantize_row_*_impl`, and
//! `quantize_row_iq4_nl_impl`). Each gives whether binary16 holds the factors. Layouts: `dequantize.rs`.

use half::f16;

use super::importance::{Importance, square_sum, weigh};
use super::scale_search::{SMALLEST, WEIGHTED, affine, extreme, symmetric};
use crate::dequantize::IQ4_NL_LEVELS;

type Block = [f32; 32];

/// d = max|w| / 127; codes round half away from zero.
pub fn q8_0(values: &Block, out: &mut Vec<u8>) -> bool {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = inverse(scale);
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    out.extend(values.iter().map(|value| ((value * inverse).round() as i8).cast_unsigned()));
    stored.is_finite()
}

/// Codes with their zero in the middle: `Q4_0` (`top` 8) and `Q5_0` (16). Without importance d = the element of the largest
/// magnitude / −top, so that it becomes code 0. `spread` is the mean square of the row.
pub fn centred(top: u8, values: &Block, importance: Importance<'_>, spread: f32, out: &mut Vec<u8>) -> bool {
    let (half, last) = (f32::from(top) + 0.5, 2 * top - 1);
    let mut codes = [0_u8; 32];
    let scale = if let Some(importance) = importance {
        let mut weights = [0.0_f32; 32];
        weigh(importance, spread, values, &mut weights);
        symmetric(i32::from(top), values, |place| weights[place], &mut codes)
    } else {
        let scale = extreme(values) / -f32::from(top);
        let inverse = inverse(scale);
        codes = values.map(|value| ((value * inverse + half) as u8).min(last));
        scale
    };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    pack(&codes, top == 16, out);
    stored.is_finite()
}

/// Codes above a minimum: `Q4_1` (`top` 15) and `Q5_1` (31). Without importance from the least element to the largest.
pub fn above_minimum(top: u8, values: &Block, importance: Importance<'_>, spread: f32, out: &mut Vec<u8>) -> bool {
    let mut codes = [0_u8; 32];
    let (scale, minimum) = if let Some(importance) = importance {
        let mut weights = [0.0_f32; 32];
        weigh(importance, spread, values, &mut weights);
        let (scale, minimum) = affine(top, WEIGHTED, values, &weights, &mut codes);
        (scale, -minimum)
    } else {
        let least = values.iter().fold(f32::MAX, |least, &value| if value < least { value } else { least });
        let most = values.iter().fold(f32::MIN, |most, &value| if value > most { value } else { most });
        let scale = (most - least) / f32::from(top);
        let inverse = inverse(scale);
        codes = values.map(|value| (((value - least) * inverse + 0.5) as u8).min(top));
        (scale, least)
    };
    let (scale, minimum) = (f16::from_f32(scale), f16::from_f32(minimum));
    out.extend(scale.to_le_bytes());
    out.extend(minimum.to_le_bytes());
    pack(&codes, top == 31, out);
    scale.is_finite() && minimum.is_finite()
}

/// Codes of four bits for sixteen levels that lie closer around zero: the best of 16 scales by weighted square error.
pub fn iq4_nl(values: &Block, importance: Importance<'_>, out: &mut Vec<u8>) -> bool {
    let mut weights = values.map(|value| value * value);
    if let Some(importance) = importance {
        weigh(importance, square_sum(values) * (2.0 / 32.0), values, &mut weights);
    }
    let extreme = extreme(values);
    let fit = |inverse: f32| {
        let (mut cross, mut square) = (0.0_f32, 0.0_f32);
        for (&value, &weight) in values.iter().zip(&weights) {
            let level = f32::from(IQ4_NL_LEVELS[usize::from(nearest_level(inverse * value))]);
            cross += weight * level * value;
            square += weight * level * level;
        }
        (cross, square)
    };
    let (scale, codes) = if extreme.abs() < SMALLEST {
        (0.0, [nearest_level(0.0); 32])
    } else {
        let lowest = f32::from(IQ4_NL_LEVELS[0]);
        let (cross, square) = fit(1.0 / (-extreme / lowest));
        let mut scale = if square > 0.0 { cross / square } else { 0.0 };
        let mut best = scale * cross;
        for step in -7_i8..=7 {
            let (cross, square) = fit((f32::from(step) + lowest) / extreme);
            if square > 0.0 && cross * cross > best * square {
                scale = cross / square;
                best = scale * cross;
            }
        }
        let inverse = inverse(scale);
        (scale, values.map(|value| nearest_level(inverse * value)))
    };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    pack(&codes, false, out);
    stored.is_finite()
}

/// The place of the level nearest to a number, the higher of two equally near.
fn nearest_level(value: f32) -> u8 {
    let twice = value + value;
    let below = |pair: &&[i8; 2]| twice >= f32::from(pair[0]) + f32::from(pair[1]);
    IQ4_NL_LEVELS.array_windows::<2>().take_while(below).count() as u8
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The fifth bits of 32 codes where there are any, then the low four: the first 16 in the low halves of the bytes.
fn pack(codes: &[u8; 32], five_bits: bool, out: &mut Vec<u8>) {
    if five_bits {
        let high = codes.iter().enumerate().fold(0_u32, |bits, (place, code)| bits | u32::from(code >> 4) << place);
        out.extend(high.to_le_bytes());
    }
    let (low, high) = codes.split_at(16);
    out.extend(low.iter().zip(high).map(|(low, high)| low & 15 | (high & 15) << 4));
}

//! Float32 to llama.cpp's K-quants: blocks of 256 whose groups have scales of their own (ggml-quants.c, `quantize_row_q3_K_ref`,
//! `_q4_K_ref`, `_q5_K_ref`, `_q6_K_ref`; with the importance of the columns `quantize_row_*_impl`). The layouts are described
//! where they are read, in `k_quants.rs`.

use half::f16;

use super::importance::{Importance, square_sum, weigh};
use super::scale_search::{SMALLEST, Steps, WEIGHTED, affine, extreme, nearest, positive, symmetric, three_bits};

/// Elements of a block.
const BLOCK: usize = 256;
/// Elements of a group that shares a scale in `Q3_K` and `Q6_K`.
const SMALL: usize = 16;
/// Elements of a group that shares a scale and a minimum in `Q4_K` and `Q5_K`.
const LARGE: usize = 32;

/// Eight groups of 32 with codes of four bits. Gives whether binary16 holds the factors.
pub fn q4_k(values: &[f32; BLOCK], importance: Importance<'_>, out: &mut Vec<u8>) -> bool {
    let groups = Groups::search(15, Steps { start: -1.0, step: 0.1, count: 20 }, values, importance);
    groups.write_head(out);
    nibbles(&groups.codes, out);
    groups.fits()
}

/// As [`q4_k`] with codes of five bits: the fifth of each in 32 bytes before the others.
pub fn q5_k(values: &[f32; BLOCK], importance: Importance<'_>, out: &mut Vec<u8>) -> bool {
    let groups = Groups::search(31, Steps { start: -0.5, step: 0.1, count: 15 }, values, importance);
    groups.write_head(out);
    let mut high = [0_u8; LARGE];
    for (group, codes) in groups.codes.chunks(LARGE).enumerate() {
        high.iter_mut().zip(codes).for_each(|(bits, code)| *bits |= (code >> 4) << group);
    }
    out.extend(high);
    nibbles(&groups.codes, out);
    groups.fits()
}

/// Sixteen groups of 16 with codes of six bits and signed scales of eight. Gives whether binary16 holds the factor.
pub fn q6_k(values: &[f32; BLOCK], importance: Importance<'_>, out: &mut Vec<u8>) -> bool {
    let (mut codes, mut scales) = ([0_u8; BLOCK], [0.0_f32; 16]);
    for (group, scale) in scales.iter_mut().enumerate() {
        let part = SMALL * group..SMALL * (group + 1);
        let (values, codes) = (&values[part.clone()], &mut codes[part.clone()]);
        *scale = match importance {
            Some(importance) => symmetric(32, values, |place| importance[part.start + place], codes),
            None => symmetric(32, values, |place| values[place] * values[place], codes),
        };
    }
    let largest = extreme(&scales);
    if largest.abs() < SMALLEST {
        out.extend([0; 210]);
        return true;
    }
    let inverse = -128.0 / largest;
    let factor = f16::from_f32(1.0 / inverse);
    let scales = scales.map(|scale| nearest(inverse * scale).min(127) as i8);
    for (group, &scale) in scales.iter().enumerate() {
        let part = SMALL * group..SMALL * (group + 1);
        recode(32, factor.to_f32() * f32::from(scale), &values[part.clone()], &mut codes[part]);
    }
    let (mut low, mut high) = ([0_u8; 128], [0_u8; 64]);
    for ((codes, low), high) in codes.chunks(128).zip(low.chunks_mut(64)).zip(high.chunks_mut(32)) {
        for (place, &code) in codes.iter().enumerate() {
            let (quarter, within) = (place / 32, place % 32);
            low[32 * (quarter % 2) + within] |= (code & 15) << (4 * (quarter / 2));
            high[within] |= (code >> 4) << (2 * quarter);
        }
    }
    out.extend(low);
    out.extend(high);
    out.extend(scales.map(i8::cast_unsigned));
    out.extend(factor.to_le_bytes());
    factor.is_finite()
}

/// Sixteen groups of 16 with codes of three bits and signed scales of six. Gives whether binary16 holds the factor.
pub fn q3_k(values: &[f32; BLOCK], importance: Importance<'_>, out: &mut Vec<u8>) -> bool {
    let (mut codes, mut scales) = ([0_u8; BLOCK], [0.0_f32; 16]);
    let mut sums = [0.0_f32; 16];
    let spread = 2.0 * square_sum(values) / BLOCK as f32;
    for (group, scale) in scales.iter_mut().enumerate() {
        let part = SMALL * group..SMALL * (group + 1);
        let (values, codes) = (&values[part.clone()], &mut codes[part.clone()]);
        *scale = match importance {
            Some(importance) => {
                let mut weights = [0.0_f32; SMALL];
                weigh(&importance[part], spread, values, &mut weights);
                sums[group] = weights.iter().sum();
                symmetric(4, values, |place| weights[place], codes)
            }
            None => three_bits(values, codes),
        };
    }
    let (factor, scales) = if importance.is_some() {
        let mut stored = [0_u8; 16];
        (symmetric(32, &scales, |place| sums[place], &mut stored), stored)
    } else {
        let largest = extreme(&scales);
        let inverse = -32.0 / largest;
        let code = |scale: f32| (nearest(inverse * scale).clamp(-32, 31) + 32) as u8;
        if largest == 0.0 { (0.0, [0; 16]) } else { (1.0 / inverse, scales.map(code)) }
    };
    let factor = f16::from_f32(factor);
    for (group, &scale) in scales.iter().enumerate() {
        let part = SMALL * group..SMALL * (group + 1);
        recode(4, factor.to_f32() * (f32::from(scale) - 32.0), &values[part.clone()], &mut codes[part]);
    }
    let (mut high, mut low, mut packed) = ([0_u8; 32], [0_u8; 64], [0_u8; 12]);
    for (place, &code) in codes.iter().enumerate() {
        high[place % 32] |= (code >> 2) << (place / 32);
        low[32 * (place / 128) + place % 32] |= (code & 3) << (2 * (place / 32 % 4));
    }
    for (group, &scale) in scales.iter().enumerate() {
        packed[group % 8] |= (scale & 15) << (4 * (group / 8));
        packed[8 + group % 4] |= (scale >> 4) << (2 * (group / 4));
    }
    out.extend(high);
    out.extend(low);
    out.extend(packed);
    out.extend(factor.to_le_bytes());
    factor.is_finite()
}

/// Eight groups with a scale and a minimum each, in six bits.
struct Groups {
    factor: f16,
    minimum_factor: f16,
    scales: [u8; 8],
    minima: [u8; 8],
    codes: [u8; BLOCK],
}

impl Groups {
    /// `steps` are those without importance.
    fn search(top: u8, steps: Steps, values: &[f32; BLOCK], importance: Importance<'_>) -> Self {
        let (mut scales, mut minima, mut sums) = ([0.0_f32; 8], [0.0_f32; 8], [0.0_f32; 8]);
        let mut codes = [0_u8; BLOCK];
        let spread = 2.0 * square_sum(values) / BLOCK as f32;
        for (group, (values, codes)) in values.chunks(LARGE).zip(codes.chunks_mut(LARGE)).enumerate() {
            let mut weights = [0.0_f32; LARGE];
            let steps = if let Some(importance) = importance {
                weigh(&importance[LARGE * group..LARGE * (group + 1)], spread, values, &mut weights);
                sums[group] = weights.iter().sum();
                WEIGHTED
            } else {
                let mean = (square_sum(values) / LARGE as f32).sqrt();
                weights.iter_mut().zip(values).for_each(|(weight, value)| *weight = mean + value.abs());
                steps
            };
            (scales[group], minima[group]) = affine(top, steps, values, &weights, codes);
        }
        let mut this = Self { factor: f16::ZERO, minimum_factor: f16::ZERO, scales: [0; 8], minima: [0; 8], codes };
        for (factor, stored, given) in
            [(&mut this.factor, &mut this.scales, &scales), (&mut this.minimum_factor, &mut this.minima, &minima)]
        {
            *factor = f16::from_f32(if importance.is_some() {
                positive(63, given, &sums, stored)
            } else {
                let largest = given.iter().fold(0.0_f32, |most, &value| if value > most { value } else { most });
                let inverse = if largest > 0.0 { 63.0 / largest } else { 0.0 };
                *stored = given.map(|value| nearest(inverse * value).clamp(0, 63) as u8);
                largest / 63.0
            });
        }
        this.recode(top, values);
        this
    }

    /// The codes that the rounded factors ask for.
    fn recode(&mut self, top: u8, values: &[f32; BLOCK]) {
        let (factor, minimum_factor) = (self.factor.to_f32(), self.minimum_factor.to_f32());
        for (group, (values, codes)) in values.chunks(LARGE).zip(self.codes.chunks_mut(LARGE)).enumerate() {
            let scale = factor * f32::from(self.scales[group]);
            let minimum = minimum_factor * f32::from(self.minima[group]);
            if scale == 0.0 {
                continue;
            }
            for (stored, &value) in codes.iter_mut().zip(values) {
                *stored = nearest((value + minimum) / scale).clamp(0, i32::from(top)) as u8;
            }
        }
    }

    /// Both factors, then the scales and minima in 12 bytes, as `scale_and_minimum` of `k_quants.rs` reads them.
    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend(self.factor.to_le_bytes());
        out.extend(self.minimum_factor.to_le_bytes());
        let mut packed = [0_u8; 12];
        for (group, (&scale, &minimum)) in self.scales.iter().zip(&self.minima).enumerate() {
            if group < 4 {
                packed[group] |= scale;
                packed[group + 4] |= minimum;
            } else {
                packed[group + 4] |= scale & 15 | (minimum & 15) << 4;
                packed[group - 4] |= (scale >> 4) << 6;
                packed[group] |= (minimum >> 4) << 6;
            }
        }
        out.extend(packed);
    }

    fn fits(&self) -> bool {
        self.factor.is_finite() && self.minimum_factor.is_finite()
    }
}

/// The codes of a group whose scale was rounded; a scale of zero leaves them.
fn recode(top: i32, scale: f32, values: &[f32], codes: &mut [u8]) {
    if scale == 0.0 {
        return;
    }
    for (stored, &value) in codes.iter_mut().zip(values) {
        *stored = (nearest(value / scale).clamp(-top, top - 1) + top) as u8;
    }
}

/// The low four bits of codes: each 32 bytes hold two groups of 32, the first in the low halves.
fn nibbles(codes: &[u8; BLOCK], out: &mut Vec<u8>) {
    for pair in codes.chunks(2 * LARGE) {
        let (first, second) = pair.split_at(LARGE);
        out.extend(first.iter().zip(second).map(|(low, high)| low & 15 | (high & 15) << 4));
    }
}

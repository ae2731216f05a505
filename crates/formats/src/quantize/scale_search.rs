//! Scale and codes of one group of weights: the searches of llama.cpp (ggml-quants.c, `make_qx_quants`, `make_qkx2_quants`,
//! `make_qkx3_quants`, `make_qp_quants`, `make_q3_quants`). Each tries a few scales around the one that the largest weight asks
//! for and keeps the one of the smallest weighted square error. Sums go over the elements in order and every product is rounded
//! by itself, as there, so that the blocks have the bits of llama.cpp's.

/// Groups whose largest magnitude is below this are zero (`GROUP_MAX_EPS`).
pub const SMALLEST: f32 = 1e-15;

/// 1.5 · 2²³: a float32 to which a number below 2²² is added has no bits left of the number's fraction.
const ROUNDING: f32 = 12_582_912.0;

/// The nearest integer, ties to even, of a number below 2²² in magnitude (`nearest_int`); another gives some integer below 2²².
pub fn nearest(value: f32) -> i32 {
    ((value + ROUNDING).to_bits() & 0x007f_ffff).cast_signed() - 0x0040_0000
}

/// The element of the largest magnitude, the first of equals.
pub fn extreme(values: &[f32]) -> f32 {
    values.iter().fold(0.0_f32, |found, &value| if value.abs() > found.abs() { value } else { found })
}

/// w = s·(q − top) with codes q of 0 to 2·top − 1. Gives s, which has either sign.
pub fn symmetric(top: i32, values: &[f32], weight: impl Fn(usize) -> f32, codes: &mut [u8]) -> f32 {
    let extreme = extreme(values);
    if extreme.abs() < SMALLEST {
        codes.fill(0);
        return 0.0;
    }
    let code = |inverse: f32, value: f32| nearest(inverse * value).clamp(-top, top - 1);
    let fit = |inverse: f32| {
        let (mut cross, mut square) = (0.0_f32, 0.0_f32);
        for (place, &value) in values.iter().enumerate() {
            let code = code(inverse, value) as f32;
            let weight = weight(place);
            cross += weight * value * code;
            square += weight * code * code;
        }
        (cross, square)
    };
    let mut chosen = -(top as f32) / extreme;
    let (cross, square) = fit(chosen);
    let mut scale = if square == 0.0 { 0.0 } else { cross / square };
    let mut best = scale * cross;
    for step in (-9_i8..=9).filter(|&step| step != 0) {
        let inverse = -(top as f32 + 0.1 * f32::from(step)) / extreme;
        let (cross, square) = fit(inverse);
        if square > 0.0 && cross * cross > best * square {
            (chosen, scale) = (inverse, cross / square);
            best = scale * cross;
        }
    }
    for (stored, &value) in codes.iter_mut().zip(values) {
        *stored = (top + code(chosen, value)) as u8;
    }
    scale
}

/// The scales that [`affine`] tries: (start + step·i + top) / (max − min) for i of 0 to `count`.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    pub start: f32,
    pub step: f32,
    pub count: u8,
}

/// The scales that are tried where columns have an importance.
pub const WEIGHTED: Steps = Steps { start: -0.9, step: 0.05, count: 36 };

/// w = s·q − m with codes q of 0 to `top`, both factors never negative. Gives (s, m), by weighted least squares.
pub fn affine(top: u8, steps: Steps, values: &[f32], weights: &[f32], codes: &mut [u8]) -> (f32, f32) {
    let largest = values.iter().fold(f32::MIN, |most, &value| if value > most { value } else { most });
    let smallest = values.iter().fold(f32::MAX, |least, &value| if value < least { value } else { least });
    let (mut sum, mut sum_x) = (0.0_f32, 0.0_f32);
    for (&value, &weight) in values.iter().zip(weights) {
        sum += weight;
        sum_x += weight * value;
    }
    let mut minimum = if smallest > 0.0 { 0.0 } else { smallest };
    if largest <= minimum {
        codes.fill(0);
        return (0.0, -minimum);
    }
    let levels = f32::from(top);
    let code = |inverse: f32, minimum: f32, value: f32| {
        // The minimum is the best so far and may lie at the largest value: the product may be anything.
        let place = inverse * (value - minimum);
        if place > 0.0 { nearest(place.min(levels)) as u8 } else { 0 }
    };
    let error = |codes: &[u8], scale: f32, minimum: f32| {
        let mut sum = 0.0_f32;
        for ((&code, &value), &weight) in codes.iter().zip(values).zip(weights) {
            let difference = scale * f32::from(code) + minimum - value;
            sum += weight * (difference * difference);
        }
        sum
    };
    let inverse = levels / (largest - minimum);
    let mut scale = 1.0 / inverse;
    codes.iter_mut().zip(values).for_each(|(stored, &value)| *stored = code(inverse, minimum, value));
    let mut best = error(codes, scale, minimum);
    let mut tried = [0_u8; 32];
    let tried = &mut tried[..values.len()];
    for index in 0..=steps.count {
        let inverse = (steps.start + steps.step * f32::from(index) + levels) / (largest - minimum);
        let (mut sum_q, mut sum_q2, mut sum_xq) = (0.0_f32, 0.0_f32, 0.0_f32);
        for ((stored, &value), &weight) in tried.iter_mut().zip(values).zip(weights) {
            *stored = code(inverse, minimum, value);
            let code = f32::from(*stored);
            sum_q += weight * code;
            sum_q2 += weight * code * code;
            sum_xq += weight * code * value;
        }
        let determinant = sum * sum_q2 - sum_q * sum_q;
        if determinant > 0.0 {
            let mut fitted = (sum * sum_xq - sum_x * sum_q) / determinant;
            let mut offset = (sum_q2 * sum_x - sum_q * sum_xq) / determinant;
            if offset > 0.0 {
                (fitted, offset) = (sum_xq / sum_q2, 0.0);
            }
            let error = error(tried, fitted, offset);
            if error < best {
                codes.copy_from_slice(tried);
                (best, scale, minimum) = (error, fitted, offset);
            }
        }
    }
    (scale, -minimum)
}

/// x = s·q of numbers that are not negative, such as the scales of groups, with codes q of 0 to `top`. Gives s.
pub fn positive(top: u8, values: &[f32], weights: &[f32], codes: &mut [u8]) -> f32 {
    let largest = values.iter().fold(0.0_f32, |most, &value| most.max(value));
    if largest < SMALLEST {
        codes.fill(0);
        return 0.0;
    }
    let code = |inverse: f32, value: f32| nearest(inverse * value).clamp(0, i32::from(top)) as u8;
    let error = |inverse: f32| {
        let scale = 1.0 / inverse;
        let mut sum = 0.0_f32;
        for (&value, &weight) in values.iter().zip(weights) {
            let difference = value - scale * f32::from(code(inverse, value));
            sum += weight * difference * difference;
        }
        sum
    };
    let mut chosen = f32::from(top) / largest;
    let mut best = error(chosen);
    for step in (-4_i8..=4).filter(|&step| step != 0) {
        let inverse = (0.1 * f32::from(step) + f32::from(top)) / largest;
        let error = error(inverse);
        if error < best {
            (best, chosen) = (error, inverse);
        }
    }
    let (mut cross, mut square) = (0.0_f32, 0.0_f32);
    for ((stored, &value), &weight) in codes.iter_mut().zip(values).zip(weights) {
        *stored = code(chosen, value);
        let code = f32::from(*stored);
        cross += weight * value * code;
        square += weight * code * code;
    }
    let round = |place: f32| nearest(place).clamp(0, i32::from(top)) as u8;
    improve(values, |place| weights[place], codes, f32::from, round, (cross, square))
}

/// As [`symmetric`] for w = s·(q − 4) with codes of 0 to 7 and weights w², code by code instead of scale by scale.
pub fn three_bits(values: &[f32], codes: &mut [u8]) -> f32 {
    let extreme = extreme(values);
    if extreme.abs() < SMALLEST {
        codes.fill(0);
        return 0.0;
    }
    let inverse = -4.0 / extreme;
    let round = |place: f32| (nearest(place).clamp(-4, 3) + 4) as u8;
    let centred = |code: u8| f32::from(code) - 4.0;
    let (mut cross, mut square) = (0.0_f32, 0.0_f32);
    for (stored, &value) in codes.iter_mut().zip(values) {
        *stored = round(inverse * value);
        let code = centred(*stored);
        let weight = value * value;
        cross += weight * value * code;
        square += weight * code * code;
    }
    improve(values, |place| values[place] * values[place], codes, centred, round, (cross, square))
}

/// Moves one code after another to what the scale of all others asks for, where that lowers the error, at most five times over.
/// Gives the scale of the codes.
fn improve(
    values: &[f32],
    weight: impl Fn(usize) -> f32,
    codes: &mut [u8],
    number: impl Fn(u8) -> f32,
    round: impl Fn(f32) -> u8,
    (mut cross, mut square): (f32, f32),
) -> f32 {
    for _ in 0..5 {
        let mut changed = false;
        for (place, (stored, &value)) in codes.iter_mut().zip(values).enumerate() {
            let (weight, old) = (weight(place), number(*stored));
            let mut other_cross = cross - weight * value * old;
            let mut other_square = square - weight * old * old;
            if other_cross <= 0.0 {
                continue;
            }
            let code = round(value * other_square / other_cross);
            if code == *stored {
                continue;
            }
            other_cross += weight * value * number(code);
            other_square += weight * number(code) * number(code);
            if other_square > 0.0 && other_cross * other_cross * square > cross * cross * other_square {
                (*stored, cross, square, changed) = (code, other_cross, other_square, true);
            }
        }
        if !changed {
            break;
        }
    }
    if square > 0.0 { cross / square } else { 0.0 }
}

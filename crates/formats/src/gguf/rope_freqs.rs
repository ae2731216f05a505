//! `rope_freqs.weight`: llama.cpp's converter writes Llama 3's frequency scaling not as its parameters but as its result, a
//! divisor per frequency. Here the parameters are found again.

use std::f64::consts::TAU;

use crate::rope::RopeScaling;

/// The frequency factors of every published Llama 3 model. Only their ratio to the original length can be seen in the
/// divisors, so fixing them loses nothing.
const LOW_FREQ_FACTOR: f64 = 1.0;
const HIGH_FREQ_FACTOR: f64 = 4.0;

/// Largest relative difference between a divisor in the file and the one the parameters give; the file holds float32.
const TOLERANCE: f64 = 1e-4;

/// The scaling whose divisors are `divisors`, one for each of the frequencies `theta^(-i / len)`; None where there is none.
pub fn scaling_of(divisors: &[f32], theta: f64) -> Option<RopeScaling> {
    let factor = divisors.iter().copied().map(f64::from).fold(1.0, f64::max);
    let wavelength = |index: usize| TAU * theta.powf(index as f64 / divisors.len() as f64);
    let ramp = |divisor: f64| divisor > 1.0 + TOLERANCE && divisor < factor * (1.0 - TOLERANCE);
    let divisor = |index: usize| divisors.get(index).copied().map_or(1.0, f64::from);
    // A frequency on the ramp tells the original length. Without one, any length between the kept and the divided
    // wavelengths gives the same rotation.
    let original = match (0..divisors.len()).find(|&index| ramp(divisor(index))) {
        Some(index) => {
            let smooth = (1.0 / divisor(index) - 1.0 / factor) / (1.0 - 1.0 / factor);
            wavelength(index) * (LOW_FREQ_FACTOR + smooth * (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR))
        }
        None => match (0..divisors.len()).find(|&index| divisor(index) > 1.0 + TOLERANCE) {
            Some(index) => wavelength(index) * LOW_FREQ_FACTOR,
            None => {
                return divisors
                    .iter()
                    .all(|&divisor| (divisor - 1.0).abs() < TOLERANCE as f32)
                    .then_some(RopeScaling::Default);
            }
        },
    };
    let original = if original.fract() > 1.0 - 1e-2 { original.ceil() } else { original.floor() };
    let expected = |index: usize| {
        let smooth = (original / wavelength(index) - LOW_FREQ_FACTOR) / (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR);
        let smooth = smooth.clamp(0.0, 1.0);
        1.0 / ((1.0 - smooth) / factor + smooth)
    };
    let agrees = |index: usize| (divisor(index) / expected(index) - 1.0).abs() < TOLERANCE;
    ((1.0..f64::from(i32::MAX)).contains(&original) && (0..divisors.len()).all(agrees)).then_some(RopeScaling::Llama3 {
        factor,
        low_freq_factor: LOW_FREQ_FACTOR,
        high_freq_factor: HIGH_FREQ_FACTOR,
        original_max_position_embeddings: original as usize,
    })
}

/// The divisors of a scaling, as llama.cpp's converter computes them; None where the scaling is not Llama 3's.
pub fn divisors_of(scaling: &RopeScaling, theta: f64, head_dim: usize) -> Option<Vec<f32>> {
    let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } = *scaling
    else {
        return None;
    };
    let original = original_max_position_embeddings as f64;
    let divisor = |index: usize| {
        let turns = original / (TAU * theta.powf(2.0 * index as f64 / head_dim as f64));
        let smooth = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
        (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
    };
    Some((0..head_dim / 2).map(divisor).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the definition of Llama 3.1's scaling reads (transformers, `_compute_llama3_parameters`).
    fn divisors(theta: f64, head_dim: usize, factor: f64, original: f64) -> Vec<f32> {
        let one = |index: usize| {
            let wavelength = TAU * theta.powf(2.0 * index as f64 / head_dim as f64);
            if wavelength < original / 4.0 {
                1.0
            } else if wavelength > original {
                factor
            } else {
                let smooth = (original / wavelength - 1.0) / 3.0;
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        };
        (0..head_dim / 2).map(|index| one(index) as f32).collect()
    }

    #[test]
    fn parameters_are_found_again() {
        for (theta, head_dim, factor, original) in
            [(5e5, 128, 8.0, 8192), (5e5, 64, 32.0, 8192), (1e4, 16, 8.0, 64), (1e4, 32, 4.0, 100)]
        {
            let scaling = scaling_of(&divisors(theta, head_dim, factor, f64::from(original)), theta);
            let Some(RopeScaling::Llama3 { factor: found, original_max_position_embeddings, .. }) = scaling else {
                panic!("{theta} {head_dim}: {scaling:?}");
            };
            assert!((found - factor).abs() < 1e-6);
            assert_eq!(original_max_position_embeddings, original as usize);
        }
    }

    #[test]
    fn strange_divisors_are_not_explained_away() {
        assert_eq!(scaling_of(&[1.0; 8], 1e4), Some(RopeScaling::Default));
        assert_eq!(scaling_of(&[0.5; 8], 1e4), None);
        assert_eq!(scaling_of(&[8.0, 1.0, 8.0, 1.0], 1e4), None);
        assert_eq!(scaling_of(&[1.0, f32::NAN], 1e4), None);
        let mut divisors = divisors(5e5, 128, 8.0, 8192.0);
        divisors[40] *= 1.01;
        assert_eq!(scaling_of(&divisors, 5e5), None);
    }
}

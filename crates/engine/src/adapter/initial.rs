//! The first values of an adapter's factors, keyed by the seed and the adapter's number: PEFT's `reset_lora_parameters`.

use tunesmith_formats::InitLoraWeights;

use super::matrices::{Rows, add, orthonormalize, transposed};
use crate::rng::{Philox, Purpose};

/// The random numbers of one module.
pub struct Draws {
    rng: Philox,
    adapter: u32,
}

impl Draws {
    /// Those of the adapted module of this number.
    pub fn new(seed: u64, adapter: u32) -> Self {
        Self { rng: Philox::new(seed), adapter }
    }

    fn uniform(&self, place: u64) -> f64 {
        self.rng.uniform(Purpose::AdapterInit, self.adapter, place)
    }

    /// Uniform in ±1/√width.
    fn bounded(&self, place: u64, width: usize) -> f32 {
        ((self.uniform(place) * 2.0 - 1.0) / (width as f64).sqrt()) as f32
    }

    /// Normal with deviation 1.
    pub(super) fn normal(&self, place: u64) -> f64 {
        // Box and Muller 1958, doi:10.1214/aoms/1177706645; 1 − u is never 0.
        let radius = (-2.0 * (1.0 - self.uniform(2 * place)).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform(2 * place + 1)).cos()
    }

    /// A `[r, k]` and B `[n, r]` of a linear layer. B begins at zero where the options do not say otherwise, so step 0 equals the
    /// base model bit for bit. What takes its values out of the weight is no matter of chance, and begins as by default here.
    pub fn linear(&self, init: InitLoraWeights, (r, n, k): (usize, usize, usize)) -> [Vec<f32>; 2] {
        if init == InitLoraWeights::Orthogonal {
            return self.orthogonal((r, n, k));
        }
        let len = (r * k) as u64;
        let a = (0..len).map(|place| match init {
            InitLoraWeights::Gaussian => (self.normal(place) / r as f64) as f32,
            _ => self.bounded(place, k),
        });
        let b = (0..(n * r) as u64).map(|place| match init {
            InitLoraWeights::Random => self.bounded(len + place, r),
            _ => 0.0,
        });
        [a.collect(), b.collect()]
    }

    /// The bias `[n]` of B: zeros where the options do not say otherwise.
    pub fn b_bias(&self, init: InitLoraWeights, (r, n, k): (usize, usize, usize)) -> Vec<f32> {
        let first = (r * k + n * r) as u64;
        let value = |place| if init == InitLoraWeights::Random { self.bounded(first + place, r) } else { 0.0 };
        (0..n as u64).map(value).collect()
    }

    /// A and B from the odd and the even rows of a random orthogonal matrix `[r, r]`, each times a tenth of random normals: PEFT's
    /// `orthogonal_init` (<https://datta0.github.io/posts/rethink-lora-init/>). For even ranks.
    fn orthogonal(&self, (r, n, k): (usize, usize, usize)) -> [Vec<f32>; 2] {
        let half = r / 2;
        let (first, second) = ((r * r) as u64, (r * r + k * half) as u64);
        let mut q: Rows = (0..r).map(|i| (0..r).map(|j| self.normal((i * r + j) as u64)).collect()).collect();
        orthonormalize(&mut q);
        let factor = |rows: usize, from: u64, parity: usize| -> Rows {
            let row = |i: usize| {
                let mut sum = vec![0.0; r];
                for j in 0..half {
                    add(&mut sum, 0.1 * self.normal(from + (i * half + j) as u64), &q[2 * j + parity]);
                }
                sum
            };
            (0..rows).map(row).collect()
        };
        let stored = |rows: Rows| rows.into_iter().flatten().map(|value| value as f32).collect();
        [stored(transposed(&factor(k, first, 0))), stored(factor(n, second, 1))]
    }

    /// A `[r, v]` and B `[d, r]` of the embedding. Here A begins at zero where the options do not say otherwise.
    pub fn embedding(&self, init: InitLoraWeights, (r, v, d): (usize, usize, usize)) -> [Vec<f32>; 2] {
        let len = (d * r) as u64;
        let a = (0..(r * v) as u64).map(|place| match init {
            InitLoraWeights::Random => self.normal(len + place) as f32,
            _ => 0.0,
        });
        let b = (0..len).map(|place| self.normal(place) as f32);
        [a.collect(), b.collect()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(values: &[f32]) -> f64 {
        (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn first_values_have_their_spread_and_differ_between_adapters() {
        let linear = |init, adapter, sizes| Draws::new(1, adapter).linear(init, sizes);
        let [a, b] = linear(InitLoraWeights::Kaiming, 0, (4, 3, 25));
        assert!(a.iter().all(|value| value.abs() <= 0.2) && a.iter().any(|value| value.abs() > 0.15));
        assert!(b.iter().all(|value| *value == 0.0) && b.len() == 12);
        assert_ne!(a, linear(InitLoraWeights::Kaiming, 1, (4, 3, 25))[0]);
        assert_eq!(a, linear(InitLoraWeights::Kaiming, 0, (4, 3, 25))[0]);
        let [a, b] = linear(InitLoraWeights::Gaussian, 0, (8, 1, 5000));
        assert!((deviation(&a) - 0.125).abs() < 0.005 && b.iter().all(|value| *value == 0.0), "{}", deviation(&a));
        let [_, b] = linear(InitLoraWeights::Random, 0, (4, 50, 25));
        assert!(b.iter().all(|value| value.abs() <= 0.5) && b.iter().any(|value| value.abs() > 0.4));
    }

    #[test]
    fn orthogonal_factors_begin_at_the_base_though_neither_is_zero() {
        let (r, n, k) = (6, 40, 50);
        let [a, b] = Draws::new(1, 0).linear(InitLoraWeights::Orthogonal, (r, n, k));
        // Each row of half as many normals, of which the deviation is a tenth.
        for values in [&a, &b] {
            assert!((deviation(values) - 0.1 / 2.0_f64.sqrt()).abs() < 0.01, "{}", deviation(values));
        }
        for i in 0..n {
            for j in 0..k {
                let product: f32 = (0..r).map(|l| b[i * r + l] * a[l * k + j]).sum();
                assert!(product.abs() < 1e-7, "{product}");
            }
        }
    }

    #[test]
    fn factors_on_the_embedding_begin_the_other_way_round() {
        for init in [InitLoraWeights::Kaiming, InitLoraWeights::Gaussian] {
            let [a, b] = Draws::new(1, 0).embedding(init, (4, 7, 5000));
            assert!(a == vec![0.0; 28] && (deviation(&b) - 1.0).abs() < 0.02, "{}", deviation(&b));
        }
        let [a, b] = Draws::new(1, 0).embedding(InitLoraWeights::Random, (4, 5000, 5000));
        assert!((deviation(&a) - 1.0).abs() < 0.02 && (deviation(&b) - 1.0).abs() < 0.02);
        assert_ne!(a, b);
    }
}

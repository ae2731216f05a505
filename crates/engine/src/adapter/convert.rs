//! The same adapter for the whole base: `B A − B₀ A₀` as one pair of factors of twice the rank, where A₀ and B₀ are what it has taken
//! out of the base (PEFT's `subtract_mutated_init`).

use std::collections::BTreeMap;

use tunesmith_formats::FactorKind;

use crate::optimizer::ParameterSpec;

/// What the factors of an adapter were when it was made, by their names in its file and laid out as there.
#[derive(Debug, Clone, Default)]
pub struct FirstValues {
    a: BTreeMap<String, Vec<f32>>,
    b: BTreeMap<String, Vec<f32>>,
}

impl FirstValues {
    /// Keeps those of a module. Where nothing was taken out of the base they are zeros.
    pub fn keep(&mut self, kind: FactorKind, module: &str, [a, b]: [Vec<f32>; 2]) {
        self.a.insert(kind.a_name(module), a);
        self.b.insert(kind.b_name(module), b);
    }

    /// Whether there are none: the adapter is one for the whole base as it is.
    pub fn is_empty(&self) -> bool {
        self.a.is_empty()
    }

    /// A tensor of the converted adapter from the one of this adapter: `[A; A₀]`, `[B, −B₀]`, anything else as it is.
    pub fn converted(&self, spec: &ParameterSpec, now: &[f32]) -> (Vec<usize>, Vec<f32>) {
        let mut shape = spec.shape.clone();
        if let Some(first) = self.a.get(&spec.name) {
            shape[0] *= 2;
            return (shape, [now, first].concat());
        }
        let Some(first) = self.b.get(&spec.name) else { return (shape, now.to_vec()) };
        let r = shape[1].max(1);
        shape[1] *= 2;
        let rows = now.chunks(r).zip(first.chunks(r));
        (shape, rows.flat_map(|(now, first)| now.iter().copied().chain(first.iter().map(|value| -value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::ParameterKind;

    #[test]
    fn the_product_of_the_converted_factors_is_the_difference() {
        let (n, r, k) = (3, 2, 4);
        let values =
            |len: usize, step: usize| -> Vec<f32> { (0..len).map(|i| ((i * step) % 7) as f32 - 3.0).collect() };
        let (first, now) = ([values(r * k, 3), values(n * r, 5)], [values(r * k, 4), values(n * r, 2)]);
        let mut kept = FirstValues::default();
        kept.keep(FactorKind::Linear, "layer", first.clone());
        let spec = |name: String, shape: &[usize]| ParameterSpec {
            name,
            shape: shape.to_vec(),
            kind: ParameterKind::Decay,
            transposed: false,
            experts: 0,
            scale: None,
        };
        let (a_shape, a) = kept.converted(&spec(FactorKind::Linear.a_name("layer"), &[r, k]), &now[0]);
        let (b_shape, b) = kept.converted(&spec(FactorKind::Linear.b_name("layer"), &[n, r]), &now[1]);
        assert_eq!((a_shape.as_slice(), b_shape.as_slice()), ([2 * r, k].as_slice(), [n, 2 * r].as_slice()));
        let product = |a: &[f32], b: &[f32], r: usize, i: usize, j: usize| -> f32 {
            (0..r).map(|l| b[i * r + l] * a[l * k + j]).sum()
        };
        for i in 0..n {
            for j in 0..k {
                let expected = product(&now[0], &now[1], r, i, j) - product(&first[0], &first[1], r, i, j);
                assert_eq!(product(&a, &b, 2 * r, i, j), expected);
            }
        }
        let other = kept.converted(&spec("other".to_owned(), &[2]), &[1.0, 2.0]);
        assert_eq!(other, (vec![2], vec![1.0, 2.0]));
    }
}

//! Factors that are taken out of a weight, and what is left of it.

use tunesmith_formats::InitLoraWeights;
use tunesmith_ops::nf4::reference;
use tunesmith_ops::{Code, Error, Nf4Matrix, Nf4Scales, Result};

use super::initial::Draws;
use super::matrices::{Rows, Singular, add, dot, orthonormalize, singular_values, transposed};

/// Elements that share a scale in `LoftQ` (PEFT).
const LOFTQ_BLOCK: usize = 64;

/// Sizes of a weight `[n, k]` and its factors of rank `r`, whose product is scaled by `scale`.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub n: usize,
    pub k: usize,
    pub r: usize,
    pub scale: f32,
}

/// `A[r, k]` and `B[n, r]` that an initialisation takes out of the weight `w[n, k]`; none where it takes nothing.
///
/// # Errors
/// `ArgumentInvalid` for a rank above either side or a scale that is not positive; `Internal` where a decomposition does not converge.
fn factors(init: InitLoraWeights, w: &[f32], sizes: Sizes) -> Result<Option<[Vec<f32>; 2]>> {
    let Sizes { n, k, r, scale } = sizes;
    if !init.changes_base() {
        return Ok(None);
    }
    if r > n.min(k) {
        let message = format!(
            "expected at most {}, the smaller side of a [{n}, {k}] weight, got {r}; choose a smaller rank or another initLoraWeights",
            n.min(k)
        );
        return Err(Error::new(Code::ArgumentInvalid, "lora.r", message));
    }
    if scale <= 0.0 {
        let got = format!("{scale} with initLoraWeights of singular values");
        return Err(Error::argument("lora.loraAlpha", "a positive scale", got));
    }
    let w: Rows = w.chunks(k).map(|row| row.iter().copied().map(f64::from).collect()).collect();
    match init {
        InitLoraWeights::Olora => Ok(Some(triangular(&w, r))),
        InitLoraWeights::PissaNiter(iterations) => shared(projected(w, iterations, r), sizes),
        _ => shared(principal(w), sizes),
    }
}

/// Takes the first factors out of `w[n, k]`, which becomes what is left under them; none where nothing is taken.
///
/// # Errors
/// As [`factors`].
pub fn take_out(init: InitLoraWeights, w: &mut [f32], sizes: Sizes) -> Result<Option<[Vec<f32>; 2]>> {
    if let InitLoraWeights::LoftQ(iterations) = init {
        return alternate(w, iterations, sizes).map(Some);
    }
    let taken = factors(init, w, sizes)?;
    if let Some([a, b]) = &taken {
        subtract(w, [a, b], sizes);
    }
    Ok(taken)
}

/// `LoftQ`: W in four bits, and the r largest singular values of what that loses, of which the product is taken out of W before it is
/// quantised again. As in PEFT the product is not divided by the adapter's scale.
fn alternate(w: &mut [f32], iterations: u32, sizes: Sizes) -> Result<[Vec<f32>; 2]> {
    let unscaled = Sizes { scale: 1.0, ..sizes };
    let mut rest = w.to_vec();
    let mut quantized = Vec::new();
    let mut taken = [vec![0.0; sizes.r * sizes.k], vec![0.0; sizes.n * sizes.r]];
    for _ in 0..iterations {
        quantized = in_four_bits(&rest);
        let lost: Vec<f32> = w.iter().zip(&quantized).map(|(w, q)| w - q).collect();
        let Some(found) = factors(InitLoraWeights::Pissa, &lost, unscaled)? else { break };
        rest.copy_from_slice(w);
        subtract(&mut rest, [&found[0], &found[1]], unscaled);
        taken = found;
    }
    w.copy_from_slice(&quantized);
    Ok(taken)
}

/// The values after NF4 in blocks of 64 with scales in float32.
fn in_four_bits(values: &[f32]) -> Vec<f32> {
    let (mut codes, mut absmax) = (vec![0; values.len().div_ceil(2)], vec![0.0; values.len().div_ceil(LOFTQ_BLOCK)]);
    reference::quantize(values, LOFTQ_BLOCK, &mut codes, &mut absmax);
    let mut out = vec![0.0; values.len()];
    let matrix = Nf4Matrix { block_size: LOFTQ_BLOCK, codes: &codes, scales: Nf4Scales::Plain(&absmax) };
    reference::dequantize(&matrix, 0, &mut out);
    out
}

/// `w[n, k] − scale · b[n, r] a[r, k]`, in place.
fn subtract(w: &mut [f32], [a, b]: [&[f32]; 2], Sizes { k, r, scale, .. }: Sizes) {
    let mut product = vec![0.0_f64; k];
    for (row, b) in w.chunks_mut(k).zip(b.chunks(r)) {
        product.fill(0.0);
        for (factor, a) in b.iter().zip(a.chunks(k)) {
            product.iter_mut().zip(a).for_each(|(sum, a)| *sum += f64::from(*factor) * f64::from(*a));
        }
        row.iter_mut().zip(&product).for_each(|(value, product)| {
            *value = (f64::from(*value) - f64::from(scale) * product) as f32;
        });
    }
}

/// `A = √(S/s) Vᵀ` and `B = U √(S/s)` of the r largest of `W = U S Vᵀ` (PiSSA).
fn shared(values: Option<Vec<Singular>>, Sizes { n, r, scale, .. }: Sizes) -> Result<Option<[Vec<f32>; 2]>> {
    let Some(values) = values else {
        let message =
            "expected singular values, got none: the decomposition did not converge; choose another initLoraWeights";
        return Err(Error::new(Code::Internal, "initLoraWeights", message));
    };
    let root = |one: &Singular| (one.value / f64::from(scale)).sqrt();
    let a = values[..r].iter().flat_map(|one| one.right.iter().map(move |entry| (root(one) * entry) as f32));
    let b = (0..n).flat_map(|i| values[..r].iter().map(move |one| (one.left[i] * root(one)) as f32));
    Ok(Some([a.collect(), b.collect()]))
}

fn swapped(values: Vec<Singular>) -> Vec<Singular> {
    values.into_iter().map(|Singular { value, left, right }| Singular { value, left: right, right: left }).collect()
}

/// All of them.
fn principal(w: Rows) -> Option<Vec<Singular>> {
    if w.len() > w[0].len() { singular_values(transposed(&w)).map(swapped) } else { singular_values(w) }
}

/// The r of W's projection on directions that are found by iteration from random ones: torch's `svd_lowrank`. They are the same in every
/// run, so that what an adapter has taken out of its base can be found again from the base alone.
fn projected(w: Rows, iterations: u32, r: usize) -> Option<Vec<Singular>> {
    let is_wide = w.len() < w[0].len();
    let tall = if is_wide { transposed(&w) } else { w };
    let draws = Draws::new(0, 0);
    let columns = tall[0].len();
    let direction = |i: usize| (0..columns).map(|j| draws.normal((i * columns + j) as u64)).collect();
    let mut there: Rows = through(&tall, &(0..r).map(direction).collect::<Rows>());
    orthonormalize(&mut there);
    for _ in 0..iterations {
        let mut back = back_through(&tall, &there);
        orthonormalize(&mut back);
        there = through(&tall, &back);
        orthonormalize(&mut there);
    }
    // Qᵀ W, r rows.
    let values = singular_values(back_through(&tall, &there))?;
    let whole = |one: Singular| {
        let mut left = vec![0.0; tall.len()];
        one.left.iter().zip(&there).for_each(|(factor, column)| add(&mut left, *factor, column));
        Singular { left, ..one }
    };
    let values: Vec<Singular> = values.into_iter().map(whole).collect();
    Some(if is_wide { swapped(values) } else { values })
}

/// `W x` for each x.
fn through(w: &[Vec<f64>], all: &[Vec<f64>]) -> Rows {
    all.iter().map(|x| w.iter().map(|row| dot(row, x)).collect()).collect()
}

/// `Wᵀ y` for each y.
fn back_through(w: &[Vec<f64>], all: &[Vec<f64>]) -> Rows {
    let one = |y: &Vec<f64>| {
        let mut sum = vec![0.0; w[0].len()];
        w.iter().zip(y).for_each(|(row, factor)| add(&mut sum, *factor, row));
        sum
    };
    all.iter().map(one).collect()
}

/// `W = Q R`: B the first r columns of Q, which follow from as many of W, and A the first r rows of R (OLoRA).
fn triangular(w: &[Vec<f64>], r: usize) -> [Vec<f32>; 2] {
    let mut q: Rows = (0..r).map(|j| w.iter().map(|row| row[j]).collect()).collect();
    orthonormalize(&mut q);
    let a = back_through(w, &q).into_iter().flatten().map(|value| value as f32).collect();
    let b = transposed(&q).into_iter().flatten().map(|value| value as f32).collect();
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Singular values that fall by a fifth each.
    fn weight(n: usize, k: usize) -> Vec<f32> {
        let draws = Draws::new(9, 1);
        let side = n.min(k);
        let normal = |len: usize, from: u64| {
            let mut rows: Rows =
                (0..side).map(|i| (0..len).map(|j| draws.normal(from + (i * len + j) as u64)).collect()).collect();
            orthonormalize(&mut rows);
            rows
        };
        let (u, v) = (normal(n, 0), normal(k, 1 << 20));
        let value =
            |i: usize, j: usize| -> f64 { (0..side).map(|one| 0.8_f64.powi(one as i32) * u[one][i] * v[one][j]).sum() };
        (0..n).flat_map(|i| (0..k).map(|j| value(i, j) as f32).collect::<Vec<_>>()).collect()
    }

    fn length(values: &[f32]) -> f64 {
        values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn principal_values_leave_the_others() {
        for (n, k) in [(12, 20), (20, 12), (9, 9)] {
            for (init, exact) in [(InitLoraWeights::Pissa, 1e-6), (InitLoraWeights::PissaNiter(16), 1e-4)] {
                let (w, sizes) = (weight(n, k), Sizes { n, k, r: 3, scale: 2.0 });
                let [a, b] = factors(init, &w, sizes).unwrap().unwrap();
                let mut rest = w.clone();
                subtract(&mut rest, [&a, &b], sizes);
                // Σ over i ≥ 3 of 0.64^i.
                let expected = (3..9.max(n.min(k))).map(|i| 0.64_f64.powi(i as i32)).sum::<f64>().sqrt();
                assert!((length(&rest) / expected - 1.0).abs() < exact, "{init:?} {n} {k}: {}", length(&rest));
                assert!((length(&a) / length(&b) - 1.0).abs() < 1e-6, "both factors share the values");
            }
        }
    }

    #[test]
    fn the_first_columns_of_a_qr_decomposition_are_gone() {
        let (w, sizes) = (weight(7, 11), Sizes { n: 7, k: 11, r: 3, scale: 1.0 });
        let [a, b] = factors(InitLoraWeights::Olora, &w, sizes).unwrap().unwrap();
        let mut rest = w.clone();
        subtract(&mut rest, [&a, &b], sizes);
        for row in rest.chunks(11) {
            assert!(row[..3].iter().all(|value| value.abs() < 1e-6) && row[5].abs() > 1e-6, "{row:?}");
        }
        // A is triangular.
        assert!(a[11].abs() < 1e-6 && a[23].abs() < 1e-6 && a[22].abs() < 1e-6 && a[12].abs() > 1e-3, "{a:?}");
    }

    #[test]
    fn what_cannot_be_taken_is_refused() {
        let take = |r, scale| factors(InitLoraWeights::Pissa, &[1.0; 6], Sizes { n: 2, k: 3, r, scale });
        assert_eq!(take(3, 1.0).unwrap_err().place, "lora.r");
        assert_eq!(take(2, -1.0).unwrap_err().place, "lora.loraAlpha");
        assert!(take(2, 1.0).unwrap().is_some());
        let none = factors(InitLoraWeights::Gaussian, &[1.0; 6], Sizes { n: 2, k: 3, r: 1, scale: 1.0 });
        assert_eq!(none.unwrap(), None);
    }
}

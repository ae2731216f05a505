//! The decompositions that adapters begin with, in float64 and on one thread, so that the bits depend on no number of threads. A matrix
//! is the list of its rows.

/// Rows of one length.
pub type Rows = Vec<Vec<f64>>;

/// Sweeps after which what has not converged never will; in practice ten are enough.
const SWEEPS: usize = 60;

/// Cosine below which two rows count as orthogonal.
const ORTHOGONAL: f64 = 1e-14;

/// Σ a b, in eight sums that are added at the end.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (mut left, mut right) = (a.chunks_exact(8), b.chunks_exact(8));
    for (a, b) in left.by_ref().zip(right.by_ref()) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// `y += factor · x`.
pub fn add(y: &mut [f64], factor: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

/// Columns as rows.
pub fn transposed(rows: &[Vec<f64>]) -> Rows {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|j| rows.iter().map(|row| row[j]).collect()).collect()
}

/// Makes rows orthonormal one after the other (Gram and Schmidt, each twice: Giraud et al. 2005, doi:10.1007/s00211-005-0615-4): the
/// columns of Q where the rows are those of a matrix. A row that depends on those before it becomes zero.
pub fn orthonormalize(rows: &mut [Vec<f64>]) {
    for index in 0..rows.len() {
        let (before, rest) = rows.split_at_mut(index);
        let row = &mut rest[0];
        let length = dot(row, row).sqrt();
        for _ in 0..2 {
            for other in before.iter() {
                let along = dot(other, row);
                add(row, -along, other);
            }
        }
        let left = dot(row, row).sqrt();
        let factor = if left > length * ORTHOGONAL { 1.0 / left } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= factor);
    }
}

/// A singular value with its vectors.
pub struct Singular {
    pub value: f64,
    /// One number for each row of the matrix.
    pub left: Vec<f64>,
    /// One for each column.
    pub right: Vec<f64>,
}

/// Every singular value of a matrix that is not taller than wide, the largest first: rotations of two rows until all are orthogonal
/// (Hestenes 1958, doi:10.1137/0106005). None where that does not converge.
pub fn singular_values(mut rows: Rows) -> Option<Vec<Singular>> {
    let count = rows.len();
    let unit = |i: usize| (0..count).map(|j| f64::from(u8::from(i == j))).collect();
    let mut turned: Rows = (0..count).map(unit).collect();
    let converged = (0..SWEEPS).any(|_| !sweep(&mut rows, &mut turned));
    if !converged {
        return None;
    }
    let mut all: Vec<Singular> = rows
        .into_iter()
        .zip(turned)
        .map(|(mut right, left)| {
            let value = dot(&right, &right).sqrt();
            let factor = if value > 0.0 { 1.0 / value } else { 0.0 };
            right.iter_mut().for_each(|entry| *entry *= factor);
            Singular { value, left, right }
        })
        .collect();
    all.sort_by(|a, b| b.value.total_cmp(&a.value));
    Some(all)
}

/// Turns every two rows that are not orthogonal. False where there were none.
fn sweep(rows: &mut [Vec<f64>], turned: &mut [Vec<f64>]) -> bool {
    let mut any = false;
    for i in 0..rows.len() {
        for j in i + 1..rows.len() {
            let (aa, bb, ab) = (dot(&rows[i], &rows[i]), dot(&rows[j], &rows[j]), dot(&rows[i], &rows[j]));
            if ab.abs() <= ORTHOGONAL * (aa * bb).sqrt() {
                continue;
            }
            any = true;
            let zeta = (bb - aa) / (2.0 * ab);
            let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
            let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
            for matrix in [&mut *rows, &mut *turned] {
                let (before, rest) = matrix.split_at_mut(j);
                turn(&mut before[i], &mut rest[0], cosine, cosine * tangent);
            }
        }
    }
    any
}

fn turn(a: &mut [f64], b: &mut [f64], cosine: f64, sine: f64) {
    for (a, b) in a.iter_mut().zip(b) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_vectors_make_the_matrix_again() {
        let entry = |i: usize, j: usize| (((i * 31 + j * 17) % 23) as f64 - 11.0) / 7.0;
        let rows: Rows = (0..6).map(|i| (0..19).map(|j| entry(i, j)).collect()).collect();
        let all = singular_values(rows.clone()).unwrap();
        for (i, row) in rows.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let sum: f64 = all.iter().map(|one| one.value * one.left[i] * one.right[j]).sum();
                assert!((sum - value).abs() < 1e-12, "{sum} {value}");
            }
        }
        assert!(all.windows(2).all(|pair| pair[0].value >= pair[1].value));
        for (a, b) in all.iter().zip(&all[1..]) {
            assert!(dot(&a.left, &b.left).abs() < 1e-12 && (dot(&a.left, &a.left) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_matrix_of_one_rank_has_one_value() {
        let rows: Rows = (1..4).map(|i| (0..5).map(|j| f64::from(i) * f64::from(j)).collect()).collect();
        let all = singular_values(rows.clone()).unwrap();
        assert!((all[0].value - (14.0_f64 * 30.0).sqrt()).abs() < 1e-12 && all[1].value < 1e-12);
        let mut basis = rows;
        orthonormalize(&mut basis);
        assert!((dot(&basis[0], &basis[0]) - 1.0).abs() < 1e-14 && dot(&basis[1], &basis[1]) == 0.0);
    }
}

//! The read-only operands of a product: strided looks at slices.

/// A matrix `[m, k]` whose element (i, t) is `data[i · row + t · step]`: row-major with `step` 1, transposed with `row` 1.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row: usize,
    pub(crate) step: usize,
}

impl<'a> Left<'a> {
    /// Row-major with `stride` elements a row.
    pub(crate) fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: stride, step: 1 }
    }

    /// The transpose of a row-major matrix with `stride` elements a row.
    pub(crate) fn transposed(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: 1, step: stride }
    }

    pub(crate) fn fits(self, m: usize, k: usize) -> bool {
        m == 0 || k == 0 || (m - 1) * self.row + (k - 1) * self.step < self.data.len()
    }
}

/// A matrix `[k, n]` whose element (t, j) is `data[t · stride + j]`.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> Right<'a> {
    pub(crate) fn new(data: &'a [f32], stride: usize) -> Self {
        Self { data, stride }
    }

    pub(crate) fn fits(self, k: usize, n: usize) -> bool {
        k == 0 || n == 0 || (k - 1) * self.stride + n <= self.data.len()
    }
}

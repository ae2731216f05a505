//! Products of few rows with a four-bit weight: launches of `kernels/nf4_gemv.cu`.

use tunesmith_ops::{DType, MatmulShape, Result, ViewMut};

use super::factors::{Factors, Side};
use crate::Cuda;
use crate::device::{Address, Buffer};
use crate::weight::{NF4_SHARED, Nf4Weight};

/// Rows of a product that one warp of `nf4_gemv.cu` makes together, and features of a block of threads.
const ROWS: usize = 4;
const FEATURES: usize = 4 * 2;

impl Cuda {
    /// `y[m, n] = x · wᵀ (+ bias)` for few rows, followed by the steps of an adapter where one is given as (`xa`, `s B`).
    pub(crate) fn nf4_gemv(
        &self,
        MatmulShape { m, n, k }: MatmulShape,
        x: Side,
        w: &Nf4Weight,
        adapter: Option<Factors>,
        bias: Address,
        y: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        if m == 0 || n == 0 {
            return Ok(());
        }
        let (kernel, rows) = match (m, self.dtype) {
            (1, DType::F32) => ("nf4_gemv_one_f32", 1),
            (1, _) => ("nf4_gemv_one_bf16", 1),
            (_, DType::F32) => ("nf4_gemv_few_f32", ROWS),
            (_, _) => ("nf4_gemv_few_bf16", ROWS),
        };
        let (xa, b, r) = adapter.map_or((0, 0, 0), |Factors { a, b, reduced }| (a.address(), b.address(), reduced));
        let wide = k.is_multiple_of(8) && x.address().is_multiple_of(16);
        let s = w.structure().pointer(x.address()).pointer(xa).pointer(b).pointer(bias);
        let s = s.pointer(y.buffer.address_of(y.start)).int(m).int(n).int(k).int(r).int(usize::from(wide));
        let launch = self.launch(kernel).grid([n.div_ceil(FEATURES), m.div_ceil(rows), 1], 128).shared(NF4_SHARED);
        launch.structure(&s.finish()?).run()
    }
}

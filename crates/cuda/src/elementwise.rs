//! `elementwise`: launches of `kernels/elementwise.cu`.

use tunesmith_ops::{Columns, DType, Elementwise, Error, Result, TypedBuffer, View, ViewMut, elementwise};

use crate::device::{Buffer, Launch};
use crate::{Cuda, packs};

const THREADS: u32 = 256;

/// Rows of a chunk and threads of a block in sums down columns; `common/columns.cuh`.
const SUM_CHUNK: usize = 256;
const SUM_THREADS: u32 = 128;

/// Blocks that give every pack of 16 bytes a thread.
pub(crate) fn pack_blocks(len: usize, dtype: DType) -> usize {
    len.div_ceil(THREADS as usize * 16 / dtype.size())
}

impl Cuda {
    /// `y[n] +=` the sums down the columns that the kernel `partials` finds in `m` rows of activations: it is given `m`, `n`,
    /// what `arguments` adds, where to leave a row of `n` sums per chunk of 256 rows, and whether rows are moved in packs.
    pub(crate) fn add_column_sums<'a>(
        &'a self,
        (m, n): (usize, usize),
        y: &ViewMut<'_, Buffer>,
        partials: [&'static str; 2],
        wide: bool,
        arguments: impl FnOnce(Launch<'a>) -> Launch<'a>,
    ) -> Result<()> {
        let (columns, chunks) = (32 * 16 / self.dtype.size(), m.div_ceil(SUM_CHUNK));
        if n == 0 || chunks == 0 {
            return Ok(());
        }
        let mut sums = self.undefined(DType::F32, chunks * n)?;
        let launch =
            self.launch_activations(partials[0], partials[1]).grid([n.div_ceil(columns), chunks, 1], SUM_THREADS);
        let launch = launch.shared(SUM_THREADS as usize / 32 * columns * size_of::<f32>());
        arguments(launch.int(m).int(n)).write(&sums.view_mut()).flag(wide).run()?;
        let launch = self.launch("add_partials").blocks(n.div_ceil(SUM_THREADS as usize), SUM_THREADS);
        launch.int(chunks).int(n).read(sums.view()).write(y).run()
    }
}

impl Elementwise for Cuda {
    fn add(&self, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        elementwise::check_add(self.call("add"), x, y.as_view())?;
        let (len, dtype) = (y.len, y.buffer.dtype());
        let wide = packs::wide(16, &[x, y.as_view()]);
        let launch = self
            .launch(if dtype == DType::F32 { "add_f32" } else { "add_bf16" })
            .blocks(pack_blocks(len, dtype), THREADS);
        launch.long(len).read(x).write(&y).flag(wide).run()
    }

    fn scale(&self, factor: f32, y: ViewMut<'_, Buffer>) -> Result<()> {
        let (len, dtype) = (y.len, y.buffer.dtype());
        self.call("scale").float32_or_activations("y", y.as_view(), len)?;
        let wide = packs::wide(16, &[y.as_view()]);
        let launch = self
            .launch(if dtype == DType::F32 { "scale_f32" } else { "scale_bf16" })
            .blocks(pack_blocks(len, dtype), THREADS);
        launch.long(len).float(factor).write(&y).flag(wide).run()
    }

    fn copy_columns(
        &self,
        m: usize,
        width: usize,
        x: View<'_, Buffer>,
        from: Columns,
        y: ViewMut<'_, Buffer>,
        to: Columns,
    ) -> Result<()> {
        elementwise::check_copy_columns(m, width, x, from, y.as_view(), to)?;
        let dtype = x.buffer.dtype();
        let kernel = match dtype {
            DType::F32 => "copy_columns_f32",
            DType::Bf16 => "copy_columns_bf16",
            other => return Err(Error::argument("copy_columns", "float32 or bfloat16", other)),
        };
        let aligned = |columns: Columns| (columns.stride * dtype.size()) | (columns.start * dtype.size());
        let wide = packs::wide(aligned(from) | aligned(to), &[x, y.as_view()]);
        let launch = self.launch(kernel).grid([m, pack_blocks(width, dtype), 1], THREADS).int(width);
        let launch = launch.read(x).int(from.stride).int(from.start);
        launch.write(&y).int(to.stride).int(to.start).flag(wide).run()
    }

    fn sum_rows(&self, m: usize, n: usize, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        elementwise::check_sum_rows(self.call("sum_rows"), m, n, x, y.as_view())?;
        let wide = packs::wide(n * self.dtype.size(), &[x]);
        self.add_column_sums((m, n), &y, ["sum_rows_f32", "sum_rows_bf16"], wide, |launch| launch.read(x))
    }
}

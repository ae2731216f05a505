//! `elementwise`: launches of `kernels/elementwise.cu`.

use tunesmith_ops::{Columns, DType, Elementwise, Error, Result, View, ViewMut};

use crate::memory::Buffer;
use crate::{Cuda, check};

const THREADS: u32 = 256;

/// Rows of a chunk and threads of a block in sums down columns; `common/columns.cuh`.
pub(crate) const SUM_CHUNK: usize = 256;
pub(crate) const SUM_THREADS: u32 = 128;

/// Blocks that give every pack of 16 bytes a thread.
pub(crate) fn pack_blocks(len: usize, dtype: DType) -> usize {
    len.div_ceil(THREADS as usize * 16 / dtype.size())
}

impl Cuda {
    /// `y[n] +=` the sum of what `partials(grid, buffer)` leaves, one row of `n` per chunk of 256 of the `m` rows.
    pub(crate) fn add_column_sums(
        &self,
        (m, n): (usize, usize),
        y: &ViewMut<'_, Buffer>,
        partials: impl FnOnce([usize; 3], &ViewMut<'_, Buffer>) -> Result<()>,
    ) -> Result<()> {
        let (blocks, chunks) = (n.div_ceil(SUM_THREADS as usize), m.div_ceil(SUM_CHUNK));
        if blocks == 0 || chunks == 0 {
            return Ok(());
        }
        let mut sums = self.undefined(DType::F32, chunks * n)?;
        partials([blocks, chunks, 1], &sums.view_mut())?;
        let launch = self.launch("add_partials").blocks(blocks, SUM_THREADS);
        launch.int(chunks).int(n).read(sums.view()).write(y).run()
    }
}

/// Checks that a block of `width` columns lies in the `m` rows of a window.
fn block(op: &str, name: &str, m: usize, width: usize, columns: Columns, view: View<'_, Buffer>) -> Result<()> {
    let Columns { stride, start } = columns;
    if start.checked_add(width).is_none_or(|end| end > stride) {
        let got = format!("{width} from {start}");
        return Err(Error::argument(op, format!("columns of {name} inside {stride}"), got));
    }
    check::window(op, name, view, None, m * stride)
}

impl Elementwise for Cuda {
    fn add(&self, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        let (op, len, dtype) = ("add", y.len, self.dtype);
        check::read(op, "x", x, dtype, len)?;
        check::write(op, "y", &y, dtype, len)?;
        let wide = check::wide(16, &[x, y.as_view()]);
        let launch = self.launch_activations("add_f32", "add_bf16").blocks(pack_blocks(len, dtype), THREADS);
        launch.long(len).read(x).write(&y).flag(wide).run()
    }

    fn scale(&self, factor: f32, y: ViewMut<'_, Buffer>) -> Result<()> {
        let (len, dtype) = (y.len, self.dtype);
        check::write("scale", "y", &y, dtype, len)?;
        let wide = check::wide(16, &[y.as_view()]);
        let launch = self.launch_activations("scale_f32", "scale_bf16").blocks(pack_blocks(len, dtype), THREADS);
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
        let (op, dtype) = ("copy_columns", x.buffer.dtype());
        block(op, "x", m, width, from, x)?;
        block(op, "y", m, width, to, y.as_view())?;
        check::write(op, "y", &y, dtype, y.len)?;
        let kernel = match dtype {
            DType::F32 => "copy_columns_f32",
            DType::Bf16 => "copy_columns_bf16",
            other => return Err(Error::argument(op, "float32 or bfloat16", other)),
        };
        let aligned = |columns: Columns| (columns.stride * dtype.size()) | (columns.start * dtype.size());
        let wide = check::wide(aligned(from) | aligned(to), &[x, y.as_view()]);
        let launch = self.launch(kernel).grid([m, pack_blocks(width, dtype), 1], THREADS).int(width);
        let launch = launch.read(x).int(from.stride).int(from.start);
        launch.write(&y).int(to.stride).int(to.start).flag(wide).run()
    }

    fn sum_rows(&self, m: usize, n: usize, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        let op = "sum_rows";
        check::read(op, "x", x, self.dtype, m * n)?;
        check::write(op, "y", &y, DType::F32, n)?;
        self.add_column_sums((m, n), &y, |grid, partials| {
            let launch = self.launch_activations("sum_rows_f32", "sum_rows_bf16").grid(grid, SUM_THREADS);
            launch.int(m).int(n).read(x).write(partials).run()
        })
    }
}

//! `embedding`: launches of `kernels/embedding.cu`.

use tunesmith_ops::{DType, Embedding, Error, Matrix, Result, TypedBuffer, View, ViewMut, embedding};

use crate::device::Buffer;
use crate::weight::{Data, Weight};
use crate::{Cuda, packs};

const THREADS: u32 = 256;

/// Ids that one block sorts.
const RUN: usize = 1024;

/// Bytes of an (id, index) pair.
const KEY: usize = 8;

impl Cuda {
    /// (id, index) pairs in ascending order.
    fn sorted_ids(&self, ids: View<'_, Buffer>) -> Result<Buffer> {
        let n = ids.len;
        let mut keys = self.undefined(DType::I32, n * KEY / 4)?;
        let launch = self.launch("embedding_sort").blocks(n.div_ceil(RUN), RUN as u32).shared(RUN * KEY);
        launch.int(n).read(ids).write(&keys.view_mut()).run()?;
        let mut length = RUN;
        while length < n {
            let mut merged = self.undefined(DType::I32, n * KEY / 4)?;
            let launch = self.launch("embedding_merge").blocks(n.div_ceil(THREADS as usize), THREADS);
            launch.int(n).int(length).read(keys.view()).write(&merged.view_mut()).run()?;
            keys = merged;
            length *= 2;
        }
        Ok(keys)
    }
}

impl Embedding for Cuda {
    fn embedding_forward(
        &self,
        v: usize,
        d: usize,
        table: Matrix<'_, Weight, Buffer>,
        ids: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let call = self.call("embedding_forward");
        table.check_rows(call, v, d, |weight| (weight.n, weight.k))?;
        embedding::check_forward(call, d, ids, y.as_view())?;
        let expanded;
        let table = match table {
            Matrix::Trained(view) => view,
            Matrix::Frozen(weight) => match &weight.data {
                Data::Dense(buffer) => buffer.view(),
                // No loader quantises a table of embeddings; whoever has one pays for the whole of it.
                Data::Nf4(matrix) => {
                    expanded = self.nf4_part(matrix, self.dtype, 0..v, 0..d)?;
                    expanded.view()
                }
            },
        };
        let kernel = match (table.buffer.dtype(), self.dtype) {
            (DType::F32, DType::F32) => "embedding_gather_f32_f32",
            (DType::F32, DType::Bf16) => "embedding_gather_f32_bf16",
            (DType::Bf16, DType::F32) => "embedding_gather_bf16_f32",
            (DType::Bf16, DType::Bf16) => "embedding_gather_bf16_bf16",
            (other, _) => return Err(Error::argument(call.op, "a table of float32 or bfloat16", other)),
        };
        let narrow = self.dtype.size().min(table.buffer.dtype().size());
        let wide = packs::wide(d * narrow, &[table, y.as_view()]);
        let launch = self.launch(kernel).blocks(ids.len, THREADS).int(v).int(d);
        launch.read(table).read(ids).write(&y).flag(wide).run()
    }

    fn embedding_backward(
        &self,
        v: usize,
        d: usize,
        dy: View<'_, Buffer>,
        ids: View<'_, Buffer>,
        dtable: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, n) = (self.call("embedding_backward"), ids.len);
        embedding::check_backward(call, v, d, dy, ids, dtable.as_view())?;
        let kernel = match (self.dtype, dtable.buffer.dtype()) {
            (DType::F32, DType::F32) => "embedding_scatter_f32_f32",
            (_, DType::F32) => "embedding_scatter_bf16_f32",
            (DType::Bf16, DType::Bf16) => "embedding_scatter_bf16_bf16",
            (_, other) => return Err(Error::argument(call.op, "a gradient of float32 or of the activations", other)),
        };
        if n == 0 || d == 0 {
            return Ok(());
        }
        let keys = self.sorted_ids(ids)?;
        let narrow = self.dtype.size().min(dtable.buffer.dtype().size());
        let wide = packs::wide(d * narrow, &[dy, dtable.as_view()]);
        let launch = self.launch(kernel).blocks(n, THREADS).int(n).int(v).int(d);
        launch.read(keys.view()).read(dy).write(&dtable).flag(wide).run()
    }
}

//! `cross_entropy`: the launch of `kernels/cross_entropy.cu`.

use tunesmith_ops::{CrossEntropy, DType, Error, LogitTransform, Result, View, ViewMut};

use crate::memory::Buffer;
use crate::{Cuda, check};

const THREADS: u32 = 1024;

/// Shared memory for what the warps of a block tell each other: four words each.
const PARTS: usize = THREADS as usize / 32 * 16;

impl CrossEntropy for Cuda {
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
        transform: LogitTransform,
        logits: ViewMut<'_, Buffer>,
        labels: View<'_, Buffer>,
        weights: Option<View<'_, Buffer>>,
        nll: ViewMut<'_, Buffer>,
        entropy: ViewMut<'_, Buffer>,
        correct: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let op = "cross_entropy";
        if v == 0 {
            return Err(Error::argument(op, "at least one logit a row", v));
        }
        transform.check(op)?;
        check::write(op, "logits", &logits, self.dtype, m * v)?;
        check::read(op, "labels", labels, DType::I32, m)?;
        if let Some(weights) = weights {
            check::read(op, "weights", weights, DType::F32, m)?;
        }
        for (name, output) in [("nll", &nll), ("entropy", &entropy), ("correct", &correct)] {
            check::write(op, name, output, DType::F32, m)?;
        }
        // As much of a row as fits stays in shared memory between the sum and the gradient.
        let pieces = v.div_ceil(16 / self.dtype.size());
        let kept = pieces.min((self.attributes().shared_memory - PARTS) / 16);
        let kept = if weights.is_some() { kept } else { 0 };
        let launch = self.launch_activations("cross_entropy_f32", "cross_entropy_bf16").blocks(m, THREADS);
        let launch = launch.shared(PARTS + 16 * kept).write(&logits).read(labels).read_some(weights);
        let launch = launch.write(&nll).write(&entropy).write(&correct).int(v);
        launch.float(transform.factor).float(transform.soft_cap.unwrap_or(0.0)).int(kept).run()
    }
}

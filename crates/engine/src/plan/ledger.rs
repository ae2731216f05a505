//! A backend that computes nothing and only keeps accounts: what a session would hold, found by the session's own code.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tunesmith_ops::nf4::NESTED_BLOCK;
use tunesmith_ops::{
    Activation, AdamW, AdamWStep, AdamWTensor, Attention, AttentionShape, Backend, Clip, Columns, CrossEntropy, DType,
    Dora, Dropout, DropoutMask, Elementwise, Embedding, GradNorm, GroupedMatmul, GroupedShape, Host, LogitTransform,
    Lora, LoraMatmul, Matmul, MatmulShape, Matrix, Memory, MemoryStats, Nf4, Nf4Matrix, Nf4Options, NormShape, Result,
    RmsNorm, Rope, RopeShape, Rotation, Router, RouterShape, Sequences, Stack, Storage, Swiglu, View, ViewMut,
};

/// How a backend lays out what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Dtype of activations.
    pub activations: DType,
    /// Every allocation is rounded up to this many bytes.
    pub unit: usize,
    /// Rows of a frozen weight are rounded up to this many.
    pub panel: usize,
}

impl Layout {
    /// The CPU backend's: cache lines, and panels of 32 rows.
    pub const CPU: Self = Self { activations: DType::F32, unit: 64, panel: 32 };
}

#[derive(Debug, Default)]
struct Accounts {
    in_use: AtomicUsize,
    peak: AtomicUsize,
}

/// Bytes on the books until they are dropped.
#[derive(Debug)]
pub struct Held {
    len: usize,
    bytes: usize,
    accounts: Arc<Accounts>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.accounts.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The backend. Reading gives zeros, and every op succeeds at once.
#[derive(Debug)]
pub struct Ledger {
    layout: Layout,
    accounts: Arc<Accounts>,
}

impl Ledger {
    /// Empty books of a backend with this layout.
    pub fn new(layout: Layout) -> Self {
        Self { layout, accounts: Arc::default() }
    }

    /// A weight in four bits: codes and scales are allocated apart.
    pub fn hold_nf4(&self, elements: usize, options: Nf4Options) -> Held {
        let blocks = options.blocks(elements);
        let scales =
            if options.double_quant { vec![blocks, 4 * blocks.div_ceil(NESTED_BLOCK)] } else { vec![4 * blocks] };
        let scales = scales.into_iter().map(|bytes| self.rounded(bytes)).sum::<usize>();
        self.hold(elements, self.rounded(elements.div_ceil(2)).saturating_add(scales))
    }

    /// Bytes as the backend allocates them.
    pub(super) fn rounded(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.layout.unit).saturating_mul(self.layout.unit)
    }

    fn hold(&self, len: usize, bytes: usize) -> Held {
        let bytes = self.rounded(bytes);
        let in_use = self.accounts.in_use.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.accounts.peak.fetch_max(in_use, Ordering::Relaxed);
        Held { len, bytes, accounts: Arc::clone(&self.accounts) }
    }
}

impl Memory for Ledger {
    type Buffer = Held;

    fn activation_dtype(&self) -> DType {
        self.layout.activations
    }

    fn keeps_values(&self) -> bool {
        false
    }

    fn zeros(&self, dtype: DType, len: usize) -> Result<Held> {
        Ok(self.hold(len, len.saturating_mul(dtype.size())))
    }

    fn upload(&self, host: Host<'_>) -> Result<Held> {
        self.zeros(host.dtype(), host.len())
    }

    fn write(&self, _: Host<'_>, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: View<'_, Held>, target: &mut [f32]) -> Result<()> {
        target.fill(0.0);
        Ok(())
    }

    fn copy(&self, _: View<'_, Held>, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }

    fn len(&self, buffer: &Held) -> usize {
        buffer.len
    }

    fn memory_stats(&self) -> MemoryStats {
        let [in_use, peak] = [&self.accounts.in_use, &self.accounts.peak].map(|count| count.load(Ordering::Relaxed));
        MemoryStats { in_use, peak }
    }
}

impl Matmul for Ledger {
    type Weight = Held;

    fn prepare_weight(&self, n: usize, k: usize, _: Host<'_>, storage: Storage) -> Result<Held> {
        let size = match storage {
            Storage::F32 => 4,
            Storage::Bf16 => 2,
        };
        let padded = n.next_multiple_of(self.layout.panel).saturating_mul(k);
        Ok(self.hold(n * k, padded.saturating_mul(size)))
    }

    fn read_weight(&self, _: &Held, _: usize, _: usize, target: &mut [f32]) -> Result<()> {
        target.fill(0.0);
        Ok(())
    }

    fn matmul_forward(
        &self,
        _: MatmulShape,
        _: View<'_, Held>,
        _: Matrix<'_, Held, Held>,
        _: Option<View<'_, Held>>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn matmul_backward_input(
        &self,
        _: MatmulShape,
        _: View<'_, Held>,
        _: Matrix<'_, Held, Held>,
        _: ViewMut<'_, Held>,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }

    fn matmul_backward_weight(
        &self,
        _: MatmulShape,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl LoraMatmul for Ledger {
    fn lora_forward(
        &self,
        _: MatmulShape,
        _: View<'_, Held>,
        _: Option<View<'_, Held>>,
        _: Matrix<'_, Held, Held>,
        _: Option<View<'_, Held>>,
        _: Lora<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn lora_backward(
        &self,
        _: MatmulShape,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: Matrix<'_, Held, Held>,
        _: Lora<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
        _: Option<ViewMut<'_, Held>>,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }
}

impl Nf4 for Ledger {
    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Held> {
        Ok(self.hold_nf4(n * k, matrix.options()))
    }
}

impl Elementwise for Ledger {
    fn add(&self, _: View<'_, Held>, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }

    fn scale(&self, _: f32, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }

    fn copy_columns(
        &self,
        _: usize,
        _: usize,
        _: View<'_, Held>,
        _: Columns,
        _: ViewMut<'_, Held>,
        _: Columns,
    ) -> Result<()> {
        Ok(())
    }

    fn sum_rows(&self, _: usize, _: usize, _: View<'_, Held>, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }
}

impl Embedding for Ledger {
    fn embedding_forward(
        &self,
        _: usize,
        _: usize,
        _: Matrix<'_, Held, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn embedding_backward(
        &self,
        _: usize,
        _: usize,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl RmsNorm for Ledger {
    fn rms_norm_forward(
        &self,
        _: NormShape,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn rms_norm_add_forward(
        &self,
        _: NormShape,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn rms_norm_backward(
        &self,
        _: NormShape,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: bool,
        _: Option<ViewMut<'_, Held>>,
    ) -> Result<()> {
        Ok(())
    }
}

impl Rope for Ledger {
    fn rope(
        &self,
        _: RopeShape,
        _: ViewMut<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: f32,
        _: Rotation,
    ) -> Result<()> {
        Ok(())
    }
}

impl Attention for Ledger {
    type Plan = ();

    fn plan_attention(&self, _: Sequences<'_>) -> Result<()> {
        Ok(())
    }

    fn attention_forward(
        &self,
        _: &AttentionShape,
        (): &(),
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: Option<ViewMut<'_, Held>>,
    ) -> Result<()> {
        Ok(())
    }

    fn attention_backward(
        &self,
        _: &AttentionShape,
        (): &(),
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl Swiglu for Ledger {
    fn swiglu_forward(&self, _: Activation, _: View<'_, Held>, _: View<'_, Held>, _: ViewMut<'_, Held>) -> Result<()> {
        Ok(())
    }

    fn swiglu_backward(
        &self,
        _: Activation,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl CrossEntropy for Ledger {
    fn cross_entropy(
        &self,
        _: usize,
        _: usize,
        _: LogitTransform,
        _: ViewMut<'_, Held>,
        _: View<'_, Held>,
        _: Option<View<'_, Held>>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl Dropout for Ledger {
    fn dropout(
        &self,
        _: usize,
        _: usize,
        _: DropoutMask,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: f32,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }
}

impl Dora for Ledger {
    fn dora_norms(
        &self,
        _: usize,
        _: usize,
        _: Matrix<'_, Held, Held>,
        _: Lora<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn dora_forward(
        &self,
        _: usize,
        _: usize,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: Option<View<'_, Held>>,
        _: ViewMut<'_, Held>,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }

    fn dora_backward(
        &self,
        _: usize,
        _: usize,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl GradNorm for Ledger {
    type Norm = ();

    fn grad_norm(&self, _: &Clip, _: &[View<'_, Held>]) -> Result<()> {
        Ok(())
    }

    fn read_norm(&self, (): &()) -> Result<f64> {
        Ok(0.0)
    }
}

impl AdamW for Ledger {
    fn adamw(&self, _: &AdamWStep, (): &(), _: &mut [AdamWTensor<'_, Held>]) -> Result<()> {
        Ok(())
    }
}

impl Router for Ledger {
    fn router_forward(
        &self,
        _: RouterShape,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn router_backward(
        &self,
        _: RouterShape,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn router_group(
        &self,
        _: RouterShape,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn combine_forward(
        &self,
        _: RouterShape,
        _: usize,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn combine_backward(
        &self,
        _: RouterShape,
        _: usize,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl GroupedMatmul for Ledger {
    type Stacked = Vec<Held>;

    fn stack_weights(&self, _: usize, _: usize, weights: Vec<Held>) -> Result<Vec<Held>> {
        Ok(weights)
    }

    fn grouped_forward(
        &self,
        _: GroupedShape,
        _: View<'_, Held>,
        _: Stack<'_, Vec<Held>, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn grouped_backward_input(
        &self,
        _: GroupedShape,
        _: View<'_, Held>,
        _: Stack<'_, Vec<Held>, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn grouped_backward_weight(
        &self,
        _: GroupedShape,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: View<'_, Held>,
        _: ViewMut<'_, Held>,
    ) -> Result<()> {
        Ok(())
    }
}

impl Backend for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }
}

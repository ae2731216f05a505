//! A backend that computes nothing and only keeps accounts: what a session would hold, found by the session's own code.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tunesmith_ops::nf4::NESTED_BLOCK;
use tunesmith_ops::{
    Activation, Adafactor, AdafactorStep, AdafactorTensor, AdamW, AdamWStep, AdamWTensor, Attention, AttentionShape,
    Backend, BlockwiseRule, BlockwiseStep, BlockwiseTensor, Clip, Columns, CrossEntropy, DType, Dora, Dropout,
    DropoutMask, Elementwise, ElementwiseRule, ElementwiseStep, Embedding, GradNorm, GroupedMatmul, GroupedShape, Host,
    LogitTransform, Lora, LoraMatmul, Matmul, MatmulShape, Matrix, Memory, MemoryStats, Muon, MuonStep, MuonTensor,
    MuonWorkspace, Neftune, Nf4, Nf4Matrix, Nf4Options, NormShape, Result, RmsNorm, Rope, RopeShape, Rotation, Router,
    RouterShape, RowGradient, RowValues, Sequences, Sgd, SgdStep, SgdTensor, Stack, StepTensor, Storage, Swiglu, View,
    ViewMut,
};

/// How a backend lays out what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLayout {
    /// Dtype of activations.
    pub activations: DType,
    /// Every allocation is rounded up to this many bytes.
    pub unit: usize,
    /// Rows of a frozen weight are rounded up to this many.
    pub panel: usize,
}

impl DeviceLayout {
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
pub struct LedgerBuffer {
    len: usize,
    bytes: usize,
    accounts: Arc<Accounts>,
}

impl Drop for LedgerBuffer {
    fn drop(&mut self) {
        self.accounts.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The backend. Reading gives zeros, and every op succeeds at once.
#[derive(Debug)]
pub struct Ledger {
    layout: DeviceLayout,
    accounts: Arc<Accounts>,
}

impl Ledger {
    /// Empty books of a backend with this layout.
    pub fn new(layout: DeviceLayout) -> Self {
        Self { layout, accounts: Arc::default() }
    }

    /// A weight in four bits: codes and scales are allocated apart.
    pub fn hold_nf4(&self, elements: usize, options: Nf4Options) -> LedgerBuffer {
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

    fn hold(&self, len: usize, bytes: usize) -> LedgerBuffer {
        let bytes = self.rounded(bytes);
        let in_use = self.accounts.in_use.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.accounts.peak.fetch_max(in_use, Ordering::Relaxed);
        LedgerBuffer { len, bytes, accounts: Arc::clone(&self.accounts) }
    }
}

impl Memory for Ledger {
    type Buffer = LedgerBuffer;

    fn activation_dtype(&self) -> DType {
        self.layout.activations
    }

    fn keeps_values(&self) -> bool {
        false
    }

    fn zeros(&self, dtype: DType, len: usize) -> Result<LedgerBuffer> {
        Ok(self.hold(len, len.saturating_mul(dtype.size())))
    }

    fn upload(&self, host: Host<'_>) -> Result<LedgerBuffer> {
        self.zeros(host.dtype(), host.len())
    }

    fn write(&self, _: Host<'_>, _: ViewMut<'_, LedgerBuffer>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: View<'_, LedgerBuffer>, target: &mut [f32]) -> Result<()> {
        target.fill(0.0);
        Ok(())
    }

    fn copy(&self, _: View<'_, LedgerBuffer>, _: ViewMut<'_, LedgerBuffer>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, _: ViewMut<'_, LedgerBuffer>) -> Result<()> {
        Ok(())
    }

    fn len(&self, buffer: &LedgerBuffer) -> usize {
        buffer.len
    }

    fn memory_stats(&self) -> MemoryStats {
        let [in_use, peak] = [&self.accounts.in_use, &self.accounts.peak].map(|count| count.load(Ordering::Relaxed));
        MemoryStats { in_use, peak }
    }
}

type In<'a> = View<'a, LedgerBuffer>;
type Out<'a> = ViewMut<'a, LedgerBuffer>;

/// Ops that take their arguments and do nothing.
macro_rules! free {
    ($($op:ident($($argument:ty),* $(,)?);)+) => {
        $(fn $op(&self, $(_: $argument),*) -> Result<()> {
            Ok(())
        })+
    };
}

impl Matmul for Ledger {
    type Weight = LedgerBuffer;

    fn prepare_weight(&self, n: usize, k: usize, _: Host<'_>, storage: Storage) -> Result<LedgerBuffer> {
        let size = match storage {
            Storage::F32 => 4,
            Storage::Bf16 => 2,
        };
        let padded = n.next_multiple_of(self.layout.panel).saturating_mul(k);
        Ok(self.hold(n * k, padded.saturating_mul(size)))
    }

    fn read_weight(&self, _: &LedgerBuffer, _: usize, _: usize, target: &mut [f32]) -> Result<()> {
        target.fill(0.0);
        Ok(())
    }

    free! {
        matmul_forward(MatmulShape, In<'_>, Matrix<'_, LedgerBuffer, LedgerBuffer>, Option<In<'_>>, Out<'_>);
        matmul_backward_input(MatmulShape, In<'_>, Matrix<'_, LedgerBuffer, LedgerBuffer>, Out<'_>, bool);
        matmul_backward_weight(MatmulShape, In<'_>, In<'_>, Out<'_>);
    }
}

impl LoraMatmul for Ledger {
    free! {
        lora_forward(
            MatmulShape, In<'_>, Option<In<'_>>, Matrix<'_, LedgerBuffer, LedgerBuffer>, Option<In<'_>>, Lora<'_, LedgerBuffer>, Out<'_>, Out<'_>,
        );
        lora_backward(
            MatmulShape, In<'_>, In<'_>, In<'_>, Matrix<'_, LedgerBuffer, LedgerBuffer>, Lora<'_, LedgerBuffer>, Out<'_>, Out<'_>, Out<'_>,
            Option<Out<'_>>, bool,
        );
    }
}

impl Nf4 for Ledger {
    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<LedgerBuffer> {
        Ok(self.hold_nf4(n * k, matrix.options()))
    }
}

impl Elementwise for Ledger {
    free! {
        add(In<'_>, Out<'_>);
        scale(f32, Out<'_>);
        copy_columns(usize, usize, In<'_>, Columns, Out<'_>, Columns);
        sum_rows(usize, usize, In<'_>, Out<'_>);
    }
}

impl Embedding for Ledger {
    free! {
        embedding_forward(usize, usize, Matrix<'_, LedgerBuffer, LedgerBuffer>, In<'_>, Out<'_>);
        embedding_backward(usize, usize, In<'_>, In<'_>, Out<'_>);
    }
}

impl RmsNorm for Ledger {
    free! {
        rms_norm_forward(NormShape, In<'_>, In<'_>, Out<'_>, Out<'_>);
        rms_norm_add_forward(NormShape, In<'_>, Out<'_>, In<'_>, Out<'_>, Out<'_>);
        rms_norm_backward(NormShape, In<'_>, In<'_>, In<'_>, In<'_>, Out<'_>, bool, Option<Out<'_>>);
    }
}

impl Rope for Ledger {
    free! {
        rope(RopeShape, Out<'_>, In<'_>, In<'_>, f32, Rotation);
    }
}

impl Attention for Ledger {
    type Plan = ();

    free! {
        plan_attention(Sequences<'_>);
        attention_forward(&AttentionShape, &(), In<'_>, In<'_>, In<'_>, Out<'_>, Option<Out<'_>>);
        attention_backward(
            &AttentionShape, &(), In<'_>, In<'_>, In<'_>, In<'_>, In<'_>, In<'_>, Out<'_>, Out<'_>, Out<'_>,
        );
    }
}

impl Swiglu for Ledger {
    free! {
        swiglu_forward(Activation, In<'_>, In<'_>, Out<'_>);
        swiglu_backward(Activation, In<'_>, Out<'_>, Out<'_>);
    }
}

impl CrossEntropy for Ledger {
    free! {
        cross_entropy(usize, usize, LogitTransform, Out<'_>, In<'_>, RowGradient<'_, LedgerBuffer>, RowValues<'_, LedgerBuffer>);
    }
}

impl Dropout for Ledger {
    free! {
        dropout(usize, usize, DropoutMask, In<'_>, In<'_>, f32, In<'_>, Out<'_>, bool);
    }
}

impl Dora for Ledger {
    free! {
        dora_norms(usize, usize, Matrix<'_, LedgerBuffer, LedgerBuffer>, Lora<'_, LedgerBuffer>, Out<'_>);
        dora_forward(usize, usize, In<'_>, In<'_>, In<'_>, Option<In<'_>>, Out<'_>, bool);
        dora_backward(usize, usize, In<'_>, In<'_>, In<'_>, In<'_>, Out<'_>, Out<'_>);
    }
}

impl GradNorm for Ledger {
    type Norm = ();

    free! {
        grad_norm(&Clip, &[In<'_>]);
    }

    fn read_norm(&self, (): &()) -> Result<f64> {
        Ok(0.0)
    }
}

impl AdamW for Ledger {
    free! {
        adamw(&AdamWStep, &(), &mut [AdamWTensor<'_, LedgerBuffer>]);
    }
}

impl Router for Ledger {
    free! {
        router_forward(RouterShape, In<'_>, Out<'_>, Out<'_>, Out<'_>);
        router_backward(RouterShape, In<'_>, In<'_>, In<'_>, Out<'_>);
        router_group(RouterShape, In<'_>, Out<'_>, Out<'_>, Out<'_>);
        combine_forward(RouterShape, usize, In<'_>, In<'_>, In<'_>, Out<'_>);
        combine_backward(RouterShape, usize, In<'_>, In<'_>, In<'_>, In<'_>, Out<'_>, Out<'_>);
    }
}

impl GroupedMatmul for Ledger {
    type Stacked = Vec<LedgerBuffer>;

    fn stack_weights(&self, _: usize, _: usize, weights: Vec<LedgerBuffer>) -> Result<Vec<LedgerBuffer>> {
        Ok(weights)
    }

    free! {
        grouped_forward(GroupedShape, In<'_>, Stack<'_, Vec<LedgerBuffer>, LedgerBuffer>, In<'_>, Out<'_>);
        grouped_backward_input(GroupedShape, In<'_>, Stack<'_, Vec<LedgerBuffer>, LedgerBuffer>, In<'_>, Out<'_>);
        grouped_backward_weight(GroupedShape, In<'_>, In<'_>, In<'_>, Out<'_>);
    }
}

impl Sgd for Ledger {
    free! {
        sgd(&SgdStep, &(), &mut [SgdTensor<'_, LedgerBuffer>]);
    }
}

impl ElementwiseStep for Ledger {
    free! {
        elementwise_step(&ElementwiseRule, u64, &(), &mut [StepTensor<'_, LedgerBuffer>]);
    }
}

impl BlockwiseStep for Ledger {
    free! {
        blockwise_step(&BlockwiseRule, u64, &(), &mut [BlockwiseTensor<'_, LedgerBuffer>]);
    }
}

impl Neftune for Ledger {
    free! {
        neftune(usize, usize, u64, In<'_>, In<'_>, In<'_>, Out<'_>);
    }
}

impl Adafactor for Ledger {
    free! {
        adafactor(&AdafactorStep, &(), &mut [AdafactorTensor<'_, LedgerBuffer>]);
    }
}

impl Muon for Ledger {
    free! {
        muon(&MuonStep, &(), &mut [MuonTensor<'_, LedgerBuffer>], MuonWorkspace<'_, LedgerBuffer>);
    }
}

impl Backend for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }
}

//! `cross_entropy`: the launches of `kernels/cross_entropy.cu`.

use tunesmith_ops::{
    CrossEntropy, LocalObjective, LogitTransform, Result, RowGradient, RowValues, View, ViewMut, cross_entropy,
};

use crate::Cuda;
use crate::device::{Address, Buffer, Structure};

const THREADS: u32 = 1024;

/// Shared memory for what the warps of a block tell each other: six words each.
const PARTS: usize = THREADS as usize / 32 * 24;

fn address(view: View<'_, Buffer>) -> Address {
    view.buffer.address_of(view.start)
}

/// The structure `Gradient` of the kernels.
#[derive(Debug, Default)]
struct Gradient {
    asked: usize,
    weights: Address,
    /// Of log-probability, entropy, log-sum-exp and mean log-probability.
    coefficients: [Address; 4],
    label_smoothing: f32,
    z_loss: f32,
}

impl Gradient {
    fn of(gradient: RowGradient<'_, Buffer>) -> Self {
        match gradient {
            RowGradient::None => Self::default(),
            RowGradient::Coefficients(coefficients) => {
                let c = coefficients.map(address);
                let all = [c.log_prob, c.entropy, c.log_sum_exp, c.mean_log_prob];
                Self { asked: 1, coefficients: all.map(Option::unwrap_or_default), ..Self::default() }
            }
            RowGradient::Local { objective, weights } => {
                let weights = address(weights);
                match objective {
                    LocalObjective::Nll { label_smoothing, z_loss } => {
                        Self { asked: 2, weights, label_smoothing, z_loss, ..Self::default() }
                    }
                    LocalObjective::Dft => Self { asked: 3, weights, ..Self::default() },
                }
            }
        }
    }

    /// True when it has a part that costs something at every logit.
    fn is_full(&self) -> bool {
        let [_, entropy, _, mean_log_prob] = self.coefficients;
        entropy != 0 || mean_log_prob != 0 || self.label_smoothing != 0.0
    }

    fn words(&self) -> Result<Vec<u64>> {
        let pointers =
            self.coefficients.iter().fold(Structure::default().pointer(self.weights), |s, &at| s.pointer(at));
        pointers.float(self.label_smoothing).float(self.z_loss).int(self.asked).finish()
    }
}

impl CrossEntropy for Cuda {
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
        transform: LogitTransform,
        logits: ViewMut<'_, Buffer>,
        labels: View<'_, Buffer>,
        gradient: RowGradient<'_, Buffer>,
        values: RowValues<'_, Buffer>,
    ) -> Result<()> {
        let call = self.call("cross_entropy");
        cross_entropy::check(call, (m, v), transform, logits.as_view(), labels, &gradient, &values)?;
        let gradient = Gradient::of(gradient);
        let full = values.asks_for_more() || gradient.is_full();
        let mut pointers = Structure::default();
        for value in values.all() {
            pointers = pointers.pointer(value.map_or(0, |value| address(value.as_view())));
        }
        // As much of a row as fits stays in shared memory between the sum and the gradient.
        let pieces = v.div_ceil(16 / self.dtype.size());
        let kept = pieces.min((self.attributes().shared_memory - PARTS) / 16);
        let kept = if gradient.asked == 0 { 0 } else { kept };
        let launch = if full {
            self.launch_activations("cross_entropy_full_f32", "cross_entropy_full_bf16")
        } else {
            self.launch_activations("cross_entropy_f32", "cross_entropy_bf16")
        };
        let launch = launch.blocks(m, THREADS).shared(PARTS + 16 * kept).write(&logits).read(labels);
        let launch = launch.structure(&gradient.words()?).structure(&pointers.finish()?).int(v);
        launch.float(transform.factor).float(transform.soft_cap.unwrap_or(0.0)).int(kept).run()
    }
}

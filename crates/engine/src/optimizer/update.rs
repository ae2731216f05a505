//! One optimizer step: divide, clip by global norm, AdamW, clear.

use tunesmith_ops::{AdamWStep, AdamWTensor, Backend, Clip, DType, Memory, Result, View, ViewMut};

use super::parameters::{Gradients, Group, Parameters};

/// AdamW's constants, by the names of Hugging Face's `TrainingArguments`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerOptions {
    /// Decay of the first moment.
    pub adam_beta1: f64,
    /// Decay of the second moment.
    pub adam_beta2: f64,
    /// Added to the root of the second moment.
    pub adam_epsilon: f64,
    /// Decoupled decay of every group but [`Group::NoDecay`].
    pub weight_decay: f64,
}

/// What one update is asked to do.
#[derive(Debug, Clone)]
pub struct Update<'a> {
    /// One learning rate per group, in the order of [`Group::ALL`].
    pub learning_rates: &'a [f64],
    /// Clip the global norm to this; none: no clipping.
    pub max_grad_norm: Option<f64>,
    /// The summed gradient is divided by this.
    pub denominator: f64,
}

/// What one update did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Updated {
    /// Global L2 norm of the divided gradient, before clipping.
    pub grad_norm: f64,
    /// False when the gradient was not finite: nothing was changed but the gradient cleared.
    pub applied: bool,
}

/// Moments of every trained tensor and the number of steps taken.
pub struct Optimizer<B: Memory> {
    /// Constants.
    pub options: OptimizerOptions,
    /// Steps applied so far.
    pub step: u64,
    pub(crate) first_moments: Vec<B::Buffer>,
    pub(crate) second_moments: Vec<B::Buffer>,
}

impl<B: Backend> Optimizer<B> {
    /// Zero moments.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, parameters: &Parameters<B>, options: OptimizerOptions) -> Result<Self> {
        let zeros = || {
            let specs = parameters.specs().iter();
            specs.map(|spec| backend.zeros(DType::F32, spec.len())).collect::<Result<Vec<_>>>()
        };
        Ok(Self { options, step: 0, first_moments: zeros()?, second_moments: zeros()? })
    }

    /// Weight decay of a group.
    pub fn weight_decay(&self, group: Group) -> f64 {
        match group {
            Group::NoDecay => 0.0,
            _ => self.options.weight_decay,
        }
    }

    /// Takes one step and clears the gradient.
    ///
    /// # Errors
    /// `ArgumentInvalid` on a wrong number of learning rates or a denominator that is not positive.
    pub fn update(
        &mut self,
        backend: &B,
        parameters: &mut Parameters<B>,
        gradients: &mut Gradients<B>,
        update: &Update<'_>,
    ) -> Result<Updated> {
        check(update)?;
        let clip = Clip { denominator: update.denominator, max_grad_norm: update.max_grad_norm };
        let norm = backend.grad_norm(&clip, &gradients.views())?;
        self.apply(backend, parameters, gradients, update, &norm)?;
        gradients.clear(backend)?;
        // The only wait of a step: the device has skipped the step by itself where the norm is not finite.
        let grad_norm = backend.read_norm(&norm)?;
        let applied = grad_norm.is_finite();
        self.step += u64::from(applied);
        Ok(Updated { grad_norm, applied })
    }

    fn apply(
        &mut self,
        backend: &B,
        parameters: &mut Parameters<B>,
        gradients: &Gradients<B>,
        update: &Update<'_>,
        norm: &B::Norm,
    ) -> Result<()> {
        let step = AdamWStep {
            step: self.step + 1,
            beta1: self.options.adam_beta1,
            beta2: self.options.adam_beta2,
            epsilon: self.options.adam_epsilon,
        };
        let decays = Group::ALL.map(|group| self.weight_decay(group));
        let moments = self.first_moments.iter_mut().zip(&mut self.second_moments);
        let mut tensors: Vec<AdamWTensor<'_, B::Buffer>> = parameters
            .iter_mut()
            .zip(gradients.views())
            .zip(moments)
            .map(|(((spec, parameter), gradient), (first, second))| {
                let group = spec.group as usize;
                tensor(parameter, gradient, first, second, update.learning_rates[group], decays[group])
            })
            .collect();
        backend.adamw(&step, norm, &mut tensors)
    }
}

fn tensor<'a, T>(
    parameter: ViewMut<'a, T>,
    gradient: View<'a, T>,
    first: &'a mut T,
    second: &'a mut T,
    learning_rate: f64,
    weight_decay: f64,
) -> AdamWTensor<'a, T> {
    let len = parameter.len;
    AdamWTensor {
        parameter,
        gradient,
        first_moment: ViewMut::new(first, 0, len),
        second_moment: ViewMut::new(second, 0, len),
        learning_rate,
        weight_decay,
    }
}

fn check(update: &Update<'_>) -> Result<()> {
    if update.learning_rates.len() != Group::ALL.len() {
        return Err(tunesmith_ops::Error::argument(
            "update",
            format!("{} learning rates, one per parameter group", Group::ALL.len()),
            update.learning_rates.len(),
        ));
    }
    if !(update.denominator.is_finite() && update.denominator > 0.0) {
        return Err(tunesmith_ops::Error::argument("update", "a positive denominator", update.denominator));
    }
    Ok(())
}

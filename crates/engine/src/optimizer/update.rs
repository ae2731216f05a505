//! One optimizer step: divide, clip by global norm, step, clear.

use tunesmith_ops::{Backend, Clip, Error, Memory, Result, View};

use super::groups::{GroupInfo, Groups};
use super::options::OptimizerOptions;
use super::parameter_group::ParameterGroup;
use super::parameters::{Gradients, Parameters};
use super::schedule_free::PointWeights;
use super::slot::State;
use super::step::Step;
use super::trained::Trained;
use crate::internal::internal;

/// What one update is asked to do.
#[derive(Debug, Clone)]
pub struct Update<'a> {
    /// One learning rate for each group of the run, in their order.
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

/// What an optimizer keeps of the trained tensors, their groups, and the number of steps taken.
pub struct Optimizer<B: Memory> {
    options: OptimizerOptions,
    groups: Groups,
    /// Steps applied so far.
    pub step: u64,
    /// Weights of the points of a schedule-free optimizer, by group; not read by another one.
    pub points: Vec<PointWeights>,
    /// State of every trained tensor.
    pub state: State<B>,
    /// What gradients are multiplied with, by the numbers of their tensors.
    conditioners: Vec<Option<B::Buffer>>,
}

impl<B: Backend> Optimizer<B> {
    /// An optimizer before its first step: all state zero.
    ///
    /// # Errors
    /// `ArgumentInvalid` for groups that do not hold every trained tensor exactly once; `OutOfMemory`.
    pub fn new(
        backend: &B,
        parameters: &Parameters<B>,
        options: OptimizerOptions,
        groups: &[ParameterGroup],
    ) -> Result<Self> {
        let groups = Groups::new(groups, parameters)?;
        let points = vec![PointWeights::default(); groups.count()];
        let state = State::new(backend, parameters, |spec| options.slots(spec))?;
        let conditioners = options.conditioners(backend, parameters)?;
        Ok(Self { options, groups, step: 0, points, state, conditioners })
    }

    /// Looks again at the values that no step changes: they have been replaced.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn values_replaced(&mut self, backend: &B, parameters: &Parameters<B>) -> Result<()> {
        self.conditioners = self.options.conditioners(backend, parameters)?;
        Ok(())
    }

    /// The optimizer's name and constants.
    pub fn options(&self) -> &OptimizerOptions {
        &self.options
    }

    /// The groups of the run as they were resolved.
    pub fn groups(&self, parameters: &Parameters<B>) -> Vec<GroupInfo> {
        self.groups.info(parameters)
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
        self.check(update)?;
        let clip = Clip { denominator: update.denominator, max_grad_norm: update.max_grad_norm };
        let views = gradients.views().into_iter().zip(parameters.specs());
        let trained: Vec<_> = views.filter(|(_, spec)| self.options.trains(spec)).map(|(view, _)| view).collect();
        let norm = backend.grad_norm(&clip, &trained)?;
        let points = self.points_with(update);
        self.apply(backend, parameters, gradients, update, (&norm, &points))?;
        gradients.clear(backend)?;
        // The only wait of a step: the device has skipped the step by itself where the norm is not finite.
        let grad_norm = backend.read_norm(&norm)?;
        let applied = grad_norm.is_finite();
        self.step += u64::from(applied);
        if applied {
            self.points = points.into_iter().map(|(weights, _)| weights).collect();
        }
        Ok(Updated { grad_norm, applied })
    }

    fn apply(
        &mut self,
        backend: &B,
        parameters: &mut Parameters<B>,
        gradients: &Gradients<B>,
        update: &Update<'_>,
        (norm, points): (&B::Norm, &[(PointWeights, f64)]),
    ) -> Result<()> {
        let states = self.state.by_parameter(parameters.specs());
        let (groups, options) = (&self.groups, &self.options);
        let conditioners = self.conditioners.iter().map(Option::as_ref);
        let tensors = parameters
            .iter_mut()
            .zip(gradients.views())
            .zip(states)
            .zip(conditioners)
            .enumerate()
            .filter(|(_, ((((spec, _), _), _), _))| options.trains(spec))
            .map(|(number, ((((spec, parameter), gradient), slots), conditioner))| {
                let Some((group, decay)) = groups.of(number) else {
                    return Err(internal("update", "a group for every trained tensor"));
                };
                let (rate, (_, average)) = (update.learning_rates[group], points[group]);
                let r = spec.shape.last().copied().unwrap_or_default();
                let conditioner = conditioner.map(|values| View::new(values, 0, r * r));
                Ok(Trained { spec, parameter, gradient, slots, rate, decay, conditioner, average })
            })
            .collect::<Result<Vec<_>>>()?;
        self.options.step(&Step { backend, number: self.step + 1, norm }, tensors)
    }

    /// The weights of each group once this step has been taken, and the share of its point in the mean.
    fn points_with(&self, update: &Update<'_>) -> Vec<(PointWeights, f64)> {
        let with = |(weights, rate): (&PointWeights, &f64)| match self.options.schedule_free() {
            Some(options) => weights.with(options, self.step + 1, *rate),
            None => (*weights, 0.0),
        };
        self.points.iter().zip(update.learning_rates).map(with).collect()
    }

    fn check(&self, update: &Update<'_>) -> Result<()> {
        let (expected, got) = (self.groups.count(), update.learning_rates.len());
        if got != expected {
            let expected = format!("{expected} learning rates, one per parameter group");
            return Err(Error::argument("update", expected, got));
        }
        if !(update.denominator.is_finite() && update.denominator > 0.0) {
            return Err(Error::argument("update", "a positive denominator", update.denominator));
        }
        Ok(())
    }
}

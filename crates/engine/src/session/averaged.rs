//! The two points of a schedule-free optimizer: one is trained, the mean evaluates and is saved. While the parameters are the mean, the
//! trained point waits in the gradient's buffers, which hold nothing between two steps: neither memory nor a bit is lost.

use tunesmith_ops::{Backend, Error, Host, Result, View};

use super::state::{Session, Training};
use crate::optimizer::Parameters;

impl<B: Backend> Session<B> {
    /// Makes the parameters the mean, where the optimizer has one.
    ///
    /// # Errors
    /// `ArgumentInvalid` between an accumulation and its update: the gradient's buffers are taken.
    pub(super) fn switch_to_mean(&mut self, place: &str) -> Result<()> {
        let Some(training) = &mut self.training else { return Ok(()) };
        let parameters = self.adapters.trained_parameters_mut(&mut self.parameters);
        training.switch_to_mean(&*self.backend, parameters, place)
    }

    /// Makes the parameters the trained point again.
    ///
    /// # Errors
    /// Whatever the backend's copy fails with.
    pub(super) fn switch_to_trained(&mut self) -> Result<()> {
        let Some(training) = &mut self.training else { return Ok(()) };
        let parameters = self.adapters.trained_parameters_mut(&mut self.parameters);
        training.switch_to_trained(&*self.backend, parameters)
    }
}

impl<B: Backend> Training<B> {
    fn switch_to_mean(&mut self, backend: &B, parameters: &mut Parameters<B>, place: &str) -> Result<()> {
        let Some(options) = self.optimizer.options().schedule_free().copied() else { return Ok(()) };
        if self.is_mean {
            return Ok(());
        }
        if self.holds_gradient {
            let got = "one; call update or discardGradient first";
            return Err(Error::argument(place, "no summed gradient with a schedule-free optimizer", got));
        }
        for id in parameters.ids() {
            backend.copy(parameters.value(id), self.gradients.of(id))?;
            // Before the first step there is one point alone.
            if self.optimizer.step == 0 {
                continue;
            }
            let len = parameters.specs()[id.0].len();
            let [mut trained, mut stepped] = [vec![0.0; len], vec![0.0; len]];
            backend.read(parameters.value(id), &mut trained)?;
            if let Some((_, buffer)) = self.optimizer.state.tensors()[id.0].first() {
                backend.read(View::new(buffer, 0, len), &mut stepped)?;
            }
            let mean: Vec<f32> = trained.iter().zip(&stepped).map(|(y, z)| options.mean(*y, *z)).collect();
            backend.write(Host::F32(&mean), parameters.value_mut(id))?;
        }
        self.is_mean = true;
        Ok(())
    }

    fn switch_to_trained(&mut self, backend: &B, parameters: &mut Parameters<B>) -> Result<()> {
        if !self.is_mean {
            return Ok(());
        }
        for (id, trained) in parameters.ids().zip(self.gradients.views()) {
            backend.copy(trained, parameters.value_mut(id))?;
        }
        self.is_mean = false;
        self.clear(backend)
    }
}

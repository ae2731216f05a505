//! A trained tensor as a step of an optimizer takes it.

use tunesmith_ops::{Result, View, ViewMut};

use super::parameters::ParameterSpec;
use crate::internal::internal;

/// One trained tensor in a step.
pub(super) struct Trained<'a, T> {
    /// What it is.
    pub spec: &'a ParameterSpec,
    /// Updated in place.
    pub parameter: ViewMut<'a, T>,
    /// Summed gradient.
    pub gradient: View<'a, T>,
    /// Its state, in the order of the optimizer's slots; updated in place.
    pub slots: Vec<ViewMut<'a, T>>,
    /// Learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
    /// What the gradient is multiplied with.
    pub conditioner: Option<View<'a, T>>,
    /// Share of the newest point in the mean of a schedule-free optimizer.
    pub average: f64,
}

/// The views of so many slots.
pub(super) fn exactly<'a, T, const N: usize>(
    optimizer: &str,
    slots: Vec<ViewMut<'a, T>>,
) -> Result<[ViewMut<'a, T>; N]> {
    <[_; N]>::try_from(slots).map_err(|_| internal(optimizer, "as many slots as it has states"))
}

//! A trained tensor as a step of an optimizer takes it.

use tunesmith_ops::{View, ViewMut};

/// One trained tensor in a step.
pub(super) struct Trained<'a, T> {
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
}

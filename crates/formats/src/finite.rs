//! The one refusal of weights that are NaN or infinite, wherever they are read.

use tunesmith_ops::{Code, Error, Result};

/// Refuses NaN and infinity in `values`, which begin at element `first` of the tensor.
///
/// # Errors
/// `NonFinite` names the tensor and the first such element.
pub fn check_finite(name: &str, first: usize, values: &[f32]) -> Result<()> {
    let found = (first..).zip(values).find(|(_, value)| !value.is_finite());
    let Some((element, value)) = found else { return Ok(()) };
    Err(Error::new(
        Code::NonFinite,
        name,
        format!(
            "expected finite weights, got {value} at element {element}; the file is damaged or was saved from a diverged run"
        ),
    ))
}

//! Tensors of a model file, checked for their shape.

use tunesmith_formats::{StoredTensor, TensorSource};
use tunesmith_ops::{Code, Error, Result};

/// Elements that are checked at a time.
pub(super) const FINITE: usize = 1 << 18;

/// The tensor of that name, whose shape the configuration gives.
///
/// # Errors
/// `FileInvalid` where it is absent or has another shape.
pub(super) fn shaped<'a>(source: &'a dyn TensorSource, name: &str, shape: &[usize]) -> Result<StoredTensor<'a>> {
    let tensor = source.get(name)?;
    if tensor.shape == shape {
        return Ok(tensor);
    }
    Err(Error::new(
        Code::FileInvalid,
        name,
        format!(
            "expected shape {shape:?} by the configuration, got {:?}; config.json and weights do not belong together",
            tensor.shape
        ),
    ))
}

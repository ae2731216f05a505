//! Checks of the arguments of a call: each op lists those of its calls once, beside its trait, and every backend asks them.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::memory::{TypedBuffer, View};

/// One call of an op, on a backend whose activations have a dtype.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Name of the call, for errors.
    pub op: &'static str,
    /// Dtype of activations.
    pub activations: DType,
}

impl Call {
    /// A call of `op` on a backend with activations of a dtype.
    pub fn new(op: &'static str, activations: DType) -> Self {
        Self { op, activations }
    }

    /// Checks a view of `len` activations.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view, as the other checks.
    pub fn activations<T: TypedBuffer>(self, name: &str, view: View<'_, T>, len: usize) -> Result<()> {
        view.check(self.op, name, Some(self.activations), len)
    }

    /// Checks a view of `len` numbers in float32.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view.
    pub fn float32<T: TypedBuffer>(self, name: &str, view: View<'_, T>, len: usize) -> Result<()> {
        view.check(self.op, name, Some(DType::F32), len)
    }

    /// Checks a view of `len` numbers in float32 or in the activations' dtype.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view.
    pub fn float32_or_activations<T: TypedBuffer>(self, name: &str, view: View<'_, T>, len: usize) -> Result<()> {
        let dtype = view.buffer.dtype();
        view.check(self.op, name, Some(if dtype == self.activations { dtype } else { DType::F32 }), len)
    }

    /// Checks a view of `len` numbers in float32, where there is one.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view.
    pub fn float32_if_given<T: TypedBuffer>(self, name: &str, view: Option<View<'_, T>>, len: usize) -> Result<()> {
        view.map_or(Ok(()), |view| self.float32(name, view, len))
    }

    /// Checks a view of `len` integers.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view.
    pub fn int32<T: TypedBuffer>(self, name: &str, view: View<'_, T>, len: usize) -> Result<()> {
        view.check(self.op, name, Some(DType::I32), len)
    }

    /// Rows of `row` elements in a view.
    ///
    /// # Errors
    /// `ArgumentInvalid` when it is not whole rows.
    pub fn rows<T>(self, name: &str, view: View<'_, T>, row: usize) -> Result<usize> {
        if row != 0 && view.len.is_multiple_of(row) {
            return Ok(view.len / row);
        }
        Err(Error::argument(self.op, format!("{name} in rows of {row}"), format!("{} elements", view.len)))
    }

    /// Checks indices that the host sees: each from 0 to below `limit`.
    ///
    /// # Errors
    /// `ArgumentInvalid` with the first that is not.
    pub fn indices(self, name: &str, indices: &[i32], limit: usize) -> Result<()> {
        match indices.iter().find(|&&index| usize::try_from(index).map_or(true, |index| index >= limit)) {
            None => Ok(()),
            Some(index) => Err(Error::argument(self.op, format!("{name} in 0 .. {limit}"), index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words(DType, usize);

    impl TypedBuffer for Words {
        fn dtype(&self) -> DType {
            self.0
        }

        fn len(&self) -> usize {
            self.1
        }
    }

    #[test]
    fn a_view_of_another_dtype_length_or_place_is_refused_by_name() {
        let (call, half) = (Call::new("rope", DType::Bf16), Words(DType::Bf16, 8));
        assert_eq!(call.activations("x", View::new(&half, 4, 4), 4), Ok(()));
        assert_eq!(call.float32_or_activations("x", View::new(&half, 0, 8), 8), Ok(()));
        let message = |result: Result<()>| result.expect_err("an error").to_string();
        assert_eq!(message(call.float32("x", View::new(&half, 0, 8), 8)), "[rope] expected x of float32, got bfloat16");
        assert_eq!(message(call.activations("x", View::new(&half, 0, 3), 4)), "[rope] expected 4 elements in x, got 3");
        for start in [5, usize::MAX] {
            let got = message(call.activations("x", View::new(&half, start, 4), 4));
            let expected = format!("[rope] expected x inside its buffer of 8 elements, got 4 elements from {start}");
            assert_eq!(got, expected);
        }
        let other = Words(DType::F16, 1);
        let got = message(call.float32_or_activations("x", View::new(&other, 0, 1), 1));
        assert_eq!(got, "[rope] expected x of float32, got float16");
    }

    #[test]
    fn rows_are_whole_and_indices_in_their_range() {
        let (call, words) = (Call::new("router", DType::F32), Words(DType::F32, 6));
        assert_eq!(call.rows("x", View::new(&words, 0, 6), 3), Ok(2));
        assert!(
            call.rows("x", View::new(&words, 0, 6), 4).is_err() && call.rows("x", View::new(&words, 0, 6), 0).is_err()
        );
        assert_eq!(call.indices("ids", &[0, 4], 5), Ok(()));
        for bad in [5, -1] {
            let error = call.indices("ids", &[1, bad], 5).expect_err("an index outside").to_string();
            assert_eq!(error, format!("[router] expected ids in 0 .. 5, got {bad}"));
        }
    }
}

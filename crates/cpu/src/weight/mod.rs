//! Frozen weights, by how they are held, and matrices of a call as operands of a product.

mod dense;
mod nf4;

use tunesmith_ops::{Call, Host, Matrix, Nf4Matrix, Result, Storage};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::product::{Operand, Source};
use crate::views::floats;

use dense::Panels;
use nf4::Held;

/// A frozen weight `[n, k]`.
pub struct Weight {
    n: usize,
    k: usize,
    form: Form,
}

/// How a frozen weight is held.
enum Form {
    /// float32 or bfloat16, in panels.
    Panels(Panels),
    /// Four bits, row-major.
    Nf4(Held),
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.form {
            Form::Panels(panels) => format!("{:?}", panels.storage()),
            Form::Nf4(held) => format!("{:?}", held.matrix().options()),
        };
        write!(f, "Weight({} × {}, {kind})", self.n, self.k)
    }
}

impl Weight {
    /// Takes a row-major matrix from the host.
    pub(crate) fn prepare(cpu: &Cpu, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Self> {
        Ok(Self { n, k, form: Form::Panels(Panels::new(cpu, n, k, host, storage)?) })
    }

    /// Takes a quantised matrix.
    pub(crate) fn of_nf4(cpu: &Cpu, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Self> {
        matrix.check(n, k)?;
        Ok(Self { n, k, form: Form::Nf4(Held::new(cpu, matrix)?) })
    }

    /// As products read it.
    pub(crate) fn operand(&self) -> Operand<'_> {
        let source = match &self.form {
            Form::Panels(panels) => panels.source(),
            Form::Nf4(held) => Source::Nf4(held.matrix()),
        };
        Operand { n: self.n, k: self.k, source }
    }
}

/// The matrix of a call as products read it, after checking that it is `[n, k]`.
pub(crate) fn operand(call: Call, n: usize, k: usize, matrix: Matrix<'_, Weight, Buffer>) -> Result<Operand<'_>> {
    matrix.check(call, n, k, |weight| (weight.n, weight.k))?;
    Ok(match matrix {
        Matrix::Frozen(weight) => weight.operand(),
        Matrix::Trained(view) => Operand { n, k, source: Source::Rows(floats(view)) },
    })
}

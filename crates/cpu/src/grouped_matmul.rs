//! `grouped_matmul`: one product after another, each over all threads.

use std::ops::Range;

use tunesmith_ops::{Error, GroupedMatmul, GroupedShape, MatmulShape, Matrix, Result, Stack, View, ViewMut};

use crate::buffer::Buffer;
use crate::product::Operand;
use crate::weight::{Weight, operand};
use crate::{Cpu, check};

/// The rows of each group, checked.
fn groups(op: &str, shape: GroupedShape, starts: View<'_, Buffer>) -> Result<Vec<Range<usize>>> {
    let starts = check::integers(op, "starts", starts, shape.groups + 1)?;
    let ends_well = starts.first() == Some(&0) && starts.last().map(|end| i64::from(*end)) == Some(shape.m as i64);
    if !ends_well || !starts.is_sorted() {
        return Err(Error::argument(op, format!("starts ascending from 0 to {}", shape.m), format!("{starts:?}")));
    }
    Ok(starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize).collect())
}

/// The matrix of a group.
fn matrix<'a>(op: &str, shape: GroupedShape, w: Stack<'a, Vec<Weight>, Buffer>, group: usize) -> Result<Operand<'a>> {
    let GroupedShape { groups, n, k, .. } = shape;
    let matrix = match w {
        Stack::Trained(view) if view.len == groups * n * k => Matrix::Trained(view.part(group * n * k, n * k)?),
        Stack::Frozen(weights) if weights.len() == groups => Matrix::Frozen(&weights[group]),
        Stack::Trained(view) => return Err(Error::argument(op, format!("{groups} matrices of {n} × {k}"), view.len)),
        Stack::Frozen(weights) => return Err(Error::argument(op, format!("{groups} matrices"), weights.len())),
    };
    operand(op, n, k, matrix)
}

impl GroupedMatmul for Cpu {
    type Stacked = Vec<Weight>;

    fn stack_weights(&self, n: usize, k: usize, weights: Vec<Weight>) -> Result<Vec<Weight>> {
        for weight in &weights {
            operand("stack_weights", n, k, Matrix::Frozen(weight))?;
        }
        Ok(weights)
    }

    fn grouped_forward(
        &self,
        shape: GroupedShape,
        x: View<'_, Buffer>,
        w: Stack<'_, Vec<Weight>, Buffer>,
        starts: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, GroupedShape { m, n, k, .. }) = ("grouped_forward", shape);
        let x = check::floats(op, "x", x, m * k)?;
        let y = check::floats_mut(op, "y", y, m * n)?;
        for (g, rows) in groups(op, shape, starts)?.into_iter().enumerate() {
            let (w, one) = (matrix(op, shape, w, g)?, MatmulShape { m: rows.len(), n, k });
            let (x, y) = (&x[rows.start * k..rows.end * k], &mut y[rows.start * n..rows.end * n]);
            self.forward_tiles(one, x, w, None, None, y)?;
        }
        Ok(())
    }

    fn grouped_backward_input(
        &self,
        shape: GroupedShape,
        dy: View<'_, Buffer>,
        w: Stack<'_, Vec<Weight>, Buffer>,
        starts: View<'_, Buffer>,
        dx: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, GroupedShape { m, n, k, .. }) = ("grouped_backward_input", shape);
        let dy = check::floats(op, "dy", dy, m * n)?;
        let dx = check::floats_mut(op, "dx", dx, m * k)?;
        for (g, rows) in groups(op, shape, starts)?.into_iter().enumerate() {
            let (w, one) = (matrix(op, shape, w, g)?, MatmulShape { m: rows.len(), n, k });
            let (dy, dx) = (&dy[rows.start * n..rows.end * n], &mut dx[rows.start * k..rows.end * k]);
            self.backward_tiles(one, dy, w, None, dx, false)?;
        }
        Ok(())
    }

    fn grouped_backward_weight(
        &self,
        shape: GroupedShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        starts: View<'_, Buffer>,
        dw: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (op, GroupedShape { m, groups: count, n, k }) = ("grouped_backward_weight", shape);
        let dy = check::floats(op, "dy", dy, m * n)?;
        let x = check::floats(op, "x", x, m * k)?;
        let dw = check::floats_mut(op, "dw", dw, count * n * k)?;
        for (g, rows) in groups(op, shape, starts)?.into_iter().enumerate() {
            let (dy, x) = (&dy[rows.start * n..rows.end * n], &x[rows.start * k..rows.end * k]);
            self.token_sums(MatmulShape { m: rows.len(), n, k }, dy, x, &mut dw[g * n * k..(g + 1) * n * k])?;
        }
        Ok(())
    }
}

//! `grouped_matmul`: one product after another, each over all threads.

use std::ops::Range;

use tunesmith_ops::{Call, Error, GroupedMatmul, GroupedShape, MatmulShape, Matrix, Result, Stack, View, ViewMut};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::product::Operand;
use crate::views::{call, floats, floats_mut, integers};
use crate::weight::{Weight, operand};

/// The rows of each group, checked.
fn groups(call: Call, shape: GroupedShape, starts: View<'_, Buffer>) -> Result<Vec<Range<usize>>> {
    let starts = integers(starts);
    let ends_well = starts.first() == Some(&0) && starts.last().map(|end| i64::from(*end)) == Some(shape.m as i64);
    if !ends_well || !starts.is_sorted() {
        return Err(Error::argument(call.op, format!("starts ascending from 0 to {}", shape.m), format!("{starts:?}")));
    }
    Ok(starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize).collect())
}

/// Groups, out and in features of frozen matrices of a call, all of one size.
fn sizes(GroupedShape { n, k, .. }: GroupedShape, weights: &[Weight]) -> (usize, usize, usize) {
    (weights.len(), n, k)
}

/// The matrix of a group.
fn matrix(call: Call, shape: GroupedShape, w: Stack<'_, Vec<Weight>, Buffer>, group: usize) -> Result<Operand<'_>> {
    let GroupedShape { n, k, .. } = shape;
    let matrix = match w {
        Stack::Trained(view) => Matrix::Trained(view.part(group * n * k, n * k)?),
        Stack::Frozen(weights) => Matrix::Frozen(&weights[group]),
    };
    operand(call, n, k, matrix)
}

impl GroupedMatmul for Cpu {
    type Stacked = Vec<Weight>;

    fn stack_weights(&self, n: usize, k: usize, weights: Vec<Weight>) -> Result<Vec<Weight>> {
        for weight in &weights {
            operand(call("stack_weights"), n, k, Matrix::Frozen(weight))?;
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
        let (call, GroupedShape { n, k, .. }) = (call("grouped_forward"), shape);
        shape.check_product(call, ("x", x, k), ("y", y.as_view(), n), w, |all| sizes(shape, all), starts)?;
        let x = floats(x);
        let y = floats_mut(y);
        for (g, rows) in groups(call, shape, starts)?.into_iter().enumerate() {
            let (w, one) = (matrix(call, shape, w, g)?, MatmulShape { m: rows.len(), n, k });
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
        let (call, GroupedShape { n, k, .. }) = (call("grouped_backward_input"), shape);
        shape.check_product(call, ("dy", dy, n), ("dx", dx.as_view(), k), w, |all| sizes(shape, all), starts)?;
        let dy = floats(dy);
        let dx = floats_mut(dx);
        for (g, rows) in groups(call, shape, starts)?.into_iter().enumerate() {
            let (w, one) = (matrix(call, shape, w, g)?, MatmulShape { m: rows.len(), n, k });
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
        let (call, GroupedShape { n, k, .. }) = (call("grouped_backward_weight"), shape);
        shape.check_backward_weight(call, dy, x, starts, dw.as_view())?;
        let dy = floats(dy);
        let x = floats(x);
        let dw = floats_mut(dw);
        for (g, rows) in groups(call, shape, starts)?.into_iter().enumerate() {
            let (dy, x) = (&dy[rows.start * n..rows.end * n], &x[rows.start * k..rows.end * k]);
            self.token_sums(MatmulShape { m: rows.len(), n, k }, dy, x, &mut dw[g * n * k..(g + 1) * n * k])?;
        }
        Ok(())
    }
}

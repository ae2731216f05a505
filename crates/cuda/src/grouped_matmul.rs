//! `grouped_matmul`: launches of `kernels/grouped_matmul.cu`.

use std::ops::Range;

use tunesmith_ops::matmul::check_weight;
use tunesmith_ops::{
    Call, DType, Error, GroupedMatmul, GroupedShape, Memory, Result, Stack, TypedBuffer, View, ViewMut,
};

use crate::Cuda;
use crate::device::{Address, Buffer, Mode, Structure};
use crate::product::{Factors, Kernel, Side};
use crate::weight::{Data, Nf4Weight, Weight};

/// Threads of a multiprocessor, all blocks that the launch bounds put on it together.
const RESIDENT: usize = 512;

/// Frozen matrices `[n, k]`, one for each group.
#[derive(Debug)]
pub struct Stacked {
    n: usize,
    k: usize,
    groups: usize,
    data: Matrices,
}

/// How a stack is held.
#[derive(Debug)]
enum Matrices {
    /// Row-major `[groups, n, k]`, in bf16 or float32.
    Dense(Buffer),
    /// In four bits.
    Nf4(Vec<Nf4Weight>),
}

/// A launch of the grouped product (`struct Grouped` of the kernel).
struct Grouped<'a> {
    mode: Mode,
    /// Rows of all groups, or of one group's gradient of a weight.
    m: usize,
    n: usize,
    /// The first group's; of all groups the reduced axis of the gradient of a weight.
    main: Factors,
    /// Elements from one group's matrix to the next.
    stride: usize,
    c: Address,
    c_stride: usize,
    starts: View<'a, Buffer>,
    /// Groups of this launch.
    groups: Range<usize>,
}

impl Grouped<'_> {
    /// The most tiles that there may be, however the rows are divided.
    fn most_tiles(&self, tile: usize) -> usize {
        let groups = self.groups.len();
        let rows = match self.mode {
            Mode::Weight => groups * self.m.div_ceil(tile),
            // Every group that has rows adds at most one tile to those that are full.
            _ => (self.m - groups.min(self.m)) / tile + groups.min(self.m),
        };
        rows * self.n.div_ceil(tile)
    }

    fn kernel(&self, multiprocessors: usize) -> Kernel {
        let by_bf16 = self.main.b.dtype() == DType::Bf16;
        if self.main.a.dtype() == DType::F32 {
            return Kernel::exact(match (self.mode, by_bf16) {
                (Mode::Forward, false) => "grouped_forward_f32",
                (Mode::Forward, true) => "grouped_forward_by_bf16_f32",
                (Mode::Input, false) => "grouped_input_f32",
                (Mode::Input, true) => "grouped_input_by_bf16_f32",
                (Mode::Weight, _) => "grouped_weight_f32",
            });
        }
        // The large tile where it leaves no multiprocessor idle and, with rows spread evenly, is no larger than a group.
        let even = self.m / (self.starts.len - 1).max(1);
        let large = self.most_tiles(128) >= multiprocessors && (self.mode == Mode::Weight || even >= 128);
        match (self.mode, large) {
            (Mode::Forward, true) => Kernel::large("grouped_forward_large_bf16"),
            (Mode::Forward, false) => Kernel::small("grouped_forward_small_bf16"),
            (Mode::Input, true) => Kernel::large("grouped_input_large_bf16"),
            (Mode::Input, false) => Kernel::small("grouped_input_small_bf16"),
            (Mode::Weight, true) => Kernel::large("grouped_weight_large_bf16"),
            (Mode::Weight, false) => Kernel::small("grouped_weight_small_bf16"),
        }
    }
}

impl Cuda {
    fn grouped(&self, p: &Grouped<'_>) -> Result<()> {
        let multiprocessors = self.attributes().multiprocessors;
        let (kernel, of) = (p.kernel(multiprocessors), p.starts.len - 1);
        let blocks = p.most_tiles(kernel.tile).min(multiprocessors * RESIDENT / kernel.threads as usize);
        let s = Factors::put(None, Factors::put(Some(p.main), Structure::default()));
        let s = s.pointer(p.c).long(p.c_stride).pointer(0).int(p.m).int(p.n).float(1.0);
        let wide_result = p.mode == Mode::Weight || p.main.a.dtype() == DType::F32;
        let paired = p.c.is_multiple_of(if wide_result { 8 } else { 4 }) && p.c_stride.is_multiple_of(2);
        let steps = p.main.reduced.div_ceil(kernel.step);
        let s = s.int(usize::from(p.mode == Mode::Weight)).int(steps).int(usize::from(paired));
        let s = s.pointer(p.starts.buffer.address_of(p.starts.start)).long(p.stride);
        let arguments = s.int(p.groups.start).int(p.groups.len()).int(of).finish()?;
        let counts = (p.groups.len() + 1) * size_of::<i32>();
        let launch = self.launch(kernel.name).blocks(blocks, kernel.threads).shared(kernel.shared + counts);
        launch.structure(&arguments).run()
    }

    /// `c = a · w` of each group, in the mode `Forward` or `Input`.
    fn times_stack(
        &self,
        mode: Mode,
        (call, shape): (Call, GroupedShape),
        a: View<'_, Buffer>,
        w: Stack<'_, Stacked, Buffer>,
        starts: View<'_, Buffer>,
        c: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let GroupedShape { m, groups, n, k } = shape;
        let (width, reduced) = if mode == Mode::Forward { (n, k) } else { (k, n) };
        let [from, to] = if mode == Mode::Forward { ["x", "y"] } else { ["dy", "dx"] };
        let sizes = |stacked: &Stacked| (stacked.groups, stacked.n, stacked.k);
        shape.check_product(call, (from, a, reduced), (to, c.as_view(), width), w, sizes, starts)?;
        let launch = |b: Side, stride: usize, groups: Range<usize>, columns: Range<usize>| {
            self.grouped(&Grouped {
                mode,
                m,
                n: columns.len(),
                main: Factors { a: Side::of(a, reduced), b, reduced },
                stride,
                c: c.buffer.address_of(c.start) + (columns.start * self.dtype.size()) as Address,
                c_stride: width,
                starts,
                groups,
            })
        };
        let whole = |view: View<'_, Buffer>| launch(Side::of(view, k), n * k, 0..groups, 0..width);
        match w {
            Stack::Trained(view) => {
                let rounded = self.as_activations(view)?;
                whole(rounded.as_ref().map_or(view, Buffer::view))
            }
            Stack::Frozen(stacked) => match &stacked.data {
                Matrices::Dense(buffer) => whole(buffer.view()),
                Matrices::Nf4(weights) => self.expand_stack(mode, shape, weights, launch),
            },
        }
    }

    /// Calls `launch(matrices, elements from one to the next, groups, columns of the result)` with four-bit matrices expanded part
    /// by part, as `times_weight` does it; several together where they are small.
    fn expand_stack(
        &self,
        mode: Mode,
        GroupedShape { groups, n, k, .. }: GroupedShape,
        weights: &[Nf4Weight],
        launch: impl Fn(Side, usize, Range<usize>, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let (width, reduced) = if mode == Mode::Forward { (n, k) } else { (k, n) };
        let together = self.attributes().l2_cache / 2 / (n * k * self.dtype.size()).max(1);
        let step = if together > 0 { width } else { self.part_size(reduced) };
        for first in (0..groups).step_by(together.max(1)) {
            let range = first..groups.min(first + together.max(1));
            for column in (0..width).step_by(step.max(1)) {
                let columns = column..width.min(column + step);
                let (rows, across) =
                    if mode == Mode::Forward { (columns.clone(), 0..k) } else { (0..n, columns.clone()) };
                let len = rows.len() * across.len();
                let mut part = self.undefined(self.dtype, range.len() * len)?;
                for (i, weight) in weights[range.clone()].iter().enumerate() {
                    let target = ViewMut::new(&mut part, i * len, len);
                    self.nf4_expand(weight, rows.clone(), across.clone(), &target)?;
                }
                launch(Side::of(part.view(), across.len()), len, range.clone(), columns)?;
            }
        }
        Ok(())
    }
}

impl GroupedMatmul for Cuda {
    type Stacked = Stacked;

    fn stack_weights(&self, n: usize, k: usize, weights: Vec<Weight>) -> Result<Stacked> {
        let (op, groups) = ("stack_weights", weights.len());
        let mut quantized = Vec::new();
        let mut dense: Option<Buffer> = None;
        for (group, weight) in weights.into_iter().enumerate() {
            check_weight(op, n, k, (weight.n, weight.k))?;
            match weight.data {
                Data::Nf4(matrix) => quantized.push(matrix),
                // Each is given back as soon as it is copied.
                Data::Dense(buffer) => {
                    let stack = match &mut dense {
                        Some(stack) => stack,
                        None => dense.insert(self.undefined(buffer.dtype(), groups * n * k)?),
                    };
                    self.copy(buffer.view(), ViewMut::new(stack, group * n * k, n * k))?;
                }
            }
        }
        let data = match dense {
            None if quantized.len() == groups && groups > 0 => Matrices::Nf4(quantized),
            Some(stack) if quantized.is_empty() => Matrices::Dense(stack),
            _ => {
                let got = format!("{} of {groups} in four bits", quantized.len());
                return Err(Error::argument(op, "matrices, all stored alike", got));
            }
        };
        Ok(Stacked { n, k, groups, data })
    }

    fn grouped_forward(
        &self,
        shape: GroupedShape,
        x: View<'_, Buffer>,
        w: Stack<'_, Stacked, Buffer>,
        starts: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        self.times_stack(Mode::Forward, (self.call("grouped_forward"), shape), x, w, starts, &y)
    }

    fn grouped_backward_input(
        &self,
        shape: GroupedShape,
        dy: View<'_, Buffer>,
        w: Stack<'_, Stacked, Buffer>,
        starts: View<'_, Buffer>,
        dx: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        self.times_stack(Mode::Input, (self.call("grouped_backward_input"), shape), dy, w, starts, &dx)
    }

    fn grouped_backward_weight(
        &self,
        shape: GroupedShape,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        starts: View<'_, Buffer>,
        dw: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let GroupedShape { m, groups, n, k } = shape;
        shape.check_backward_weight(self.call("grouped_backward_weight"), dy, x, starts, dw.as_view())?;
        if m == 0 {
            return Ok(());
        }
        self.grouped(&Grouped {
            mode: Mode::Weight,
            m: n,
            n: k,
            main: Factors { a: Side::of(dy, n), b: Side::of(x, k), reduced: m },
            stride: n * k,
            c: dw.buffer.address_of(dw.start),
            c_stride: k,
            starts,
            groups: 0..groups,
        })
    }
}

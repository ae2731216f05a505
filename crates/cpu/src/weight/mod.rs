//! Frozen weights in panels, and the two shapes in which products read a matrix.

use std::ops::Range;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use tunesmith_ops::{Error, Host, Matrix, Nf4Matrix, Result, Storage};

use crate::matmul::ROWS;
use crate::memory::{Block, Buffer};
use crate::nf4::{self, Decode, Held};
use crate::product::{Right, Transpose};
use crate::simd::{Isa, Kernel, Simd};
use crate::{Cpu, check, scratch};

/// Out features of a panel: two AVX-512 vectors.
pub(crate) const PANEL: usize = 32;

/// A frozen weight `[n, k]`.
pub struct Weight {
    n: usize,
    k: usize,
    form: Form,
}

/// How a frozen weight is held.
enum Form {
    /// Panel `p` holds rows `32 p .. 32 p + 32` as `[k][32]`, rows beyond `n` zero.
    Panels(Storage, Block),
    /// Four bits, row-major.
    Nf4(Held),
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.form {
            Form::Panels(storage, _) => format!("{storage:?}"),
            Form::Nf4(held) => format!("{:?}", held.matrix().options()),
        };
        write!(f, "Weight({} × {}, {kind})", self.n, self.k)
    }
}

/// Steps of `k` that are turned at a time when a weight is taken.
const FILL: usize = 256;

/// A weight matrix as products read it, whatever its storage.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Panels(&'a [f32]),
    Bf16Panels(&'a [u16]),
    Rows(&'a [f32]),
    Nf4(Nf4Matrix<'a>),
}

/// A weight matrix with its sizes.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) source: Source<'a>,
}

impl Weight {
    /// Takes a row-major matrix from the host, panel by panel.
    pub(crate) fn prepare(cpu: &Cpu, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Self> {
        if n.checked_mul(k) != Some(host.len()) {
            return Err(Error::argument("prepare_weight", format!("{n} · {k} elements"), host.len()));
        }
        if let Host::I32(_) = host {
            return Err(Error::argument("prepare_weight", "floating-point numbers", "int32"));
        }
        let padded = n.div_ceil(PANEL) * PANEL * k;
        let mut block = Block::zeroed(&cpu.tracker, padded * size(storage))?;
        let panel = (PANEL * k).max(1);
        match storage {
            Storage::F32 => {
                let panels = block.as_mut_slice::<f32>(padded).chunks_exact_mut(panel);
                let keep = |run: &[f32], target: &mut [f32]| target.copy_from_slice(run);
                cpu.pool.each(panels, |p, target| fill(cpu.isa, host, (n, k), p, target, keep))?;
            }
            Storage::Bf16 => {
                let panels = block.as_mut_slice::<u16>(padded).chunks_exact_mut(panel);
                let keep = |run: &[f32], target: &mut [u16]| {
                    target.reinterpret_cast_mut::<bf16>().convert_from_f32_slice(run);
                };
                cpu.pool.each(panels, |p, target| fill(cpu.isa, host, (n, k), p, target, keep))?;
            }
        }
        Ok(Self { n, k, form: Form::Panels(storage, block) })
    }

    /// Takes a quantised matrix.
    pub(crate) fn of_nf4(n: usize, k: usize, held: Held) -> Self {
        Self { n, k, form: Form::Nf4(held) }
    }

    pub(crate) fn operand(&self) -> Operand<'_> {
        let padded = self.n.div_ceil(PANEL) * PANEL * self.k;
        Operand {
            n: self.n,
            k: self.k,
            source: match &self.form {
                Form::Panels(Storage::F32, block) => Source::Panels(block.as_slice(padded)),
                Form::Panels(Storage::Bf16, block) => Source::Bf16Panels(block.as_slice(padded)),
                Form::Nf4(held) => Source::Nf4(held.matrix()),
            },
        }
    }
}

fn size(storage: Storage) -> usize {
    match storage {
        Storage::F32 => size_of::<f32>(),
        Storage::Bf16 => size_of::<u16>(),
    }
}

/// Writes panel `p` of a host matrix, a few steps of `k` at a time; `keep` takes a run of elements into the storage.
fn fill<T>(
    isa: Isa,
    host: Host<'_>,
    (n, k): (usize, usize),
    p: usize,
    target: &mut [T],
    keep: impl Fn(&[f32], &mut [T]),
) {
    let rows = p * PANEL..n.min((p + 1) * PANEL);
    let mut memory = scratch::take(2 * PANEL * FILL);
    let (wide, turned) = memory.split_at_mut(PANEL * FILL);
    for (first, target) in (0..k).step_by(FILL).zip(target.chunks_mut(PANEL * FILL)) {
        let columns = FILL.min(k - first);
        for (row, r) in wide.chunks_exact_mut(FILL).zip(rows.clone()) {
            let range = r * k + first..r * k + first + columns;
            match host {
                Host::F32(v) => row[..columns].copy_from_slice(&v[range]),
                Host::F16(v) => v[range].reinterpret_cast::<f16>().convert_to_f32_slice(&mut row[..columns]),
                Host::Bf16(v) => v[range].reinterpret_cast::<bf16>().convert_to_f32_slice(&mut row[..columns]),
                Host::I32(_) => {}
            }
        }
        isa.run(Transpose {
            source: Right::new(wide, FILL),
            rows: rows.len(),
            columns,
            target: turned,
            stride: PANEL,
            width: PANEL,
        });
        keep(&turned[..columns * PANEL], target);
    }
}

impl<'a> Operand<'a> {
    /// Rows of an output tile: the more a panel costs to unpack, the more rows must use it.
    pub(crate) fn tile_rows(&self) -> usize {
        if matches!(self.source, Source::Nf4(_)) { nf4::ROWS } else { ROWS }
    }

    /// The matrix of a call, after checking that it is `[n, k]`.
    pub(crate) fn of(op: &str, n: usize, k: usize, matrix: Matrix<'a, Weight, Buffer>) -> Result<Self> {
        match matrix {
            Matrix::Frozen(w) if (w.n, w.k) == (n, k) => Ok(w.operand()),
            Matrix::Frozen(w) => {
                Err(Error::argument(op, format!("a weight of {n} × {k}"), format!("{} × {}", w.n, w.k)))
            }
            Matrix::Trained(view) => Ok(Self { n, k, source: Source::Rows(check::floats(op, "w", view, n * k)?) }),
        }
    }

    /// Panel `p`, steps `first .. end` of `k`, as `[end − first][32]`; `scratch` has room for it.
    pub(crate) fn panel<'s>(&self, isa: Isa, p: usize, first: usize, end: usize, scratch: &'s mut [f32]) -> Right<'s>
    where
        'a: 's,
    {
        let range = (p * self.k + first) * PANEL..(p * self.k + end) * PANEL;
        match self.source {
            Source::Panels(data) => Right::new(&data[range], PANEL),
            Source::Bf16Panels(data) => {
                let target = &mut scratch[..(end - first) * PANEL];
                isa.run(Widen { source: &data[range], target });
                Right::new(target, PANEL)
            }
            Source::Rows(data) => {
                let rows = PANEL.min(self.n - p * PANEL);
                let source = Right::new(&data[p * PANEL * self.k + first..], self.k);
                isa.run(Transpose { source, rows, columns: end - first, target: scratch, stride: PANEL, width: PANEL });
                Right::new(scratch, PANEL)
            }
            Source::Nf4(matrix) => {
                let (rows, columns) = (PANEL.min(self.n - p * PANEL), end - first);
                // Rows a whole number of pages apart would push each other out of the cache.
                let stride = columns + 16;
                let mut wide = scratch::take(rows * stride);
                isa.run(Decode::part(matrix, p * PANEL * self.k + first, self.k, columns, (&mut wide, stride)));
                let source = Right::new(&wide, stride);
                isa.run(Transpose { source, rows, columns, target: scratch, stride: PANEL, width: PANEL });
                Right::new(scratch, PANEL)
            }
        }
    }

    /// The column groups `groups`, of 32 each, of the rows `first .. end`, as a matrix of as many columns; columns beyond
    /// `k` are zero. `first` is a multiple of 32; `scratch` has room for the rows rounded up to 32.
    pub(crate) fn columns<'s>(
        &self,
        isa: Isa,
        groups: &Range<usize>,
        first: usize,
        end: usize,
        scratch: &'s mut [f32],
    ) -> Right<'s> {
        let stride = self.columns_stride(groups.len());
        if let Source::Nf4(matrix) = self.source {
            let column = groups.start * PANEL;
            let (from, live) = (first * self.k + column, (groups.len() * PANEL).min(self.k - column));
            let target = &mut scratch[..(end - first) * stride];
            isa.run(Decode::part(matrix, from, self.k, live, (target, stride)));
            return Right::new(scratch, stride);
        }
        for (place, g) in groups.clone().enumerate() {
            let live = PANEL.min(self.k - g * PANEL);
            if let Source::Rows(data) = self.source {
                for (row, r) in scratch.chunks_exact_mut(stride).zip(first..end) {
                    let (from, row) = (r * self.k + g * PANEL, &mut row[place * PANEL..][..PANEL]);
                    row[..live].copy_from_slice(&data[from..from + live]);
                    row[live..].fill(0.0);
                }
                continue;
            }
            let mut wide = [0.0; PANEL * PANEL];
            for (block, p) in scratch.chunks_exact_mut(PANEL * stride).zip(first / PANEL..end.div_ceil(PANEL)) {
                let from = (p * self.k + g * PANEL) * PANEL;
                let range = from..from + live * PANEL;
                let square = match self.source {
                    Source::Panels(data) | Source::Rows(data) => &data[range],
                    Source::Nf4(_) => &[],
                    Source::Bf16Panels(data) => {
                        isa.run(Widen { source: &data[range], target: &mut wide });
                        &wide[..live * PANEL]
                    }
                };
                let (source, target) = (Right::new(square, PANEL), &mut block[place * PANEL..]);
                isa.run(Transpose { source, rows: live, columns: PANEL, target, stride, width: PANEL });
            }
        }
        Right::new(scratch, stride)
    }

    /// Elements between the rows that [`Operand::columns`] gives of so many groups. Rows of decoded codes that lie 256 bytes or
    /// a multiple apart would share a few sets of the nearest cache.
    pub(crate) fn columns_stride(&self, groups: usize) -> usize {
        let collides = matches!(self.source, Source::Nf4(_)) && groups.is_multiple_of(2);
        groups * PANEL + if collides { 16 } else { 0 }
    }

    /// What [`Operand::columns`] will read for the rows `rows`, in squares of 32: to be asked for ahead of time.
    pub(crate) fn blocks(&self, groups: &Range<usize>, rows: Range<usize>) -> Vec<&'a [f32]> {
        let Source::Panels(data) = self.source else { return Vec::new() };
        let panels = rows.start / PANEL..rows.end.div_ceil(PANEL);
        let place = |p: usize, g: usize| (p * self.k + self.k.min(g * PANEL)) * PANEL;
        let squares = panels.flat_map(|p| groups.clone().map(move |g| place(p, g)..place(p, g + 1)));
        squares.map(|square| &data[square]).collect()
    }

    /// Row `r`, row-major.
    pub(crate) fn read_row(&self, isa: Isa, r: usize, target: &mut [f32]) {
        let (p, lane) = (r / PANEL, r % PANEL);
        let panel = p * self.k * PANEL..(p + 1) * self.k * PANEL;
        match self.source {
            Source::Rows(data) => target.copy_from_slice(&data[r * self.k..(r + 1) * self.k]),
            Source::Nf4(matrix) => {
                isa.run(Decode::part(matrix, r * self.k, self.k, self.k, (target, self.k)));
            }
            Source::Panels(data) => {
                let lanes = data[panel].iter().skip(lane).step_by(PANEL);
                target.iter_mut().zip(lanes).for_each(|(t, &x)| *t = x);
            }
            Source::Bf16Panels(data) => {
                let lanes = data[panel].iter().skip(lane).step_by(PANEL);
                target.iter_mut().zip(lanes).for_each(|(t, &x)| *t = bf16::from_bits(x).to_f32());
            }
        }
    }
}

/// bfloat16 bit patterns to binary32.
struct Widen<'a> {
    source: &'a [u16],
    target: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (t, &x) in self.target.iter_mut().zip(self.source) {
            *t = f32::from_bits(u32::from(x) << 16);
        }
    }
}

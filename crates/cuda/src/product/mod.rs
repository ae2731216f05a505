//! The products behind `matmul` and `lora_matmul`: arguments of the tiled kernel (`struct Gemm` of `common/gemm.cuh`), the
//! choice of its tile, and weights that are expanded part by part.

use std::sync::atomic::Ordering;

use tunesmith_ops::nf4::FEW_ROWS;
use tunesmith_ops::{DType, MatmulShape, Result, View, ViewMut};

use crate::Cuda;
pub(crate) use crate::device::Mode;
use crate::device::{Address, Buffer, DenseProduct, Structure};
use crate::weight::Operand;

/// Steps of the reduced axis that a part of a split product has at least.
const FEWEST_STEPS: usize = 8;

/// Tiles from which on a product is not split.
const MANY_TILES: usize = 128;

/// Parts are expanded in multiples of this many rows or columns.
const PART: usize = 64;

/// One factor: a row-major matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    address: Address,
    stride: usize,
    dtype: DType,
}

impl Side {
    /// The matrix in a window, in rows of `stride`.
    pub(crate) fn of(view: View<'_, Buffer>, stride: usize) -> Self {
        Self { address: view.buffer.address_of(view.start), stride, dtype: view.buffer.dtype() }
    }

    /// The matrix that begins `elements` later.
    pub(crate) fn skip(self, elements: usize) -> Self {
        Self { address: self.address + (elements * self.dtype.size()) as Address, ..self }
    }

    /// Where it begins.
    pub(crate) fn address(self) -> Address {
        self.address
    }

    /// How its numbers are held.
    pub(crate) fn dtype(self) -> DType {
        self.dtype
    }

    /// True when its rows can be moved 16 bytes at a time.
    fn aligned(self) -> bool {
        self.address.is_multiple_of(16) && (self.stride * self.dtype.size()).is_multiple_of(16)
    }
}

/// Two factors and the length of the axis between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    pub(crate) a: Side,
    pub(crate) b: Side,
    pub(crate) reduced: usize,
}

impl Factors {
    pub(crate) fn put(this: Option<Self>, s: Structure) -> Structure {
        let Some(Self { a, b, reduced }) = this else {
            return s.pointer(0).pointer(0).long(0).long(0).int(0).int(0);
        };
        let aligned = usize::from(a.aligned()) + 2 * usize::from(b.aligned());
        s.pointer(a.address).pointer(b.address).long(a.stride).long(b.stride).int(reduced).int(aligned)
    }
}

/// `c[m, n] = alpha · (a · b + the tail's a · b) (+ bias) (+ c)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) mode: Mode,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) main: Factors,
    /// A second, short product whose steps follow.
    pub(crate) tail: Option<Factors>,
    /// Address of `[n]` binary32, or 0.
    pub(crate) bias: Address,
    pub(crate) c: Address,
    pub(crate) c_stride: usize,
    pub(crate) alpha: f32,
    pub(crate) accumulate: bool,
}

/// A kernel with its tile.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) tile: usize,
    pub(crate) step: usize,
    pub(crate) threads: u32,
    pub(crate) shared: usize,
}

impl Kernel {
    /// A kernel of the exact product.
    pub(crate) fn exact(name: &'static str) -> Self {
        Self { name, tile: 64, step: 16, threads: 256, shared: 2 * 16 * 68 * 4 }
    }

    /// A kernel on tensor cores with the large tile.
    pub(crate) fn large(name: &'static str) -> Self {
        Self { name, tile: 128, step: 32, threads: 256, shared: 4 * 256 * 32 * 2 }
    }

    /// A kernel on tensor cores with the small tile.
    pub(crate) fn small(name: &'static str) -> Self {
        Self { name, tile: 64, step: 32, threads: 128, shared: 4 * 128 * 32 * 2 }
    }
}

impl Product {
    fn tiles(&self, tile: usize) -> usize {
        self.m.div_ceil(tile) * self.n.div_ceil(tile)
    }

    fn steps(&self, step: usize) -> usize {
        self.main.reduced.div_ceil(step) + self.tail.map_or(0, |tail| tail.reduced.div_ceil(step))
    }

    fn kernel(&self, multiprocessors: usize) -> Kernel {
        let by_bf16 = self.main.b.dtype == DType::Bf16;
        if self.main.a.dtype == DType::F32 {
            return Kernel::exact(match (self.mode, by_bf16) {
                (Mode::Forward, false) => "matmul_forward_f32",
                (Mode::Forward, true) => "matmul_forward_by_bf16_f32",
                (Mode::Input, false) => "matmul_input_f32",
                (Mode::Input, true) => "matmul_input_by_bf16_f32",
                (Mode::Weight, _) => "matmul_weight_f32",
            });
        }
        // The bits of a row are the same with either tile; the large one is faster where it leaves nobody idle.
        let many = self.tiles(128) >= multiprocessors;
        match (self.mode, many) {
            (Mode::Forward, true) => Kernel::large("matmul_forward_large_bf16"),
            (Mode::Forward, false) => Kernel::small("matmul_forward_small_bf16"),
            (Mode::Input, true) => Kernel::large("matmul_input_large_bf16"),
            (Mode::Input, false) => Kernel::small("matmul_input_small_bf16"),
            (Mode::Weight, true) => Kernel::large("matmul_weight_large_bf16"),
            (Mode::Weight, false) => Kernel::small("matmul_weight_small_bf16"),
        }
    }

    /// The first product alone, if the vendor's library could take it.
    fn dense(&self) -> Option<DenseProduct> {
        let Factors { a, b, reduced } = self.main;
        let wide_result = self.mode == Mode::Weight;
        let size = if wide_result { 4 } else { 2 };
        let fits = a.dtype == DType::Bf16 && b.dtype == DType::Bf16 && a.aligned() && b.aligned() && reduced > 0;
        let fits = fits && self.c.is_multiple_of(16) && (self.c_stride * size).is_multiple_of(16);
        fits.then_some(DenseProduct {
            mode: self.mode,
            m: self.m,
            n: self.n,
            reduced,
            a: a.address,
            a_stride: a.stride,
            b: b.address,
            b_stride: b.stride,
            c: self.c,
            c_stride: self.c_stride,
            alpha: self.alpha,
            accumulate: self.accumulate || self.rest().is_some(),
            wide_result,
        })
    }

    /// What the vendor's library leaves to do: bias and adapter. They are written first, while the result is small: what is
    /// rounded then is less than what the large product rounds.
    fn rest(&self) -> Option<Self> {
        let main = match self.tail {
            Some(tail) => tail,
            None if self.bias != 0 => Factors { reduced: 0, ..self.main },
            None => return None,
        };
        Some(Self { main, tail: None, ..*self })
    }

    /// Steps of each part into which a gradient with few tiles is split: from the sizes alone, so that every card adds in the
    /// same order.
    fn steps_per_part(&self, kernel: &Kernel) -> usize {
        let (tiles, steps) = (self.tiles(64), self.steps(kernel.step));
        if self.mode != Mode::Weight || tiles >= MANY_TILES {
            return steps.max(1);
        }
        steps.div_ceil(2 * MANY_TILES / tiles.max(1)).max(FEWEST_STEPS)
    }
}

impl Cuda {
    /// Starts a product.
    pub(crate) fn product(&self, p: &Product) -> Result<()> {
        if p.m == 0 || p.n == 0 {
            return Ok(());
        }
        if let Some(dense) = p.dense()
            && self.driver.offers_product(&dense)?
        {
            self.vendor_products.fetch_add(1, Ordering::Relaxed);
            if let Some(rest) = p.rest() {
                self.own_product(&rest)?;
            }
            return self.driver.dense_product(&dense);
        }
        self.own_product(p)
    }

    fn own_product(&self, p: &Product) -> Result<()> {
        let kernel = p.kernel(self.attributes().multiprocessors);
        let per_part = p.steps_per_part(&kernel);
        let parts = p.steps(kernel.step).div_ceil(per_part).max(1);
        if parts == 1 {
            return self.tiles_of_product(p, &kernel, per_part, 1);
        }
        let mut sums = self.undefined(DType::F32, parts * p.m * p.n)?;
        let c = sums.address_of(0);
        let part = Product { c, c_stride: p.n, alpha: 1.0, accumulate: false, ..*p };
        self.tiles_of_product(&part, &kernel, per_part, parts)?;
        let launch = self.launch("matmul_add_parts_f32").blocks((p.m * p.n).div_ceil(256), 256);
        let launch = launch.write(&sums.view_mut()).address(p.c).long(p.m * p.n).int(parts);
        launch.float(p.alpha).run()
    }

    fn tiles_of_product(&self, p: &Product, kernel: &Kernel, per_part: usize, parts: usize) -> Result<()> {
        let s = Factors::put(p.tail, Factors::put(Some(p.main), Structure::default()));
        let s = s.pointer(p.c).long(p.c_stride).pointer(p.bias).int(p.m).int(p.n).float(p.alpha);
        // Two neighbours at once, where no row and no part begins between them.
        let element = if p.mode == Mode::Weight || p.main.a.dtype == DType::F32 { 4 } else { 2 };
        let paired = p.c.is_multiple_of(2 * element) && p.c_stride.is_multiple_of(2);
        let s = s.int(usize::from(p.accumulate)).int(per_part);
        let arguments = s.int(usize::from(paired)).finish()?;
        let launch = self.launch(kernel.name).grid([p.tiles(kernel.tile), 1, parts], kernel.threads);
        launch.shared(kernel.shared).structure(&arguments).run()
    }

    /// `y[m, n] = x · wᵀ (+ bias)`, with the steps of an adapter behind where one is given as (`xa`, `s B`).
    pub(crate) fn times_weight(
        &self,
        shape: MatmulShape,
        x: View<'_, Buffer>,
        w: &Operand<'_>,
        adapter: Option<Factors>,
        bias: Option<View<'_, Buffer>>,
        y: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let (c, size) = (y.buffer.address_of(y.start), self.dtype.size());
        let bias = bias.map_or(0, |bias| bias.buffer.address_of(bias.start));
        let piece = |b: Side, first: usize, rows: usize| Product {
            mode: Mode::Forward,
            m,
            n: rows,
            main: Factors { a: Side::of(x, k), b, reduced: k },
            tail: adapter.map(|tail| Factors { b: tail.b.skip(first * tail.reduced), ..tail }),
            bias: if bias == 0 { 0 } else { bias + 4 * first as Address },
            c: c + (first * size) as Address,
            c_stride: n,
            alpha: 1.0,
            accumulate: false,
        };
        match w {
            Operand::Dense(b) => self.product(&piece(*b, 0, n)),
            Operand::Rounded(buffer) => self.product(&piece(Side::of(buffer.view(), k), 0, n)),
            Operand::Nf4(matrix) if m <= FEW_ROWS => self.nf4_gemv(shape, Side::of(x, k), matrix, adapter, bias, y),
            Operand::Nf4(matrix) => {
                let step = self.part_size(k);
                for first in (0..n).step_by(step) {
                    let rows = step.min(n - first);
                    let part = self.nf4_part(matrix, self.dtype, first..first + rows, 0..k)?;
                    self.product(&piece(Side::of(part.view(), k), first, rows))?;
                }
                Ok(())
            }
        }
    }

    /// `dx[m, k] (+)= dy[m, n] · w`, with the steps of an adapter behind where one is given as (`dyb`, `A`). A weight in four
    /// bits is expanded by columns, so that nothing is added to a rounded result.
    pub(crate) fn times_weight_turned(
        &self,
        shape: MatmulShape,
        dy: View<'_, Buffer>,
        w: &Operand<'_>,
        adapter: Option<Factors>,
        dx: &ViewMut<'_, Buffer>,
        accumulate: bool,
    ) -> Result<()> {
        let MatmulShape { m, n, k } = shape;
        let (c, size) = (dx.buffer.address_of(dx.start), self.dtype.size());
        let piece = |b: Side, first: usize, columns: usize| Product {
            mode: Mode::Input,
            m,
            n: columns,
            main: Factors { a: Side::of(dy, n), b, reduced: n },
            tail: adapter.map(|tail| Factors { b: tail.b.skip(first), ..tail }),
            bias: 0,
            c: c + (first * size) as Address,
            c_stride: k,
            alpha: 1.0,
            accumulate,
        };
        match w {
            Operand::Dense(b) => self.product(&piece(*b, 0, k)),
            Operand::Rounded(buffer) => self.product(&piece(Side::of(buffer.view(), k), 0, k)),
            Operand::Nf4(matrix) => {
                let step = self.part_size(n);
                for first in (0..k).step_by(step) {
                    let columns = step.min(k - first);
                    let part = self.nf4_part(matrix, self.dtype, 0..n, first..first + columns)?;
                    self.product(&piece(Side::of(part.view(), columns), first, columns))?;
                }
                Ok(())
            }
        }
    }

    /// Rows (or columns) of `length` elements of a weight that are expanded at a time: half of the L2 cache, from which the
    /// product reads them.
    pub(crate) fn part_size(&self, length: usize) -> usize {
        let bytes = (length * self.dtype.size()).max(1);
        (self.attributes().l2_cache / 2 / bytes / PART * PART).max(PART)
    }
}

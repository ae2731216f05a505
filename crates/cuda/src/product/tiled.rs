//! Products by the tiled kernels of `kernels/matmul.cu`, or by the vendor's library: the choice of the tile, and of the parts
//! that a long reduced axis is split into.

use std::sync::atomic::Ordering;

use tunesmith_ops::{DType, Result};

use super::factors::Factors;
use super::kernel::Kernel;
use crate::Cuda;
use crate::device::{Address, DenseProduct, Mode, Structure};

/// Steps of the reduced axis that a part of a split product has at least.
const FEWEST_STEPS: usize = 8;

/// Tiles from which on a product is not split.
const MANY_TILES: usize = 128;

/// `c[m, n] = alpha · (a · b + the tail's a · b) (+ bias) (+ c)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) mode: Mode,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) main: Factors,
    /// A second, short product whose steps follow.
    pub(crate) tail: Option<Factors>,
    /// Address of `[n]` float32, or 0.
    pub(crate) bias: Address,
    pub(crate) c: Address,
    pub(crate) c_stride: usize,
    pub(crate) alpha: f32,
    pub(crate) accumulate: bool,
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
        // The bits of a row are the same with either tile; the large one is faster where it leaves no multiprocessor idle.
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
}

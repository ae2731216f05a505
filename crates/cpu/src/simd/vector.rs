//! The trait of float32 vectors that every instruction set implements, and functions written with it.

use tunesmith_ops::nf4;

/// Codes that are decoded at a time: half of the smallest block.
pub(crate) const NF4_RUN: usize = 32;

/// The midpoints between neighbouring values of NF4; the last one is above everything.
pub(super) const NF4_MIDPOINTS: [f32; 16] = {
    let mut midpoints = [f32::INFINITY; 16];
    let mut i = 0;
    while i < 15 {
        midpoints[i] = f32::midpoint(nf4::NF4[i], nf4::NF4[i + 1]);
        i += 1;
    }
    midpoints
};

/// Code written once for every instruction set; `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Vectors of float32. A value of the type proves that its instruction set is there.
pub(crate) trait Simd: Copy {
    /// Elements of a vector.
    const LANES: usize;
    /// Rows of the register tile of a product that is two vectors wide.
    const ROWS: usize;
    type V: Copy;
    /// The sixteen values of NF4 and a scale.
    type Nf4: Copy;

    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// `pointer` must be readable for `LANES` elements.
    unsafe fn load_at(self, pointer: *const f32) -> Self::V;
    /// # Safety
    /// `pointer` must be writable for `LANES` elements.
    unsafe fn store_at(self, pointer: *mut f32, v: Self::V);
    /// Asks for a cache line that is needed soon; any address will do.
    fn prefetch(self, pointer: *const f32);
    /// The same address, of which the compiler knows nothing.
    #[inline(always)]
    fn opaque(self, pointer: *const f32) -> *const f32 {
        let mut pointer = pointer;
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        #[allow(clippy::pointers_in_nomem_asm_block, reason = "the address is hidden, nothing is read from it")]
        // SAFETY: no instruction is executed.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
        }
        pointer
    }
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `a · b + c`, rounded once where the instruction set can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `b` where either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; `b` where either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even; |a| below 2^22.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^a` for integral `a` in −126 … 127.
    fn power_of_two(self, a: Self::V) -> Self::V;
    /// Transposes a square of `LANES` rows.
    ///
    /// # Safety
    /// `LANES` rows of `LANES` elements must be readable at `source` and writable at `target`, the strides apart.
    unsafe fn transpose(self, source: *const f32, source_stride: usize, target: *mut f32, target_stride: usize);
    /// What [`Simd::nf4_values`] looks up, made once a block.
    fn nf4_table(self, scale: f32) -> Self::Nf4;
    /// The values of [`NF4_RUN`] codes of four bits, the upper half of a byte first, each times the scale.
    ///
    /// # Safety
    /// `codes` must be readable for `NF4_RUN / 2` bytes and `target` writable for `NF4_RUN` elements.
    unsafe fn nf4_values(self, table: Self::Nf4, codes: *const u8, target: *mut f32);
    /// Writes the code of each lane: the number of midpoints between neighbouring values below it.
    ///
    /// # Safety
    /// `codes` must be writable for `LANES / 2` bytes.
    unsafe fn nf4_codes(self, x: Self::V, codes: *mut u8);
    /// Sum of the lanes in a fixed order.
    fn sum(self, a: Self::V) -> f32;
    /// Largest lane.
    fn largest(self, a: Self::V) -> f32;

    /// The first elements of `x`; lanes beyond its end are zero.
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        if x.len() >= Self::LANES {
            // SAFETY: the length was checked.
            unsafe { self.load_at(x.as_ptr()) }
        } else {
            let mut lanes = [0.0; 16];
            lanes[..x.len()].copy_from_slice(x);
            // SAFETY: no instruction set has more than 16 lanes.
            unsafe { self.load_at(lanes.as_ptr()) }
        }
    }

    /// Writes the first elements of `x`, as many as there are lanes and room for.
    #[inline(always)]
    fn store(self, x: &mut [f32], v: Self::V) {
        if x.len() >= Self::LANES {
            // SAFETY: the length was checked.
            unsafe { self.store_at(x.as_mut_ptr(), v) }
        } else {
            let mut lanes = [0.0; 16];
            // SAFETY: no instruction set has more than 16 lanes.
            unsafe { self.store_at(lanes.as_mut_ptr(), v) }
            x.copy_from_slice(&lanes[..x.len()]);
        }
    }

    /// `e^x` within 2 ulp; subnormal below −87.3, 0 below −104, infinite above 88.8; NaN stays NaN.
    ///
    /// `e^x = 2^n · e^r` with `n` the nearest integer to `x / ln 2`; `e^r = 1 + r + r² q(r)` with `q` of degree 4
    /// interpolated at the Chebyshev nodes of |r| ≤ ln 2 / 2 (error 1.0e-8). `ln 2` is split in two (Cody and Waite 1980).
    #[inline(always)]
    fn exp(self, x: Self::V) -> Self::V {
        let (n, p) = self.exp_parts(self.min(self.splat(90.0), self.max(self.splat(-105.0), x)));
        let p = self.add(p, self.splat(1.0));
        // Two factors, because 2^n alone leaves the range of the exponent at both ends.
        let half = self.round(self.mul(n, self.splat(0.5)));
        let scaled = self.mul(p, self.power_of_two(half));
        self.mul(scaled, self.power_of_two(self.sub(n, half)))
    }

    /// `n` and `e^r − 1` of `x = n ln 2 + r`.
    #[inline(always)]
    fn exp_parts(self, x: Self::V) -> (Self::V, Self::V) {
        let n = self.round(self.mul(x, self.splat(std::f32::consts::LOG2_E)));
        let r = self.fma(n, self.splat(-0.691_406_25), x);
        let r = self.fma(n, self.splat(-0.001_740_930_6), r);
        let mut q = self.splat(0.001_392_618_4);
        for c in [0.008_363_179, 0.041_666_555, 0.166_665_77, 0.5] {
            q = self.fma(q, r, self.splat(c));
        }
        (n, self.fma(self.mul(r, r), q, r))
    }

    /// Hyperbolic tangent within 4 ulp; NaN stays NaN.
    ///
    /// `tanh x = w / (w + 2)` with `w = e^2x − 1`, which is made as `2^n (e^r − 1) + (2^n − 1)`: near 0, where n is 0,
    /// nothing cancels.
    #[inline(always)]
    fn tanh(self, x: Self::V) -> Self::V {
        let doubled = self.add(x, x);
        let (n, p) = self.exp_parts(self.min(self.splat(20.0), self.max(self.splat(-20.0), doubled)));
        let power = self.power_of_two(n);
        let w = self.fma(p, power, self.sub(power, self.splat(1.0)));
        self.div(w, self.add(w, self.splat(2.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::*;

    struct Exp<'a>(&'a mut [f32]);

    impl Kernel for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for i in (0..self.0.len()).step_by(S::LANES) {
                let v = s.exp(s.load(&self.0[i..]));
                s.store(&mut self.0[i..], v);
            }
        }
    }

    struct Tanh<'a>(&'a mut [f32]);

    impl Kernel for Tanh<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for i in (0..self.0.len()).step_by(S::LANES) {
                let v = s.tanh(s.load(&self.0[i..]));
                s.store(&mut self.0[i..], v);
            }
        }
    }

    #[test]
    fn tanh_is_within_four_ulp_and_keeps_the_ends() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let grid = (0..200_000).map(|i| -12.0 + i as f32 * 1.2e-4);
            let small = (0..1000).map(|i| 10_f32.powi(-30 + i / 50) * (1.0 + (i % 50) as f32 / 7.0));
            let x: Vec<f32> = grid.chain(small).collect();
            let mut y = x.clone();
            isa.run(Tanh(&mut y));
            let worst = x.iter().zip(&y).map(|(&x, &y)| {
                let want = f64::from(x).tanh();
                let ulp = f64::from((want.abs() as f32).next_up()) - f64::from(want.abs() as f32);
                (f64::from(y) - want).abs() / ulp
            });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= 4.0, "{}: {worst} ulp", isa.name());
            let mut ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 0.0];
            isa.run(Tanh(&mut ends));
            assert!(ends[0].is_nan());
            assert_eq!(ends[1..], [1.0, -1.0, 1.0, 0.0]);
        }
    }

    #[test]
    fn exp_is_within_two_ulp_and_keeps_the_ends() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let x: Vec<f32> = (0..200_000).map(|i| -87.0 + i as f32 * 8.75e-4).collect();
            let mut y = x.clone();
            isa.run(Exp(&mut y));
            let worst = x.iter().zip(&y).map(|(&x, &y)| {
                let want = f64::from(x).exp();
                let ulp = f64::from((want as f32).next_up()) - f64::from(want as f32);
                (f64::from(y) - want).abs() / ulp
            });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= 2.0, "{}: {worst} ulp", isa.name());
            let mut ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 89.0, -110.0, 0.0];
            isa.run(Exp(&mut ends));
            assert!(ends[0].is_nan());
            assert_eq!(ends[1..], [f32::INFINITY, 0.0, f32::INFINITY, 0.0, 1.0]);
        }
    }
}

//! Plain Rust on four lanes, for every machine.

use tunesmith_ops::nf4::NF4;

use super::vector::{NF4_MIDPOINTS, NF4_RUN, Simd};

/// No instruction set beyond what the compiler may assume.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

type V = [f32; 4];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 6;
    type V = V;
    type Nf4 = [f32; 16];

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load_at(self, pointer: *const f32) -> V {
        // SAFETY: readable for four elements by the caller's promise.
        unsafe { pointer.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_at(self, pointer: *mut f32, v: V) {
        // SAFETY: writable for four elements by the caller's promise.
        unsafe { pointer.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    fn prefetch(self, _: *const f32) {}
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        // Where the machine has no such instruction, `mul_add` is a slow library call.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            [a[0].mul_add(b[0], c[0]), a[1].mul_add(b[1], c[1]), a[2].mul_add(b[2], c[2]), a[3].mul_add(b[3], c[3])]
        } else {
            self.add(self.mul(a, b), c)
        }
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding 1.5 · 2^23 leaves no bits for a fraction.
        let shift = [12_582_912.0; 4];
        self.sub(self.add(a, shift), shift)
    }
    #[inline(always)]
    fn power_of_two(self, a: V) -> V {
        a.map(|x| f32::from_bits(((x as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn transpose(self, source: *const f32, source_stride: usize, target: *mut f32, target_stride: usize) {
        for r in 0..Self::LANES {
            for c in 0..Self::LANES {
                // SAFETY: inside both squares by the caller's promise.
                unsafe { *target.add(c * target_stride + r) = *source.add(r * source_stride + c) };
            }
        }
    }
    #[inline(always)]
    fn nf4_table(self, scale: f32) -> [f32; 16] {
        NF4.map(|value| value * scale)
    }
    #[inline(always)]
    unsafe fn nf4_values(self, table: [f32; 16], codes: *const u8, target: *mut f32) {
        for i in 0..NF4_RUN / 2 {
            // SAFETY: readable and writable by the caller's promise.
            unsafe {
                let byte = *codes.add(i);
                *target.add(2 * i) = table[usize::from(byte >> 4)];
                *target.add(2 * i + 1) = table[usize::from(byte & 15)];
            }
        }
    }
    #[inline(always)]
    unsafe fn nf4_codes(self, x: V, codes: *mut u8) {
        let code = |x: f32| {
            let mut code = 0;
            for step in [8, 4, 2, 1] {
                code += if NF4_MIDPOINTS[code + step - 1] < x { step } else { 0 };
            }
            code as u8
        };
        let [a, b, c, d] = x.map(code);
        // SAFETY: writable for two bytes by the caller's promise.
        unsafe { codes.cast::<[u8; 2]>().write_unaligned([a << 4 | b, c << 4 | d]) };
    }
    #[inline(always)]
    fn sum(self, a: V) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
    #[inline(always)]
    fn largest(self, a: V) -> f32 {
        a[0].max(a[1]).max(a[2]).max(a[3])
    }
}

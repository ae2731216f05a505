//! AVX-512F: 16 lanes.

use std::arch::x86_64::{
    __m512, _CMP_LT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_loadu_si128, _mm_maddubs_epi16,
    _mm_packus_epi16, _mm_prefetch, _mm_set1_epi16, _mm_srli_epi16, _mm_storel_epi64, _mm_unpackhi_epi8,
    _mm_unpacklo_epi8, _mm512_add_epi32, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi8,
    _mm512_cvtepu8_epi32, _mm512_cvtps_epi32, _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_add_epi32,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_permutexvar_ps, _mm512_reduce_add_ps, _mm512_reduce_max_ps,
    _mm512_roundscale_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512, _mm512_shuffle_f32x4,
    _mm512_shuffle_ps, _mm512_slli_epi32, _mm512_sqrt_ps, _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_ps,
    _mm512_unpacklo_ps,
};

use tunesmith_ops::nf4::NF4;

use super::vector::{Kernel, NF4_MIDPOINTS, Simd};

/// Proof that AVX-512F is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

/// Runs a kernel with AVX-512F.
///
/// # Safety
/// The machine must have AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

macro_rules! vector_ops {
    ($($name:ident($($arg:ident),+) = $call:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Self::V),+) -> Self::V {
            // SAFETY: `self` is proof of the instruction set.
            unsafe { $call }
        }
    )+};
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const ROWS: usize = 14;
    type V = __m512;
    type Nf4 = __m512;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` is proof of the instruction set.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_at(self, pointer: *const f32) -> __m512 {
        // SAFETY: readable for 16 elements by the caller's promise; `self` is proof of the instruction set.
        unsafe { _mm512_loadu_ps(pointer) }
    }
    #[inline(always)]
    unsafe fn store_at(self, pointer: *mut f32, v: __m512) {
        // SAFETY: writable for 16 elements by the caller's promise; `self` is proof of the instruction set.
        unsafe { _mm512_storeu_ps(pointer, v) }
    }
    #[inline(always)]
    fn prefetch(self, pointer: *const f32) {
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(pointer.cast()) }
    }
    vector_ops! {
        add(a, b) = _mm512_add_ps(a, b);
        sub(a, b) = _mm512_sub_ps(a, b);
        mul(a, b) = _mm512_mul_ps(a, b);
        div(a, b) = _mm512_div_ps(a, b);
        sqrt(a) = _mm512_sqrt_ps(a);
        fma(a, b, c) = _mm512_fmadd_ps(a, b, c);
        max(a, b) = _mm512_max_ps(a, b);
        min(a, b) = _mm512_min_ps(a, b);
        round(a) = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        power_of_two(a) = {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        };
    }
    #[inline(always)]
    unsafe fn transpose(self, source: *const f32, source_stride: usize, target: *mut f32, target_stride: usize) {
        // SAFETY: inside both squares by the caller's promise; `self` is proof of the instruction set.
        unsafe {
            let mut rows = [self.splat(0.0); 16];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = self.load_at(source.add(r * source_stride));
            }
            // Pairs of rows interleave by one element, then by two; the quarters of each vector stay where they are.
            let mut pairs = rows;
            for r in 0..8 {
                pairs[2 * r] = _mm512_unpacklo_ps(rows[2 * r], rows[2 * r + 1]);
                pairs[2 * r + 1] = _mm512_unpackhi_ps(rows[2 * r], rows[2 * r + 1]);
            }
            for q in 0..4 {
                for h in 0..2 {
                    let (a, b) = (pairs[4 * q + h], pairs[4 * q + h + 2]);
                    rows[4 * q + 2 * h] = _mm512_shuffle_ps::<0b01_00_01_00>(a, b);
                    rows[4 * q + 2 * h + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(a, b);
                }
            }
            // `rows[4 q + c]` now holds column `c` of each quarter for rows `4 q ..`; the quarters trade places.
            for c in 0..4 {
                let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(rows[c], rows[c + 4]);
                let odd = _mm512_shuffle_f32x4::<0b11_01_11_01>(rows[c], rows[c + 4]);
                let even_below = _mm512_shuffle_f32x4::<0b10_00_10_00>(rows[c + 8], rows[c + 12]);
                let odd_below = _mm512_shuffle_f32x4::<0b11_01_11_01>(rows[c + 8], rows[c + 12]);
                let columns = [
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(even, even_below),
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(odd, odd_below),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(even, even_below),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(odd, odd_below),
                ];
                for (quarter, column) in columns.into_iter().enumerate() {
                    self.store_at(target.add((4 * quarter + c) * target_stride), column);
                }
            }
        }
    }
    #[inline(always)]
    fn nf4_table(self, scale: f32) -> __m512 {
        self.mul(self.load(&NF4), self.splat(scale))
    }
    #[inline(always)]
    unsafe fn nf4_values(self, table: __m512, codes: *const u8, target: *mut f32) {
        // SAFETY: 16 bytes and 32 elements by the caller's promise; `self` is proof of the instruction set.
        unsafe {
            let bytes = _mm_loadu_si128(codes.cast());
            // Bits above the lowest four are the neighbour's, and the permutation does not look at them.
            let upper = _mm_srli_epi16::<4>(bytes);
            let first = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(upper, bytes));
            let second = _mm512_cvtepu8_epi32(_mm_unpackhi_epi8(upper, bytes));
            self.store_at(target, _mm512_permutexvar_ps(first, table));
            self.store_at(target.add(16), _mm512_permutexvar_ps(second, table));
        }
    }
    #[inline(always)]
    unsafe fn nf4_codes(self, x: __m512, codes: *mut u8) {
        // SAFETY: writable for eight bytes by the caller's promise; `self` is proof of the instruction set.
        unsafe {
            let midpoints = self.load_at(NF4_MIDPOINTS.as_ptr());
            let mut code = _mm512_setzero_si512();
            for step in [8, 4, 2, 1] {
                let place = _mm512_add_epi32(code, _mm512_set1_epi32(step - 1));
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_permutexvar_ps(place, midpoints), x);
                code = _mm512_mask_add_epi32(code, below, code, _mm512_set1_epi32(step));
            }
            let pairs = _mm_maddubs_epi16(_mm512_cvtepi32_epi8(code), _mm_set1_epi16(0x0110));
            _mm_storel_epi64(codes.cast(), _mm_packus_epi16(pairs, pairs));
        }
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: `self` is proof of the instruction set.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    fn largest(self, a: __m512) -> f32 {
        // SAFETY: `self` is proof of the instruction set.
        unsafe { _mm512_reduce_max_ps(a) }
    }
}

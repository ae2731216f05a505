//! AVX2 with FMA: 8 lanes.

use std::arch::x86_64::{
    __m256, __m256i, _CMP_LT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_and_si128,
    _mm_castps_si128, _mm_castsi128_ps, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_maddubs_epi16, _mm_packus_epi16,
    _mm_packus_epi32, _mm_prefetch, _mm_set1_epi8, _mm_set1_epi16, _mm_shuffle_ps, _mm_srli_epi16, _mm_unpackhi_epi8,
    _mm_unpacklo_epi8, _mm256_add_epi32, _mm256_add_ps, _mm256_broadcastsi128_si256, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cvtps_epi32, _mm256_div_ps,
    _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
    _mm256_permute2f128_ps, _mm256_round_ps, _mm256_set_m128i, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_sqrt_ps, _mm256_storeu_ps, _mm256_sub_epi32,
    _mm256_sub_ps, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpackhi_ps, _mm256_unpacklo_epi8,
    _mm256_unpacklo_epi16, _mm256_unpacklo_ps,
};

use tunesmith_ops::nf4::NF4;

use super::vector::{Kernel, NF4_MIDPOINTS, Simd};

/// Proof that AVX2 and FMA are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

/// The values of NF4, byte by byte: all lowest bytes, then all second ones …
const NF4_PLANES: [[u8; 16]; 4] = {
    let mut planes = [[0; 16]; 4];
    let mut i = 0;
    while i < 64 {
        planes[i % 4][i / 4] = NF4[i / 4].to_le_bytes()[i % 4];
        i += 1;
    }
    planes
};

/// Runs a kernel with AVX2 and FMA.
///
/// # Safety
/// The machine must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
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

impl Avx2 {
    #[inline(always)]
    fn lanes(self, a: __m256) -> [f32; 8] {
        let mut lanes = [0.0; 8];
        // SAFETY: eight elements are writable.
        unsafe { self.store_at(lanes.as_mut_ptr(), a) };
        lanes
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const ROWS: usize = 6;
    type V = __m256;
    type Nf4 = ([__m256i; 4], __m256);

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` is proof of the instruction set.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_at(self, pointer: *const f32) -> __m256 {
        // SAFETY: readable for eight elements by the caller's promise; `self` is proof of the instruction set.
        unsafe { _mm256_loadu_ps(pointer) }
    }
    #[inline(always)]
    unsafe fn store_at(self, pointer: *mut f32, v: __m256) {
        // SAFETY: writable for eight elements by the caller's promise; `self` is proof of the instruction set.
        unsafe { _mm256_storeu_ps(pointer, v) }
    }
    #[inline(always)]
    fn prefetch(self, pointer: *const f32) {
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(pointer.cast()) }
    }
    vector_ops! {
        add(a, b) = _mm256_add_ps(a, b);
        sub(a, b) = _mm256_sub_ps(a, b);
        mul(a, b) = _mm256_mul_ps(a, b);
        div(a, b) = _mm256_div_ps(a, b);
        sqrt(a) = _mm256_sqrt_ps(a);
        fma(a, b, c) = _mm256_fmadd_ps(a, b, c);
        max(a, b) = _mm256_max_ps(a, b);
        min(a, b) = _mm256_min_ps(a, b);
        round(a) = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        power_of_two(a) = {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        };
    }
    #[inline(always)]
    unsafe fn transpose(self, source: *const f32, source_stride: usize, target: *mut f32, target_stride: usize) {
        // SAFETY: inside both squares by the caller's promise; `self` is proof of the instruction set.
        unsafe {
            let mut rows = [self.splat(0.0); 8];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = self.load_at(source.add(r * source_stride));
            }
            // Pairs of rows interleave by one element, then by two; the halves of each vector stay where they are.
            let mut pairs = rows;
            for r in 0..4 {
                pairs[2 * r] = _mm256_unpacklo_ps(rows[2 * r], rows[2 * r + 1]);
                pairs[2 * r + 1] = _mm256_unpackhi_ps(rows[2 * r], rows[2 * r + 1]);
            }
            for q in 0..2 {
                for h in 0..2 {
                    let (a, b) = (pairs[4 * q + h], pairs[4 * q + h + 2]);
                    rows[4 * q + 2 * h] = _mm256_shuffle_ps::<0b01_00_01_00>(a, b);
                    rows[4 * q + 2 * h + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(a, b);
                }
            }
            for c in 0..4 {
                let low = _mm256_permute2f128_ps::<0x20>(rows[c], rows[c + 4]);
                let high = _mm256_permute2f128_ps::<0x31>(rows[c], rows[c + 4]);
                self.store_at(target.add(c * target_stride), low);
                self.store_at(target.add((c + 4) * target_stride), high);
            }
        }
    }
    #[inline(always)]
    fn nf4_table(self, scale: f32) -> Self::Nf4 {
        // SAFETY: 16 bytes of a plane are readable; `self` is proof of the instruction set.
        let planes =
            NF4_PLANES.map(|plane| unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(plane.as_ptr().cast())) });
        (planes, self.splat(scale))
    }
    #[inline(always)]
    unsafe fn nf4_values(self, (planes, scale): Self::Nf4, codes: *const u8, target: *mut f32) {
        // SAFETY: 16 bytes and 32 elements by the caller's promise; `self` is proof of the instruction set.
        unsafe {
            let bytes = _mm_loadu_si128(codes.cast());
            let nibble = _mm_set1_epi8(15);
            let (upper, lower) = (_mm_and_si128(_mm_srli_epi16::<4>(bytes), nibble), _mm_and_si128(bytes, nibble));
            // Fours of codes: even ones into the lower lane, odd ones into the upper, so that what the unpacking below
            // makes of both lanes lies side by side.
            let first = _mm_castsi128_ps(_mm_unpacklo_epi8(upper, lower));
            let second = _mm_castsi128_ps(_mm_unpackhi_epi8(upper, lower));
            let even = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(first, second));
            let odd = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(first, second));
            let index = _mm256_set_m128i(odd, even);
            // Byte by byte: a lookup among sixteen bytes is one instruction, one among sixteen floats four.
            let [a, b, c, d] = planes.map(|plane| _mm256_shuffle_epi8(plane, index));
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
            let (low_rest, high_rest) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
            let values = [
                _mm256_unpacklo_epi16(low, high),
                _mm256_unpackhi_epi16(low, high),
                _mm256_unpacklo_epi16(low_rest, high_rest),
                _mm256_unpackhi_epi16(low_rest, high_rest),
            ];
            for (i, value) in values.into_iter().enumerate() {
                self.store_at(target.add(8 * i), self.mul(_mm256_castsi256_ps(value), scale));
            }
        }
    }
    #[inline(always)]
    unsafe fn nf4_codes(self, x: __m256, codes: *mut u8) {
        // SAFETY: writable for four bytes by the caller's promise; `self` is proof of the instruction set.
        unsafe {
            let mut count = _mm256_setzero_si256();
            for midpoint in &NF4_MIDPOINTS[..15] {
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(self.splat(*midpoint), x);
                count = _mm256_sub_epi32(count, _mm256_castps_si256(below));
            }
            let words = _mm_packus_epi32(_mm256_castsi256_si128(count), _mm256_extracti128_si256::<1>(count));
            let pairs = _mm_maddubs_epi16(_mm_packus_epi16(words, words), _mm_set1_epi16(0x0110));
            let bytes = _mm_cvtsi128_si32(_mm_packus_epi16(pairs, pairs));
            codes.cast::<i32>().write_unaligned(bytes);
        }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        let v = self.lanes(a);
        ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
    }
    #[inline(always)]
    fn largest(self, a: __m256) -> f32 {
        self.lanes(a).into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}

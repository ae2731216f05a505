//! `rope`: rotation of the halves of every head, or of its first part.

use tunesmith_ops::{Result, Rope, RopeShape, Rotation, View, ViewMut};

use crate::buffer::Buffer;
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut, integers};
use crate::{Cpu, scratch};

/// Tokens of one piece of work.
const TOKENS: usize = 16;

/// Cosine and sine of float32 angles below 2^31, within 1 ulp.
///
/// The angle is reduced by multiples of π/2 in float64, where it and the remainder are exact enough up to that size;
/// sine and cosine of the remainder are polynomials of degree 9 and 10 interpolated at Chebyshev nodes (error 1.4e-11).
struct Angles<'a> {
    position: f32,
    inv_freq: &'a [f32],
    scaling: f32,
    cosine: &'a mut [f32],
    sine: &'a mut [f32],
}

impl Kernel for Angles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        // Adding 1.5 · 2^52 rounds to an integer and leaves it in the low bits.
        const SHIFT: f64 = 6_755_399_441_055_744.0;
        let places = self.cosine.iter_mut().zip(self.sine.iter_mut());
        for ((cosine, sine), &inv_freq) in places.zip(self.inv_freq) {
            let angle = f64::from(self.position * inv_freq);
            let shifted = angle * std::f64::consts::FRAC_2_PI + SHIFT;
            let r = angle - (shifted - SHIFT) * std::f64::consts::FRAC_PI_2;
            let z = r * r;
            let s = -0.166_666_666_638_530_44
                + z * (0.008_333_331_873_837_32 + z * (-0.000_198_400_862_638_908_64 + z * 2.724_986_467_240_385e-6));
            let c = 0.041_666_666_664_319_32
                + z * (-0.001_388_888_767_128_761_4 + z * (2.480_059_998_327_811_7e-5 + z * -2.730_090_813_670_76e-7));
            let s = r + r * z * s;
            let c = 1.0 - 0.5 * z + z * z * c;
            let quadrant = shifted.to_bits();
            let (mut sin, mut cos) = if quadrant & 1 == 0 { (s, c) } else { (c, s) };
            sin = if quadrant & 2 == 0 { sin } else { -sin };
            cos = if (quadrant + 1) & 2 == 0 { cos } else { -cos };
            *cosine = cos as f32 * self.scaling;
            *sine = sin as f32 * self.scaling;
        }
    }
}

/// Rotates all heads of one token.
struct Rotate<'a> {
    h: usize,
    x: &'a mut [f32],
    cosine: &'a [f32],
    sine: &'a [f32],
    sign: f32,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let half = self.cosine.len();
        for head in self.x.chunks_exact_mut(self.h) {
            let (low, high) = head[..2 * half].split_at_mut(half);
            for i in (0..half).step_by(S::LANES) {
                let cosine = s.load(&self.cosine[i..]);
                let sine = s.mul(s.load(&self.sine[i..]), s.splat(self.sign));
                let (a, b) = (s.load(&low[i..]), s.load(&high[i..]));
                s.store(&mut low[i..], s.sub(s.mul(a, cosine), s.mul(b, sine)));
                s.store(&mut high[i..], s.fma(b, cosine, s.mul(a, sine)));
            }
        }
    }
}

impl Rope for Cpu {
    fn rope(
        &self,
        shape: RopeShape,
        x: ViewMut<'_, Buffer>,
        positions: View<'_, Buffer>,
        inv_freq: View<'_, Buffer>,
        attention_scaling: f32,
        rotation: Rotation,
    ) -> Result<()> {
        let RopeShape { heads, h, rotary, .. } = shape;
        shape.check(call("rope"), x.as_view(), positions, inv_freq)?;
        let row = heads * h;
        let x = floats_mut(x);
        let positions = integers(positions);
        let inv_freq = floats(inv_freq);
        let sign = match rotation {
            Rotation::Forward => 1.0,
            Rotation::Backward => -1.0,
        };
        let parts = x.chunks_mut((TOKENS * row).max(1)).zip(positions.chunks(TOKENS));
        self.pool.each(parts, |_, (x, positions)| {
            let mut table = scratch::take(rotary);
            let (cosine, sine) = table.split_at_mut(rotary / 2);
            for (x, &position) in x.chunks_exact_mut(row).zip(positions) {
                self.isa.run(Angles { position: position as f32, inv_freq, scaling: attention_scaling, cosine, sine });
                self.isa.run(Rotate { h, x, cosine, sine, sign });
            }
        })
    }
}

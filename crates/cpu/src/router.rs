//! `router`: one task per some tokens; the grouping is a counting sort on one thread.

use tunesmith_ops::{Error, Result, Router, RouterShape, View, ViewMut};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::product::SharedMatrix;
use crate::simd::{Kernel, Simd};
use crate::views::{call, floats, floats_mut, integers, integers_mut};

/// Tokens of one piece of work.
const TOKENS: usize = 32;

/// `y += factor · x`, or `y = factor · x`.
struct Scaled<'a> {
    factor: f32,
    x: &'a [f32],
    y: &'a mut [f32],
    add: bool,
}

impl Kernel for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = s.splat(self.factor);
        for i in (0..self.y.len()).step_by(S::LANES) {
            let mut v = s.mul(s.load(&self.x[i..]), factor);
            if self.add {
                v = s.add(s.load(&self.y[i..]), v);
            }
            s.store(&mut self.y[i..], v);
        }
    }
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl Kernel for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sum = s.splat(0.0);
        for i in (0..self.0.len()).step_by(S::LANES) {
            sum = s.fma(s.load(&self.0[i..]), s.load(&self.1[i..]), sum);
        }
        s.sum(sum)
    }
}

/// One token: softmax in float64 over few numbers, then the largest logits, one after another.
fn route(logits: &[f32], normalize: bool, probabilities: &mut [f32], chosen: &mut [i32], weights: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits {
        sum += (f64::from(*logit) - f64::from(largest)).exp();
    }
    for (p, logit) in probabilities.iter_mut().zip(logits) {
        *p = ((f64::from(*logit) - f64::from(largest)).exp() / sum) as f32;
    }
    for j in 0..chosen.len() {
        let free = |expert: &usize| !chosen[..j].contains(&(*expert as i32));
        let mut best = None;
        for expert in (0..logits.len()).filter(free) {
            // A NaN is larger than nothing, and everything else is larger than a NaN.
            let larger =
                |best: usize| logits[expert] > logits[best] || (logits[best].is_nan() && !logits[expert].is_nan());
            if best.is_none_or(larger) {
                best = Some(expert);
            }
        }
        let best = best.unwrap_or_default();
        (chosen[j], weights[j]) = (best as i32, probabilities[best]);
    }
    if normalize {
        let total: f32 = weights.iter().sum();
        for weight in weights {
            *weight /= total;
        }
    }
}

fn route_back(p: &[f32], chosen: &[i32], dw: &[f32], normalize: bool, dlogits: &mut [f32]) {
    let mut total = 1.0;
    let mut mean = 0.0;
    if normalize {
        total = chosen.iter().map(|expert| p[*expert as usize]).sum::<f32>();
        mean = chosen.iter().zip(dw).map(|(expert, dw)| dw * p[*expert as usize] / total).sum();
    }
    dlogits.fill(0.0);
    let mut along = 0.0;
    for (expert, dw) in chosen.iter().zip(dw) {
        let expert = *expert as usize;
        dlogits[expert] = (dw - mean) / total;
        along += p[expert] * dlogits[expert];
    }
    dlogits.iter_mut().zip(p).for_each(|(d, p)| *d = p * (*d - along));
}

impl Router for Cpu {
    fn router_forward(
        &self,
        shape: RouterShape,
        logits: View<'_, Buffer>,
        probabilities: ViewMut<'_, Buffer>,
        chosen: ViewMut<'_, Buffer>,
        weights: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let RouterShape { experts: e, top_k: k, normalize, .. } = shape;
        let call = call("router_forward");
        shape.check_forward(call, logits, probabilities.as_view(), chosen.as_view(), weights.as_view())?;
        let logits = floats(logits);
        let probabilities = floats_mut(probabilities);
        let chosen = integers_mut(chosen);
        let weights = floats_mut(weights);
        let wide = logits.chunks(TOKENS * e).zip(probabilities.chunks_mut(TOKENS * e));
        let narrow = chosen.chunks_mut(TOKENS * k).zip(weights.chunks_mut(TOKENS * k));
        self.pool.each(wide.zip(narrow), |_, ((logits, probabilities), (chosen, weights))| {
            let wide = logits.chunks_exact(e).zip(probabilities.chunks_exact_mut(e));
            let narrow = chosen.chunks_exact_mut(k).zip(weights.chunks_exact_mut(k));
            for ((logits, probabilities), (chosen, weights)) in wide.zip(narrow) {
                route(logits, normalize, probabilities, chosen, weights);
            }
        })
    }

    fn router_backward(
        &self,
        shape: RouterShape,
        probabilities: View<'_, Buffer>,
        chosen: View<'_, Buffer>,
        dweights: View<'_, Buffer>,
        dlogits: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let RouterShape { experts: e, top_k: k, normalize, .. } = shape;
        let call = call("router_backward");
        shape.check_backward(call, probabilities, chosen, dweights, dlogits.as_view())?;
        let probabilities = floats(probabilities);
        let chosen = integers(chosen);
        call.indices("chosen", chosen, e)?;
        let dweights = floats(dweights);
        let dlogits = floats_mut(dlogits);
        let rows = probabilities.chunks_exact(e).zip(chosen.chunks_exact(k)).zip(dweights.chunks_exact(k));
        self.pool.each(rows.zip(dlogits.chunks_exact_mut(e)), |_, (((p, chosen), dw), dlogits)| {
            route_back(p, chosen, dw, normalize, dlogits);
        })
    }

    fn router_group(
        &self,
        shape: RouterShape,
        chosen: View<'_, Buffer>,
        tokens: ViewMut<'_, Buffer>,
        places: ViewMut<'_, Buffer>,
        starts: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let RouterShape { experts: e, top_k: k, .. } = shape;
        let call = call("router_group");
        shape.check_group(call, chosen, tokens.as_view(), places.as_view(), starts.as_view())?;
        let chosen = integers(chosen);
        call.indices("chosen", chosen, e)?;
        let tokens = integers_mut(tokens);
        let places = integers_mut(places);
        let starts = integers_mut(starts);
        let mut next = vec![0; e + 1];
        for expert in chosen {
            next[*expert as usize + 1] += 1;
        }
        for expert in 0..e {
            next[expert + 1] += next[expert];
        }
        starts.copy_from_slice(&next);
        for (slot, expert) in chosen.iter().enumerate() {
            let place = &mut next[*expert as usize];
            (places[slot], tokens[*place as usize]) = (*place, (slot / k) as i32);
            *place += 1;
        }
        Ok(())
    }

    fn combine_forward(
        &self,
        shape: RouterShape,
        d: usize,
        x: View<'_, Buffer>,
        places: View<'_, Buffer>,
        weights: View<'_, Buffer>,
        y: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, RouterShape { t, top_k: k, .. }) = (call("combine_forward"), shape);
        shape.check_combine(call, d, x, places, weights, y.as_view())?;
        let x = floats(x);
        let places = integers(places);
        call.indices("places", places, t * k)?;
        let weights = floats(weights);
        let y = floats_mut(y);
        if d == 0 {
            return Ok(());
        }
        let slots = places.chunks_exact(k).zip(weights.chunks_exact(k));
        self.pool.each(y.chunks_exact_mut(d).zip(slots), |_, (y, (places, weights))| {
            for (j, (place, factor)) in places.iter().zip(weights).enumerate() {
                let x = &x[*place as usize * d..][..d];
                self.isa.run(Scaled { factor: *factor, x, y: &mut *y, add: j > 0 });
            }
        })
    }

    fn combine_backward(
        &self,
        shape: RouterShape,
        d: usize,
        dy: View<'_, Buffer>,
        x: View<'_, Buffer>,
        places: View<'_, Buffer>,
        weights: View<'_, Buffer>,
        dx: ViewMut<'_, Buffer>,
        dweights: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (call, RouterShape { t, top_k: k, .. }) = (call("combine_backward"), shape);
        shape.check_combine_backward(call, d, dy, x, places, weights, dx.as_view(), dweights.as_view())?;
        let dy = floats(dy);
        let x = floats(x);
        let places = integers(places);
        call.indices("places", places, t * k)?;
        let weights = floats(weights);
        let dx = floats_mut(dx);
        let dweights = floats_mut(dweights);
        let mut seen = vec![false; places.len()];
        if let Some(twice) = places.iter().find(|place| std::mem::replace(&mut seen[**place as usize], true)) {
            return Err(Error::argument(call.op, "a place of its own for every slot", format!("{twice} twice")));
        }
        let dx = SharedMatrix::new(dx, d);
        self.pool.each(dweights.chunks_exact_mut(k).enumerate(), |_, (token, dweights)| {
            let dy = &dy[token * d..][..d];
            for (j, dweight) in dweights.iter_mut().enumerate() {
                let (place, factor) = (places[token * k + j] as usize, weights[token * k + j]);
                *dweight = self.isa.run(Dot(dy, &x[place * d..][..d]));
                // SAFETY: no two slots have one place, which was checked, so every row of `dx` has one writer.
                let mut row = unsafe { dx.tile(place, 0) };
                self.isa.run(Scaled { factor, x: dy, y: row.row(0, d), add: false });
            }
        })
    }
}

//! `router`: which experts a token goes to, the tokens of each expert side by side, and their outputs back together.

use crate::check::Call;
use crate::error::{Error, Result};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// Sizes of a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterShape {
    /// Tokens `t`.
    pub t: usize,
    /// Experts `e`.
    pub experts: usize,
    /// Experts of each token `k`, from 1 to `e`.
    pub top_k: usize,
    /// The weights of a token's experts are divided by their sum.
    pub normalize: bool,
}

impl RouterShape {
    /// Checks the sizes against each other.
    ///
    /// # Errors
    /// `ArgumentInvalid` when there are fewer experts than each token wants, or it wants none.
    fn check(self, op: &str) -> Result<()> {
        if self.top_k == 0 || self.top_k > self.experts {
            return Err(Error::argument(op, format!("from 1 to {} experts for a token", self.experts), self.top_k));
        }
        Ok(())
    }

    /// Checks the arguments of [`Router::router_forward`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit, or sizes that contradict each other; so in the other checks.
    pub fn check_forward<T: TypedBuffer>(
        self,
        call: Call,
        logits: View<'_, T>,
        probabilities: View<'_, T>,
        chosen: View<'_, T>,
        weights: View<'_, T>,
    ) -> Result<()> {
        let Self { t, experts: e, top_k: k, .. } = self;
        self.check(call.op)?;
        call.activations("logits", logits, t * e)?;
        call.float32("probabilities", probabilities, t * e)?;
        call.int32("chosen", chosen, t * k)?;
        call.float32("weights", weights, t * k)
    }

    /// Checks the arguments of [`Router::router_backward`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_backward<T: TypedBuffer>(
        self,
        call: Call,
        probabilities: View<'_, T>,
        chosen: View<'_, T>,
        dweights: View<'_, T>,
        dlogits: View<'_, T>,
    ) -> Result<()> {
        let Self { t, experts: e, top_k: k, .. } = self;
        self.check(call.op)?;
        call.float32("probabilities", probabilities, t * e)?;
        call.int32("chosen", chosen, t * k)?;
        call.float32("dweights", dweights, t * k)?;
        call.activations("dlogits", dlogits, t * e)
    }

    /// Checks the arguments of [`Router::router_group`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_group<T: TypedBuffer>(
        self,
        call: Call,
        chosen: View<'_, T>,
        tokens: View<'_, T>,
        places: View<'_, T>,
        starts: View<'_, T>,
    ) -> Result<()> {
        let Self { t, experts: e, top_k: k, .. } = self;
        self.check(call.op)?;
        call.int32("chosen", chosen, t * k)?;
        call.int32("tokens", tokens, t * k)?;
        call.int32("places", places, t * k)?;
        call.int32("starts", starts, e + 1)
    }

    /// Checks the arguments of [`Router::combine_forward`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_combine<T: TypedBuffer>(
        self,
        call: Call,
        d: usize,
        x: View<'_, T>,
        places: View<'_, T>,
        weights: View<'_, T>,
        y: View<'_, T>,
    ) -> Result<()> {
        let Self { t, top_k: k, .. } = self;
        self.check(call.op)?;
        call.activations("x", x, t * k * d)?;
        call.int32("places", places, t * k)?;
        call.float32("weights", weights, t * k)?;
        call.activations("y", y, t * d)
    }

    /// Checks the arguments of [`Router::combine_backward`].
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the view that does not fit.
    pub fn check_combine_backward<T: TypedBuffer>(
        self,
        call: Call,
        d: usize,
        dy: View<'_, T>,
        x: View<'_, T>,
        places: View<'_, T>,
        weights: View<'_, T>,
        dx: View<'_, T>,
        dweights: View<'_, T>,
    ) -> Result<()> {
        let Self { t, top_k: k, .. } = self;
        self.check(call.op)?;
        call.activations("dy", dy, t * d)?;
        call.activations("x", x, t * k * d)?;
        call.int32("places", places, t * k)?;
        call.float32("weights", weights, t * k)?;
        call.activations("dx", dx, t * k * d)?;
        call.float32("dweights", dweights, t * k)
    }
}

/// Top-k routing (Shazeer et al. 2017, arXiv:1701.06538) with the softmax before the choice (Qwen3, arXiv:2505.09388).
///
/// Letters: `t` tokens, `e` experts, `k` experts of a token, `s = t·k` slots, `d` row length. Forward saves probabilities,
/// chosen and weights. Logits, their gradient and rows of `d` are activations; everything else is f32 or i32. Indices never
/// leave the device: on a backend whose host does not see them an invalid one gives NaN in what depends on it, and
/// nothing outside the views is touched.
///
/// Tolerance f32: forward 2e-6, backward 1e-5 relative to the largest output, and so where outputs are f32 and activations
/// in bf16; outputs in bf16 4e-3; indices exact. Edge sizes: t in 0, 1, 257; e in 1, 5, 128, 131; k in 1, 2, 5, 8, 37; d in 1,
/// 17, 576; equal logits; logits of NaN and ±∞; an expert without tokens, and one with all of them.
pub trait Router: Memory {
    /// `probabilities[t, e] = softmax(logits[t, e])`; `chosen[t, k]`: the experts of the largest logits, in falling order, the
    /// lower index first among equals and NaN last; `weights[t, k]`: their probabilities, divided by their sum
    /// when `normalize`. Logits and not probabilities decide, so that no rounding of an exponential does.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a view does not fit the shape.
    fn router_forward(
        &self,
        shape: RouterShape,
        logits: View<'_, Self::Buffer>,
        probabilities: ViewMut<'_, Self::Buffer>,
        chosen: ViewMut<'_, Self::Buffer>,
        weights: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dlogits[t, e]` from `dweights[t, k]` and what forward saved; writes.
    ///
    /// # Errors
    /// As [`Self::router_forward`].
    fn router_backward(
        &self,
        shape: RouterShape,
        probabilities: View<'_, Self::Buffer>,
        chosen: View<'_, Self::Buffer>,
        dweights: View<'_, Self::Buffer>,
        dlogits: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// The slots in the order of their experts, those of an expert in the order of tokens: writes `tokens[s]` (the token of
    /// each ordered slot), `places[t, k]` (where the slot of a token went) and `starts[e + 1]` (first slot of each expert,
    /// and s), all i32.
    ///
    /// # Errors
    /// As [`Self::router_forward`]; `ArgumentInvalid` when a chosen expert is outside `0 .. e` and the host sees it. Where it
    /// does not, the slot has place −1, and the last start is less than s.
    fn router_group(
        &self,
        shape: RouterShape,
        chosen: View<'_, Self::Buffer>,
        tokens: ViewMut<'_, Self::Buffer>,
        places: ViewMut<'_, Self::Buffer>,
        starts: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `y[t, d] = Σ over j of weights[t, j] · x[places[t, j], d]`, in the order of j; writes. `x[s, d]`.
    ///
    /// # Errors
    /// As [`Self::router_group`].
    fn combine_forward(
        &self,
        shape: RouterShape,
        d: usize,
        x: View<'_, Self::Buffer>,
        places: View<'_, Self::Buffer>,
        weights: View<'_, Self::Buffer>,
        y: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// `dx[places[t, j]] = weights[t, j] · dy[t]` and `dweights[t, j] = dy[t] · x[places[t, j]]`; writes both. No two slots
    /// have one place.
    ///
    /// # Errors
    /// As [`Self::router_group`].
    fn combine_backward(
        &self,
        shape: RouterShape,
        d: usize,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        places: View<'_, Self::Buffer>,
        weights: View<'_, Self::Buffer>,
        dx: ViewMut<'_, Self::Buffer>,
        dweights: ViewMut<'_, Self::Buffer>,
    ) -> Result<()>;
}

/// The same in float64, written for reading.
pub mod reference {
    use super::RouterShape;

    /// What routing gives.
    #[derive(Debug, Clone, Default)]
    pub struct Routed {
        /// Softmax of the logits.
        pub probabilities: Vec<f64>,
        /// Experts of each token.
        pub chosen: Vec<i32>,
        /// Their weights.
        pub weights: Vec<f64>,
    }

    /// What decides between logits: NaN below −∞, and both zeros alike.
    fn rank(logit: f64) -> f64 {
        if logit.is_nan() { -(f64::NAN.abs()) } else { logit + 0.0 }
    }

    /// Probabilities, choice and weights.
    pub fn forward(shape: RouterShape, logits: &[f64]) -> Routed {
        let mut routed = Routed::default();
        for row in logits.chunks(shape.experts) {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
            let p: Vec<f64> = row.iter().map(|z| (z - largest).exp() / sum).collect();
            let mut order: Vec<usize> = (0..shape.experts).collect();
            order.sort_by(|&a, &b| rank(row[b]).total_cmp(&rank(row[a])).then(a.cmp(&b)));
            order.truncate(shape.top_k);
            let total = if shape.normalize { order.iter().map(|&i| p[i]).sum() } else { 1.0 };
            routed.weights.extend(order.iter().map(|&i| p[i] / total));
            routed.chosen.extend(order.iter().map(|&i| i as i32));
            routed.probabilities.extend(p);
        }
        routed
    }

    /// `dlogits`.
    pub fn backward(shape: RouterShape, routed: &Routed, dweights: &[f64]) -> Vec<f64> {
        let rows = routed.probabilities.chunks(shape.experts).zip(routed.chosen.chunks(shape.top_k));
        rows.zip(dweights.chunks(shape.top_k))
            .flat_map(|((p, chosen), dw)| {
                let mut dp = vec![0.0; p.len()];
                let total: f64 = chosen.iter().map(|&i| p[i as usize]).sum();
                let mean: f64 = chosen.iter().zip(dw).map(|(&i, dw)| dw * p[i as usize] / total).sum();
                for (&i, dw) in chosen.iter().zip(dw) {
                    dp[i as usize] = if shape.normalize { (dw - mean) / total } else { *dw };
                }
                let along: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                p.iter().zip(dp).map(|(p, dp)| p * (dp - along)).collect::<Vec<f64>>()
            })
            .collect()
    }

    /// `tokens`, `places` and `starts`.
    pub fn group(shape: RouterShape, chosen: &[i32]) -> [Vec<i32>; 3] {
        let (mut tokens, mut places, mut starts) = (Vec::new(), vec![0; chosen.len()], vec![0]);
        for expert in 0..shape.experts {
            for slot in (0..chosen.len()).filter(|&slot| chosen[slot] == expert as i32) {
                places[slot] = tokens.len() as i32;
                tokens.push((slot / shape.top_k) as i32);
            }
            starts.push(tokens.len() as i32);
        }
        [tokens, places, starts]
    }

    /// `y`.
    pub fn combine(k: usize, d: usize, x: &[f64], places: &[i32], weights: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; places.len() / k * d];
        for (slot, (&place, weight)) in places.iter().zip(weights).enumerate() {
            for i in 0..d {
                y[slot / k * d + i] += weight * x[place as usize * d + i];
            }
        }
        y
    }

    /// `dx` and `dweights`.
    pub fn combine_backward(
        k: usize,
        d: usize,
        dy: &[f64],
        x: &[f64],
        places: &[i32],
        weights: &[f64],
    ) -> [Vec<f64>; 2] {
        let (mut dx, mut dweights) = (vec![0.0; x.len()], vec![0.0; weights.len()]);
        for (slot, &place) in places.iter().enumerate() {
            for i in 0..d {
                let (gradient, place) = (dy[slot / k * d + i], place as usize * d + i);
                dx[place] = weights[slot] * gradient;
                dweights[slot] += gradient * x[place];
            }
        }
        [dx, dweights]
    }
}

//! The head as the engine runs it: final norm, product with the vocabulary and loss, chunk by chunk, and the gradient of its
//! input.

use std::sync::Arc;

use tunesmith_engine::batch::{Batch, Rows};
use tunesmith_engine::layer::{Backward, Linear, Norm, Vector, Weight};
use tunesmith_engine::objective::{Head, HeadInput, HeadScratch, HiddenGradient, Objective, Supervised};
use tunesmith_engine::optimizer::{Gradients, Parameters};
use tunesmith_ops::{Backend, Host, LogitTransform, Result};

use super::{Bench, Work};

impl<B: Backend> Bench<'_, B> {
    /// Times loss and gradient of all tokens but the first, which nothing predicts, with a frozen head.
    pub fn time_head(&mut self, case: &str) -> Result<()> {
        if !self.wants(case) {
            return Ok(());
        }
        let (t, d, v, backend) = (self.tokens, self.model.hidden, self.model.vocabulary, self.backend);
        let weight = Weight::Frozen(Arc::new(self.weight(v, d)?));
        let scale = Vector::Frozen(backend.upload(Host::F32(&vec![1.0; d]))?, d);
        let head = Head {
            norm: Norm { module: "model.norm".to_owned(), d, eps: 1e-5, offset: 0.0, scale },
            linear: Linear { module: "lm_head".to_owned(), n: v, k: d, weight, bias: None, lora: None, tokens: None },
            transform: LogitTransform::default(),
        };
        let m = t.saturating_sub(1);
        let (hidden, mut d_hidden) = (self.activations(m * d, 1.0)?, self.output(m * d)?);
        let labels = self.inputs.integers(t, v);
        let positions: Vec<i32> = (0..t as i32).collect();
        let batch = Batch {
            input_ids: &labels,
            labels: &labels,
            positions: &positions,
            sequence_starts: &[0, t as i32],
            weights: None,
            row_ids: None,
        };
        let ((supervised, _), parameters) = (Supervised::of(&batch), Parameters::default());
        let (mut gradients, mut scratch) = (Gradients::new(backend, &parameters)?, HeadScratch::new(backend));
        self.time(case, Work::Flops(4 * m * v * d), || {
            let mut pass = Backward { parameters: &parameters, gradients: &mut gradients };
            let gradient = HiddenGradient { pass: &mut pass, d_hidden: d_hidden.view_mut() };
            let rows = Rows { count: m, places: None };
            let input = HeadInput { parameters: &parameters, rows, hidden: hidden.view(), supervised: &supervised };
            head.loss(backend, &input, &Objective::default(), &mut scratch, Some(gradient)).map(drop)
        })
    }
}

//! The decoder of every family: embedding, layers, head. Forward, backward, and what is kept between them.

use tunesmith_ops::{Backend, Memory, Result, View};

use crate::batch::{Pass, SelectedTokens};
use crate::config::ModelConfig;
use crate::layer::{
    Backward, EmbeddingScratch, FrozenWeights, KvCache, Layer, PassContext, Rotary, Saved, Scratch, TokenEmbedding,
    TokenIds,
};
use crate::objective::{
    Asked, Head, HeadInput, HeadScratch, HiddenGradient, Objective, SequenceSums, Supervised, TokenCoefficients,
    TokenValues,
};
use crate::optimizer::Parameters;
use crate::recompute::SavePolicy;
use crate::workspace::WorkspaceBuffer;

/// A model in memory.
pub struct Decoder<B: Backend> {
    /// Sizes and switches.
    pub config: ModelConfig,
    /// Ids to the input of the layers.
    pub embedding: TokenEmbedding<B>,
    /// In order.
    pub layers: Vec<Layer<B>>,
    /// Final norm and head.
    pub head: Head<B>,
    /// How its frozen matrices are held.
    pub frozen: FrozenWeights,
    /// The rotations its layers have.
    pub rotations: Vec<Rotary<B>>,
}

/// Every buffer a pass needs, kept from step to step.
pub struct Activations<B: Memory> {
    /// Inputs of the layers and, last, the hidden states.
    inputs: Vec<WorkspaceBuffer<B>>,
    embedding: EmbeddingScratch<B>,
    saved: Vec<Saved<B>>,
    scratch: Scratch<B>,
    head: HeadScratch<B>,
    d_hidden: WorkspaceBuffer<B>,
}

impl<B: Memory> Activations<B> {
    /// Empty buffers for a model of `layers` layers under a policy.
    pub fn new(backend: &B, layers: usize, keep: SavePolicy) -> Self {
        Self {
            inputs: (0..keep.inputs(layers)).map(|_| WorkspaceBuffer::new(backend)).collect(),
            embedding: EmbeddingScratch::new(backend),
            saved: (0..keep.saved(layers)).map(|_| Saved::new(backend)).collect(),
            scratch: Scratch::new(backend),
            head: HeadScratch::new(backend),
            d_hidden: WorkspaceBuffer::new(backend),
        }
    }
}

impl<B: Backend> Decoder<B> {
    /// Runs all layers. The hidden states of the selected tokens are in the activations afterwards.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    fn forward(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        pass: &Pass<B>,
        mut cache: Option<&mut KvCache<B>>,
        keep: SavePolicy,
        activations: &mut Activations<B>,
    ) -> Result<()> {
        let (t, d) = (pass.tokens(), self.config.hidden);
        let ids = TokenIds { host: &pass.host_ids, device: View::new(&pass.ids, 0, t) };
        let x = activations.inputs[0].write(backend, t * d)?;
        self.embedding.forward(backend, parameters, ids, &mut activations.embedding, x)?;
        if let Some(noise) = &pass.noise {
            let places = pass.rows().places.map(|places| [places.row_ids, places.positions]);
            noise.add(backend, (t, d), places, activations.inputs[0].view_mut(t * d)?)?;
        }
        let context = PassContext { backend, parameters, rotations: &self.rotations, pass, rows: pass.rows() };
        self.enter(&context, keep, 0, activations)?;
        for index in 0..self.layers.len() {
            let cache = cache.as_deref_mut().map(|cache| (cache, index));
            self.layer_forward(&context, cache, keep, index, activations, self.layers.get(index + 1))?;
        }
        Ok(())
    }

    /// Makes what a layer begins with from its input alone.
    fn enter(
        &self,
        context: &PassContext<'_, B>,
        keep: SavePolicy,
        index: usize,
        activations: &mut Activations<B>,
    ) -> Result<()> {
        let Some(layer) = self.layers.get(index) else { return Ok(()) };
        let x = activations.inputs[keep.input_of(index)].view(context.pass.tokens() * self.config.hidden)?;
        layer.enter(context, x, &mut activations.scratch)
    }

    fn layer_forward(
        &self,
        context: &PassContext<'_, B>,
        cache: Option<(&mut KvCache<B>, usize)>,
        keep: SavePolicy,
        index: usize,
        activations: &mut Activations<B>,
        next: Option<&Layer<B>>,
    ) -> Result<()> {
        let (len, selected) = (context.pass.tokens() * self.config.hidden, self.selected_after(context.pass, index));
        let out = selected.map_or(len, |selected| selected.count() * self.config.hidden);
        let places = [keep.input_of(index), keep.input_of(index + 1)];
        let [x, y] = activations
            .inputs
            .get_disjoint_mut(places)
            .map_err(|_| crate::internal::internal("decoder", "two different buffers for a layer"))?;
        let saved = &mut activations.saved[keep.saved_of(index)];
        let y = y.write(context.backend, out)?;
        self.layers[index].forward(context, cache, x.view(len)?, saved, &mut activations.scratch, y, next, selected)
    }

    /// The tokens that are left after a layer's attention, where those are not all.
    fn selected_after<'a>(&self, pass: &'a Pass<B>, index: usize) -> Option<&'a SelectedTokens<B>> {
        (index + 1 == self.layers.len()).then_some(&pass.selected)
    }

    /// The hidden states `[m, d]` of the selected tokens, after the layers have run.
    fn hidden<'a>(
        &self,
        inputs: &'a [WorkspaceBuffer<B>],
        pass: &Pass<B>,
        keep: SavePolicy,
    ) -> Result<View<'a, B::Buffer>> {
        inputs[keep.input_of(self.layers.len())].view(pass.selected.count() * self.config.hidden)
    }

    /// Loss sums without a gradient.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn evaluate(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        (pass, supervised): (&Pass<B>, &Supervised),
        objective: &Objective,
        activations: &mut Activations<B>,
    ) -> Result<Vec<SequenceSums>> {
        let keep = SavePolicy::Nothing;
        self.forward(backend, parameters, pass, None, keep, activations)?;
        let hidden = self.hidden(&activations.inputs, pass, keep)?;
        let input = HeadInput { parameters, rows: pass.selected.rows(), hidden, supervised };
        self.head.loss(backend, &input, objective, &mut activations.head, None)
    }

    /// What the model says of each label. Under a policy that keeps activations this is the first phase of a step, whose second
    /// is [`Self::backward`] with the same activations.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn values(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        (pass, supervised): (&Pass<B>, &Supervised),
        asked: Asked,
        keep: SavePolicy,
        activations: &mut Activations<B>,
    ) -> Result<TokenValues> {
        self.forward(backend, parameters, pass, None, keep, activations)?;
        let hidden = self.hidden(&activations.inputs, pass, keep)?;
        let input = HeadInput { parameters, rows: pass.selected.rows(), hidden, supervised };
        self.head.values(backend, &input, asked, &mut activations.head)
    }

    /// The second phase: adds the gradient of every trained tensor for the derivative of a loss by each value.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        (pass, supervised): (&Pass<B>, &Supervised),
        coefficients: &TokenCoefficients<'_>,
        keep: SavePolicy,
        activations: &mut Activations<B>,
    ) -> Result<()> {
        let parameters = grads.parameters;
        activations.d_hidden.reserve(backend, pass.tokens() * self.config.hidden)?;
        let hidden = self.hidden(&activations.inputs, pass, keep)?;
        let input = HeadInput { parameters, rows: pass.selected.rows(), hidden, supervised };
        let gradient = HiddenGradient { pass: grads, d_hidden: activations.d_hidden.view_mut(hidden.len)? };
        self.head.backward(backend, &input, coefficients, &mut activations.head, gradient)?;
        self.layers_backward(backend, grads, pass, keep, activations)
    }

    /// Logits on the host of the selected tokens of a pass, appending to a cache where one is given.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn logits(
        &self,
        backend: &B,
        parameters: &Parameters<B>,
        pass: &Pass<B>,
        cache: Option<&mut KvCache<B>>,
        activations: &mut Activations<B>,
    ) -> Result<Vec<f32>> {
        let keep = SavePolicy::Nothing;
        self.forward(backend, parameters, pass, cache, keep, activations)?;
        let hidden = self.hidden(&activations.inputs, pass, keep)?;
        self.head.logits(backend, parameters, hidden, &mut activations.head)
    }

    /// Log-probabilities at a temperature of one label for each row of the last [`Self::logits`]: to the bit what [`Self::values`]
    /// says of it where the backend's rows do not depend on each other. Uses those logits up.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn log_probs_of(
        &self,
        backend: &B,
        labels: &[i32],
        temperature: f32,
        activations: &mut Activations<B>,
    ) -> Result<Vec<f32>> {
        self.head.log_probs_of(backend, labels, temperature, &mut activations.head)
    }

    /// Loss sums, and the gradient of their weighted loss added for every trained tensor.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn accumulate(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        (pass, supervised): (&Pass<B>, &Supervised),
        objective: &Objective,
        keep: SavePolicy,
        activations: &mut Activations<B>,
    ) -> Result<Vec<SequenceSums>> {
        let parameters = grads.parameters;
        self.forward(backend, parameters, pass, None, keep, activations)?;
        activations.d_hidden.reserve(backend, pass.tokens() * self.config.hidden)?;
        let hidden = self.hidden(&activations.inputs, pass, keep)?;
        let input = HeadInput { parameters, rows: pass.selected.rows(), hidden, supervised };
        let gradient = Some(HiddenGradient { pass: grads, d_hidden: activations.d_hidden.view_mut(hidden.len)? });
        let sums = self.head.loss(backend, &input, objective, &mut activations.head, gradient)?;
        self.layers_backward(backend, grads, pass, keep, activations)?;
        Ok(sums)
    }

    fn layers_backward(
        &self,
        backend: &B,
        grads: &mut Backward<'_, B>,
        pass: &Pass<B>,
        keep: SavePolicy,
        activations: &mut Activations<B>,
    ) -> Result<()> {
        let (t, d) = (pass.tokens(), self.config.hidden);
        let embedding_trained = self.embedding.is_trained();
        let lowest = if embedding_trained {
            0
        } else {
            let trained = self.layers.iter().position(Layer::is_trained);
            trained.unwrap_or(self.layers.len())
        };
        for index in (lowest..self.layers.len()).rev() {
            let (parameters, rotations) = (grads.parameters, &self.rotations[..]);
            let context = PassContext { backend, parameters, rotations, pass, rows: pass.rows() };
            if keep == SavePolicy::Inputs {
                self.enter(&context, keep, index, activations)?;
                self.layer_forward(&context, None, keep, index, activations, None)?;
            }
            self.layers[index].backward(
                &context,
                grads,
                activations.inputs[keep.input_of(index)].view(t * d)?,
                &mut activations.saved[keep.saved_of(index)],
                &mut activations.scratch,
                activations.d_hidden.view_mut(t * d)?,
                index > lowest || embedding_trained,
                self.selected_after(pass, index),
            )?;
        }
        if !embedding_trained {
            return Ok(());
        }
        let (ids, dy) = (View::new(&pass.ids, 0, t), activations.d_hidden.view_mut(t * d)?);
        self.embedding.backward(backend, grads, ids, &mut activations.embedding, dy)
    }
}

//! The modules of a decoder under the names of its checkpoint: what adapters are put on.

use tunesmith_ops::Backend;

use crate::decoder::Decoder;
use crate::layer::{LayerTensors, Linear, Mixture, Norm, TokenEmbedding};

/// The tensors of one module.
pub enum Module<'a, B: Backend> {
    /// A linear layer.
    Linear(&'a mut Linear<B>),
    /// A norm.
    Norm(&'a mut Norm<B>),
    /// The token embedding.
    Embedding(&'a mut TokenEmbedding<B>),
    /// The experts of a layer, whose matrices are parameters and no modules.
    Experts(&'a mut Mixture<B>),
}

impl<B: Backend> Module<'_, B> {
    /// Its name in Hugging Face checkpoints.
    pub fn name(&self) -> &str {
        match self {
            Self::Linear(linear) => &linear.module,
            Self::Norm(norm) => &norm.module,
            Self::Embedding(embedding) => &embedding.module,
            Self::Experts(mixture) => &mixture.module,
        }
    }
}

/// Every module of a decoder that holds tensors, in a fixed order; the head comes after the layers, and experts last.
pub fn modules<B: Backend>(decoder: &mut Decoder<B>) -> Vec<Module<'_, B>> {
    let mut all = vec![Module::Embedding(&mut decoder.embedding)];
    let mut experts = Vec::new();
    for layer in &mut decoder.layers {
        let LayerTensors { linears, norms, mixture } = layer.tensors_mut();
        experts.extend(mixture.map(Module::Experts));
        all.extend(linears.into_iter().map(Module::Linear));
        all.extend(norms.into_iter().map(Module::Norm));
    }
    all.push(Module::Norm(&mut decoder.head.norm));
    all.push(Module::Linear(&mut decoder.head.linear));
    all.extend(experts);
    all
}

/// The linear layers among them.
pub fn linears<B: Backend>(decoder: &mut Decoder<B>) -> Vec<&mut Linear<B>> {
    let linear = |module| match module {
        Module::Linear(linear) => Some(linear),
        _ => None,
    };
    modules(decoder).into_iter().filter_map(linear).collect()
}

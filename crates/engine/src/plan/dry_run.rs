//! The memory plan: what a session will hold, before a weight is read. The session itself runs once on a backend that
//! computes nothing ([`Ledger`], or a GPU's own in [`plan_on`]), so that the plan cannot say anything else than what the session does.

use std::sync::Arc;

use tunesmith_formats::{ModelConfig as HfConfig, TensorSource};
use tunesmith_ops::{Backend, DType, Error, IGNORE_INDEX, Result};

use super::ledger::{DeviceLayout, Ledger};
use crate::batch::{Batch, StepKey};
use crate::config::ModelConfig;
use crate::load::Grown;
use crate::objective::{Asked, Objective, TokenCoefficients};
use crate::optimizer::{OptimizerOptions, ParameterSpec, Update};
use crate::session::{Engine, Session, SessionOptions};

/// The largest pass of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassShape {
    /// Tokens of the pass, all of its sequences together.
    pub tokens: usize,
    /// Tokens of its longest sequence.
    pub longest: usize,
    /// Labels. That of a sequence's first token predicts nothing, so that it is given last.
    pub supervised: usize,
    /// Steps are of two phases, values and then coefficients, in place of one pass.
    pub two_phases: bool,
    /// What steps of one phase minimise, and what is evaluated where nothing is trained.
    pub objective: Objective,
}

/// What a session holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Frozen weights.
    pub weights: usize,
    /// Values of the trained tensors: the adapter, or the whole model.
    pub trained: usize,
    /// Their gradients.
    pub gradients: usize,
    /// The optimizer's states.
    pub optimizer: usize,
    /// What a pass works in: activations, their gradients, logits.
    pub activations: usize,
    /// The most that is held at once.
    pub peak: usize,
    /// The most that is held at once while weights are read: on the CPU a tensor's float32 copy and those read so far.
    pub loading: usize,
    /// Parameters of the base model, adapter excluded.
    pub total_parameters: usize,
    /// Trainable parameters.
    pub trainable_parameters: usize,
}

/// Plans a session of the CPU backend with these options that takes passes of this shape. Weights are not read; an adapter that
/// is continued is, since its own files give its sizes.
///
/// # Errors
/// `ArgumentInvalid` for a shape without tokens; otherwise those of [`Session::new`].
pub fn plan(
    layout: DeviceLayout,
    hf_config: &HfConfig,
    source: &dyn TensorSource,
    options: &SessionOptions,
    shape: PassShape,
) -> Result<MemoryPlan> {
    let ledger = Arc::new(Ledger::new(layout));
    let planned = plan_on(&ledger, |bytes| ledger.rounded(bytes), hf_config, source, options, shape)?;
    // What is read from the file is in the same memory, and so are tables with rows of new tokens.
    let tied = ModelConfig::new(hf_config)?.tied;
    let grown = Grown::asked(tied, source, options.new_rows())?;
    let tables = grown.map_or(0, |grown| grown.bytes());
    Ok(MemoryPlan { loading: planned.loading + widest(source)? + tables, ..planned })
}

/// Plans as [`plan`], on a backend that has held nothing yet and keeps no values. `rounded` gives the bytes that it takes for an
/// allocation. Copies that loading makes in the host's memory are not counted.
///
/// # Errors
/// As [`plan`].
pub fn plan_on<B: Backend>(
    backend: &Arc<B>,
    rounded: impl Fn(usize) -> usize,
    hf_config: &HfConfig,
    source: &dyn TensorSource,
    options: &SessionOptions,
    shape: PassShape,
) -> Result<MemoryPlan> {
    let mut session = Session::new(Arc::clone(backend), hf_config.clone(), source, "plan", options)?;
    let standing = backend.memory_stats().in_use;
    run(&mut session, shape)?;
    let peak = backend.memory_stats().peak;
    let specs = session.parameters().specs();
    let trained: usize = specs.iter().map(|spec| rounded(DType::F32.size() * spec.len())).sum();
    let trains = options.optimizer.is_some();
    let gradients = if trains { trained } else { 0 };
    let state_of = |optimizer: &OptimizerOptions, spec: &ParameterSpec| {
        optimizer.slots(spec).iter().map(|slot| rounded(slot.bytes_of(spec))).sum::<usize>()
    };
    let optimizer = options.optimizer.iter().flat_map(|one| specs.iter().map(move |spec| state_of(one, spec))).sum();
    Ok(MemoryPlan {
        weights: standing.saturating_sub(trained + gradients + optimizer),
        trained,
        gradients,
        optimizer,
        activations: peak.saturating_sub(standing),
        peak,
        loading: standing.saturating_sub(gradients + optimizer),
        total_parameters: session.total_parameters(),
        trainable_parameters: options
            .optimizer
            .map_or(0, |one| specs.iter().filter(|spec| one.trains(spec)).map(ParameterSpec::len).sum()),
    })
}

/// Two passes, each with an update where there is training.
fn run<B: Backend>(session: &mut Session<B>, shape: PassShape) -> Result<()> {
    let PassShape { tokens, longest, supervised, .. } = shape;
    if tokens == 0 || longest == 0 || longest > tokens || supervised > tokens {
        let got = format!("{tokens} tokens, {longest} in the longest sequence, {supervised} labels");
        return Err(Error::argument("plan", "tokens, and no sequence or labels beyond them", got));
    }
    let place = |token: usize| (token % longest) as i32;
    let positions: Vec<i32> = (0..tokens).map(place).collect();
    let starts: Vec<i32> = (0..tokens).step_by(longest).chain([tokens]).map(|start| start as i32).collect();
    let rows: Vec<i32> = (0..starts.len() as i32 - 1).collect();
    let ids = vec![0; tokens];
    let mut labels = vec![IGNORE_INDEX; tokens];
    let inner = (0..tokens).filter(|&token| place(token) > 0);
    let firsts = (0..tokens).filter(|&token| place(token) == 0);
    inner.chain(firsts).take(supervised).for_each(|token| labels[token] = 0);
    let batch = Batch {
        input_ids: &ids,
        labels: &labels,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: Some(&rows),
    };
    // The second pass holds more than the first: what backward works in is there from the beginning.
    for step in 1..=2 {
        if session.trains() {
            let key = StepKey { seed: 0, step };
            if shape.two_phases {
                let zeros = vec![0.0; tokens];
                session.forward(&batch, key, Asked::DIFFERENTIABLE)?;
                let [log_prob, entropy, log_sum_exp, mean_log_prob] = [Some(&zeros[..]); 4];
                session.backward(&TokenCoefficients { log_prob, entropy, log_sum_exp, mean_log_prob })?;
            } else {
                session.accumulate(&batch, &shape.objective, key)?;
            }
            let rates = vec![0.0; session.groups().len()];
            session.update(&Update { learning_rates: &rates, max_grad_norm: Some(1.0), denominator: 1.0 })?;
        } else {
            session.evaluate(&batch, &shape.objective)?;
        }
    }
    Ok(())
}

/// Bytes of the largest float32 copy that loading makes of a tensor: of those that cannot be taken as they are.
fn widest(source: &dyn TensorSource) -> Result<usize> {
    let mut widest = 0;
    for name in source.names() {
        let tensor = source.get(&name)?;
        if tensor.host().is_none() {
            widest = widest.max(4 * tensor.elements());
        }
    }
    Ok(widest)
}

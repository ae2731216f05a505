//! What the binding talks to: a session on whatever device, as one object-safe trait.

use std::path::Path;

use tunesmith_ops::{MemoryStats, Result};

use crate::batch::{Batch, StepKey};
use crate::decode::{Request, TokenSink};
use crate::load::QuantizationInfo;
use crate::objective::{Asked, Objective, SequenceSums, TokenCoefficients, TokenValues};
use crate::optimizer::{GroupInfo, Update, Updated};

/// The adapters of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdapterState {
    /// Names, in the order of loading.
    pub names: Vec<String>,
    /// The one that is computed with; None: the base model alone.
    pub active: Option<String>,
}

/// A model in memory that evaluates, generates and, where it was made with an optimizer, trains.
pub trait Engine: Send {
    /// Whether the session was made with an optimizer.
    fn trains(&self) -> bool;

    /// Parameters of the base model, adapter excluded.
    fn total_parameters(&self) -> usize;

    /// How the linear layers are quantized, or None where they are not.
    fn quantization(&self) -> Option<&QuantizationInfo>;

    /// Tokens that the model was never trained with and is not now: their rows of the embedding hold nothing, and stay so.
    fn untrained_tokens(&self) -> &[u32];

    /// What the user should know of loading the model.
    fn warnings(&self) -> &[String];

    /// Modules of the adapter that would be saved, or none.
    fn adapter_modules(&self) -> Option<&[String]>;

    /// The run's groups, in the order of an update's learning rates; none where nothing is trained.
    fn groups(&self) -> Vec<GroupInfo>;

    /// Bytes in use and at peak.
    fn memory(&self) -> MemoryStats;

    /// Forward and backward of one packed batch; gradients are added as sums. `key` keys the dropout of an adapter.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract, an objective out of range or a session that does not train.
    fn accumulate(&mut self, batch: &Batch<'_>, objective: &Objective, key: StepKey) -> Result<Vec<SequenceSums>>;

    /// Loss sums of one packed batch, without a gradient.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract or an objective out of range.
    fn evaluate(&mut self, batch: &Batch<'_>, objective: &Objective) -> Result<Vec<SequenceSums>>;

    /// What the model says of each label of a packed batch, without a gradient.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a batch that breaks its contract, or a temperature that is not above 0.
    fn log_probs(&mut self, batch: &Batch<'_>, asked: Asked) -> Result<TokenValues>;

    /// The first of two phases of an objective that is not local to a token: the values of a whole micro-batch, its activations
    /// kept for [`Self::backward`], which must be the next call and is of the same temperature. A second forward takes the place of
    /// the first.
    ///
    /// # Errors
    /// As [`Self::accumulate`].
    fn forward(&mut self, batch: &Batch<'_>, key: StepKey, asked: Asked) -> Result<TokenValues>;

    /// The second phase: adds the gradient of a loss whose derivative by each value of the last forward is given. The head's
    /// logits are computed again: one product with the vocabulary more than in [`Self::accumulate`].
    ///
    /// # Errors
    /// `ArgumentInvalid` without a forward just before it, or for coefficients of another length.
    fn backward(&mut self, coefficients: &TokenCoefficients<'_>) -> Result<()>;

    /// Divides, clips, steps, clears.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a wrong request or a session that does not train.
    fn update(&mut self, update: &Update<'_>) -> Result<Updated>;

    /// Throws the summed gradient away. Names the trained tensors, in the order of the model, in whose gradient a value was not finite.
    /// Everything is read from the device: for the word about a run that fails, not for every step.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a session that does not train.
    fn discard_gradient(&mut self) -> Result<Vec<String>>;

    /// Continues prompts, all of them together; see [`crate::decode::generate`].
    ///
    /// # Errors
    /// `ArgumentInvalid` for a wrong request, `NonFinite` for logits that are NaN.
    fn generate(&mut self, request: &Request, sink: &mut dyn TokenSink) -> Result<()>;

    /// Writes the adapter, or the whole model after full fine-tuning, and the optimizer's state into an existing folder.
    ///
    /// # Errors
    /// `NonFinite`, `Io`, `ArgumentInvalid` for a session that does not train.
    fn save_checkpoint(&mut self, dir: &Path) -> Result<()>;

    /// Reads what [`Self::save_checkpoint`] wrote; a mismatch leaves the session as it was.
    ///
    /// # Errors
    /// `CheckpointInvalid`, and those of reading files.
    fn load_checkpoint(&mut self, dir: &Path) -> Result<()>;

    /// Writes the trained adapter (or else the active one) as a PEFT folder, with one more inside for the whole base where the adapter
    /// has taken its first values out of that; or model.safetensors with config.json after full
    /// fine-tuning.
    ///
    /// # Errors
    /// `NonFinite`, `Io`, `ArgumentInvalid` when there is neither an adapter nor a trained model.
    fn save_adapter(&mut self, dir: &Path) -> Result<()>;

    /// Loads a PEFT folder under a name, without activating it.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is taken or a session that trains the model itself; those of reading the folder.
    fn load_adapter(&mut self, dir: &Path, name: &str) -> Result<()>;

    /// Makes a loaded adapter the active one.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is not loaded.
    fn set_adapter(&mut self, name: &str) -> Result<()>;

    /// Takes the active adapter out: the base model alone, to the bit.
    ///
    /// # Errors
    /// `Internal` only.
    fn disable_adapter(&mut self) -> Result<()>;

    /// Puts back the adapter that was set last.
    ///
    /// # Errors
    /// `ArgumentInvalid` when none was ever set.
    fn enable_adapter(&mut self) -> Result<()>;

    /// Frees an adapter that is not trained.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is not loaded, or the trained adapter.
    fn delete_adapter(&mut self, name: &str) -> Result<()>;

    /// Loaded adapters, and which one is active.
    fn adapters(&self) -> AdapterState;
}

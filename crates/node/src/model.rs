//! A model that is known but not in memory, and the way from there to a session.

use std::path::Path;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use tunesmith_engine::config::ModelConfig;
use tunesmith_engine::{self as engine, Objective, SessionOptions};
use tunesmith_formats::{ModelFiles, NewToken, TokenizerSource};
use tunesmith_text as text;

use crate::companions;
use crate::deferred::in_background;
use crate::device::{self, Place};
use crate::error::Outcome;
use crate::session;
use crate::tokenizer::{self, Tokenizer};

/// What a model's configuration says.
#[napi(object)]
#[derive(Clone)]
pub struct ModelInfo {
    /// Where it was loaded from.
    pub path: String,
    /// Family, as `model_type` in config.json.
    pub model_type: String,
    /// Rows of the embedding.
    pub vocab_size: u32,
    /// Hidden size.
    pub hidden_size: u32,
    /// Layers.
    pub num_hidden_layers: u32,
    /// Longest sequence the model was made for, in tokens.
    pub max_position_embeddings: u32,
    /// Tokens that end a generation.
    pub eos_token_ids: Vec<u32>,
    /// Bytes of the weights as stored.
    pub weight_bytes: f64,
    /// What the user should know of the model's files.
    pub warnings: Vec<String>,
}

/// The largest packed pass of a run, in tokens.
#[napi(object, object_to_js = false)]
pub struct PassShape {
    /// All of its sequences together.
    pub tokens: u32,
    /// Its longest sequence.
    pub longest: u32,
    /// Its supervised tokens.
    pub supervised: u32,
    /// Whether forward and backward are two calls.
    pub two_phases: bool,
    /// What one call minimises, as JSON.
    pub objective: String,
}

/// What a session would hold, in bytes.
#[napi(object, use_nullable = true)]
pub struct MemoryPlan {
    /// Frozen weights.
    pub weights: f64,
    /// Values of the trained tensors.
    pub trained: f64,
    /// Their gradients.
    pub gradients: f64,
    /// State of the optimizer.
    pub optimizer: f64,
    /// What a pass works in.
    pub activations: f64,
    /// The most that is held at once.
    pub peak: f64,
    /// The most that is held at once while weights are read.
    pub loading: f64,
    /// Parameters of the base model, adapter excluded.
    pub total_parameters: f64,
    /// Trainable parameters.
    pub trainable_parameters: f64,
    /// Where the session would run, and whose memory it is: `cpu` or `cuda`.
    pub device: String,
    /// Bytes that the device's driver calls free; null on the CPU, whose memory is the host's.
    pub free: Option<f64>,
}

/// Opened files, a tokenizer, and no weights yet.
#[napi]
pub struct Model {
    files: Arc<ModelFiles>,
    tokenizer: Arc<text::Tokenizer>,
    info: ModelInfo,
}

/// What a model's tokenizer is opened with in place of its own, or besides.
#[napi(object, object_to_js = false)]
pub struct TokenizerOptions {
    /// A chat template.
    pub chat_template: Option<String>,
    /// The end of sequence.
    pub eos_token: Option<String>,
    /// Tokens that it gets besides its own.
    pub add_tokens: Vec<String>,
    /// The same for special ones, which come after them.
    pub add_special_tokens: Vec<String>,
    /// PEFT folder whose template, end of sequence and tokens are taken where none is given.
    pub adapter: Option<String>,
}

/// Opens a Hugging Face folder or a GGUF file and reads its configuration and tokenizer.
#[napi(catch_unwind, ts_return_type = "Promise<Model>")]
pub fn open_model(env: &Env, path: String, options: TokenizerOptions) -> napi::Result<Object<'_>> {
    in_background(env, "loadModel", move || open(path, options), |_, model| Ok(model))
}

fn open(path: String, options: TokenizerOptions) -> Outcome<Model> {
    let TokenizerOptions { chat_template, eos_token, add_tokens, add_special_tokens, adapter } = options;
    let mut files = ModelFiles::open(Path::new(&path))?;
    let asked = [(add_tokens, false), (add_special_tokens, true)];
    files.new_tokens = asked
        .into_iter()
        .flat_map(|(list, special)| list.into_iter().map(move |content| NewToken { content, special }))
        .collect();
    if let Some(adapter) = adapter {
        companions::adopt_tokenizer(&mut files, Path::new(&adapter))?;
    }
    files.chat_template = chat_template.or(files.chat_template);
    files.eos_token = eos_token.or(files.eos_token);
    let tokenizer = tokenizer::read(&files)?;
    end_with_token(&mut files, &tokenizer);
    files.warnings.extend(tokenizer.kept_tokens().iter().map(|token| {
        let why = "is a token of this vocabulary, so it is not added and its row is trained as any other";
        format!(
            "addTokens: {:?} {why}: leave it out, or name its id {} in trainableTokenIndices",
            token.content, token.id
        )
    }));
    let config = ModelConfig::new(&files.config)?;
    let info = ModelInfo {
        path,
        model_type: config.family.model_type.to_owned(),
        vocab_size: config.vocab.max(ids_end(&tokenizer)) as u32,
        hidden_size: config.hidden as u32,
        num_hidden_layers: config.layers as u32,
        max_position_embeddings: config.max_positions as u32,
        eos_token_ids: eos_token_ids(&files, &tokenizer),
        weight_bytes: weight_bytes(&files)? as f64,
        warnings: warnings(&files, None)?,
    };
    Ok(Model { files: Arc::new(files), tokenizer: Arc::new(tokenizer), info })
}

/// Lets the configuration end texts with the end of sequence that is in place of the tokenizer's own, where there is one (TRL).
pub fn end_with_token(files: &mut ModelFiles, tokenizer: &text::Tokenizer) {
    if let (Some(_), Some(eos)) = (&files.eos_token, &tokenizer.info().eos) {
        files.config = files.config.clone().with("eos_token_id", eos.id.into());
    }
}

/// What the model's files list, then the tokenizer's end of sequence and the end of turn of a GGUF file or of a chat template that was
/// given: a chat model stops at its end of turn even where the configuration names the end of text only.
pub fn eos_token_ids(files: &ModelFiles, tokenizer: &text::Tokenizer) -> Vec<u32> {
    let mut ids = files.eos_token_ids.clone();
    let end_of_turn = match &files.tokenizer {
        TokenizerSource::Gguf(metadata) => metadata.eot_token_id,
        TokenizerSource::Folder(_) => None,
    };
    let given = files.chat_template.as_ref().and_then(|_| tokenizer.end_of_turn()).map(|token| token.id as u32);
    let end_of_sequence = tokenizer.info().eos.as_ref().map(|token| token.id as u32);
    for id in [end_of_sequence, end_of_turn, given].into_iter().flatten() {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// What the user should know of a model's files. Nothing is read of weights, but for those of an adapter that goes with them.
pub fn warnings(files: &ModelFiles, adapter: Option<&Path>) -> Outcome<Vec<String>> {
    let found = engine::inspect(&files.config, &*files.source, adapter)?;
    Ok(files.warnings.iter().cloned().chain(found).collect())
}

fn weight_bytes(files: &ModelFiles) -> Outcome<usize> {
    let mut total = 0;
    for name in files.source.names() {
        let tensor = files.source.get(&name)?;
        total += tensor.stored.byte_len(&tensor.shape).unwrap_or(0);
    }
    Ok(total)
}

/// What comes after the last new token; 0 without any.
fn ids_end(tokenizer: &text::Tokenizer) -> usize {
    tokenizer.new_tokens().last().map_or(0, |added| added.id + 1)
}

impl Model {
    /// The options of a session of this model, whose new tokens have rows that are trained.
    fn session_options(&self, json: &str) -> Outcome<SessionOptions> {
        let ids: Vec<usize> = self.tokenizer.new_tokens().iter().map(|added| added.id).collect();
        Ok(SessionOptions::from_json(json)?.with_new_tokens(&ids, &self.files.config)?)
    }
}

#[napi]
impl Model {
    /// What the configuration says.
    #[napi(getter, catch_unwind)]
    pub fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    /// The tokenizer.
    #[napi(getter, catch_unwind)]
    pub fn tokenizer(&self) -> Tokenizer {
        Tokenizer::new(Arc::clone(&self.tokenizer))
    }

    /// What a session would hold when its passes are at most this large; no weight is read. `options` is JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<MemoryPlan>")]
    pub fn estimate_memory<'env>(
        &self,
        env: &'env Env,
        place: Place,
        options: String,
        pass: PassShape,
    ) -> napi::Result<Object<'env>> {
        let files = Arc::clone(&self.files);
        let options = self.session_options(&options);
        let work = move || {
            let shape = engine::PassShape {
                tokens: pass.tokens as usize,
                longest: pass.longest as usize,
                supervised: pass.supervised as usize,
                two_phases: pass.two_phases,
                objective: Objective::from_json(&pass.objective)?,
            };
            Ok(device::plan(&place, &files, &options?, shape)?)
        };
        in_background(env, "estimateMemory", work, |_, device::Planned { plan, device, free }| {
            Ok(MemoryPlan {
                weights: plan.weights as f64,
                trained: plan.trained as f64,
                gradients: plan.gradients as f64,
                optimizer: plan.optimizer as f64,
                activations: plan.activations as f64,
                peak: plan.peak as f64,
                loading: plan.loading as f64,
                total_parameters: plan.total_parameters as f64,
                trainable_parameters: plan.trainable_parameters as f64,
                device: device.to_owned(),
                free: free.map(|bytes| bytes as f64),
            })
        })
    }

    /// Loads the weights on a thread of their own. `options` is JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<Session>")]
    pub fn create_session<'env>(&self, env: &'env Env, place: Place, options: String) -> napi::Result<Object<'env>> {
        let options = self.session_options(&options);
        session::create(env, Arc::clone(&self.files), self.info.path.clone(), place, options)
    }
}

//! What a session is made of: one JSON value, as it crosses from TypeScript.

use std::path::PathBuf;

use serde::Deserialize;
use tunesmith_formats::AdapterConfig;
use tunesmith_ops::{Code, Error, Result};

use crate::load::{NewRows, WeightOptions};
use crate::noise;
use crate::optimizer::{OptimizerOptions, ParameterGroup};

/// The adapter of a session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "one a session, and never in a collection")]
pub enum AdapterOptions {
    /// A new LoRA adapter.
    Lora(AdapterConfig),
    /// A PEFT folder to continue.
    Saved {
        /// The folder.
        path: PathBuf,
    },
}

/// What a session is made of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionOptions {
    /// How the frozen weights of the model are held.
    pub weights: WeightOptions,
    /// None: full fine-tuning, or without an optimizer the base model alone.
    pub adapter: Option<AdapterOptions>,
    /// None: nothing is trained.
    pub optimizer: Option<OptimizerOptions>,
    /// Groups of the run; each trained tensor belongs to exactly one. Not read without an optimizer.
    pub parameter_groups: Vec<ParameterGroup>,
    /// SavePolicy layer inputs only, and compute the rest again in backward.
    pub gradient_checkpointing: bool,
    /// Seeds the adapter's first values.
    pub seed: u64,
    /// Noise on the embeddings of training passes (NEFTune); none or 0: there is none.
    #[serde(default)]
    pub neftune_noise_alpha: Option<f64>,
    /// Rows of embedding and head, more than the model's files have: new tokens. None: those of the files, or of the adapter that is
    /// continued.
    #[serde(default)]
    pub resize_token_embeddings: Option<usize>,
    /// Probability with which training passes drop an element of what a block adds to the residual stream.
    #[serde(default)]
    pub resid_pdrop: f64,
}

impl SessionOptions {
    /// A session that evaluates and generates with the base model in float32.
    pub fn inference() -> Self {
        Self {
            weights: WeightOptions::default(),
            adapter: None,
            optimizer: None,
            parameter_groups: Vec::new(),
            gradient_checkpointing: false,
            seed: 0,
            neftune_noise_alpha: None,
            resize_token_embeddings: None,
            resid_pdrop: 0.0,
        }
    }

    /// Where rows of new tokens come from, if there are any.
    pub(crate) fn new_rows(&self) -> Option<NewRows<'_>> {
        let of = match &self.adapter {
            Some(AdapterOptions::Saved { path }) => Some(path.as_path()),
            _ => None,
        };
        let rows = NewRows { count: self.resize_token_embeddings, of };
        (rows.count.is_some() || rows.of.is_some()).then_some(rows)
    }

    /// Checks what no type does.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the option.
    pub(super) fn check(&self) -> Result<()> {
        noise::check(self.neftune_noise_alpha)?;
        if (0.0..1.0).contains(&self.resid_pdrop) {
            return Ok(());
        }
        Err(Error::argument("session.residPdrop", "a probability from 0 to below 1", self.resid_pdrop))
    }

    /// Reads the options from JSON. Every key must be known, and those without a default must be there.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the place in the options and what is wrong there.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let place = format!("session.{}", error.path());
            let message = format!(
                "expected the options of this engine, got others: {}; use packages of one version",
                error.into_inner()
            );
            Error::new(Code::ArgumentInvalid, place, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tunesmith_formats::{InitLoraWeights, ModuleNames, TrainedBias};

    use super::*;
    use crate::load::WeightDtype;
    use crate::optimizer::{AdamWOptions, ParameterKind};

    fn whole() -> Value {
        json!({
            "weights": {
                "dtype": "auto", "loadIn4bit": true, "bnb4bitQuantType": "nf4", "bnb4bitUseDoubleQuant": true,
                "bnb4bitBlocksize": 128, "cacheDir": null,
            },
            "adapter": {
                "type": "lora", "r": 8, "loraAlpha": 16, "targetModules": ["q_proj"], "excludeModules": ".*k_proj",
                "loraDropout": 0.1, "useRslora": true, "useDora": false, "modulesToSave": null,
                "rankPattern": { "up_proj": 4, "10": 2, "down_proj": 1 }, "alphaPattern": {},
                "layersToTransform": [0, 1], "layersPattern": ["layers"], "initLoraWeights": "gaussian",
                "bias": "lora_only", "loraBias": false, "ensureWeightTying": true, "trainableTokenIndices": { "lm_head": [3, 1] },
                "targetParameters": ["mlp.experts.down_proj"],
            },
            "optimizer": { "type": "adamw", "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8 },
            "parameterGroups": [{ "name": "all", "parameters": ["decay", "no_decay"], "rate": 1e-3, "decay": 0.1 }],
            "gradientCheckpointing": true,
            "seed": 3407,
            "neftuneNoiseAlpha": 5.0,
            "resizeTokenEmbeddings": 42,
            "neftuneNoiseAlpha": 5.0, "residPdrop": 0.2,
        })
    }

    #[test]
    fn every_option_is_read() {
        let options = SessionOptions::from_json(&whole().to_string()).unwrap();
        assert_eq!(options.weights.dtype, WeightDtype::Auto);
        assert_eq!(options.weights.quantization().map(|nf4| nf4.block_size), Some(128));
        let Some(AdapterOptions::Lora(lora)) = &options.adapter else { panic!("expected a new adapter") };
        assert_eq!(lora.target_modules, ModuleNames::Endings(vec!["q_proj".to_owned()]));
        assert_eq!(lora.exclude_modules, Some(ModuleNames::Pattern(".*k_proj".to_owned())));
        let ranks: Vec<(&str, usize)> = lora.rank_pattern.iter().map(|(name, r)| (name.as_str(), *r)).collect();
        assert_eq!(ranks, [("up_proj", 4), ("10", 2), ("down_proj", 1)]);
        assert_eq!((lora.modules_to_save.len(), lora.layers_to_transform.as_deref()), (0, Some([0, 1].as_slice())));
        assert_eq!((lora.init_lora_weights, lora.bias), (InitLoraWeights::Gaussian, TrainedBias::LoraOnly));
        let tokens = lora.trainable_token_indices.as_ref().and_then(|tokens| tokens.of("lm_head"));
        assert_eq!((tokens, lora.targets_parameter("a.mlp.experts.down_proj")), (Some([3, 1].as_slice()), true));
        let adamw = AdamWOptions { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
        assert_eq!(options.optimizer, Some(OptimizerOptions::AdamW(adamw)));
        assert_eq!(options.parameter_groups[0].parameters, [ParameterKind::Decay, ParameterKind::NoDecay]);
        assert_eq!((options.gradient_checkpointing, options.seed), (true, 3407));
        assert_eq!((options.neftune_noise_alpha, options.resize_token_embeddings), (Some(5.0), Some(42)));
        assert_eq!((options.neftune_noise_alpha, options.resid_pdrop), (Some(5.0), 0.2));
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_at_its_place() {
        let changes: [(&str, &[&str], Value, &str); 7] = [
            ("session.weights.dtypes", &["weights", "dtypes"], json!("auto"), "dtypes"),
            ("session.adapter", &["adapter", "useDoraa"], json!(true), "useDoraa"),
            ("session.adapter", &["adapter", "initLoraWeights"], json!("pisa"), "pisa"),
            ("session.optimizer.type", &["optimizer", "type"], json!("adam"), "adamw"),
            ("session.optimizer", &["optimizer", "weightDecay"], json!(0.1), "weightDecay"),
            (
                "session.parameterGroups[0].parameters[0]",
                &["parameterGroups"],
                json!([{ "parameters": ["head"] }]),
                "head",
            ),
            ("session.seeds", &["seeds"], json!(1), "seeds"),
        ];
        for (place, keys, value, named) in changes {
            let mut options = whole();
            let (last, folders) = keys.split_last().unwrap();
            let target = folders.iter().fold(&mut options, |inside, key| &mut inside[*key]);
            target[*last] = value;
            let error = SessionOptions::from_json(&options.to_string()).unwrap_err();
            assert_eq!((error.code, error.place.as_str()), (Code::ArgumentInvalid, place), "{error}");
            assert!(error.message.contains(named), "{error}");
        }
    }
}

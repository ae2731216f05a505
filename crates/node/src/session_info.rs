//! Facts about a session, fixed at its creation.

use napi_derive::napi;

use crate::device::Engine;

/// A group of a run, as the engine has resolved it.
#[napi(object)]
#[derive(Clone)]
pub struct ParameterGroup {
    /// Name.
    pub name: String,
    /// Trainable parameters in it.
    pub parameters: f64,
    /// Peak learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
}

/// Where the quantized matrices of a session came from.
#[napi(object, use_nullable = true)]
#[derive(Clone)]
pub struct QuantizationInfo {
    /// `nf4`.
    #[napi(js_name = "bnb4bitQuantType", ts_type = "'nf4'")]
    pub bnb_4bit_quant_type: String,
    /// Weights that share a scale.
    #[napi(js_name = "bnb4bitBlocksize")]
    pub bnb_4bit_blocksize: u32,
    /// Whether the scales are held in eight bits.
    #[napi(js_name = "bnb4bitUseDoubleQuant")]
    pub bnb_4bit_use_double_quant: bool,
    /// Quantized matrices.
    pub matrices: u32,
    /// Of these, taken from the model's own files.
    pub from_checkpoint: u32,
    /// Of these, read from the cache.
    pub from_cache: u32,
    /// The cache's folder of this model.
    pub cache_dir: Option<String>,
}

/// Facts about a session, fixed at its creation.
#[napi(object, use_nullable = true)]
#[derive(Clone)]
pub struct SessionInfo {
    /// Backend's name.
    pub backend: String,
    /// Why `auto` fell back to the CPU.
    pub backend_note: Option<String>,
    /// Threads that work on an op.
    pub threads: u32,
    /// Name and version of the vendor's library that computes large products.
    pub matmul_library: Option<String>,
    /// Parameters of the base model, adapter excluded.
    pub total_parameters: f64,
    /// Trainable parameters.
    pub trainable_parameters: f64,
    /// In the order of an update's learning rates.
    pub parameter_groups: Vec<ParameterGroup>,
    /// Adapted modules, sorted.
    pub adapter_modules: Option<Vec<String>>,
    /// Linear layers in four bits.
    pub quantization: Option<QuantizationInfo>,
    /// Tokens whose rows of the embedding hold nothing, and stay so.
    pub untrained_tokens: Vec<u32>,
    /// What the user should know of loading the model.
    pub warnings: Vec<String>,
}

impl From<&Engine> for SessionInfo {
    fn from(engine: &Engine) -> Self {
        let groups = engine.groups();
        let modules = engine.adapter_modules().map(|modules| {
            let mut modules = modules.to_vec();
            modules.sort_unstable();
            modules
        });
        let opened = engine.opened();
        Self {
            backend: opened.device.name().to_owned(),
            backend_note: opened.note.clone(),
            threads: opened.device.threads() as u32,
            matmul_library: opened.device.product_library(),
            total_parameters: engine.total_parameters() as f64,
            trainable_parameters: groups.iter().map(|group| group.parameters).sum::<usize>() as f64,
            parameter_groups: groups
                .into_iter()
                .map(|group| ParameterGroup {
                    name: group.name,
                    parameters: group.parameters as f64,
                    rate: group.rate,
                    decay: group.decay,
                })
                .collect(),
            adapter_modules: modules,
            quantization: engine.quantization().map(|info| QuantizationInfo {
                bnb_4bit_quant_type: "nf4".to_owned(),
                bnb_4bit_blocksize: info.nf4.block_size as u32,
                bnb_4bit_use_double_quant: info.nf4.double_quant,
                matrices: info.matrices as u32,
                from_checkpoint: info.from_checkpoint as u32,
                from_cache: info.from_cache as u32,
                cache_dir: info.cache.as_ref().map(|cache| cache.display().to_string()),
            }),
            untrained_tokens: engine.untrained_tokens().to_vec(),
            warnings: engine.warnings().to_vec(),
        }
    }
}

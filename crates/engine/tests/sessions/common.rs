//! A random model small enough to write down, on the CPU.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tunesmith_cpu::Cpu;
use tunesmith_engine::rng::{Philox, Purpose};
use tunesmith_engine::{
    AdEmaMixOptions, AdafactorOptions, AdagradOptions, AdamWOptions, AdapterOptions, AdjustLr, Batch, Engine,
    LionOptions, LoraFaOptions, MuonOptions, Objective, OptimizerOptions, ParameterGroup, RmsPropOptions,
    ScheduleFreeOptions, Session, SessionOptions, SgdOptions, StepKey, Update, WeightOptions, families::names,
};
use tunesmith_formats::{
    AdapterConfig, F32Tensor, ModelConfig, ModuleNames, SafetensorsFile, TensorSource, write_safetensors,
};
use tunesmith_ops::Result;

pub const VOCAB: usize = 40;

/// Two layers of a `qwen3`-like decoder: QK-norm, grouped queries, tied head.
pub fn config() -> Value {
    json!({
        "model_type": "qwen3", "vocab_size": VOCAB, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "rope_parameters": { "rope_type": "default", "rope_theta": 10000.0 }, "tie_word_embeddings": true,
        "max_position_embeddings": 128,
    })
}

/// Shapes of the tensors of [`config`].
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![(names::EMBEDDING.to_owned(), vec![VOCAB, 24]), (names::FINAL_NORM.to_owned(), vec![24])];
    let projections = [
        ("self_attn.q_proj", [32, 24]),
        ("self_attn.k_proj", [16, 24]),
        ("self_attn.v_proj", [16, 24]),
        ("self_attn.o_proj", [24, 32]),
        ("mlp.gate_proj", [40, 24]),
        ("mlp.up_proj", [40, 24]),
        ("mlp.down_proj", [24, 40]),
    ];
    let norms =
        [("input_layernorm", 24), ("post_attention_layernorm", 24), ("self_attn.q_norm", 8), ("self_attn.k_norm", 8)];
    for layer in 0..2 {
        let prefix = names::layer(layer);
        for (name, shape) in projections {
            shapes.push((format!("{prefix}{name}.weight"), shape.to_vec()));
        }
        for (name, len) in norms {
            shapes.push((format!("{prefix}{name}.weight"), vec![len]));
        }
    }
    shapes
}

/// Writes the model with seeded weights; `poison` puts a NaN into the tensor of that name.
pub fn write_model(dir: &Path, poison: Option<&str>) -> SafetensorsFile {
    let rng = Philox::new(5);
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = shapes()
        .into_iter()
        .enumerate()
        .map(|(number, (name, shape))| {
            let len: usize = shape.iter().product();
            let spread = if shape.len() == 1 { 0.2 } else { 0.6 };
            let centre = if shape.len() == 1 { 1.0 } else { 0.0 };
            let value = |place| rng.uniform(Purpose::AdapterInit, number as u32, place) - 0.5;
            let mut data: Vec<f32> = (0..len as u64).map(|place| (centre + spread * value(place)) as f32).collect();
            if poison == Some(name.as_str()) {
                data[1] = f32::NAN;
            }
            (name, shape, data)
        })
        .collect();
    let views: Vec<F32Tensor<'_>> = tensors
        .iter()
        .map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data })
        .collect();
    let path = dir.join("model.safetensors");
    write_safetensors(&path, &views).unwrap();
    SafetensorsFile::open(&path).unwrap()
}

pub fn lora(targets: ModuleNames) -> Option<AdapterOptions> {
    adapter(AdapterConfig { target_modules: targets, ..AdapterConfig::default() })
}

/// A new adapter of rank 4 and scale 2, otherwise as given.
pub fn adapter(config: AdapterConfig) -> Option<AdapterOptions> {
    let config = AdapterConfig { r: 4, lora_alpha: 8.0, ..config };
    Some(AdapterOptions::Lora(config))
}

/// A new adapter whose factors are large enough for states in eight bits.
pub fn wide() -> Option<AdapterOptions> {
    let targets = ModuleNames::Endings(vec!["q_proj".to_owned(), "down_proj".to_owned()]);
    let config = AdapterConfig { r: 200, lora_alpha: 200.0, target_modules: targets, ..AdapterConfig::default() };
    Some(AdapterOptions::Lora(config))
}

pub const OPTIMIZER: OptimizerOptions =
    OptimizerOptions::AdamW(AdamWOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });

/// As transformers' Trainer sets it.
pub const ADAFACTOR: AdafactorOptions = AdafactorOptions {
    decay_rate: -0.8,
    epsilon: [1e-30, 1e-3],
    clip_threshold: 1.0,
    beta1: None,
    scale_parameter: false,
};

/// As torch sets it, with updates as large as AdamW's.
pub const MUON: MuonOptions = MuonOptions {
    momentum: 0.95,
    nesterov: true,
    ns_coefficients: [3.4445, -4.775, 2.0315],
    ns_steps: 5,
    ns_epsilon: 1e-7,
    adjust_lr_fn: AdjustLr::MatchRmsAdamw,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};

/// Every optimizer, each with all its states; second and third SGD with and without a buffer.
pub fn optimizers() -> Vec<OptimizerOptions> {
    let momentum = SgdOptions { momentum: 0.9, dampening: 0.0, nesterov: true };
    let lion = LionOptions { beta1: 0.9, beta2: 0.99 };
    let epsilon = 1e-8;
    vec![
        OPTIMIZER,
        OptimizerOptions::Sgd(momentum),
        OptimizerOptions::Sgd(SgdOptions::default()),
        OptimizerOptions::AdamW8bit(AdamWOptions::default()),
        OptimizerOptions::Lion(lion),
        OptimizerOptions::Lion8bit(lion),
        OptimizerOptions::ScheduleFree(ScheduleFreeOptions {
            beta1: 0.9,
            beta2: 0.999,
            epsilon,
            r: 0.5,
            weight_lr_power: 2.0,
        }),
        OptimizerOptions::RmsProp(RmsPropOptions { alpha: 0.9, epsilon, momentum: 0.5, centered: true }),
        OptimizerOptions::Adagrad(AdagradOptions { epsilon, lr_decay: 0.1 }),
        OptimizerOptions::AdEmaMix(AdEmaMixOptions {
            beta1: 0.9,
            beta2: 0.99,
            beta3: 0.999,
            alpha: 5.0,
            epsilon,
            t_alpha: Some(5),
            t_beta3: Some(7),
        }),
        OptimizerOptions::Adafactor(ADAFACTOR),
        OptimizerOptions::Adafactor(AdafactorOptions { beta1: Some(0.9), scale_parameter: true, ..ADAFACTOR }),
        OptimizerOptions::Muon(MUON),
        OptimizerOptions::LoraFa(LoraFaOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-6 }),
    ]
}

pub fn options(adapter: Option<AdapterOptions>) -> SessionOptions {
    SessionOptions {
        weights: WeightOptions::default(),
        adapter,
        optimizer: Some(OPTIMIZER),
        parameter_groups: ParameterGroup::of_each_kind(0.1, 0.01),
        gradient_checkpointing: false,
        seed: 3,
        neftune_noise_alpha: None,
        resize_token_embeddings: None,
        resid_pdrop: 0.0,
    }
}

pub fn session(threads: usize, options: &SessionOptions) -> Result<Session<Cpu>> {
    let dir = tempfile::tempdir().unwrap();
    let source = write_model(dir.path(), None);
    let config = ModelConfig::from_json(Path::new("config.json"), config())?;
    Session::new(Arc::new(Cpu::new(threads)?), config, &source, "tiny", options)
}

/// One step of training on two rows, and the loss before it.
pub fn step(model: &mut Session<Cpu>, number: u64) -> f64 {
    let rows = Rows::new(&[20, 11], 6);
    let key = StepKey { seed: 3, step: number };
    let loss = losses(model, &rows, key).iter().sum();
    let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 20.0 };
    assert!(model.update(&update).unwrap().applied);
    loss
}

/// A new adapter of rank 4 after three steps.
pub fn trained(config: AdapterConfig) -> Session<Cpu> {
    let mut model = session(1, &options(adapter(config))).unwrap();
    for number in 1..4 {
        step(&mut model, number);
    }
    model
}

/// A model that is not trained.
pub fn inference(adapter: Option<AdapterOptions>) -> Session<Cpu> {
    session(1, &SessionOptions { optimizer: None, ..options(adapter) }).unwrap()
}

pub fn logits(model: &mut Session<Cpu>) -> Vec<f32> {
    model.logits(&Rows::new(&[21, 8], 8).batch()).unwrap()
}

/// The logits with the adapter of a folder.
pub fn of_folder(path: &Path) -> Vec<f32> {
    logits(&mut inference(Some(AdapterOptions::Saved { path: path.to_owned() })))
}

/// The loss of each row in a pass of training.
pub fn losses(model: &mut Session<Cpu>, rows: &Rows, key: StepKey) -> Vec<f64> {
    model.accumulate(&rows.batch(), &Objective::default(), key).unwrap().iter().map(|sum| sum.loss).collect()
}

/// The loss of each row without one.
pub fn evaluated(model: &mut Session<Cpu>, rows: &Rows) -> Vec<f64> {
    model.evaluate(&rows.batch(), &Objective::default()).unwrap().iter().map(|sum| sum.loss).collect()
}

/// The bits of every gradient.
pub fn gradient_bits(model: &Session<Cpu>) -> Vec<(String, Vec<u32>)> {
    let values = model.gradients().unwrap().into_iter();
    values.map(|(name, values)| (name, values.iter().map(|value| value.to_bits()).collect())).collect()
}

/// What is drawn for a row in a pass of training belongs to its number and the step, whatever it is packed with.
pub fn a_row_draws_by_its_number_and_the_step(options: &SessionOptions) {
    let (rows, key) = (Rows::new(&[12, 5, 30], 2), StepKey { seed: 3, step: 1 });
    let mut model = session(1, options).unwrap();
    let packed = losses(&mut model, &rows, key);
    for (row, expected) in packed.iter().enumerate() {
        assert_eq!(losses(&mut model, &rows.row(row), key), [*expected], "row {row}");
    }
    for key in [StepKey { step: 2, ..key }, StepKey { seed: 4, ..key }] {
        assert_ne!(losses(&mut model, &rows, key)[0], packed[0], "step and seed choose");
    }
    let mut moved = Rows::new(&[12, 5, 30], 2);
    moved.row_ids[0] += 1;
    assert_ne!(losses(&mut model, &moved, key)[0], packed[0], "and so does the row");
}

/// Packed rows of seeded ids; the first third of each row is not supervised.
pub struct Rows {
    pub ids: Vec<i32>,
    pub labels: Vec<i32>,
    pub positions: Vec<i32>,
    pub starts: Vec<i32>,
    /// Numbers of the rows, far apart.
    pub row_ids: Vec<i32>,
}

impl Rows {
    pub fn new(lengths: &[usize], seed: u64) -> Self {
        let mut rows = Self {
            ids: Vec::new(),
            labels: Vec::new(),
            positions: Vec::new(),
            starts: vec![0],
            row_ids: (0..lengths.len() as i32).map(|row| 100 * row + 7).collect(),
        };
        for (row, length) in lengths.iter().enumerate() {
            for position in 0..*length {
                let place = position as u64;
                let id = (Philox::new(seed).uniform(Purpose::Sampling, row as u32, place) * VOCAB as f64) as i32;
                rows.ids.push(id);
                rows.labels.push(if position < length / 3 { tunesmith_ops::IGNORE_INDEX } else { id });
                rows.positions.push(position as i32);
            }
            rows.starts.push(rows.ids.len() as i32);
        }
        rows
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch {
            input_ids: &self.ids,
            labels: &self.labels,
            positions: &self.positions,
            sequence_starts: &self.starts,
            weights: None,
            row_ids: Some(&self.row_ids),
        }
    }

    /// One row of these rows alone.
    pub fn row(&self, index: usize) -> Self {
        let range = self.starts[index] as usize..self.starts[index + 1] as usize;
        Self {
            ids: self.ids[range.clone()].to_vec(),
            labels: self.labels[range.clone()].to_vec(),
            positions: self.positions[range.clone()].to_vec(),
            starts: vec![0, range.len() as i32],
            row_ids: vec![self.row_ids[index]],
        }
    }
}

pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

pub fn tensors(path: &Path) -> Tensors {
    let file = SafetensorsFile::open(path).unwrap();
    let read = |name: String| {
        let tensor = file.get(&name).unwrap();
        let mut data = Vec::new();
        tensor.to_f32(&mut data).unwrap();
        (name.clone(), tensor.shape, data)
    };
    file.names().into_iter().map(read).collect()
}

/// The tensors of a file, each moved by `distance` along its gradient.
pub fn write_moved(path: &Path, start: &Tensors, gradients: &[(String, Vec<f32>)], distance: f64) {
    let mut moved = start.clone();
    for (name, _, data) in &mut moved {
        let (_, gradient) = gradients.iter().find(|(of, _)| of == name).unwrap();
        for (value, g) in data.iter_mut().zip(gradient) {
            *value = (f64::from(*value) + distance * f64::from(*g)) as f32;
        }
    }
    let views: Vec<F32Tensor<'_>> =
        moved.iter().map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data }).collect();
    write_safetensors(path, &views).unwrap();
}

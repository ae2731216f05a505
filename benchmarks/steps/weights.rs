//! A model of random weights as the engine loads one: every tensor of a Hugging Face checkpoint, made when it is asked for.
//! Four-bit matrices have the tensors and the layout of a checkpoint that bitsandbytes quantised.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;
use tunesmith_formats::{StoredTensor, StoredType, TensorSource};
use tunesmith_ops::{Code, Error, Result, nf4};

use crate::generator::Stream;
use crate::scenario::Model;

/// Deviation of the weights: that of Llama's initialisation.
pub const DEVIATION: f64 = 0.02;
/// Deviation of norm scales around 1.
pub const NORM_DEVIATION: f64 = 0.05;
/// Mean scale of an NF4 block, at which evenly spread codes have a deviation near [`DEVIATION`].
pub const NF4_SCALE: f32 = 0.04;
/// Elements of an NF4 block, and blocks that share a scale of the second level: bitsandbytes' defaults.
pub const NF4_BLOCK: usize = 64;
const NESTED_BLOCK: usize = 256;

/// How the bytes of a tensor come about.
#[derive(Debug, Clone)]
enum Content {
    Normal { mean: f32, deviation: f64 },
    Bytes,
    Nested,
    Given(Vec<u8>),
}

#[derive(Debug)]
struct Slot {
    stored: StoredType,
    shape: Vec<usize>,
    content: Content,
    bytes: OnceLock<Vec<u8>>,
}

/// The tensors of one model.
#[derive(Debug)]
pub struct Weights {
    seed: u32,
    slots: BTreeMap<String, Slot>,
    nanoseconds: AtomicU64,
}

impl Weights {
    /// All tensors of a model; its linear layers in four bits where the model says so.
    pub fn new(model: &Model, seed: u32) -> Self {
        let mut weights = Self { seed, slots: BTreeMap::new(), nanoseconds: AtomicU64::new(0) };
        let (d, f, v) = (model.size("hidden_size"), model.size("intermediate_size"), model.size("vocab_size"));
        let [q, kv] = ["num_attention_heads", "num_key_value_heads"].map(|key| model.size(key) * model.head_dim());
        weights.matrix("model.embed_tokens", v, d);
        if !model.tied() {
            weights.matrix("lm_head", v, d);
        }
        weights.norm("model.norm", d);
        for layer in 0..model.size("num_hidden_layers") {
            let prefix = format!("model.layers.{layer}");
            weights.norm(&format!("{prefix}.input_layernorm"), d);
            weights.norm(&format!("{prefix}.post_attention_layernorm"), d);
            let shapes = [("self_attn.q_proj", q, d), ("self_attn.k_proj", kv, d), ("self_attn.v_proj", kv, d)];
            let rest =
                [("self_attn.o_proj", d, q), ("mlp.gate_proj", f, d), ("mlp.up_proj", f, d), ("mlp.down_proj", d, f)];
            for (name, n, k) in shapes.into_iter().chain(rest) {
                let module = format!("{prefix}.{name}");
                if model.qkv_bias() && ["q_proj", "k_proj", "v_proj"].iter().any(|end| name.ends_with(end)) {
                    weights.normal(format!("{module}.bias"), vec![n], 0.0, DEVIATION);
                }
                if model.nf4 {
                    weights.nf4(&module, n, k);
                } else {
                    weights.matrix(&module, n, k);
                }
            }
        }
        weights
    }

    /// Seconds spent making tensors so far.
    pub fn seconds(&self) -> f64 {
        self.nanoseconds.load(Ordering::Relaxed) as f64 * 1e-9
    }

    fn add(&mut self, name: String, stored: StoredType, shape: Vec<usize>, content: Content) {
        self.slots.insert(name, Slot { stored, shape, content, bytes: OnceLock::new() });
    }

    fn normal(&mut self, name: String, shape: Vec<usize>, mean: f32, deviation: f64) {
        self.add(name, StoredType::Bf16, shape, Content::Normal { mean, deviation });
    }

    fn matrix(&mut self, module: &str, n: usize, k: usize) {
        self.normal(format!("{module}.weight"), vec![n, k], 0.0, DEVIATION);
    }

    fn norm(&mut self, module: &str, d: usize) {
        self.normal(format!("{module}.weight"), vec![d], 1.0, NORM_DEVIATION);
    }

    fn nf4(&mut self, module: &str, n: usize, k: usize) {
        let blocks = (n * k).div_ceil(NF4_BLOCK);
        let nested = blocks.div_ceil(NESTED_BLOCK);
        let floats = |numbers: &[f32]| Content::Given(numbers.iter().flat_map(|x| x.to_le_bytes()).collect());
        let state = json!({
            "quant_type": "nf4", "blocksize": NF4_BLOCK, "dtype": "bfloat16", "shape": [n, k],
            "nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": NF4_SCALE,
        });
        let state = state.to_string().into_bytes();
        let name = format!("{module}.weight");
        self.add(name.clone(), StoredType::U8, vec![(n * k).div_ceil(2), 1], Content::Bytes);
        self.add(format!("{name}.absmax"), StoredType::U8, vec![blocks], Content::Bytes);
        self.add(format!("{name}.quant_map"), StoredType::F32, vec![16], floats(&nf4::NF4));
        self.add(format!("{name}.nested_absmax"), StoredType::F32, vec![nested], Content::Nested);
        self.add(format!("{name}.nested_quant_map"), StoredType::F32, vec![256], floats(nf4::code_book()));
        let key = format!("{name}.quant_state.bitsandbytes__nf4");
        self.add(key, StoredType::U8, vec![state.len()], Content::Given(state));
    }

    fn made(&self, name: &str, slot: &Slot) -> Vec<u8> {
        let begun = Instant::now();
        let len = slot.shape.iter().product();
        let stream = Stream::new(name, self.seed);
        let bytes = match &slot.content {
            Content::Normal { mean, deviation } => stream.normal(len, *mean, *deviation),
            Content::Bytes => stream.bytes(len),
            Content::Nested => stream.nested_scales(len, NF4_SCALE),
            Content::Given(bytes) => bytes.clone(),
        };
        self.nanoseconds.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        bytes
    }
}

impl TensorSource for Weights {
    fn names(&self) -> Vec<String> {
        self.slots.keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<StoredTensor<'_>> {
        let Some((name, slot)) = self.slots.get_key_value(name) else {
            let message = "expected a tensor of the model, got none of that name";
            return Err(Error::new(Code::FileInvalid, name, message));
        };
        let bytes = slot.bytes.get_or_init(|| self.made(name, slot));
        StoredTensor::from_bytes(name, slot.stored, slot.shape.clone(), bytes)
    }

    fn contains(&self, name: &str) -> bool {
        self.slots.contains_key(name)
    }
}

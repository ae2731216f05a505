//! What is trained: models by their sizes, and rows of tokens by their lengths.

use serde::Serialize;
use serde_json::{Value, json};
use tunesmith_ops::IGNORE_INDEX;

use crate::generator::Stream;

/// Seed of weights and rows.
pub const SEED: u32 = 1;
/// Rank and scale numerator of the adapter on all seven linear layers.
pub const RANK: usize = 16;

/// A model: its Hugging Face configuration, and whether its linear layers are held in four bits.
#[derive(Debug, Clone)]
pub struct Model {
    /// Name in results.
    pub name: &'static str,
    /// config.json.
    pub config: Value,
    /// NF4 with double quantisation.
    pub nf4: bool,
}

impl Model {
    /// A size of the configuration; 0 where it is absent.
    pub fn size(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap_or(0) as usize
    }

    /// Head size.
    pub fn head_dim(&self) -> usize {
        self.size("hidden_size") / self.size("num_attention_heads").max(1)
    }

    /// True where the head is the embedding.
    pub fn tied(&self) -> bool {
        self.config["tie_word_embeddings"].as_bool().unwrap_or(false)
    }

    /// True where queries, keys and values have a bias, as Qwen2's do.
    pub fn qkv_bias(&self) -> bool {
        self.config["model_type"] == "qwen2"
    }

    /// Weights of the linear layers of all blocks.
    pub fn linear_weights(&self) -> usize {
        let (d, f) = (self.size("hidden_size"), self.size("intermediate_size"));
        let [q, kv] = ["num_attention_heads", "num_key_value_heads"].map(|key| self.size(key) * self.head_dim());
        self.size("num_hidden_layers") * (2 * d * q + 2 * d * kv + 3 * d * f)
    }

    /// Trained numbers of the adapter.
    pub fn adapter_weights(&self) -> usize {
        let (d, f) = (self.size("hidden_size"), self.size("intermediate_size"));
        let [q, kv] = ["num_attention_heads", "num_key_value_heads"].map(|key| self.size(key) * self.head_dim());
        self.size("num_hidden_layers") * RANK * (2 * (d + q) + 2 * (d + kv) + 3 * (d + f))
    }
}

/// One row of tokens.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Token ids.
    pub input_ids: Vec<i32>,
    /// Labels, not shifted.
    pub labels: Vec<i32>,
}

/// The micro-batches of one optimizer step.
pub type Step = Vec<Vec<Row>>;

/// Steps of one kind, measured together.
#[derive(Debug, Clone, Serialize)]
pub struct Workload {
    /// Name in results.
    pub name: &'static str,
    /// Keep layer inputs only.
    pub gradient_checkpointing: bool,
    /// One step of each program in turn; otherwise one program after the other, each with the memory to itself.
    pub interleaved: bool,
    /// Distinct steps, used from the start again at the end.
    pub steps: Vec<Step>,
}

/// A model and what it is trained on.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The model.
    pub model: Model,
    /// What it is trained on, one after the other.
    pub workloads: Vec<Workload>,
}

/// Names of the scenarios.
pub const NAMES: [&str; 2] = ["llama-3.1-8b-qlora", "qwen2.5-0.5b-lora"];

/// A scenario by name; a toy of the same structure for a rehearsal.
pub fn named(name: &str, toy: bool) -> Option<Scenario> {
    let model = match name {
        "llama-3.1-8b-qlora" => Model { name: NAMES[0], config: llama(toy), nf4: true },
        "qwen2.5-0.5b-lora" => Model { name: NAMES[1], config: qwen(toy), nf4: false },
        _ => return None,
    };
    let vocabulary = model.size("vocab_size");
    let (length, count) = if toy { (48, 2) } else { (2048, 8) };
    let packed = |gradient_checkpointing, interleaved| Workload {
        name: "packed 8 x 2048",
        gradient_checkpointing,
        interleaved,
        steps: (0..3).map(|step| vec![full_rows(vocabulary, step, count, length)]).collect(),
    };
    let alpaca = Workload {
        name: "alpaca lengths 2 x 4",
        gradient_checkpointing: false,
        interleaved: true,
        steps: (0..8).map(|step| alpaca_step(vocabulary, step, if toy { 8 } else { 1 })).collect(),
    };
    // The smallest first: a peak is counted from the start. Eight billion weights and 16384 tokens do not fit twice into 80 GB with everything kept.
    let workloads =
        if model.nf4 { vec![alpaca, packed(true, true), packed(false, false)] } else { vec![packed(false, true)] };
    Some(Scenario { model, workloads })
}

fn llama(toy: bool) -> Value {
    let scaling = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    let mut config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256,
        "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "rope_scaling": scaling, "max_position_embeddings": 131_072,
        "tie_word_embeddings": false, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false,
    });
    if toy {
        shrink(&mut config);
    }
    config
}

fn qwen(toy: bool) -> Value {
    let mut config = json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151_936,
        "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "max_position_embeddings": 32_768,
        "tie_word_embeddings": true, "hidden_act": "silu", "use_sliding_window": false,
    });
    if toy {
        shrink(&mut config);
    }
    config
}

fn shrink(config: &mut Value) {
    for (key, size) in [
        ("hidden_size", 64),
        ("intermediate_size", 128),
        ("num_hidden_layers", 2),
        ("num_attention_heads", 4),
        ("num_key_value_heads", 2),
        ("vocab_size", 320),
    ] {
        config[key] = json!(size);
    }
}

fn row(vocabulary: usize, name: &str, length: usize, prompt: usize) -> Row {
    let stream = Stream::new(name, SEED);
    let input_ids: Vec<i32> = (0..length).map(|place| (stream.word(place) as usize % vocabulary) as i32).collect();
    let labels =
        input_ids.iter().enumerate().map(|(place, id)| if place < prompt { IGNORE_INDEX } else { *id }).collect();
    Row { input_ids, labels }
}

fn full_rows(vocabulary: usize, step: usize, count: usize, length: usize) -> Vec<Row> {
    (0..count).map(|index| row(vocabulary, &format!("packed {step} {index}"), length, 0)).collect()
}

/// Four micro-batches of two rows with lengths like those of Alpaca under its template: prompts of 40 to 110 tokens,
/// answers log-normal around 60; answers only are trained. `divisor` makes them shorter for a rehearsal.
fn alpaca_step(vocabulary: usize, step: usize, divisor: usize) -> Step {
    let lengths = Stream::new("alpaca lengths", SEED);
    let one = |index: usize| {
        let place = 2 * (8 * step + index);
        let prompt = 40 + (70.0 * lengths.unit(place)) as usize;
        let answer = (60.0 * (0.9 * lengths.standard_normal(place + 1)).exp()).clamp(4.0, 1024.0) as usize;
        let (prompt, answer) = (prompt / divisor, answer.div_ceil(divisor));
        row(vocabulary, &format!("alpaca {step} {index}"), prompt + answer, prompt)
    };
    (0..4).map(|micro| vec![one(2 * micro), one(2 * micro + 1)]).collect()
}

/// Tokens and operations of one step: what a rate is counted by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amount {
    /// Tokens of the rows.
    pub tokens: usize,
    /// Labels that are predicted.
    pub supervised: usize,
    /// Floating-point operations without recomputation: forward and the gradient of the input for frozen weights, all three
    /// for the adapter, the head and the last feed-forward block at supervised places only, attention over the lower triangle.
    pub flops: usize,
}

/// Counts a step of a model.
pub fn amount(model: &Model, step: &Step) -> Amount {
    let mut amount = Amount::default();
    let (layers, heads) = (model.size("num_hidden_layers"), model.size("num_attention_heads") * model.head_dim());
    for row in step.iter().flatten() {
        let length = row.input_ids.len();
        amount.tokens += length;
        amount.supervised += row.labels.iter().skip(1).filter(|label| **label != IGNORE_INDEX).count();
        // Two products forward and five backward, two operations each.
        amount.flops += layers * 7 * heads * length * (length + 1);
    }
    let (d, f) = (model.size("hidden_size"), model.size("intermediate_size"));
    let (head, last) = (4 * d * model.size("vocab_size"), 12 * d * f + 18 * RANK * (d + f));
    amount.flops += amount.tokens * (4 * model.linear_weights() + 6 * model.adapter_weights() - last);
    amount.flops += amount.supervised * (head + last);
    amount
}

#[cfg(test)]
mod tests {
    use super::{amount, named};

    // Llama 3.1 8B: 6.98 billion weights in its linear layers; 41.9 million in an adapter of rank 16; 32.1 GFLOP a token at 2048.
    #[test]
    fn the_counts_are_those_of_the_model() {
        let scenario = named("llama-3.1-8b-qlora", false).expect("a scenario");
        assert_eq!(scenario.model.linear_weights(), 6_979_321_856);
        assert_eq!(scenario.model.adapter_weights(), 41_943_040);
        let amount = amount(&scenario.model, &scenario.workloads[1].steps[0]);
        assert_eq!((amount.tokens, amount.supervised), (16_384, 16_376));
        let per_token = amount.flops as f64 / amount.tokens as f64 / 1e9;
        assert!((per_token - 32.1).abs() < 0.2, "{per_token}");
    }

    #[test]
    fn alpaca_rows_are_two_to_a_micro_batch_and_answers_alone_are_trained() {
        let scenario = named("llama-3.1-8b-qlora", false).expect("a scenario");
        let lengths: Vec<usize> =
            scenario.workloads[0].steps.iter().flatten().flatten().map(|row| row.input_ids.len()).collect();
        assert_eq!(lengths.len(), 64);
        let mean = lengths.iter().sum::<usize>() as f64 / 64.0;
        assert!((120.0..220.0).contains(&mean), "{mean}");
        assert!(scenario.workloads[0].steps[0].iter().all(|rows| rows.len() == 2 && rows[0].labels[0] < 0));
    }
}

//! The rotation of a model as GGUF keys and tensors, and back. llama.cpp's converter writes Llama 3's scaling and LongRoPE as
//! divisors of the frequencies, everything else as parameters.

use serde_json::{Map, Value, json};
use tunesmith_ops::{Code, Result};

use super::config_reader::ConfigReader;
use super::metadata::shortest;
use super::rope_freqs::{divisors_of, scaling_of};
use super::writer::KeyWriter;
use crate::rope::{LongRopeScaling, RopeScaling, Ropes, YarnScaling};

/// Divisors of Llama 3's scaling.
pub const FREQS: &str = "rope_freqs.weight";
/// Divisors of LongRoPE, beyond the original context and up to it.
pub const LONG: &str = "rope_factors_long.weight";
/// The shorter ones.
pub const SHORT: &str = "rope_factors_short.weight";

/// Keys that are understood, below `ARCHITECTURE.rope.`.
const KEYS: [&str; 11] = [
    "freq_base",
    "freq_base_swa",
    "dimension_count",
    "scaling.type",
    "scaling.factor",
    "scaling.original_context_length",
    "scaling.finetuned",
    "scaling.attn_factor",
    "scaling.yarn_beta_fast",
    "scaling.yarn_beta_slow",
    "scaling.yarn_ext_factor",
];

/// Tensors that belong to the rotation, by their names in the file.
pub type RopeTensors = Vec<(&'static str, Vec<f32>)>;

/// YaRN's own factor of attention, which llama.cpp always applies (`rope_yarn` in ggml).
fn temperature(factor: f64) -> f64 {
    1.0 + 0.1 * factor.max(1.0).ln()
}

/// Writes the keys below `architecture.rope.`; `dims` elements of a head are rotated. Gives the tensors that go with them.
///
/// # Errors
/// What llama.cpp has no key for, in words.
pub fn write(
    keys: &mut KeyWriter,
    architecture: &str,
    ropes: &Ropes,
    dims: usize,
) -> std::result::Result<RopeTensors, String> {
    let name = |key: &str| format!("{architecture}.rope.{key}");
    let rope = &ropes.full;
    keys.u32(&name("dimension_count"), dims as u32);
    keys.f32(&name("freq_base"), rope.theta as f32);
    if let Some(windowed) = &ropes.windowed {
        if windowed.scaling != RopeScaling::Default {
            return Err("expected an unscaled rotation of windowed layers, got a scaled one".to_owned());
        }
        keys.f32(&name("freq_base_swa"), windowed.theta as f32);
    }
    let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    match &rope.scaling {
        RopeScaling::Default => Ok(Vec::new()),
        RopeScaling::Linear { factor } => {
            keys.text(&name("scaling.type"), "linear");
            keys.f32(&name("scaling.factor"), *factor as f32);
            Ok(Vec::new())
        }
        scaling @ RopeScaling::Llama3 { .. } => {
            Ok(divisors_of(scaling, rope.theta, dims).map(|divisors| (FREQS, divisors)).into_iter().collect())
        }
        RopeScaling::Yarn(scaling) => write_yarn(keys, &name, scaling).map(|()| Vec::new()),
        RopeScaling::LongRope(scaling) => {
            let LongRopeScaling { factor, original_max_position_embeddings: original, .. } = *scaling;
            let plain = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() };
            keys.text(&name("scaling.type"), "longrope");
            keys.f32(&name("scaling.attn_factor"), scaling.attention_factor.unwrap_or(plain) as f32);
            keys.u32(&name("scaling.original_context_length"), original as u32);
            Ok(vec![(LONG, single(&scaling.long_factor)), (SHORT, single(&scaling.short_factor))])
        }
    }
}

fn write_yarn(
    keys: &mut KeyWriter,
    name: &impl Fn(&str) -> String,
    scaling: &YarnScaling,
) -> std::result::Result<(), String> {
    if !scaling.truncate {
        return Err("expected YaRN with truncate true, got false".to_owned());
    }
    let factor = scaling.factor;
    let weighted = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    let quotient = scaling.mscale.map(|(one, all)| weighted(one) / weighted(all));
    let attention = scaling.attention_factor.or(quotient).unwrap_or_else(|| temperature(factor));
    keys.text(&name("scaling.type"), "yarn");
    keys.f32(&name("scaling.factor"), factor as f32);
    keys.u32(&name("scaling.original_context_length"), scaling.original_max_position_embeddings as u32);
    keys.f32(&name("scaling.yarn_beta_fast"), scaling.beta_fast as f32);
    keys.f32(&name("scaling.yarn_beta_slow"), scaling.beta_slow as f32);
    let beyond = attention / temperature(factor);
    if (beyond - 1.0).abs() > 1e-7 {
        keys.f32(&name("scaling.attn_factor"), beyond as f32);
    }
    Ok(())
}

impl ConfigReader<'_> {
    /// Elements of a head that are rotated: all, but where the architecture may rotate a part.
    pub fn rotated(&self) -> Result<u64> {
        let head_dim = self.head_dim()?;
        let given = self.integer("rope.dimension_count")?.unwrap_or(head_dim);
        let possible = given == head_dim || (self.architecture.rope.partial && given > 0 && given < head_dim);
        if !possible || !given.is_multiple_of(2) {
            let key = self.key("rope.dimension_count");
            return Err(self.refuse(Code::ModelUnsupported, format!("expected {head_dim} in `{key}`, got {given}")));
        }
        Ok(given)
    }

    /// `rope_parameters` of the configuration.
    pub fn rope(&self, tensors: &RopeTensors) -> Result<Value> {
        let prefix = self.key("rope.");
        if let Some(key) =
            self.metadata.keys().filter_map(|key| key.strip_prefix(&prefix)).find(|key| !KEYS.contains(key))
        {
            let message = format!("expected known keys of the rotary embedding, got `{prefix}{key}`");
            return Err(self.refuse(Code::ModelUnsupported, message));
        }
        let mut full = self.scaling(tensors)?;
        full.insert("rope_theta".to_owned(), json!(self.rope_theta()?));
        let (rotated, head_dim) = (self.rotated()?, self.head_dim()?);
        if rotated != head_dim {
            full.insert("partial_rotary_factor".to_owned(), json!(rotated as f64 / head_dim as f64));
        }
        let Some(windowed) = self.architecture.rope.windowed else { return Ok(Value::Object(full)) };
        let theta = self.float("rope.freq_base_swa")?.unwrap_or(windowed.theta);
        let local = json!({ "rope_type": "default", "rope_theta": theta });
        Ok(json!({ "full_attention": full, "sliding_attention": local }))
    }

    fn scaling(&self, tensors: &RopeTensors) -> Result<Map<String, Value>> {
        let tensor = |wanted: &str| tensors.iter().find(|(name, _)| *name == wanted).map(|(_, values)| values);
        let kind = self.metadata.text(&self.key("rope.scaling.type"))?.unwrap_or("none");
        let factor = self.float("rope.scaling.factor")?;
        let value = match (kind, tensor(FREQS), tensor(LONG).zip(tensor(SHORT))) {
            ("none" | "longrope", None, Some((long, short))) => self.long_rope(long, short)?,
            ("none", None, None) => json!({ "rope_type": "default" }),
            ("none", Some(divisors), None) => self.llama3(divisors)?,
            ("linear", None, None) => json!({ "rope_type": "linear", "factor": factor }),
            ("yarn", None, None) => self.yarn(factor)?,
            ("longrope", None, None) => {
                let message = format!("expected the tensors {LONG} and {SHORT} of rope scaling longrope, got none");
                return Err(self.refuse(Code::ConfigInvalid, message));
            }
            (known @ ("none" | "linear" | "yarn" | "longrope"), ..) => {
                let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
                let message = format!("expected no tensors {} with rope scaling {known}, got them", names.join(", "));
                return Err(self.refuse(Code::ModelUnsupported, message));
            }
            (other, ..) => {
                let message = format!("expected rope scaling none, linear, yarn or longrope, got {other}");
                return Err(self.refuse(Code::ModelUnsupported, message));
            }
        };
        match value {
            Value::Object(map) => Ok(map),
            _ => Err(self.refuse(Code::Internal, "expected an object")),
        }
    }

    fn llama3(&self, divisors: &[f32]) -> Result<Value> {
        let fits = divisors.len() as u64 == self.rotated()? / 2;
        match scaling_of(divisors, self.rope_theta()?).filter(|_| fits) {
            Some(RopeScaling::Default) => Ok(json!({ "rope_type": "default" })),
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            }) => Ok(json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            })),
            _ => {
                Err(self
                    .refuse(Code::ModelUnsupported, format!("expected Llama 3 scaling in {FREQS}, got other divisors")))
            }
        }
    }

    fn yarn(&self, factor: Option<f64>) -> Result<Value> {
        if let Some(other) = self.float("rope.scaling.yarn_ext_factor")?.filter(|&ext| ext != 1.0) {
            let key = self.key("rope.scaling.yarn_ext_factor");
            return Err(self.refuse(Code::ModelUnsupported, format!("expected 1 in `{key}`, got {other}")));
        }
        let attention = self.float("rope.scaling.attn_factor")?;
        Ok(json!({
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": self.required("rope.scaling.original_context_length")?,
            "beta_fast": self.float("rope.scaling.yarn_beta_fast")?,
            "beta_slow": self.float("rope.scaling.yarn_beta_slow")?,
            "attention_factor": attention.map(|beyond| beyond * temperature(factor.unwrap_or(1.0))),
        }))
    }

    fn long_rope(&self, long: &[f32], short: &[f32]) -> Result<Value> {
        let rotated = self.rotated()?;
        if [long, short].iter().any(|factors| factors.len() as u64 != rotated / 2) {
            let message = format!("expected {} divisors in {LONG} and {SHORT}, got {}", rotated / 2, long.len());
            return Err(self.refuse(Code::ConfigInvalid, message));
        }
        let list = |factors: &[f32]| factors.iter().map(|&factor| json!(shortest(factor))).collect::<Vec<Value>>();
        Ok(json!({
            "rope_type": "longrope",
            "long_factor": list(long),
            "short_factor": list(short),
            "original_max_position_embeddings": self.required("rope.scaling.original_context_length")?,
            "attention_factor": self.float("rope.scaling.attn_factor")?,
        }))
    }
}

/// The name of a tensor that belongs to the rotation.
pub fn known(name: &str) -> Option<&'static str> {
    [FREQS, LONG, SHORT].into_iter().find(|known| *known == name)
}

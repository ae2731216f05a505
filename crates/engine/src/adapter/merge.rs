//! The weights an adapter amounts to, tensor by tensor from the model's files: `W + s · B A` of LoRA, with its rows scaled to
//! their magnitudes where it is a DoRA, and the modules an adapter has saved whole in place of the model's.

use std::num::NonZero;
use std::path::Path;
use std::thread;

use serde_json::{Map, Value, json};
use tunesmith_formats::{
    AdapterFiles, AdapterTensor, AsStored, FactorKind, LoraTensors, Matcher, ModuleTensors, TensorSource, Weights, nf4,
    read_nf4,
};
use tunesmith_ops::nf4::{code_book, double_quantize, reference};
use tunesmith_ops::{Code, DType, Error, Nf4, Nf4Matrix, Nf4Options, Nf4Scales, Result};

use super::decompose::{self, Sizes};
use super::tying::take_tied;
use super::whole::refuse_other_base;
use crate::families::names;
use crate::load::{Grown, NewRows};

/// Elements of a product below which no further thread is worth its start.
const ELEMENTS_PER_THREAD: usize = 1 << 20;

/// What an adapter is merged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeBase {
    /// The weights as the model's files hold them.
    Original,
    /// The values that the linear layers have after they were quantised to four bits: what an adapter saw that was trained on
    /// such a base (QLoRA, arXiv:2305.14314).
    Nf4(Nf4Options),
}

/// A model's weights with an adapter merged in, made one tensor at a time. Without an adapter they are those of the base.
pub struct MergedWeights<'a, B> {
    backend: &'a B,
    source: &'a dyn TensorSource,
    /// The source with the rows of new tokens that the adapter has.
    grown: Option<Grown<'a>>,
    base: MergeBase,
    adapter: Option<AdapterFiles>,
    /// Head and embedding are one matrix in the files, and the adapter changes one of them: the merged model has two.
    splits_head: bool,
}

impl<'a, B: Nf4> MergedWeights<'a, B> {
    /// Reads the adapter of a PEFT folder and checks that it fits the model.
    ///
    /// # Errors
    /// Those of reading the adapter; `ConfigInvalid` when it belongs to another model.
    pub fn new(
        backend: &'a B,
        source: &'a dyn TensorSource,
        tied: bool,
        base: MergeBase,
        adapter: Option<&Path>,
    ) -> Result<Self> {
        let grown = Grown::asked(tied, source, adapter.map(NewRows::of))?;
        let adapter = adapter.map(AdapterFiles::read).transpose()?;
        let mut adapter = adapter;
        let ties = tied && adapter.as_ref().is_some_and(|files| files.config.ensure_weight_tying);
        if let Some(files) = adapter.as_mut().filter(|_| ties) {
            take_tied(&mut files.modules, &mut files.copies)?;
        }
        let embedding = names::EMBEDDING.strip_suffix(".weight").unwrap_or_default();
        let changes = |module: &str| adapter.as_ref().is_some_and(|files| files.modules.contains_key(module));
        let tokens = adapter.as_ref().and_then(|files| files.config.trainable_token_indices.as_ref());
        let parts_rows = tokens.is_some_and(|tokens| !tokens.shares(embedding, names::HEAD));
        let splits_head = tied && !ties && (changes(names::HEAD) || changes(embedding) || parts_rows);
        let this = Self { backend, source, grown, base, adapter, splits_head };
        this.check()?;
        Ok(this)
    }

    /// The weights before the merge.
    fn source(&self) -> &dyn TensorSource {
        self.grown.as_ref().map_or(self.source, |grown| grown as &dyn TensorSource)
    }

    /// Whether head and embedding are one matrix in the files and two after the merge.
    pub fn splits_head(&self) -> bool {
        self.splits_head
    }

    /// The configuration of the merged model: that of the base, with the type of its weights.
    pub fn config(&self, base: &Map<String, Value>, dtype: DType) -> Map<String, Value> {
        let mut config = with_dtype(base, dtype);
        config.remove("quantization_config");
        if let Some(grown) = &self.grown {
            config.insert("vocab_size".to_owned(), json!(grown.tokens()));
        }
        if self.splits_head {
            config.insert("tie_word_embeddings".to_owned(), json!(false));
        }
        config
    }

    fn check(&self) -> Result<()> {
        for (module, tensors) in self.adapter.iter().flat_map(|files| &files.modules) {
            match tensors {
                ModuleTensors::Lora(factors) if factors.kind == FactorKind::Experts => {
                    self.check_experts(module, factors)?;
                }
                ModuleTensors::Lora(factors) => {
                    if let Some(bias) = &factors.bias {
                        self.check_b_bias(module, &bias.shape)?;
                    }
                    self.check_shape(&format!("{module}.weight"), &factors.weight_shape())?;
                }
                ModuleTensors::Saved(tensors) => {
                    for (part, tensor) in tensors {
                        self.check_shape(&format!("{module}.{part}"), &tensor.shape)?;
                    }
                }
            }
        }
        let Some(files) = &self.adapter else { return Ok(()) };
        for (module, rows) in &files.tokens {
            self.check_tokens(files, module, rows)?;
        }
        for (module, bias) in &files.biases {
            self.check_shape(&format!("{module}.bias"), &bias.shape)?;
        }
        refuse_other_base(&files.copies, |name, copy| {
            // A tied head is the embedding.
            let is_head = name == head_weight() && !self.source().contains(name);
            let name = if is_head { names::EMBEDDING } else { name };
            self.check_shape(name, &copy.shape)?;
            let mut values = Vec::new();
            self.read_stored(name, &mut values)?;
            Ok(Some(values))
        })
    }

    /// A bias of B goes into that of the layer, which must have one (PEFT).
    fn check_b_bias(&self, module: &str, shape: &[usize]) -> Result<()> {
        let name = format!("{module}.bias");
        if self.contains(&name) {
            return self.check_shape(&name, shape);
        }
        let message = "expected a layer with a bias to merge that of lora_B into, got one without; use the adapter unmerged, \
                       or train it without loraBias";
        Err(Error::new(Code::ModelUnsupported, module, message))
    }

    /// Factors of experts must fit what the files have, as one tensor or as several of each expert.
    fn check_experts(&self, parameter: &str, factors: &LoraTensors) -> Result<()> {
        let (r, _) = self.rank_and_scale(parameter)?;
        let ([n, k], count) = (factors.weight_shape(), factors.experts(r));
        if self.contains(parameter) {
            return self.check_shape(parameter, &[count, n, k]);
        }
        let (base, short) = parameter.rsplit_once('.').unwrap_or((parameter, ""));
        for expert in [0, count.saturating_sub(1)] {
            let parts: &[&str] = if short == "down_proj" { &["down_proj"] } else { &["gate_proj", "up_proj"] };
            for part in parts {
                self.check_shape(&format!("{base}.{expert}.{part}.weight"), &[n / parts.len(), k])?;
            }
        }
        Ok(())
    }

    fn rank_and_scale(&self, name: &str) -> Result<(usize, f32)> {
        let Some(files) = &self.adapter else { return Err(crate::internal::internal("merge", "an adapter")) };
        Matcher::new(&files.config)?.rank_and_scale(name)
    }

    /// Adds what the adapter has for a tensor of experts.
    fn add_experts(&self, name: &str, out: &mut [f32]) -> Result<()> {
        let Some(files) = &self.adapter else { return Ok(()) };
        let Some((parameter, expert, part)) = expert_of(name) else { return Ok(()) };
        let Some(ModuleTensors::Lora(factors)) = files.modules.get(&parameter) else { return Ok(()) };
        let ((r, scale), [n, k]) = (self.rank_and_scale(&parameter)?, factors.weight_shape());
        let experts = expert.map_or(0..factors.experts(r), |expert| expert..expert + 1);
        let rows = match part {
            "gate_proj" => 0..n / 2,
            "up_proj" => n / 2..n,
            _ => 0..n,
        };
        for (expert, w) in experts.zip(out.chunks_mut((rows.len() * k).max(1))) {
            let [b, a] = factors.product_of_expert(expert, r);
            merge(w, Factors { a: &a, b: &b[rows.start * r..rows.end * r], magnitude: None, r, scale });
        }
        Ok(())
    }

    /// Rows of tokens must be as many as the configuration names, and lie in the matrix.
    fn check_tokens(&self, files: &AdapterFiles, module: &str, rows: &AdapterTensor) -> Result<()> {
        let name = format!("{module}.weight");
        if name == head_weight() && !self.contains(&name) {
            // A tied head has the embedding's rows, of which PEFT saves a copy.
            return Ok(());
        }
        let indices = token_indices(files, module).unwrap_or_default();
        let (shape, columns) = (self.shape(&name)?, rows.shape.get(1).copied().unwrap_or_default());
        let fits = rows.shape.first() == Some(&indices.len())
            && indices.iter().all(|token| shape.first().is_some_and(|v| token < v));
        if fits {
            return self.check_shape(&name, &[shape.first().copied().unwrap_or_default(), columns]);
        }
        let message = format!(
            "expected the rows of {} tokens of a matrix {shape:?}, got {:?}; the adapter belongs to another model",
            indices.len(),
            rows.shape
        );
        Err(Error::new(Code::ConfigInvalid, module, message))
    }

    /// Puts the trained rows of tokens in place of those of the base.
    fn put_tokens(&self, name: &str, out: &mut [f32]) {
        let Some(files) = &self.adapter else { return };
        let Some((module, "weight")) = name.rsplit_once('.') else { return };
        let Some(rows) = files.tokens.get(module) else { return };
        let d = rows.shape.get(1).copied().unwrap_or_default().max(1);
        for (token, row) in token_indices(files, module).unwrap_or_default().iter().zip(rows.data.chunks(d)) {
            out[token * d..(token + 1) * d].copy_from_slice(row);
        }
    }

    fn check_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let got = if self.contains(name) { self.shape(name)? } else { Vec::new() };
        if got == expected {
            return Ok(());
        }
        let message =
            format!("expected a tensor {expected:?} to merge into, got {got:?}; the adapter belongs to another model");
        Err(Error::new(Code::ConfigInvalid, name, message))
    }

    /// The tensor of the files that a name stands for.
    fn stored<'b>(&self, name: &'b str) -> &'b str {
        if self.splits_head && name == head_weight() { names::EMBEDDING } else { name }
    }

    /// What the adapter has for a tensor's module.
    fn adapted(&self, name: &str) -> Option<(&str, &AdapterFiles, &ModuleTensors)> {
        let files = self.adapter.as_ref()?;
        let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
        let (module, tensors) = files.modules.get_key_value(module)?;
        Some((module, files, tensors))
    }

    /// Replaces a matrix by the values it has in four bits.
    fn quantize(&self, options: Nf4Options, values: &mut [f32]) -> Result<()> {
        options.check()?;
        let (mut codes, mut absmax) = (vec![0; values.len().div_ceil(2)], vec![0.0; options.blocks(values.len())]);
        self.backend.nf4_quantize(values, options.block_size, &mut codes, &mut absmax)?;
        let second = options.double_quant.then(|| double_quantize(&absmax));
        let scales = match &second {
            None => Nf4Scales::Plain(&absmax),
            Some(second) => Nf4Scales::Double {
                codes: &second.codes,
                nested: &second.nested,
                code_book: code_book(),
                offset: second.offset,
            },
        };
        reference::dequantize(&Nf4Matrix { block_size: options.block_size, codes: &codes, scales }, 0, values);
        Ok(())
    }

    /// The tensor of the base as its files have it.
    fn read_stored(&self, name: &str, out: &mut Vec<f32>) -> Result<()> {
        AsStored(self.source()).read(self.stored(name), out)
    }

    /// The bias of a layer with what an adapter makes of it.
    fn read_bias(&self, name: &str, out: &mut Vec<f32>) -> Result<()> {
        let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
        match self.adapter.as_ref().and_then(|files| files.biases.get(module)) {
            None => self.read_base(name, out)?,
            Some(bias) => out.clone_from(&bias.data),
        }
        if let Some((module, files, ModuleTensors::Lora(LoraTensors { bias: Some(bias), .. }))) = self.adapted(name) {
            let (_, scale) = Matcher::new(&files.config)?.rank_and_scale(module)?;
            out.iter_mut().zip(&bias.data).for_each(|(value, b)| *value += scale * b);
        }
        Ok(())
    }

    /// The tensor of the base. What the files already hold in four bits has no other values.
    fn read_base(&self, name: &str, out: &mut Vec<f32>) -> Result<()> {
        if let Some([n, k]) = nf4::shape(self.source(), name)?
            && let Some(tensor) = read_nf4(self.source(), name, [n, k])?
        {
            out.clear();
            out.resize(n * k, 0.0);
            reference::dequantize(&tensor.matrix(), 0, out);
        } else {
            self.read_stored(name, out)?;
            if let MergeBase::Nf4(options) = self.base
                && is_linear(name, &self.shape(name)?)
            {
                self.quantize(options, out)?;
            }
        }
        self.source().release(self.stored(name));
        Ok(())
    }
}

impl<B: Nf4> Weights for MergedWeights<'_, B> {
    fn names(&self) -> Vec<String> {
        let mut names = self.source().names();
        names.retain(|name| !nf4::is_companion(self.source(), name));
        if self.splits_head && !self.source().contains(&head_weight()) {
            names.push(head_weight());
            names.sort();
        }
        names
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>> {
        match nf4::shape(self.source(), name)? {
            Some(shape) => Ok(shape.to_vec()),
            None => AsStored(self.source()).shape(self.stored(name)),
        }
    }

    fn read(&self, name: &str, out: &mut Vec<f32>) -> Result<()> {
        let part = name.rsplit_once('.').map_or(name, |(_, part)| part);
        match self.adapted(name) {
            Some((_, _, ModuleTensors::Saved(tensors))) if tensors.contains_key(part) => {
                out.clear();
                out.extend(tensors.get(part).into_iter().flat_map(|tensor| &tensor.data));
                Ok(())
            }
            Some((module, files, ModuleTensors::Lora(factors))) if part == "weight" => {
                self.read_base(name, out)?;
                let (r, scale) = Matcher::new(&files.config)?.rank_and_scale(module)?;
                let magnitude = factors.magnitude.as_ref().map(|magnitude| magnitude.data.as_slice());
                let [n, k] = factors.weight_shape();
                let sizes = Sizes { n, k, r, scale };
                if factors.kind == FactorKind::Linear {
                    decompose::take_out(files.config.first_values(), out, sizes)?;
                }
                let [b, a] = factors.product();
                merge(out, Factors { a: &a, b: &b, magnitude, r, scale });
                Ok(())
            }
            // `bias + s · b` of an adapted layer, from its own bias where that is trained.
            _ if part == "bias" => self.read_bias(name, out),
            _ => {
                self.read_base(name, out)?;
                self.put_tokens(name, out);
                self.add_experts(name, out)
            }
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.source().contains(self.stored(name))
    }
}

/// A configuration that says which type the weights beside it have, under the key that it has for it.
pub fn with_dtype(base: &Map<String, Value>, dtype: DType) -> Map<String, Value> {
    let mut config = base.clone();
    let old = config.contains_key("torch_dtype") && !config.contains_key("dtype");
    config.insert(if old { "torch_dtype" } else { "dtype" }.to_owned(), json!(dtype.name()));
    if !old {
        config.remove("torch_dtype");
    }
    config
}

/// The tokens whose rows an adapter has for a module.
fn token_indices<'a>(files: &'a AdapterFiles, module: &str) -> Option<&'a [usize]> {
    let tokens = files.config.trainable_token_indices.as_ref()?;
    tokens.of(module).or_else(|| tokens.of(names::EMBEDDING.strip_suffix(".weight").unwrap_or_default()))
}

/// The parameter of experts that a tensor is or is a part of, as transformers 5 has it, with the expert and the part.
fn expert_of(name: &str) -> Option<(String, Option<usize>, &str)> {
    let (base, last) = name.rsplit_once('.')?;
    if last != "weight" {
        return Some((name.to_owned(), None, last));
    }
    let (base, part) = base.rsplit_once('.')?;
    let (base, expert) = base.rsplit_once('.')?;
    let fused = if part == "down_proj" { part } else { "gate_up_proj" };
    Some((format!("{base}.{fused}"), Some(expert.parse().ok()?), part))
}

fn head_weight() -> String {
    format!("{}.weight", names::HEAD)
}

/// A matrix inside a layer: what is quantised to four bits. Embedding, head and norms are not.
fn is_linear(name: &str, shape: &[usize]) -> bool {
    name.starts_with("model.layers.") && shape.len() == 2
}

/// The factors of one module.
#[derive(Clone, Copy)]
struct Factors<'a> {
    /// `[r, k]`.
    a: &'a [f32],
    /// `[n, r]`.
    b: &'a [f32],
    /// `[n]`: the lengths of the rows after the merge.
    magnitude: Option<&'a [f32]>,
    r: usize,
    scale: f32,
}

/// `w[n, k] += s · b[n, r] a[r, k]`, and with magnitudes each row is scaled to its own (DoRA, Liu et al. 2024,
/// arXiv:2402.09353). Every row is computed by itself, so the bits do not depend on the threads.
fn merge(w: &mut [f32], factors: Factors<'_>) {
    let Factors { a, b, magnitude, r, .. } = factors;
    let k = a.len() / r;
    let rows = w.len() / k.max(1);
    let most = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (w.len() / ELEMENTS_PER_THREAD).clamp(1, most);
    let step = rows.div_ceil(threads).max(1);
    thread::scope(|scope| {
        for (piece, w) in w.chunks_mut(step * k).enumerate() {
            let first = piece * step;
            let end = (first + step).min(rows);
            let magnitude = magnitude.map(|magnitude| &magnitude[first..end]);
            let own = Factors { b: &b[first * r..end * r], magnitude, ..factors };
            scope.spawn(move || merge_rows(w, own));
        }
    });
}

fn merge_rows(w: &mut [f32], Factors { a, b, magnitude, r, scale }: Factors<'_>) {
    let k = a.len() / r;
    let mut delta = vec![0.0; k];
    for (index, (row, b)) in w.chunks_mut(k).zip(b.chunks(r)).enumerate() {
        delta.fill(0.0);
        for (factor, a) in b.iter().zip(a.chunks(k)) {
            delta.iter_mut().zip(a).for_each(|(sum, a)| *sum += factor * a);
        }
        row.iter_mut().zip(&delta).for_each(|(value, delta)| *value += scale * delta);
        if let Some(magnitude) = magnitude {
            let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            let factor = (f64::from(magnitude[index]) / norm) as f32;
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_on_several_threads_equals_the_formula() {
        let (n, k, r) = (2100, 1024, 3);
        let value = |place: usize, step: usize| ((place * step) % 17) as f32 - 8.0;
        let a: Vec<f32> = (0..r * k).map(|place| value(place, 5)).collect();
        let b: Vec<f32> = (0..n * r).map(|place| value(place, 7)).collect();
        let magnitude: Vec<f32> = (0..n).map(|row| 1.0 + row as f32).collect();
        let base: Vec<f32> = (0..n * k).map(|place| value(place, 3)).collect();
        let (mut plain, mut scaled) = (base.clone(), base.clone());
        let factors = Factors { a: &a, b: &b, magnitude: None, r, scale: 0.5 };
        merge(&mut plain, factors);
        merge(&mut scaled, Factors { magnitude: Some(&magnitude), ..factors });
        for place in (0..n * k).step_by(977) {
            let (i, j) = (place / k, place % k);
            let product: f32 = (0..r).map(|l| b[i * r + l] * a[l * k + j]).sum();
            assert_eq!(plain[place], base[place] + 0.5 * product);
        }
        for (row, magnitude) in scaled.chunks(k).zip(&magnitude) {
            let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            assert!((norm / f64::from(*magnitude) - 1.0).abs() < 1e-6, "{norm} {magnitude}");
        }
    }
}

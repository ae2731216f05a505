//! Models in other files: merged folders and GGUF, each written on a thread of its own to where JavaScript has made room.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{FnArgs, Function, Int32ArraySlice, Object};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use serde_json::Value;
use tunesmith_cpu::Cpu;
use tunesmith_engine::{
    AdapterOptions, MergeBase, MergedWeights, SessionOptions, WeightDtype, WeightOptions, compare_logits,
};
use tunesmith_formats::{
    ImportanceMatrix, ModelConfig, ModelFiles, Quantization, read_adapter, write_atomic, write_gguf, write_gguf_lora,
    write_model,
};
use tunesmith_ops::{DType, Error, Nf4Options};

use crate::companions;
use crate::deferred::in_background;
use crate::error::Outcome;
use crate::generate::Cancellation;
use crate::model;
use crate::tokenizer;

/// A model and what is merged into it.
#[napi(object)]
pub struct MergeSource {
    /// Model folder or GGUF file.
    pub model: String,
    /// PEFT folder; absent: the model alone.
    pub adapter: Option<String>,
    /// What a GGUF file calls it; absent: the last part of its path.
    pub name: Option<String>,
    /// `original`, or `nf4`: the values of the linear layers after quantising them to four bits.
    pub base: String,
    /// NF4: elements that share a scale.
    #[napi(js_name = "bnb4bitBlocksize")]
    pub bnb_4bit_blocksize: u32,
    /// NF4: the scales in eight bits.
    #[napi(js_name = "bnb4bitUseDoubleQuant")]
    pub bnb_4bit_use_double_quant: bool,
}

impl MergeSource {
    fn base(&self) -> Outcome<MergeBase> {
        let options =
            Nf4Options { block_size: self.bnb_4bit_blocksize as usize, double_quant: self.bnb_4bit_use_double_quant };
        match self.base.as_str() {
            "original" => Ok(MergeBase::Original),
            "nf4" => Ok(MergeBase::Nf4(options)),
            other => Err(Error::argument("merge.base", "\"original\" or \"nf4\"", format!("{other:?}")).into()),
        }
    }

    fn adapter(&self) -> Option<&Path> {
        self.adapter.as_deref().map(Path::new)
    }

    /// Opens the model and gives what is merged to `work`. Answers with what the user should know, of the files and of `work`.
    fn open(
        &self,
        work: impl FnOnce(&ModelFiles, &MergedWeights<'_, Cpu>) -> Outcome<Vec<String>>,
    ) -> Outcome<Vec<String>> {
        let mut files = ModelFiles::open(Path::new(&self.model))?;
        if let Some(adapter) = self.adapter() {
            companions::adopt_tokenizer(&mut files, adapter)?;
            let tokenizer = tokenizer::read(&files)?;
            model::end_with_token(&mut files, &tokenizer);
        }
        let mut notes = model::warnings(&files, self.adapter())?;
        let backend = Cpu::new(0)?;
        let tied = files.config.flag("tie_word_embeddings", false)?;
        let weights = MergedWeights::new(&backend, &*files.source, tied, self.base()?, self.adapter())?;
        notes.extend(work(&files, &weights)?);
        Ok(notes)
    }
}

/// What two models say about one prompt.
#[napi(object)]
pub struct LogitCheck {
    /// Positions compared.
    pub tokens: u32,
    /// Largest absolute difference of two logits.
    pub largest_difference: f64,
    /// Largest absolute logit.
    pub largest_logit: f64,
    /// Share of positions with the same likeliest token.
    pub top1_agreement: f64,
}

type OnProgress<'a> = Function<'a, FnArgs<(f64, f64)>, ()>;
type Tell = Box<dyn FnMut(u64, u64) -> ControlFlow<()> + Send>;

/// Tells JavaScript and asks the cancellation.
fn progress(on_progress: &OnProgress<'_>, cancellation: &Cancellation) -> napi::Result<Tell> {
    let tell = on_progress
        .build_threadsafe_function::<(f64, f64)>()
        .build_callback(|context| Ok(FnArgs::from(context.value)))?;
    let cancelled = cancellation.flag();
    Ok(Box::new(move |done, total| {
        // JavaScript may be gone, and needs no numbers then.
        let _ = tell.call((done as f64, total as f64), ThreadsafeFunctionCallMode::NonBlocking);
        if cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }))
}

/// Writes a merged model in Hugging Face's layout into a folder that is there. Gives what its user should know.
#[napi(catch_unwind, ts_return_type = "Promise<Array<string>>")]
pub fn merge_model<'env>(
    env: &'env Env,
    source: MergeSource,
    folder: String,
    dtype: String,
    max_shard_bytes: f64,
    #[napi(ts_arg_type = "(done: number, total: number) => void")] on_progress: OnProgress<'_>,
    cancellation: &Cancellation,
) -> napi::Result<Object<'env>> {
    let mut tell = progress(&on_progress, cancellation)?;
    let work = move || {
        let dtype = dtype_named(&dtype)?;
        let folder = Path::new(&folder);
        source.open(|files, weights| {
            write_model(folder, weights, dtype, max_shard_bytes as u64, &mut tell)?;
            let config = weights.config(files.config.as_map(), dtype);
            let text = format!("{:#}\n", Value::Object(config));
            write_atomic(&folder.join("config.json"), text.as_bytes())?;
            companions::copy(files, folder)?;
            Ok(Vec::new())
        })
    };
    in_background(env, "merge", work, |_, notes| Ok(notes))
}

/// Writes a merged model as one GGUF file in a folder that is there, its columns weighed by an importance matrix where one is
/// given. Gives what its user should know.
#[napi(catch_unwind, ts_return_type = "Promise<Array<string>>")]
pub fn export_gguf<'env>(
    env: &'env Env,
    source: MergeSource,
    output: String,
    quantization: String,
    imatrix: Option<String>,
    #[napi(ts_arg_type = "(done: number, total: number) => void")] on_progress: OnProgress<'_>,
    cancellation: &Cancellation,
) -> napi::Result<Object<'env>> {
    let mut tell = progress(&on_progress, cancellation)?;
    let work = move || {
        let quantization = quantization_named(&quantization)?;
        let importance = imatrix.map(|path| ImportanceMatrix::open(Path::new(&path))).transpose()?;
        source.open(|files, weights| {
            let tokenizer = tokenizer::read(files)?;
            let end_ids = model::eos_token_ids(files, &tokenizer);
            let vocabulary = tokenizer.to_gguf(&end_ids)?;
            let map = weights.config(files.config.as_map(), DType::F32);
            let config = ModelConfig::from_json(Path::new(&source.model), Value::Object(map))?;
            let name = source.name.clone().unwrap_or_else(|| name_of(&source.model));
            let importance = importance.as_ref();
            let output = Path::new(&output);
            Ok(write_gguf(output, &name, &config, &vocabulary, weights, quantization, importance, &mut tell)?)
        })
    };
    in_background(env, "exportGguf", work, |_, notes| Ok(notes))
}

/// Writes an adapter as the GGUF file that llama.cpp's `--lora` takes, in a folder that is there.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn export_gguf_lora(
    env: &Env,
    model: String,
    adapter: String,
    output: String,
    quantization: String,
) -> napi::Result<Object<'_>> {
    let work = move || {
        let quantization = quantization_named(&quantization)?;
        let files = ModelFiles::open(Path::new(&model))?;
        let folder = Path::new(&adapter);
        // The adapter must be whole and of this model; nothing is merged.
        model::warnings(&files, Some(folder))?;
        let tied = files.config.flag("tie_word_embeddings", false)?;
        MergedWeights::new(&Cpu::new(0)?, &*files.source, tied, MergeBase::Original, Some(folder))?;
        let (config, pairs) = read_adapter(folder)?;
        Ok(write_gguf_lora(Path::new(&output), &name_of(&adapter), &files.config, &config, &pairs, quantization)?)
    };
    in_background(env, "exportGguf", work, |_, ()| Ok(()))
}

/// Compares the logits of a model with its adapter on, and those of the merged model, for one prompt.
#[napi(catch_unwind, ts_return_type = "Promise<LogitCheck>")]
pub fn compare_merged<'env>(
    env: &'env Env,
    source: MergeSource,
    merged: String,
    ids: Int32ArraySlice<'_>,
    threads: u32,
) -> napi::Result<Object<'env>> {
    let ids = ids.to_vec();
    let work = move || {
        let backend = Arc::new(Cpu::new(threads as usize)?);
        let adapter = source.adapter.as_ref().map(|dir| AdapterOptions::Saved { path: PathBuf::from(dir) });
        let weights = match source.base()? {
            MergeBase::Original => WeightOptions::default(),
            MergeBase::Nf4(nf4) => WeightOptions { dtype: WeightDtype::Float32, ..WeightOptions::nf4(nf4) },
        };
        let expected = ModelFiles::open(Path::new(&source.model))?;
        let got = ModelFiles::open(Path::new(&merged))?;
        let on = SessionOptions { weights, adapter, ..SessionOptions::inference() };
        let off = SessionOptions::inference();
        Ok(compare_logits(&backend, (&expected, &on), (&got, &off), &ids)?)
    };
    in_background(env, "compareLogits", work, |_, check| {
        Ok(LogitCheck {
            tokens: check.tokens as u32,
            largest_difference: check.largest_difference,
            largest_logit: check.largest_logit,
            top1_agreement: check.top1_agreement,
        })
    })
}

fn dtype_named(name: &str) -> Outcome<DType> {
    let found = [DType::F32, DType::F16, DType::Bf16].into_iter().find(|dtype| dtype.name() == name);
    found.ok_or_else(|| Error::argument("merge.dtype", "float32, float16 or bfloat16", format!("{name:?}")).into())
}

fn quantization_named(name: &str) -> Outcome<Quantization> {
    let found = Quantization::NAMES.iter().find(|(known, _)| *known == name);
    found.map(|(_, quantization)| *quantization).ok_or_else(|| {
        let known: Vec<&str> = Quantization::NAMES.iter().map(|(known, _)| *known).collect();
        Error::argument("export.quantization", known.join(", "), format!("{name:?}")).into()
    })
}

/// The last part of a path without its ending.
fn name_of(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

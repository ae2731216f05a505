//! Log-probabilities kept while sampling are those of the training forward over the packed rows: to the bit on the CPU, whatever
//! the order of prompts, the slots, the threads and the storage of the weights; within a bound on the emulated device.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use tunesmith_conformance::Inputs;
use tunesmith_cpu::Cpu;
use tunesmith_cuda::{Cuda, EmulatedOptions};
use tunesmith_engine::{
    AdapterOptions, Asked, Batch, Engine, Request, Sampling, Session, SessionOptions, TokenEvent, WeightDtype,
    WeightOptions,
};
use tunesmith_formats::{AdapterConfig, ModelFiles};
use tunesmith_ops::{Backend, DType, IGNORE_INDEX, Nf4Options, Result};

/// Every family of the own set: windows, soft caps, norms of queries and keys, experts, tied heads, scaled rotations.
fn models() -> Vec<String> {
    let folder = own_models();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the models of the goldens")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    assert!(names.len() >= 15, "{names:?}");
    names
}

fn own_models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models")
}

/// A session with an adapter whose both factors are random, so that it matters.
fn session<B: Backend>(backend: &Arc<B>, model: &str, weights: WeightOptions, adapted: bool) -> Result<Session<B>> {
    let files = ModelFiles::open(&own_models().join(model))?;
    let config = AdapterConfig {
        r: 4,
        lora_alpha: 4.0,
        init_lora_weights: tunesmith_formats::InitLoraWeights::Random,
        ..AdapterConfig::default()
    };
    let options = SessionOptions {
        weights,
        adapter: adapted.then_some(AdapterOptions::Lora(config)),
        optimizer: None,
        parameter_groups: Vec::new(),
        gradient_checkpointing: false,
        seed: 3,
        neftune_noise_alpha: None,
        resize_token_embeddings: None,
        resid_pdrop: 0.0,
    };
    Session::new(Arc::clone(backend), files.config.clone(), &*files.source, model, &options)
}

/// Seven prompts of 1 to 40 tokens, three samples each.
fn request(vocab: usize, slots: usize) -> Request {
    let lengths = [5usize, 1, 40, 2, 17, 9, 30];
    Request {
        prompts: lengths.iter().map(|length| Inputs::new(*length as u64).integers(*length, vocab)).collect(),
        samples: 3,
        max_new_tokens: 9,
        sampling: Sampling { temperature: 0.8, top_k: 20, top_p: 0.95, seed: 5, ..Sampling::default() },
        // Answers of different lengths, so that slots are taken again in the middle of others.
        stop_tokens: (0..vocab as i32).filter(|id| id % 11 == 0).collect(),
        log_probs: true,
        slots: Some(slots),
    }
}

/// Tokens and the bits of their log-probabilities.
type Answer = (Vec<i32>, Vec<u32>);
type Answers = BTreeMap<(usize, usize), Answer>;

fn answers<B: Backend + Send + Sync>(model: &mut Session<B>, request: &Request) -> Result<Answers> {
    let mut answers = Answers::new();
    model.generate(request, &mut |event: TokenEvent| {
        let (tokens, bits) = answers.entry((event.index, event.sample)).or_default();
        tokens.push(event.token);
        bits.push(event.log_prob.expect("asked for").to_bits());
        ControlFlow::Continue(())
    })?;
    Ok(answers)
}

/// What a forward pass over all prompts with their answers, packed, says of the tokens of each answer.
fn packed<B: Backend + Send + Sync>(model: &mut Session<B>, request: &Request, answers: &Answers) -> Result<Answers> {
    let (mut ids, mut labels, mut positions, mut starts) = (Vec::new(), Vec::new(), Vec::new(), vec![0]);
    let mut places = Vec::new();
    for ((prompt, _), (tokens, _)) in answers {
        let prompt = &request.prompts[*prompt];
        places.push(ids.len() + prompt.len());
        ids.extend(prompt.iter().chain(tokens));
        labels.extend(prompt.iter().map(|_| IGNORE_INDEX).chain(tokens.iter().copied()));
        positions.extend(0..(prompt.len() + tokens.len()) as i32);
        starts.push(ids.len() as i32);
    }
    let batch = Batch {
        input_ids: &ids,
        labels: &labels,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: None,
    };
    let asked = Asked { temperature: Some(request.sampling.temperature as f32), ..Asked::default() };
    let values = model.log_probs(&batch, asked)?.log_prob;
    let of = |((key, (tokens, _)), place): ((&(usize, usize), &Answer), usize)| {
        (*key, (tokens.clone(), values[place..place + tokens.len()].iter().map(|value| value.to_bits()).collect()))
    };
    Ok(answers.iter().zip(places).map(of).collect())
}

/// Prompts the other way round, and the answers as if they were not.
fn turned<B: Backend + Send + Sync>(model: &mut Session<B>, request: &Request, index: usize) -> Result<Answers> {
    let mut other = request.clone();
    // A prompt's random numbers are those of its place: it stays there while those around it change.
    other.prompts.reverse();
    other.prompts[index].clone_from(&request.prompts[index]);
    let answers = answers(model, &other)?;
    Ok(answers.into_iter().filter(|((prompt, _), _)| *prompt == index).collect())
}

fn storages() -> [(&'static str, WeightOptions); 3] {
    [
        ("float32", WeightOptions::default()),
        ("bfloat16", WeightOptions { dtype: WeightDtype::Bfloat16, ..WeightOptions::default() }),
        ("nf4", WeightOptions::nf4(Nf4Options { block_size: 64, double_quant: true })),
    ]
}

#[test]
fn on_the_cpu_they_are_the_same_to_the_bit_for_every_family_storage_slots_and_threads() -> Result<()> {
    let mut kept = 0;
    for model in models() {
        for (storage, weights) in storages() {
            for adapted in [false, true] {
                let mut reference: Option<Answers> = None;
                for (threads, slots) in [(1, 1), (2, 3), (4, 8), (1, 32)] {
                    let mut session = session(&Arc::new(Cpu::new(threads)?), &model, weights.clone(), adapted)?;
                    let request = request(session.config().vocab, slots);
                    let case = format!("{model} {storage} adapter {adapted} {threads} threads {slots} slots");
                    let got = answers(&mut session, &request)?;
                    assert_eq!(got.len(), 21, "{case}");
                    let mut comparable = got.clone();
                    if let Some(switch) = session.config().rotation_switch() {
                        // A row that grows beyond the switch is rotated otherwise from there on, from its first token: what was
                        // sampled before was sampled from another model than the one that is trained.
                        comparable.retain(|(prompt, _), (tokens, _)| {
                            let length = request.prompts[*prompt].len();
                            length > switch || length + tokens.len() <= switch
                        });
                        assert!(comparable.len() > 3 && comparable.len() < got.len(), "{case}: {}", comparable.len());
                    }
                    let expected = packed(&mut session, &request, &comparable)?;
                    assert!(expected == comparable, "{case}: other log-probabilities");
                    kept += got.values().map(|(tokens, _)| tokens.len()).sum::<usize>();
                    assert!(*reference.get_or_insert_with(|| got.clone()) == got, "{case}: other answers");
                    if slots == 3 {
                        let alone = turned(&mut session, &request, 4)?;
                        assert!(alone.iter().all(|(key, answer)| got[key] == *answer), "{case}: company matters");
                    }
                }
                let lengths: Vec<usize> = reference.iter().flatten().map(|(_, (tokens, _))| tokens.len()).collect();
                assert!(lengths.iter().any(|length| *length != lengths[0]), "{model}: answers end together");
            }
        }
    }
    println!("{kept} log-probabilities, each to the bit");
    Ok(())
}

#[test]
fn on_the_emulated_device_they_stay_within_a_bound() -> Result<()> {
    for (model, dtype, bound) in [
        ("llama", DType::F32, 2e-5),
        ("gemma2", DType::F32, 2e-5),
        ("qwen3-moe", DType::F32, 2e-5),
        ("qwen3", DType::Bf16, 1e-1),
    ] {
        let device = Arc::new(Cuda::emulated(&EmulatedOptions::default(), dtype)?);
        for (storage, weights) in storages() {
            let mut session = session(&device, model, weights, true)?;
            let request = Request { samples: 2, max_new_tokens: 5, ..request(session.config().vocab, 4) };
            let got = answers(&mut session, &request)?;
            let expected = packed(&mut session, &request, &got)?;
            let bits = |answers: &Answers| -> Vec<f32> {
                answers.values().flat_map(|(_, bits)| bits.iter().map(|bits| f32::from_bits(*bits))).collect()
            };
            let pairs = bits(&got).into_iter().zip(bits(&expected));
            let worst = pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            println!("{model} {dtype} {storage}: {worst:.1e} of {bound:.0e}");
            assert!(worst <= bound && got.len() == 14, "{model} {dtype} {storage}: {worst}");
        }
    }
    Ok(())
}

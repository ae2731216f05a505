//! Rows of single tokens that are trained: which weights change, what is saved and merged, and what is refused.

#![allow(clippy::unwrap_used)]

use tunesmith_cpu::Cpu;
use tunesmith_engine::adapter::DEFAULT_ADAPTER;
use tunesmith_engine::{
    AdapterOptions, Engine, MergeBase, MergedWeights, Objective, Session, SessionOptions, StepKey, Update,
};
use tunesmith_formats::{AdapterConfig, AdapterFiles, ModuleNames, TensorSource, TokenIndices, Weights};
use tunesmith_ops::Code;

use super::common::{Rows, VOCAB, adapter, logits, of_folder, options, session, step, trained, write_model};

const EMBEDDING: &str = "model.embed_tokens";
const HEAD: &str = "lm_head";

fn training(tokens: TokenIndices) -> AdapterConfig {
    AdapterConfig {
        target_modules: ModuleNames::Endings(vec!["q_proj".to_owned()]),
        trainable_token_indices: Some(tokens),
        ..AdapterConfig::default()
    }
}

fn by_module(lists: &[(&str, &[usize])]) -> TokenIndices {
    TokenIndices::ByModule(lists.iter().map(|(name, ids)| ((*name).to_owned(), ids.to_vec())).collect())
}

/// Three kinds: the head follows, the head has others of its own, the head alone.
fn kinds() -> [(TokenIndices, Vec<&'static str>); 3] {
    let ids = &Rows::new(&[20, 11], 6).ids;
    let tokens: Vec<usize> = ids[3..6].iter().map(|id| *id as usize).collect();
    let mut tokens: Vec<usize> = tokens.into_iter().chain([30]).collect();
    tokens.sort_unstable();
    tokens.dedup();
    [
        (TokenIndices::Embedding(tokens.clone()), vec![EMBEDDING]),
        (by_module(&[("embed_tokens", &tokens), (HEAD, &[7, 8, 31])]), vec![HEAD, EMBEDDING]),
        (by_module(&[(HEAD, &tokens)]), vec![HEAD]),
    ]
}

#[test]
fn rows_are_saved_whole_and_everything_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let source = write_model(folder.path(), None);
    let base = logits(&mut session(1, &SessionOptions { optimizer: None, ..options(None) }).unwrap());
    let mut table = Vec::new();
    source.get("model.embed_tokens.weight").unwrap().to_f32(&mut table).unwrap();
    for (tokens, modules) in kinds() {
        let mut start = session(1, &options(adapter(training(tokens.clone())))).unwrap();
        assert!(logits(&mut start).iter().zip(&base).all(|(a, b)| (a - b).abs() < 1e-5), "begins at the base");
        let mut model = trained(training(tokens.clone()));
        let now = logits(&mut model);
        let dir = tempfile::tempdir().unwrap();
        model.save_adapter(dir.path()).unwrap();
        assert!(of_folder(dir.path()) == now, "{tokens:?}");
        model.disable_adapter().unwrap();
        assert!(logits(&mut model) == base, "off is the base to the bit");
        model.set_adapter(DEFAULT_ADAPTER).unwrap();
        assert!(logits(&mut model) == now);
        let files = AdapterFiles::read(dir.path()).unwrap();
        assert_eq!(files.tokens.keys().map(String::as_str).collect::<Vec<_>>(), modules);
        for (module, rows) in &files.tokens {
            let ids = tokens.of(module).unwrap();
            for (token, row) in ids.iter().zip(rows.data.chunks(24)) {
                assert!(row != &table[token * 24..(token + 1) * 24], "{module} {token} is trained");
            }
        }
        let cpu = Cpu::new(1).unwrap();
        let merged = MergedWeights::new(&cpu, &source, true, MergeBase::Original, Some(dir.path())).unwrap();
        assert_eq!(merged.splits_head(), modules.contains(&HEAD));
        let mut values = Vec::new();
        for module in [EMBEDDING, HEAD] {
            if module == HEAD && !merged.splits_head() {
                continue;
            }
            merged.read(&format!("{module}.weight"), &mut values).unwrap();
            let changed: Vec<usize> = (0..VOCAB)
                .filter(|token| values[token * 24..(token + 1) * 24] != table[token * 24..(token + 1) * 24])
                .collect();
            let mut expected = tokens.of(module).map(<[usize]>::to_vec).unwrap_or_default();
            expected.sort_unstable();
            assert_eq!(changed, expected, "{module}");
        }
    }
}

#[test]
fn a_checkpoint_continues_to_the_bit_and_recomputation_changes_nothing() {
    for (tokens, _) in kinds() {
        let dir = tempfile::tempdir().unwrap();
        let mut straight = trained(training(tokens.clone()));
        straight.save_checkpoint(dir.path()).unwrap();
        let saving = SessionOptions { gradient_checkpointing: true, ..options(adapter(training(tokens))) };
        let mut resumed = session(2, &saving).unwrap();
        resumed.load_checkpoint(dir.path()).unwrap();
        for number in 4..7 {
            assert_eq!(step(&mut straight, number).to_bits(), step(&mut resumed, number).to_bits());
        }
    }
}

#[test]
fn tokens_that_are_not_there_are_refused_by_name() {
    let refused = |config: AdapterConfig| session(1, &options(adapter(config))).map(drop).unwrap_err();
    let list = |ids: &[usize]| training(TokenIndices::Embedding(ids.to_vec()));
    for (config, said) in [
        (list(&[3, VOCAB]), "expected token ids in 0 .. 40 for model.embed_tokens, got 40"),
        (list(&[3, 3]), "each token once"),
        (list(&[]), "at least one token"),
        (training(by_module(&[("q_proj", &[1])])), "expected embed_tokens or lm_head, got \"q_proj\""),
        (
            AdapterConfig { modules_to_save: vec!["embed_tokens".to_owned()], ..list(&[1]) },
            "model.embed_tokens among targetModules or modulesToSave too",
        ),
        (
            AdapterConfig { target_modules: ModuleNames::Endings(vec![HEAD.to_owned()]), ..list(&[1]) },
            "lm_head among targetModules or modulesToSave too",
        ),
    ] {
        let error = refused(config);
        assert_eq!(
            (error.code, error.place.as_str()),
            (Code::ArgumentInvalid, "lora.trainableTokenIndices"),
            "{error}"
        );
        assert!(error.message.contains(said), "{error}");
    }
}

#[test]
fn a_grown_vocabulary_trains_its_new_rows_alone_and_fits_the_original_model() {
    let folder = tempfile::tempdir().unwrap();
    let source = write_model(folder.path(), None);
    let (first, last) = (VOCAB, VOCAB + 2);
    let mut config = options(adapter(training(TokenIndices::Embedding(vec![first, first + 1, last]))));
    config.resize_token_embeddings = Some(VOCAB + 3);
    let mut model = session(1, &config).unwrap();
    assert_eq!(model.config().vocab, VOCAB + 3);
    let mut rows = Rows::new(&[20, 11], 6);
    for place in [2, 7, 15] {
        (rows.ids[place], rows.labels[place]) = (last as i32, last as i32);
    }
    let logits = |model: &mut Session<Cpu>| model.logits(&rows.batch()).unwrap();
    let before = logits(&mut model);
    for number in 1..4 {
        model.accumulate(&rows.batch(), &Objective::default(), StepKey { seed: 3, step: number }).unwrap();
        let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 20.0 };
        assert!(model.update(&update).unwrap().applied);
    }
    let now = logits(&mut model);
    assert!(now != before);
    let (saved, checkpoint) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    model.save_adapter(saved.path()).unwrap();
    model.save_checkpoint(checkpoint.path()).unwrap();
    // The folder of an adapter has the tables that PEFT saves, that of a checkpoint has not: both are read on the original model.
    assert_eq!(AdapterFiles::read(saved.path()).unwrap().copies.len(), 2);
    assert!(AdapterFiles::read(checkpoint.path()).unwrap().copies.is_empty());
    for dir in [saved.path(), checkpoint.path()] {
        let again = Some(AdapterOptions::Saved { path: dir.to_owned() });
        let mut again = session(1, &SessionOptions { optimizer: None, ..options(again) }).unwrap();
        assert!(logits(&mut again) == now, "{}", dir.display());
        let cpu = Cpu::new(1).unwrap();
        let merged = MergedWeights::new(&cpu, &source, true, MergeBase::Original, Some(dir)).unwrap();
        let (mut values, mut table) = (Vec::new(), Vec::new());
        merged.read("model.embed_tokens.weight", &mut values).unwrap();
        source.get("model.embed_tokens.weight").unwrap().to_f32(&mut table).unwrap();
        assert!(values[..table.len()] == table && values.len() == (VOCAB + 3) * 24);
        let config = super::common::config();
        let config = merged.config(config.as_object().unwrap(), tunesmith_ops::DType::F32);
        assert_eq!(config["vocab_size"], VOCAB + 3);
    }
    let mut resumed = session(2, &config).unwrap();
    resumed.load_checkpoint(checkpoint.path()).unwrap();
    assert!(logits(&mut resumed) == now);
    let fewer = SessionOptions { resize_token_embeddings: Some(VOCAB - 1), ..config };
    let refused = session(1, &fewer).map(drop).unwrap_err();
    assert!(refused.code == Code::ArgumentInvalid && refused.place == "resizeTokenEmbeddings", "{refused}");
}

//! Adapters that begin with what they take out of the base, and biases that are trained with an adapter.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use tunesmith_cpu::Cpu;
use tunesmith_engine::adapter::DEFAULT_ADAPTER;
use tunesmith_engine::{Engine, MergeBase, MergedWeights};
use tunesmith_formats::{
    AdapterConfig, AdapterFiles, CONVERTED_FOLDER, InitLoraWeights, ModuleNames, TensorSource, Weights, read_adapter,
};
use tunesmith_ops::Code;

use super::common::{adapter, inference, logits, of_folder, options, session, step, trained, write_model};

const TAKING: [InitLoraWeights; 3] = [InitLoraWeights::Pissa, InitLoraWeights::PissaNiter(2), InitLoraWeights::Olora];

fn starting(init_lora_weights: InitLoraWeights) -> AdapterConfig {
    let names = ["q_proj", "down_proj", "embed_tokens"].map(str::to_owned).to_vec();
    AdapterConfig {
        target_modules: ModuleNames::Endings(names),
        rank_pattern: vec![("down_proj".to_owned(), 3)],
        init_lora_weights,
        ..AdapterConfig::default()
    }
}

fn error(got: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    got.iter().zip(expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn what_is_taken_out_of_the_base_is_the_base_again_with_the_adapter() {
    let base = logits(&mut inference(None));
    for init in TAKING {
        let mut model = session(1, &options(adapter(starting(init)))).unwrap();
        assert!(error(&logits(&mut model), &base) < 1e-6, "{init:?} begins at the base");
        for number in 1..4 {
            step(&mut model, number);
        }
        let now = logits(&mut model);
        assert!(error(&now, &base) > 1e-3, "{init:?} is trained");
        let dir = tempfile::tempdir().unwrap();
        model.save_adapter(dir.path()).unwrap();
        assert!(of_folder(dir.path()) == now, "{init:?} read again is the same to the bit");
        let converted = dir.path().join(CONVERTED_FOLDER);
        // Of OLoRA the product that is subtracted is as large as the weight: 2e-6 were measured.
        let off = error(&of_folder(&converted), &now);
        assert!(off < 1e-5, "{init:?} converted: {off}");
        let config = AdapterFiles::read(&converted).unwrap().config;
        assert_eq!((config.r, config.rank_pattern[0].1, config.lora_alpha), (8, 6, 16.0));
        model.load_adapter(dir.path(), "again").unwrap();
        model.set_adapter("again").unwrap();
        assert!(logits(&mut model) == now, "{init:?} loaded next to itself");
        model.disable_adapter().unwrap();
        assert!(logits(&mut model) == base, "{init:?} off is the base to the bit");
        model.set_adapter(DEFAULT_ADAPTER).unwrap();
        assert!(logits(&mut model) == now);
        let plain = read_adapter(dir.path()).map_err(|error| error.message);
        assert!(
            plain.unwrap_err().contains("rank_pattern"),
            "the converted form is the one that plain readers are given"
        );
    }
}

#[test]
fn merging_takes_the_first_values_out_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let source = write_model(folder.path(), None);
    let cpu = Cpu::new(1).unwrap();
    for (init, use_dora) in TAKING.into_iter().flat_map(|init| [(init, false), (init, true)]) {
        let names = ["q_proj", "down_proj"].map(str::to_owned).to_vec();
        let config = AdapterConfig { target_modules: ModuleNames::Endings(names), use_dora, ..starting(init) };
        let dir = tempfile::tempdir().unwrap();
        trained(config).save_adapter(dir.path()).unwrap();
        let merged = |path: &Path| MergedWeights::new(&cpu, &source, true, MergeBase::Original, Some(path)).unwrap();
        let (own, converted) = (merged(dir.path()), merged(&dir.path().join(CONVERTED_FOLDER)));
        for name in ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"] {
            let (mut a, mut b, mut base) = (Vec::new(), Vec::new(), Vec::new());
            own.read(name, &mut a).unwrap();
            converted.read(name, &mut b).unwrap();
            source.get(name).unwrap().to_f32(&mut base).unwrap();
            assert!(error(&a, &b) < 1e-6 && error(&a, &base) > 1e-3, "{init:?} {use_dora} {name}: {}", error(&a, &b));
        }
    }
}

#[test]
fn a_checkpoint_continues_every_start_to_the_bit() {
    let biased = AdapterConfig { lora_bias: true, ..starting_inside() };
    let starts = TAKING.map(starting).into_iter().chain([starting(InitLoraWeights::Orthogonal), biased]);
    for config in starts {
        // Orthogonal ranks are even.
        let config = AdapterConfig { rank_pattern: Vec::new(), ..config };
        let dir = tempfile::tempdir().unwrap();
        let mut straight = trained(config.clone());
        straight.save_checkpoint(dir.path()).unwrap();
        assert!(!dir.path().join(CONVERTED_FOLDER).exists(), "a checkpoint has one form");
        let mut resumed = session(2, &options(adapter(config))).unwrap();
        resumed.load_checkpoint(dir.path()).unwrap();
        for number in 4..7 {
            assert_eq!(step(&mut straight, number).to_bits(), step(&mut resumed, number).to_bits());
        }
    }
}

fn starting_inside() -> AdapterConfig {
    let names = ["q_proj", "down_proj"].map(str::to_owned).to_vec();
    AdapterConfig { target_modules: ModuleNames::Endings(names), ..AdapterConfig::default() }
}

#[test]
fn what_cannot_begin_so_is_refused_by_name() {
    let refused = |config: AdapterConfig| session(1, &options(adapter(config))).map(drop).unwrap_err();
    let head = AdapterConfig {
        target_modules: ModuleNames::Endings(vec!["lm_head".to_owned()]),
        init_lora_weights: InitLoraWeights::Pissa,
        ..AdapterConfig::default()
    };
    let tied = refused(head);
    assert!(tied.code == Code::ModelUnsupported && tied.place == "lm_head", "{tied}");
    let high =
        refused(AdapterConfig { rank_pattern: vec![("q_proj".to_owned(), 25)], ..starting(InitLoraWeights::Olora) });
    assert!(high.code == Code::ArgumentInvalid && high.message.contains("at most 24"), "{high}");
    let both = refused(AdapterConfig { lora_bias: true, use_dora: true, ..starting_inside() });
    assert!(both.message.contains("use_dora"), "{both}");
    let named = refused(AdapterConfig { lora_bias: true, ..starting(InitLoraWeights::Kaiming) });
    assert!(named.code == Code::ModelUnsupported && named.message.contains("embed_tokens"), "{named}");
    let mut four_bits = options(adapter(starting(InitLoraWeights::Pissa)));
    four_bits.weights =
        tunesmith_engine::WeightOptions::nf4(tunesmith_ops::Nf4Options { block_size: 64, double_quant: true });
    let quantized = session(1, &four_bits).map(drop).unwrap_err();
    assert!(quantized.code == Code::ModelUnsupported && quantized.message.contains("loadIn4bit"), "{quantized}");
}

#[test]
fn biases_of_a_model_without_any_are_told_of() {
    let config = AdapterConfig { bias: tunesmith_formats::TrainedBias::All, ..starting_inside() };
    let model = session(1, &options(adapter(config))).unwrap();
    assert!(
        model.warnings().iter().any(|warning| warning.starts_with("lora.bias: no layer")),
        "{:?}",
        model.warnings()
    );
}

#[test]
fn a_bias_of_b_is_merged_only_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    trained(AdapterConfig { lora_bias: true, ..starting_inside() }).save_adapter(dir.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = write_model(folder.path(), None);
    let cpu = Cpu::new(1).unwrap();
    let refused = MergedWeights::new(&cpu, &source, true, MergeBase::Original, Some(dir.path())).map(drop).unwrap_err();
    assert!(refused.code == Code::ModelUnsupported && refused.message.contains("loraBias"), "{refused}");
}

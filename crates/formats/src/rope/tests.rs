//! Tests of reading rotary parameters.

use std::path::Path;

use serde_json::{Value, json};
use tunesmith_ops::{Code, Result};

use super::*;
use crate::config::ModelConfig;

fn ropes(value: Value, rules: RopeRules) -> Result<Ropes> {
    ModelConfig::from_json(Path::new("config.json"), value).unwrap().rope(rules)
}

fn rope(value: Value) -> Result<RopeConfig> {
    ropes(value, RopeRules::plain(10_000.0)).map(|ropes| ropes.full)
}

fn code(value: Value) -> Code {
    rope(value).unwrap_err().code
}

#[test]
fn all_spellings_of_one_model_are_equal() {
    let expected = RopeConfig {
        theta: 500_000.0,
        partial: 1.0,
        scaling: RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        },
    };
    let scaling = |kind: Value| {
        let mut map = json!({
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4, "original_max_position_embeddings": 8192,
        });
        map.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        map
    };
    let new = scaling(json!({ "rope_type": "llama3", "rope_theta": 500_000.0 }));
    let mut unstated = new.clone();
    unstated["original_max_position_embeddings"] = Value::Null;
    let old = scaling(json!({ "type": "llama3" }));
    let both_types = scaling(json!({ "type": "llama3", "rope_type": "llama3" }));
    for value in [
        json!({ "rope_parameters": new }),
        json!({ "rope_theta": 500_000, "rope_scaling": old }),
        json!({ "rope_theta": 500_000.0, "rope_scaling": both_types }),
        json!({ "rope_parameters": new, "rope_theta": 500_000.0, "rope_scaling": old }),
        json!({ "rope_parameters": unstated, "max_position_embeddings": 8192 }),
        json!({ "rope_parameters": unstated, "original_max_position_embeddings": 8192, "max_position_embeddings": 9 }),
    ] {
        assert_eq!(rope(value).unwrap(), expected);
    }
}

#[test]
fn absent_and_default_parameters() {
    let plain = RopeConfig { theta: 10_000.0, partial: 1.0, scaling: RopeScaling::Default };
    for value in [
        json!({}),
        json!({ "rope_scaling": null, "rope_theta": 10_000.0, "no_rope_layers": [1, 0] }),
        json!({ "rope_interleaved": false }),
        json!({ "rope_parameters": { "rope_type": "default", "partial_rotary_factor": 1.0 } }),
        json!({ "partial_rotary_factor": 1.0 }),
    ] {
        assert_eq!(rope(value).unwrap(), plain);
    }
    let linear = json!({ "rope_scaling": { "type": "linear", "factor": 2.0 } });
    assert_eq!(rope(linear).unwrap().scaling, RopeScaling::Linear { factor: 2.0 });
}

#[test]
fn what_is_not_understood_is_refused() {
    for value in [
        json!({ "rope_parameters": { "rope_type": "dynamic", "factor": 4.0 } }),
        json!({ "rope_parameters": { "rope_type": "yarn", "factor": 4.0, "finetuned": true } }),
        json!({ "rope_parameters": { "rope_type": "default", "mrope_section": [16, 24, 24] } }),
        json!({ "rope_parameters": { "rope_type": "linear", "factor": 2.0, "attention_factor": 1.5 } }),
        json!({ "rope_scaling": { "factor": 2.0 } }),
        json!({ "rope_local_base_freq": 10_000.0 }),
        json!({ "rotary_pct": 0.25 }),
        json!({ "rope_interleaved": true }),
        json!({ "partial_rotary_factor": 0.5 }),
        json!({ "rope_parameters": { "full_attention": { "rope_type": "default" } } }),
    ] {
        assert_eq!(code(value.clone()), Code::ModelUnsupported, "{value}");
    }
}

#[test]
fn contradictions_and_impossible_numbers_are_refused() {
    let llama3 = |low: Value, original: Value| {
        json!({ "rope_parameters": { "rope_type": "llama3", "factor": 8.0, "low_freq_factor": low,
                "high_freq_factor": 4.0, "original_max_position_embeddings": original } })
    };
    for value in [
        json!({ "rope_theta": 10_000.0, "rope_parameters": { "rope_theta": 500_000.0 } }),
        json!({ "rope_scaling": { "type": "linear", "factor": 2.0 }, "rope_parameters": { "rope_type": "default" } }),
        json!({ "rope_scaling": { "type": "linear", "rope_type": "llama3", "factor": 2.0 } }),
        json!({ "rope_theta": 0 }),
        json!({ "rope_theta": 1e308 }),
        json!({ "rope_theta": "10000" }),
        json!({ "rope_parameters": [] }),
        json!({ "rope_parameters": { "rope_type": 3 } }),
        json!({ "rope_scaling": { "type": "linear", "factor": 0.5 } }),
        json!({ "rope_scaling": { "type": "linear" } }),
        llama3(json!(4.0), json!(64)),
        llama3(json!(1.0), json!(64.5)),
        llama3(json!(1.0), json!(null)),
        llama3(json!(-1.0), json!(64)),
    ] {
        assert_eq!(code(value.clone()), Code::ConfigInvalid, "{value}");
    }
}

#[test]
fn yarn_reads_its_options_and_the_older_spelling() {
    let expected = |factor| {
        RopeScaling::Yarn(YarnScaling {
            factor,
            attention_factor: None,
            mscale: None,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
            original_max_position_embeddings: 64,
        })
    };
    for value in [
        json!({ "rope_parameters": { "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64 } }),
        json!({ "rope_scaling": { "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64 } }),
        json!({ "rope_scaling": { "type": "yarn", "original_max_position_embeddings": 64 },
                "max_position_embeddings": 256 }),
    ] {
        assert_eq!(rope(value).unwrap().scaling, expected(4.0));
    }
    let all = json!({ "rope_parameters": { "rope_type": "yarn", "factor": 8.0, "attention_factor": 1.2, "mscale": 1.0,
            "mscale_all_dim": 0.5, "beta_fast": 16, "beta_slow": 2, "truncate": false,
            "original_max_position_embeddings": 64 } });
    let RopeScaling::Yarn(YarnScaling { attention_factor, mscale, beta_fast, truncate, .. }) =
        rope(all).unwrap().scaling
    else {
        panic!("not yarn");
    };
    assert_eq!((attention_factor, mscale, beta_fast, truncate), (Some(1.2), Some((1.0, 0.5)), 16.0, false));
    for bad in [
        json!({ "rope_type": "yarn", "factor": 0.5, "original_max_position_embeddings": 64 }),
        json!({ "rope_type": "yarn", "factor": 2.0, "beta_fast": 1, "beta_slow": 2, "original_max_position_embeddings": 64 }),
        json!({ "rope_type": "yarn", "factor": 2.0, "truncate": 1, "original_max_position_embeddings": 64 }),
        json!({ "rope_type": "yarn", "factor": 2.0 }),
    ] {
        assert_eq!(code(json!({ "rope_parameters": bad })), Code::ConfigInvalid);
    }
}

#[test]
fn long_rope_in_all_its_names() {
    let lists = |kind: &str| json!({ "type": kind, "short_factor": [1, 1.5], "long_factor": [2.0, 4] });
    for kind in ["longrope", "su"] {
        let value = json!({ "rope_scaling": lists(kind), "original_max_position_embeddings": 64,
                "max_position_embeddings": 256 });
        let expected = RopeScaling::LongRope(LongRopeScaling {
            short_factor: vec![1.0, 1.5],
            long_factor: vec![2.0, 4.0],
            factor: 4.0,
            attention_factor: None,
            original_max_position_embeddings: 64,
        });
        assert_eq!(rope(value).unwrap().scaling, expected);
    }
    for (key, bad) in [("short_factor", json!([1.0, 0])), ("long_factor", json!("x")), ("long_factor", json!(null))] {
        let mut scaling = lists("longrope");
        scaling[key] = bad;
        let value = json!({ "rope_scaling": scaling, "max_position_embeddings": 256 });
        assert_eq!(code(value), Code::ConfigInvalid);
    }
    let short =
        json!({ "rope_scaling": lists("su"), "original_max_position_embeddings": 1, "max_position_embeddings": 8 });
    assert_eq!(code(short), Code::ConfigInvalid);
}

#[test]
fn a_part_of_the_head_where_the_family_allows_it() {
    let rules = RopeRules { partial: true, ..RopeRules::plain(1e4) };
    for value in [
        json!({ "partial_rotary_factor": 0.75 }),
        json!({ "rope_parameters": { "rope_type": "default", "partial_rotary_factor": 0.75 } }),
        json!({ "rope_parameters": { "partial_rotary_factor": 0.75 }, "partial_rotary_factor": 0.75 }),
    ] {
        assert_eq!(ropes(value, rules).unwrap().full.partial, 0.75);
    }
    for value in [
        json!({ "partial_rotary_factor": 1.5 }),
        json!({ "rope_parameters": { "partial_rotary_factor": 0.5 }, "partial_rotary_factor": 0.75 }),
    ] {
        assert_eq!(ropes(value, rules).unwrap_err().code, Code::ConfigInvalid);
    }
}

#[test]
fn two_rotations_in_both_spellings() {
    let windowed = WindowedRope { theta_key: "rope_local_base_freq", theta: 1e4 };
    let rules = RopeRules { windowed: Some(windowed), ..RopeRules::plain(1e6) };
    let linear = RopeScaling::Linear { factor: 8.0 };
    let expected = Ropes {
        full: RopeConfig { theta: 5e5, partial: 1.0, scaling: linear },
        windowed: Some(RopeConfig { theta: 2e4, partial: 1.0, scaling: RopeScaling::Default }),
    };
    let full = json!({ "rope_type": "linear", "factor": 8.0, "rope_theta": 5e5 });
    let sliding = json!({ "rope_type": "default", "rope_theta": 2e4 });
    for value in [
        json!({ "rope_parameters": { "full_attention": full, "sliding_attention": sliding } }),
        json!({ "rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": { "rope_type": "linear", "factor": 8 } }),
    ] {
        assert_eq!(ropes(value, rules).unwrap(), expected);
    }
    let absent = ropes(json!({}), rules).unwrap();
    assert_eq!((absent.full.theta, absent.windowed.unwrap().theta), (1e6, 1e4));
    for value in [
        json!({ "rope_parameters": full }),
        json!({ "rope_parameters": { "sliding_attention": sliding }, "rope_local_base_freq": 1e4 }),
        json!({ "rope_parameters": { "full_attention": 3 } }),
    ] {
        assert_eq!(ropes(value, rules).unwrap_err().code, Code::ConfigInvalid);
    }
}

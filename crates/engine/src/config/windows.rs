//! Which layers see through a sliding window, and which rotate queries and keys.

use tunesmith_formats::ModelConfig as HfConfig;
use tunesmith_ops::{Code, Result};

use super::refusal::unsupported;
use crate::families::{Family, Rotated, SlidingWindow, WindowedLayers};

/// Window and rotation of each layer.
pub struct Layers {
    /// Sliding window.
    pub windows: Vec<Option<usize>>,
    /// RoPE.
    pub rotated: Vec<bool>,
}

impl Layers {
    /// Reads them from a configuration.
    pub fn read(config: &HfConfig, family: &Family, layers: usize) -> Result<Self> {
        let window = match &family.windows {
            None => None,
            Some(rules) => window(config, rules)?,
        };
        let listed = listed(config, family.rotated, layers)?;
        let windows = match (&family.windows, window) {
            (Some(rules), Some(window)) => windowed(config, rules.layers, listed.as_deref(), layers)?
                .into_iter()
                .map(|windowed| windowed.then_some(window))
                .collect(),
            _ => vec![None; layers],
        };
        let rotated = match listed {
            Some(listed) => listed,
            None if family.rotated == Rotated::Windowed && window.is_some() => {
                windows.iter().map(Option::is_some).collect()
            }
            None => vec![true; layers],
        };
        Ok(Self { windows, rotated })
    }
}

/// The window, where the configuration has one that holds.
fn window(config: &HfConfig, rules: &SlidingWindow) -> Result<Option<usize>> {
    if rules.switched && !config.flag("use_sliding_window", false)? {
        return Ok(None);
    }
    let absent = !config.as_map().contains_key("sliding_window");
    Ok(if absent { rules.absent } else { config.optional_size("sliding_window")? })
}

/// transformers' rule: `layer_types` names each layer; without it the family's own keys decide.
fn windowed(config: &HfConfig, rule: WindowedLayers, rotated: Option<&[bool]>, layers: usize) -> Result<Vec<bool>> {
    if let Some(types) = config.optional_strings("layer_types")? {
        check_count(config, "layer_types", types.len(), layers)?;
        return types
            .iter()
            .map(|kind| match *kind {
                "sliding_attention" => Ok(true),
                "full_attention" => Ok(false),
                other => Err(unsupported(config, "layer_types", "sliding_attention or full_attention", other)),
            })
            .collect();
    }
    let layers = 0..layers;
    Ok(match rule {
        WindowedLayers::Every => layers.map(|_| true).collect(),
        WindowedLayers::From { key, absent } => {
            // 0 is a layer here, which `optional_size` would not take.
            let first = match config.value(key) {
                Some(value) if value.as_u64() == Some(0) => 0,
                _ => config.optional_size(key)?.unwrap_or(absent),
            };
            layers.map(|layer| layer >= first).collect()
        }
        WindowedLayers::AllButEach { key, absent } => {
            let period = match key {
                Some(key) => config.optional_size(key)?.unwrap_or(absent),
                None => absent,
            };
            layers.map(|layer| (layer + 1) % period != 0).collect()
        }
        WindowedLayers::Unrotated => layers.map(|layer| rotated.is_some_and(|rotated| !rotated[layer])).collect(),
    })
}

/// Layers with RoPE where the configuration lists them.
fn listed(config: &HfConfig, rule: Rotated, layers: usize) -> Result<Option<Vec<bool>>> {
    let Rotated::Listed { list, interval, absent } = rule else {
        return Ok(None);
    };
    if let Some(value) = config.value(list) {
        let flags: Option<Vec<bool>> = value.as_array().and_then(|list| {
            let flag = |value: &serde_json::Value| value.as_u64().filter(|flag| *flag < 2).map(|flag| flag == 1);
            list.iter().map(flag).collect()
        });
        let refuse =
            || config.refuse(Code::ConfigInvalid, format!("expected a list of 0 and 1 in `{list}`; correct it"));
        let mut flags = flags.ok_or_else(refuse)?;
        // transformers asks for at least as many as there are layers.
        if flags.len() < layers {
            check_count(config, list, flags.len(), layers)?;
        }
        flags.truncate(layers);
        return Ok(Some(flags));
    }
    let interval = config.optional_size(interval)?.unwrap_or(absent);
    Ok(Some((0..layers).map(|layer| (layer + 1) % interval != 0).collect()))
}

fn check_count(config: &HfConfig, key: &str, got: usize, layers: usize) -> Result<()> {
    if got == layers {
        return Ok(());
    }
    Err(config.refuse(Code::ConfigInvalid, format!("expected {layers} {key}, one per layer, got {got}; correct it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::FAMILIES;
    use serde_json::{Value, json};
    use std::path::Path;

    fn read(family: &str, value: Value, layers: usize) -> Result<(Vec<Option<usize>>, Vec<bool>)> {
        let family = FAMILIES.iter().find(|known| known.model_type == family).unwrap();
        let config = HfConfig::from_json(Path::new("config.json"), value).unwrap();
        Layers::read(&config, family, layers).map(|layers| (layers.windows, layers.rotated))
    }

    const W: Option<usize> = Some(8);

    #[test]
    fn each_family_finds_its_windows_without_layer_types() {
        let windows = |family, value, layers| read(family, value, layers).unwrap().0;
        let eight = || json!({ "sliding_window": 8 });
        assert_eq!(windows("llama", eight(), 2), [None, None]);
        assert_eq!(windows("mistral", eight(), 2), [W, W]);
        assert_eq!(windows("mistral", json!({ "sliding_window": null }), 2), [None, None]);
        assert_eq!(windows("mistral", json!({}), 1), [Some(4096)]);
        assert_eq!(windows("gemma2", eight(), 3), [W, None, W]);
        assert_eq!(windows("gemma3_text", eight(), 7), [W, W, W, W, W, None, W]);
        let pattern = json!({ "sliding_window": 8, "sliding_window_pattern": 2 });
        assert_eq!(windows("gemma3_text", pattern, 3), [W, None, W]);
        assert_eq!(windows("qwen3", eight(), 2), [None, None]);
        let on = json!({ "sliding_window": 8, "use_sliding_window": true, "max_window_layers": 1 });
        assert_eq!(windows("qwen3", on, 3), [None, W, W]);
        let all = json!({ "sliding_window": 8, "use_sliding_window": true, "max_window_layers": 0 });
        assert_eq!(windows("qwen2", all, 2), [W, W]);
    }

    #[test]
    fn layers_without_rotation() {
        let rotated = |family, value, layers| read(family, value, layers).unwrap().1;
        assert_eq!(rotated("llama", json!({ "no_rope_layers": [0, 0] }), 2), [true, true]);
        assert_eq!(rotated("smollm3", json!({}), 5), [true, true, true, false, true]);
        assert_eq!(rotated("smollm3", json!({ "no_rope_layer_interval": 2 }), 3), [true, false, true]);
        assert_eq!(rotated("smollm3", json!({ "no_rope_layers": [0, 1, 1, 0] }), 3), [false, true, true]);
        assert_eq!(rotated("exaone4", json!({ "sliding_window": 8 }), 4), [true, true, true, false]);
        assert_eq!(rotated("exaone4", json!({ "sliding_window": null }), 2), [true, true]);
        let windowed = json!({ "sliding_window": 8, "use_sliding_window": true, "no_rope_layers": [1, 0] });
        assert_eq!(read("smollm3", windowed, 2).unwrap().0, [None, W]);
    }

    #[test]
    fn lists_that_do_not_fit_are_refused_by_name() {
        for (value, part) in [
            (json!({ "sliding_window": 8, "layer_types": ["full_attention"] }), "layer_types"),
            (json!({ "no_rope_layers": [1] }), "no_rope_layers"),
            (json!({ "no_rope_layers": [1, 2] }), "no_rope_layers"),
        ] {
            let family = if part == "layer_types" { "gemma2" } else { "smollm3" };
            let error = read(family, value, 2).unwrap_err();
            assert!(error.code == Code::ConfigInvalid && error.message.contains(part), "{error}");
        }
        let strange = json!({ "sliding_window": 8, "layer_types": ["linear_attention", "full_attention"] });
        assert_eq!(read("gemma2", strange, 2).unwrap_err().code, Code::ModelUnsupported);
    }
}

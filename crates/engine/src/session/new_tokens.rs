//! What new tokens of a tokenizer ask of a session: tables with a row for each, and that these rows are trained.

use tunesmith_formats::{AdapterConfig, Choice, Matcher, ModelConfig as HfConfig, TokenIndices};
use tunesmith_ops::{Error, Result};

use super::options::{AdapterOptions, SessionOptions};
use crate::config::ModelConfig;
use crate::families::names;

impl SessionOptions {
    /// The same for a model whose tokenizer has new tokens of these ids. A new adapter trains their rows besides what it is asked
    /// for, those of a head of its own too (TRL); a module that is trained whole has them already, and full fine-tuning has all.
    ///
    /// # Errors
    /// `ArgumentInvalid` for factors on a table that gets new rows, whose factors would not fit the original model.
    pub fn with_new_tokens(mut self, ids: &[usize], hf_config: &HfConfig) -> Result<Self> {
        let Some(rows) = ids.iter().max().map(|last| last + 1) else { return Ok(self) };
        let config = ModelConfig::new(hf_config)?;
        if rows > config.vocab {
            self.resize_token_embeddings = Some(rows.max(self.resize_token_embeddings.unwrap_or_default()));
        }
        if let Some(AdapterOptions::Lora(lora)) = &mut self.adapter {
            train_rows(lora, ids, config.tied)?;
        }
        Ok(self)
    }
}

fn train_rows(lora: &mut AdapterConfig, ids: &[usize], tied: bool) -> Result<()> {
    let matcher = Matcher::new(lora)?;
    let embedding = names::EMBEDDING.strip_suffix(".weight").unwrap_or_default();
    let mut tokens = lora.trainable_token_indices.clone();
    for module in [embedding, names::HEAD] {
        if matcher.is_saved(module) {
            continue;
        }
        if matcher.choice(module, false)? == Choice::Adapted {
            let got = format!("{module} among targetModules; leave it out, or put it into modulesToSave");
            return Err(Error::argument("addTokens", "tables with new rows that are trained by row or whole", got));
        }
        // A head that is the embedding has its rows, unless it has a list of its own.
        let own_rows = !tied || tokens.as_ref().is_some_and(|tokens| tokens.of(names::HEAD).is_some());
        if module == names::HEAD && !own_rows {
            continue;
        }
        let ending = module.rsplit('.').next().unwrap_or(module);
        tokens = Some(TokenIndices::with(tokens, (module, ending), ids));
    }
    lora.trainable_token_indices = tokens;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tunesmith_formats::ModuleNames;

    use super::*;

    fn asked(tied: bool, lora: AdapterConfig) -> Result<SessionOptions> {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models/llama/config.json");
        let config =
            HfConfig::read(&path).unwrap().with("tie_word_embeddings", json!(tied)).with("vocab_size", json!(40));
        let options = SessionOptions { adapter: Some(AdapterOptions::Lora(lora)), ..SessionOptions::inference() };
        options.with_new_tokens(&[39, 40, 41], &config)
    }

    fn rows(tied: bool, lora: AdapterConfig) -> (Option<usize>, Value) {
        let options = asked(tied, lora).unwrap();
        let Some(AdapterOptions::Lora(lora)) = options.adapter else { panic!("an adapter") };
        let lists = lora.trainable_token_indices.map_or(Value::Null, |tokens| match tokens {
            TokenIndices::Embedding(ids) => json!(ids),
            TokenIndices::ByModule(lists) => lists
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
                .into_iter()
                .map(|(name, ids)| (name, json!(ids)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        });
        (options.resize_token_embeddings, lists)
    }

    #[test]
    fn rows_of_new_tokens_are_trained_besides_what_is_asked_for() {
        let plain = AdapterConfig::default;
        let with = |tokens: TokenIndices| AdapterConfig { trainable_token_indices: Some(tokens), ..plain() };
        assert_eq!(rows(true, plain()), (Some(42), json!([39, 40, 41])));
        assert_eq!(rows(false, plain()).1, json!({ "embed_tokens": [39, 40, 41], "lm_head": [39, 40, 41] }));
        assert_eq!(rows(true, with(TokenIndices::Embedding(vec![3, 40]))).1, json!([3, 40, 39, 41]));
        let by_module = with(TokenIndices::ByModule(vec![("lm_head".to_owned(), vec![7])]));
        let both = json!({ "embed_tokens": [39, 40, 41], "lm_head": [7, 39, 40, 41] });
        assert_eq!(rows(true, by_module.clone()).1, both);
        assert_eq!(rows(false, by_module).1, both);
        let whole = |name: &str| AdapterConfig { modules_to_save: vec![name.to_owned()], ..plain() };
        assert_eq!(rows(true, whole("embed_tokens")).1, Value::Null);
        assert_eq!(rows(false, whole("lm_head")).1, json!([39, 40, 41]));
        let factors = AdapterConfig { target_modules: ModuleNames::Endings(vec!["lm_head".to_owned()]), ..plain() };
        let refused = asked(false, factors).unwrap_err();
        assert!(refused.place == "addTokens" && refused.message.contains("lm_head among targetModules"), "{refused}");
    }
}

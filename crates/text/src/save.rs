//! A tokenizer as the files of a Hugging Face folder.

use serde_json::{Map, Value as Json};

use crate::error::{Result, TextError};
use crate::named_templates::{DEFAULT, TOOL_USE};
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// Path and content of `tokenizer.json`, `tokenizer_config.json` and, where there are templates, `chat_template.jinja` and
    /// `additional_chat_templates/tool_use.jinja`: what [`Tokenizer::from_dir`] reads back as this tokenizer. For tokenizers
    /// that came out of a GGUF file.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` when the tokenizer cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<(&'static str, String)>> {
        let refuse = |error: &dyn std::fmt::Display| {
            TextError::tokenizer("tokenizer.json", &format!("expected a tokenizer that can be saved, got {error}"))
        };
        let json = self.inner.to_string(true).map_err(|error| refuse(&error))?;
        let info = self.info();
        let named =
            [("bos_token", &info.bos), ("eos_token", &info.eos), ("pad_token", &info.pad), ("unk_token", &info.unk)];
        let mut config = Map::new();
        config.insert("tokenizer_class".to_owned(), Json::from("PreTrainedTokenizerFast"));
        for (key, token) in named {
            let content = token.as_ref().map_or(Json::Null, |token| Json::from(token.content.clone()));
            config.insert(key.to_owned(), content);
        }
        if let Some(length) = info.model_max_length {
            config.insert("model_max_length".to_owned(), Json::from(length));
        }
        let config = serde_json::to_string_pretty(&config).map_err(|error| refuse(&error))?;
        let mut files = vec![("tokenizer.json", json), ("tokenizer_config.json", config)];
        for (name, path) in [(DEFAULT, "chat_template.jinja"), (TOOL_USE, "additional_chat_templates/tool_use.jinja")] {
            files.extend(self.template_source(name).map(|template| (path, template.to_owned())));
        }
        Ok(files)
    }
}

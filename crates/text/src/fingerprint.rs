//! One number for all that decides the ids of a tokenizer.

use sha2::{Digest, Sha256};

use crate::encode::ConversationOptions;
use crate::error::{Result, TextError};
use crate::tokenizer::{PLACE, Tokenizer};

impl Tokenizer {
    /// SHA-256 over all that decides the ids of conversations and texts: vocabulary, steps, special tokens, chat templates,
    /// options; the moment where a template asks for it. Hexadecimal.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` when the library cannot write the tokenizer down.
    pub fn fingerprint(&self, options: ConversationOptions) -> Result<String> {
        let written = self.inner.to_string(false).map_err(|error| {
            TextError::tokenizer(PLACE, &format!("expected one that can be written, got a failure ({error})"))
        })?;
        let mut hash = Sha256::new();
        hash.update(written.as_bytes());
        for (name, text) in self.settings.named.iter().chain(&self.settings.chat_templates) {
            hash.update(format!("\0{name}\0{text}").as_bytes());
        }
        let asks_for_time = self.settings.chat_templates.values().any(|text| text.contains("strftime_now"));
        let moment = if asks_for_time { options.moment } else { None };
        hash.update(format!("{:?}", ConversationOptions { moment, ..options }).as_bytes());
        Ok(format!("{:x}", hash.finalize()))
    }
}

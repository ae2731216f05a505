//! Tokens that a tokenizer gets besides those of its files (transformers' `add_tokens` and `add_special_tokens`), and how its files
//! hold them.

use serde_json::{Map, Value as Json, json};
use tokenizers::AddedToken;
use tunesmith_formats::NewToken;

use crate::cuts::Cuts;
use crate::error::{Result, TextError};
use crate::tokenizer::{AddedId, SpecialToken, Tokenizer, special_tokens};

const PLACE: &str = "addTokens";

impl Tokenizer {
    /// The same tokenizer with more tokens: the next ids in their order, so that ids it had stay what they were. One that the
    /// vocabulary has already is left as it is, and named by [`Tokenizer::kept_tokens`].
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` for a text that cannot be a token.
    pub fn with_new_tokens(mut self, tokens: &[NewToken]) -> Result<Self> {
        for token in tokens {
            let content = &token.content;
            if content.trim().is_empty() {
                return Err(refuse(&format!("{content:?}, which holds nothing but white space; leave it out")));
            }
            if let Some(id) = self.token_to_id(content) {
                let twice = self.new_tokens.iter().any(|added| added.token.content == *content);
                if twice {
                    return Err(refuse(&format!("{content:?} twice; leave one out")));
                }
                self.kept_tokens.push(SpecialToken { id, content: content.clone() });
                continue;
            }
            let added = AddedToken::from(content.as_str(), token.special);
            let outcome =
                if token.special { self.inner.add_special_tokens([added]) } else { self.inner.add_tokens([added]) };
            outcome.map_err(|error| refuse(&format!("{content:?}, which it refuses ({error}); give another")))?;
            let id = self.inner.token_to_id(content).ok_or_else(|| refuse(&format!("{content:?}; give another")))?;
            self.new_tokens.push(AddedId { token: token.clone(), id: id as usize });
        }
        let all: Vec<AddedToken> = self.inner.get_added_tokens_decoder().into_values().collect();
        self.cuts = Cuts::with_added([self.cuts; 2], &all);
        self.set_vocab_size();
        (self.specials, self.control_tokens) = special_tokens(&self.inner, &self.settings)?;
        self.adopt_template()?;
        Ok(self)
    }

    /// The id that the next token gets: after those of the model, and after the last one that was added there.
    fn next_id(&self) -> u32 {
        let of_model = u32::try_from(self.inner.get_vocab_size(false)).unwrap_or(u32::MAX);
        let last = self.inner.get_added_tokens_decoder().into_keys().max();
        last.filter(|last| *last >= of_model).map_or(of_model, |last| last.saturating_add(1))
    }

    /// Tokens besides those of the files, by their ids.
    pub fn new_tokens(&self) -> &[AddedId] {
        &self.new_tokens
    }

    /// Tokens that were asked for and had been there.
    pub fn kept_tokens(&self) -> &[SpecialToken] {
        &self.kept_tokens
    }

    /// Added tokens of this tokenizer that another, smaller one lacks, by their ids: those that it would give the same ids to, up to
    /// the first of which it would not.
    pub fn tokens_beyond(&self, other: &Self) -> Vec<AddedId> {
        let mut added: Vec<(u32, AddedToken)> = self.inner.get_added_tokens_decoder().into_iter().collect();
        added.sort_by_key(|(id, _)| *id);
        let first = other.next_id();
        let missing = added.into_iter().filter(|(_, token)| other.token_to_id(&token.content).is_none());
        let numbered = missing.zip(first..).take_while(|((id, _), next)| id == next);
        numbered
            .map(|((id, AddedToken { content, special, .. }), _)| AddedId {
                token: NewToken { content, special },
                id: id as usize,
            })
            .collect()
    }
}

/// Puts new tokens into what `tokenizer.json` holds, and gives whether there were any.
pub fn add_to_file(file: &mut Map<String, Json>, tokens: &[AddedId]) -> bool {
    let list = file.entry("added_tokens").or_insert_with(|| json!([]));
    let entries = tokens.iter().map(|added| {
        let mut entry = Map::new();
        entry.insert("id".to_owned(), json!(added.id));
        entry.append(&mut described(&added.token));
        Json::Object(entry)
    });
    list.as_array_mut().into_iter().for_each(|list| list.extend(entries.clone()));
    !tokens.is_empty()
}

/// Puts new tokens into what `tokenizer_config.json` holds where that lists added tokens, and gives whether it does.
pub fn add_to_config(file: &mut Map<String, Json>, tokens: &[AddedId]) -> bool {
    let Some(listed) = file.get_mut("added_tokens_decoder").and_then(Json::as_object_mut) else { return false };
    for added in tokens {
        listed.insert(added.id.to_string(), Json::Object(described(&added.token)));
    }
    !tokens.is_empty()
}

/// A token as both files describe it.
fn described(token: &NewToken) -> Map<String, Json> {
    let mut map = Map::new();
    map.insert("content".to_owned(), json!(token.content));
    for (key, value) in [
        ("single_word", false),
        ("lstrip", false),
        ("rstrip", false),
        ("normalized", !token.special),
        ("special", token.special),
    ] {
        map.insert(key.to_owned(), json!(value));
    }
    map
}

fn refuse(got: &str) -> TextError {
    TextError::tokenizer(PLACE, &format!("expected texts that can be tokens, each once, got {got}"))
}

//! The tokenizer: loading, plain encoding, decoding. Conversations and pairs are in `encode`.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value as Json;
use tokenizers::AddedToken;
use tunesmith_formats::{GgufTokenizer, NewToken};

use crate::closing::SpecialTokens;
use crate::control_tokens::ControlTokens;
use crate::cuts::Cuts;
use crate::encoded_text::EncodedText;
use crate::ends::before;
use crate::error::{Result, TextError};
use crate::frame::Frame;
use crate::generation_tags::without_comments;
use crate::gguf;
use crate::growth::growth_of;
use crate::guard::guarded;
use crate::named_templates::{self, ChatTemplates};
use crate::read::read_text;
use crate::special_tokens::Settings;
use crate::validate::validate;
use crate::words::Words;

pub(crate) const PLACE: &str = "tokenizer.json";

/// A special token of a tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// Its id.
    pub id: i32,
    /// Its text.
    pub content: String,
}

/// A token besides those of the files, with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedId {
    /// The token.
    pub token: NewToken,
    /// Its id.
    pub id: usize,
}

/// What is known of a tokenizer without encoding anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerInfo {
    /// Number of tokens, added ones included. The model's embedding may have more rows.
    pub vocab_size: usize,
    /// Beginning of sequence.
    pub bos: Option<SpecialToken>,
    /// End of sequence.
    pub eos: Option<SpecialToken>,
    /// Padding. Never decides a label.
    pub pad: Option<SpecialToken>,
    /// Unknown text.
    pub unk: Option<SpecialToken>,
    /// Longest input the model was made for, in tokens, where the tokenizer says so.
    pub model_max_length: Option<usize>,
    /// True when plain texts get the beginning-of-sequence token.
    pub add_bos: bool,
    /// Source of the Jinja chat template; of the one for rows without tools, where there are two.
    pub chat_template: Option<String>,
    /// True when the template marks assistant text with `{% generation %}` tags.
    pub has_generation_tags: bool,
    /// SHA-256 of the template, hexadecimal; of both where rows with tools have one of their own.
    pub chat_template_sha256: Option<String>,
}

/// Text to ids and back, with the chat template of the model. Immutable, shared between threads by reference.
pub struct Tokenizer {
    pub(crate) inner: tokenizers::Tokenizer,
    /// Ids of words that came before.
    pub(crate) words: Words,
    /// How much longer the steps may make a text.
    pub(crate) growth: u64,
    /// Where a text can be cut.
    pub(crate) cuts: Cuts,
    /// What the post-processor writes around a text, where that is told.
    pub(crate) frame: Option<Frame>,
    pub(crate) settings: Settings,
    pub(crate) templates: Option<ChatTemplates>,
    pub(crate) specials: SpecialTokens,
    /// The special tokens, to be found in the texts of rows.
    pub(crate) control_tokens: ControlTokens,
    /// The same tokenizer without its added tokens.
    pub(crate) without_added: OnceLock<Result<(tokenizers::Tokenizer, Words)>>,
    /// Tokens besides those of the files.
    pub(crate) new_tokens: Vec<AddedId>,
    /// Tokens that were to be added and had been there.
    pub(crate) kept_tokens: Vec<SpecialToken>,
    info: TokenizerInfo,
}

impl Tokenizer {
    /// Reads a Hugging Face folder: `tokenizer.json`, and where they exist `tokenizer_config.json`,
    /// `special_tokens_map.json`, `chat_template.jinja` and `additional_chat_templates/*.jinja` (which win over templates in
    /// the configuration).
    ///
    /// # Errors
    /// `FILE_MISSING` without `tokenizer.json`, `TOKENIZER_INVALID`, `TEMPLATE_INVALID`.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let path = dir.join(PLACE);
        let text = read_text(&path)?.ok_or_else(|| {
            let place = path.display().to_string();
            TextError::missing(
                &place,
                "expected the tokenizer file, got none; convert an older tokenizer with transformers' save_pretrained",
            )
        })?;
        let file = serde_json::from_str(&text).map_err(|error| {
            TextError::tokenizer(PLACE, &format!("expected JSON, got a syntax error ({error}); fetch the file again"))
        })?;
        Self::build(file, Settings::from_dir(dir)?)
    }

    /// Takes the tokenizer out of a GGUF file's metadata.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` for a kind that is not byte-level BPE or a splitting pattern that is not known,
    /// `TEMPLATE_INVALID`.
    pub fn from_gguf(metadata: GgufTokenizer) -> Result<Self> {
        let (file, settings) = gguf::convert(metadata)?;
        Self::build(file, settings)
    }

    /// The same tokenizer with another chat template.
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` when it does not parse, or writes a token such as `<|im_start|>` that the vocabulary lacks:
    /// the model would see it as ordinary characters.
    pub fn with_chat_template(mut self, template: String) -> Result<Self> {
        self.set_chat_template(template)?;
        Ok(self)
    }

    /// Gives it another chat template. One that is refused leaves it without.
    ///
    /// # Errors
    /// As [`Self::with_chat_template`].
    pub fn set_chat_template(&mut self, template: String) -> Result<()> {
        self.templates = None;
        let visible = without_comments(&template);
        if let Some(token) = bar_tokens(&visible).find(|token| self.inner.token_to_id(token).is_none()) {
            return Err(TextError::template(
                "chat template",
                &format!(
                    "expected only special tokens of this tokenizer, got {token}; use a template made for this model, or \
                     add its tokens with addSpecialTokens"
                ),
            ));
        }
        self.settings.chat_templates = named_templates::single(template);
        self.adopt_template()
    }

    /// The same tokenizer with another end of sequence (transformers' `eos_token`): chat templates see it, and texts and completions
    /// end with it.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` for what is no token of the vocabulary.
    pub fn with_eos_token(mut self, content: String) -> Result<Self> {
        let Some(id) = self.inner.token_to_id(&content) else {
            let expected = "expected a token of this vocabulary as the end of sequence";
            return Err(TextError::tokenizer(
                "eosToken",
                &format!("{expected}, got {content:?}; give one that the tokenizer has"),
            ));
        };
        let mut added: Vec<AddedToken> = self.inner.get_added_tokens_decoder().into_values().collect();
        if !added.iter().any(|token| token.content == content) {
            // As on loading: a named token is matched in text even where the file does not list it as added.
            let token = AddedToken::from(content.as_str(), true);
            added.push(token.clone());
            self.inner.add_special_tokens([token]).map_err(|error| {
                TextError::tokenizer("eosToken", &format!("expected a token it can match, got {error}; give another"))
            })?;
            self.cuts = Cuts::with_added([self.cuts; 2], &added);
        }
        self.info.eos = Some(SpecialToken { id: id as i32, content: content.clone() });
        self.settings.named.insert("eos_token".to_owned(), content);
        (self.specials, self.control_tokens) = special_tokens(&self.inner, &self.settings)?;
        self.adopt_template()?;
        Ok(self)
    }

    fn build(file: Json, settings: Settings) -> Result<Self> {
        let growth = growth_of(&file)?;
        let cuts = Cuts::of(&file);
        let inner = load(file, &settings)?;
        let named = |name: &str| {
            let content = settings.named.get(name)?;
            Some(SpecialToken { id: inner.token_to_id(content)? as i32, content: content.clone() })
        };
        let info = TokenizerInfo {
            vocab_size: inner.get_vocab_size(true),
            bos: named("bos_token"),
            eos: named("eos_token"),
            pad: named("pad_token"),
            unk: named("unk_token"),
            model_max_length: settings.model_max_length,
            add_bos: false,
            chat_template: None,
            has_generation_tags: false,
            chat_template_sha256: None,
        };
        let (specials, control_tokens) = special_tokens(&inner, &settings)?;
        let added: Vec<AddedToken> = inner.get_added_tokens_decoder().into_values().collect();
        let cuts = Cuts::with_added(cuts, &added);
        let mut tokenizer = Self {
            inner,
            words: Words::default(),
            growth,
            cuts,
            frame: None,
            settings,
            templates: None,
            specials,
            control_tokens,
            without_added: OnceLock::new(),
            new_tokens: Vec::new(),
            kept_tokens: Vec::new(),
            info,
        };
        tokenizer.frame = tokenizer.read_frame();
        let of_nothing = tokenizer.encode("", true)?;
        tokenizer.info.add_bos = tokenizer.info.bos.as_ref().is_some_and(|bos| of_nothing.first() == Some(&bos.id));
        tokenizer.adopt_template()?;
        Ok(tokenizer)
    }

    /// Counts the tokens again.
    pub(crate) fn set_vocab_size(&mut self) {
        self.info.vocab_size = self.inner.get_vocab_size(true);
    }

    pub(crate) fn adopt_template(&mut self) -> Result<()> {
        let sources = &self.settings.chat_templates;
        if sources.is_empty() {
            return Ok(());
        }
        let templates = ChatTemplates::compile(sources, &self.settings.named)?;
        self.info.has_generation_tags = templates.has_generation_tags();
        self.info.chat_template_sha256 = Some(templates.sha256().to_owned());
        self.info.chat_template = named_templates::main_source(sources).cloned();
        self.templates = Some(templates);
        Ok(())
    }

    /// Source of the chat template of a name.
    pub(crate) fn template_source(&self, name: &str) -> Option<&str> {
        self.settings.chat_templates.get(name).map(String::as_str)
    }

    /// What is known without encoding anything.
    pub fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    /// The id of a token's text, if it is one token.
    pub fn token_to_id(&self, token: &str) -> Option<i32> {
        self.inner.token_to_id(token).map(|id| id as i32)
    }

    /// Ids of a text. `add_special_tokens` adds what the tokenizer's post-processor adds, usually the beginning of
    /// sequence.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` when the tokenizer fails.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<i32>> {
        self.encode_with_offsets(text, add_special_tokens).map(|encoded| encoded.ids)
    }

    /// Ids of a text with the place each came from.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_with_offsets(&self, text: &str, add_special_tokens: bool) -> Result<EncodedText> {
        self.encoded(self.form(), text, add_special_tokens, None)
    }

    /// The text of ids. `skip_special_tokens` leaves special tokens out. Ids without a token (an embedding may have
    /// more rows than the vocabulary) give no text.
    ///
    /// # Errors
    /// `DATA_INVALID` for a negative id, `TOKENIZER_INVALID` when the tokenizer fails.
    pub fn decode(&self, ids: &[i32], skip_special_tokens: bool) -> Result<String> {
        let positive: std::result::Result<Vec<u32>, _> = ids.iter().map(|&id| u32::try_from(id)).collect();
        let positive = positive.map_err(|_| {
            TextError::data("decode", "expected token ids, got a negative number; pass input ids, not labels")
        })?;
        guarded("decode", TextError::tokenizer, || {
            self.inner.decode(&positive, skip_special_tokens).map_err(|error| {
                TextError::tokenizer(
                    "decode",
                    &format!("expected ids it can decode, got a failure ({error}); check tokenizer.json"),
                )
            })
        })
    }
}

/// The special tokens: how a text ends in them, and where rows hold them.
pub(crate) fn special_tokens(
    inner: &tokenizers::Tokenizer,
    settings: &Settings,
) -> Result<(SpecialTokens, ControlTokens)> {
    let added = inner.get_added_tokens_decoder().into_values();
    let (special, others): (Vec<AddedToken>, Vec<AddedToken>) = added.partition(|token| token.special);
    let [mut specials, others] =
        [special, others].map(|tokens| tokens.into_iter().map(|token| token.content).collect::<Vec<String>>());
    specials.extend(settings.named.values().filter(|token| inner.token_to_id(token).is_some()).cloned());
    let control_tokens = ControlTokens::new(specials.clone())?;
    Ok((SpecialTokens::new(specials, others), control_tokens))
}

/// The library's tokenizer. As transformers does, a named special token is matched in text even where the file does not
/// list it as added.
fn load(file: Json, settings: &Settings) -> Result<tokenizers::Tokenizer> {
    let bytes = validate(file)?.to_string();
    let refused = |what: &str, error: tokenizers::Error| {
        TextError::tokenizer(PLACE, &format!("expected {what}, got one it refuses ({error}); fetch the file again"))
    };
    guarded(PLACE, TextError::tokenizer, || {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes.as_bytes())
            .map_err(|error| refused("a file the tokenizers library reads", error))?;
        let listed = inner.get_added_tokens_decoder();
        let is_listed = |token: &str| listed.values().any(|added| added.content == token);
        let unlisted = settings.named.values().filter(|token| inner.token_to_id(token).is_some() && !is_listed(token));
        let unlisted: Vec<AddedToken> = unlisted.map(|token| AddedToken::from(token.as_str(), true)).collect();
        inner.add_special_tokens(unlisted).map_err(|error| refused("a special token it can match", error))?;
        Ok(inner)
    })
}

/// Everything in `text` of the form `<|name|>`.
fn bar_tokens(text: &str) -> impl Iterator<Item = &str> {
    let is_no_name = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '|' | '{' | '}' | '\'');
    text.match_indices("<|").filter_map(move |(start, opening)| {
        let token = &text[start..];
        let (name, after) = token.strip_prefix(opening)?.split_once("|>")?;
        (!name.is_empty() && !name.contains(is_no_name)).then(|| before(token, after))
    })
}

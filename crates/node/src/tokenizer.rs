//! Door A: text goes in once and comes back as ids. Batches are tokenised on a thread of their own; single texts at once.

use std::path::Path;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{Int32Array, Int32ArraySlice, Object};
use napi_derive::napi;
use serde_json::Value;
use tunesmith_formats::{ModelFiles, TokenizerSource};
use tunesmith_text::{self as text, EncodedConversation, EncodedPair, Note, PartOptions};

use crate::deferred::in_background;
use crate::error::{Failure, Outcome};

/// Threads of a batch: one per processor.
const ALL_THREADS: usize = 0;

/// A special token.
#[napi(object)]
pub struct SpecialToken {
    /// Its id.
    pub id: i32,
    /// Its text.
    pub content: String,
}

/// What is known of a tokenizer without encoding anything.
#[napi(object, use_nullable = true)]
pub struct TokenizerInfo {
    /// Number of tokens, added ones included.
    pub vocab_size: u32,
    /// Beginning of sequence.
    pub bos_token: Option<SpecialToken>,
    /// End of sequence.
    pub eos_token: Option<SpecialToken>,
    /// Padding.
    pub pad_token: Option<SpecialToken>,
    /// Source of the Jinja template.
    pub chat_template: Option<String>,
    /// SHA-256 of the template, hexadecimal.
    pub chat_template_sha256: Option<String>,
    /// Whether the template marks assistant text.
    pub has_generation_tags: bool,
}

/// Rows of ids, end to end.
#[napi(object)]
pub struct EncodedRows {
    /// All ids.
    pub ids: Int32Array,
    /// First id of each row, and the total: `[n + 1]`.
    pub starts: Int32Array,
}

/// Ranges of the tokens of rows, end to end.
#[napi(object)]
pub struct EncodedRanges {
    /// Start and end of each range in its row.
    pub bounds: Int32Array,
    /// First range of each row, and the total: `[n + 1]`.
    pub starts: Int32Array,
}

/// Conversations as ids, end to end.
#[napi(object)]
pub struct EncodedConversations {
    /// Ids.
    pub rows: EncodedRows,
    /// Start and end, in its row, of each range the assistant wrote.
    pub spans: Int32Array,
    /// Message of each range.
    pub turns: Int32Array,
    /// First range of each row, and the total: `[n + 1]`.
    pub turn_starts: Int32Array,
    /// Tool calls inside of them; empty where they were not looked for.
    pub tool_calls: EncodedRanges,
    /// Reasoning inside of them, likewise.
    pub reasoning: EncodedRanges,
    /// What training should not pass over in silence.
    pub notes: Vec<ConversationNote>,
}

/// Something about a conversation that its owner should know before training.
#[napi(object)]
pub struct ConversationNote {
    /// Index of the conversation.
    pub row: u32,
    /// `notWritten` or `controlToken`.
    pub kind: String,
    /// The field or role that the text does not hold; the token that a text holds.
    pub name: String,
}

/// How conversations are encoded.
#[napi(object)]
#[expect(clippy::struct_excessive_bools, reason = "options that do not depend on each other")]
pub struct ConversationOptions {
    /// Ends with the header of an assistant turn.
    pub add_generation_prompt: bool,
    /// What the template takes for the present moment, in seconds since 1970; the true one where absent.
    pub moment: Option<f64>,
    /// Encodes control tokens in the texts of rows as text.
    pub sanitize_control_tokens: bool,
    /// Finds the tool calls of turns.
    pub find_tool_calls: bool,
    /// Finds the reasoning of turns.
    pub find_reasoning: bool,
    /// Ids that are needed of each row; all where absent.
    pub max_tokens: Option<u32>,
}

impl From<ConversationOptions> for text::ConversationOptions {
    fn from(options: ConversationOptions) -> Self {
        Self {
            add_generation_prompt: options.add_generation_prompt,
            moment: options.moment.map(|seconds| seconds as u64),
            sanitize_control_tokens: options.sanitize_control_tokens,
            max_tokens: options.max_tokens.map(|most| most as usize),
            parts: PartOptions { tool_calls: options.find_tool_calls, reasoning: options.find_reasoning },
        }
    }
}

/// Pairs as ids, end to end.
#[napi(object)]
pub struct EncodedPairs {
    /// Ids.
    pub rows: EncodedRows,
    /// Ids of each row that belong to the prompt.
    pub prompt_lengths: Int32Array,
    /// 1 where a prompt's own ids are not a prefix of the joint ids.
    pub prefix_mismatches: Int32Array,
}

/// A tokenizer with its chat template.
#[napi]
pub struct Tokenizer(Arc<text::Tokenizer>);

/// Reads the tokenizer of a Hugging Face folder or a GGUF file, with a chat template in place of its own where one is given.
#[napi(catch_unwind, ts_return_type = "Promise<Tokenizer>")]
pub fn open_tokenizer(env: &Env, path: String, chat_template: Option<String>) -> napi::Result<Object<'_>> {
    let work = move || {
        let path = Path::new(&path);
        let own = if path.join("tokenizer.json").exists() {
            text::Tokenizer::from_dir(path)?
        } else {
            read_own(&ModelFiles::open(path)?.tokenizer)?
        };
        with_template(own, chat_template)
    };
    in_background(env, "loadTokenizer", work, |_, tokenizer| Ok(Tokenizer(Arc::new(tokenizer))))
}

/// Reads a model's tokenizer from where its files say, with the chat template and the end of sequence that are to be in place of its own.
pub fn read(files: &ModelFiles) -> Outcome<text::Tokenizer> {
    let own = read_own(&files.tokenizer)?;
    let own = if files.new_tokens.is_empty() { own } else { own.with_new_tokens(&files.new_tokens)? };
    let own = match &files.eos_token {
        Some(token) => own.with_eos_token(token.clone())?,
        None => own,
    };
    with_template(own, files.chat_template.clone())
}

fn with_template(own: text::Tokenizer, template: Option<String>) -> Outcome<text::Tokenizer> {
    Ok(match template {
        Some(template) => own.with_chat_template(template)?,
        None => own,
    })
}

/// Reads a model's tokenizer with its own chat template.
pub fn read_own(source: &TokenizerSource) -> Outcome<text::Tokenizer> {
    Ok(match source {
        TokenizerSource::Folder(dir) => text::Tokenizer::from_dir(dir)?,
        TokenizerSource::Gguf(metadata) => text::Tokenizer::from_gguf((**metadata).clone())?,
    })
}

impl Tokenizer {
    /// The binding's object for a tokenizer.
    pub fn new(tokenizer: Arc<text::Tokenizer>) -> Self {
        Self(tokenizer)
    }
}

#[napi]
impl Tokenizer {
    /// What is known without encoding anything.
    #[napi(getter, catch_unwind)]
    pub fn info(&self) -> TokenizerInfo {
        let info = self.0.info();
        let special = |token: &Option<text::SpecialToken>| {
            token.as_ref().map(|token| SpecialToken { id: token.id, content: token.content.clone() })
        };
        TokenizerInfo {
            vocab_size: info.vocab_size as u32,
            bos_token: special(&info.bos),
            eos_token: special(&info.eos),
            pad_token: special(&info.pad),
            chat_template: info.chat_template.clone(),
            chat_template_sha256: info.chat_template_sha256.clone(),
            has_generation_tags: info.has_generation_tags,
        }
    }

    /// SHA-256 over all that decides ids, hexadecimal.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn fingerprint<'env>(&self, env: &'env Env, options: ConversationOptions) -> napi::Result<Object<'env>> {
        let tokenizer = Arc::clone(&self.0);
        let options = options.into();
        in_background(env, "fingerprint", move || Ok(tokenizer.fingerprint(options)?), |_, hash: String| Ok(hash))
    }

    /// Renders and tokenises conversations, each given as JSON text.
    #[napi(catch_unwind, ts_return_type = "Promise<EncodedConversations>")]
    pub fn encode_conversations<'env>(
        &self,
        env: &'env Env,
        conversations: Vec<String>,
        options: ConversationOptions,
    ) -> napi::Result<Object<'env>> {
        let tokenizer = Arc::clone(&self.0);
        let options = options.into();
        let work = move || {
            let numbered = conversations.into_iter().enumerate();
            let parsed = numbered
                .map(|(index, json)| parse(&format!("conversations[{index}]"), &json))
                .collect::<Outcome<Vec<Value>>>()?;
            all(tokenizer.encode_conversations(&parsed, options, ALL_THREADS), "conversations")
        };
        in_background(env, "encodeConversations", work, |_, encoded: Vec<EncodedConversation>| {
            Ok(conversations_to_js(&encoded))
        })
    }

    /// Tokenises prompt + completion + end of sequence jointly; prompts and completions are equally many.
    #[napi(catch_unwind, ts_return_type = "Promise<EncodedPairs>")]
    pub fn encode_pairs<'env>(
        &self,
        env: &'env Env,
        prompts: Vec<String>,
        completions: Vec<String>,
        max_tokens: Option<u32>,
    ) -> napi::Result<Object<'env>> {
        let tokenizer = Arc::clone(&self.0);
        let work = move || {
            let pairs: Vec<(String, String)> = prompts.into_iter().zip(completions).collect();
            all(tokenizer.encode_pairs(&pairs, max_tokens.map(|most| most as usize), ALL_THREADS), "pairs")
        };
        in_background(env, "encodePairs", work, |_, encoded: Vec<EncodedPair>| {
            let numbers =
                |of: fn(&EncodedPair) -> usize| Int32Array::new(encoded.iter().map(|pair| of(pair) as i32).collect());
            Ok(EncodedPairs {
                rows: rows_to_js(encoded.iter().map(|pair| pair.ids.as_slice())),
                prompt_lengths: numbers(|pair| pair.prompt_len),
                prefix_mismatches: numbers(|pair| usize::from(pair.prefix_mismatch)),
            })
        })
    }

    /// Tokenises plain texts with the special tokens the tokenizer itself adds.
    #[napi(catch_unwind, ts_return_type = "Promise<EncodedRows>")]
    pub fn encode_texts<'env>(
        &self,
        env: &'env Env,
        texts: Vec<String>,
        append_eos: bool,
        max_tokens: Option<u32>,
    ) -> napi::Result<Object<'env>> {
        let tokenizer = Arc::clone(&self.0);
        let most = max_tokens.map(|most| most as usize);
        let work = move || all(tokenizer.encode_texts(&texts, append_eos, most, ALL_THREADS), "texts");
        in_background(env, "encodeTexts", work, |_, encoded: Vec<Vec<i32>>| {
            Ok(rows_to_js(encoded.iter().map(Vec::as_slice)))
        })
    }

    /// The text of ids.
    #[napi(catch_unwind)]
    pub fn decode(&self, env: Env, ids: Int32ArraySlice<'_>, skip_special_tokens: bool) -> napi::Result<String> {
        self.0.decode(&ids, skip_special_tokens).map_err(|error| Failure::from(error).into_js(env))
    }

    /// The text the chat template gives for a conversation, itself given as JSON text.
    #[napi(catch_unwind)]
    pub fn render(&self, env: Env, conversation: String, add_generation_prompt: bool) -> napi::Result<String> {
        let rendered = parse("conversation", &conversation)
            .and_then(|value| Ok(self.0.render(&value, add_generation_prompt)?))
            .map_err(|failure| failure.into_js(env))?;
        Ok(rendered.text)
    }
}

fn parse(place: &str, json: &str) -> Outcome<Value> {
    text::parse_json(json).map_err(|error| Failure {
        code: "DATA_INVALID",
        message: format!(
            "[{place}] expected well-formed text and at most 127 levels of nesting, got {error}; correct the row"
        ),
    })
}

/// All results, or the first error with the index of its row where there are several rows.
fn all<T>(results: Vec<text::Result<T>>, rows: &str) -> Outcome<Vec<T>> {
    let several = results.len() > 1;
    let numbered = results.into_iter().enumerate().map(|(index, result)| {
        result.map_err(|error| match error.message.strip_prefix('[') {
            Some(rest) if several => Failure { code: error.code, message: format!("[{rows}[{index}]: {rest}") },
            _ => Failure::from(error),
        })
    });
    numbered.collect()
}

fn starts(lengths: impl Iterator<Item = usize>) -> Int32Array {
    let mut total = 0;
    let ends = lengths.map(|length| {
        total += length as i32;
        total
    });
    Int32Array::new(std::iter::once(0).chain(ends).collect())
}

fn rows_to_js<'a>(rows: impl Iterator<Item = &'a [i32]> + Clone) -> EncodedRows {
    EncodedRows {
        starts: starts(rows.clone().map(<[i32]>::len)),
        ids: Int32Array::new(rows.flatten().copied().collect()),
    }
}

fn ranges_to_js<'a>(rows: impl Iterator<Item = &'a [(u32, u32)]> + Clone) -> EncodedRanges {
    let bounds = rows.clone().flatten().flat_map(|&(start, end)| [start as i32, end as i32]);
    EncodedRanges { starts: starts(rows.map(<[_]>::len)), bounds: Int32Array::new(bounds.collect()) }
}

fn conversations_to_js(encoded: &[EncodedConversation]) -> EncodedConversations {
    let spans = encoded.iter().flat_map(|row| &row.spans);
    EncodedConversations {
        rows: rows_to_js(encoded.iter().map(|row| row.ids.as_slice())),
        spans: Int32Array::new(spans.flat_map(|(start, end)| [*start as i32, *end as i32]).collect()),
        turns: Int32Array::new(encoded.iter().flat_map(|row| &row.turns).map(|turn| *turn as i32).collect()),
        turn_starts: starts(encoded.iter().map(|row| row.turns.len())),
        tool_calls: ranges_to_js(encoded.iter().map(|row| row.parts.tool_calls.as_slice())),
        reasoning: ranges_to_js(encoded.iter().map(|row| row.parts.reasoning.as_slice())),
        notes: encoded.iter().enumerate().flat_map(|(row, encoded)| notes_to_js(row, &encoded.notes)).collect(),
    }
}

fn notes_to_js(row: usize, notes: &[Note]) -> impl Iterator<Item = ConversationNote> {
    notes.iter().map(move |note| {
        let (kind, name) = match note {
            Note::NotWritten(name) => ("notWritten", name),
            Note::ControlToken(token) => ("controlToken", token),
        };
        ConversationNote { row: row as u32, kind: kind.to_owned(), name: name.clone() }
    })
}

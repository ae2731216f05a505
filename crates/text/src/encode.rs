//! Rows to ids: texts, prompt/completion pairs and conversations with their assistant spans.

use serde_json::{Value as Json, json};

use crate::control_tokens::ControlTokens;
use crate::conversation::Conversation;
use crate::encoded_text::EncodedText;
use crate::error::{Result, TextError};
use crate::forms::Forms;
use crate::leaves::Leaves;
use crate::notes::{Note, notes};
use crate::parallel;
use crate::probe;
use crate::spans::turn_spans;
use crate::template::{ChatTemplate, Rendered};
use crate::tokenizer::{SpecialToken, Tokenizer};

use crate::turn_parts::{PartOptions, TurnParts, Written, turn_parts};
use crate::turn_span::TurnSpan;

/// A conversation as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedConversation {
    /// Token ids of the whole rendering.
    pub ids: Vec<i32>,
    /// Token ranges the assistant wrote, start inclusive, end exclusive, ascending, one per turn. Never empty, unless
    /// the conversation was encoded with a generation prompt. A turn after the last of `max_tokens` has an empty range there.
    pub spans: Vec<(u32, u32)>,
    /// Index in `messages` of the turn each span belongs to.
    pub turns: Vec<u32>,
    /// Token ranges of the parts of turns that were asked for, inside the spans. A token belongs to the part that it begins in; one
    /// that begins before a span, to what the span begins with.
    pub parts: TurnParts<(u32, u32)>,
    /// What training should not pass over in silence. Empty with a generation prompt.
    pub notes: Vec<Note>,
}

/// How conversations are encoded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ConversationOptions {
    /// The text ends in the header of an assistant turn, for generation, and there are no spans.
    pub add_generation_prompt: bool,
    /// The moment that `strftime_now` of a template writes, in seconds since 1970; none for the present one.
    pub moment: Option<u64>,
    /// Control tokens in the texts of a row are encoded as text: the special tokens, and other added tokens that the template
    /// writes.
    pub sanitize_control_tokens: bool,
    /// Ids that are needed of each row: of one that has more there may come back exactly that many, where the tokenizer allows
    /// to stop early. None for all.
    pub max_tokens: Option<usize>,
    /// Parts of turns that are looked for. Each takes further renderings of a row that has some, a few, however many turns it has.
    pub parts: PartOptions,
}

/// A prompt and its completion as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPair {
    /// Ids of prompt + completion + end of sequence, tokenised jointly.
    pub ids: Vec<i32>,
    /// How many of the first ids belong to the prompt: those the prompt alone begins with as well. A token that reaches
    /// over the boundary belongs to the completion.
    pub prompt_len: usize,
    /// True when the prompt's own ids are not a prefix of the joint ids: a token reaches over the boundary, and the
    /// model is trained on another context than it sees when the prompt stands alone.
    pub prefix_mismatch: bool,
}

impl Tokenizer {
    /// Ids of a plain text with the special tokens the tokenizer adds. `append_eos` puts the end-of-sequence token
    /// after it, unless the text already ends with it (TRL's language-modelling format).
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` when the tokenizer fails or has no end of sequence.
    pub fn encode_text(&self, text: &str, append_eos: bool) -> Result<Vec<i32>> {
        self.encode_start_of_text(text, append_eos, None)
    }

    fn encode_start_of_text(&self, text: &str, append_eos: bool, max_tokens: Option<usize>) -> Result<Vec<i32>> {
        if append_eos {
            return self.first_ids(&with_suffix(text, &self.eos()?.content), max_tokens);
        }
        self.first_ids(text, max_tokens)
    }

    /// The ids of a text; `max_tokens` as in [`ConversationOptions`].
    fn first_ids(&self, text: &str, max_tokens: Option<usize>) -> Result<Vec<i32>> {
        Ok(self.encoded(self.form(), text, true, max_tokens)?.ids)
    }

    /// [`Self::encode_text`] for many texts on `threads` threads (0: one per processor); `max_tokens` as in
    /// [`ConversationOptions`].
    pub fn encode_texts<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        append_eos: bool,
        max_tokens: Option<usize>,
        threads: usize,
    ) -> Vec<Result<Vec<i32>>> {
        parallel::map(texts, threads, |text| self.encode_start_of_text(text.as_ref(), append_eos, max_tokens))
    }

    /// Ids of prompt + completion + end of sequence, tokenised jointly as TRL's prompt-completion format does (TRL
    /// 1.16, `common_prefix_length`).
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn encode_pair(&self, prompt: &str, completion: &str) -> Result<EncodedPair> {
        self.encode_start_of_pair(prompt, completion, None)
    }

    fn encode_start_of_pair(&self, prompt: &str, completion: &str, max_tokens: Option<usize>) -> Result<EncodedPair> {
        let prompt_ids = self.first_ids(prompt, max_tokens)?;
        let ids = self.first_ids(&format!("{prompt}{}", with_suffix(completion, &self.eos()?.content)), max_tokens)?;
        let prompt_len = prompt_ids.iter().zip(&ids).take_while(|(alone, joint)| alone == joint).count();
        Ok(EncodedPair { prefix_mismatch: prompt_len < prompt_ids.len(), prompt_len, ids })
    }

    /// [`Self::encode_pair`] for many pairs on `threads` threads (0: one per processor); `max_tokens` as in
    /// [`ConversationOptions`].
    pub fn encode_pairs<S: AsRef<str> + Sync>(
        &self,
        pairs: &[(S, S)],
        max_tokens: Option<usize>,
        threads: usize,
    ) -> Vec<Result<EncodedPair>> {
        let encode =
            |(prompt, completion): &(S, S)| self.encode_start_of_pair(prompt.as_ref(), completion.as_ref(), max_tokens);
        parallel::map(pairs, threads, encode)
    }

    fn eos(&self) -> Result<&SpecialToken> {
        self.info().eos.as_ref().ok_or_else(|| {
            TextError::tokenizer(
                "tokenizer",
                "expected an end-of-sequence token, got none; set eos_token in tokenizer_config.json",
            )
        })
    }

    /// The text the chat template gives for `{messages, tools?, chat_template_kwargs?}` as they are: what transformers
    /// gives or refuses. [`Self::encode_conversation`] gives messages the form the template takes first.
    ///
    /// # Errors
    /// `DATA_INVALID` for something that is no conversation, `TEMPLATE_INVALID` without template or when it refuses.
    pub fn render(&self, conversation: &Json, add_generation_prompt: bool) -> Result<Rendered> {
        parallel::run(|| {
            let template = self.template(conversation)?;
            let conversation = Conversation::read(conversation, Forms::default())?;
            template.render(&conversation, conversation.messages.len(), add_generation_prompt)
        })
    }

    /// The template of a row: one that names tools, be it none of them, may have another than the rest.
    fn template(&self, row: &Json) -> Result<&ChatTemplate> {
        let templates = self.templates.as_ref().ok_or_else(|| {
            TextError::template(
                "chat template",
                "expected one with the model, got none; give a template, or rows of prompt and completion or text",
            )
        })?;
        templates.of_row(row.get("tools").is_some_and(|tools| !tools.is_null()))
    }

    /// The special token that ends a turn of the assistant, where the chat template writes one.
    pub fn end_of_turn(&self) -> Option<SpecialToken> {
        let turn = |role: &str| json!({"role": role, "content": role});
        let talk = json!({"messages": [turn("user"), turn("assistant")]});
        let encoded = self.encode_conversation(&talk, false).ok()?;
        let (_, end) = *encoded.spans.last()?;
        let id = *encoded.ids.get((end as usize).checked_sub(1)?)?;
        let content = self.inner.id_to_token(u32::try_from(id).ok()?)?;
        self.specials.texts().any(|special| *special == content).then_some(SpecialToken { id, content })
    }

    /// Renders and tokenises a conversation, without adding special tokens: the template writes them.
    ///
    /// With `add_generation_prompt` the text ends in the header of an assistant turn, for generation, and there are no
    /// spans. Otherwise the spans say which tokens the assistant wrote: what stands between the template's `{%
    /// generation %}` tags, else each assistant turn up to and with the token that closes it.
    ///
    /// # Errors
    /// As [`Self::render`]; `DATA_INVALID` without an assistant turn; `TEMPLATE_INVALID` when turns cannot be found in
    /// the rendering, or when it begins with two beginning-of-sequence tokens.
    pub fn encode_conversation(&self, conversation: &Json, add_generation_prompt: bool) -> Result<EncodedConversation> {
        let options = ConversationOptions { add_generation_prompt, ..ConversationOptions::default() };
        parallel::run(|| self.encode_one(conversation, options))
    }

    /// [`Self::encode_conversation`] for many conversations on `threads` threads (0: one per processor).
    pub fn encode_conversations(
        &self,
        conversations: &[Json],
        options: ConversationOptions,
        threads: usize,
    ) -> Vec<Result<EncodedConversation>> {
        parallel::map(conversations, threads, |conversation| self.encode_one(conversation, options))
    }

    fn encode_one(&self, row: &Json, options: ConversationOptions) -> Result<EncodedConversation> {
        let template = self.template(row)?;
        let conversation = self.read(template, row, options)?;
        if !options.add_generation_prompt && conversation.assistant_turns.is_empty() {
            return Err(TextError::data(
                "conversation",
                "expected an assistant turn to learn from, got none; add one or leave the row out",
            ));
        }
        let rendered = template.render(&conversation, conversation.messages.len(), options.add_generation_prompt)?;
        let encoded = self.encode_rendered(&rendered, options.max_tokens)?;
        let is_start = options.max_tokens == Some(encoded.ids.len());
        self.check_bos(&encoded.ids, if is_start { &rendered.text } else { "" })?;
        if options.add_generation_prompt {
            let (spans, turns, parts, notes) = Default::default();
            return Ok(EncodedConversation { ids: encoded.ids, spans, turns, parts, notes });
        }
        let text_spans = turn_spans(template, &conversation, &rendered, &self.specials)?;
        let end = encoded.offsets.last().map_or(0, |&(_, end)| end);
        let beyond = |span: &TurnSpan| {
            (is_start && span.start >= end).then_some((encoded.ids.len() as u32, encoded.ids.len() as u32))
        };
        let range = |span| token_range(&encoded, span).or_else(|| beyond(span));
        let (turns, spans): (Vec<u32>, Vec<(u32, u32)>) =
            text_spans.iter().filter_map(|span| Some((span.message as u32, range(span)?))).unzip();
        if spans.is_empty() {
            return Err(TextError::data(
                "conversation",
                "expected assistant text in the rendered conversation, got none; check the template's generation tags",
            ));
        }
        let tokens = Some(&self.control_tokens).filter(|_| !options.sanitize_control_tokens);
        let leaves = Leaves::new(template, &conversation, &rendered);
        let notes = notes(&conversation, &rendered, &leaves, tokens);
        let (specials, written) = (&self.specials, text_spans.as_slice());
        let (conversation, rendered, leaves) = (&conversation, &rendered, &leaves);
        let written = Written { template, conversation, rendered, spans: written, specials, leaves };
        let parts = turn_parts(&written, options.parts)?;
        let tokens_of = |parts: &[(usize, usize)]| part_ranges(&encoded, parts, &text_spans);
        let parts = TurnParts { tool_calls: tokens_of(&parts.tool_calls), reasoning: tokens_of(&parts.reasoning) };
        Ok(EncodedConversation { ids: encoded.ids, spans, turns, parts, notes })
    }

    fn read(&self, template: &ChatTemplate, row: &Json, options: ConversationOptions) -> Result<Conversation> {
        let mut conversation = Conversation::read(row, probe::forms(template, row))?;
        conversation.moment = options.moment.unwrap_or(conversation.moment);
        if !options.sanitize_control_tokens {
            return Ok(conversation);
        }
        let tokens = template.control_tokens.get_or_init(|| {
            let added = self.inner.get_added_tokens_decoder().into_values();
            let written = added.filter(|token| token.special || template.mentions(&token.content));
            ControlTokens::new(written.map(|token| token.content).chain(self.specials.texts().cloned()).collect())
        });
        conversation.with_marked(tokens.as_ref().map_err(Clone::clone)?)
    }

    /// Refuses two beginnings of sequence. Where the same token opens every turn (`ChatML` models that have no other),
    /// a template may write one for the sequence and one for the turn. `text` is that of which `ids` are only the start.
    fn check_bos(&self, ids: &[i32], text: &str) -> Result<()> {
        match (&self.info().bos, ids) {
            (Some(bos), [first, second, rest @ ..])
                if (*first, *second) == (bos.id, bos.id)
                    && !rest.contains(&bos.id)
                    && text.matches(&bos.content).nth(2).is_none() =>
            {
                Err(TextError::template(
                    "chat template",
                    &format!(
                        "expected one {} at the start, got two; remove it from the template or the first message",
                        bos.content
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

fn with_suffix(text: &str, suffix: &str) -> String {
    if text.ends_with(suffix) { text.to_owned() } else { format!("{text}{suffix}") }
}

/// Tokens of a text span: every token that holds any of its bytes, by the rule of transformers' assistant masks (5.24). A
/// last character of several tokens is whole. None for a span without tokens.
fn token_range(encoded: &EncodedText, span: &TurnSpan) -> Option<(u32, u32)> {
    // Offsets ascend. Tokens of a character in several pieces all have the character's offsets.
    let first = encoded.offsets.partition_point(|&(_, end)| end <= span.start);
    let end = encoded.offsets.partition_point(|&(start, _)| start < span.end);
    (first < end).then_some((first as u32, end as u32))
}

/// Tokens of parts inside of spans: those that begin in a part; where a part begins with its span, those of the span.
fn part_ranges(encoded: &EncodedText, parts: &[(usize, usize)], spans: &[TurnSpan]) -> Vec<(u32, u32)> {
    let range = |&(start, end): &(usize, usize)| {
        let opens = spans.iter().any(|span| span.start == start);
        let first = encoded.offsets.partition_point(|&(from, to)| if opens { to <= start } else { from < start });
        let end = encoded.offsets.partition_point(|&(from, _)| from < end);
        (first < end).then_some((first as u32, end as u32))
    };
    parts.iter().filter_map(range).collect()
}

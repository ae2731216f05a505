//! Chat templates: compiled once, rendered with the means that a conversation of its size may take.
//!
//! Templates are untrusted code. They get no file, environment or network access; time, memory and depth are limited per
//! rendering, and time over all renderings as well, so that many small conversations cannot take for ever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use crate::control_tokens::ControlTokens;
use crate::conversation::Conversation;
use crate::error::{Result, TextError};
use crate::forms::Probed;
use crate::generation_tags::{self, CLOSE_VARIABLE, OPEN_VARIABLE};
use crate::guard::guarded;
use crate::jinja::{self, Budget, Run, Tree, Value};
use crate::marks::Cut;
use crate::parallel;
use crate::strftime::strftime;
use crate::turns::{Follower, Piece};

const NAME: &str = "chat template";
/// Longest rendering in bytes, and how much longer than its conversation a longer one may be.
const MAX_OUTPUT: usize = 8 << 20;
const MAX_GROWTH: usize = 4;
/// Units a rendering may take, before what each byte of the conversation adds. A step takes about 50 ns.
const BASE_UNITS: u64 = 1_000_000;
const UNITS_PER_BYTE: u64 = 16;
/// Most units of a rendering, unless its conversation has more bytes.
const MAX_UNITS: u64 = 3_000_000;
/// Units that all renderings of a template share, and what each adds to them. Published templates take a tenth of that.
const SHARED_UNITS: i64 = 30_000_000;
const SHARED_PER_RENDERING: i64 = 5_000;
const SHARED_PER_BYTE: i64 = 32;

/// A rendered conversation.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text to tokenise (without adding special tokens: the template has written them).
    pub text: String,
    /// What stood between `{% generation %}` tags: byte offsets in `text`, start inclusive, end exclusive. Empty
    /// without tags.
    pub generation_spans: Vec<(usize, usize)>,
    /// Control tokens that are to be read as text: byte offsets.
    pub(crate) as_text: Vec<(usize, usize)>,
    /// What was written for each message, in the order of the text.
    pub(crate) pieces: Vec<Piece>,
    /// Where each stretch of text begins that was written at once: byte offsets, ascending.
    pub(crate) writes: Vec<usize>,
}

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    tree: Tree,
    /// Variables every rendering gets: `bos_token`, `eos_token` and so on.
    special_tokens: BTreeMap<String, String>,
    /// The source without its comments.
    source: String,
    sha256: String,
    has_generation_tags: bool,
    /// Units that are left for all renderings together.
    shared: AtomicI64,
    /// What is known of the forms it takes.
    pub probed: Probed,
    /// The tokens that are encoded as text where they stand in a row's texts and that is asked for.
    pub control_tokens: OnceLock<Result<ControlTokens>>,
    /// How often it was rendered.
    #[cfg(test)]
    pub renderings: std::sync::atomic::AtomicUsize,
}

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` are the named ones that exist, as transformers gives them (`bos_token` →
    /// `<s>`).
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` with the line when it does not parse.
    pub fn compile(source: &str, special_tokens: &BTreeMap<String, String>) -> Result<Self> {
        let rewritten = generation_tags::rewrite(source);
        // On a stack of its own: what fits there to be rendered fits there to be parsed.
        let parsed = parallel::run(|| {
            guarded(NAME, TextError::template, || {
                jinja::parse(&rewritten.source).map_err(|error| {
                    let what = format!(
                        "expected a Jinja template, got a syntax error{}: {}; correct the template",
                        line_of(&error),
                        error.reason
                    );
                    TextError::template(NAME, &what)
                })
            })
        });
        Ok(Self {
            tree: parsed?,
            special_tokens: special_tokens.clone(),
            source: generation_tags::without_comments(source),
            sha256: format!("{:x}", Sha256::digest(source)),
            has_generation_tags: rewritten.has_tags,
            shared: AtomicI64::new(SHARED_UNITS),
            probed: Probed::default(),
            control_tokens: OnceLock::new(),
            #[cfg(test)]
            renderings: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    /// SHA-256 of the source, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// True when a token stands in the source, comments excepted.
    pub fn mentions(&self, token: &str) -> bool {
        self.source.contains(token)
    }

    /// True when the template marks assistant text with `{% generation %}`.
    pub fn has_generation_tags(&self) -> bool {
        self.has_generation_tags
    }

    /// Renders the first `count` messages.
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` when the template refuses the conversation or exceeds its limits.
    pub fn render(&self, conversation: &Conversation, count: usize, add_generation_prompt: bool) -> Result<Rendered> {
        guarded(NAME, TextError::template, || {
            let turns = Follower::new(conversation.first(count));
            let rendered =
                self.run(conversation, count, add_generation_prompt, &turns).map_err(|error| refusal(&error))?;
            let cut = Cut::of(&rendered, conversation.marks);
            let moved = |piece: Piece| Piece { start: cut.offset(piece.start), end: cut.offset(piece.end), ..piece };
            let (pieces, writes) = turns.into_pieces();
            let pieces = pieces.into_iter().map(moved).collect();
            let writes = writes.into_iter().map(|at| cut.offset(at)).collect();
            Ok(Rendered { text: cut.text, generation_spans: cut.spans, as_text: cut.as_text, pieces, writes })
        })
    }

    fn run(
        &self,
        conversation: &Conversation,
        count: usize,
        add_generation_prompt: bool,
        turns: &Follower,
    ) -> jinja::Result<String> {
        #[cfg(test)]
        self.renderings.fetch_add(1, Ordering::Relaxed);
        let bytes = conversation.bytes as u64;
        let own = BASE_UNITS.saturating_add(bytes.saturating_mul(UNITS_PER_BYTE)).min(MAX_UNITS.max(bytes));
        let shared = u64::try_from(self.shared.load(Ordering::Relaxed)).unwrap_or(0);
        let units = own.min(shared);
        if units == 0 {
            return Err(jinja::Error::new("its renderings so far took more steps than so many conversations may"));
        }
        let variables = self.variables(conversation, count, add_generation_prompt)?;
        let strftime = |format: &str| strftime(format, conversation.moment);
        let most = MAX_OUTPUT.max(conversation.bytes.saturating_mul(MAX_GROWTH));
        let run = Run::new(&self.tree, variables, Budget::new(units), most, &strftime).observed(turns);
        let text = run.render();
        self.settle(conversation.bytes as i64, units.saturating_sub(run.budget().left()) as i64);
        text
    }

    /// Takes what a rendering used from the units of all, and adds what it brought.
    fn settle(&self, bytes: i64, used: i64) {
        let brought = bytes.saturating_mul(SHARED_PER_BYTE).saturating_add(SHARED_PER_RENDERING);
        let settled = |left: i64| Some(left.saturating_add(brought).saturating_sub(used).min(SHARED_UNITS));
        // The closure always gives a value, so the update cannot fail.
        let _ = self.shared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, settled);
    }

    fn variables(
        &self,
        conversation: &Conversation,
        count: usize,
        add_generation_prompt: bool,
    ) -> jinja::Result<Vec<(Arc<str>, Value)>> {
        let mut variables: Vec<(Arc<str>, Value)> = self
            .special_tokens
            .iter()
            .map(|(name, token)| (name.as_str().into(), Value::text(token.as_str())))
            .collect();
        variables.push(("documents".into(), Value::None));
        variables.extend(conversation.variables.iter().map(|(name, value)| (name.as_str().into(), value.clone())));
        variables.push(("messages".into(), Value::list(conversation.first(count).to_vec())?));
        variables.push(("tools".into(), conversation.tools.clone()));
        variables.push(("add_generation_prompt".into(), Value::Bool(add_generation_prompt)));
        let (open, close) = conversation.marks.generation;
        variables.push((OPEN_VARIABLE.into(), Value::text(open.to_string())));
        variables.push((CLOSE_VARIABLE.into(), Value::text(close.to_string())));
        Ok(variables)
    }
}

fn line_of(error: &jinja::Error) -> String {
    error.line.map_or(String::new(), |line| format!(" in line {line}"))
}

fn refusal(error: &jinja::Error) -> TextError {
    let what = format!(
        "expected a conversation it can render, got a refusal{}: {}; change the row or the template",
        line_of(error),
        error.reason
    );
    TextError::template(NAME, &what)
}

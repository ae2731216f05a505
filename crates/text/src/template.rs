//! Chat templates: Jinja, rendered by minijinja the way transformers renders them with jinja2.
//!
//! Templates are untrusted code. They get no file, environment or network access; time is limited by fuel, output by
//! size, depth by the engine's recursion limit.

use std::collections::BTreeMap;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use sha2::{Digest, Sha256};

use crate::clock::strftime_now;
use crate::conversation::Conversation;
use crate::error::{Result, TextError};
use crate::generation_tags::{self, CLOSE_VARIABLE, OPEN_VARIABLE};
use crate::guard::guarded;
use crate::python;

const NAME: &str = "chat template";
/// Longest rendering, in bytes.
const MAX_OUTPUT: usize = 8 << 20;
/// Instructions a rendering may take, before what each byte of the conversation adds.
const BASE_FUEL: u64 = 1_000_000;
const FUEL_PER_BYTE: u64 = 16;
/// Most instructions of any rendering.
pub(crate) const MAX_FUEL: u64 = 3_000_000;

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text to tokenise (without adding special tokens: the template has written them).
    pub text: String,
    /// What stood between `{% generation %}` tags: byte offsets in `text`, start inclusive, end exclusive. Empty
    /// without tags.
    pub generation_spans: Vec<(usize, usize)>,
}

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    /// Variables every rendering gets: `bos_token`, `eos_token` and so on.
    special_tokens: BTreeMap<String, Value>,
    sha256: String,
    has_generation_tags: bool,
}

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` are the named ones that exist, as transformers gives them (`bos_token` →
    /// `<s>`).
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` with the line when it does not parse.
    pub fn compile(source: &str, special_tokens: &BTreeMap<String, String>) -> Result<Self> {
        let rewritten = generation_tags::rewrite(source);
        let environment = guarded(NAME, TextError::template, || {
            // jinja2 reads every line end as one newline character.
            let source = rewritten.source.replace("\r\n", "\n");
            let compiled = environment()
                .and_then(|mut environment| environment.add_template_owned(NAME, source).map(|()| environment));
            compiled.map_err(|error| {
                let line = error.line().map_or(String::new(), |line| format!(" in line {line}"));
                TextError::template(
                    NAME,
                    &format!("expected a Jinja template, got a syntax error{line} ({error}); correct the template"),
                )
            })
        })?;
        let special_tokens =
            special_tokens.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))).collect();
        let sha256 = format!("{:x}", Sha256::digest(source));
        Ok(Self { environment, special_tokens, sha256, has_generation_tags: rewritten.has_tags })
    }

    /// SHA-256 of the source, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
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
            let mut environment = self.environment.clone();
            environment.set_fuel(Some((BASE_FUEL + FUEL_PER_BYTE * conversation.bytes as u64).min(MAX_FUEL)));
            let mut out = Limited(Vec::new());
            environment
                .get_template(NAME)
                .and_then(|template| {
                    template
                        .render_captured_to(self.context(conversation, count, add_generation_prompt), &mut out)
                        .map(drop)
                })
                .map_err(|error| refusal(&error))?;
            let rendered = String::from_utf8_lossy(&out.0);
            let (text, generation_spans) = generation_tags::cut(&rendered, conversation.marks.0, conversation.marks.1);
            Ok(Rendered { text, generation_spans })
        })
    }

    fn context(&self, conversation: &Conversation, count: usize, add_generation_prompt: bool) -> Value {
        let mut variables = self.special_tokens.clone();
        variables.insert("documents".to_owned(), Value::from(()));
        variables.extend(conversation.variables.iter().cloned());
        variables.insert("messages".to_owned(), Value::from(conversation.messages[..count].to_vec()));
        variables.insert("tools".to_owned(), conversation.tools.clone());
        variables.insert("add_generation_prompt".to_owned(), Value::from(add_generation_prompt));
        variables.insert(OPEN_VARIABLE.to_owned(), Value::from(conversation.marks.0.to_string()));
        variables.insert(CLOSE_VARIABLE.to_owned(), Value::from(conversation.marks.1.to_string()));
        Value::from(variables)
    }
}

/// An environment with transformers' settings.
fn environment() -> std::result::Result<Environment<'static>, Error> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(python::format_output);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", |value: Value, options: Kwargs| python::tojson(&value, &options));
    environment.add_filter("string", |value: Value| python::to_str(&value));
    environment.add_function("strftime_now", |format: String| strftime_now(&format));
    environment.add_function("raise_exception", |message: String| -> std::result::Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    Ok(environment)
}

fn refusal(error: &Error) -> TextError {
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let line = error.line().map_or(String::new(), |line| format!(" in line {line}"));
    TextError::template(
        NAME,
        &format!(
            "expected a conversation it can render, got a refusal{line}: {reason}; change the row or the template"
        ),
    )
}

/// Takes [`MAX_OUTPUT`] bytes and refuses more.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::other("the rendered text is longer than 8 MB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

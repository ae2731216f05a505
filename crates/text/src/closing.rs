//! The special tokens of a tokenizer, and how they close a turn.

use crate::ends::before;

/// The tokens that may close a turn, every special token of the vocabulary, and the other added tokens, as texts.
pub(crate) struct SpecialTokens {
    special: Vec<String>,
    added: Vec<String>,
}

/// How a turn ends: offset after the closing tokens, and how many there are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// Byte offset after the last of them.
    pub end: usize,
    /// Number of closing tokens.
    pub count: usize,
}

impl SpecialTokens {
    /// From the tokens' texts; `added` are those that are not special. A token without text is none.
    pub fn new(mut special: Vec<String>, mut added: Vec<String>) -> Self {
        [&mut special, &mut added].into_iter().for_each(|tokens| tokens.retain(|token| !token.is_empty()));
        Self { special, added }
    }

    /// The special tokens' texts.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        self.special.iter()
    }

    /// True where a header may end: after a token or white space.
    pub fn ends_piece(&self, text: &str) -> bool {
        text.ends_with(char::is_whitespace)
            || self.special.iter().chain(&self.added).any(|token| text.ends_with(token.as_str()))
    }

    /// The longest special token that `text` ends with.
    pub fn ends(&self, text: &str) -> Option<&str> {
        self.special.iter().map(String::as_str).filter(|token| text.ends_with(token)).max_by_key(|token| token.len())
    }

    /// The special tokens `text` ends with, whitespace between them allowed: byte ranges, first to last.
    fn trailing_run(&self, text: &str) -> Vec<(usize, usize)> {
        let mut run = Vec::new();
        let mut rest = text.trim_end();
        while let Some(before) = self.ends(rest).and_then(|token| rest.strip_suffix(token)) {
            run.push((before.len(), rest.len()));
            rest = before.trim_end();
        }
        run.reverse();
        run
    }

    /// How the last turn of `text` is closed: by the first special token after its content and those that touch it. A
    /// turn without closing token ends with its last character that is not whitespace.
    pub fn closing(&self, text: &str, content: &str) -> Closing {
        let run = self.trailing_run(text);
        // A content may itself end in special tokens; those do not close the turn.
        let first = self.trailing_run(content).len().min(run.len().saturating_sub(1));
        let closing = run.get(first..).unwrap_or_default();
        let touch = |pair: &&[(usize, usize)]| matches!(pair, [(_, end), (start, _)] if end == start);
        let more = closing.windows(2).take_while(touch).count();
        match closing.get(more) {
            Some(&(_, end)) => Closing { end, count: more.saturating_add(1) },
            None => Closing { end: text.trim_end().len(), count: 0 },
        }
    }

    /// Where the special tokens begin that `text` ends with: those in its last `shared` bytes, at least the last one.
    pub fn last_of(&self, text: &str, shared: usize) -> usize {
        let run = self.trailing_run(text);
        let from = text.len().saturating_sub(shared);
        let starts = || run.iter().map(|&(start, _)| start);
        starts().find(|start| *start >= from).or(starts().next_back()).unwrap_or(text.len())
    }

    /// The end of `count` touching special tokens, the first of which is the next at or after `from`.
    pub fn run_from(&self, text: &str, from: usize, count: usize) -> Option<usize> {
        if count == 0 {
            return Some(from);
        }
        let rest = &text[from..];
        let first = self.special.iter().filter_map(|token| rest.find(token.as_str())).min()?;
        let mut rest = &rest[first..];
        for _ in 0..count {
            rest = self.after_token(rest)?;
        }
        Some(before(text, rest).len())
    }

    /// What follows the longest special token that `text` begins with.
    fn after_token<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.special.iter().filter_map(|token| text.strip_prefix(token.as_str())).min_by_key(|after| after.len())
    }

    /// Length of the special tokens that `text` begins with and that touch each other; whitespace may stand in front.
    pub fn leading_run(&self, text: &str) -> usize {
        let mut rest = text.trim_start();
        let mut end = 0;
        while let Some(after) = self.after_token(rest) {
            end = before(text, after).len();
            rest = after;
        }
        end
    }

    /// The offset itself, or the start of the token that it would split.
    pub fn whole(&self, text: &str, offset: usize) -> usize {
        let splits = |token: &String| {
            let first = offset.saturating_sub(token.len().saturating_sub(1));
            (first..offset).find(|&at| text.is_char_boundary(at) && text[at..].starts_with(token.as_str()))
        };
        self.special.iter().chain(&self.added).filter_map(splits).min().unwrap_or(offset)
    }
}

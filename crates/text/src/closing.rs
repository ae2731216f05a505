//! The special tokens of a tokenizer, and how they close a turn.

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
    /// From the tokens' texts; `added` are those that are not special.
    pub fn new(special: Vec<String>, added: Vec<String>) -> Self {
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
        while let Some(token) = self.ends(rest) {
            run.push((rest.len() - token.len(), rest.len()));
            rest = rest[..rest.len() - token.len()].trim_end();
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
        let closing = &run[first..];
        let count = closing.len().min(1 + closing.windows(2).take_while(|pair| pair[0].1 == pair[1].0).count());
        let end = if count == 0 { text.trim_end().len() } else { closing[count - 1].1 };
        Closing { end, count }
    }

    /// The end of `count` touching special tokens, the first of which is the next at or after `from`.
    pub fn run_from(&self, text: &str, from: usize, count: usize) -> Option<usize> {
        if count == 0 {
            return Some(from);
        }
        let mut end = self
            .special
            .iter()
            .filter_map(|token| text[from..].find(token.as_str()).map(|at| (at, token.len())))
            .min_by_key(|&(at, length)| (at, usize::MAX - length))
            .map(|(at, length)| from + at + length)?;
        for _ in 1..count {
            end +=
                self.special.iter().filter(|token| text[end..].starts_with(token.as_str())).map(String::len).max()?;
        }
        Some(end)
    }

    /// Length of the special tokens that `text` begins with and that touch each other; whitespace may stand in front.
    pub fn leading_run(&self, text: &str) -> usize {
        let mut at = text.len() - text.trim_start().len();
        let mut end = 0;
        while let Some(length) =
            self.special.iter().filter(|token| text[at..].starts_with(token.as_str())).map(String::len).max()
        {
            at += length;
            end = at;
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

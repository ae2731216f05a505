//! The lexer: text outside tags with jinja2's whitespace control (`trim_blocks`, `lstrip_blocks`, `-` and `+` in tags),
//! and the tokens inside them.

use num_bigint::BigInt;

use super::super::error::{Error, Result};
use super::super::letters::is_space;
use super::escapes::unescape;
use super::token::{Kind, Token};

/// Operators and brackets, longer ones first.
const SIGNS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",",
];

/// Cuts a template into tokens.
pub(crate) fn lex(source: &str) -> Result<Vec<Token>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, at: 0, counted: 0, line: 1, tokens: Vec::new() };
    while lexer.at < source.len() {
        lexer.outside().map_err(|error| error.at(lexer.line))?;
    }
    lexer.push(source.len(), Kind::End);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Up to where line ends are counted in `line`.
    counted: usize,
    line: u32,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Adds the token that begins at `start`.
    fn push(&mut self, start: usize, kind: Kind) {
        self.count_lines(start);
        self.tokens.push(Token { kind, line: self.line });
    }

    fn count_lines(&mut self, upto: usize) {
        self.line += self.source[self.counted..upto].matches('\n').count() as u32;
        self.counted = upto;
    }

    /// Text up to the next tag, and the tag.
    fn outside(&mut self) -> Result<()> {
        let rest = self.rest();
        let opening = |pair: &[u8]| matches!(pair, b"{{" | b"{%" | b"{#");
        let Some(length) = rest.as_bytes().windows(2).position(opening) else {
            self.data(rest);
            self.at = self.source.len();
            return Ok(());
        };
        let tag = &rest[length..];
        let sign = tag[2..].chars().next().filter(|sign| matches!(sign, '-' | '+'));
        self.data(self.stripped(&rest[..length], sign, tag.starts_with("{{")));
        let start = self.at + length;
        let inside = start + 2 + usize::from(sign.is_some());
        match &tag[..2] {
            "{#" => self.comment(start, inside),
            "{{" => self.code(start, inside, Kind::PrintBegin),
            _ => match raw_begin(&self.source[inside..]) {
                Some(length) => self.raw(start, inside + length),
                None => self.code(start, inside, Kind::BlockBegin),
            },
        }
    }

    fn data(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(self.at, Kind::Data(text.to_owned()));
        }
    }

    /// The text before a tag, without the whitespace that the tag takes away.
    fn stripped<'t>(&self, text: &'t str, sign: Option<char>, is_print: bool) -> &'t str {
        if sign == Some('-') {
            return text.trim_end_matches(is_space);
        }
        if sign == Some('+') || is_print {
            return text;
        }
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let begins_line = line > 0 || self.at == 0 || self.source[..self.at].ends_with('\n');
        if begins_line && text[line..].chars().all(is_space) { &text[..line] } else { text }
    }

    fn comment(&mut self, start: usize, inside: usize) -> Result<()> {
        let rest = &self.source[inside..];
        let end = rest.find("#}").ok_or_else(|| Error::new("a comment has no end"))?;
        let sign = rest[..end].chars().next_back().filter(|sign| matches!(sign, '-' | '+'));
        self.count_lines(start);
        self.at = self.after_end(inside + end + 2, sign, true);
        Ok(())
    }

    /// Where the template goes on after a closing delimiter that ends at `at`.
    fn after_end(&self, at: usize, sign: Option<char>, trims_line: bool) -> usize {
        let rest = &self.source[at..];
        match sign {
            Some('-') => self.source.len() - rest.trim_start_matches(is_space).len(),
            None if trims_line && rest.starts_with('\n') => at + 1,
            _ => at,
        }
    }

    /// A raw block whose text begins at `from`.
    fn raw(&mut self, start: usize, from: usize) -> Result<()> {
        self.count_lines(start);
        let mut search = from;
        loop {
            let found = self.source[search..].find("{%").ok_or_else(|| Error::new("a raw block has no end"))?;
            let tag = search + found;
            let sign = self.source[tag + 2..].chars().next().filter(|sign| matches!(sign, '-' | '+'));
            let name = tag + 2 + usize::from(sign.is_some());
            if let Some(length) = raw_tag(&self.source[name..], "endraw") {
                self.at = from;
                self.data(self.stripped(&self.source[from..tag], sign, false));
                let (end, sign) = closing(&self.source[name + length..], "%}").unwrap_or((0, None));
                self.at = self.after_end(name + length + end, sign, true);
                return Ok(());
            }
            search = tag + 2;
        }
    }

    /// The tokens of a tag up to and with its end.
    fn code(&mut self, start: usize, inside: usize, begin: Kind) -> Result<()> {
        let (end, end_kind, is_block) = match begin {
            Kind::BlockBegin => ("%}", Kind::BlockEnd, true),
            _ => ("}}", Kind::PrintEnd, false),
        };
        self.push(start, begin);
        self.at = inside;
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            self.at = self.source.len() - self.rest().trim_start_matches(is_space).len();
            if self.at == self.source.len() {
                return Ok(());
            }
            let closed =
                closing(self.rest(), end).filter(|(_, sign)| open.is_empty() && (is_block || *sign != Some('+')));
            if let Some((length, sign)) = closed {
                self.push(self.at, end_kind);
                self.at = self.after_end(self.at + length, sign, is_block);
                return Ok(());
            }
            let kind = self.token()?;
            if let Kind::Sign(sign) = kind {
                match sign {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" if open.pop() != Some(sign) => {
                        return Err(Error::new(format!("unexpected '{sign}'")));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Reads one token.
    fn token(&mut self) -> Result<Kind> {
        let (start, rest) = (self.at, self.rest());
        let first = rest.chars().next().unwrap_or_default();
        let (kind, length) = if first.is_ascii_digit() {
            number(rest, self.source[..start].ends_with('.'))?
        } else if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Kind::Name(rest[..length].into()), length)
        } else if matches!(first, '\'' | '"') {
            let end = string_end(rest).ok_or_else(|| Error::new("a string has no end"))?;
            (Kind::Text(unescape(&rest[1..end])?.into()), end + 1)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| Error::new(format!("unexpected character {first:?}")))?;
            (Kind::Sign(sign), sign.len())
        };
        self.push(start, kind.clone());
        self.at = start + length;
        Ok(kind)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length and sign of the closing delimiter that `rest` begins with.
fn closing(rest: &str, end: &str) -> Option<(usize, Option<char>)> {
    let sign = rest.chars().next().filter(|sign| matches!(sign, '-' | '+'));
    let skipped = usize::from(sign.is_some());
    rest[skipped..].starts_with(end).then_some((skipped + end.len(), sign))
}

/// Length of `NAME` with the whitespace around it, before a closing delimiter.
fn raw_tag(rest: &str, name: &str) -> Option<usize> {
    let after = rest.trim_start_matches(is_space).strip_prefix(name)?.trim_start_matches(is_space);
    closing(after, "%}").map(|_| rest.len() - after.len())
}

/// Length of a tag `raw` up to the text of its block. Its end does not take the line's end with it.
fn raw_begin(rest: &str) -> Option<usize> {
    let name = raw_tag(rest, "raw")?;
    let (length, sign) = closing(&rest[name..], "%}").filter(|(_, sign)| *sign != Some('+'))?;
    let after = &rest[name + length..];
    let skipped = if sign.is_some() { after.len() - after.trim_start_matches(is_space).len() } else { 0 };
    Some(name + length + skipped)
}

/// Index of the quote that ends the string `rest` begins with.
fn string_end(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == bytes[0] => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A number and its length. After a dot (`x.0.1`) there are only integers.
fn number(rest: &str, after_dot: bool) -> Result<(Kind, usize)> {
    if let Some(length) = float_length(rest).filter(|_| !after_dot) {
        let float = rest[..length].replace('_', "").parse();
        return float.map(|float| (Kind::Float(float), length)).map_err(|_| Error::new("a number cannot be read"));
    }
    let bytes = rest.as_bytes();
    let radix = match bytes.get(1).map(u8::to_ascii_lowercase) {
        Some(b'x') if bytes[0] == b'0' => 16,
        Some(b'o') if bytes[0] == b'0' => 8,
        Some(b'b') if bytes[0] == b'0' => 2,
        _ => 10,
    };
    let (prefix, mut length) = if radix == 10 { (0, 0) } else { (2, 2) };
    length += digits(&bytes[prefix..], radix, radix != 10);
    if radix == 10 && bytes[0] == b'0' {
        length = digits(bytes, 1, false);
    }
    let int = BigInt::parse_bytes(rest[prefix..length].replace('_', "").as_bytes(), radix);
    int.map(|int| (Kind::Int(int), length)).ok_or_else(|| Error::new("a number cannot be read"))
}

/// Length of digits with single underscores between them; radix 1 means zeros.
fn digits(bytes: &[u8], radix: u32, leading_underscore: bool) -> usize {
    let is_digit = |at: usize| {
        bytes.get(at).is_some_and(|&byte| (byte as char).is_digit(radix.max(2)) && (radix > 1 || byte == b'0'))
    };
    let mut at = 0;
    loop {
        if is_digit(at) {
            at += 1;
        } else if bytes.get(at) == Some(&b'_') && (at > 0 || leading_underscore) && is_digit(at + 1) {
            at += 2;
        } else {
            return at;
        }
    }
}

/// Length of a float: it has a fraction, an exponent, or both.
fn float_length(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let whole = digits(bytes, 10, false);
    let mut at = whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(&bytes[at + 1..], 10, false);
        at += if fraction > 0 { 1 + fraction } else { 0 };
    }
    if bytes.get(at).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
        let sign = usize::from(bytes.get(at + 1).is_some_and(|byte| matches!(byte, b'+' | b'-')));
        let exponent = digits(&bytes[at + 1 + sign..], 10, false);
        at += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    (at > whole).then_some(at)
}

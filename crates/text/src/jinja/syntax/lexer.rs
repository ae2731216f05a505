//! The lexer: text outside tags with jinja2's whitespace control (`trim_blocks`, `lstrip_blocks`, `-` and `+` in tags),
//! and the tokens inside them.

use num_bigint::BigInt;

use crate::ends::before;

use super::super::error::{Error, Result};
use super::super::letters::is_space;
use super::escapes::unescape;
use super::token::{Kind, Token};

/// Operators and brackets, longer ones first.
const SIGNS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",",
];

/// Cuts a template into tokens; the last is the end.
pub(crate) fn lex(source: &str) -> Result<(Vec<Token>, Token)> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { rest: source, last: None, line: 1, tokens: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.outside().map_err(|error| error.at(lexer.line))?;
    }
    Ok((lexer.tokens, Token { kind: Kind::End, line: lexer.line }))
}

struct Lexer<'a> {
    rest: &'a str,
    /// The letter before the rest.
    last: Option<char>,
    line: u32,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    /// Adds the token that begins here.
    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, line: self.line });
    }

    /// Goes on at `after`, an end of the rest.
    fn go_on(&mut self, after: &'a str) {
        let passed = before(self.rest, after);
        self.line = self.line.saturating_add(passed.matches('\n').count() as u32);
        self.last = passed.chars().next_back().or(self.last);
        self.rest = after;
    }

    /// Text up to the next tag, and the tag.
    fn outside(&mut self) -> Result<()> {
        let opening = |pair: &[u8]| matches!(pair, b"{{" | b"{%" | b"{#");
        let length = self.rest.as_bytes().windows(2).position(opening).unwrap_or(self.rest.len());
        let (text, tag) = self.rest.split_at(length);
        let Some((delimiter, inside)) = tag.split_at_checked(2) else {
            self.data(text);
            self.go_on(tag);
            return Ok(());
        };
        let (sign, inside) = signed(inside);
        self.data(self.stripped(text, sign, delimiter == "{{"));
        self.go_on(tag);
        match delimiter {
            "{#" => self.comment(inside),
            "{{" => self.code(inside, Kind::PrintBegin),
            _ => match raw_begin(inside) {
                Some(text) => self.raw(text),
                None => self.code(inside, Kind::BlockBegin),
            },
        }
    }

    fn data(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(Kind::Data(text.to_owned()));
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
        let without = text.trim_end_matches(|c| is_space(c) && c != '\n');
        let begins_line = without.chars().next_back().or(self.last).is_none_or(|c| c == '\n');
        if begins_line { without } else { text }
    }

    fn comment(&mut self, inside: &'a str) -> Result<()> {
        let (text, after) = inside.split_once("#}").ok_or_else(|| Error::new("a comment has no end"))?;
        let sign = text.chars().next_back().filter(|sign| matches!(sign, '-' | '+'));
        self.go_on(after_end(after, sign, true));
        Ok(())
    }

    /// A raw block with its text and all that follows.
    fn raw(&mut self, block: &'a str) -> Result<()> {
        let end = block.match_indices("{%").find_map(|(at, opening)| {
            let (text, tag) = block.split_at(at);
            let (sign, name) = signed(tag.strip_prefix(opening)?);
            Some((text, sign, raw_tag(name, "endraw")?))
        });
        let (text, sign, (end_sign, after)) = end.ok_or_else(|| Error::new("a raw block has no end"))?;
        self.go_on(block);
        self.data(self.stripped(text, sign, false));
        self.go_on(after_end(after, end_sign, true));
        Ok(())
    }

    /// The tokens of a tag up to and with its end.
    fn code(&mut self, inside: &'a str, begin: Kind) -> Result<()> {
        let (end, end_kind, is_block) = match begin {
            Kind::BlockBegin => ("%}", Kind::BlockEnd, true),
            _ => ("}}", Kind::PrintEnd, false),
        };
        self.push(begin);
        self.go_on(inside);
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            self.go_on(self.rest.trim_start_matches(is_space));
            if self.rest.is_empty() {
                return Ok(());
            }
            let closed =
                closing(self.rest, end).filter(|(sign, _)| open.is_empty() && (is_block || *sign != Some('+')));
            if let Some((sign, after)) = closed {
                self.push(end_kind);
                self.go_on(after_end(after, sign, is_block));
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
        let rest = self.rest;
        let first = rest.chars().next().unwrap_or_default();
        let (kind, after) = if first.is_ascii_digit() {
            number(rest, self.last == Some('.'))?
        } else if is_word(first) {
            let after = rest.trim_start_matches(is_word);
            (Kind::Name(before(rest, after).into()), after)
        } else if matches!(first, '\'' | '"') {
            let (literal, after) = string(rest, first).ok_or_else(|| Error::new("a string has no end"))?;
            (Kind::Text(unescape(literal)?.into()), after)
        } else {
            let found = SIGNS.into_iter().find_map(|sign| Some((Kind::Sign(sign), rest.strip_prefix(sign)?)));
            found.ok_or_else(|| Error::new(format!("unexpected character {first:?}")))?
        };
        self.push(kind.clone());
        self.go_on(after);
        Ok(kind)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The sign at the edge of a tag, and what follows it.
fn signed(rest: &str) -> (Option<char>, &str) {
    let after = rest.strip_prefix(['-', '+']);
    (after.and_then(|_| rest.chars().next()), after.unwrap_or(rest))
}

/// Sign of the closing delimiter that `rest` begins with, and what follows it.
fn closing<'a>(rest: &'a str, end: &str) -> Option<(Option<char>, &'a str)> {
    let (sign, after) = signed(rest);
    Some((sign, after.strip_prefix(end)?))
}

/// Where the template goes on after a closing delimiter.
fn after_end(after: &str, sign: Option<char>, trims_line: bool) -> &str {
    match sign {
        Some('-') => after.trim_start_matches(is_space),
        None if trims_line => after.strip_prefix('\n').unwrap_or(after),
        _ => after,
    }
}

/// The closing delimiter after `NAME` with whitespace around it.
fn raw_tag<'a>(rest: &'a str, name: &str) -> Option<(Option<char>, &'a str)> {
    let after = rest.trim_start_matches(is_space).strip_prefix(name)?.trim_start_matches(is_space);
    closing(after, "%}")
}

/// The text after a tag `raw`. Its end does not take the line's end with it.
fn raw_begin(rest: &str) -> Option<&str> {
    let (sign, text) = raw_tag(rest, "raw").filter(|(sign, _)| *sign != Some('+'))?;
    Some(if sign.is_some() { text.trim_start_matches(is_space) } else { text })
}

/// The literal between two quotes, and what follows it.
fn string(rest: &str, quote: char) -> Option<(&str, &str)> {
    let mut escaped = false;
    let ends = |c: char| {
        let plain = !std::mem::take(&mut escaped);
        escaped = plain && c == '\\';
        plain && c == quote
    };
    let inside = rest.strip_prefix(quote)?;
    let (literal, end) = inside.split_at(inside.find(ends)?);
    Some((literal, end.strip_prefix(quote)?))
}

/// A number and what follows it. After a dot (`x.0.1`) there are only integers.
fn number(rest: &str, after_dot: bool) -> Result<(Kind, &str)> {
    let unread = || Error::new("a number cannot be read");
    if let Some(after) = after_float(rest).filter(|_| !after_dot) {
        let float = before(rest, after).replace('_', "").parse();
        return float.map(|float| (Kind::Float(float), after)).map_err(|_| unread());
    }
    let (text, radix) = match rest.get(..2).unwrap_or_default() {
        "0x" | "0X" => (&rest[2..], 16),
        "0o" | "0O" => (&rest[2..], 8),
        "0b" | "0B" => (&rest[2..], 2),
        _ => (rest, 10),
    };
    // A zero is not followed by other digits.
    let after = if text.starts_with('0') && radix == 10 { digits(text, 1) } else { digits(text, radix) };
    let int = BigInt::parse_bytes(before(text, after).replace('_', "").as_bytes(), radix);
    int.map(|int| (Kind::Int(int), after)).ok_or_else(unread)
}

/// What follows digits with single underscores between them, and before them after a prefix; radix 1 means zeros.
fn digits(rest: &str, radix: u32) -> &str {
    let is_digit = |c: char| c.is_digit(radix.max(2)) && (radix > 1 || c == '0');
    let (mut after, mut underscore) = (rest, !matches!(radix, 1 | 10));
    loop {
        let digit = after.strip_prefix('_').filter(|_| underscore).unwrap_or(after);
        let Some(next) = digit.strip_prefix(is_digit) else { return after };
        (after, underscore) = (next, true);
    }
}

/// What follows a float: it has a fraction, an exponent, or both.
fn after_float(rest: &str) -> Option<&str> {
    fn after_digits(rest: &str) -> Option<&str> {
        Some(digits(rest, 10)).filter(|after| after.len() < rest.len())
    }
    let whole = digits(rest, 10);
    let fraction = whole.strip_prefix('.').and_then(after_digits);
    let after = fraction.unwrap_or(whole);
    let exponent = after.strip_prefix(['e', 'E']);
    let exponent = exponent.and_then(|digits| after_digits(digits.strip_prefix(['+', '-']).unwrap_or(digits)));
    exponent.or(fraction)
}

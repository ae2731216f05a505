//! Escapes in string literals: those of Python's `unicode_escape`, which jinja2 decodes with.

use super::super::error::{Error, Result, refuse};

/// The text of a literal without its quotes.
pub(crate) fn unescape(literal: &str) -> Result<String> {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        rest = escape(after, &mut out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads what follows a backslash; returns what follows the escape.
fn escape<'a>(rest: &'a str, out: &mut String) -> Result<&'a str> {
    let Some(first) = rest.chars().next() else { return refuse("a string ends in a backslash") };
    let after = &rest[first.len_utf8()..];
    let plain = match first {
        '\n' => return Ok(after),
        '\\' | '\'' | '"' => first,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => return code(after, 2, out),
        'u' => return code(after, 4, out),
        'U' => return code(after, 8, out),
        'N' => return named(after, out),
        '0'..='7' => {
            let digits = rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            push(u32::from_str_radix(&rest[..digits], 8).ok(), out)?;
            return Ok(&rest[digits..]);
        }
        // The decoder sees letters beyond ASCII as escapes of their own, which a backslash before them undoes.
        beyond if !beyond.is_ascii() => {
            out.push_str(&spelled(beyond));
            return Ok(after);
        }
        other => {
            out.push('\\');
            other
        }
    };
    out.push(plain);
    Ok(after)
}

fn code<'a>(rest: &'a str, digits: usize, out: &mut String) -> Result<&'a str> {
    let hex = rest.get(..digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let hex =
        hex.ok_or_else(|| Error::new(format!("a string has an escape without its {digits} hexadecimal digits")))?;
    push(u32::from_str_radix(hex, 16).ok(), out)?;
    Ok(&rest[digits..])
}

fn named<'a>(rest: &'a str, out: &mut String) -> Result<&'a str> {
    let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let (name, after) = inside.ok_or_else(|| Error::new("a string has \\N without {NAME}"))?;
    let letter = unicode_names2::character(name);
    out.push(letter.ok_or_else(|| Error::new(format!("a string names the unknown character {name:?}")))?);
    Ok(after)
}

fn push(code: Option<u32>, out: &mut String) -> Result<()> {
    match code.and_then(char::from_u32) {
        Some(letter) => out.push(letter),
        None => {
            return refuse("a string has an escape that is no character (half of a surrogate pair, or out of range)");
        }
    }
    Ok(())
}

fn spelled(letter: char) -> String {
    let code = letter as u32;
    match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes_are_those_of_python() {
        let cases = [
            (r"\x41\u00fc\U0001F600\101\0", "Aü😀A\0"),
            (r"\a\b\f\v\q\'", "\u{7}\u{8}\u{c}\u{b}\\q'"),
            ("a\\\nb", "ab"),
            (r"\N{BULLET}é", "•é"),
            (r"\é", r"\xe9"),
        ];
        for (literal, text) in cases {
            assert_eq!(unescape(literal).unwrap(), text, "{literal}");
        }
        for literal in [r"\x4", r"\ud83d", r"\U00110000", r"\N{no such}", "\\"] {
            assert!(unescape(literal).is_err(), "{literal}");
        }
    }
}

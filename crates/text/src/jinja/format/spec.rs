//! What stands after the colon in `{:>8.2f}`: `[[fill]align][sign][#][0][width][grouping][.precision][type]`.

use super::super::error::{Error, Result, refuse};
use super::super::methods::filled;
use super::super::run::Run;
use super::super::value::{Value, float_of, to_big, to_text};
use super::floats::{MAX_PRECISION, presented, shortest};

#[derive(Debug, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// A value by a format specification.
pub(super) fn formatted(run: &Run, value: &Value, text: &str) -> Result<String> {
    if text.is_empty() {
        return to_text(value, run.budget());
    }
    let spec = Spec::read(text)?;
    match value {
        Value::Text(text) | Value::Markup(text) => spec.text(run, text),
        Value::Int(_) | Value::Big(_) | Value::Bool(_) => spec.integer(run, value),
        Value::Float(float) => spec.float(run, *float),
        Value::Undefined(_) => spec.text(run, ""),
        other => refuse(format!("unsupported format string passed to {}.__format__", other.type_name())),
    }
}

impl Spec {
    fn read(text: &str) -> Result<Self> {
        let mut spec = Self::default();
        let mut rest = text;
        let mut letters = text.chars();
        let (first, second) = (letters.next(), letters.next());
        let is_align = |c: &char| matches!(c, '<' | '>' | '=' | '^');
        if let (Some(fill), Some(align)) = (first, second.filter(is_align)) {
            (spec.fill, spec.align) = (Some(fill), Some(align));
            rest = letters.as_str();
        } else {
            spec.align = next(&mut rest, "<>=^");
        }
        spec.sign = next(&mut rest, "+- ");
        spec.alternate = next(&mut rest, "#").is_some();
        spec.zero = next(&mut rest, "0").is_some();
        spec.width = number(&mut rest).unwrap_or(0);
        spec.grouping = next(&mut rest, ",_");
        if next(&mut rest, ".").is_some() {
            spec.precision = Some(number(&mut rest).ok_or_else(|| Error::new("Format specifier missing precision"))?);
        }
        let mut kind = rest.chars();
        spec.kind = kind.next();
        if kind.as_str().is_empty() { Ok(spec) } else { refuse(format!("Invalid format specifier '{text}'")) }
    }

    fn text(&self, run: &Run, text: &str) -> Result<String> {
        let wrong = self.sign.is_some() || self.alternate || self.grouping.is_some() || self.align == Some('=');
        if wrong || self.kind.is_some_and(|kind| kind != 's') {
            return refuse("a format of numbers is given to text");
        }
        let cut = self.precision.unwrap_or(usize::MAX);
        let text: String = text.chars().take(cut).collect();
        let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
        self.padded(run, "", &text, self.align.unwrap_or('<'), fill)
    }

    fn integer(&self, run: &Run, value: &Value) -> Result<String> {
        let Some(int) = to_big(value) else { return refuse("expected an integer") };
        let (radix, prefix) = match self.kind {
            None if matches!(value, Value::Bool(_)) && self.is_plain() => {
                return to_text(value, run.budget());
            }
            None | Some('d' | 'n') => (10, ""),
            Some('b') => (2, "0b"),
            Some('o') => (8, "0o"),
            Some('x') => (16, "0x"),
            Some('X') => (16, "0X"),
            Some('c') => {
                let letter = u32::try_from(&int).ok().and_then(char::from_u32);
                let letter = letter.ok_or_else(|| Error::new("%c arg not in range"))?;
                return self.padded(run, "", &letter.to_string(), self.align.unwrap_or('<'), self.fill.unwrap_or(' '));
            }
            Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
                let float = float_of(value).filter(|float| float.is_finite());
                return self.float(run, float.ok_or_else(|| Error::new("int too large to convert to float"))?);
            }
            Some(kind) => return refuse(format!("Unknown format code '{kind}' for object of type 'int'")),
        };
        if self.precision.is_some() {
            return refuse("Precision not allowed in integer format specifier");
        }
        let digits = int.magnitude().to_str_radix(radix);
        let digits = if self.kind == Some('X') { digits.to_uppercase() } else { digits };
        let prefix = if self.alternate { prefix } else { "" };
        self.number(run, int.sign() == num_bigint::Sign::Minus, prefix, &digits, if radix == 10 { 3 } else { 4 })
    }

    fn is_plain(&self) -> bool {
        self.width == 0 && self.sign.is_none() && self.align.is_none() && self.grouping.is_none()
    }

    fn float(&self, run: &Run, float: f64) -> Result<String> {
        let precision = self.precision;
        if precision.is_some_and(|precision| precision > MAX_PRECISION) {
            return refuse(format!("a precision is more than {MAX_PRECISION} digits"));
        }
        let size = float.abs();
        let digits = match self.kind {
            None => shortest(size, precision),
            Some('%') => presented(size * 100.0, 'f', precision.unwrap_or(6), self.alternate) + "%",
            Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G')) => {
                presented(size, kind, precision.unwrap_or(6), self.alternate)
            }
            Some('n') => presented(size, 'g', precision.unwrap_or(6), self.alternate),
            Some(kind) => return refuse(format!("Unknown format code '{kind}' for object of type 'float'")),
        };
        self.number(run, float.is_sign_negative() && !float.is_nan(), "", &digits, 3)
    }

    /// Sign, prefix, groups of digits and padding of a number.
    fn number(&self, run: &Run, negative: bool, prefix: &str, digits: &str, group: usize) -> Result<String> {
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        let head = format!("{sign}{prefix}");
        let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
        let align = self.align.unwrap_or(if self.zero { '=' } else { '>' });
        let Some(separator) = self.grouping else { return self.padded(run, &head, digits, align, fill) };
        if group == 4 && separator == ',' {
            return refuse("Cannot specify ',' with this type");
        }
        let whole = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let (whole, rest) = if group == 3 {
            digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()))
        } else {
            digits.split_at(whole)
        };
        // Zeros that fill the width are grouped as well.
        let least = if fill == '0' && align == '=' {
            self.width.saturating_sub(head.len()).saturating_sub(rest.len())
        } else {
            0
        };
        run.budget().text(least)?;
        let grouped = grouped(whole, separator, group, least);
        self.padded(run, &head, &format!("{grouped}{rest}"), align, fill)
    }

    fn padded(&self, run: &Run, head: &str, body: &str, align: char, fill: char) -> Result<String> {
        let missing = self.width.saturating_sub(head.chars().count()).saturating_sub(body.chars().count());
        run.budget().text(body.len())?;
        let (left, inner, right) = match align {
            '<' => (0, 0, missing),
            '^' => (missing / 2, 0, missing.div_ceil(2)),
            '=' => (0, missing, 0),
            _ => (missing, 0, 0),
        };
        let [left, inner, right] = [left, inner, right].map(|count| filled(run, fill, count));
        Ok(format!("{}{head}{}{body}{}", left?, inner?, right?))
    }
}

/// Takes one of some letters away.
fn next(rest: &mut &str, wanted: &str) -> Option<char> {
    let found = rest.chars().next().filter(|c| wanted.contains(*c))?;
    *rest = &rest[found.len_utf8()..];
    Some(found)
}

/// Takes digits away; a number beyond all limits stands for itself.
fn number(rest: &mut &str) -> Option<usize> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX))
}

/// Digits in groups, with zeros before them up to `least` letters.
fn grouped(digits: &str, separator: char, group: usize, least: usize) -> String {
    let mut reversed = String::new();
    let mut source = digits.chars().rev();
    for place in 0_usize.. {
        let digit = source.next();
        if digit.is_none() && reversed.len() >= least {
            break;
        }
        if place > 0 && place.is_multiple_of(group) {
            reversed.push(separator);
        }
        reversed.push(digit.unwrap_or('0'));
    }
    reversed.chars().rev().collect()
}

//! `text % values`: `%s`, `%(name)s`, `%-8.3f`.

use num_bigint::{BigInt, Sign};

use super::super::error::{Error, Result, refuse};
use super::super::escape::escape;
use super::super::methods::filled;
use super::super::run::Run;
use super::super::value::{Value, float_of, int_of, parse_int, repr, to_big, to_text};
use super::floats::{MAX_PRECISION, presented};

/// `left % right` where `left` is text.
pub(crate) fn format(run: &Run, left: &Value, right: &Value) -> Result<Value> {
    let text = left.as_text().unwrap_or_default();
    let (values, mapping) = match right {
        Value::Tuple(items) => (items.values.clone(), None),
        Value::Dict(_) => (vec![right.clone()], Some(right)),
        other => (vec![other.clone()], None),
    };
    let is_markup = matches!(left, Value::Markup(_));
    let mut fields = Fields { run, values: values.into_iter(), mapping, is_markup };
    let filled = fields.fill(text)?;
    let list_like = matches!(right, Value::List(_) | Value::Range(_));
    if fields.values.len() > 0 && mapping.is_none() && !list_like {
        return refuse("not all arguments converted during string formatting");
    }
    Ok(if is_markup { Value::Markup(filled.into()) } else { Value::text(filled) })
}

struct Fields<'a, 'b> {
    run: &'a Run<'b>,
    /// Those that no field has taken.
    values: std::vec::IntoIter<Value>,
    mapping: Option<&'a Value>,
    is_markup: bool,
}

#[derive(Default)]
struct Field {
    left: bool,
    sign: Option<char>,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl Fields<'_, '_> {
    fn fill(&mut self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            rest = self.field(after, &mut out)?;
        }
        out.push_str(rest);
        self.run.budget().text(out.len())?;
        Ok(out)
    }

    /// Fills in the field that `rest` begins with; returns what follows it.
    fn field<'t>(&mut self, rest: &'t str, out: &mut String) -> Result<&'t str> {
        let mut rest = rest;
        let mut value = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (key, after) = after.split_once(')').ok_or_else(|| Error::new("incomplete format key"))?;
            let mapping = self.mapping.ok_or_else(|| Error::new("format requires a mapping"))?;
            let Value::Dict(dict) = mapping else { return refuse("format requires a mapping") };
            value = Some(dict.get(key).cloned().ok_or_else(|| Error::new(format!("'{key}' is not given")))?);
            rest = after;
        }
        let mut field = Field::default();
        while let Some(flag) = rest.chars().next().filter(|c| "-+ 0#".contains(*c)) {
            match flag {
                '-' => field.left = true,
                '+' => field.sign = Some('+'),
                ' ' => field.sign = field.sign.or(Some(' ')),
                '0' => field.zero = true,
                _ => field.alternate = true,
            }
            rest = &rest[1..];
        }
        if let Some(width) = self.number(&mut rest)? {
            field.left |= width < 0;
            field.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            field.precision = Some(usize::try_from(self.number(&mut rest)?.unwrap_or(0)).unwrap_or(0));
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        let kind = rest.chars().next().ok_or_else(|| Error::new("incomplete format"))?;
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            out.push('%');
            return Ok(rest);
        }
        let value = match value {
            Some(value) => value,
            None => self.next()?,
        };
        out.push_str(&self.written(&field, kind, &value)?);
        Ok(rest)
    }

    fn next(&mut self) -> Result<Value> {
        self.values.next().ok_or_else(|| Error::new("not enough arguments for format string"))
    }

    /// A number in the format, or `*` for one of the values.
    fn number(&mut self, rest: &mut &str) -> Result<Option<i64>> {
        if let Some(after) = rest.strip_prefix('*') {
            *rest = after;
            let value = self.next()?;
            return int_of(&value).map(Some).ok_or_else(|| Error::new("* wants int"));
        }
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        *rest = after;
        Ok((!digits.is_empty()).then(|| digits.parse().unwrap_or(i64::MAX)))
    }

    fn written(&self, field: &Field, kind: char, value: &Value) -> Result<String> {
        let budget = self.run.budget();
        match kind {
            's' | 'r' | 'a' => {
                let text = if kind == 's' { to_text(value, budget)? } else { repr(value, budget)? };
                let text = if self.is_markup && !matches!(value, Value::Markup(_)) { escape(&text) } else { text };
                let text: String = text.chars().take(field.precision.unwrap_or(usize::MAX)).collect();
                field.padded(self.run, "", &text, false)
            }
            'c' => {
                let letter = match value.as_text() {
                    Some(text) if text.chars().count() == 1 => text.to_owned(),
                    Some(_) => return refuse("%c requires int or char"),
                    None => {
                        let code = int_of(value).and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                        code.ok_or_else(|| Error::new("%c arg not in range(0x110000)"))?.to_string()
                    }
                };
                field.padded(self.run, "", &letter, false)
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
                let int = match value {
                    Value::Float(float) if float.is_finite() && matches!(kind, 'd' | 'i' | 'u') => {
                        parse_int(&format!("{:.0}", float.trunc()), 10)
                    }
                    other => to_big(other),
                };
                let int = int.ok_or_else(|| {
                    value.missing().unwrap_or_else(|| {
                        Error::new(format!("%{kind} format: a number is required, not {}", value.type_name()))
                    })
                })?;
                field.integer(self.run, kind, &int)
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                let float = float_of(value).ok_or_else(|| {
                    value
                        .missing()
                        .unwrap_or_else(|| Error::new(format!("must be real number, not {}", value.type_name())))
                })?;
                let precision = field.precision.unwrap_or(6);
                if precision > MAX_PRECISION {
                    return refuse(format!("a precision is more than {MAX_PRECISION} digits"));
                }
                let digits = presented(float.abs(), kind, precision, field.alternate);
                let negative = float.is_sign_negative() && !float.is_nan();
                field.padded(self.run, field.sign_of(negative), &digits, float.is_finite())
            }
            other => refuse(format!("unsupported format character '{other}'")),
        }
    }
}

impl Field {
    fn sign_of(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(_)) => " ",
            (false, None) => "",
        }
    }

    fn integer(&self, run: &Run, kind: char, int: &BigInt) -> Result<String> {
        let (radix, prefix) = match kind {
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            'o' => (8, "0o"),
            _ => (10, ""),
        };
        let digits = int.magnitude().to_str_radix(radix);
        let digits = if kind == 'X' { digits.to_uppercase() } else { digits };
        let zeros = filled(run, '0', self.precision.unwrap_or(0).saturating_sub(digits.len()))?;
        let prefix = if self.alternate { prefix } else { "" };
        let head = format!("{}{prefix}", self.sign_of(int.sign() == Sign::Minus));
        self.padded(run, &head, &format!("{zeros}{digits}"), true)
    }

    fn padded(&self, run: &Run, head: &str, body: &str, may_zero: bool) -> Result<String> {
        let missing = self.width.saturating_sub(head.chars().count()).saturating_sub(body.chars().count());
        run.budget().text(body.len())?;
        Ok(if self.left {
            format!("{head}{body}{}", filled(run, ' ', missing)?)
        } else if self.zero && may_zero {
            format!("{head}{}{body}", filled(run, '0', missing)?)
        } else {
            format!("{}{head}{body}", filled(run, ' ', missing)?)
        })
    }
}

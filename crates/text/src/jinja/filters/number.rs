//! Filters of numbers.

use super::super::arguments::{Given, flag, int_or, text_or};
use super::super::error::{Error, Result, refuse};
use super::super::letters::is_space;
use super::super::run::Run;
use super::super::value::{Value, float_of, integer, negative, parse_int, to_big};

pub(super) fn abs(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [] = given.bind("abs", [])?;
    match &value {
        Value::Float(float) => Ok(Value::Float(float.abs())),
        Value::Bool(bool) => Ok(Value::Int(i64::from(*bool))),
        Value::Int(int) if *int >= 0 => Ok(value),
        Value::Big(int) if int.sign() == num_bigint::Sign::Plus => Ok(value),
        Value::Int(_) | Value::Big(_) => negative(&value),
        other => Err(other
            .missing()
            .unwrap_or_else(|| Error::new(format!("bad operand type for abs(): '{}'", other.type_name())))),
    }
}

/// Python's `float(text)`.
fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_space);
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let well_formed = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && !plain.ends_with('_')
        && !plain.contains("__")
        && !plain.contains("_.")
        && !plain.contains("._");
    let named = matches!(plain.as_str(), "inf" | "infinity" | "nan");
    if !(well_formed || named) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn truncated(float: f64) -> Result<Option<Value>> {
    if !float.is_finite() {
        return Ok(None);
    }
    parse_int(&format!("{:.0}", float.trunc()), 10).map(integer).transpose()
}

pub(super) fn int(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [default, base] = given.bind("int", ["default", "base"])?;
    let base = u32::try_from(int_or(base.as_ref(), 10)?).ok().filter(|base| *base == 0 || (2..=36).contains(base));
    let base = base.ok_or_else(|| Error::new("int() base must be >= 2 and <= 36, or 0"))?;
    let default = default.unwrap_or(Value::Int(0));
    let found = match &value {
        Value::Text(text) | Value::Markup(text) => match parse_int(text, base) {
            Some(int) => Some(integer(int)?),
            None => parse_float(text).map(truncated).transpose()?.flatten(),
        },
        Value::Float(float) if float.is_infinite() => return refuse("cannot convert float infinity to integer"),
        Value::Float(float) => truncated(*float)?,
        Value::Undefined(_) => return Err(value.missing().unwrap_or_else(|| Error::new("nothing"))),
        other => to_big(other).map(integer).transpose()?,
    };
    Ok(found.unwrap_or(default))
}

pub(super) fn float(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [default] = given.bind("float", ["default"])?;
    if let Some(error) = value.missing() {
        return Err(error);
    }
    let found = match value.as_text() {
        Some(text) => parse_float(text),
        None => float_of(&value),
    };
    Ok(found.map(Value::Float).or(default).unwrap_or(Value::Float(0.0)))
}

pub(super) fn round(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [precision, method] = given.bind("round", ["precision", "method"])?;
    let precision = i32::try_from(int_or(precision.as_ref(), 0)?.clamp(-400, 400)).unwrap_or(0);
    let method = text_or(method.as_ref(), "common")?;
    let number = float_of(&value).ok_or_else(|| {
        value.missing().unwrap_or_else(|| Error::new(format!("type {} cannot be rounded", value.type_name())))
    })?;
    match method {
        "common" => match to_big(&value) {
            Some(int) => integer(round_integer(int, precision)),
            None => Ok(Value::Float(round_float(number, precision))),
        },
        "ceil" | "floor" => {
            let factor = 10_f64.powi(precision);
            let scaled = number * factor;
            let whole = if method == "ceil" { scaled.ceil() } else { scaled.floor() };
            Ok(Value::Float(whole / factor))
        }
        _ => refuse("method must be common, ceil or floor"),
    }
}

/// Half to even, on the exact value of the float.
fn round_float(float: f64, precision: i32) -> f64 {
    if !float.is_finite() || precision > 330 {
        return float;
    }
    if let Ok(digits) = usize::try_from(precision) {
        return format!("{float:.digits$}").parse().unwrap_or(float);
    }
    let factor = 10_f64.powi(precision.saturating_neg());
    if factor.is_infinite() { 0.0_f64.copysign(float) } else { (float / factor).round_ties_even() * factor }
}

fn round_integer(int: num_bigint::BigInt, precision: i32) -> num_bigint::BigInt {
    use num_bigint::BigInt;
    let Some(zeros) = u32::try_from(precision.saturating_neg()).ok().filter(|zeros| *zeros > 0) else { return int };
    let unit = BigInt::from(10).pow(zeros);
    let mut quotient = &int / &unit;
    let mut remainder = &int % &unit;
    if remainder.sign() == num_bigint::Sign::Minus {
        remainder += &unit;
        quotient -= 1;
    }
    let twice: BigInt = remainder * 2;
    if twice > unit || (twice == unit && quotient.bit(0)) {
        quotient += 1;
    }
    quotient * unit
}

pub(super) fn filesizeformat(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [binary] = given.bind("filesizeformat", ["binary"])?;
    let binary = flag(binary.as_ref(), false);
    let bytes = match value.as_text() {
        Some(text) => parse_float(text),
        None => float_of(&value),
    };
    let bytes = bytes.ok_or_else(|| {
        value.missing().unwrap_or_else(|| Error::new(format!("expected a number of bytes, got {}", value.type_name())))
    })?;
    let (base, units) = if binary {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if bytes == 1.0 {
        return Ok(Value::text("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::text(format!("{} Bytes", bytes.trunc())));
    }
    let mut unit = base;
    let mut name = units[0];
    for next in units {
        name = next;
        unit *= base;
        if bytes < unit {
            break;
        }
    }
    Ok(Value::text(format!("{:.1} {name}", base * bytes / unit)))
}

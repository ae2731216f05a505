//! Floats with a precision, as C and Python write them.

use super::super::value::float_repr;

/// Most digits after the point: a float has no more than 1,074 that are not zero.
pub(crate) const MAX_PRECISION: usize = 1100;

/// A positive float by a presentation type (`f`, `e`, `g`, their capitals) and a precision. `alternate` keeps the point
/// and zeros.
pub(crate) fn presented(float: f64, kind: char, precision: usize, alternate: bool) -> String {
    let text = if float.is_nan() {
        "nan".to_owned()
    } else if float.is_infinite() {
        "inf".to_owned()
    } else {
        match kind.to_ascii_lowercase() {
            'e' => exponential(float, precision, alternate),
            'g' => general(float, precision, alternate),
            _ => format!("{float:.precision$}") + if alternate && precision == 0 { "." } else { "" },
        }
    };
    if kind.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text }
}

fn exponential(float: f64, precision: usize, alternate: bool) -> String {
    let (mantissa, exponent) = parts(float, precision);
    let point = if alternate && precision == 0 { "." } else { "" };
    format!("{mantissa}{point}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn parts(float: f64, precision: usize) -> (String, i32) {
    let text = format!("{float:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

fn general(float: f64, precision: usize, alternate: bool) -> String {
    let digits = precision.saturating_sub(1);
    let (mantissa, exponent) = parts(float, digits);
    if exponent >= -4 && exponent <= digits as i32 {
        let digits = usize::try_from((digits as i32).saturating_sub(exponent)).unwrap_or(0);
        return without_zeros(format!("{float:.digits$}"), alternate);
    }
    let mantissa = without_zeros(mantissa, alternate);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn without_zeros(text: String, alternate: bool) -> String {
    if alternate || !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A float with a precision and no type: as `repr`, in at most that many digits.
pub(crate) fn shortest(float: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return float_repr(float) };
    if !float.is_finite() {
        return float_repr(float);
    }
    let digits = precision.saturating_sub(1);
    let (mantissa, exponent) = parts(float, digits);
    // Without a type the exponent comes one digit earlier than with `g`, and a point stays.
    if exponent >= -4 && exponent < digits as i32 {
        let text = general(float, precision, false);
        return if text.contains(['.', 'e']) { text } else { text + ".0" };
    }
    let mantissa = without_zeros(mantissa, false);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

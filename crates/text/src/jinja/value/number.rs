//! Numbers: integers of any size, floats, and arithmetic with Python's rules.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use num_bigint::{BigInt, Sign};

use super::super::error::{Error, Result, refuse};
use super::super::letters::is_space;
use super::super::syntax::ast::Arithmetic;
use super::Value;

/// Most bits of an integer: Python writes integers of 4,300 digits at most.
const MAX_BITS: u64 = 14_284;

/// An integer as a value.
///
/// # Errors
/// When it has more than 4,300 digits.
pub(crate) fn integer(int: BigInt) -> Result<Value> {
    if let Ok(small) = i64::try_from(&int) {
        return Ok(Value::Int(small));
    }
    if int.bits() > MAX_BITS {
        return refuse("an integer has more than 4300 digits");
    }
    Ok(Value::Big(Rc::new(int)))
}

/// The integer that a value is, true and false included.
pub(crate) fn to_big(value: &Value) -> Option<BigInt> {
    match value {
        Value::Bool(bool) => Some(BigInt::from(u8::from(*bool))),
        Value::Int(int) => Some(BigInt::from(*int)),
        Value::Big(int) => Some((**int).clone()),
        _ => None,
    }
}

/// The integer that a value is, cut to what 64 bits hold.
pub(crate) fn int_of(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(bool) => Some(i64::from(*bool)),
        Value::Int(int) => Some(*int),
        Value::Big(int) => Some(if int.sign() == Sign::Minus { i64::MIN } else { i64::MAX }),
        _ => None,
    }
}

/// The number that a value is, as a float.
pub(crate) fn float_of(value: &Value) -> Option<f64> {
    match value {
        Value::Float(float) => Some(*float),
        Value::Big(int) => int.to_string().parse().ok(),
        other => int_of(other).map(|int| int as f64),
    }
}

impl Value {
    /// True for numbers that are not zero.
    pub fn is_true_number(&self) -> bool {
        match self {
            Self::Big(_) => true,
            Self::Float(float) => *float != 0.0,
            other => int_of(other) != Some(0),
        }
    }
}

/// `-value`.
pub(crate) fn negative(value: &Value) -> Result<Value> {
    match value {
        Value::Float(float) => Ok(Value::Float(-float)),
        other => match to_big(other) {
            Some(int) => integer(-int),
            None => Err(other
                .missing()
                .unwrap_or_else(|| Error::new(format!("bad operand type for unary -: '{}'", other.type_name())))),
        },
    }
}

/// Python's `int(text, base)`; none for text that is no integer.
pub(crate) fn parse_int(text: &str, base: u32) -> Option<BigInt> {
    let trimmed = text.trim_matches(is_space);
    let (sign, digits) = match trimmed.as_bytes().first()? {
        b'-' => (Sign::Minus, &trimmed[1..]),
        b'+' => (Sign::Plus, &trimmed[1..]),
        _ => (Sign::Plus, trimmed),
    };
    let prefix = |letter: char| {
        digits.strip_prefix('0').and_then(|rest| rest.strip_prefix([letter, letter.to_ascii_uppercase()]))
    };
    let (base, digits) = match base {
        0 => match (prefix('x'), prefix('o'), prefix('b')) {
            (Some(rest), ..) => (16, rest),
            (_, Some(rest), _) => (8, rest),
            (.., Some(rest)) => (2, rest),
            _ => (10, digits),
        },
        16 => (16, prefix('x').unwrap_or(digits)),
        8 => (8, prefix('o').unwrap_or(digits)),
        2 => (2, prefix('b').unwrap_or(digits)),
        other => (other, digits),
    };
    let well_formed = !digits.is_empty()
        && !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__")
        && digits.chars().all(|c| c == '_' || c.is_digit(base));
    let int = BigInt::parse_bytes(digits.replace('_', "").as_bytes(), base).filter(|_| well_formed)?;
    Some(if sign == Sign::Minus { -int } else { int })
}

/// Equal numbers have equal hashes, whatever their type.
pub(super) fn hash_number<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        // Zero has two signs and one hash.
        Value::Float(float) => (float + 0.0).to_bits().hash(state),
        // An integer equals a float only where the float holds it.
        other => float_of(other).unwrap_or(0.0).to_bits().hash(state),
    }
}

/// An operation of two numbers; none when one of them is no number.
///
/// # Errors
/// For a division by zero and for results that are too large.
pub(crate) fn arithmetic(operator: Arithmetic, left: &Value, right: &Value) -> Option<Result<Value>> {
    if let (Value::Int(a), Value::Int(b)) = (left, right) {
        let small = match operator {
            Arithmetic::Add => a.checked_add(*b),
            Arithmetic::Sub => a.checked_sub(*b),
            Arithmetic::Mul => a.checked_mul(*b),
            _ => None,
        };
        if let Some(int) = small {
            return Some(Ok(Value::Int(int)));
        }
    }
    match (to_big(left), to_big(right)) {
        (Some(a), Some(b)) => Some(of_integers(operator, &a, &b, left, right)),
        _ => Some(of_floats(operator, float_of(left)?, float_of(right)?)),
    }
}

fn of_integers(operator: Arithmetic, a: &BigInt, b: &BigInt, left: &Value, right: &Value) -> Result<Value> {
    let zero = b.sign() == Sign::NoSign;
    match operator {
        Arithmetic::Add => integer(a + b),
        Arithmetic::Sub => integer(a - b),
        Arithmetic::Mul => integer(a * b),
        Arithmetic::Div => of_floats(operator, too_large(float_of(left))?, too_large(float_of(right))?),
        Arithmetic::FloorDiv | Arithmetic::Mod if zero => refuse("integer division or modulo by zero"),
        Arithmetic::FloorDiv => integer(floor_division(a, b).0),
        Arithmetic::Mod => integer(floor_division(a, b).1),
        Arithmetic::Pow if b.sign() == Sign::Minus => {
            of_floats(operator, too_large(float_of(left))?, too_large(float_of(right))?)
        }
        Arithmetic::Pow => {
            let exponent = u32::try_from(b).ok();
            let small = a.bits() <= 1;
            let bits = exponent.and_then(|exponent| u64::from(exponent).checked_mul(a.bits()));
            match exponent {
                _ if small => integer(small_power(a, b)),
                Some(exponent) if bits.is_some_and(|bits| bits <= 2 * MAX_BITS) => integer(a.pow(exponent)),
                _ => refuse("an integer has more than 4300 digits"),
            }
        }
    }
}

/// -1, 0 or 1 to any power.
fn small_power(a: &BigInt, b: &BigInt) -> BigInt {
    match (a.sign(), b.sign() == Sign::NoSign, b.bit(0)) {
        (_, true, _) | (Sign::Minus, _, false) => BigInt::from(1),
        _ => a.clone(),
    }
}

fn too_large(float: Option<f64>) -> Result<f64> {
    float.filter(|float| float.is_finite()).ok_or_else(|| Error::new("int too large to convert to float"))
}

/// Quotient rounded down, and the remainder, which has the divisor's sign.
fn floor_division(a: &BigInt, b: &BigInt) -> (BigInt, BigInt) {
    let (quotient, remainder) = (a / b, a % b);
    if remainder.sign() != Sign::NoSign && remainder.sign() != b.sign() {
        (quotient - 1, remainder + b)
    } else {
        (quotient, remainder)
    }
}

fn of_floats(operator: Arithmetic, a: f64, b: f64) -> Result<Value> {
    if b == 0.0 && matches!(operator, Arithmetic::Div | Arithmetic::FloorDiv | Arithmetic::Mod) {
        return refuse("division by zero");
    }
    Ok(Value::Float(match operator {
        Arithmetic::Add => a + b,
        Arithmetic::Sub => a - b,
        Arithmetic::Mul => a * b,
        Arithmetic::Div => a / b,
        Arithmetic::FloorDiv => float_division(a, b).0,
        Arithmetic::Mod => float_division(a, b).1,
        Arithmetic::Pow => {
            if a == 0.0 && b < 0.0 {
                return refuse("0.0 cannot be raised to a negative power");
            }
            if a < 0.0 && b.fract() != 0.0 && b.is_finite() {
                return refuse("complex numbers are not supported");
            }
            let power = a.powf(b);
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return refuse("the result of a power is too large");
            }
            power
        }
    }))
}

/// Python's `divmod` of floats.
fn float_division(a: f64, b: f64) -> (f64, f64) {
    let mut remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder == 0.0 {
        remainder = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (remainder < 0.0) {
        remainder += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), remainder);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, remainder)
}

//! Python's numbers: how floats print, and the filters `int` and `float`.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// The shortest digits that read back as the same number, in exponent form from 1e16 and below
/// 1e-4 (CPython, `float_repr_style` short).
pub(super) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

/// `int(default=0, base=10)`: the default where the value is not a number.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands arguments over by value"
)]
pub(super) fn int(
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let default = default
        .or(kwargs.get("default")?)
        .unwrap_or_else(|| Value::from(0));
    let base = base.or(kwargs.get("base")?).unwrap_or(10);
    kwargs.assert_all_used()?;
    let number = match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim();
            parse_int(text, base).or_else(|| text.parse().ok().and_then(truncate))
        }
        ValueKind::Number if value.is_integer() => return Ok(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(truncate),
        ValueKind::Bool => Some(i64::from(value.is_true())),
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        _ => None,
    };
    Ok(number.map_or(default, Value::from))
}

/// `float(default=0.0)`: the default where the value is not a number.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands arguments over by value"
)]
pub(super) fn float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = default
        .or(kwargs.get("default")?)
        .unwrap_or_else(|| Value::from(0.0));
    kwargs.assert_all_used()?;
    let number = match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().trim().parse().ok(),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        _ => None,
    };
    Ok(number.map_or(default, Value::from))
}

/// An integer literal, with underscores between digits and the base's prefix.
fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = match base {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    let digits = digits.strip_prefix(prefix).unwrap_or(digits);
    if !(2..=36).contains(&base) || digits.ends_with('_') || digits.starts_with(['_', '-', '+']) {
        return None;
    }
    let magnitude = i64::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "Python's int() cuts the fraction off"
)]
fn truncate(value: f64) -> Option<i64> {
    value.is_finite().then_some(value as i64)
}

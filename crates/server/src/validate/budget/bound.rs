//! Numbers of tokens: plain, as a share, or by name.

use context::{Amount, Bound, Symbol};
use serde_json::Value;

use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// More tokens than any window has.
const MOST: u64 = 1 << 40;

/// Takes a number of tokens, at least `least`, or `{"fraction": x}`.
pub(super) fn amount(
    fields: &mut Fields,
    name: &'static str,
    least: usize,
) -> Result<Option<Amount>, ApiError> {
    let path = fields.path(name);
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    amount_of(&path, &value, least).map(Some)
}

/// When edits begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// When the budget needs them.
    Need,
    /// When the prompt has more tokens.
    Tokens(Amount),
    /// When the conversation has more tool uses.
    ToolUses(usize),
}

/// Takes `"need"`, a number of tokens, or, where `counts_uses`, `{"tool_uses": n}`.
pub(super) fn start(
    fields: &mut Fields,
    name: &'static str,
    counts_uses: bool,
) -> Result<Option<Start>, ApiError> {
    let path = fields.path(name);
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    let start = match &value {
        Value::String(word) if word == "need" => Start::Need,
        Value::Object(object) if counts_uses && object.contains_key("tool_uses") => {
            let mut fields = Fields::from_value(path, value)?;
            let uses = fields.count("tool_uses", 0..=1_000_000)?;
            let uses = uses.ok_or_else(|| fields.missing("tool_uses"))?;
            fields.finish(&[], &[])?;
            Start::ToolUses(uses)
        }
        Value::Number(_) | Value::Object(_) => Start::Tokens(amount_of(&path, &value, 1)?),
        _ => {
            let uses = if counts_uses {
                ", {\"tool_uses\": n}"
            } else {
                ""
            };
            let message =
                format!("`{path}` must be a number of tokens, a share{uses}, or \"need\".");
            return Err(ApiError::field(path, message));
        }
    };
    Ok(Some(start))
}

/// Takes a bound of a zone.
pub(super) fn bound(fields: &mut Fields, name: &'static str) -> Result<Option<Bound>, ApiError> {
    let path = fields.path(name);
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    if let Value::String(word) = &value {
        return match Symbol::from_name(word) {
            Some(symbol) => Ok(Some(Bound::Symbol(symbol))),
            None => {
                let symbols = Symbol::ALL.map(Symbol::name).join(", ");
                let message =
                    format!("`{path}` must be a number of tokens, a share, or one of {symbols}.");
                Err(ApiError::field(path, message))
            }
        };
    }
    Ok(Some(match amount_of(&path, &value, 0)? {
        Amount::Tokens(tokens) => Bound::Tokens(tokens),
        Amount::Share(share) => Bound::Share(share),
    }))
}

/// A number of tokens, `{"tokens": n}`, `{"fraction": x}`, or a number with a fraction.
pub(super) fn amount_of(path: &str, value: &Value, least: usize) -> Result<Amount, ApiError> {
    let wrong = |path: &str| {
        let message = format!(
            "`{path}` must be a whole number of tokens from {least} on, or a share such as \
             {{\"fraction\": 0.5}}."
        );
        ApiError::field(path, message)
    };
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(tokens), _) if tokens >= least as u64 && tokens <= MOST => {
                Ok(Amount::Tokens(tokens as usize))
            }
            (None, Some(share)) if share > 0.0 && share < 1.0 => Ok(Amount::Share(share)),
            _ => Err(wrong(path)),
        },
        Value::Object(_) => {
            let mut fields = Fields::from_value(path.to_owned(), value.clone())?;
            let tokens = fields.count("tokens", least..=MOST as usize)?;
            let share = fields.value("fraction");
            fields.finish(&[], &[])?;
            match (tokens, share) {
                (Some(tokens), None) => Ok(Amount::Tokens(tokens)),
                (None, Some(share)) => {
                    let number = share.as_f64().filter(|share| (0.0..=1.0).contains(share));
                    let path = format!("{path}.fraction");
                    let message = format!("`{path}` must be a share from 0 to 1.");
                    let share = number.ok_or_else(|| ApiError::field(path, message))?;
                    Ok(Amount::Share(share))
                }
                _ => Err(wrong(path)),
            }
        }
        _ => Err(wrong(path)),
    }
}

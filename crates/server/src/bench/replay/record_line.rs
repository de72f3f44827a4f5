//! One JSON object of a trace, whose fields are taken one by one.

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value};

/// An object and the place where it stands, which errors name with the field.
#[derive(Debug)]
pub(super) struct RecordLine {
    /// `line 7`.
    place: String,
    fields: Map<String, Value>,
}

/// The lines of `text` that are not empty, each an object; numbered from 1.
///
/// # Errors
/// The first line that is no object.
pub(super) fn lines(text: &str) -> impl Iterator<Item = anyhow::Result<RecordLine>> {
    let numbered = (1..).zip(text.lines());
    let filled = numbered.filter(|(_, line)| !line.trim().is_empty());
    filled.map(|(number, line)| {
        let place = format!("line {number}");
        let value = serde_json::from_str(line).with_context(|| format!("{place} is no JSON"))?;
        RecordLine::new(place, value)
    })
}

impl RecordLine {
    /// # Errors
    /// When `value` is no object.
    pub(super) fn new(place: String, value: Value) -> anyhow::Result<Self> {
        match value {
            Value::Object(fields) => Ok(Self { place, fields }),
            _ => bail!("{place} is no JSON object"),
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// That `field` is wrong because of `reason`.
    pub(super) fn wrong(&self, field: &str, reason: &str) -> anyhow::Error {
        anyhow!("{}, field {field:?}: {reason}", self.place)
    }

    /// Takes `field`; `None` where it is absent or null.
    pub(super) fn optional(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Takes `field`.
    ///
    /// # Errors
    /// When it is missing.
    pub(super) fn required(&mut self, field: &str) -> anyhow::Result<Value> {
        self.optional(field)
            .ok_or_else(|| self.wrong(field, "it is missing"))
    }

    /// Takes a text.
    ///
    /// # Errors
    /// When `field` is missing or another kind of value.
    pub(super) fn text(&mut self, field: &str) -> anyhow::Result<String> {
        match self.required(field)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(field, &format!("{other} is no text"))),
        }
    }

    /// Takes a time in milliseconds, at least 0.
    ///
    /// # Errors
    /// When `field` is missing or no such number.
    pub(super) fn milliseconds(&mut self, field: &str) -> anyhow::Result<f64> {
        let value = self.required(field)?;
        let number = value.as_f64().filter(|ms| (0.0..1e15).contains(ms));
        number.ok_or_else(|| {
            self.wrong(
                field,
                &format!("{value} is no number of milliseconds from 0"),
            )
        })
    }

    /// Takes a number of tokens, at least 1.
    ///
    /// # Errors
    /// When `field` is missing or no such number.
    pub(super) fn tokens(&mut self, field: &str) -> anyhow::Result<u32> {
        let value = self.required(field)?;
        let number = value.as_u64().filter(|number| *number >= 1);
        number
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| self.wrong(field, &format!("{value} is no number of tokens from 1")))
    }

    /// Takes a list.
    ///
    /// # Errors
    /// When `field` is missing or another kind of value.
    pub(super) fn list(&mut self, field: &str) -> anyhow::Result<Vec<Value>> {
        match self.required(field)? {
            Value::Array(list) => Ok(list),
            other => Err(self.wrong(field, &format!("{other} is no list"))),
        }
    }

    /// Fields that nobody took.
    pub(super) fn rest(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }
}

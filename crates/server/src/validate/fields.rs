//! A JSON object whose fields are taken one by one; what is left over at the end is an error.
//!
//! An absent field and one that is null are the same. Errors name the field with its path.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use tracing::trace;

use crate::wire::error::ApiError;

/// Under this target it is traced which fields of an object are known, so that what the OpenAPI
/// document says of them can be held against it.
pub const READ_TARGET: &str = "purser::fields";

/// Longest name of an unknown field that is repeated and compared with the known ones.
const MAX_NAME_LEN: usize = 64;

/// The fields of an object that have not been read yet.
pub struct Fields {
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
    /// Names that the API has for fields which this server calls otherwise.
    spellings: Vec<(&'static str, &'static str)>,
}

impl Fields {
    /// The body of a request.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn from_body(body: &[u8]) -> Result<Self, ApiError> {
        if let Err(error) = std::str::from_utf8(body) {
            let at = error.valid_up_to();
            return Err(ApiError::request(format!(
                "The body is not UTF-8 (at byte {at})."
            )));
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::request(format!("The body is not JSON: {error}.")))?;
        Self::from_value(String::new(), value)
    }

    /// An object inside a request; `path` is its name in errors.
    ///
    /// # Errors
    /// When it is no object.
    pub fn from_value(path: String, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self {
                path,
                map,
                known: Vec::new(),
                spellings: Vec::new(),
            }),
            other if path.is_empty() => {
                let kind = kind(&other);
                Err(ApiError::request(format!(
                    "The body must be a JSON object, not {kind}."
                )))
            }
            other => Err(wrong_type(&path, "an object", &other)),
        }
    }

    /// The object's own name in errors; empty for a body.
    pub fn name(&self) -> &str {
        &self.path
    }

    /// Says that the API has another name for the field `name`.
    pub fn spell(&mut self, name: &'static str, spelling: &'static str) {
        self.spellings.push((name, spelling));
    }

    /// The field's name as errors give it.
    pub fn path(&self, name: &str) -> String {
        let spelling = self.spellings.iter().find(|(ours, _)| *ours == name);
        self.raw_path(spelling.map_or(name, |(_, theirs)| theirs))
    }

    /// Any value.
    pub fn value(&mut self, name: &'static str) -> Option<Value> {
        let spelling = self.spellings.iter().find(|(ours, _)| *ours == name);
        let name = spelling.map_or(name, |(_, theirs)| theirs);
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a field there, in place of what was read of it.
    pub fn put(&mut self, name: &'static str, value: Value) {
        self.map.insert(name.to_owned(), value);
    }

    /// The error of an absent field that must be there.
    pub fn missing(&self, name: &str) -> ApiError {
        let path = self.path(name);
        ApiError::field(&path, format!("Missing required parameter: `{path}`."))
    }

    /// True or false.
    ///
    /// # Errors
    /// When it is something else; so for the other types.
    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    /// A string.
    pub fn string(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// An array.
    pub fn array(&mut self, name: &'static str) -> Result<Option<Vec<Value>>, ApiError> {
        self.typed(name, "an array", |value| value.as_array().cloned())
    }

    /// An object.
    pub fn object(&mut self, name: &'static str) -> Result<Option<Map<String, Value>>, ApiError> {
        self.typed(name, "an object", |value| value.as_object().cloned())
    }

    /// A whole number in `range`.
    pub fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let path = self.path(name);
        integer(&path, &value, range).map(Some)
    }

    /// A whole number from `least` on, as a count.
    pub fn count(
        &mut self,
        name: &'static str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, ApiError> {
        let range = *range.start() as i64..=i64::try_from(*range.end()).unwrap_or(i64::MAX);
        Ok(self.integer(name, range)?.map(|number| number as usize))
    }

    /// A finite number in `range`.
    pub fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let path = self.path(name);
        number(&path, &value, range).map(Some)
    }

    /// Complains about fields that nobody has read. `harmless` ones change no answer and are let
    /// through; `unsupported` ones would change it, and are refused with a reason unless their
    /// value asks for what happens anyway.
    pub fn finish(
        mut self,
        harmless: &[&str],
        unsupported: &[(&'static str, &str)],
    ) -> Result<(), ApiError> {
        trace!(target: READ_TARGET, path = %self.path, fields = ?self.known, ?harmless);
        for &(name, reason) in unsupported {
            match self.value(name) {
                Some(value) if asks_for_something(&value) => {
                    let path = self.path(name);
                    return Err(ApiError::unsupported(&path, format!("`{path}`: {reason}")));
                }
                _ => {}
            }
        }
        let Some(name) = self
            .map
            .keys()
            .find(|name| !harmless.contains(&name.as_str()))
        else {
            return Ok(());
        };
        let shown: String = name.chars().take(MAX_NAME_LEN).collect();
        let path = self.raw_path(&shown);
        let known = self.known.iter().copied().chain(harmless.iter().copied());
        let hint =
            nearest(name, known).map_or(String::new(), |near| format!(" Did you mean `{near}`?"));
        let message = format!("Unrecognized request argument supplied: `{path}`.{hint}");
        Err(ApiError::field(path, message))
    }

    fn raw_path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match convert(&value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(wrong_type(&self.path(name), expected, &value)),
        }
    }
}

/// A whole number in `range`; `3.0` counts as one, as JSON does not tell them apart.
///
/// # Errors
/// When it is none, or outside the range.
pub fn integer(path: &str, value: &Value, range: RangeInclusive<i64>) -> Result<i64, ApiError> {
    let whole = value.as_i64().or_else(|| {
        value
            .as_f64()
            .filter(|n| n.fract() == 0.0 && n.abs() < 9e15)
            .map(|n| n as i64)
    });
    let Some(number) = whole else {
        // Too large for 64 bits is a wrong value, not a wrong type.
        return match value.as_f64() {
            Some(large) if large.fract() == 0.0 => Err(out_of_range(path, value, &range)),
            _ => Err(wrong_type(path, "an integer", value)),
        };
    };
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(out_of_range(path, value, &range))
    }
}

/// A finite number in `range`.
///
/// # Errors
/// When it is none, or outside the range.
pub fn number(path: &str, value: &Value, range: RangeInclusive<f64>) -> Result<f32, ApiError> {
    match value.as_f64() {
        None => Err(wrong_type(path, "a number", value)),
        Some(number) if range.contains(&number) => Ok(number as f32),
        Some(_) => Err(out_of_range(path, value, &range)),
    }
}

/// The error of a value of another type than `expected`.
pub fn wrong_type(path: &str, expected: &str, found: &Value) -> ApiError {
    let found = kind(found);
    ApiError::field(
        path,
        format!("Invalid type for `{path}`: expected {expected}, got {found}."),
    )
}

fn out_of_range<T: std::fmt::Display>(
    path: &str,
    value: &Value,
    range: &RangeInclusive<T>,
) -> ApiError {
    let (start, end) = (range.start(), range.end());
    let end = end.to_string();
    let bounds = if end.len() > 15 {
        format!("at least {start}")
    } else {
        format!("between {start} and {end}")
    };
    ApiError::field(
        path,
        format!("Invalid value for `{path}`: {value} must be {bounds}."),
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether a value differs from every way to say "no".
fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}

/// The name that a mistyped one stands for, if one is near.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME_LEN {
        return None;
    }
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 2.max(candidate.len() / 4))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

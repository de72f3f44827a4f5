//! Typed reading of metadata, with errors that name the key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::GgufError;
use super::value::{Array, Value};

/// The metadata of a file, and which of them have been asked for.
pub(super) struct Metadata<'a> {
    file: String,
    values: BTreeMap<&'a str, Value<'a>>,
    read: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Metadata<'a> {
    /// The metadata of `file`.
    pub(super) fn new(file: String, values: BTreeMap<&'a str, Value<'a>>) -> Self {
        Self {
            file,
            values,
            read: RefCell::default(),
        }
    }

    /// The file, for errors.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The keys below `prefix` that nobody has asked for.
    pub(super) fn unread(&self, prefix: &str) -> Vec<String> {
        let read = self.read.borrow();
        let keys = self.values.keys().filter(|key| key.starts_with(prefix));
        keys.filter(|key| !read.contains(*key))
            .map(|key| (*key).to_owned())
            .collect()
    }

    /// Keys that begin with `prefix`.
    pub(super) fn keys(&self, prefix: &str) -> impl Iterator<Item = &'a str> {
        let keys = self.values.keys().copied();
        keys.filter(move |key| key.starts_with(prefix))
    }

    /// A count; `None` when absent.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, GgufError> {
        self.get(key, "a whole number", |value| {
            value.count()?.try_into().ok()
        })
    }

    /// A count that must be there.
    pub(super) fn needed_count(&self, key: &str) -> Result<usize, GgufError> {
        self.count(key)?.ok_or_else(|| self.missing(key))
    }

    /// A number; `None` when absent.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.get(key, "a number", Value::number)
    }

    /// A number that must be there.
    pub(super) fn needed_number(&self, key: &str) -> Result<f64, GgufError> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    /// A truth value; `None` when absent.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.get(key, "true or false", Value::flag)
    }

    /// A text; `None` when absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, GgufError> {
        self.get(key, "a text", Value::text)
    }

    /// A text that must be there.
    pub(super) fn needed_text(&self, key: &str) -> Result<&'a str, GgufError> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// A token id; `None` when absent.
    pub(super) fn token_id(&self, key: &str) -> Result<Option<u32>, GgufError> {
        self.get(key, "a token id", |value| value.count()?.try_into().ok())
    }

    /// A list of texts; `None` when absent.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, GgufError> {
        self.list(key, "a list of texts", Value::text)
    }

    /// A list of numbers; `None` when absent.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, GgufError> {
        self.list(key, "a list of numbers", Value::number)
    }

    /// A list of whole numbers; `None` when absent.
    pub(super) fn counts(&self, key: &str) -> Result<Option<Vec<u64>>, GgufError> {
        self.list(key, "a list of whole numbers", Value::count)
    }

    /// A count, or a list of equal ones with one for each layer; `None` when absent.
    pub(super) fn count_of_layers(&self, key: &str) -> Result<Option<usize>, GgufError> {
        match self.values.get(key) {
            Some(Value::Array(array)) => {
                let different = self.unsupported(key, "the same number in all layers");
                let counts = self.counts(key)?.unwrap_or_default();
                let (Some(first), Some(_)) = (counts.first(), array.iter().next()) else {
                    return Err(different);
                };
                match counts.iter().all(|count| count == first) {
                    true => Ok(usize::try_from(*first).ok()),
                    false => Err(different),
                }
            }
            _ => self.count(key),
        }
    }

    /// Refuses the key unless it is absent or `harmless`.
    pub(super) fn refuse_unless(
        &self,
        key: &str,
        supported: &str,
        harmless: impl Fn(Value<'_>) -> bool,
    ) -> Result<(), GgufError> {
        self.mark(key);
        match self.values.get(key) {
            Some(&value) if !harmless(value) => Err(self.unsupported(key, supported)),
            _ => Ok(()),
        }
    }

    /// The error for a key that is missing.
    pub(super) fn missing(&self, key: &str) -> GgufError {
        GgufError::Missing {
            file: self.file.clone(),
            key: key.to_owned(),
        }
    }

    /// The error for a key whose value is not supported.
    pub(super) fn unsupported(&self, key: &str, supported: impl Into<String>) -> GgufError {
        GgufError::Unsupported {
            file: self.file.clone(),
            key: key.to_owned(),
            value: self
                .values
                .get(key)
                .map_or("nothing".into(), Value::to_string),
            supported: supported.into(),
        }
    }

    /// The error for a key that contradicts something else.
    pub(super) fn contradiction(&self, key: &str, reason: impl Into<String>) -> GgufError {
        GgufError::Contradiction {
            file: self.file.clone(),
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, GgufError> {
        self.get(key, expected, |value| {
            let array: Array<'a> = value.array()?;
            let elements: Option<Vec<T>> = array.iter().map(read).collect();
            elements.filter(|elements| elements.len() == array.len())
        })
    }

    fn get<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        self.mark(key);
        let Some(&value) = self.values.get(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| GgufError::WrongType {
            file: self.file.clone(),
            key: key.to_owned(),
            expected,
            found: value.to_string(),
        })
    }

    fn mark(&self, key: &str) {
        if let Some((&known, _)) = self.values.get_key_value(key) {
            self.read.borrow_mut().insert(known);
        }
    }
}

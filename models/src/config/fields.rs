//! Typed reading of a JSON object, with errors that name the field.

use serde_json::{Map, Value};

use super::ConfigError;

/// An object of a configuration file.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    file: &'static str,
    parent: &'static str,
    object: &'a Map<String, Value>,
    /// What absent fields mean.
    defaults: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The file's outermost object.
    pub(crate) fn new(file: &'static str, object: &'a Map<String, Value>) -> Self {
        Self {
            file,
            parent: "",
            object,
            defaults: None,
        }
    }

    /// The object in field `name`; `None` when it is absent or null.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<Self>, ConfigError> {
        let object = self.get(name, "an object", Value::as_object)?;
        Ok(object.map(|object| Self {
            file: self.file,
            parent: name,
            object,
            defaults: None,
        }))
    }

    /// The same object, where fields that are absent have the values that they have in `defaults`.
    pub(crate) fn with_defaults(self, defaults: &'a Map<String, Value>) -> Self {
        Self {
            defaults: Some(defaults),
            ..self
        }
    }

    /// Whether the field is there, be it null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// The names of all fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.object.keys().map(String::as_str)
    }

    /// A count; `None` when absent or null.
    pub(crate) fn count(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        self.get(name, "a whole number", |value| {
            value.as_u64()?.try_into().ok()
        })
    }

    /// A count that must be there.
    pub(crate) fn needed_count(&self, name: &str) -> Result<usize, ConfigError> {
        self.count(name)?.ok_or_else(|| self.missing(name))
    }

    /// A number; `None` when absent or null.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        self.get(name, "a number", Value::as_f64)
    }

    /// A number that must be there.
    pub(crate) fn needed_number(&self, name: &str) -> Result<f64, ConfigError> {
        self.number(name)?.ok_or_else(|| self.missing(name))
    }

    /// A list of numbers; `None` when absent or null.
    pub(crate) fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>, ConfigError> {
        self.get(name, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    /// A list of numbers that must be there.
    pub(crate) fn needed_numbers(&self, name: &str) -> Result<Vec<f64>, ConfigError> {
        self.numbers(name)?.ok_or_else(|| self.missing(name))
    }

    /// A truth value; `None` when absent or null.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.get(name, "true or false", Value::as_bool)
    }

    /// A string; `None` when absent or null.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        self.get(name, "a string", Value::as_str)
    }

    /// A list of strings; `None` when absent or null.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, ConfigError> {
        self.get(name, "a list of strings", |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    /// A list of whole numbers; `None` when absent or null.
    pub(crate) fn counts(&self, name: &str) -> Result<Option<Vec<u64>>, ConfigError> {
        self.get(name, "a list of whole numbers", |value| {
            value.as_array()?.iter().map(Value::as_u64).collect()
        })
    }

    /// A token id or a list of them; empty when absent or null.
    pub(crate) fn token_ids(&self, name: &str) -> Result<Vec<u32>, ConfigError> {
        let id = |value: &Value| value.as_u64()?.try_into().ok();
        let ids = self.get(
            name,
            "a token id or a list of token ids",
            |value| match value {
                Value::Array(ids) => ids.iter().map(id).collect(),
                value => Some(vec![id(value)?]),
            },
        )?;
        Ok(ids.unwrap_or_default())
    }

    /// The error for a field that is missing.
    pub(crate) fn missing(&self, name: &str) -> ConfigError {
        ConfigError::Missing {
            file: self.file,
            field: self.path(name),
        }
    }

    /// The error for a field whose value is not supported.
    pub(crate) fn unsupported(&self, name: &str, supported: &'static str) -> ConfigError {
        let value = self.object.get(name).unwrap_or(&Value::Null).to_string();
        ConfigError::Unsupported {
            file: self.file,
            field: self.path(name),
            value,
            supported,
        }
    }

    fn get<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let default = || self.defaults.and_then(|defaults| defaults.get(name));
        let value = match self.object.get(name).or_else(default) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        read(value).map(Some).ok_or_else(|| ConfigError::WrongType {
            file: self.file,
            field: self.path(name),
            expected,
            found: value.to_string(),
        })
    }

    fn path(&self, name: &str) -> String {
        match self.parent {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        }
    }
}

//! Which modules a list of names or a pattern means, as PEFT reads them
//! (`check_target_module_exists` and `get_pattern_key` of its sources).

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use super::{AdapterError, Module};

/// Modules that adapters may update in PEFT, but not here.
const NOT_SUPPORTED: [&str; 2] = ["model.embed_tokens", "lm_head"];

/// A set of modules.
pub(super) enum Modules {
    /// `all-linear`: every matrix but the output projection.
    All,
    /// Names, or ends of names from a dot on.
    Names(Vec<String>),
    /// An expression that matches the whole name.
    Pattern(Regex),
}

impl Modules {
    /// Reads a field: a list of names, a pattern or `all-linear`.
    ///
    /// # Errors
    /// Anything else; an expression that cannot be read.
    pub(super) fn read(field: &str, value: &Value) -> Result<Self, AdapterError> {
        match value {
            Value::String(text) if text.eq_ignore_ascii_case("all-linear") => Ok(Self::All),
            Value::String(text) => Ok(Self::Pattern(whole(field, text)?)),
            Value::Array(names) => {
                let names: Option<Vec<String>> = names
                    .iter()
                    .map(|name| Some(name.as_str()?.to_owned()))
                    .collect();
                names.map(Self::Names).ok_or_else(|| expected(field, value))
            }
            _ => Err(expected(field, value)),
        }
    }

    /// Whether `module` is one of them.
    pub(super) fn contain(&self, module: &str) -> bool {
        match self {
            Self::All => !NOT_SUPPORTED.contains(&module),
            Self::Names(names) => names.iter().any(|name| is_named(module, name)),
            Self::Pattern(pattern) => pattern.is_match(module.as_bytes()),
        }
    }

    /// Checks that all of them are among `modules`, and at least one is.
    ///
    /// # Errors
    /// A module that is not supported; a name of none.
    pub(super) fn check(&self, field: &str, modules: &[Module]) -> Result<(), AdapterError> {
        if let Some(module) = NOT_SUPPORTED.iter().find(|module| self.contain(module)) {
            let reason = format!(
                "{module} is not supported: adapters update the matrices of the layers only"
            );
            return Err(AdapterError::field(field, reason));
        }
        let unknown = |name: &&String| !modules.iter().any(|module| is_named(&module.name, name));
        if let Self::Names(names) = self
            && let Some(name) = names.iter().find(unknown)
        {
            let reason =
                format!("{name} names no matrix of this model's layers that adapters update here");
            return Err(AdapterError::field(field, reason));
        }
        match modules.iter().any(|module| self.contain(&module.name)) {
            true => Ok(()),
            false => Err(AdapterError::field(field, "names no module of this model")),
        }
    }
}

/// What ends a module's name, from a dot or the beginning on: a key of `rank_pattern`.
///
/// # Errors
/// An expression that cannot be read.
pub(super) fn end(field: &str, text: &str) -> Result<Regex, AdapterError> {
    expression(field, text, &format!(r"^(.*\.)?({text})$"))
}

fn whole(field: &str, text: &str) -> Result<Regex, AdapterError> {
    expression(field, text, &format!("^(?:{text})$"))
}

/// Names are ASCII, and so are digits and words then.
fn expression(field: &str, text: &str, whole: &str) -> Result<Regex, AdapterError> {
    let built = RegexBuilder::new(whole).unicode(false).build();
    built.map_err(|error| {
        let reason = format!("{text:?} is no expression that is supported: {error}");
        AdapterError::field(field, reason)
    })
}

fn is_named(module: &str, name: &str) -> bool {
    let before = module.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn expected(field: &str, found: &Value) -> AdapterError {
    let reason = format!("a list of names or an expression is needed, not {found}");
    AdapterError::field(field, reason)
}

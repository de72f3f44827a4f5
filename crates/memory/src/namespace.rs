//! Names of sets of files.

use std::fmt;
use std::str::FromStr;

/// The name of a tenant's set of files: 1 to 128 of the ASCII letters, digits, `.`, `_`, `-`, the
/// first of them a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Box<str>);

/// Text that names no namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a namespace is 1 to 128 of the letters a-z and A-Z, digits, '.', '_' and '-', and begins with \
     a letter or a digit"
)]
pub struct MalformedNamespace;

impl Namespace {
    const LONGEST: usize = 128;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = MalformedNamespace;

    /// # Errors
    /// See the type.
    fn from_str(name: &str) -> Result<Self, MalformedNamespace> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && name.len() <= Self::LONGEST && name.bytes().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(MalformedNamespace)
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

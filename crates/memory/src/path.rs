//! Places of files in a namespace.

use std::fmt;
use std::str::FromStr;

/// A file or folder: `/memories`, or something below it.
///
/// No path of a store ever reaches a file system, but models and clients take these for paths: what
/// would leave `/memories` there is refused here, however it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryPath {
    /// Without `/memories/` in front; empty for the root itself.
    below: Box<str>,
}

/// Why text is no path of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPath {
    /// It does not begin with `/memories`.
    #[error("a path begins with /memories")]
    Outside,
    /// It has a component `.` or `..`, written out or percent-encoded.
    #[error("a path has no component \".\" or \"..\", and no encoded separators or dots")]
    Traversal,
    /// It has an empty component.
    #[error("a path has no empty component")]
    Empty,
    /// It has a control character, NUL among them, or a backslash.
    #[error("a path has neither control characters nor backslashes")]
    Character,
    /// It has more than 1,024 bytes, a component of more than 255, or more than 16 components.
    #[error("a path has at most 1024 bytes and 16 components of at most 255 bytes")]
    TooLong,
}

impl MemoryPath {
    const ROOT: &str = "/memories";

    /// The path below `/memories` that is written without it, as in a URL that was decoded once.
    ///
    /// # Errors
    /// See [`MalformedPath`].
    pub fn below_root(text: &str) -> Result<Self, MalformedPath> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(MalformedPath::Character);
        }
        if has_encoded_syntax(text) {
            return Err(MalformedPath::Traversal);
        }
        if text.is_empty() {
            return Ok(Self { below: "".into() });
        }
        let components: Vec<&str> = text.split('/').collect();
        if components
            .iter()
            .any(|component| matches!(*component, "." | ".."))
        {
            return Err(MalformedPath::Traversal);
        }
        if components
            .iter()
            .any(|component| component.trim().is_empty())
        {
            return Err(MalformedPath::Empty);
        }
        let long = components.iter().any(|component| component.len() > 255);
        if text.len() > 1024 || components.len() > 16 || long {
            return Err(MalformedPath::TooLong);
        }
        Ok(Self { below: text.into() })
    }

    /// Whether it is `/memories` itself.
    pub fn is_root(&self) -> bool {
        self.below.is_empty()
    }

    /// It without `/memories/` in front.
    pub(crate) fn below(&self) -> &str {
        &self.below
    }

    /// The folders that it is in, from the outermost on, without the root.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        self.below
            .match_indices('/')
            .map(|(end, _)| &self.below[..end])
    }
}

impl FromStr for MemoryPath {
    type Err = MalformedPath;

    /// # Errors
    /// See [`MalformedPath`].
    fn from_str(text: &str) -> Result<Self, MalformedPath> {
        let below = text
            .strip_prefix(Self::ROOT)
            .ok_or(MalformedPath::Outside)?;
        match below.strip_prefix('/') {
            Some(below) => Self::below_root(below),
            None if below.is_empty() => Self::below_root(below),
            None => Err(MalformedPath::Outside),
        }
    }
}

impl fmt::Display for MemoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ROOT)?;
        if self.is_root() {
            Ok(())
        } else {
            write!(f, "/{}", self.below)
        }
    }
}

/// Whether a second decoding would give a separator, a dot, or a NUL; `%25` begins a third.
fn has_encoded_syntax(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["%2e", "%2f", "%5c", "%00", "%25"]
        .iter()
        .any(|code| lower.contains(code))
}

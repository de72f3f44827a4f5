//! Names by which formats are chosen on a command line.

/// A name that no format has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no {kind}; there are {known}")]
pub struct UnknownFormat {
    /// What was looked for.
    kind: &'static str,
    /// The name.
    name: String,
    /// The names that exist.
    known: String,
}

/// The first name of a format.
pub(crate) fn of<F: Copy + PartialEq>(format: F, names: &[(&'static str, F)]) -> &'static str {
    let own = names.iter().find(|(_, named)| *named == format);
    own.map(|(name, _)| *name)
        .expect("every format has a name in its table")
}

/// The format of a name.
pub(crate) fn find<F: Copy>(
    kind: &'static str,
    name: &str,
    names: &[(&'static str, F)],
) -> Result<F, UnknownFormat> {
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
        UnknownFormat {
            kind,
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

//! Calls of the memory tool.

use crate::files::Files;
use crate::listing::{excerpt, folder, numbered};
use crate::{FileError, MalformedPath, MemoryPath, Namespace, StorageError, Store, Tenant};

/// A call of Anthropic's memory tool `memory_20250818`, with its parameters as the model wrote
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Shows a file with line numbers, or two levels of a folder.
    View {
        /// The file or folder.
        path: String,
        /// First and last line, counted from 1; -1 is the last line there is.
        view_range: Option<(i64, i64)>,
    },
    /// Creates a file; folders come with it.
    Create {
        /// The file.
        path: String,
        /// Its text.
        file_text: String,
    },
    /// Replaces text that is in a file exactly once.
    StrReplace {
        /// The file.
        path: String,
        /// The text that goes.
        old_str: String,
        /// The text that comes.
        new_str: String,
    },
    /// Inserts lines.
    Insert {
        /// The file.
        path: String,
        /// The line after which they come; 0 is before the first.
        insert_line: i64,
        /// The lines.
        insert_text: String,
    },
    /// Removes a file, or a folder with all that is in it.
    Delete {
        /// The file or folder.
        path: String,
    },
    /// Moves a file or folder.
    Rename {
        /// Where it is.
        old_path: String,
        /// Where it will be.
        new_path: String,
    },
}

/// Why a call did nothing. All but [`Self::is_storage`] are the model's to mend, and the words are
/// for it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A parameter is no path.
    #[error("Invalid `{parameter}`: {source}.")]
    Path {
        /// The parameter.
        parameter: &'static str,
        /// Why.
        source: MalformedPath,
    },
    /// `old_str` is empty.
    #[error("Invalid `old_str`: it is empty.")]
    EmptyOldText,
    /// `old_str` is not there.
    #[error("Nothing was replaced: `old_str` does not occur word for word in {path}.")]
    Absent {
        /// The file.
        path: MemoryPath,
    },
    /// `old_str` is there more than once.
    #[error(
        "Nothing was replaced: `old_str` occurs {times} times in {path}, in lines {lines:?}{more}. \
         Make it unique.",
        more = if *times > lines.len() { " and others" } else { "" }
    )]
    Ambiguous {
        /// The file.
        path: MemoryPath,
        /// How often.
        times: usize,
        /// The lines in which the first occurrences begin.
        lines: Vec<usize>,
    },
    /// `insert_line` is no line of the file.
    #[error("Invalid `insert_line`: {line}. The file has lines 0 to {lines} to insert after.")]
    InsertLine {
        /// What was asked.
        line: i64,
        /// Lines of the file.
        lines: usize,
    },
    /// `view_range` is no range of the file's lines.
    #[error("Invalid `view_range`: [{first}, {last}]. The file has {lines} lines.")]
    ViewRange {
        /// What was asked.
        first: i64,
        /// What was asked.
        last: i64,
        /// Lines of the file.
        lines: usize,
    },
    /// A folder has no lines.
    #[error("Invalid `view_range`: {0} is a folder.")]
    ViewRangeOfFolder(MemoryPath),
    /// See there.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Store {
    /// Answers a call of the memory tool: what the model reads.
    ///
    /// # Errors
    /// See [`CommandError`]; nothing was changed.
    pub fn run(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        command: &Command,
    ) -> Result<String, CommandError> {
        match command {
            Command::View { path, view_range } => {
                self.view(tenant, namespace, &parse("path", path)?, *view_range)
            }
            Command::Create { path, file_text } => {
                let path = parse("path", path)?;
                self.change_files(tenant, namespace, |files| create(files, &path, file_text))?;
                Ok(format!("The file {path} was created."))
            }
            Command::StrReplace {
                path,
                old_str,
                new_str,
            } => {
                let path = parse("path", path)?;
                self.edit(tenant, namespace, &path, |text| {
                    replace_once(&path, text, old_str, new_str)
                })
            }
            Command::Insert {
                path,
                insert_line,
                insert_text,
            } => {
                let path = parse("path", path)?;
                self.edit(tenant, namespace, &path, |text| {
                    insert_after(text, *insert_line, insert_text)
                })
            }
            Command::Delete { path } => {
                let path = parse("path", path)?;
                self.remove_files(tenant, namespace, &path)?;
                Ok(format!("{path} was removed."))
            }
            Command::Rename { old_path, new_path } => {
                let (old, new) = (parse("old_path", old_path)?, parse("new_path", new_path)?);
                self.change_files(tenant, namespace, |files| files.rename(&old, &new))?;
                Ok(format!("{old} was renamed to {new}."))
            }
        }
    }

    fn view(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        path: &MemoryPath,
        range: Option<(i64, i64)>,
    ) -> Result<String, CommandError> {
        let text = match self.read_file(tenant, namespace, path) {
            Err(FileError::IsFolder(_)) if range.is_some() => {
                return Err(CommandError::ViewRangeOfFolder(path.clone()));
            }
            Err(FileError::IsFolder(_)) => {
                let sizes = self.sizes_in(tenant, namespace, path)?;
                return Ok(folder(path, &sizes));
            }
            text => text?,
        };
        let lines = text.lines().count();
        let (first, last) = range.unwrap_or((1, -1));
        let end = if last == -1 {
            lines.max(1) as i64
        } else {
            last
        };
        let is_range = 1 <= first && first <= end && end <= lines as i64;
        if range.is_some() && !is_range {
            return Err(CommandError::ViewRange { first, last, lines });
        }
        Ok(numbered(path, &text, first as usize, end as usize))
    }

    /// Changes the text of one file and shows where.
    fn edit(
        &self,
        tenant: &Tenant,
        namespace: &Namespace,
        path: &MemoryPath,
        edit: impl FnOnce(&str) -> Result<Edited, CommandError>,
    ) -> Result<String, CommandError> {
        let shown = self.change_files(tenant, namespace, |files| {
            let Some(text) = files.text(path)? else {
                let folder = files.is_folder(path)?;
                let error = if folder {
                    FileError::IsFolder
                } else {
                    FileError::NotFound
                };
                return Err(error(path.clone()).into());
            };
            let edited = edit(&text)?;
            files.set(path, &edited.text)?;
            Ok::<_, CommandError>(excerpt(&edited.text, edited.first, edited.last))
        })?;
        Ok(format!(
            "The file {path} was changed. Around the change:\n{shown}"
        ))
    }
}

impl CommandError {
    /// Whether the store failed, and not the caller.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::File(FileError::Storage(_)))
    }
}

/// A file's text after a change.
struct Edited {
    text: String,
    /// The lines that changed, counted from 1.
    first: usize,
    last: usize,
}

fn parse(parameter: &'static str, path: &str) -> Result<MemoryPath, CommandError> {
    path.parse()
        .map_err(|source| CommandError::Path { parameter, source })
}

fn create(files: &mut Files<'_>, path: &MemoryPath, text: &str) -> Result<(), FileError> {
    if files.text(path)?.is_some() {
        return Err(FileError::Exists(path.clone()));
    }
    files.set(path, text)
}

fn replace_once(
    path: &MemoryPath,
    text: &str,
    old: &str,
    new: &str,
) -> Result<Edited, CommandError> {
    /// Lines that a refusal names.
    const NAMED: usize = 20;
    let Some(first_char) = old.chars().next() else {
        return Err(CommandError::EmptyOldText);
    };
    let line_at = |at: usize| 1 + text[..at].matches('\n').count();
    // Occurrences may overlap: "aa" is twice in "aaa".
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(old) {
        places.push(from + at);
        from += at + first_char.len_utf8();
    }
    match places.as_slice() {
        [] => Err(CommandError::Absent { path: path.clone() }),
        [at] => {
            let first = line_at(*at);
            let text = [&text[..*at], new, &text[at + old.len()..]].concat();
            Ok(Edited {
                text,
                first,
                last: first + new.matches('\n').count(),
            })
        }
        all => Err(CommandError::Ambiguous {
            path: path.clone(),
            times: all.len(),
            lines: all.iter().take(NAMED).map(|at| line_at(*at)).collect(),
        }),
    }
}

fn insert_after(text: &str, line: i64, inserted: &str) -> Result<Edited, CommandError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(after) = usize::try_from(line)
        .ok()
        .filter(|line| *line <= lines.len())
    else {
        return Err(CommandError::InsertLine {
            line,
            lines: lines.len(),
        });
    };
    let mut edited = lines[..after].concat();
    if !edited.is_empty() && !edited.ends_with('\n') {
        edited.push('\n');
    }
    edited.push_str(inserted);
    if !inserted.ends_with('\n') {
        edited.push('\n');
    }
    edited.extend(lines[after..].iter().copied());
    let last = after + inserted.lines().count().max(1);
    Ok(Edited {
        text: edited,
        first: after + 1,
        last,
    })
}

impl From<StorageError> for CommandError {
    fn from(error: StorageError) -> Self {
        Self::File(FileError::Storage(error))
    }
}

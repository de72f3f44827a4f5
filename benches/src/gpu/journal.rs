//! What was measured, line by line, in a file that survives whatever happens to the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::measured::Measured;
use super::shape::Shape;
use super::workload::Workload;

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Line {
    /// The model's shape.
    pub model: Shape,
    /// The workload's name.
    pub workload: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The flag `--device`.
    pub device: String,
    /// By what counts and lengths were divided.
    pub scale: usize,
    /// Commit of the source tree.
    pub commit: String,
}

/// What became of a workload.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It is being measured.
    Begun,
    /// It was measured.
    Measured(Measured),
    /// It could not be measured.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A file of lines, to which more are added.
pub struct Journal {
    lines: Vec<Line>,
    file: Option<File>,
}

impl Journal {
    /// Of a file, which may hold lines already or not be there yet. What began and has no end in it
    /// failed with the process: that is added.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                lines: Vec::new(),
                file: None,
            });
        };
        let lines = match path.exists() {
            true => Self::read(path)?,
            false => Vec::new(),
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let mut journal = Self {
            lines,
            file: Some(file),
        };
        for line in journal.broken_off() {
            journal.add(line)?;
        }
        Ok(journal)
    }

    /// The lines of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).with_context(|| format!("{name}: {line}")))
            .collect()
    }

    /// Whether a workload was begun, whatever became of it.
    pub fn has(&self, model: Shape, workload: Workload) -> bool {
        let name = workload.to_string();
        let mut lines = self.lines.iter();
        lines.any(|line| line.model == model && line.workload == name)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, line: Line) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(&line)?)?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn broken_off(&self) -> Vec<Line> {
        let mut open: Vec<Line> = Vec::new();
        for line in &self.lines {
            open.retain(|begun| (begun.model, &begun.workload) != (line.model, &line.workload));
            if line.outcome == Outcome::Begun {
                let reason = "the process ended meanwhile".to_owned();
                let outcome = Outcome::Failed { reason };
                open.push(Line {
                    outcome,
                    ..line.clone()
                });
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(workload: &str, outcome: Outcome) -> Line {
        Line {
            model: Shape::Tiny,
            workload: workload.to_owned(),
            outcome,
            device: "cpu".to_owned(),
            scale: 64,
            commit: "abc".to_owned(),
        }
    }

    #[test]
    fn what_broke_off_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        let measured = Outcome::Measured(Measured {
            value: 1.5,
            unit: "s".to_owned(),
            details: serde_json::Map::new(),
        });
        let mut journal = Journal::open(Some(&path)).unwrap();
        journal.add(line("start", Outcome::Begun)).unwrap();
        journal.add(line("start", measured.clone())).unwrap();
        journal.add(line("mixed", Outcome::Begun)).unwrap();
        drop(journal);

        let journal = Journal::open(Some(&path)).unwrap();
        assert!(journal.has(Shape::Tiny, Workload::Start));
        assert!(journal.has(Shape::Tiny, Workload::Mixed { shared: 0 }));
        assert!(!journal.has(Shape::L, Workload::Start));
        assert!(!journal.has(Shape::Tiny, Workload::Http));
        let lines = Journal::read(&path).unwrap();
        assert_eq!(lines, journal.lines());
        assert_eq!(lines[1].outcome, measured);
        let reason = "the process ended meanwhile".to_owned();
        assert_eq!(lines[3], line("mixed", Outcome::Failed { reason }));
        assert_eq!(lines.len(), 4);
        assert_eq!(Journal::open(Some(&path)).unwrap().lines().len(), 4);
    }
}

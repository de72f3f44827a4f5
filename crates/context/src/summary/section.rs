//! A summary in its sections.

use std::collections::BTreeMap;

use super::Speaker;

/// The parts of a summary, in the order in which they stand: what is read best is at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// What the user wants.
    Goal,
    /// What must or must not be.
    Constraints,
    /// What was decided, and why.
    Decisions,
    /// Files, addresses, names.
    Artifacts,
    /// What went wrong.
    Errors,
    /// How the user likes things.
    Preferences,
    /// Whatever else must be known.
    Facts,
    /// What is to be done.
    OpenTasks,
    /// What comes next.
    NextStep,
}

/// Lines by section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionedSummary {
    lines: BTreeMap<Section, Vec<String>>,
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Goal,
        Self::Constraints,
        Self::Decisions,
        Self::Artifacts,
        Self::Errors,
        Self::Preferences,
        Self::Facts,
        Self::OpenTasks,
        Self::NextStep,
    ];

    /// From the one that a summary can do without most easily.
    pub(crate) const LEAST_FIRST: [Self; 9] = [
        Self::Facts,
        Self::Artifacts,
        Self::Preferences,
        Self::Errors,
        Self::Decisions,
        Self::OpenTasks,
        Self::NextStep,
        Self::Constraints,
        Self::Goal,
    ];

    /// Whose words it mostly has: only the user changes what the user wants.
    pub(crate) fn speaker(self) -> Speaker {
        match self {
            Self::Goal | Self::Constraints | Self::Preferences => Speaker::User,
            _ => Speaker::Assistant,
        }
    }

    /// Its line in a summary, without the colon.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Goal => "goal",
            Self::Constraints => "constraints",
            Self::Decisions => "decisions",
            Self::Artifacts => "artifacts",
            Self::Errors => "errors",
            Self::Preferences => "preferences",
            Self::Facts => "facts",
            Self::OpenTasks => "open tasks",
            Self::NextStep => "next step",
        }
    }

    /// The section that a line begins, and what follows on it: `goal: x`, `**Goal:** x`, `## Goal`.
    fn begun_by(line: &str) -> Option<(Self, &str)> {
        let bare = line.trim_start_matches(['#', '*', ' ', '_']);
        let marked = bare.len() < line.len();
        let section = |section: &Self| {
            let heading = section.heading();
            let head = bare.get(..heading.len())?;
            let alike = head.eq_ignore_ascii_case(heading)
                || head.replace('_', " ").eq_ignore_ascii_case(heading);
            let rest = &bare[heading.len()..];
            let after = rest.trim_start_matches(['*', '_', ' ']);
            let rest = match after.strip_prefix(':') {
                Some(text) => text.trim_start_matches(['*', '_', ' ']),
                None if marked && after.is_empty() => after,
                None => return None,
            };
            alike.then_some((*section, rest))
        };
        Self::ALL.iter().find_map(section)
    }
}

impl SectionedSummary {
    /// Reads what [`SectionedSummary::render`] writes, and what models write instead of it. Lines
    /// before the first heading are facts.
    pub fn parse(text: &str) -> Self {
        let mut summary = Self::default();
        let mut section = Section::Facts;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = match Section::begun_by(line) {
                Some((begun, rest)) => {
                    section = begun;
                    rest
                }
                None => line,
            };
            let bullet = ["- ", "* ", "• "]
                .iter()
                .find_map(|bullet| line.strip_prefix(bullet));
            summary.push(section, bullet.unwrap_or(line));
        }
        summary
    }

    /// Adds a line, unless it is empty, says that there is nothing, or is there already.
    pub fn push(&mut self, section: Section, line: &str) {
        let line = line.trim();
        let nothing = ["", "none", "none.", "n/a", "-", "(none)"];
        let is_new = !self.lines(section).iter().any(|known| known == line);
        if is_new && !nothing.iter().any(|word| line.eq_ignore_ascii_case(word)) {
            self.lines.entry(section).or_default().push(line.to_owned());
        }
    }

    /// The lines of a section.
    pub fn lines(&self, section: Section) -> &[String] {
        self.lines.get(&section).map_or(&[], Vec::as_slice)
    }

    /// What each section says, to be chosen from again: the user's own words are the user's.
    pub fn parts(&self) -> Vec<(Speaker, String)> {
        let lines = self.lines.iter();
        lines
            .map(|(section, lines)| (section.speaker(), lines.join("\n")))
            .collect()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.values().all(Vec::is_empty)
    }

    /// The text: `goal:` and so on, each with its lines behind dashes; empty sections are left out.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for section in Section::ALL {
            let lines = self.lines(section);
            if lines.is_empty() {
                continue;
            }
            out.push_str(section.heading());
            out.push_str(":\n");
            for line in lines {
                out.push_str("- ");
                out.push_str(line);
                out.push('\n');
            }
        }
        out.truncate(out.trim_end().len());
        out
    }

    /// Takes lines out of the sections that matter least, the last ones first, until the text has
    /// at most `max_tokens`; the lines taken out.
    pub(crate) fn cap(&mut self, max_tokens: usize, count: &dyn Fn(&str) -> usize) -> Vec<String> {
        let mut dropped = Vec::new();
        let mut tokens = count(&self.render());
        while tokens > max_tokens {
            // Counting the whole text after each line would take time by its square: as long as
            // even a generous estimate is too long, so is the text.
            let mut estimate = tokens;
            while estimate > max_tokens {
                let Some((section, line)) = self.pop_least() else {
                    return dropped;
                };
                estimate = estimate.saturating_sub(count(&line) + count(section.heading()) + 4);
                dropped.push(line);
            }
            tokens = count(&self.render());
        }
        dropped
    }

    /// Takes out the last line of the section that matters least.
    fn pop_least(&mut self) -> Option<(Section, String)> {
        let mut least = Section::LEAST_FIRST.into_iter();
        let found = least.find_map(|section| Some((section, self.lines.get_mut(&section)?.pop()?)));
        self.lines.retain(|_, lines| !lines.is_empty());
        found
    }

    /// Every line with its section, in order.
    pub(crate) fn all_lines(&self) -> impl Iterator<Item = (Section, &str)> {
        let lines = self.lines.iter();
        lines.flat_map(|(section, lines)| lines.iter().map(|line| (*section, line.as_str())))
    }

    /// Takes out the lines of a section that `keep` refuses.
    pub(crate) fn retain(&mut self, section: Section, keep: impl FnMut(&String) -> bool) {
        if let Some(lines) = self.lines.get_mut(&section) {
            lines.retain(keep);
        }
        self.lines.retain(|_, lines| !lines.is_empty());
    }
}

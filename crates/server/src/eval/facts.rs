//! What is planted in episodes, and asked for afterwards.
//!
//! Values are random, so that no model knows them. Wordings are plain sentences and plain questions
//! that share the words between them: a model that fails at these can be asked nothing.

use serde::Serialize;

use super::prose::{LANGUAGES, MONTHS, NAMES, NOUNS, OBJECTS, PEOPLE, VERBS};
use super::prose::{choice, made_up_name};
use crate::measure::random::Random;

/// Which part of a task a fact belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FactKind {
    /// A limit that the user set at the beginning.
    Constraint,
    /// A decision that replaced an earlier one: only the latest is right.
    Decision,
    /// A name, path or code of a tool's result that the assistant has repeated.
    RestatedArtifact,
    /// One that nobody has repeated.
    Artifact,
    /// Something that failed, in a tool's result.
    Error,
    /// Work that is left to do.
    Task,
    /// What the user said of themselves.
    Preference,
    /// A fact in a retrieved document.
    Evidence,
    /// A fact that was never stated: the right answer says so.
    Absent,
}

/// A fact and its question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fact {
    pub(super) kind: FactKind,
    /// The sentence that states it; empty for [`FactKind::Absent`].
    pub(super) statement: String,
    /// The sentence that stated it before, which is wrong since.
    pub(super) superseded: Option<String>,
    pub(super) question: String,
    /// What a right answer contains; empty for [`FactKind::Absent`].
    pub(super) value: String,
    /// What a right answer does not contain.
    pub(super) wrong_value: Option<String>,
}

/// Draws facts that do not contradict each other.
#[derive(Debug)]
pub(super) struct FactSource {
    random: Random,
    /// Every name once, then none: each fact has a name of its own.
    names: Vec<&'static str>,
    /// What facts were drawn about: what is absent is asked of one of these.
    projects: Vec<String>,
}

/// An attribute and how its values look.
type Attribute = (&'static str, fn(&mut Random) -> String);

const LIMITS: &[Attribute] = &[
    ("budget", |r| format!("{} euros", 1_000 + r.below(9_000))),
    ("memory limit", |r| format!("{} MB", 100 + r.below(900))),
    ("deadline", day),
];
const SETTINGS: &[Attribute] = &[
    ("port", |r| (1_000 + r.below(9_000)).to_string()),
    ("batch size", |r| (10 + r.below(900)).to_string()),
    ("timeout", |r| format!("{} seconds", 10 + r.below(900))),
];
const ARTIFACTS: &[Attribute] = &[
    ("access code", code),
    ("ticket number", code),
    ("log file", |r| {
        let (folder, name) = (choice(r, NOUNS), choice(r, NOUNS));
        format!("/var/log/{folder}/{name}{}.log", 10 + r.below(90))
    }),
];
const PLACES: &[Attribute] = &[
    ("door code", code),
    ("rent", |r| format!("{} euros", 1_000 + r.below(9_000))),
    ("opening time", time),
    ("capacity", |r| format!("{} people", 100 + r.below(900))),
];
/// Never planted, so always absent.
const ABSENT: &[&str] = &["sponsor", "database", "version", "owner", "region"];

impl FactKind {
    /// In the order of the tables.
    pub(super) const ALL: [Self; 9] = [
        Self::Constraint,
        Self::Decision,
        Self::RestatedArtifact,
        Self::Artifact,
        Self::Error,
        Self::Task,
        Self::Preference,
        Self::Evidence,
        Self::Absent,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Constraint => "constraint",
            Self::Decision => "decision",
            Self::RestatedArtifact => "restated artifact",
            Self::Artifact => "artifact",
            Self::Error => "error",
            Self::Task => "task",
            Self::Preference => "preference",
            Self::Evidence => "evidence",
            Self::Absent => "absent",
        }
    }
}

impl FactSource {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut names = NAMES.to_vec();
        random.shuffle(&mut names);
        Self {
            random,
            names,
            projects: Vec::new(),
        }
    }

    /// The next fact of that kind.
    ///
    /// # Panics
    /// When the names are used up: an episode has far fewer facts.
    pub(super) fn draw(&mut self, kind: FactKind) -> Fact {
        let name = self
            .names
            .pop()
            .expect("an episode has fewer facts than there are names");
        let random = &mut self.random;
        match kind {
            FactKind::Constraint | FactKind::RestatedArtifact | FactKind::Artifact => {
                let project = format!("project {name}");
                self.projects.push(project.clone());
                let limits = kind == FactKind::Constraint;
                stated(
                    kind,
                    random,
                    if limits { LIMITS } else { ARTIFACTS },
                    &project,
                )
            }
            FactKind::Decision => decision(random, name),
            FactKind::Error => error(random, name),
            FactKind::Task => task(random, name),
            FactKind::Preference => preference(random),
            FactKind::Evidence => stated(kind, random, PLACES, &format!("the {name} office")),
            FactKind::Absent => absent(random, &self.projects, name),
        }
    }

    /// A sentence of the same shape about something that is never asked for.
    pub(super) fn decoy(&mut self) -> String {
        let name = made_up_name(&mut self.random);
        let kind = FactKind::Artifact;
        stated(
            kind,
            &mut self.random,
            ARTIFACTS,
            &format!("project {name}"),
        )
        .statement
    }

    /// One about a place.
    pub(super) fn place_decoy(&mut self) -> String {
        let name = made_up_name(&mut self.random);
        let kind = FactKind::Evidence;
        stated(
            kind,
            &mut self.random,
            PLACES,
            &format!("the {name} office"),
        )
        .statement
    }
}

fn stated(kind: FactKind, random: &mut Random, attributes: &[Attribute], of: &str) -> Fact {
    let (attribute, draw) = attributes[random.below(attributes.len())];
    let value = draw(random);
    Fact {
        kind,
        statement: format!("The {attribute} of {of} is {value}."),
        superseded: None,
        question: format!("What is the {attribute} of {of}?"),
        value,
        wrong_value: None,
    }
}

fn decision(random: &mut Random, name: &str) -> Fact {
    let (attribute, draw) = SETTINGS[random.below(SETTINGS.len())];
    let of = format!("the {name} service");
    let old = draw(random);
    let mut value = draw(random);
    while value == old {
        value = draw(random);
    }
    Fact {
        kind: FactKind::Decision,
        statement: format!("Correction: the {attribute} of {of} is now {value}."),
        superseded: Some(format!("The {attribute} of {of} is {old}.")),
        question: format!("What is the {attribute} of {of}?"),
        value,
        wrong_value: Some(old),
    }
}

fn error(random: &mut Random, name: &str) -> Fact {
    let (at, thing) = (time(random), choice(random, NOUNS));
    Fact {
        kind: FactKind::Error,
        statement: format!("The {name} server crashed at {at} because of a {thing}."),
        superseded: None,
        question: format!("When did the {name} server crash?"),
        value: at,
        wrong_value: None,
    }
}

fn task(random: &mut Random, name: &str) -> Fact {
    let (verb, object) = (choice(random, VERBS), choice(random, OBJECTS));
    let (person, due) = (choice(random, PEOPLE), day(random));
    let who = format!("{person} {name}");
    Fact {
        kind: FactKind::Task,
        statement: format!("{who} will {verb} {object} by {due}."),
        superseded: None,
        question: format!("When will {who} {verb} {object}?"),
        value: due,
        wrong_value: None,
    }
}

fn preference(random: &mut Random) -> Fact {
    let value = choice(random, LANGUAGES).to_owned();
    Fact {
        kind: FactKind::Preference,
        statement: format!("My preferred language is {value}."),
        superseded: None,
        question: "What is my preferred language?".to_owned(),
        value,
        wrong_value: None,
    }
}

fn absent(random: &mut Random, projects: &[String], name: &str) -> Fact {
    let attribute = choice(random, ABSENT);
    let project = match projects {
        [] => format!("project {name}"),
        known => known[random.below(known.len())].clone(),
    };
    Fact {
        kind: FactKind::Absent,
        statement: String::new(),
        superseded: None,
        question: format!("What is the {attribute} of {project}?"),
        value: String::new(),
        wrong_value: None,
    }
}

fn code(random: &mut Random) -> String {
    let letter = |random: &mut Random| char::from(b'A' + random.below(26) as u8);
    let (first, second) = (letter(random), letter(random));
    format!("{first}{second}-{}", 1_000 + random.below(9_000))
}

fn time(random: &mut Random) -> String {
    format!("{:02}:{:02}", random.below(24), random.below(60))
}

fn day(random: &mut Random) -> String {
    format!("{} {}", 1 + random.below(28), choice(random, MONTHS))
}

#[cfg(test)]
mod tests;

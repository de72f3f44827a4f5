//! Episodes from a seed.

use super::facts::{Fact, FactKind, FactSource};
use super::message::{Message, Role, ToolCall};
use super::outline::{self, Slot};
use super::prose::{NOUNS, choice, filler, log_line};
use super::trace::{Planted, Trace, TraceKind};
use crate::measure::random::Random;

pub(super) const RULES: &str = "You are a careful assistant. Use only the facts you are given. \
                     If the context does not say something, say that you don't know.";

/// How long an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// About how many tokens it will have: decides how many turns there are, unless `turns` does.
    pub(super) tokens: u64,
    /// How often the model is asked.
    pub(super) turns: Option<u64>,
    /// Sentences without facts.
    pub(super) sentences: usize,
}

/// A message that is being written.
#[derive(Debug, Clone)]
struct Draft {
    slot: Slot,
    /// Sentences that must be there, in order, with the fact that each states.
    planted: Vec<(String, Option<usize>)>,
    /// What it begins with.
    lead: String,
    message: Message,
}

/// How lines are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Paragraphs,
    List,
    Log,
}

/// The episode of `kind` that `seed` gives; its facts and their places do not depend on the number
/// of sentences.
pub(super) fn generate(kind: TraceKind, seed: u64, size: Size) -> Trace {
    let slots = outline::slots(kind, size.tokens, size.turns);
    let mut random = Random::new(seed ^ 0x005e_ed00_f0fa_c750);
    let mut source = FactSource::new(seed);
    let kinds = outline::fact_kinds(kind);
    let facts: Vec<Fact> = kinds.into_iter().map(|kind| source.draw(kind)).collect();
    let mut drafts: Vec<Draft> = slots.iter().map(|&slot| Draft::new(slot)).collect();
    number_documents(&mut drafts);
    call_tools(&mut drafts, &mut random);
    for (index, fact) in facts.iter().enumerate() {
        plant(&mut drafts, index, fact, &mut random);
    }
    add_decoys(&mut drafts, &mut source, &mut random);
    let lengths = spread(kind, &slots, size.sentences);
    let mut prose = Random::new(seed ^ 0x0000_f111_e400_0000);
    for (draft, &sentences) in drafts.iter_mut().zip(&lengths) {
        draft.write(sentences, prose.next_u64());
    }
    repeat_a_read(&mut drafts);
    let facts = facts.into_iter().enumerate();
    let facts = facts.map(|(index, fact)| Planted {
        fact,
        messages: (0..drafts.len())
            .filter(|&at| drafts[at].states(index))
            .collect(),
    });
    Trace {
        kind,
        seed,
        facts: facts.collect(),
        messages: drafts.into_iter().map(|draft| draft.message).collect(),
    }
}

impl Draft {
    fn new(slot: Slot) -> Self {
        let (role, lead) = match slot {
            Slot::System => (Role::System, RULES),
            Slot::User => (Role::User, "Please go on."),
            Slot::Note => (Role::Assistant, "Got it."),
            Slot::Call => (Role::Assistant, ""),
            Slot::Result => (Role::Tool, ""),
            Slot::Document => (Role::User, ""),
        };
        let mut message = Message::new(role, "");
        message.retrieved = slot == Slot::Document;
        Self {
            slot,
            planted: Vec::new(),
            lead: lead.to_owned(),
            message,
        }
    }

    fn states(&self, fact: usize) -> bool {
        self.planted.iter().any(|(_, stated)| *stated == Some(fact))
    }

    /// Mixes what must be there with `sentences` that say nothing: one sentence more changes no
    /// other, so that an episode's length rises with their number.
    fn write(&mut self, sentences: usize, seed: u64) {
        let (mut prose, mut random) = (Random::new(seed), Random::new(!seed));
        let layout = match (self.slot, random.below(9)) {
            (Slot::Result, 0..3) => Layout::Log,
            (Slot::Result, 3..5) => Layout::List,
            _ => Layout::Paragraphs,
        };
        let total = sentences + self.planted.len();
        let mut places: Vec<usize> = (0..total).collect();
        random.shuffle(&mut places);
        places.truncate(self.planted.len());
        places.sort_unstable();
        let mut planted = self.planted.iter().map(|(sentence, _)| sentence.clone());
        let lines: Vec<String> = (0..total)
            .map(|at| match places.contains(&at) {
                true => planted.next().unwrap_or_default(),
                false if layout == Layout::Log && prose.below(2) == 0 => log_line(&mut prose),
                false => filler(&mut prose),
            })
            .collect();
        let text = layout.text(&lines);
        let gap = match (self.lead.is_empty(), text.is_empty(), self.slot) {
            (true, ..) | (_, true, _) => "",
            (_, _, Slot::Document) => "\n",
            _ => " ",
        };
        self.message.content = format!("{}{gap}{text}", self.lead);
    }
}

impl Layout {
    fn text(self, lines: &[String]) -> String {
        let numbered = lines.iter().enumerate();
        let lines: Vec<String> = match self {
            Self::Paragraphs => lines.chunks(6).map(|lines| lines.join(" ")).collect(),
            Self::List => lines.iter().map(|line| format!("- {line}")).collect(),
            Self::Log => numbered
                .map(|(minute, line)| {
                    let hour = 8 + minute / 60 % 16;
                    format!("[{hour:02}:{:02}] {line}", minute % 60)
                })
                .collect(),
        };
        lines.join("\n")
    }
}

/// Documents have numbers, so that no two begin alike.
fn number_documents(drafts: &mut [Draft]) {
    let documents = drafts
        .iter_mut()
        .filter(|draft| draft.slot == Slot::Document);
    for (number, document) in documents.enumerate() {
        document.lead = format!("Document {}:", number + 1);
    }
}

/// Gives every call an id and an argument, and every result the id of its call.
fn call_tools(drafts: &mut [Draft], random: &mut Random) {
    for at in 0..drafts.len() {
        if drafts[at].slot != Slot::Call {
            continue;
        }
        let id = format!("call_{at}");
        let folder = choice(random, NOUNS);
        drafts[at].message.call = Some(ToolCall {
            id: id.clone(),
            name: "read_file",
            parameter: "path",
            argument: format!("{folder}/{}{at}.txt", choice(random, NOUNS)),
        });
        if let Some(result) = drafts.get_mut(at + 1) {
            result.message.call_id = Some(id);
        }
    }
}

/// Puts a fact where its kind belongs.
fn plant(drafts: &mut [Draft], index: usize, fact: &Fact, random: &mut Random) {
    let of = |slot: Slot| -> Vec<usize> {
        (0..drafts.len())
            .filter(|&at| drafts[at].slot == slot)
            .collect()
    };
    let (users, results) = (of(Slot::User), of(Slot::Result));
    let statement = (fact.statement.clone(), Some(index));
    match fact.kind {
        FactKind::Constraint | FactKind::Preference => {
            drafts[users[0]].planted.push(statement);
        }
        FactKind::Decision => {
            // A third of the way at most, and between a third and two thirds.
            let first = users[random.below(users.len().div_ceil(3))];
            let later = users[users.len() / 3 + random.below(users.len().div_ceil(3))];
            let old = fact.superseded.clone().unwrap_or_default();
            drafts[first].planted.push((old, None));
            drafts[later].planted.push(statement);
        }
        FactKind::Task => {
            let at = users[random.below(users.len())];
            drafts[at].planted.push(statement);
        }
        FactKind::Artifact | FactKind::Error => {
            let at = results[random.below(results.len())];
            drafts[at].planted.push(statement);
        }
        FactKind::RestatedArtifact => {
            let at = results[random.below(results.len())];
            drafts[at].planted.push(statement.clone());
            // What the assistant says next, with or without a call.
            if let Some(next) = drafts.get_mut(at + 1) {
                next.planted.push(statement);
            }
        }
        FactKind::Evidence => {
            let documents = of(Slot::Document);
            let at = documents[random.below(documents.len())];
            drafts[at].planted.push(statement);
        }
        FactKind::Absent => {}
    }
}

/// Half of the results and all documents state something that nobody asks for.
fn add_decoys(drafts: &mut [Draft], source: &mut FactSource, random: &mut Random) {
    for draft in drafts {
        match draft.slot {
            Slot::Result if random.below(2) == 0 => draft.planted.push((source.decoy(), None)),
            Slot::Document => draft.planted.push((source.place_decoy(), None)),
            _ => {}
        }
    }
}

/// How many of `sentences` each message gets, by weight; they add up.
fn spread(kind: TraceKind, slots: &[Slot], sentences: usize) -> Vec<usize> {
    let mut sum = 0.0;
    let mut given = 0;
    let total: f64 = slots
        .iter()
        .map(|&slot| outline::weight(kind, slot, slots))
        .sum();
    let share = |slot: &Slot| {
        sum += outline::weight(kind, *slot, slots) / total;
        let until = (sum * sentences as f64).round() as usize;
        let here = until - given;
        given = until;
        here
    };
    slots.iter().map(share).collect()
}

/// Agents read files again: the last read that states nothing repeats the first one that does.
fn repeat_a_read(drafts: &mut [Draft]) {
    let empty: Vec<usize> = (0..drafts.len())
        .filter(|&at| drafts[at].slot == Slot::Result && drafts[at].planted.is_empty())
        .collect();
    let (Some(&first), Some(&last)) = (empty.first(), empty.last()) else {
        return;
    };
    let argument = |draft: &Draft| {
        draft
            .message
            .call
            .as_ref()
            .map(|call| call.argument.clone())
    };
    if first == last || first == 0 {
        return;
    }
    drafts[last].message.content = drafts[first].message.content.clone();
    let again = argument(&drafts[first - 1]);
    if let (Some(call), Some(again)) = (&mut drafts[last - 1].message.call, again) {
        call.argument = again;
    }
}

#[cfg(test)]
mod tests;

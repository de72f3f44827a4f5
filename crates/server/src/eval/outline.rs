//! The order of an episode's messages, before they say anything.

use super::facts::FactKind;
use super::trace::TraceKind;

/// A message to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    System,
    User,
    /// The assistant, without a call.
    Note,
    /// The assistant calls a tool.
    Call,
    /// What the tool answers.
    Result,
    /// A retrieved document.
    Document,
}

/// The messages of an episode in which the model is asked `turns` times, or thereabouts; by default
/// as many as suit `tokens` tokens. It ends with a note, so that a question can follow.
///
/// A call costs some 50 tokens beside its result, so results make 96 % only of long episodes with
/// few turns.
pub(super) fn slots(kind: TraceKind, tokens: u64, turns: Option<u64>) -> Vec<Slot> {
    use Slot::{Call, Document, Note, Result, System, User};
    let mut slots = vec![System];
    match kind {
        TraceKind::Tools => {
            // Four calls and a note are five turns.
            let calls = turns.map_or((tokens / 500).clamp(6, 60), |turns| (turns * 4 / 5).max(1));
            for call in 0..calls {
                if call % 4 == 0 {
                    slots.push(User);
                }
                slots.extend([Call, Result]);
                if call % 4 == 3 || call + 1 == calls {
                    slots.push(Note);
                }
            }
        }
        TraceKind::Dialogue => {
            // Every fourth round has a call as well.
            let rounds = turns.map_or((tokens / 300).clamp(10, 60), |turns| (turns * 4 / 5).max(2));
            for round in 0..rounds {
                slots.push(User);
                if round % 4 == 1 {
                    slots.extend([Call, Result]);
                }
                slots.push(Note);
            }
        }
        TraceKind::Retrieval => {
            // Every second round has a call as well.
            let rounds = turns.map_or((tokens / 1_200).clamp(3, 20), |turns| {
                (turns * 2 / 3).max(1)
            });
            for round in 0..rounds {
                slots.extend([Document, Document, Document, Document, User]);
                if round % 2 == 0 {
                    slots.extend([Call, Result]);
                }
                slots.push(Note);
            }
        }
        TraceKind::ThreeReads => {
            slots.push(User);
            slots.extend([Call, Result, Call, Result, Call, Result, Note]);
        }
    }
    slots
}

/// How much of an episode's text belongs to a message of that slot, relative to the others.
pub(super) fn weight(kind: TraceKind, slot: Slot, slots: &[Slot]) -> f64 {
    let count = |wanted: Slot| slots.iter().filter(|&&slot| slot == wanted).count() as f64;
    match (kind, slot) {
        (_, Slot::System | Slot::Call) => 0.0,
        (TraceKind::Dialogue, Slot::User | Slot::Note) => {
            0.6 / (count(Slot::User) + count(Slot::Note))
        }
        (TraceKind::Dialogue, _) => 0.4 / count(Slot::Result),
        (TraceKind::Retrieval, Slot::Document) => 0.7 / count(Slot::Document),
        (TraceKind::Retrieval, Slot::Result) => 0.2 / count(Slot::Result),
        (TraceKind::Retrieval, _) => 0.1 / (count(Slot::User) + count(Slot::Note)),
        (_, Slot::Result) => 0.97 / count(Slot::Result),
        (_, _) => 0.03 / (count(Slot::User) + count(Slot::Note)),
    }
}

/// What is planted in an episode of that kind.
pub(super) fn fact_kinds(kind: TraceKind) -> Vec<FactKind> {
    use FactKind::{
        Absent, Artifact, Constraint, Decision, Error, Evidence, Preference, RestatedArtifact, Task,
    };
    let mut kinds = vec![Constraint, Constraint, Preference, Task];
    kinds.extend(match kind {
        TraceKind::Tools => vec![
            Decision,
            Artifact,
            Artifact,
            Artifact,
            RestatedArtifact,
            RestatedArtifact,
            Error,
            Error,
        ],
        TraceKind::Dialogue => vec![
            Constraint,
            Decision,
            Decision,
            Task,
            Artifact,
            RestatedArtifact,
            Error,
        ],
        TraceKind::Retrieval => vec![
            Decision,
            Evidence,
            Evidence,
            Evidence,
            Evidence,
            Evidence,
            RestatedArtifact,
        ],
        TraceKind::ThreeReads => vec![Artifact, RestatedArtifact, RestatedArtifact, Error],
    });
    kinds.extend([Absent, Absent]);
    kinds
}

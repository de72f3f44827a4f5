use super::{Size, generate};
use crate::eval::facts::FactKind;
use crate::eval::message::Role;
use crate::eval::trace::{Trace, TraceKind};

const SIZE: Size = Size {
    tokens: 3_000,
    turns: None,
    sentences: 150,
};

fn every_trace(check: impl Fn(&Trace)) {
    for kind in TraceKind::ALL {
        for seed in 0..40 {
            check(&generate(kind, seed, SIZE));
        }
    }
}

#[test]
fn a_seed_gives_one_episode() {
    every_trace(|trace| {
        assert_eq!(&generate(trace.kind, trace.seed, SIZE), trace);
        let other = generate(trace.kind, trace.seed + 1, SIZE);
        assert_ne!(other.fingerprint(), trace.fingerprint());
    });
}

#[test]
fn facts_are_where_they_were_planted_and_nowhere_else() {
    every_trace(|trace| {
        for planted in &trace.facts {
            let fact = &planted.fact;
            let place = format!("{} {}: {fact:?}", trace.kind, trace.seed);
            let expected = match fact.kind {
                FactKind::Absent => 0,
                FactKind::RestatedArtifact => 2,
                _ => 1,
            };
            assert_eq!(planted.messages.len(), expected, "{place}");
            if fact.kind == FactKind::Absent {
                continue;
            }
            let stating: Vec<usize> = (0..trace.messages.len())
                .filter(|&at| trace.messages[at].content.contains(&fact.statement))
                .collect();
            assert_eq!(stating, planted.messages, "{place}");
            let text: String = trace.messages.iter().map(|m| m.content.as_str()).collect();
            let times = text.matches(&fact.statement).count();
            assert_eq!(times, expected, "{place}");
        }
    });
}

#[test]
fn kinds_of_facts_are_in_kinds_of_messages() {
    every_trace(|trace| {
        for planted in &trace.facts {
            let roles: Vec<Role> = planted
                .messages
                .iter()
                .map(|&at| trace.messages[at].role)
                .collect();
            let expected: &[Role] = match planted.fact.kind {
                FactKind::RestatedArtifact => &[Role::Tool, Role::Assistant],
                FactKind::Artifact | FactKind::Error => &[Role::Tool],
                FactKind::Absent => &[],
                _ => &[Role::User],
            };
            assert_eq!(roles, expected, "{planted:?}");
        }
    });
}

#[test]
fn what_was_superseded_stands_before_its_correction() {
    every_trace(|trace| {
        let text: Vec<&str> = trace.messages.iter().map(|m| m.content.as_str()).collect();
        let text = text.join("\n");
        for planted in &trace.facts {
            let Some(old) = &planted.fact.superseded else {
                continue;
            };
            assert_eq!(text.matches(old.as_str()).count(), 1);
            assert!(
                text.find(old.as_str()) < text.find(&planted.fact.statement),
                "{planted:?}"
            );
        }
    });
}

#[test]
fn nothing_states_what_is_absent_and_questions_are_unique() {
    every_trace(|trace| {
        let text: String = trace.messages.iter().map(|m| m.content.as_str()).collect();
        for (at, planted) in trace.facts.iter().enumerate() {
            let fact = &planted.fact;
            if fact.kind == FactKind::Absent {
                let asked = fact.question.strip_prefix("What is the ").unwrap();
                assert!(!text.contains(asked.trim_end_matches('?')), "{fact:?}");
            }
            let same = trace.facts[..at]
                .iter()
                .any(|other| other.fact.question == fact.question && fact.kind != FactKind::Absent);
            assert!(!same, "{} {}: {fact:?}", trace.kind, trace.seed);
        }
    });
}

#[test]
fn results_follow_their_calls_and_nothing_is_empty() {
    every_trace(|trace| {
        assert_eq!(trace.messages[0].role, Role::System);
        assert_eq!(trace.messages.last().unwrap().role, Role::Assistant);
        for (at, message) in trace.messages.iter().enumerate() {
            let before = at
                .checked_sub(1)
                .and_then(|at| trace.messages[at].call.as_ref());
            let called = before.map(|call| call.id.as_str());
            assert_eq!(message.call_id.as_deref(), called, "{message:?}");
            assert!(
                message.call.is_some() || !message.content.is_empty(),
                "{message:?}"
            );
        }
    });
}

#[test]
fn facts_do_not_depend_on_the_number_of_sentences() {
    for kind in TraceKind::ALL {
        let short = generate(
            kind,
            5,
            Size {
                sentences: 0,
                ..SIZE
            },
        );
        let long = generate(
            kind,
            5,
            Size {
                sentences: 400,
                ..SIZE
            },
        );
        assert_eq!(short.facts, long.facts);
        let letters = |trace: &Trace| -> usize {
            trace
                .messages
                .iter()
                .map(|message| message.content.len())
                .sum()
        };
        assert!(letters(&long) > letters(&short) + 400 * 15);
    }
}

#[test]
fn shares_of_text_are_those_of_the_kind() {
    let share = |kind: TraceKind, sentences: usize, of: Role| {
        let trace = generate(kind, 3, Size { sentences, ..SIZE });
        let letters = |wanted: Option<Role>| -> f64 {
            let messages = trace.messages.iter();
            let messages = messages.filter(|m| wanted.is_none_or(|role| m.role == role));
            messages.map(|message| message.content.len() as f64).sum()
        };
        letters(Some(of)) / letters(None)
    };
    let tools = share(TraceKind::Tools, 3_000, Role::Tool);
    assert!((0.93..0.98).contains(&tools), "{tools}");
    let reads = share(TraceKind::ThreeReads, 3_000, Role::Tool);
    assert!((0.93..0.98).contains(&reads), "{reads}");
    let dialogue = share(TraceKind::Dialogue, 1_000, Role::Tool);
    assert!((0.35..0.45).contains(&dialogue), "{dialogue}");
}

#[test]
fn turns_are_as_many_as_asked() {
    for (kind, turns) in [(TraceKind::Tools, 40), (TraceKind::Dialogue, 40)] {
        let size = Size {
            turns: Some(turns),
            ..SIZE
        };
        let found = generate(kind, 3, size).turns().len();
        assert!((38..=42).contains(&found), "{kind}: {found}");
    }
    let three = generate(TraceKind::ThreeReads, 3, SIZE);
    assert_eq!(three.turns(), [2, 4, 6, 8]);
}

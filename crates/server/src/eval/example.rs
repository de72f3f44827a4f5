//! A small evaluation for tests, made by hand.

use super::facts::{Fact, FactKind};
use super::failures::Cause;
use super::policy::Policy;
use super::replay::{Budget, Probe, Run, Turn};
use super::report::{Measured, TraceFacts};
use super::trace::{Planted, TraceKind};

/// Two episodes with a constraint, an artifact and something absent; the artifact of the second is
/// answered wrongly even where nothing else is said.
pub(super) fn measured() -> Measured {
    let half = |tokens| {
        Some(Budget {
            percent: 50,
            tokens,
        })
    };
    let whole = || vec![turn(100, 0, 10.0), turn(200, 100, 20.0)];
    let refused = Turn {
        refused: Some("too long".to_owned()),
        ..Turn::default()
    };
    let mut predicted = turn(100, 80, 5.0);
    predicted.prefilled_reported = Some(20);
    let mut mispredicted = predicted.clone();
    mispredicted.prefilled_reported = Some(21);
    let ours = vec![predicted.clone(), mispredicted];
    let first_cut = vec![turn(100, 0, 10.0), turn(150, 50, 20.0), refused];
    let second_cut = vec![turn(100, 0, 10.0), turn(160, 50, 20.0)];
    Measured {
        traces: vec![trace(1), trace(2)],
        runs: vec![
            run(0, Policy::Full, None, whole(), [true, true, true]),
            run(1, Policy::Full, None, whole(), [true, false, false]),
            run(0, Policy::LastN, half(160), first_cut, [false, true, true]),
            run(1, Policy::LastN, half(160), second_cut, [true, true, true]),
            run(
                0,
                Policy::Ours,
                half(160),
                vec![turn(100, 0, 1.0), predicted],
                [true, true, true],
            ),
            run(1, Policy::Ours, half(160), ours, [true, true, true]),
        ],
        gold: vec![
            run(0, Policy::Oracle, None, Vec::new(), [true, true, true]),
            run(1, Policy::Oracle, None, Vec::new(), [true, false, true]),
        ],
        notes: vec!["a | note".to_owned()],
    }
}

fn trace(seed: u64) -> TraceFacts {
    let fact = |kind: FactKind, value: &str, messages: Vec<usize>| Planted {
        fact: Fact {
            kind,
            statement: String::new(),
            superseded: None,
            question: format!("What is the {}?", kind.name()),
            value: value.to_owned(),
            wrong_value: None,
        },
        messages,
    };
    TraceFacts {
        kind: TraceKind::Tools,
        seed,
        fingerprint: format!("{seed:016x}"),
        tokens: 290,
        full_tokens: 300,
        messages: 4,
        tool_share: 0.5,
        facts: vec![
            fact(FactKind::Constraint, "4312 euros", vec![1]),
            fact(FactKind::Artifact, "AB-1234", vec![3]),
            fact(FactKind::Absent, "", Vec::new()),
        ],
    }
}

fn run(
    trace: usize,
    policy: Policy,
    budget: Option<Budget>,
    turns: Vec<Turn>,
    right: [bool; 3],
) -> Run {
    let probe = |fact: usize| Probe {
        fact,
        answer: if right[fact] { "yes" } else { "a|b" }.to_owned(),
        right: right[fact],
        prompt_tokens: 200,
        cached_tokens: 190,
        cause: (!right[fact]).then_some(Cause::Cut),
    };
    Run {
        trace,
        policy,
        budget,
        turns,
        probes: (0..3).map(probe).collect(),
    }
}

fn turn(prompt_tokens: u64, cached_tokens: u64, ttft_ms: f64) -> Turn {
    Turn {
        prompt_tokens,
        cached_tokens,
        ttft_ms,
        ..Turn::default()
    }
}

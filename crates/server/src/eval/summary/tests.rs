use super::{Tally, controls, rows};
use crate::eval::differences::differences;
use crate::eval::example::measured;
use crate::eval::facts::FactKind;
use crate::eval::policy::Policy;
use crate::eval::trace::TraceKind;

fn tally(right: usize, asked: usize) -> Tally {
    Tally { right, asked }
}

#[test]
fn what_fails_with_and_without_history_is_excluded() {
    let controls = controls(&measured());
    assert_eq!((controls.asked, controls.excluded), (4, 1));
    assert_eq!(
        (controls.right_with_full, controls.right_with_statement),
        (3, 3)
    );
}

#[test]
fn rows_are_hand_computed() {
    let measured = measured();
    let rows = rows(&measured, 7);
    let row = |policy: Policy| {
        rows.iter()
            .find(|row| row.policy == policy && row.kind.is_none())
            .unwrap()
    };
    let last_n = row(Policy::LastN);
    assert_eq!((last_n.budget, last_n.traces), (Some(50), 2));
    assert_eq!((last_n.facts, last_n.absent), (tally(2, 3), tally(2, 2)));
    let by_fact = [
        (FactKind::Constraint, tally(1, 2)),
        (FactKind::Artifact, tally(1, 1)),
    ];
    assert_eq!(last_n.by_fact, by_fact);
    // Both draws the first episode: 2/4; both the second: 2/2; each with probability 1/4.
    let retention = last_n.retention.unwrap();
    assert_eq!(
        (retention.value, retention.low, retention.high),
        (2.0 / 3.0, 0.5, 1.0)
    );
    let cost = last_n.cost.as_ref().unwrap();
    assert_eq!((cost.turns, cost.refused, cost.over_budget), (5, 1, 1));
    // (100 + 100) + (100 + 110): 410 in two episodes.
    assert_eq!((cost.prefilled_tokens, cost.prompt_tokens), (205.0, 255.0));
    // Second turns: 50 of 150, and 50 of 160.
    assert_eq!(cost.hit_rate, Some(100.0 / 310.0));
    assert_eq!(cost.ttft_p50_ms, Some(15.0));
    let full = row(Policy::Full);
    assert_eq!((full.budget, full.absent), (None, tally(1, 2)));
    assert_eq!(full.retention.unwrap().value, 1.0);
    assert_eq!(
        row(Policy::Ours).cost.as_ref().unwrap().wrongly_predicted,
        1
    );
    let kinds = rows
        .iter()
        .filter(|row| row.kind == Some(TraceKind::Tools))
        .count();
    assert_eq!((kinds, rows.len()), (3, 6));
}

#[test]
fn differences_are_those_of_the_same_episodes() {
    let found = differences(&measured(), 7);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].policy, found[0].budget, found[0].traces),
        (Policy::LastN, 50, 2)
    );
    let retention = found[0].retention.unwrap();
    assert_eq!(
        (retention.value, retention.low, retention.high),
        (2.0 / 3.0 - 1.0, -0.5, 0.0)
    );
    // 410 tokens to 160: 100 + 20 and 20 + 20.
    let ratio = found[0].prefilled_ratio.unwrap();
    assert_eq!(ratio.value, 410.0 / 160.0);
    assert_eq!((ratio.low, ratio.high), (200.0 / 120.0, 210.0 / 40.0));
}

//! Few-shot examples, left out as a whole.

use context::{Candidate, EditOp, Plan, PlanInput, Policy, Rung, SegmentKind, Tier, Zone, plan};

use crate::prompt::{Lengths, Prompt, policy};

/// A system message of 50 tokens, three examples of 100, and a question of 20.
fn prompt(relevance: [f64; 3]) -> Prompt {
    let mut prompt = Prompt::new();
    prompt.system(50);
    for relevance in relevance {
        prompt.example([40, 60], relevance);
    }
    prompt.user(20);
    prompt
}

/// Segments of the first, the second and the third example.
const PAIRS: [std::ops::RangeInclusive<usize>; 3] = [1..=2, 3..=4, 5..=6];

fn planned(input: &PlanInput) -> Plan {
    plan(input, &mut Lengths::new(&input.segments, 0)).expect("it fits")
}

/// The examples that are left out, from 0, each with both of its messages.
fn dropped(plan: &Plan) -> Vec<usize> {
    let number = |edit: &Candidate| {
        assert_eq!(edit.op, EditOp::DropExample);
        let (rung, zone) = (edit.rung, &edit.zone);
        assert_eq!((rung, zone), (Rung::ReduceRetrieval, &Zone::Examples));
        assert_eq!((edit.before, edit.after), (100, 0));
        let number = PAIRS.iter().position(|pair| *pair == edit.segments);
        number.expect("a whole example")
    };
    plan.edits.iter().map(number).collect()
}

#[test]
fn the_least_relevant_example_goes_first_and_whole() {
    // 370 tokens; one of the examples must go, then two.
    let input = |budget| prompt([0.9, 0.1, 0.5]).input(policy(budget), 0);
    assert!(dropped(&planned(&input(370))).is_empty());
    let one = planned(&input(300));
    assert_eq!(dropped(&one), [1]);
    assert_eq!(one.tokens_after, 270);
    assert_eq!(dropped(&planned(&input(200))), [1, 2]);
    // What one that is no less relevant loses is the relevance of its better part.
    let mut parts = input(300);
    (parts.segments[3].relevance, parts.segments[4].relevance) = (0.0, 1.0);
    (parts.segments[5].relevance, parts.segments[6].relevance) = (0.9, 0.9);
    (parts.segments[1].relevance, parts.segments[2].relevance) = (0.95, 0.95);
    assert_eq!(dropped(&planned(&parts)), [2]);
}

#[test]
fn of_equal_ones_the_last_goes_which_leaves_most_of_the_cache() {
    let input = prompt([0.5; 3]).input(policy(300), 370);
    let plan = planned(&input);
    assert_eq!(dropped(&plan), [2]);
    assert_eq!(plan.prefill_after, 20);
}

#[test]
fn floors_pins_tiers_and_the_stable_prefix_keep_examples() {
    let spared = |change: &dyn Fn(&mut PlanInput)| {
        let mut input = prompt([0.1, 0.5, 0.9]).input(policy(300), 0);
        change(&mut input);
        dropped(&planned(&input))
    };
    assert_eq!(spared(&|_| {}), [0]);
    // One of the two messages is enough to keep both.
    assert_eq!(spared(&|input| input.segments[2].pinned = true), [1]);
    assert_eq!(
        spared(&|input| input.segments[1].tier = Tier::Protected),
        [1]
    );
    assert_eq!(spared(&|input| input.policy.stable_prefix_end = 150), [1]);
    // An example that calls a tool, or one of which a part is something else, stays.
    let call = SegmentKind::ToolCall {
        name: "read".into(),
        call: 9,
    };
    assert_eq!(spared(&|input| input.segments[2].kind = call.clone()), [1]);
    assert_eq!(
        spared(&|input| {
            input.segments[2].zone = Zone::Retrieval;
            input.segments[2].tier = Tier::Protected;
        }),
        [1]
    );
    let mut input = prompt([0.5; 3]).input(policy(300), 0);
    zone(&mut input.policy).bounds.min = 201;
    assert!(plan(&input, &mut Lengths::new(&input.segments, 0)).is_err());
    zone(&mut input.policy).bounds.min = 200;
    assert_eq!(dropped(&planned(&input)).len(), 1);
}

#[test]
fn a_zone_of_examples_is_brought_to_its_maximum() {
    let mut input = prompt([0.5, 0.9, 0.1]).input(policy(10_000), 0);
    let bounds = &mut zone(&mut input.policy).bounds;
    (bounds.target, bounds.max) = (100, 250);
    assert_eq!(dropped(&planned(&input)), [0, 2]);
}

fn zone(policy: &mut Policy) -> &mut context::ZoneRule {
    let mut rules = policy.zones.iter_mut();
    let rule = rules.find(|rule| rule.zone == Zone::Examples);
    rule.expect("the zone has a rule")
}

//! The division of the budget, and what follows from it.

use context::{Plan, PlanInput, Zone, plan};

use crate::prompt::{Lengths, Prompt, policy};

fn planned(input: &PlanInput) -> Plan {
    plan(input, &mut Lengths::new(&input.segments, 0)).expect("the prompt can be made to fit")
}

/// The edits by name and first segment.
fn edits(plan: &Plan) -> Vec<(&'static str, usize)> {
    let edits = plan.edits.iter();
    edits
        .map(|edit| (edit.op.name(), *edit.segments.start()))
        .collect()
}

/// Results of 1,000 tokens: two old ones, segments 3 and 5, and the latest.
fn reads() -> Prompt {
    let mut prompt = Prompt::new();
    prompt.system(100);
    prompt.user(50);
    for _ in 0..3 {
        prompt.tool("read", 1000);
    }
    prompt.assistant(100);
    prompt
}

#[test]
fn what_exceeds_its_share_of_the_budget_goes_first() {
    // Cold, the older result goes; unless its zone is served before the others and has its share.
    let mut input = reads().input(policy(2500), 0);
    assert_eq!(edits(&planned(&input)), [("clear_tool_result", 3)]);
    let notes = Zone::Custom("notes".into());
    let mut rule = input
        .policy
        .rule(&Zone::ToolOutputs)
        .expect("there is one")
        .clone();
    rule.zone = notes.clone();
    input.policy.zones.push(rule);
    input.segments[3].zone = notes.clone();
    for rule in &mut input.policy.zones {
        rule.priority = if rule.zone == notes { 1 } else { 2 };
    }
    let plan = planned(&input);
    assert_eq!(edits(&plan), [("clear_tool_result", 5)]);
    let share = plan.allocation.iter().find(|share| share.zone == notes);
    let share = share.expect("every zone has a share");
    assert_eq!(
        (share.demand, share.allocated, share.after),
        (1000, 1000, 1000)
    );
}

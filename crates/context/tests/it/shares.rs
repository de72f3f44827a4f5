//! The division of the budget, and what follows from it.

use context::Zone;

use crate::ladder::{edits, planned, three_reads};
use crate::prompt::policy;

#[test]
fn what_exceeds_its_share_of_the_budget_goes_first() {
    // Cold, the older result goes; unless its zone is served before the others and has its share.
    let mut input = three_reads().input(policy(2500), 0);
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

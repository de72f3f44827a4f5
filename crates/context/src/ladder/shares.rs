//! The zones' shares of the budget.

use crate::{Allocation, Demand, PlanInput, SegmentKind, ToolDemand, Zone, allocate};

/// What each zone gets of the budget, if it has `demand`, in the order of the policy's zones.
///
/// `None` where the budget cannot be divided by the rules: a protected zone above its own maximum,
/// say.
pub(super) fn allocation(input: &PlanInput, demand: &[usize]) -> Option<Allocation> {
    let policy = &input.policy;
    let zones = policy.zones.iter().zip(demand);
    let demands: Vec<Demand<'_>> = zones
        .map(|(rule, &tokens)| Demand {
            rule,
            tokens,
            tools: tools(input, &rule.zone),
        })
        .collect();
    let beside = overhead(input, demand) + input.incoming;
    let budget = policy.budget.saturating_sub(beside);
    allocate(budget, &policy.utilization, policy.output, &demands).ok()
}

/// Tokens of the template that belong to no segment.
pub(crate) fn overhead(input: &PlanInput, demand: &[usize]) -> usize {
    input.prompt_tokens.saturating_sub(demand.iter().sum())
}

/// What the results of tools that have rules take of a zone.
fn tools<'a>(input: &'a PlanInput, zone: &Zone) -> Vec<ToolDemand<'a>> {
    let rules = input.policy.clearing.tools.iter();
    let demands = rules.map(|rule| {
        let segments = input.segments.iter();
        let results = segments.filter(|segment| {
            let is_its = |name: &str| *name == *rule.name;
            segment.zone == *zone
                && matches!(&segment.kind, SegmentKind::ToolResult { name, .. } if is_its(name))
        });
        ToolDemand {
            name: &rule.name,
            tokens: results.map(|segment| segment.tokens).sum(),
            max: rule.max,
        }
    });
    demands.filter(|demand| demand.tokens > 0).collect()
}

//! Settings that contradict each other, or the prompt.

use crate::budget::draft::{Draft, Revision};
use crate::wire::context_report::Warning;

/// Fields that `context_management` contradicts, and zones that stay above their own maximum.
pub(super) fn warnings(draft: &Draft, revision: &Revision) -> Vec<Warning> {
    let conflicts = draft.input.conflicts.iter().map(|field| {
        let message = format!(
            "`context_budget.{field}` and `context_management` say different things: of two \
             protections the stricter one holds, otherwise `context_budget` counts."
        );
        Warning::new("conflicting_settings", message)
    });
    let asked = &draft.input.settings.zones;
    let zones = &draft.resolved.policy.zones;
    let shares = zones.iter().zip(&revision.plan.allocation);
    let over = shares.filter(|(rule, share)| {
        let is_asked = asked.get(&rule.zone).is_some_and(|own| own.max.is_some());
        is_asked && share.after > rule.bounds.max
    });
    let over = over.map(|(rule, share)| {
        let message = format!(
            "`context_budget.zones.{}.max`: {} tokens may be there and {} stay, since no edit that \
             is allowed takes more.",
            rule.zone, rule.bounds.max, share.after
        );
        Warning::new("zone_over_max", message)
    });
    conflicts.chain(over).collect()
}

//! What was done, in the terms of the answer.

mod applied;
mod cached;
mod conflicts;
mod importance;
mod summaries;
mod volatile;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use context::{EditOp, Mode, OverMax, Regime, Segment, SegmentKind};
use engine::CacheProbe;
use serde_json::{Value, json};
use text::Tokenizer;

use super::asked;
use super::division::Division;
use super::draft::{Draft, Revision};
use super::pipeline::{miss_name, ms};
use super::place::Place;
use super::standing::StandingEdit;
use super::supply;
use crate::wire::context_plan::PointReport;
use crate::wire::context_report::{
    BudgetReport, CacheReport, ContextReport, CostReport, EditReport, Observation, RegretReport,
    Status, Warning, ZoneReport,
};
use crate::wire::error::ApiError;

pub(super) use applied::applied_edits;
pub(super) use importance::segments;

/// Where a request's time went.
pub(super) struct Times {
    pub(super) rendering: Duration,
    pub(super) planning: Duration,
    /// Spent on waiting for summaries, and on planning with them.
    pub(super) compacting: Duration,
}

/// Everything that a report tells of.
pub(super) struct Findings<'a> {
    pub(super) mode: Mode,
    pub(super) policy: &'a str,
    pub(super) draft: &'a Draft,
    pub(super) revision: &'a Revision,
    pub(super) before: &'a CacheProbe,
    pub(super) after: &'a CacheProbe,
    pub(super) times: &'a Times,
    /// Regrets that no earlier request had.
    pub(super) recalled: usize,
}

/// The report.
pub(super) fn report(findings: &Findings<'_>) -> ContextReport {
    let Findings {
        draft, revision, ..
    } = findings;
    let policy = &draft.resolved.policy;
    let plan = &revision.plan;
    let (placement, dropped) = supply::told(draft, revision, findings.mode);
    let used = match findings.mode {
        Mode::Enforce => revision.tokens.len(),
        Mode::Off | Mode::Observe => draft.division.tokens.len(),
    };
    let status = match findings.mode {
        Mode::Off | Mode::Observe => Status::Observed,
        Mode::Enforce if revision.edits.is_empty() && revision.unwritten.is_empty() => Status::Fit,
        Mode::Enforce => Status::Edited,
    };
    ContextReport {
        version: 1,
        status,
        plan_id: format!("pl_{}", uuid::Uuid::new_v4().simple()),
        policy: findings.policy.to_owned(),
        deterministic: summaries::is_deterministic(draft, revision),
        budget: budget(findings, used),
        regime: match plan.regime {
            Regime::Null => "null",
            Regime::Partial => "partial",
            Regime::Full => "full",
        },
        zones: zones(findings),
        stages: stages(draft, revision, used),
        edits: revision
            .edits
            .iter()
            .map(|edit| edit_report(draft, revision, edit))
            .chain(summaries::unwritten(draft, revision))
            .collect(),
        cache: cache(findings, used),
        cost: cost(findings),
        chunks: None,
        placement,
        dropped,
        deferred_tools: draft.division.deferred.clone(),
        server_tools: Vec::new(),
        warnings: [
            summaries::warnings(draft, revision),
            conflicts::warnings(draft, revision),
            warnings(
                &draft.division,
                policy.stable_prefix_end,
                &draft.input.model.tokenizer,
            ),
            draft.input.notices.clone(),
            asked::lowered(&draft.resolved),
        ]
        .concat(),
        regret: RegretReport {
            recalled_after_clear: findings.recalled,
            session_total: draft.regrets.len(),
        },
    }
}

/// Tokens after each stage; between the ledger's and the last one, as far as texts are counted
/// alone.
fn stages(draft: &Draft, revision: &Revision, used: usize) -> BTreeMap<&'static str, usize> {
    let (mut cleared, mut compacted) = (0, 0);
    for edit in &revision.plan.edits {
        match edit.op {
            EditOp::Dedupe { .. }
            | EditOp::ClearToolResult
            | EditOp::ClearToolInput
            | EditOp::ClearReasoning
            | EditOp::Compress(_) => cleared += edit.freed(),
            EditOp::Compact(_) => compacted += edit.freed(),
            EditOp::DropDocument
            | EditOp::DropExample
            | EditOp::ExtractDocument
            | EditOp::Offload
            | EditOp::PruneTool => {}
        }
    }
    let after_ledger = draft.tokens.len();
    let after_clear = after_ledger.saturating_sub(cleared);
    BTreeMap::from([
        ("received", draft.division.tokens.len()),
        ("after_ledger", after_ledger),
        ("after_clear", after_clear),
        ("after_compact", after_clear.saturating_sub(compacted)),
        ("rendered", used),
    ])
}

/// The error of a protected zone above its own maximum.
pub(super) fn over_max(over: &OverMax) -> ApiError {
    let path = format!("context_budget.zones.{}.max", over.zone);
    let message = format!(
        "`{path}`: the zone has {} tokens, may have {}, and may not be edited.",
        over.demand, over.max
    );
    ApiError::setting(path, message, json!({"code": "zone_over_max"}))
}

fn budget(findings: &Findings<'_>, used: usize) -> BudgetReport {
    let policy = &findings.draft.resolved.policy;
    let (budget, reserved) = (policy.budget, policy.output.min);
    let limits = findings.revision.plan.max_observation_tokens;
    let utilization = (used + reserved) as f64 / budget as f64;
    BudgetReport {
        budget,
        used,
        reserved_output: reserved,
        remaining: budget.saturating_sub(used + reserved),
        max_observation_tokens: Observation {
            null: limits.null,
            partial: limits.partial,
            full: limits.full,
        },
        utilization,
        soft_exceeded: utilization > policy.utilization.soft,
    }
}

fn zones(findings: &Findings<'_>) -> BTreeMap<String, ZoneReport> {
    let (draft, plan) = (findings.draft, &findings.revision.plan);
    let mut zones = BTreeMap::new();
    for (rule, share) in draft.resolved.policy.zones.iter().zip(&plan.allocation) {
        let is_its = |segment: &&Segment| segment.zone == rule.zone;
        let segments = draft.division.segments.iter().filter(is_its);
        let before = segments.map(|segment| segment.tokens).sum();
        let edits = findings
            .revision
            .edits
            .iter()
            .filter(|edit| draft.division.segments[*edit.segments.start()].zone == rule.zone);
        let zone = ZoneReport {
            before,
            after: share.after,
            min: rule.bounds.min,
            target: rule.bounds.target,
            max: rule.bounds.max,
            allocated: share.allocated,
            cached: cached::cached(findings, &rule.zone),
            edits: edits.count(),
        };
        if before > 0 || share.after > 0 || rule.bounds.min > 0 {
            zones.insert(rule.zone.name().to_owned(), zone);
        }
    }
    zones
}

fn edit_report(draft: &Draft, revision: &Revision, edit: &StandingEdit) -> EditReport {
    let first = &draft.division.segments[*edit.segments.start()];
    let planned = revision.plan.edits.iter().find(|candidate| {
        draft.standing.original(&candidate.segments) == edit.segments && !edit.is_known
    });
    EditReport {
        op: edit.edit.op.name(),
        target: target(draft, &edit.segments),
        zone: first.zone.name().to_owned(),
        before: edit.edit.before,
        after: edit.edit.after,
        at_token: first.start,
        level: match &edit.edit.op {
            EditOp::Compress(level) => Some(level.name()),
            EditOp::Compact(level) => Some(level.name()),
            _ => None,
        },
        restore: edit.edit.restore.as_deref().map(str::to_owned),
        loss: planned.map(|candidate| candidate.loss),
        importance: planned.and_then(|c| importance::of_span(&revision.plan, &c.segments)),
        reason: match planned {
            Some(candidate) => candidate.reason,
            None if edit.is_known => "repeated from an earlier request",
            None => "never called, and nothing else makes the request fit",
        }
        .to_owned(),
        source: if edit.is_known { "ledger" } else { "new" },
        compaction: summaries::compaction(draft, edit),
        drift: None,
    }
}

/// What an edit concerns, as annotations name it: a call, a message, a span of messages, or a
/// document of the template's list.
fn target(draft: &Draft, segments: &RangeInclusive<usize>) -> Value {
    let (first, last) = (*segments.start(), *segments.end());
    let message = |at: usize| draft.division.messages[at];
    if first != last {
        return json!({"messages": [message(first), message(last)]});
    }
    let place = draft.division.places[first];
    match &draft.division.segments[first].kind {
        SegmentKind::ToolResult { name, .. } | SegmentKind::ToolCall { name, .. } => {
            match place.call_id(&draft.input.conversation) {
                Some(id) => json!({"tool_call_id": id, "tool": name}),
                None => json!({"message_index": message(first), "tool": name}),
            }
        }
        _ => match place {
            Place::Document(document) => json!({"document_index": document}),
            Place::Tool(_) => match &draft.division.segments[first].kind {
                SegmentKind::Tool { name } => json!({"tool": name}),
                _ => Value::Null,
            },
            _ => json!({"message_index": message(first)}),
        },
    }
}

fn cache(findings: &Findings<'_>, used: usize) -> CacheReport {
    let (before, after) = (&findings.before.prompts[0], &findings.after.prompts[0]);
    let draft = findings.draft;
    let stable = draft.resolved.policy.stable_prefix_end;
    let prefilled = used.saturating_sub(after.cached_tokens);
    let without_edits = draft.tokens.len().saturating_sub(before.cached_tokens);
    let added = used.min(draft.tokens.len());
    let needed = without_edits.min(added);
    CacheReport {
        matched_before_plan: before.cached_tokens,
        matched: after.cached_tokens,
        prefilled,
        earliest_edit: earliest_edit(findings),
        recomputed_due_to_edits: prefilled.saturating_sub(needed),
        stable_prefix_end: stable,
        stable_prefix_hit: if stable == 0 {
            1.0
        } else {
            after.cached_tokens.min(stable) as f64 / stable as f64
        },
        miss_reason: after.miss.map(|miss| miss_name(miss.cause)),
        first_divergent_token: after.miss.map(|miss| miss.token),
    }
}

/// Where this request's edits begin: tools are left out before anything is planned.
fn earliest_edit(findings: &Findings<'_>) -> Option<usize> {
    let Findings {
        draft, revision, ..
    } = findings;
    let pruned = revision.edits.iter();
    let pruned = pruned.filter(|edit| !edit.is_known && edit.edit.op == EditOp::PruneTool);
    let pruned = pruned.map(|edit| draft.division.segments[*edit.segments.start()].start);
    pruned.chain(revision.plan.earliest_edit).min()
}

fn cost(findings: &Findings<'_>) -> CostReport {
    let after = &findings.after.prompts[0];
    let costs = &findings.after.step_costs;
    let steps = findings.after.max_num_batched_tokens;
    CostReport {
        planning_ms: ms(findings.times.planning),
        rendering_ms: ms(findings.times.rendering),
        compaction_ms: ms(findings.times.compacting),
        predicted_prefill_ms: after.prefill_seconds * 1e3,
        actual_prefill_ms: None,
        saved_prefill_ms: costs.prefill_seconds(after.cached_tokens, 0, steps) * 1e3,
    }
}

/// The plans that were compared.
pub(super) fn points(revision: &Revision) -> Vec<PointReport> {
    let points = revision.plan.frontier.iter();
    points
        .map(|point| PointReport {
            edits: point.edits,
            position: point.position,
            loss: point.loss,
            prefill_tokens: point.prefill_tokens,
            prefill_ms: point.prefill_seconds * 1e3,
            tokens: point.tokens,
        })
        .collect()
}

/// Text in the stable prefix that changes from request to request, and what was not exact.
pub(super) fn warnings(
    division: &Division,
    stable_prefix_end: usize,
    tokenizer: &Tokenizer,
) -> Vec<Warning> {
    let mut warnings = volatile::warnings(division, stable_prefix_end, tokenizer);
    if division.num_redacted > 0 {
        let message = format!(
            "{} blocks of redacted thinking are left out: only their maker can read them.",
            division.num_redacted
        );
        warnings.push(Warning::new("redacted_thinking", message));
    }
    if !division.is_exact {
        let message = "The chat template changes texts; tokens by zone are approximate, their sum \
                       is exact.";
        warnings.push(Warning::new("zone_counts_approximate", message));
    }
    warnings
}

//! Tools that are left out of a prompt (`zones.tool_schemas.allow_tool_pruning`): only those that the
//! conversation has never called, and only where no plan makes the request fit, since the prompt is
//! computed from there on anew.

use std::sync::Arc;

use context::{
    EditOp, IdleTool, KnownEdit, LedgerEdit, Resolved, SegmentChain, SegmentKind, Zone,
    tools_to_prune,
};

use super::division::Division;
use super::draft::{Draft, DraftInput, conversation_key};
use super::pruned_tools::Names;
use super::state::Budgeter;
use super::{report, server_tools};
use crate::app::App;
use crate::wire::error::ApiError;

/// The edits that leave out what this conversation goes on without, and what this request has
/// decided to leave out.
pub(super) fn known(
    input: &DraftInput,
    division: &Division,
    chain: &SegmentChain,
    resolved: &Resolved,
    budgeter: &Budgeter,
) -> Vec<KnownEdit> {
    if !input.enforces || !resolved.tool_pruning {
        return Vec::new();
    }
    let mut names = input.pruned.clone();
    if !input.ablation.ledger
        && let Some(conversation) = conversation_key(division, chain)
    {
        names.extend(budgeter.pruned_tools(&conversation));
    }
    let pruned = idle(input, division, resolved).filter(|(_, name)| names.contains(*name));
    let edits = pruned.map(|(at, _)| KnownEdit {
        drift: context::DriftVerdict::default(),
        segments: at..=at,
        made_at: division.segments.len(),
        edit: Arc::new(LedgerEdit {
            op: EditOp::PruneTool,
            replacement: "".into(),
            restore: None,
            before: division.segments[at].tokens,
            after: 0,
            turns: 0,
        }),
    });
    edits.collect()
}

/// A draft with fewer tools, for one that lacks so many tokens; the same one if it has none to
/// leave out.
///
/// # Errors
/// What [`Draft::new`] says.
pub(super) async fn leaner(
    app: &App,
    mut draft: Draft,
    missing: usize,
) -> Result<Result<Draft, Draft>, ApiError> {
    let names = draft.prune(missing);
    if names.is_empty() {
        return Ok(Err(draft));
    }
    draft.input.pruned.extend(names);
    let shared = app.clone();
    let work = move || draft.again(shared.budgeter());
    app.text_pool().run(work).await.map(Ok)
}

/// A draft of which no protected zone has more than its own `max`: tools are left out as far as they
/// may be.
///
/// # Errors
/// The first zone that has more; what [`leaner`] says.
pub(super) async fn within_max(app: &App, mut draft: Draft) -> Result<Draft, ApiError> {
    while draft.input.enforces
        && let Some(over) = draft.resolved.over_max.first()
    {
        let missing = match over.zone {
            Zone::ToolSchemas => over.demand - over.max,
            _ => return Err(report::over_max(over)),
        };
        draft = match leaner(app, draft, missing).await? {
            Ok(leaner) => leaner,
            Err(same) => match same.resolved.over_max.first() {
                Some(over) => return Err(report::over_max(over)),
                None => same,
            },
        };
    }
    Ok(draft)
}

impl Draft {
    /// Names of the tools to leave out besides those that are left out already.
    fn prune(&self, missing: usize) -> Names {
        if !self.input.enforces || !self.resolved.tool_pruning {
            return Names::new();
        }
        let idle = idle(&self.input, &self.division, &self.resolved);
        let idle = idle.filter(|(at, _)| !self.leaves_out(*at));
        let tools: Vec<IdleTool> = idle
            .map(|(at, name)| IdleTool {
                name: name.into(),
                tokens: self.division.segments[at].tokens,
                relevance: self.division.segments[at].relevance,
            })
            .collect();
        let chosen = tools_to_prune(&tools, missing.max(1)).into_iter();
        chosen.map(|at| tools[at].name.clone()).collect()
    }

    /// Whether the tool of that segment is left out.
    pub(super) fn leaves_out(&self, segment: usize) -> bool {
        let mut known = self.replay.edits.iter();
        known.any(|known| known.edit.op == EditOp::PruneTool && *known.segments.start() == segment)
    }

    /// Whether an edit leaves out a tool that earlier requests had.
    pub(super) fn is_pruned_now(&self, known: &KnownEdit) -> bool {
        known.edit.op == EditOp::PruneTool
            && match &self.division.segments[*known.segments.start()].kind {
                SegmentKind::Tool { name } => self.input.pruned.contains(name),
                _ => false,
            }
    }

    /// Remembers what the conversation goes on without.
    pub(super) fn remember_pruned(&self, budgeter: &Budgeter) {
        let Some(conversation) = self.conversation_key() else {
            return;
        };
        if self.input.pruned.is_empty() {
            return;
        }
        let segments = self.division.segments.iter().enumerate();
        let pruned = segments.filter(|(at, _)| self.leaves_out(*at));
        let names = pruned.filter_map(|(_, segment)| match &segment.kind {
            SegmentKind::Tool { name } => Some(name.clone()),
            _ => None,
        });
        budgeter.remember_pruned_tools(conversation, names.collect());
    }
}

/// The tools that may be left out, by their segments: those of the client that the conversation has
/// never called, outside of the stable prefix.
fn idle<'a>(
    input: &'a DraftInput,
    division: &'a Division,
    resolved: &'a Resolved,
) -> impl Iterator<Item = (usize, &'a str)> {
    let is_called = |tool: &str| {
        division.segments.iter().any(|segment| {
            matches!(&segment.kind, SegmentKind::ToolCall { name, .. } if **name == *tool)
        })
    };
    let segments = division.segments.iter().enumerate();
    segments.filter_map(move |(at, segment)| match &segment.kind {
        SegmentKind::Tool { name } => {
            let is_own = input.serves && server_tools::find(name).is_some();
            let may = resolved.policy.permits(&EditOp::PruneTool, segment);
            (may && !is_own && !is_called(name)).then_some((at, &**name))
        }
        _ => None,
    })
}

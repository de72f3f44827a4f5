//! Requests that nothing makes fit: the error, or an answer without a model that says what to cut
//! or where to cut.

use std::fmt::Write as _;

use context::{
    CostModel, Deficit, Infeasible, Mode, OnInfeasible, Plan, PlanInput, ReportLevel, SegmentKind,
    Suggestion, ToolUse, Zone, suggestions,
};
use engine::CacheProbe;
use serde_json::{Value, json};

use super::chunks::{self, Uncut};
use super::draft::Draft;
use super::{probe, report, server_tools};
use crate::app::App;
use crate::wire::context_plan::QueueReport;
use crate::wire::context_report::{ChunkReport, ContextReport, Status};
use crate::wire::error::ApiError;

/// Chunks that an answer names in words; all of them are in the report.
const MAX_CHUNKS_IN_WORDS: usize = 20;

/// A request that is answered without a model.
pub struct Declined {
    /// What was found.
    pub report: ContextReport,
    /// How much of it the client wants to know.
    pub level: ReportLevel,
    /// The answer, from a fixed template.
    pub message: String,
    /// What the engine computes first.
    pub queue: QueueReport,
    /// What a client that cannot be answered so is told.
    pub error: ApiError,
}

/// What else is known of a request that does not fit.
pub(super) struct Scene {
    pub(super) policy: String,
    pub(super) before: CacheProbe,
    pub(super) cost: CostModel,
    pub(super) times: report::Times,
}

/// What becomes of a request that does not fit, by `on_infeasible`.
///
/// # Errors
/// The refusal, if the client wants that, or if it cannot be cut into chunks.
pub(super) async fn decline(
    app: &App,
    draft: Draft,
    why: Infeasible,
    scene: Scene,
) -> Result<Box<Declined>, ApiError> {
    let window = app.model().window.tokens;
    if draft.resolved.on_infeasible == OnInfeasible::Error {
        return Err(error(window, &draft, &why, None));
    }
    app.text_pool()
        .run(move || declined(window, draft, &why, &scene).map(Box::new))
        .await
}

fn declined(
    window: usize,
    mut draft: Draft,
    why: &Infeasible,
    scene: &Scene,
) -> Result<Declined, ApiError> {
    let refusal = error(window, &draft, why, None);
    let mut revision = draft.unrevised(scene.cost).ok_or_else(|| refusal.clone())?;
    revision.edits = draft.known_edits();
    let chunks = match draft.resolved.on_infeasible {
        OnInfeasible::Error | OnInfeasible::Ask => None,
        OnInfeasible::Chunk => {
            let room = why.budget.saturating_sub(why.output + why.incoming);
            let cut = chunks::chunks(&draft, room).map_err(|uncut| match uncut {
                Uncut::TooLong(unit) => error(window, &draft, why, Some(&unit)),
                Uncut::Refused => refusal.clone(),
            });
            Some(cut?)
        }
    };
    let mut report = report::report(&report::Findings {
        mode: Mode::Enforce,
        policy: &scene.policy,
        draft: &draft,
        revision: &revision,
        before: &scene.before,
        after: &scene.before,
        times: &scene.times,
        recalled: 0,
    });
    // Nothing is computed.
    report.cache.prefilled = 0;
    report.cache.recomputed_due_to_edits = 0;
    report.cost.predicted_prefill_ms = 0.0;
    report.cost.saved_prefill_ms = 0.0;
    let message = match &chunks {
        None => request_for_less(why, &suggestions(&deficit(window, &draft, why))),
        Some(chunks) => chunk_plan(why, chunks),
    };
    report.status = match chunks {
        None => Status::ScopeReductionRequested,
        Some(_) => Status::Chunked,
    };
    report.chunks = chunks;
    Ok(Declined {
        report,
        level: draft.resolved.report,
        message,
        queue: probe::queue(&scene.before),
        error: refusal,
    })
}

/// The error of a prompt that nothing makes fit; `unit` is what could not be cut any further.
fn error(window: usize, draft: &Draft, why: &Infeasible, unit: Option<&ChunkReport>) -> ApiError {
    let zones = |zones: &[(Zone, usize)]| -> Value {
        let zones = zones
            .iter()
            .map(|(zone, tokens)| (zone.name().to_owned(), json!(tokens)));
        Value::Object(zones.collect())
    };
    let suggestions: Vec<Value> = suggestions(&deficit(window, draft, why))
        .iter()
        .map(suggestion)
        .collect();
    let mut parts: Vec<String> = why
        .protected
        .iter()
        .map(|(zone, tokens)| format!("{zone} {tokens}"))
        .collect();
    parts.push(format!("template {}", why.overhead));
    parts.push(format!("output minimum {}", why.output));
    let message = format!(
        "The prompt needs {} tokens after all edits, but the budget is {} ({}).",
        why.required,
        why.budget,
        parts.join(", ")
    );
    let mut table = json!({
        "code": "infeasible",
        "B": why.budget,
        "required": why.required,
        "shortfall": why.shortfall(),
        "protected": zones(&why.protected),
        "template": why.overhead,
        "output_buffer": why.output,
        "incoming": why.incoming,
        "after_all_edits": zones(&why.after_all_edits),
        "tried": why.tried.iter().map(|rung| rung.name()).collect::<Vec<_>>(),
        "suggestions": suggestions,
    });
    if let Some(unit) = unit {
        table["unsplittable"] = json!(unit);
    }
    ApiError::infeasible(message, table)
}

/// A prompt whose plans fit by what is counted of each piece, and not by its `required` tokens when
/// it is rendered.
pub(super) fn unsettled(plan: &Plan, input: &PlanInput, required: usize) -> Infeasible {
    let zones = plan.allocation.iter();
    let zones: Vec<_> = zones
        .map(|share| (share.zone.clone(), share.after))
        .collect();
    let output = input.policy.output.min;
    let counted = output + zones.iter().map(|(_, tokens)| tokens).sum::<usize>();
    Infeasible {
        budget: input.policy.budget,
        required,
        protected: Vec::new(),
        overhead: required.saturating_sub(counted),
        output,
        incoming: 0,
        after_all_edits: zones,
        tried: input.policy.ladder.clone(),
    }
}

fn deficit(window: usize, draft: &Draft, why: &Infeasible) -> Deficit {
    let segments = &draft.division.segments;
    let called = |tool: &str| {
        segments.iter().any(|segment| {
            matches!(&segment.kind, SegmentKind::ToolCall { name, .. } if **name == *tool)
        })
    };
    let is_own = |name: &str| draft.input.serves && server_tools::find(name).is_some();
    let kept = segments.iter().enumerate();
    let kept = kept.filter(|(at, _)| !draft.leaves_out(*at));
    let tools = kept.filter_map(|(_, segment)| match &segment.kind {
        SegmentKind::Tool { name } if !is_own(name) => Some(ToolUse {
            name: name.clone(),
            tokens: segment.tokens,
            called: called(name),
        }),
        _ => None,
    });
    let live = segments
        .iter()
        .filter(|s| s.live && s.kind == SegmentKind::User);
    Deficit {
        budget: why.budget,
        required: why.required,
        window,
        tools: tools.collect(),
        splittable: live.map(|segment| segment.tokens).sum(),
    }
}

fn suggestion(suggestion: &Suggestion) -> Value {
    let op = suggestion.name();
    match suggestion {
        Suggestion::RaiseBudget { to } => json!({"op": op, "to": to}),
        Suggestion::DeferTools { tools, frees } => {
            json!({"op": op, "tools": tools, "frees": frees})
        }
        Suggestion::Split { chunks } => json!({"op": op, "chunks": chunks}),
    }
}

/// The answer of `ask`.
fn request_for_less(why: &Infeasible, suggestions: &[Suggestion]) -> String {
    let mut text = beginning(why);
    text.push_str("\n\nWhat it needs:\n");
    for (what, tokens) in needs(why) {
        let _ = writeln!(text, "- {what}: {tokens} tokens");
    }
    text.push_str("\nWhat would help:\n");
    let zones = why.protected.iter().chain(&why.after_all_edits);
    if let Some((zone, _)) = zones.max_by_key(|(_, tokens)| *tokens) {
        let shortfall = why.shortfall();
        let _ = writeln!(
            text,
            "- Cut {zone}, the largest part; {shortfall} tokens are too many."
        );
    }
    for suggestion in suggestions {
        let _ = match suggestion {
            Suggestion::RaiseBudget { to } => {
                writeln!(text, "- Raise `max_context_tokens` to {to}.")
            }
            Suggestion::DeferTools { tools, frees } => {
                let tools = tools.join(", ");
                writeln!(
                    text,
                    "- Leave out the tools {tools}; that frees {frees} tokens."
                )
            }
            Suggestion::Split { chunks } => {
                writeln!(text, "- Send the last message in {chunks} parts.")
            }
        };
    }
    text.push_str("\nPlease narrow the request and send it again.");
    text
}

/// The answer of `chunk`.
fn chunk_plan(why: &Infeasible, chunks: &[ChunkReport]) -> String {
    let mut text = beginning(why);
    let number = chunks.len();
    let _ = writeln!(
        text,
        " It fits in {number} requests, each with the leading system messages and the tools:\n"
    );
    for chunk in chunks.iter().take(MAX_CHUNKS_IN_WORDS) {
        let ([first, last], tokens) = (chunk.messages, chunk.tokens);
        let _ = writeln!(text, "- messages {first} to {last}: {tokens} tokens");
    }
    if let Some(more) = number
        .checked_sub(MAX_CHUNKS_IN_WORDS)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(text, "- and {more} more");
    }
    text.push_str("\nMessages are counted from 0.");
    text
}

fn beginning(why: &Infeasible) -> String {
    format!(
        "This request does not fit into its context budget of {} tokens: after every edit that is \
         allowed it still needs {}.",
        why.budget, why.required
    )
}

fn needs(why: &Infeasible) -> Vec<(String, usize)> {
    let zones = why.protected.iter().chain(&why.after_all_edits);
    let zones = zones.map(|(zone, tokens)| (zone.to_string(), *tokens));
    let others = [
        ("chat template", why.overhead),
        ("kept for the answer", why.output),
        ("announced", why.incoming),
    ];
    let others = others.map(|(what, tokens)| (what.to_owned(), tokens));
    zones
        .chain(others)
        .filter(|(_, tokens)| *tokens > 0)
        .collect()
}

//! What a report says of summaries.

use context::{EditOp, SummaryOrigin};
use serde_json::{Value, json};

use crate::budget::compaction::{Compacted, Rejected};
use crate::budget::draft::{Draft, Revision};
use crate::budget::standing::StandingEdit;
use crate::budget::summaries::Written;
use crate::wire::context_report::{EditReport, Warning};

/// More of a compaction: how long it is, who wrote it, and what that took.
pub(super) fn compaction(draft: &Draft, edit: &StandingEdit) -> Option<Value> {
    let EditOp::Compact(level) = edit.edit.op else {
        return None;
    };
    let mut told = json!({"level": level.name(), "written": true});
    if let Some(Written {
        summary, compacted, ..
    }) = written(draft, edit)
    {
        told["source"] = summary.origin.name().into();
        told["critical_recall"] = summary.critical_recall.into();
        if let Some(compacted) = compacted {
            tell(&mut told, compacted);
        }
    }
    Some(told)
}

/// Compactions that the plan counts on and that nobody has written.
pub(super) fn unwritten(draft: &Draft, revision: &Revision) -> Vec<EditReport> {
    let unwritten = revision.unwritten.iter().map(|wanted| {
        let first = &draft.division.segments[*wanted.segments.start()];
        let message = |at: &usize| draft.division.messages[*at];
        let (from, to) = (
            message(wanted.segments.start()),
            message(wanted.segments.end()),
        );
        EditReport {
            op: EditOp::Compact(wanted.level).name(),
            target: json!({"messages": [from, to]}),
            zone: first.zone.name().to_owned(),
            before: wanted.before,
            after: wanted.after,
            at_token: first.start,
            level: Some(wanted.level.name()),
            restore: None,
            loss: None,
            importance: None,
            reason: "old turns".to_owned(),
            source: "new",
            compaction: Some(json!({"level": wanted.level.name(), "written": false})),
            drift: None,
        }
    });
    unwritten.collect()
}

/// Whether every edit was made without a model.
pub(super) fn is_deterministic(draft: &Draft, revision: &Revision) -> bool {
    let mut edits = revision.edits.iter();
    let without_model = |edit: &StandingEdit| match edit.edit.op {
        // Of one that an earlier request has put in place nobody knows any more who wrote it.
        EditOp::Compact(_) => written(draft, edit)
            .is_some_and(|written| written.summary.origin == SummaryOrigin::Extractive),
        _ => true,
    };
    revision.unwritten.is_empty() && edits.all(without_model)
}

/// Summaries that the model could not write well enough, and those that are still to be written.
pub(super) fn warnings(draft: &Draft, revision: &Revision) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for edit in &revision.edits {
        let Some(Written {
            summary, compacted, ..
        }) = written(draft, edit)
        else {
            continue;
        };
        if summary.origin == SummaryOrigin::Extractive {
            let last = compacted.as_ref().and_then(|made| made.rejected.last());
            let why = last.map(|rejected| format!(": {}", rejected.reason));
            warnings.push(Warning {
                code: "compaction_extractive",
                message: format!(
                    "Sentences of old turns stand for them, since the model's summary could not{}.",
                    why.unwrap_or_default()
                ),
                at_token: Some(draft.division.segments[*edit.segments.start()].start),
                text_kind: None,
            });
        }
    }
    if let Some((segments, level)) = draft.summaries.drifted().first() {
        let message = format!(
            "A summary ({}) of these turns had moved the model too far from its later answers: \
             they are summarised in more detail, if at all.",
            level.name()
        );
        warnings.push(Warning {
            at_token: Some(draft.division.segments[*segments.start()].start),
            ..Warning::new("drift", message)
        });
    }
    if !revision.unwritten.is_empty() {
        let message = "The plan needs a summary that is not written; its tokens are the most that \
                       it may have, and the prompt is counted without it.";
        warnings.push(Warning::new("summary_unwritten", message));
    }
    warnings
}

fn written<'d>(draft: &'d Draft, edit: &StandingEdit) -> Option<&'d Written> {
    match edit.edit.op {
        EditOp::Compact(level) if !edit.is_known => draft.summaries.find(&edit.segments, level),
        _ => None,
    }
}

fn tell(told: &mut Value, compacted: &Compacted) {
    let critical = &compacted.critical;
    told["critical"] = json!({
        "found": critical.found, "kept": critical.kept, "appended": critical.appended,
    });
    let tokens = &compacted.tokens;
    told["model_tokens"] = json!({
        "prompt": tokens.prompt, "cached": tokens.cached, "output": tokens.output,
    });
    told["elapsed_ms"] = (compacted.elapsed.as_secs_f64() * 1e3).into();
    let rejected = compacted.rejected.iter();
    let rejected = rejected
        .map(|Rejected { level, reason }| json!({"level": level.name(), "reason": reason.name()}));
    told["rejected"] = rejected.collect();
}

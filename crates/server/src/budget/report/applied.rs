//! What a vendor's edits have done, in the vendor's terms.

use std::collections::BTreeSet;

use context::{EditOp, Mode, Segment};
use serde_json::{Value, json};

use crate::budget::standing::StandingEdit;
use crate::validate::budget::ManagedEdit;

/// `context_management` of an answer, as Anthropic defines it.
pub(in crate::budget) fn applied_edits(
    named: &[ManagedEdit],
    segments: &[Segment],
    edits: &[StandingEdit],
    mode: Mode,
) -> Value {
    let mut applied = Vec::new();
    for edit in named.iter().filter(|_| mode == Mode::Enforce) {
        let done = match edit {
            ManagedEdit::ClearToolUses => tool_uses(edits),
            ManagedEdit::ClearThinking => thinking(segments, edits),
            // Anthropic tells of compactions in usage, not here.
            ManagedEdit::Compact => None,
        };
        if let Some((count, number, freed)) = done {
            applied
                .push(json!({"type": edit.name(), count: number, "cleared_input_tokens": freed}));
        }
    }
    json!({"applied_edits": applied})
}

/// Under which name something is counted, how often it was done, and the tokens that it freed.
type Done = Option<(&'static str, usize, usize)>;

/// Results that are gone; with them go the arguments of their calls.
fn tool_uses(edits: &[StandingEdit]) -> Done {
    let is_result = |edit: &&StandingEdit| edit.edit.op == EditOp::ClearToolResult;
    let uses = edits.iter().filter(is_result).count();
    let freed = freed(edits, |op| {
        matches!(op, EditOp::ClearToolResult | EditOp::ClearToolInput)
    });
    (uses > 0).then_some(("cleared_tool_uses", uses, freed))
}

/// Turns whose reasoning is gone; one turn may have many pieces of it.
fn thinking(segments: &[Segment], edits: &[StandingEdit]) -> Done {
    let cleared = edits
        .iter()
        .filter(|edit| edit.edit.op == EditOp::ClearReasoning);
    let turn = |edit: &StandingEdit| segments[*edit.segments.start()].turn;
    let turns: BTreeSet<usize> = cleared.map(turn).collect();
    let freed = freed(edits, |op| *op == EditOp::ClearReasoning);
    (!turns.is_empty()).then_some(("cleared_thinking_turns", turns.len(), freed))
}

fn freed(edits: &[StandingEdit], counts: impl Fn(&EditOp) -> bool) -> usize {
    let edits = edits.iter().map(|edit| &edit.edit);
    edits
        .filter(|edit| counts(&edit.op))
        .map(|edit| edit.before.saturating_sub(edit.after))
        .sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use context::{LedgerEdit, SegmentKind};

    use super::*;
    use crate::budget::example::segment;

    fn reasoning(turn: usize) -> Segment {
        Segment {
            turn,
            ..segment(SegmentKind::Reasoning, 30)
        }
    }

    fn cleared(at: usize, op: EditOp) -> StandingEdit {
        StandingEdit {
            segments: at..=at,
            edit: Arc::new(LedgerEdit {
                op,
                replacement: "".into(),
                restore: None,
                before: 30,
                after: 0,
                turns: 3,
            }),
            is_known: at < 2,
        }
    }

    #[test]
    fn arguments_count_among_the_tokens_of_cleared_tool_uses() {
        let edits = [
            cleared(0, EditOp::ClearToolInput),
            cleared(1, EditOp::ClearToolResult),
            cleared(2, EditOp::ClearReasoning),
        ];
        let named = [ManagedEdit::ClearToolUses];
        let told = applied_edits(&named, &[], &edits, Mode::Enforce);
        let uses = json!({"type": "clear_tool_uses_20250919", "cleared_tool_uses": 1,
            "cleared_input_tokens": 60});
        assert_eq!(told, json!({"applied_edits": [uses]}));
    }

    #[test]
    fn turns_are_counted_and_not_their_pieces_of_reasoning() {
        let segments = [1, 1, 2, 2, 2, 3].map(reasoning);
        let edits: Vec<StandingEdit> = (0..5)
            .map(|at| cleared(at, EditOp::ClearReasoning))
            .collect();
        let named = [ManagedEdit::ClearToolUses, ManagedEdit::ClearThinking];
        let told = applied_edits(&named, &segments, &edits, Mode::Enforce);
        let thinking = json!({"type": "clear_thinking_20251015", "cleared_thinking_turns": 2,
            "cleared_input_tokens": 150});
        assert_eq!(told, json!({"applied_edits": [thinking]}));
    }
}

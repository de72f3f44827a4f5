//! Results that are shortened rather than cleared.

use context::{Candidate, CompressionLevel, EditOp, PlanInput, Replacements, plan};

use crate::ladder::three_reads;
use crate::prompt::policy;

/// A skeleton of 300 tokens and a marker of 20, and the share of names that the skeleton keeps.
struct Skeleton(f64);

impl Replacements for Skeleton {
    fn tokens_after(&mut self, _: usize, op: &EditOp) -> Option<usize> {
        match op {
            EditOp::Compress(CompressionLevel::Skeleton) => Some(300),
            EditOp::ClearToolResult => Some(20),
            _ => None,
        }
    }

    fn names_kept(&mut self, _: usize, op: &EditOp) -> Option<f64> {
        Some(match op {
            EditOp::Compress(_) => self.0,
            _ => 0.0,
        })
    }
}

fn edits(input: &PlanInput, names_kept: f64) -> Vec<Candidate> {
    let plan = plan(input, &mut Skeleton(names_kept));
    plan.expect("the prompt can be made to fit").edits
}

#[test]
fn an_old_result_is_shortened_where_that_loses_less() {
    // 310 too many; either edit of one result is enough.
    let input = three_reads().input(policy(3000), 3310);
    let op = |names_kept: f64| {
        let edits = edits(&input, names_kept);
        assert_eq!(edits.len(), 1);
        (edits[0].op.clone(), edits[0].loss)
    };
    let (all_kept, loss) = op(1.0);
    assert_eq!(all_kept, EditOp::Compress(CompressionLevel::Skeleton));
    let (_, more) = op(0.5);
    assert!(loss < more, "{loss} and {more}");
}

#[test]
fn what_is_shortened_can_be_shortened_further_and_what_is_cleared_stays_so() {
    let mut input = three_reads().input(policy(2900), 3310);
    let standing = |input: &mut PlanInput, op: EditOp| {
        for at in [3, 5] {
            input.segments[at].edit = Some(op.clone());
        }
    };
    standing(&mut input, EditOp::Compress(CompressionLevel::KeyLines));
    let further = edits(&input, 1.0);
    assert_eq!(
        further[0].op,
        EditOp::Compress(CompressionLevel::Skeleton),
        "{further:?}"
    );
    standing(&mut input, EditOp::ClearToolResult);
    let ops: Vec<EditOp> = edits(&input, 1.0).into_iter().map(|edit| edit.op).collect();
    let is_compressed = |op: &EditOp| matches!(op, EditOp::Compress(_));
    assert!(!ops.iter().any(is_compressed), "{ops:?}");
}

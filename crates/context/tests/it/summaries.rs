//! Plans that may only use the summaries that are written.

use std::ops::RangeInclusive;

use context::{
    EditOp, Infeasible, Plan, PlanInput, Replacements, Rung, SummaryLevel, SummaryTokens, plan,
};

use crate::prompt::{Prompt, policy};

/// Summaries with their tokens; nothing else can be done.
struct Written(Vec<(RangeInclusive<usize>, SummaryLevel, usize)>);

impl Replacements for Written {
    fn tokens_after(&mut self, _: usize, _: &EditOp) -> Option<usize> {
        None
    }

    fn summary_tokens(
        &mut self,
        span: RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> SummaryTokens {
        let mut written = self.0.iter();
        match written.find(|one| one.0 == span && one.1 == level) {
            Some((_, _, tokens)) => SummaryTokens::Written(*tokens),
            None => SummaryTokens::Unavailable,
        }
    }

    fn written(&self) -> Vec<(RangeInclusive<usize>, SummaryLevel)> {
        let spans = self.0.iter();
        spans
            .map(|(span, level, _)| (span.clone(), *level))
            .collect()
    }
}

/// Six turns of 300 tokens, each of a question and a result with its call.
fn six_turns(budget: usize) -> PlanInput {
    let mut prompt = Prompt::new();
    for _ in 0..6 {
        prompt.user(20);
        prompt.tool("read", 280);
    }
    prompt.user(10);
    let mut input = prompt.input(policy(budget), 0);
    input.policy.ladder = vec![Rung::CompactHistory];
    input
}

fn planned(
    input: &PlanInput,
    written: &[(RangeInclusive<usize>, SummaryLevel, usize)],
) -> Result<Plan, Infeasible> {
    plan(input, &mut Written(written.to_vec()))
}

#[test]
fn a_written_summary_is_used_wherever_its_turns_end() {
    let input = six_turns(1_500);
    let turn = input.segments.iter().filter(|s| s.turn == 1).count();
    let all = input.segments.len();
    let first_two = 0..=2 * turn - 1;
    assert!(planned(&input, &[]).is_err());
    // The ladder itself would have proposed the first turn alone, or all of the old ones.
    for level in [SummaryLevel::Detailed, SummaryLevel::Minimal] {
        let plan = planned(&input, &[(first_two.clone(), level, 40)]).unwrap();
        assert_eq!(plan.edits.len(), 1);
        assert_eq!(plan.edits[0].segments, first_two);
        assert_eq!(
            (plan.edits[0].op.clone(), plan.edits[0].after),
            (EditOp::Compact(level), 40)
        );
    }
    // Half a turn, the live turn, and more than there was, are no use.
    let level = SummaryLevel::Brief;
    for span in [0..=turn, 1..=turn - 1, 0..=all - 1] {
        assert!(planned(&input, &[(span, level, 40)]).is_err());
    }
    assert!(planned(&input, &[(first_two, level, 5_000)]).is_err());
}

#[test]
fn a_trigger_uses_a_summary_that_is_more_detailed_than_asked_for() {
    let mut input = six_turns(100_000);
    input.policy.compaction.trigger = Some(1_000);
    input.policy.compaction.level = SummaryLevel::Brief;
    let turn = input.segments.iter().filter(|s| s.turn == 1).count();
    let plan = planned(&input, &[(0..=turn - 1, SummaryLevel::Detailed, 60)]).unwrap();
    assert_eq!(plan.edits.len(), 1);
    assert_eq!(plan.edits[0].op, EditOp::Compact(SummaryLevel::Detailed));
    assert!(planned(&input, &[]).unwrap().edits.is_empty());
}

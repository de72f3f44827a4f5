//! Floors that nobody asked for must not make a request fail.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::{CacheSnapshot, CostModel, EditOp, Infeasible, Plan, PlanInput, Replacements, plan};

/// Replacements of typical lengths.
struct Typical<'a>(&'a [Segment]);

impl Replacements for Typical<'_> {
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize> {
        let before = self.0[segment].tokens;
        let after = match op {
            EditOp::Dedupe { .. } | EditOp::Offload => 20,
            EditOp::ClearToolResult => 28,
            EditOp::ClearToolInput => 2,
            EditOp::ClearReasoning | EditOp::DropDocument | EditOp::DropExample => 0,
            EditOp::Compress(level) => before >> (*level as usize + 1),
            EditOp::ExtractDocument => before / 3,
            EditOp::Compact(_) | EditOp::PruneTool => return None,
        };
        (after < before).then_some(after)
    }
}

/// Plans as a server does, and says how many floors had to be let go.
fn planned(settings: &Settings, prompt: &Prompt, window: usize) -> (Option<Plan>, usize) {
    let facts = prompt.facts(window);
    let mut resolved = resolve(settings, &facts).expect("valid");
    loop {
        match planned_once(&resolved, prompt, facts.prompt_tokens) {
            Err(_) if resolved.let_go_of_floor() => {}
            outcome => return (outcome.ok(), resolved.lowered().count()),
        }
    }
}

fn planned_once(
    resolved: &Resolved,
    prompt: &Prompt,
    prompt_tokens: usize,
) -> Result<Plan, Infeasible> {
    let input = PlanInput {
        policy: resolved.policy.clone(),
        segments: prompt.segments.clone(),
        prompt_tokens,
        incoming: 0,
        cache: CacheSnapshot::default(),
        cost: CostModel {
            per_step: 0.001,
            per_token: 0.0001,
            per_pair: 1e-9,
            step_tokens: 512,
            residency: 0.0,
        },
    };
    plan(&input, &mut Typical(&prompt.segments))
}

fn without_floors() -> Settings {
    let mut settings = Settings::default();
    for name in ["retrieval", "history", "tool_outputs"] {
        let zone = zone_settings([tokens(0), None, None]);
        settings.zones.insert(Zone::from_name(name), zone);
    }
    settings
}

/// A turn: user, assistant, results of calls.
type Turn = (usize, usize, Vec<usize>);

fn prompt(documents: &[usize], turns: &[Turn], live: usize) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.system(60);
    for (rank, &tokens) in documents.iter().enumerate() {
        prompt.document(Some(1.0 / (rank + 1) as f64), tokens);
    }
    for (user, assistant, results) in turns {
        prompt.turn(*user, *assistant);
        for &tokens in results {
            let call = prompt.calls + 1;
            let name = "read_file".into();
            prompt.push(Zone::History, SegmentKind::ToolCall { name, call }, 30);
            prompt.result("read_file", tokens).tier = Tier::Clearable;
        }
    }
    prompt.push(Zone::History, SegmentKind::Assistant, 10);
    prompt.live(live);
    prompt
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: RngSeed::Fixed(2026),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn defaults_refuse_nothing_that_fits_without_floors(
        documents in prop::collection::vec(50_usize..800, 0..6),
        turns in prop::collection::vec(
            (10_usize..200, 10_usize..300, prop::collection::vec(20_usize..1500, 0..4)), 0..8,
        ),
        live in 10_usize..300,
        window in 800_usize..6000,
    ) {
        let prompt = prompt(&documents, &turns, live);
        let (bare, _) = planned(&without_floors(), &prompt, window);
        let (plan, lowered) = planned(&Settings::default(), &prompt, window);
        prop_assert_eq!(bare.is_some(), plan.is_some());
        let fits_as_it_is = prompt.tokens + 7 + 512.min(window / 8) <= window;
        prop_assert!(!fits_as_it_is || lowered == 0, "floors are let go only by need");
    }
}

#[test]
fn defaults_of_what_stays_yield_one_by_one_and_numbers_do_not() {
    let mut resolved = resolve(&Settings::default(), &Facts::of_window(8192)).expect("valid");
    let mut seen = Vec::new();
    while resolved.let_go_of_keep() {
        let policy = &resolved.policy;
        seen.push((policy.clearing.keep, policy.compaction.keep_raw_turns));
    }
    let turns = [4, 3, 2, 1, 0].map(|turns| (1, turns));
    let all = [[(2, 5), (1, 5)].as_slice(), &turns, &[(0, 0)]].concat();
    assert_eq!(seen, all);

    let mut settings = Settings::default();
    settings.clearing.keep = Some(2);
    settings.compaction.keep_raw_turns = Some(1);
    let mut resolved = resolve(&settings, &Facts::of_window(8192)).expect("valid");
    assert!(!resolved.let_go_of_keep());
}

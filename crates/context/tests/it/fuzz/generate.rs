//! Prompts and rules of every kind.

use context::{
    Bounds, ClearInputs, EditOp, LadderMode, Low, PlanInput, Policy, PrefillWeight, SegmentKind,
    SummaryLevel, ThinkingRule, Tier, ToolRule, Trigger, Zone,
};

use crate::prompt::{Prompt, policy};
use crate::random::Random;

const TOOLS: [&str; 3] = ["read", "grep", "deploy"];

/// A conversation of up to nine turns with tools, documents, reasoning, an old summary, pins and
/// odd tiers, under rules of every kind.
pub(super) fn random_input(random: &mut Random) -> PlanInput {
    let mut prompt = Prompt::new();
    prompt.overhead = random.below(4);
    prompt.system(random.between(5, 60));
    for _ in 0..random.below(2) {
        let kind = SegmentKind::Tool {
            name: "read".into(),
        };
        prompt.push(Zone::ToolSchemas, kind, random.between(5, 60));
    }
    for _ in 0..random.below(3) {
        let tokens = [random.between(5, 60), random.between(5, 60)];
        prompt.example(tokens, 0.0);
        if random.percent(20) {
            let tokens = random.between(5, 60);
            prompt.push(Zone::Examples, SegmentKind::Reasoning, tokens);
        }
    }
    for _ in 0..random.below(4) {
        let document = prompt.document(random.between(10, 300));
        document.score = random.percent(50).then(|| random.share());
    }
    if random.percent(20) {
        prompt.push(Zone::Memory, SegmentKind::Memory, random.between(5, 100));
    }
    if random.percent(20) {
        let summary = prompt.push(Zone::History, SegmentKind::Summary, random.between(20, 100));
        summary.edit = Some(EditOp::Compact(SummaryLevel::Detailed));
    }
    let texts = random.between(1, 8);
    let repeats = random.percent(30);
    for _ in 0..random.between(1, 9) {
        turn(&mut prompt, random, repeats.then_some(texts));
    }
    let rough = prompt.input(policy(0), 0);
    let tokens = rough.prompt_tokens;
    let mut input = PlanInput {
        policy: random_policy(random, tokens),
        ..rough
    };
    let blocks = tokens / 16 + 1;
    input.cache.matched = (random.below(blocks) * 16).min(tokens);
    if random.percent(20) {
        input.incoming = random.below(200);
    }
    if random.percent(30) {
        input.policy.stable_prefix_end = random.below(tokens / 2 + 1);
    }
    if random.percent(30) {
        let many = input.segments.len();
        for _ in 0..random.between(1, 4) {
            let at = random.below(many);
            match random.below(5) {
                0 => input.segments[at].pinned = true,
                1 => input.segments[at].tier = Tier::ALL[random.below(6)],
                2 => input.segments[at].edit = Some(EditOp::ClearToolResult),
                3 => input.segments[at].tier = Tier::Offloadable,
                _ => input.segments[at].depends_on = vec![random.below(many)],
            }
        }
    }
    for segment in &mut input.segments {
        segment.relevance = random.share();
        segment.referenced = random.share();
        segment.density = random.share();
    }
    input
}

fn turn(prompt: &mut Prompt, random: &mut Random, texts: Option<usize>) {
    prompt.user(random.between(3, 60));
    for _ in 0..random.below(4) {
        if random.percent(30) {
            prompt.reasoning(random.between(5, 100));
        }
        let name = TOOLS[random.below(3)];
        prompt.call(name, random.between(5, 40));
        if random.percent(2) {
            continue;
        }
        let large = random.percent(30);
        let result = prompt.result(name, random.between(5, if large { 600 } else { 80 }));
        if let SegmentKind::ToolResult { recallable, .. } = &mut result.kind {
            *recallable = name != "deploy";
        }
        if let Some(texts) = texts {
            result.digest = [random.below(texts) as u8; 32];
        }
    }
    if random.percent(70) {
        prompt.assistant(random.between(3, 120));
    }
}

fn random_policy(random: &mut Random, tokens: usize) -> Policy {
    let mut policy = policy(tokens * random.between(10, 130) / 100);
    policy.output.min = random.below(tokens / 10 + 1);
    policy.utilization.high = 0.5 + random.share() / 2.0;
    policy.utilization.low = match random.percent(30) {
        true => Low::Auto,
        false => Low::Share(policy.utilization.high * random.share()),
    };
    if random.percent(30) {
        (policy.utilization.high, policy.utilization.low) = (1.0, Low::Share(1.0));
    }
    if random.percent(30) {
        policy.ladder_mode = LadderMode::Cost;
    }
    if random.percent(20) {
        policy.ladder.remove(random.below(6));
    }
    random_rules(&mut policy, random, tokens);
    policy.objective.tokens = random.share();
    policy.objective.prefill = PrefillWeight::Millisecond(random.share() / 10.0);
    policy.outlook.turns = random.below(30) as f64;
    policy.outlook.growth_per_turn = random.below(300) as f64;
    policy.outlook.min_turns_between_edits = 3;
    policy.outlook.turns_since_edits = random.percent(60).then(|| random.below(6));
    policy
}

fn random_rules(policy: &mut Policy, random: &mut Random, tokens: usize) {
    policy.clearing.keep = random.below(5);
    policy.clearing.clear_inputs = match random.below(4) {
        0 => ClearInputs::All,
        1 => ClearInputs::Tools(vec!["grep".into()]),
        _ => ClearInputs::None,
    };
    if random.percent(10) {
        policy.clearing.trigger = Some(match random.percent(50) {
            true => Trigger::InputTokens(random.below(tokens)),
            false => Trigger::ToolUses(random.below(10)),
        });
        policy.clearing.clear_at_least = random.below(100);
    }
    for name in TOOLS {
        if random.percent(10) {
            policy.clearing.tools.push(ToolRule {
                name: name.into(),
                excluded: random.percent(30),
                max: random.percent(50).then(|| random.below(500)),
                recallable: None,
            });
        }
    }
    policy.thinking = random.percent(50).then(|| ThinkingRule {
        keep_turns: random.below(3),
        always: random.percent(10),
    });
    policy.compaction.keep_raw_turns = random.below(5);
    policy.compaction.max_tokens = random.between(20, 200);
    policy.compaction.level = SummaryLevel::ALL[random.below(4)];
    policy.compaction.trigger = random.percent(5).then(|| random.below(tokens));
    if random.percent(20) {
        policy.retrieval.min_score = random.share();
    }
    if random.percent(30) {
        let at = random.below(policy.zones.len());
        let max = random.below(tokens);
        policy.zones[at].bounds = Bounds {
            min: random.below(max / 2 + 1),
            target: max / 2 + random.below(max / 2 + 1),
            max: if random.percent(50) {
                max
            } else {
                usize::MAX / 4
            },
        };
    }
}

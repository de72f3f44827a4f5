//! What a plan of a prompt's edits costs: the bound is 2 ms for 1,000 segments.

use std::hint::black_box;

use context::{
    Bounds, CacheSnapshot, ClearInputs, ClearingRule, CompactionRule, CostModel, EditOp,
    LadderMode, Low, Objective, Outlook, Placement, PlanInput, Policy, PrefillWeight, Replacements,
    RetrievalRule, Rung, Segment, SegmentKind, SummaryLevel, ThinkingRule, Tier, Utilization, Zone,
    ZoneRule, plan,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Replacements of known lengths, so that only the planner is measured.
struct Lengths<'a>(&'a [Segment]);

impl Replacements for Lengths<'_> {
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize> {
        let tokens = self.0[segment].tokens;
        Some(match op {
            EditOp::Compress(level) => tokens * (9 - 2 * *level as usize) / 10,
            EditOp::ExtractDocument => tokens / 2,
            EditOp::DropDocument | EditOp::DropExample | EditOp::ClearReasoning => 0,
            _ => 24,
        })
    }
}

/// A prompt of an agent: system, ten documents, then turns of a user message, reasoning, four tool
/// calls with their results, and an answer.
fn prompt(num_segments: usize, policy: Policy, warm: bool) -> PlanInput {
    let mut segments: Vec<Segment> = Vec::new();
    let mut push = |zone: Zone, tier, kind, turn, tokens| {
        let at = segments.len();
        let start = segments.last().map_or(0, Segment::end);
        let mut digest = [0; 32];
        // Every 16th text was there before.
        digest[..8].copy_from_slice(&(at % 16 * at).to_le_bytes());
        segments.push(Segment {
            zone,
            tier,
            kind,
            tokens,
            start,
            turn,
            live: false,
            pinned: false,
            digest,
            score: None,
            referenced: (at * 37 % 100) as f64 / 100.0,
            relevance: (at * 61 % 100) as f64 / 100.0,
            density: (at * 17 % 100) as f64 / 100.0,
            utility: None,
            depends_on: Vec::new(),
            edit: None,
        });
        at + 1
    };
    push(Zone::System, Tier::Protected, SegmentKind::System, 0, 1000);
    for _ in 0..10 {
        push(
            Zone::Retrieval,
            Tier::Compactable,
            SegmentKind::Document,
            0,
            400,
        );
    }
    let (mut turn, mut call) = (0, 0);
    while segments_left(&mut push, &mut turn, &mut call) < num_segments {}
    for segment in &mut segments {
        segment.live = segment.turn == turn;
    }
    let prompt_tokens = segments.last().map_or(0, Segment::end);
    PlanInput {
        policy,
        segments,
        prompt_tokens,
        incoming: 0,
        cache: CacheSnapshot {
            matched: if warm { prompt_tokens } else { 0 },
            pressure: 0.5,
        },
        cost: CostModel {
            per_step: 2e-3,
            per_token: 60e-6,
            per_pair: 2e-9,
            step_tokens: 2048,
            residency: 0.0,
        },
    }
}

/// Adds a turn and tells how many segments there are.
fn segments_left(
    push: &mut impl FnMut(Zone, Tier, SegmentKind, usize, usize) -> usize,
    turn: &mut usize,
    call: &mut usize,
) -> usize {
    *turn += 1;
    let history = |kind| (Zone::History, Tier::Compactable, kind);
    let (zone, tier, kind) = history(SegmentKind::User);
    push(zone, tier, kind, *turn, 40);
    let (zone, tier, kind) = history(SegmentKind::Reasoning);
    push(zone, tier, kind, *turn, 150);
    for _ in 0..4 {
        *call += 1;
        let name: Box<str> = ["read", "grep", "run"][*call % 3].into();
        let (zone, tier, kind) = history(SegmentKind::ToolCall {
            name: name.clone(),
            call: *call,
        });
        push(zone, tier, kind, *turn, 30);
        let kind = SegmentKind::ToolResult {
            recallable: &*name != "run",
            name,
            call: *call,
        };
        push(
            Zone::ToolOutputs,
            Tier::Clearable,
            kind,
            *turn,
            100 + *call * 137 % 900,
        );
    }
    let (zone, tier, kind) = history(SegmentKind::Assistant);
    push(zone, tier, kind, *turn, 120)
}

const LATEST_TURN: ThinkingRule = ThinkingRule {
    keep_turns: 1,
    always: false,
};

fn policy(ladder_mode: LadderMode, low: Low) -> Policy {
    let tiers = [
        (Zone::System, Tier::Protected),
        (Zone::Retrieval, Tier::Compactable),
        (Zone::History, Tier::Compactable),
        (Zone::ToolOutputs, Tier::Clearable),
    ];
    let zones = tiers.into_iter().map(|(zone, tier)| ZoneRule {
        zone,
        tier,
        bounds: Bounds {
            min: 0,
            target: 1 << 40,
            max: 1 << 40,
        },
        priority: 1,
        useful: 1 << 40,
    });
    Policy {
        budget: 0,
        utilization: Utilization {
            soft: 0.6,
            high: 0.85,
            low,
        },
        output: Bounds {
            min: 500,
            target: 1000,
            max: 2000,
        },
        stable_prefix_end: 1000,
        zones: zones.collect(),
        ladder: Rung::ALL.to_vec(),
        ladder_mode,
        clearing: ClearingRule {
            trigger: None,
            keep: 3,
            clear_at_least: 0,
            clear_inputs: ClearInputs::None,
            tools: Vec::new(),
        },
        thinking: Some(LATEST_TURN),
        compaction: CompactionRule {
            trigger: None,
            keep_raw_turns: 5,
            max_tokens: 800,
            level: SummaryLevel::Detailed,
            critical_recall: 0.95,
            compact_at_least: 0,
            max_nll_delta: 0.5,
        },
        retrieval: RetrievalRule {
            min_score: 0.0,
            placement: Placement::AsIs,
            diversity: 0.0,
        },
        objective: Objective {
            loss: 1.0,
            prefill: PrefillWeight::Millisecond(0.01),
            tokens: 0.1,
        },
        outlook: Outlook {
            turns: 12.0,
            growth_per_turn: 1500.0,
            output_per_turn: 300.0,
            min_turns_between_edits: 3,
            turns_since_edits: None,
        },
    }
}

fn planning(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    let cases = [
        ("fits", LadderMode::Strict, Low::Share(0.55), 200),
        ("above_high_mark_auto", LadderMode::Strict, Low::Auto, 108),
        ("clear", LadderMode::Strict, Low::Share(0.55), 90),
        ("compact", LadderMode::Strict, Low::Share(0.55), 25),
        ("joint", LadderMode::Cost, Low::Share(0.55), 60),
        ("joint_auto", LadderMode::Cost, Low::Auto, 60),
        ("impossible", LadderMode::Strict, Low::Share(0.55), 1),
    ];
    for (name, mode, low, percent) in cases {
        for num_segments in [100, 1_000, 10_000] {
            for warm in [true, false] {
                let mut input = prompt(num_segments, policy(mode, low), warm);
                input.policy.budget = input.prompt_tokens * percent / 100;
                let case = format!("{name}/{}", if warm { "warm" } else { "cold" });
                group.bench_with_input(BenchmarkId::new(case, num_segments), &input, |b, input| {
                    b.iter(|| black_box(plan(input, &mut Lengths(&input.segments))));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);

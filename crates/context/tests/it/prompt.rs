//! Prompts to plan, and replacements with known lengths.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use context::{
    Bounds, CacheSnapshot, ClearInputs, ClearingRule, CompactionRule, CostModel, EditOp,
    LadderMode, Low, Objective, Outlook, Placement, PlanInput, Policy, PrefillWeight, Replacements,
    RetrievalRule, Rung, Segment, SegmentKind, SummaryLevel, SummaryTokens, Tier, Utilization,
    Zone, ZoneRule,
};

use crate::random::Random;

/// The tiers that the zones have unless a test says otherwise.
pub(crate) const ZONES: [(Zone, Tier); 8] = [
    (Zone::System, Tier::Protected),
    (Zone::ToolSchemas, Tier::MostlyProtected),
    (Zone::Examples, Tier::Compactable),
    (Zone::Retrieval, Tier::Compactable),
    (Zone::Memory, Tier::Offloadable),
    (Zone::History, Tier::Compactable),
    (Zone::ToolOutputs, Tier::Clearable),
    (Zone::LiveTurn, Tier::Protected),
];

/// Rules that allow everything and ask for nothing but to fit.
pub(crate) fn policy(budget: usize) -> Policy {
    Policy {
        budget,
        utilization: Utilization {
            soft: 0.6,
            high: 1.0,
            low: Low::Share(1.0),
        },
        output: Bounds::default(),
        stable_prefix_end: 0,
        zones: ZONES
            .into_iter()
            .map(|(zone, tier)| ZoneRule {
                zone,
                tier,
                bounds: Bounds {
                    min: 0,
                    target: usize::MAX / 4,
                    max: usize::MAX / 4,
                },
                priority: 1,
                useful: usize::MAX / 4,
            })
            .collect(),
        ladder: Rung::ALL.to_vec(),
        ladder_mode: LadderMode::Strict,
        clearing: ClearingRule {
            trigger: None,
            keep: 1,
            clear_at_least: 0,
            clear_inputs: ClearInputs::None,
            tools: Vec::new(),
        },
        thinking: None,
        compaction: CompactionRule {
            trigger: None,
            compact_at_least: 0,
            keep_raw_turns: 1,
            max_tokens: 200,
            level: SummaryLevel::Detailed,
            critical_recall: 0.95,
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
            tokens: 0.0,
        },
        outlook: Outlook {
            turns: 10.0,
            growth_per_turn: 200.0,
            output_per_turn: 100.0,
            min_turns_between_edits: 3,
            turns_since_edits: None,
        },
    }
}

/// A prompt of segments in order.
pub(crate) struct Prompt {
    segments: Vec<Segment>,
    turn: usize,
    calls: usize,
    /// Tokens of the template in front of each segment.
    pub(crate) overhead: usize,
}

impl Prompt {
    pub(crate) fn new() -> Self {
        Self {
            segments: Vec::new(),
            turn: 0,
            calls: 0,
            overhead: 0,
        }
    }

    /// Adds a segment, with its zone's tier and a text of its own.
    pub(crate) fn push(&mut self, zone: Zone, kind: SegmentKind, tokens: usize) -> &mut Segment {
        let tier = ZONES.iter().find(|(known, _)| *known == zone);
        let at = self.segments.len();
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(at as u64 + 1).to_le_bytes());
        self.segments.push(Segment {
            tier: tier.map_or(Tier::Compactable, |(_, tier)| *tier),
            zone,
            kind,
            tokens,
            start: 0,
            turn: self.turn,
            live: false,
            pinned: false,
            digest,
            score: None,
            referenced: 0.0,
            relevance: 0.5,
            density: 0.5,
            utility: None,
            depends_on: Vec::new(),
            edit: None,
        });
        &mut self.segments[at]
    }

    pub(crate) fn system(&mut self, tokens: usize) -> &mut Segment {
        self.push(Zone::System, SegmentKind::System, tokens)
    }

    pub(crate) fn user(&mut self, tokens: usize) -> &mut Segment {
        self.turn += 1;
        self.push(Zone::History, SegmentKind::User, tokens)
    }

    pub(crate) fn assistant(&mut self, tokens: usize) -> &mut Segment {
        self.push(Zone::History, SegmentKind::Assistant, tokens)
    }

    pub(crate) fn reasoning(&mut self, tokens: usize) -> &mut Segment {
        self.push(Zone::History, SegmentKind::Reasoning, tokens)
    }

    pub(crate) fn document(&mut self, tokens: usize) -> &mut Segment {
        self.push(Zone::Retrieval, SegmentKind::Document, tokens)
    }

    /// An example: what its user says and what is answered. Both have that relevance.
    pub(crate) fn example(&mut self, tokens: [usize; 2], relevance: f64) {
        self.turn += 1;
        let parts = [SegmentKind::User, SegmentKind::Assistant].into_iter();
        for (kind, tokens) in parts.zip(tokens) {
            self.push(Zone::Examples, kind, tokens).relevance = relevance;
        }
    }

    /// A call and its result.
    pub(crate) fn tool(&mut self, name: &str, tokens: usize) -> &mut Segment {
        self.call(name, 20);
        self.result(name, tokens)
    }

    pub(crate) fn call(&mut self, name: &str, tokens: usize) -> &mut Segment {
        self.calls += 1;
        let (name, call) = (name.into(), self.calls);
        self.push(Zone::History, SegmentKind::ToolCall { name, call }, tokens)
    }

    /// The result of the latest call.
    pub(crate) fn result(&mut self, name: &str, tokens: usize) -> &mut Segment {
        let kind = SegmentKind::ToolResult {
            name: name.into(),
            call: self.calls,
            recallable: true,
        };
        self.push(Zone::ToolOutputs, kind, tokens)
    }

    /// The prompt, of which `matched` tokens are cached. Its last turn is live.
    pub(crate) fn input(mut self, policy: Policy, matched: usize) -> PlanInput {
        let mut position = 0;
        for segment in &mut self.segments {
            segment.start = position + self.overhead;
            position = segment.end();
            segment.live = segment.turn == self.turn && self.turn > 0;
            let speaks = matches!(
                segment.kind,
                SegmentKind::User | SegmentKind::Assistant | SegmentKind::ToolCall { .. }
            );
            if segment.live && speaks {
                (segment.zone, segment.tier) = (Zone::LiveTurn, Tier::Protected);
            }
        }
        PlanInput {
            policy,
            segments: self.segments,
            prompt_tokens: position + self.overhead,
            incoming: 0,
            cache: CacheSnapshot {
                matched: matched.min(position),
                pressure: 0.0,
            },
            cost: CostModel {
                per_step: 1e-3,
                per_token: 60e-6,
                per_pair: 2e-9,
                step_tokens: 2048,
                residency: 0.0,
            },
        }
    }
}

/// Replacements whose lengths follow from the segment, the edit and a seed. Asking twice, or for
/// what has its own question, is a failure.
pub(crate) struct Lengths<'a> {
    pub(crate) segments: &'a [Segment],
    pub(crate) seed: u64,
    pub(crate) asked: BTreeSet<(usize, EditOp)>,
}

impl<'a> Lengths<'a> {
    /// Seed 0: every edit can be made, but old results that can be had again do not become
    /// shorter.
    pub(crate) fn new(segments: &'a [Segment], seed: u64) -> Self {
        Self {
            segments,
            seed,
            asked: BTreeSet::new(),
        }
    }

    /// What would be answered, without counting it as asked.
    pub(crate) fn length(&self, segment: usize, op: &EditOp) -> Option<usize> {
        let Segment { tokens, kind, .. } = &self.segments[segment];
        if let (0, EditOp::Compress(_), SegmentKind::ToolResult { recallable, .. }) =
            (self.seed, op, kind)
            && *recallable
            && segment + 1 < self.segments.len()
        {
            return None;
        }
        if self.seed != 0 {
            let mut random = Random::new(self.seed ^ (segment as u64) << 32 ^ number(op));
            if random.percent(10) {
                return None;
            }
        }
        Some(match op {
            EditOp::Dedupe { .. } => 12,
            EditOp::ClearToolResult => 20,
            EditOp::ClearToolInput => 4,
            EditOp::ClearReasoning | EditOp::DropDocument | EditOp::DropExample => 0,
            EditOp::Compress(level) => tokens * (9 - 2 * *level as usize) / 10,
            EditOp::ExtractDocument => tokens * 2 / 5,
            EditOp::Offload => 10,
            EditOp::Compact(_) => panic!("summaries are asked for by span"),
            EditOp::PruneTool => panic!("no plan leaves out tools"),
        })
    }
}

impl Replacements for Lengths<'_> {
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize> {
        assert!(
            self.asked.insert((segment, op.clone())),
            "{op:?} of {segment} asked for twice"
        );
        self.length(segment, op)
    }

    fn summary_tokens(
        &mut self,
        span: RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> SummaryTokens {
        match self.seed % 3 {
            1 if (span.end() + level as usize).is_multiple_of(2) => {
                SummaryTokens::Written(30 + span.end())
            }
            2 if self.seed.is_multiple_of(5) => SummaryTokens::Unavailable,
            _ => SummaryTokens::Unwritten,
        }
    }

    /// Any spans: the planner must see by itself which of them stand for whole turns.
    fn written(&self) -> Vec<(RangeInclusive<usize>, SummaryLevel)> {
        let last = match self.segments.len() {
            0 => return Vec::new(),
            number => number - 1,
        };
        let mut random = Random::new(self.seed ^ 0xabcd);
        let mut spans = Vec::new();
        while self.seed % 3 == 1 && spans.len() < 12 {
            let ends = [random.below(last + 1), random.below(last + 1)];
            let (from, to) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            let level = SummaryLevel::ALL[random.below(4)];
            if (to + level as usize).is_multiple_of(2) {
                spans.push((from..=to, level));
            }
        }
        spans
    }
}

fn number(op: &EditOp) -> u64 {
    match op {
        EditOp::Dedupe { .. } => 1,
        EditOp::ClearToolResult => 2,
        EditOp::ClearToolInput => 3,
        EditOp::ClearReasoning => 4,
        EditOp::DropDocument => 5,
        EditOp::ExtractDocument => 6,
        EditOp::Offload => 7,
        EditOp::DropExample => 20,
        EditOp::Compress(level) => 8 + *level as u64,
        EditOp::Compact(level) => 16 + *level as u64,
        EditOp::PruneTool => 32,
    }
}

//! What a request's context may be: every bound a number of tokens, every choice made.

use crate::{CostModel, EditOp, Rung, Segment, SegmentKind, SummaryLevel, Tier, Zone};

/// The rules of one request, resolved against its budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Tokens that prompt and output may have together.
    pub budget: usize,
    /// Marks of utilisation, as shares of the budget.
    pub utilization: Utilization,
    /// Tokens kept for the answer.
    pub output: Bounds,
    /// Where the stable prefix ends, in tokens of the rendered prompt; no edit before it.
    pub stable_prefix_end: usize,
    /// Rules by zone, in the order in which the zones are reported; every segment's zone has one.
    pub zones: Vec<ZoneRule>,
    /// The rungs that may be used, in their order.
    pub ladder: Vec<Rung>,
    /// How rungs are combined.
    pub ladder_mode: LadderMode,
    /// How tool results are cleared.
    pub clearing: ClearingRule,
    /// How reasoning of past turns is cleared; `None` leaves it.
    pub thinking: Option<ThinkingRule>,
    /// How history is summarised.
    pub compaction: CompactionRule,
    /// How documents are chosen and placed.
    pub retrieval: RetrievalRule,
    /// Weights of what a plan costs.
    pub objective: Objective,
    /// What is known of the requests to come.
    pub outlook: Outlook,
}

/// Tokens of a zone, or of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Kept whatever happens, as far as there is demand.
    pub min: usize,
    /// Aimed at.
    pub target: usize,
    /// Never exceeded.
    pub max: usize,
}

/// Rules of one zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneRule {
    /// The zone.
    pub zone: Zone,
    /// What may be done to its text.
    pub tier: Tier,
    /// How many tokens it gets.
    pub bounds: Bounds,
    /// 1 is served first.
    pub priority: u32,
    /// Tokens beyond which more are of no use to the client.
    pub useful: usize,
}

/// Marks of utilisation: prompt and output reserve over the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// Beyond it quality may suffer; reported, and no reason to edit.
    pub soft: f64,
    /// Beyond it edits are made before they must be.
    pub high: f64,
    /// How far down they go.
    pub low: Low,
}

/// How far a batch of edits goes below the high mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Low {
    /// To this share of the budget.
    Share(f64),
    /// To where edits and recomputing cost least per turn, by the growth seen.
    Auto,
}

/// How rungs are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LadderMode {
    /// A rung is used up before the next is begun.
    Strict,
    /// All rungs compete by cost.
    Cost,
}

/// `clear_tool_uses_20250919` and the ladder's own clearing.
#[derive(Clone, Debug, PartialEq)]
pub struct ClearingRule {
    /// Clearing begins when this is exceeded, even if the budget is not; `None`: only by need.
    pub trigger: Option<Trigger>,
    /// Latest results that stay.
    pub keep: usize,
    /// By its trigger nothing is cleared unless this many tokens can be; what the budget needs is.
    pub clear_at_least: usize,
    /// Whether arguments of cleared calls go as well.
    pub clear_inputs: ClearInputs,
    /// Rules of single tools.
    pub tools: Vec<ToolRule>,
}

/// Whether the arguments of cleared calls are cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClearInputs {
    /// They stay.
    None,
    /// They go.
    All,
    /// Those of these tools go.
    Tools(Vec<Box<str>>),
}

/// Rules of one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRule {
    /// Its name.
    pub name: Box<str>,
    /// Its results are never touched.
    pub excluded: bool,
    /// Tokens that all its results may have together.
    pub max: Option<usize>,
    /// Whether calling again gives the result again; `None`: as for any tool.
    pub recallable: Option<bool>,
}

/// When an edit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The prompt has more tokens.
    InputTokens(usize),
    /// The conversation has more tool uses.
    ToolUses(usize),
}

/// How reasoning of past turns is cleared: `clear_thinking_20251015`, and the ladder's own clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThinkingRule {
    /// Latest turns whose reasoning stays.
    pub keep_turns: usize,
    /// All older reasoning goes, whether or not the budget asks for room.
    pub always: bool,
}

/// How history is summarised.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactionRule {
    /// Compaction begins when the prompt has more tokens, even if the budget is not exceeded.
    pub trigger: Option<usize>,
    /// By its trigger nothing is summarised unless this many tokens are freed; what the budget needs
    /// is.
    pub compact_at_least: usize,
    /// Latest turns that stay word for word.
    pub keep_raw_turns: usize,
    /// Longest summary (level detailed), in tokens.
    pub max_tokens: usize,
    /// The level to begin with.
    pub level: SummaryLevel,
    /// Share of critical tokens that a summary must keep.
    pub critical_recall: f64,
    /// How much less likely, in nats per token, the model's own later words may be behind a summary
    /// than they were when it said them.
    pub max_nll_delta: f64,
}

/// How documents are chosen and placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrievalRule {
    /// Documents below are left out even if there is room.
    pub min_score: f64,
    /// In which order they stand.
    pub placement: Placement,
    /// Added to 1, how much a document loses for what it repeats of a chosen one: at 0 the half that
    /// it repeats, at 1 both halves. At least 0.
    pub diversity: f64,
}

/// The order of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As the client sent them.
    AsIs,
    /// The best at both ends: ranks 1, 3, 5 .. from the head, .. 6, 4, 2 at the tail.
    Edges,
    /// The best first.
    Head,
    /// The best last, next to the question.
    Tail,
    /// By id, so that requests with the same documents share a prefix.
    Canonical,
    /// Canonical if its cached tokens save more than the better places are worth, else edges.
    Auto,
}

/// Weights of what a plan costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Of lost content.
    pub loss: f64,
    /// Of prefill.
    pub prefill: PrefillWeight,
    /// Of a thousand tokens.
    pub tokens: f64,
}

/// What prefill weighs beside lost content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PrefillWeight {
    /// Of computing as many tokens as the budget has, from nothing: the same on every machine.
    Whole(f64),
    /// Of a millisecond.
    Millisecond(f64),
}

/// What is known of the requests to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Turns still expected.
    pub turns: f64,
    /// Tokens that each adds to the context.
    pub growth_per_turn: f64,
    /// Output tokens of each.
    pub output_per_turn: f64,
    /// Turns that must pass between two batches of edits that are not forced.
    pub min_turns_between_edits: usize,
    /// Turns since the last batch of edits; `None` if there was none.
    pub turns_since_edits: Option<usize>,
}

impl Placement {
    /// All rules.
    pub const ALL: [Self; 6] = [
        Self::AsIs,
        Self::Edges,
        Self::Head,
        Self::Tail,
        Self::Canonical,
        Self::Auto,
    ];

    /// Its name in requests and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsIs => "as_is",
            Self::Edges => "edges",
            Self::Head => "head",
            Self::Tail => "tail",
            Self::Canonical => "canonical",
            Self::Auto => "auto",
        }
    }
}

impl PrefillWeight {
    /// The weight of a millisecond, where `cost` is that of the machine; 0 where computing takes no
    /// time.
    pub fn per_ms(self, cost: &CostModel, budget: usize) -> f64 {
        match self {
            Self::Millisecond(weight) => weight,
            Self::Whole(weight) => {
                let whole_ms = 1e3 * cost.prefill_seconds(budget, 0);
                if whole_ms > 0.0 {
                    weight / whole_ms
                } else {
                    0.0
                }
            }
        }
    }
}

impl Policy {
    /// The rule of a zone.
    pub fn rule(&self, zone: &Zone) -> Option<&ZoneRule> {
        self.zones.iter().find(|rule| rule.zone == *zone)
    }

    /// The rule of a tool.
    pub fn tool(&self, name: &str) -> Option<&ToolRule> {
        self.clearing.tools.iter().find(|rule| *rule.name == *name)
    }

    /// Whether an edit may touch a segment, as far as that is up to the segment: its tier, the
    /// client's pin, the stable prefix, and tools whose results are never touched.
    pub fn permits(&self, op: &EditOp, segment: &Segment) -> bool {
        let tool = match (&segment.kind, op) {
            (SegmentKind::ToolResult { name, .. }, _)
            | (SegmentKind::ToolCall { name, .. }, EditOp::ClearToolInput) => self.tool(name),
            _ => None,
        };
        let is_stable = segment.start < self.stable_prefix_end && segment.tokens > 0;
        !tool.is_some_and(|rule| rule.excluded)
            && !segment.pinned
            && !is_stable
            && segment.tier >= op.strictest_tier()
    }
}

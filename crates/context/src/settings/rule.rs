//! What is asked of each rule: when edits begin and how far they go.

use std::collections::BTreeMap;

use super::{Amount, CompactionSchedule, InstructionsMode, Preserve, merge};
use crate::{ClearInputs, Low, Placement, PrefillWeight, SummaryLevel};

/// Marks of utilisation, as shares of B: 0 < soft <= high <= 1, and low < high.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UtilizationSettings {
    /// Reported when it is passed, and no reason to edit. Default 0.60, or `high` if that is less.
    pub soft: Option<f64>,
    /// Edits begin when it is passed. Default 0.85.
    pub high: Option<f64>,
    /// How far down they go. Default 0.55, or two thirds of `high` if that is less.
    pub low: Option<Low>,
}

/// How tool results are cleared: the ladder's own clearing, and Anthropic's edit
/// `clear_tool_uses_20250919`, whose fields these are, but for some defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClearingSettings {
    /// When it begins although the budget is not exceeded. Default: more than 100,000 tokens of
    /// input if B is 200,000 or more, else [`ClearTrigger::Need`], since the high mark of a smaller
    /// budget comes before its results are many.
    pub trigger: Option<ClearTrigger>,
    /// Latest results that stay. Default 3.
    pub keep: Option<usize>,
    /// By its trigger nothing is cleared unless this many tokens can be; a share is one of B.
    /// Default: a tenth of the trigger's tokens, so that what has become old since is not cleared
    /// with every request, each of which would break the cached prefix.
    pub clear_at_least: Option<Amount>,
    /// Whether arguments of cleared calls go as well. Default: they stay.
    pub clear_inputs: Option<ClearInputs>,
    /// Tools whose results are never touched. Default: none.
    pub exclude_tools: Option<Vec<Box<str>>>,
    /// Rules of single tools, by name.
    pub per_tool: BTreeMap<Box<str>, ToolSettings>,
}

/// When clearing begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClearTrigger {
    /// Only when the budget or its high mark is exceeded.
    Need,
    /// What the vendor's edit means when it names none: more than 100,000 tokens of input if
    /// B is 200,000 or more, else more than half of B.
    VendorDefault,
    /// When the prompt has more tokens; a share is one of B.
    InputTokens(Amount),
    /// When the conversation has more tool uses.
    ToolUses(usize),
}

/// What is asked for one tool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ToolSettings {
    /// Tokens that all its results may have together; a share is one of B. Default: no limit of
    /// its own.
    pub max: Option<Amount>,
    /// Whether calling it again gives the result again, so that little is lost by clearing it.
    /// Default: as the server judges.
    pub recallable: Option<bool>,
    /// Whether its results are never touched. Default: as `exclude_tools` says.
    pub excluded: Option<bool>,
}

/// How much reasoning of past turns stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkingKeep {
    /// All.
    All,
    /// That of the latest turns, where the budget needs room.
    Turns(usize),
    /// That of the latest turns and no more, whatever the budget: Anthropic's edit
    /// `clear_thinking_20251015`, which has no trigger; a client that names none keeps 1 turn.
    OnlyTurns(usize),
}

/// How history is summarised; Anthropic's edit `compact_20260112` fills some of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompactionSettings {
    /// When it begins although the budget is not exceeded. Default: more than 150,000 tokens of
    /// input if B is 200,000 or more, else [`CompactTrigger::Need`].
    pub trigger: Option<CompactTrigger>,
    /// By its trigger nothing is summarised unless this many tokens are freed; a share is one of B.
    /// Default: a tenth of the trigger.
    pub compact_at_least: Option<Amount>,
    /// Latest turns that stay word for word. Default 5.
    pub keep_raw_turns: Option<usize>,
    /// Longest summary, in tokens. Default: the smaller of 800 tokens and B/8.
    pub max_tokens: Option<usize>,
    /// The level to begin with. Default: [`SummaryLevel::Detailed`].
    pub level: Option<SummaryLevel>,
    /// Share of critical tokens (paths, numbers, names) that a summary must keep. Default 0.95.
    pub critical_recall: Option<f64>,
    /// How much less likely the model's own later words may be behind a summary, in nats per token.
    /// Default 0.5.
    pub max_nll_delta: Option<f64>,
    /// What it must preserve. Default: everything in [`Preserve::ALL`].
    pub preserve: Option<Vec<Preserve>>,
    /// The client's own words for the instruction. Default: none.
    pub instructions: Option<Box<str>>,
    /// How they join the server's. Default: [`InstructionsMode::Append`].
    pub instructions_mode: Option<InstructionsMode>,
    /// When it is computed. Default: [`CompactionSchedule::Background`].
    pub schedule: Option<CompactionSchedule>,
}

/// When compaction begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CompactTrigger {
    /// Only when the budget or its high mark is exceeded.
    Need,
    /// What the vendor's edit means when it names none: more than 150,000 tokens of input if
    /// B is 200,000 or more, else more than three quarters of B.
    VendorDefault,
    /// When the prompt has more tokens; a share is one of B.
    InputTokens(Amount),
}

/// How documents are chosen and placed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RetrievalSettings {
    /// Documents below are left out even if there is room; 0 to 1. Default 0.
    pub min_score: Option<f64>,
    /// In which order they stand. Default: [`Placement::Auto`].
    pub placement: Option<Placement>,
}

/// Weights of what a plan costs; none negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ObjectiveSettings {
    /// Of lost content. Default 1.0.
    pub loss: Option<f64>,
    /// Of prefill. Default: 1.0 for a whole budget of tokens.
    pub prefill: Option<PrefillWeight>,
    /// Of a thousand tokens. Default 0.1.
    pub tokens: Option<f64>,
    /// Added to 1, how much a document loses for what it repeats of a chosen one. Default 0.
    pub diversity: Option<f64>,
}

/// What the client knows of the requests to come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints {
    /// Turns still expected. Default: what the server has learnt.
    pub expected_turns: Option<f64>,
    /// Output tokens of each. Default: what the server has learnt.
    pub expected_output_tokens: Option<usize>,
    /// What it is about: its words count like those of the live turn.
    pub task: Option<Box<str>>,
}

impl UtilizationSettings {
    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            soft: self.soft.or(base.soft),
            high: self.high.or(base.high),
            low: self.low.or(base.low),
        }
    }
}

impl ClearingSettings {
    /// These settings where they say something, `base` elsewhere; tools are merged by name.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            trigger: self.trigger.or(base.trigger),
            keep: self.keep.or(base.keep),
            clear_at_least: self.clear_at_least.or(base.clear_at_least),
            clear_inputs: self.clear_inputs.or(base.clear_inputs),
            exclude_tools: self.exclude_tools.or(base.exclude_tools),
            per_tool: merge(self.per_tool, base.per_tool, ToolSettings::over),
        }
    }
}

impl ToolSettings {
    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            max: self.max.or(base.max),
            recallable: self.recallable.or(base.recallable),
            excluded: self.excluded.or(base.excluded),
        }
    }
}

impl CompactionSettings {
    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            trigger: self.trigger.or(base.trigger),
            compact_at_least: self.compact_at_least.or(base.compact_at_least),
            keep_raw_turns: self.keep_raw_turns.or(base.keep_raw_turns),
            max_tokens: self.max_tokens.or(base.max_tokens),
            level: self.level.or(base.level),
            critical_recall: self.critical_recall.or(base.critical_recall),
            max_nll_delta: self.max_nll_delta.or(base.max_nll_delta),
            preserve: self.preserve.or(base.preserve),
            instructions: self.instructions.or(base.instructions),
            instructions_mode: self.instructions_mode.or(base.instructions_mode),
            schedule: self.schedule.or(base.schedule),
        }
    }
}

impl RetrievalSettings {
    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            min_score: self.min_score.or(base.min_score),
            placement: self.placement.or(base.placement),
        }
    }
}

impl ObjectiveSettings {
    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            loss: self.loss.or(base.loss),
            prefill: self.prefill.or(base.prefill),
            tokens: self.tokens.or(base.tokens),
            diversity: self.diversity.or(base.diversity),
        }
    }
}

impl Hints {
    /// These hints where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            expected_turns: self.expected_turns.or(base.expected_turns),
            expected_output_tokens: self.expected_output_tokens.or(base.expected_output_tokens),
            task: self.task.or(base.task),
        }
    }
}

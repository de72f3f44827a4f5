//! The context budgeter: keeps a prompt inside a token budget by edits that are chosen from what
//! the prefix cache really holds.
//!
//! Pure: token counts, texts and cache state come in as data and a decision goes out as data. It
//! knows no tokenizer type, no model and no HTTP.
//!
//! # Tour
//!
//! A prompt is a list of [`Segment`]s, each of a [`Zone`]. A [`Policy`] says how many tokens each
//! zone gets and which rungs of the ladder may be used when there are too many. A plan is a list of
//! [`Candidate`] edits, chosen by what the answer may lose and by the tokens that must be computed
//! again behind the earliest of them.

mod allocation;
mod canonical;
mod compress;
mod cost;
mod critical;
mod edit;
mod hysteresis;
mod importance;
mod ladder;
mod ledger;
mod particulars;
mod plan;
mod planner;
mod policy;
mod presets;
mod proactive;
mod protection;
mod pruning;
mod retrieval;
mod segment;
mod settings;
mod summary;
mod sweep;
mod utility;
mod volatile;
mod window;
mod zone;

pub use allocation::{
    Allocation, Deficit, Demand, OverMax, Shortfall, Suggestion, ToolAllocation, ToolDemand,
    ToolUse, ZoneAllocation, allocate, suggestions,
};
pub use canonical::{canonical_arguments, canonical_json, canonical_tools};
pub use compress::{Compressed, Focus, compress, fit, minify, shrink, shrink_all};
pub use cost::CostModel;
pub use critical::{CriticalKind, CriticalToken, GateRule, Gated, critical_tokens, gate, recall};
pub use edit::{Candidate, CompressionLevel, EditOp, Rung, SummaryLevel};
pub use importance::Features;
pub use ledger::{
    CallRecord, ChainKey, DriftVerdict, ENTRY_OVERHEAD, EditLedger, EntryTooLarge, KnownEdit,
    LedgerCounters, LedgerEdit, LedgerScope, Piece, Regret, Replay, SegmentChain, Summary,
    SummaryOrder, SummaryOrigin, TenantKey, WaitingSummary, call_digest, regrets, segment_digest,
};
pub use particulars::Particulars;
pub use plan::{
    CacheSnapshot, Infeasible, Need, ObservationLimits, Plan, PlanInput, PlanPoint, Regime,
    Replacements, SummaryTokens, ZoneShare,
};
pub use planner::plan;
pub use policy::{
    Bounds, ClearInputs, ClearingRule, CompactionRule, LadderMode, Low, Objective, Outlook,
    Placement, Policy, PrefillWeight, RetrievalRule, ThinkingRule, ToolRule, Trigger, Utilization,
    ZoneRule,
};
pub use presets::Preset;
pub use protection::Protection;
pub use pruning::{IdleTool, tools_to_prune};
pub use retrieval::{
    Citation, Document, DropReason, DroppedDocument, KeptDocument, RetrievalError, RetrievalInput,
    Reuse, Scorer, SegmentText, Selection, TextFeatures, select_documents, text_density,
    text_features,
};
pub use segment::{Segment, SegmentKind};
pub use settings::{
    Amount, Bound, ClearTrigger, ClearingSettings, CompactTrigger, CompactionSchedule,
    CompactionSettings, Facts, Hints, InstructionsMode, Mode, ObjectiveSettings, OnInfeasible,
    OutputSettings, Preserve, ReportLevel, Resolved, RetrievalSettings, SessionFacts, Settings,
    SettingsError, SettingsProblem, SoftKeeps, StablePrefix, SummaryRequest, Symbol, SymbolFloor,
    TellModel, ThinkingKeep, ToolSettings, UtilizationSettings, ZoneSettings, resolve,
    resolve_profile,
};
pub use summary::{
    CleanSummary, ExtractRule, Merged, Section, SectionedSummary, SpanPart, Speaker, clean_summary,
    extractive_summary, merge_summaries, summary_instruction,
};
pub use utility::{UseCounts, Utility};
pub use volatile::{VolatileKind, VolatileText, volatile_text};
pub use window::{Window, WindowExceeded};
pub use zone::{Tier, Zone};

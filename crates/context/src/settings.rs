//! What a client or a configuration file asks for, before it is known what it means in tokens.

mod bound;
mod choice;
mod conflict;
mod error;
mod facts;
mod resolve;
mod rule;
mod zone;

pub(crate) use bound::share_of;
pub use bound::{Amount, Bound, Symbol};
pub use choice::{
    CompactionSchedule, InstructionsMode, Mode, OnInfeasible, Preserve, ReportLevel, StablePrefix,
    TellModel,
};
pub use error::{SettingsError, SettingsProblem};
pub use facts::{Facts, SessionFacts};
pub use resolve::{Resolved, SoftKeeps, SummaryRequest, SymbolFloor, resolve, resolve_profile};
pub use rule::{
    ClearTrigger, ClearingSettings, CompactTrigger, CompactionSettings, Hints, ObjectiveSettings,
    RetrievalSettings, ThinkingKeep, ToolSettings, UtilizationSettings,
};
pub use zone::{OutputSettings, ZoneSettings};

use std::collections::BTreeMap;

use crate::{LadderMode, Rung, Zone};

/// The `context_budget` of a request, or a profile of the configuration: unresolved, and every
/// field optional.
///
/// # Life cycle
///
/// 1. A parser fills one from JSON or TOML; a vendor's `context_management` edits fill
///    [`clearing`](Self::clearing), [`thinking`](Self::thinking) and
///    [`compaction`](Self::compaction) of another. Where a request says both,
///    [`over_edits`](Self::over_edits) lets the stricter protection hold.
/// 2. Layers are put over each other by [`over`](Self::over), the most particular on top:
///    `request.over(profile)`.
/// 3. [`resolve`](crate::resolve) turns the result into a [`Policy`](crate::Policy), where every
///    bound is a number of tokens; what no layer says takes the default given at each field.
///
/// `B` stands for the resolved budget in tokens. A share is a fraction from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `mode`: whether edits are made. Default: [`Mode::Enforce`], since who sends settings wants
    /// them applied; that a request without any is left alone is up to the server.
    pub mode: Option<Mode>,
    /// `max_context_tokens`: B, the tokens that prompt and output may have together; a share is
    /// one of the window. Default: the whole window.
    pub budget: Option<Amount>,
    /// `utilization`: the marks at which edits begin and end.
    pub utilization: UtilizationSettings,
    /// `min_turns_between_edits`: turns that must pass between two batches of edits that are not
    /// forced. Default 3.
    pub min_turns_between_edits: Option<usize>,
    /// `zones.<name>`: bounds, tier and priority by zone. A zone that is absent has the defaults
    /// of [`ZoneSettings`].
    pub zones: BTreeMap<Zone, ZoneSettings>,
    /// `zones.tool_schemas.allow_tool_pruning`: whether tools that the conversation has never called
    /// may be left out where nothing else makes a request fit. Default: no.
    pub tool_pruning: Option<bool>,
    /// `zones.stable_prefix.until`: where the part ends that no edit touches. Default:
    /// [`StablePrefix::CacheControl`].
    pub stable_prefix: Option<StablePrefix>,
    /// `zones.output_buffer`: tokens kept for the answer.
    pub output: OutputSettings,
    /// `zones.tool_outputs.{keep, exclude_tools, per_tool}` and `clear_tool_uses_20250919`: how
    /// tool results are cleared.
    pub clearing: ClearingSettings,
    /// `clear_thinking_20251015`: how much reasoning of past turns stays. Default: all of it.
    pub thinking: Option<ThinkingKeep>,
    /// `zones.history.keep_raw_turns`, `compaction` and `compact_20260112`: how history is
    /// summarised.
    pub compaction: CompactionSettings,
    /// `zones.retrieval.{min_score, placement}`: how documents are chosen and placed.
    pub retrieval: RetrievalSettings,
    /// `ladder`: the rungs that may be used, in their order, each at most once. Default: all of
    /// [`Rung::ALL`]. An empty ladder allows no edit.
    pub ladder: Option<Vec<Rung>>,
    /// `ladder_mode`. Default: [`LadderMode::Strict`].
    pub ladder_mode: Option<LadderMode>,
    /// `on_infeasible`: what happens to a request that cannot be made to fit. Default:
    /// [`OnInfeasible::Error`].
    pub on_infeasible: Option<OnInfeasible>,
    /// `report`: how much the answer tells about the plan. Default: [`ReportLevel::Summary`].
    pub report: Option<ReportLevel>,
    /// `objective`: weights of what a plan costs.
    pub objective: ObjectiveSettings,
    /// `hints`: what the client knows of the requests to come.
    pub hints: Hints,
    /// `tell_model`: whether the model is told how much room is left. Default:
    /// [`TellModel::None`].
    pub tell_model: Option<TellModel>,
    /// `server_tools`: whether the model has tools that the server itself runs, to read what has
    /// left the prompt. Default: no.
    pub server_tools: Option<bool>,
    /// `max_planning_ms`: planning that takes longer falls back to edits without a model.
    /// Default: no limit.
    pub max_planning_ms: Option<u64>,
    /// `ttft_slo_ms`: time to first token that a compaction in the foreground must not exceed.
    /// Default: no limit.
    pub ttft_slo_ms: Option<u64>,
}

impl Settings {
    /// Whether a zone is known, or declared here by a tier or a bound.
    pub fn declares(&self, zone: &Zone) -> bool {
        if !matches!(zone, Zone::Custom(_)) {
            return true;
        }
        let is_reserved = matches!(zone.name(), "stable_prefix" | "output_buffer");
        !is_reserved && self.zones.get(zone).is_some_and(ZoneSettings::declares)
    }

    /// These settings where they say something, `base` elsewhere, field by field.
    ///
    /// Zones and tools are merged by name, their fields one by one. Lists (`ladder`,
    /// `exclude_tools`, `preserve`) are replaced as a whole, so that an empty list takes back what
    /// the base says.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            mode: self.mode.or(base.mode),
            budget: self.budget.or(base.budget),
            utilization: self.utilization.over(base.utilization),
            min_turns_between_edits: self
                .min_turns_between_edits
                .or(base.min_turns_between_edits),
            zones: merge(self.zones, base.zones, ZoneSettings::over),
            tool_pruning: self.tool_pruning.or(base.tool_pruning),
            stable_prefix: self.stable_prefix.or(base.stable_prefix),
            output: self.output.over(base.output),
            clearing: self.clearing.over(base.clearing),
            thinking: self.thinking.or(base.thinking),
            compaction: self.compaction.over(base.compaction),
            retrieval: self.retrieval.over(base.retrieval),
            ladder: self.ladder.or(base.ladder),
            ladder_mode: self.ladder_mode.or(base.ladder_mode),
            on_infeasible: self.on_infeasible.or(base.on_infeasible),
            report: self.report.or(base.report),
            objective: self.objective.over(base.objective),
            hints: self.hints.over(base.hints),
            tell_model: self.tell_model.or(base.tell_model),
            server_tools: self.server_tools.or(base.server_tools),
            max_planning_ms: self.max_planning_ms.or(base.max_planning_ms),
            ttft_slo_ms: self.ttft_slo_ms.or(base.ttft_slo_ms),
        }
    }
}

/// Entries of both maps; where both have one, `over` joins them.
fn merge<K: Ord, V: Default>(
    top: BTreeMap<K, V>,
    base: BTreeMap<K, V>,
    over: impl Fn(V, V) -> V,
) -> BTreeMap<K, V> {
    let mut merged = base;
    for (key, value) in top {
        let below = merged.remove(&key).unwrap_or_default();
        merged.insert(key, over(value, below));
    }
    merged
}

#[cfg(test)]
mod tests;

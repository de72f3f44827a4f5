//! `context_budget` of an answer: what was done to the context, and what it cost.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// The report. Its fields are described in docs/context-budget.md.
#[derive(Clone, Debug, Serialize)]
pub struct ContextReport {
    /// 1.
    pub version: u32,
    /// What became of the request.
    pub status: Status,
    /// Joins report, metrics and feedback.
    pub plan_id: String,
    /// The profile below the request's own settings.
    pub policy: String,
    /// Whether no model took part in the edits.
    pub deterministic: bool,
    /// The budget and what is left of it.
    pub budget: BudgetReport,
    /// How much had to be done.
    pub regime: &'static str,
    /// By zone.
    pub zones: BTreeMap<String, ZoneReport>,
    /// Tokens of the prompt after each stage.
    pub stages: BTreeMap<&'static str, usize>,
    /// Every edit; empty in a summary.
    pub edits: Vec<EditReport>,
    /// What the cache holds of the prompt.
    pub cache: CacheReport,
    /// Time.
    pub cost: CostReport,
    /// Ranges of messages that fit on their own, for a request that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkReport>>,
    /// What the server has put into the prompt, by zone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<PlacementReport>,
    /// Documents and memories that were left out, or would have been.
    pub dropped: Vec<DroppedReport>,
    /// Tools that the model was not told of, by the client's wish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deferred_tools: Vec<DeferredTool>,
    /// Calls of tools that the server itself has run while it answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_tools: Vec<ServerToolReport>,
    /// What the client should know.
    pub warnings: Vec<Warning>,
    /// Calls repeated after their results were cleared.
    pub regret: RegretReport,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It fitted as it was.
    Fit,
    /// It was edited.
    Edited,
    /// Nothing was changed, by request; the report says what would have been.
    Observed,
    /// The answer asks for a smaller scope.
    ScopeReductionRequested,
    /// The answer says how to cut it into chunks.
    Chunked,
}

/// The budget and what is left of it, in tokens.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetReport {
    /// B.
    #[serde(rename = "B")]
    pub budget: usize,
    /// Tokens of the prompt.
    pub used: usize,
    /// Tokens kept for the answer.
    pub reserved_output: usize,
    /// What is left.
    pub remaining: usize,
    /// Largest next observation that needs no more than each regime.
    pub max_observation_tokens: Observation,
    /// Prompt and reserve over the budget.
    pub utilization: f64,
    /// Whether the soft mark is passed.
    pub soft_exceeded: bool,
}

/// Largest next observation by regime, in tokens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Observation {
    /// Without an edit.
    pub null: usize,
    /// With some edits.
    pub partial: usize,
    /// With all edits.
    pub full: usize,
}

/// One zone, in tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ZoneReport {
    /// Before the edits.
    pub before: usize,
    /// After them.
    pub after: usize,
    /// Its floor.
    pub min: usize,
    /// Its aim.
    pub target: usize,
    /// Its cap.
    pub max: usize,
    /// What it was given.
    pub allocated: usize,
    /// Of what it has after the edits, tokens that are cached.
    pub cached: usize,
    /// Edits in it.
    pub edits: usize,
}

/// One edit.
#[derive(Clone, Debug, Serialize)]
pub struct EditReport {
    /// What was done.
    pub op: &'static str,
    /// To what.
    #[serde(rename = "ref")]
    pub target: Value,
    /// Its zone.
    pub zone: String,
    /// Tokens before.
    pub before: usize,
    /// Tokens after.
    pub after: usize,
    /// Position of its first token.
    pub at_token: usize,
    /// How far it was shortened: `l1` to `l5` for a tool result, `detailed` to `minimal` for a
    /// summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<&'static str>,
    /// By what the original is had back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
    /// What the answer may lose by it, 0 to 1 for each part of the prompt that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// How much what it changes mattered, and why; of several parts, the one that mattered most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub importance: Option<ImportanceReport>,
    /// Why.
    pub reason: String,
    /// `new`, or `ledger` for an edit of an earlier request.
    pub source: &'static str,
    /// More of a compaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Value>,
    /// How far a summary moves the model from its own later answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
}

/// How much less likely the model's own answers behind a summary have become.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DriftReport {
    /// Mean difference of the negative log likelihood, in nats per token.
    pub nll_delta: f64,
    /// Tokens that were compared.
    pub tokens: usize,
}

/// What is known of a part of the prompt, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImportanceReport {
    /// How much it matters, by all that follows.
    pub value: f64,
    /// How recent it is; not of an example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recency: Option<f64>,
    /// Share of the live turn's words that it contains.
    pub relevance: f64,
    /// How much later text refers to it.
    pub referenced: f64,
    /// Distinct information per token.
    pub density: f64,
    /// Whether such texts were needed again after edits, as far as anything is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility: Option<UtilityReport>,
    /// What the client says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether the model can get it again.
    pub recallable: bool,
}

/// What the past says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct UtilityReport {
    /// Share of the edits after which such a text was needed again.
    pub value: f64,
    /// How much that can be relied on: the share of its weight that it has.
    pub confidence: f64,
}

/// What the cache holds of the prompt, in tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CacheReport {
    /// Cached of the prompt before this request's edits.
    pub matched_before_plan: usize,
    /// Cached of the prompt that is computed.
    pub matched: usize,
    /// To compute.
    pub prefilled: usize,
    /// Position of the first token that this request's edits change.
    pub earliest_edit: Option<usize>,
    /// Tokens computed only because of this request's edits.
    pub recomputed_due_to_edits: usize,
    /// Where the stable prefix ends.
    pub stable_prefix_end: usize,
    /// Share of the stable prefix that is cached; 1 if there is none.
    pub stable_prefix_hit: f64,
    /// Why no more is cached.
    pub miss_reason: Option<&'static str>,
    /// The first token that is not cached.
    pub first_divergent_token: Option<usize>,
}

/// Time, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CostReport {
    /// Spent on planning, without models.
    pub planning_ms: f64,
    /// Spent on rendering and tokenising.
    pub rendering_ms: f64,
    /// Spent on waiting for summaries.
    pub compaction_ms: f64,
    /// To compute the prompt, by what steps have taken so far.
    pub predicted_prefill_ms: f64,
    /// That it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_prefill_ms: Option<f64>,
    /// Saved by what was cached.
    pub saved_prefill_ms: f64,
}

/// Messages that fit together with the leading system messages and the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChunkReport {
    /// The first and the last of them, from 0.
    pub messages: [usize; 2],
    /// Tokens of the prompt that they make.
    pub tokens: usize,
}

/// What the server has put into the prompt, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacementReport {
    /// `retrieval` for documents, `memory` for files of a memory.
    pub zone: &'static str,
    /// Ids or paths in their order.
    pub order: Vec<String>,
    /// The rule that gave the order.
    pub rule: &'static str,
    /// Their relevance, 0 to 1, in the same order.
    pub scores: Vec<f64>,
    /// Those of which only the best sentences stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shortened: Vec<String>,
}

/// A document or a memory that was left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DroppedReport {
    /// `retrieval` or `memory`.
    pub zone: &'static str,
    /// Its id or path.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// A tool that the model was not told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeferredTool {
    /// Its name.
    pub tool: String,
    /// Tokens that its definition would add to the prompt.
    pub tokens: usize,
}

/// A call of a tool that the server itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerToolReport {
    /// Its name.
    pub tool: &'static str,
    /// The text that was asked for, where the call names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Tokens of the result that the model read.
    pub tokens: usize,
    /// `whole`, `page`, `no_room`, `status`, `error`, or `not_run`.
    pub result: &'static str,
}

/// What the client should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Where, in tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_token: Option<usize>,
    /// What kind of text it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_kind: Option<&'static str>,
}

impl Warning {
    /// One that is about no place in the prompt.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            at_token: None,
            text_kind: None,
        }
    }
}

/// Calls repeated after their results were cleared.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RegretReport {
    /// First seen in this request.
    pub recalled_after_clear: usize,
    /// In the whole conversation.
    pub session_total: usize,
}

impl ContextReport {
    /// The report as it goes out: everything, or without single edits and documents.
    pub fn to_json(&self, full: bool) -> Value {
        let mut report = json!(self);
        if let (false, Some(fields)) = (full, report.as_object_mut()) {
            let edits = self.edits.len();
            fields.insert("edits".to_owned(), json!(edits));
            fields.shift_remove("dropped");
            fields.shift_remove("placement");
        }
        report
    }
}

//! What `POST /v1/context/probe` answers.

use serde::Serialize;
use serde_json::Value;

use super::usage::Usage;

/// `context.probe`: what the model knows with the whole context, and after the edits.
#[derive(Clone, Debug, Serialize)]
pub struct ContextProbe {
    /// `context.probe`
    pub object: &'static str,
    /// The model's name.
    pub model: String,
    /// Each question, in order.
    pub probes: Vec<ProbeReport>,
    /// All answers under the context as it was sent; null where that does not fit the window.
    pub raw: Option<ProbeSummary>,
    /// All answers under the edited context.
    pub edited: ProbeSummary,
    /// What all of it cost.
    pub usage: Usage,
    /// What was done to the context.
    pub context_budget: Value,
}

/// One question.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeReport {
    /// The question.
    pub q: String,
    /// What a right answer contains; empty if it is to say that the context does not have it.
    pub expected: String,
    /// The client's word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The answer under the context as it was sent.
    pub raw: Option<ProbeAnswer>,
    /// The answer under the edited context.
    pub edited: ProbeAnswer,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeAnswer {
    /// What the model says, always the likeliest token.
    pub answer: String,
    /// Whether it contains what was expected.
    #[serde(rename = "match")]
    pub is_match: bool,
    /// Mean log probability of the expected answer's tokens, each after those before it; null
    /// without such tokens.
    pub logprob: Option<f64>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, tokens that were cached.
    pub cached_tokens: usize,
}

/// All answers under one context.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProbeSummary {
    /// Answers that match.
    pub matched: usize,
    /// Questions.
    pub of: usize,
}

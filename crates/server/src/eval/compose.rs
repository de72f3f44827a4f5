//! What is sent of a history under a policy.

use serde_json::{Map, Value, json};

use super::asker::Prompt;
use super::cut;
use super::message::{Message, Role, to_json};
use super::policy::{AppliedBy, Policy};
use super::rendered::Moment;
use super::trace::Trace;

/// Tokens that answers to questions may have; every budget leaves room for them.
pub(super) const ANSWER_TOKENS: usize = 48;

/// What a request's history may have, and how the server is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// Of prompt and answer together.
    pub(super) budget: usize,
    /// More fields of `context_budget`, over the ones that are always there.
    pub(super) settings: &'a Map<String, Value>,
    pub(super) report: ReportLevel,
}

/// A prompt as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Composed {
    pub(super) prompt: Prompt,
    pub(super) context_budget: Option<Value>,
}

/// How much the server says of what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportLevel {
    Summary,
    Full,
}

/// Applies a policy of this program, or leaves it to the server.
///
/// `kept` are the messages that LangChain keeps.
pub(super) fn compose(
    policy: Policy,
    moment: &Moment<'_>,
    limits: Limits<'_>,
    kept: Option<&[usize]>,
) -> Composed {
    let limit = limits.budget.saturating_sub(ANSWER_TOKENS);
    let chosen = |kept: &[usize]| {
        let messages = kept
            .iter()
            .filter_map(|&at| moment.messages.get(at).copied());
        Prompt::Chat(to_json(messages))
    };
    let all = || Prompt::Chat(to_json(moment.messages.iter().copied()));
    let last = moment.counts.last().copied().unwrap_or(0);
    let (prompt, context_budget) = match (policy, policy.applied_by()) {
        (_, AppliedBy::Server(ablation)) => (all(), Some(context_budget(moment, limits, ablation))),
        (Policy::HeadCut, _) => {
            let cut = cut::head(&moment.ids, last, moment.generation, limit);
            (Prompt::Tokens(cut), None)
        }
        (Policy::TailCut, _) => (Prompt::Tokens(cut::tail(&moment.ids, limit)), None),
        (Policy::LastN, _) => {
            let kept = cut::last_messages(&moment.counts, moment.generation, limit);
            (chosen(&kept), None)
        }
        (Policy::LangchainTrim, _) => (chosen(kept.unwrap_or_default()), None),
        (_, AppliedBy::Client) => (all(), None),
    };
    Composed {
        prompt,
        context_budget,
    }
}

/// The statements alone, then the question.
pub(super) fn oracle(statements: &[&str], trace: &Trace, question: &Message) -> Prompt {
    let mut messages: Vec<Message> = trace.messages.first().cloned().into_iter().collect();
    if !statements.is_empty() {
        messages.push(Message::new(Role::User, statements.join(" ")));
        messages.push(Message::new(Role::Assistant, "Got it."));
    }
    messages.push(question.clone());
    Prompt::Chat(to_json(&messages))
}

/// The field; the output reserve is that of the client's own cuts.
fn context_budget(moment: &Moment<'_>, limits: Limits<'_>, ablation: Option<&str>) -> Value {
    let report = match limits.report {
        ReportLevel::Summary => "summary",
        ReportLevel::Full => "full",
    };
    let mut field = json!({
        "version": 1,
        "mode": "enforce",
        "max_context_tokens": limits.budget,
        "report": report,
        "zones": {"output_buffer": {
            "min": ANSWER_TOKENS,
            "target": ANSWER_TOKENS,
            "max": ANSWER_TOKENS,
        }},
    });
    for (name, value) in limits.settings {
        field[name] = value.clone();
    }
    let documents: Vec<Value> = moment
        .messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message.retrieved)
        .map(|(index, _)| json!({"message_index": index, "zone": "retrieval"}))
        .collect();
    if !documents.is_empty() {
        field["annotations"] = Value::Array(documents);
    }
    if let Some(part) = ablation {
        field["ablation"] = json!([part]);
    }
    field
}

#[cfg(test)]
mod tests;

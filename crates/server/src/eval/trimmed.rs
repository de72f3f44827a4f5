//! What LangChain's `trim_messages` keeps of episodes, made by `scripts/reference/trim_messages.py`
//! from a file that this program writes.
//!
//! The script runs LangChain itself; the counts that it goes by are the server's, message by
//! message. Which episode is meant is said by a fingerprint of its messages, so what was made for
//! other episodes is never taken for these.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::EvalError;
use super::message::{Message, Role};
use super::rendered::Rendered;
use super::trace::Trace;

/// The shape of both files.
const FORMAT: u32 = 1;

/// The script's output.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Trimmed {
    format: u32,
    /// Version of the package.
    pub(super) langchain_core: String,
    /// By fingerprint, then by limit in tokens.
    traces: BTreeMap<String, BTreeMap<usize, Kept>>,
}

/// The messages that stay of each prompt, by their numbers; a question's number is that of the
/// message that would follow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Kept {
    /// Of each turn.
    #[serde(deserialize_with = "ranges")]
    pub(super) turns: Vec<Vec<usize>>,
    /// Of each fact's question.
    #[serde(deserialize_with = "ranges")]
    pub(super) questions: Vec<Vec<usize>>,
}

/// An episode as the script reads it.
#[derive(Debug, Serialize)]
struct Exported {
    fingerprint: String,
    kind: &'static str,
    seed: u64,
    messages: Vec<Value>,
    /// Tokens of each message in the rendered prompt; the tools are in the first one's.
    message_tokens: Vec<usize>,
    /// Tokens that begin an answer.
    generation_tokens: usize,
    /// Numbers of the messages before which the model was asked.
    turns: Vec<usize>,
    questions: Vec<Value>,
    question_tokens: Vec<usize>,
    /// Most tokens of a prompt.
    limits: Vec<usize>,
}

impl Trimmed {
    /// # Errors
    /// `Trimmed`, when the file cannot be read or is not the script's.
    pub(super) fn load(path: &Path) -> Result<Self, EvalError> {
        let wrong = |reason: String| EvalError::Trimmed {
            path: path.display().to_string(),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let trimmed: Self =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if trimmed.format != FORMAT {
            return Err(wrong(format!(
                "its format is {}, not {FORMAT}",
                trimmed.format
            )));
        }
        Ok(trimmed)
    }

    /// What stays of that episode, if the script was given it with that limit.
    ///
    /// # Errors
    /// Why there is nothing, in words.
    pub(super) fn kept(&self, trace: &Trace, limit: usize) -> Result<&Kept, String> {
        let kept = self
            .traces
            .get(&trace.fingerprint())
            .ok_or("it was made for other episodes")?
            .get(&limit)
            .ok_or("it was made for other budgets")?;
        let counts = (kept.turns.len(), kept.questions.len());
        if counts != (trace.turns().len(), trace.facts.len()) {
            return Err("it has another number of prompts".to_owned());
        }
        Ok(kept)
    }
}

/// The file for the script.
pub(super) fn export(traces: &[(Trace, Rendered)], limits: &[Vec<usize>]) -> Value {
    let traces: Vec<Exported> = traces
        .iter()
        .zip(limits)
        .map(|((trace, rendered), limits)| Exported {
            fingerprint: trace.fingerprint(),
            kind: trace.kind.name(),
            seed: trace.seed,
            messages: trace.messages.iter().map(Message::to_json).collect(),
            message_tokens: rendered.counts(),
            generation_tokens: rendered.generation.len(),
            turns: trace.turns(),
            questions: trace
                .facts
                .iter()
                .map(|planted| Message::new(Role::User, &planted.fact.question).to_json())
                .collect(),
            question_tokens: rendered.questions.iter().map(Vec::len).collect(),
            limits: limits.clone(),
        })
        .collect();
    json!({"format": FORMAT, "traces": traces})
}

/// Lists like `"0,3-5"`, apart by spaces: the first and the last of runs of numbers; `-` for none.
fn ranges<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<Vec<usize>>, D::Error> {
    let lists = String::deserialize(input)?;
    let wrong = |list: &str| serde::de::Error::custom(format!("{list:?} is no list of numbers"));
    lists
        .split_whitespace()
        .map(|list| numbers(list).ok_or_else(|| wrong(list)))
        .collect()
}

fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    if list == "-" {
        return Some(numbers);
    }
    for run in list.split(',') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        // Longer episodes than any that is measured are a broken file.
        if last < first || last > 1_000_000 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests;

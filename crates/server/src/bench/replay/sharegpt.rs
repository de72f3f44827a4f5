//! Conversations as ShareGPT has them: `[{"conversations": [{"from": "human", "value": ".."}]}]`.
//!
//! Each recorded answer becomes a request: its prompt is what was said before it, with the recorded
//! answers, so that every server gets the same prompts. A turn follows the answer to the one before.

use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};

use super::args::ReplayArgs;
use super::format::Format;
use super::record_line::RecordLine;
use super::trace::{Prompt, Recorded, Trace};
use crate::bench::arrivals::Arrivals;
use crate::measure::random::Random;

/// Bytes that make a token of English in most vocabularies, about.
const BYTES_PER_TOKEN: usize = 4;

/// # Errors
/// The first conversation or message that is wrong.
pub(super) fn read(text: &str, args: &ReplayArgs, seed: u64) -> anyhow::Result<Trace> {
    let conversations: Vec<Value> =
        serde_json::from_str(text).context("it is no JSON array of conversations")?;
    let mut random = Random::new(!seed);
    let mut arrivals = Arrivals::new(args.request_rate(), 1.0);
    let mut requests = Vec::new();
    let (mut unasked, mut unanswered) = (0, 0);
    for (number, conversation) in conversations.into_iter().enumerate() {
        let messages = Arc::new(messages(number, conversation)?);
        let at = arrivals.next(&mut random);
        let mut follows = None;
        let mut is_asked = false;
        for (len, message) in messages.iter().enumerate() {
            if message["role"] != "assistant" {
                is_asked |= message["role"] == "user";
                continue;
            }
            if !is_asked {
                unasked += 1;
                continue;
            }
            let recorded = message["content"].as_str().unwrap_or_default();
            let output_len = match args.output_len {
                Some(lengths) => lengths.draw(&mut random),
                None => tokens_of(recorded),
            };
            requests.push(Recorded {
                place: format!("[{number}].conversations[{len}]"),
                at,
                follows,
                prompt: Prompt::Messages {
                    messages: Arc::clone(&messages),
                    len,
                },
                output_len: Some(output_len),
            });
            follows = Some(requests.len() - 1);
        }
        unanswered += usize::from(messages.last().is_some_and(|last| last["role"] == "user"));
    }
    Ok(Trace {
        format: Format::Sharegpt,
        requests,
        notes: notes(args, unasked, unanswered),
    })
}

/// The messages of a conversation in OpenAI's shape.
fn messages(number: usize, conversation: Value) -> anyhow::Result<Vec<Value>> {
    let mut conversation = RecordLine::new(format!("[{number}]"), conversation)?;
    let turns = conversation.list("conversations")?;
    let message = |(turn, value): (usize, Value)| {
        let place = format!("[{number}].conversations[{turn}]");
        let mut message = RecordLine::new(place, value)?;
        let from = message.text("from")?;
        let role = match from.as_str() {
            "human" | "user" => "user",
            "gpt" | "chatgpt" | "assistant" | "bing" | "bard" => "assistant",
            "system" => "system",
            _ => {
                let known = "human, user, gpt, chatgpt, assistant, bing, bard and system";
                let reason = format!("{from:?} is none of {known}");
                return Err(message.wrong("from", &reason));
            }
        };
        Ok(json!({"role": role, "content": message.text("value")?}))
    };
    turns.into_iter().enumerate().map(message).collect()
}

fn tokens_of(text: &str) -> u32 {
    let tokens = text.len().div_ceil(BYTES_PER_TOKEN).max(1);
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

fn notes(args: &ReplayArgs, unasked: usize, unanswered: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if args.output_len.is_none() {
        notes.push(format!(
            "answers are as long as recorded, {BYTES_PER_TOKEN} bytes taken for a token"
        ));
    }
    if unasked > 0 {
        notes.push(format!(
            "{unasked} answers stand before any question: they are history only"
        ));
    }
    if unanswered > 0 {
        notes.push(format!(
            "{unanswered} questions have no recorded answer and are not asked"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;

//! A trace, whatever it was written in.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::args::ReplayArgs;
use super::format::Format;
use super::{mooncake, requests, sharegpt};
use crate::bench::endpoint::Endpoint;

/// The requests of a trace.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) format: Format,
    /// In the order of the file; at least one.
    pub(super) requests: Vec<Recorded>,
    /// What is not replayed, and what is guessed.
    pub(super) notes: Vec<String>,
}

/// A request that somebody sent.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    /// Where it stands in the file.
    pub(super) place: String,
    /// After the beginning of the replay, not before which it is sent.
    pub(super) at: Duration,
    /// The earlier request whose answer must have ended before it is sent.
    pub(super) follows: Option<usize>,
    pub(super) prompt: Prompt,
    /// Tokens to generate; `None` where the request says it itself.
    pub(super) output_len: Option<u32>,
}

/// What was asked.
#[derive(Debug, Clone)]
pub(super) enum Prompt {
    /// `tokens` tokens in blocks; the same id stands for the same text.
    Blocks { ids: Vec<u64>, tokens: u32 },
    /// The first `len` of a conversation's messages.
    Messages {
        messages: Arc<Vec<Value>>,
        len: usize,
    },
    /// The whole request.
    Body { endpoint: Endpoint, body: Value },
}

impl Trace {
    /// Reads the file that `args` names; times that it lacks are drawn from `seed`.
    ///
    /// # Errors
    /// When the file cannot be read, is like no format, or something in it is wrong, with its place;
    /// and when `args` has options that mean nothing for it.
    pub(super) fn read(args: &ReplayArgs, seed: u64) -> anyhow::Result<Self> {
        let file = args.trace.display();
        let text =
            fs::read_to_string(&args.trace).with_context(|| format!("cannot read {file}"))?;
        let Some(format) = args.format.or_else(|| Format::detect(&text)) else {
            bail!(
                "{file} looks like none of the formats mooncake, sharegpt and purser; --format says \
                 which it is"
            );
        };
        args.check(format)?;
        let read = match format {
            Format::Mooncake => mooncake::read(&text, args.hash_block_size()),
            Format::Sharegpt => sharegpt::read(&text, args, seed),
            Format::Purser => requests::read(&text),
        };
        let mut trace = read.with_context(|| file.to_string())?;
        ensure!(!trace.requests.is_empty(), "{file} has no requests");
        let begin = trace.requests.iter().map(|request| request.at).min();
        let begin = begin.unwrap_or_default();
        for request in &mut trace.requests {
            request.at = (request.at - begin).div_f64(args.speed());
        }
        let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
        if trace.requests.len() > limit {
            let all = trace.requests.len();
            trace.requests.truncate(limit);
            let kept = "of the trace's requests are replayed (--limit)";
            trace.notes.push(format!("{limit} of {all} {kept}"));
        }
        Ok(trace)
    }

    /// Whether there are prompts that only chat can be asked.
    pub(super) fn needs_chat(&self) -> bool {
        self.requests.iter().any(|request| match &request.prompt {
            Prompt::Blocks { .. } => false,
            Prompt::Messages { .. } => true,
            Prompt::Body { endpoint, .. } => *endpoint == Endpoint::Chat,
        })
    }
}

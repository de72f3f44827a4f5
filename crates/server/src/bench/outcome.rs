//! What became of one request.

use std::time::Duration;

use serde::Serialize;

use super::BenchError;
use crate::measure::ServerError;
use crate::measure::client::StreamAnswer;

/// One request of a run, which asked for `A`; times in milliseconds, counts in tokens.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome<A> {
    #[serde(flatten)]
    pub(super) asked: A,
    /// When it should have been sent, after the beginning.
    pub(super) at_ms: f64,
    /// From then to the time at which it was.
    pub(super) late_ms: f64,
    #[serde(flatten)]
    pub(super) end: End,
}

/// How a request ended.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum End {
    Answered(Answered),
    Failed(Failed),
    /// It had no end when the user interrupted the run.
    InFlight {
        /// How long it had been due by then.
        in_flight_ms: f64,
    },
}

/// An answer. Times begin when the request should have been sent, so that waiting for this tool or
/// for a free place counts: otherwise a slow server would be asked less and look faster ("coordinated
/// omission", Tene).
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Answered {
    /// The `id` of the answer: Purser has more to say of it at `/v1/requests/{id}`.
    pub(super) response_id: Option<String>,
    pub(super) prompt_tokens: Option<u64>,
    pub(super) cached_tokens: Option<u64>,
    /// By the server's count, or one for each chunk.
    pub(super) completion_tokens: u64,
    pub(super) ttft_ms: f64,
    /// Until the last token.
    pub(super) e2el_ms: f64,
    /// Mean time per token after the first; `None` where there is none.
    pub(super) tpot_ms: Option<f64>,
    /// Times between chunks with tokens.
    pub(super) itl_ms: Vec<f64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Failed {
    /// The HTTP status, where there was one.
    pub(super) status: Option<u16>,
    pub(super) error: String,
}

impl End {
    /// The end of a request that should have been sent when it was `late` already.
    pub(super) fn of(answer: &Result<StreamAnswer, BenchError>, late: Duration) -> Self {
        match answer {
            Ok(answer) => Self::Answered(Answered::new(answer, late)),
            Err(error) => Self::Failed(Failed::new(error)),
        }
    }
}

impl Answered {
    /// An answer to a request that was sent `late`.
    fn new(answer: &StreamAnswer, late: Duration) -> Self {
        let chunks = &answer.token_times;
        let counted = answer.usage.completion_tokens;
        let completion_tokens = counted.unwrap_or(chunks.len() as u64);
        let last = chunks.last().copied().unwrap_or(answer.ttft);
        let after_first = ms(last - answer.ttft);
        Self {
            response_id: answer.id.clone(),
            prompt_tokens: answer.usage.prompt_tokens,
            cached_tokens: answer.usage.cached_tokens,
            completion_tokens,
            ttft_ms: ms(late + answer.ttft),
            e2el_ms: ms(late + last),
            tpot_ms: (completion_tokens > 1).then(|| after_first / (completion_tokens - 1) as f64),
            itl_ms: chunks
                .windows(2)
                .map(|pair| ms(pair[1] - pair[0]))
                .collect(),
        }
    }
}

impl Failed {
    fn new(error: &BenchError) -> Self {
        let status = match error {
            BenchError::Server(
                ServerError::Refused(refusal) | ServerError::Unauthorized(refusal),
            ) => Some(refusal.status),
            _ => None,
        };
        Self {
            status,
            error: error.to_string(),
        }
    }

    /// What failures are counted by.
    pub(super) fn kind(&self) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => "no answer".to_owned(),
        }
    }
}

impl<A> Outcome<A> {
    pub(super) fn answered(&self) -> Option<&Answered> {
        match &self.end {
            End::Answered(answered) => Some(answered),
            End::Failed(_) | End::InFlight { .. } => None,
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.end, End::InFlight { .. })
    }
}

/// What the first request failed with, where none was answered.
pub(super) fn no_answer<A>(outcomes: &[Outcome<A>]) -> Option<&str> {
    if outcomes.iter().any(|outcome| outcome.answered().is_some()) {
        return None;
    }
    match &outcomes.first()?.end {
        End::Failed(failed) => Some(&failed.error),
        End::Answered(_) | End::InFlight { .. } => None,
    }
}

/// To a thousandth.
pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

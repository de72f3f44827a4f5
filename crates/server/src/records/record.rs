//! One request to the engine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{MissCause, MissReason, RequestId};
use memory::Tenant;

use crate::clock;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the answer, as in its `id`.
    pub id: String,
    /// Route that was asked.
    pub endpoint: &'static str,
    /// Who asked: nobody else sees the record.
    pub tenant: Tenant,
    /// Prefixes are shared within a salt.
    pub salt: Vec<u8>,
    /// When, in seconds since 1970.
    pub created: f64,
    /// Whether the answer is streamed.
    pub stream: bool,
}

/// A request and what has become of it.
#[derive(Debug)]
pub struct Record {
    /// Where it comes from.
    pub origin: Origin,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Position in the order of submissions.
    pub ordinal: u64,
    /// When it was submitted.
    pub started: Instant,
    progress: Mutex<Progress>,
}

/// What has become of a request so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// The engine's name for it.
    pub engine_id: Option<RequestId>,
    /// Prompt, then output; `None` once the store needs the memory.
    pub tokens: Option<Arc<[u32]>>,
    /// Prompt tokens taken from the prefix cache; `None` before admission.
    pub cached_tokens: Option<usize>,
    /// Of these, tokens whose KV was read back from disk.
    pub restored_tokens: usize,
    /// Why the cached prefix ended.
    pub miss: Option<MissReason>,
    /// How long before the admission the missing block was evicted.
    pub evicted_ago: Option<Duration>,
    /// Tokens of the prompt that are retained.
    pub retained_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
    /// From submission to admission.
    pub queue: Option<Duration>,
    /// What was expected to lie between submission and first token, said at admission.
    pub predicted_ttft: Option<Duration>,
    /// From submission to the first token.
    pub ttft: Option<Duration>,
    /// From submission to the end.
    pub e2e: Option<Duration>,
    /// How it ended, as the engine measured it.
    pub ending: Option<Ending>,
    /// Why the server could not answer.
    pub failure: Option<String>,
}

/// What the engine says at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// From admission to the first token.
    pub prefill: Duration,
    /// From the first token to the last.
    pub decode: Duration,
    /// Times that it was preempted.
    pub preemptions: u32,
    /// Tokens computed again for that.
    pub recomputed_tokens: usize,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not admitted yet.
    #[default]
    Waiting,
    /// Admitted.
    Running,
    /// Answered; OpenAI's `finish_reason`.
    Finished(&'static str),
    /// The server could not answer.
    Failed,
    /// The client has gone.
    Cancelled,
}

impl State {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished(_) => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Record {
    /// A request that is submitted now, with the tokens of its prompt if they are kept.
    pub fn new(
        origin: Origin,
        ordinal: u64,
        prompt_tokens: usize,
        tokens: Option<Arc<[u32]>>,
    ) -> Self {
        let progress = Progress {
            tokens,
            ..Progress::default()
        };
        Self {
            origin,
            prompt_tokens,
            ordinal,
            started: clock::now(),
            progress: Mutex::new(progress),
        }
    }

    /// What has become of it so far.
    pub fn progress(&self) -> Progress {
        self.lock().clone()
    }

    /// Its tokens, if they are still there.
    pub fn tokens(&self) -> Option<Arc<[u32]>> {
        self.lock().tokens.clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A miss's cause as metrics and spans spell it.
pub fn cause_name(cause: MissCause) -> &'static str {
    match cause {
        MissCause::NeverSeen => "never_seen",
        MissCause::Evicted(_) => "evicted",
        MissCause::OtherSalt => "other_salt",
        MissCause::NotCacheable => "not_cacheable",
    }
}

//! The engine as its callers see it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use models::LoraAdapter;
use scheduler::RequestId;

use crate::adapters::LoadAnswer;
use crate::{
    AdapterHandle, EngineStats, GenerateRequest, LoadAdapterError, MAX_PROBE_PROMPTS,
    MAX_WAITING_PROBES, ProbeError, ProbeRequest,
};

/// What the engine can hold; fixed at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Longest sequence, prompt and output together, in tokens.
    pub max_model_len: usize,
    /// Sequences that run at once.
    pub max_num_seqs: usize,
    /// Tokens computed in one step.
    pub max_num_batched_tokens: usize,
    /// Blocks that requests can use.
    pub num_blocks: usize,
    /// Tokens per block.
    pub block_size: usize,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// It can never fit: OpenAI's `context_length_exceeded`.
    #[error(
        "this model's maximum context length is {max_model_len} tokens, but {prompt_tokens} prompt \
         tokens and {max_tokens} output tokens were requested"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Output tokens asked for, or to be kept room for if that is more.
        max_tokens: usize,
        /// Longest sequence the server can hold.
        max_model_len: usize,
    },
    /// Too much is waiting already.
    #[error("the queue is full; retry after {} s", retry_after.as_secs_f64().ceil())]
    QueueFull {
        /// When the queue should have room, from the measured prefill rate.
        retry_after: Duration,
    },
    /// The server is stopping.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// A way to the engine; clones lead to the same one.
#[derive(Clone)]
pub struct EngineHandle {
    inbox: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What callers and the engine's thread both see.
pub(crate) struct Shared {
    pub(crate) limits: EngineLimits,
    /// Cleared by `shutdown`: nothing more is taken.
    pub(crate) accepting: AtomicBool,
    /// Set by `abort`: what still runs is given up.
    pub(crate) aborted: AtomicBool,
    /// Probes that have been taken and not answered.
    pub(crate) waiting_probes: AtomicUsize,
    next_id: AtomicU64,
    stats: Mutex<EngineStats>,
}

/// Called once, on the engine's thread: whether the cache was reset. It must not block.
pub(crate) type ResetAnswer = Box<dyn FnOnce(bool) + Send>;

/// What arrives in the engine's inbox.
pub(crate) enum Message {
    Submit(RequestId, Box<GenerateRequest>),
    Probe(ProbeRequest),
    ResetCache(ResetAnswer),
    /// The inbox is for the adapter's handle, to wake the engine when it has gone.
    LoadAdapter(Box<LoraAdapter>, SyncSender<Self>, LoadAnswer),
    /// A flag of [`Shared`] has changed.
    Wake,
}

impl EngineHandle {
    pub(crate) fn new(inbox: SyncSender<Message>, limits: EngineLimits) -> Self {
        let shared = Shared {
            limits,
            accepting: AtomicBool::new(true),
            aborted: AtomicBool::new(false),
            waiting_probes: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
            stats: Mutex::new(EngineStats::new()),
        };
        Self {
            inbox,
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Hands a request to the engine; its answer arrives in its sink. Does not block.
    ///
    /// # Errors
    /// `TooLong` when it could not run even alone, `QueueFull` when the engine's inbox is full,
    /// `ShuttingDown`. The scheduler's own bounds are checked when the engine next looks: that
    /// refusal arrives in the sink, as [`Event::Failed`](crate::Event::Failed).
    ///
    /// # Panics
    /// If the prompt is empty, `max_tokens` is 0, a background request asks for guaranteed output,
    /// or `scored` does not ascend within the prompt.
    pub fn submit(&self, request: GenerateRequest) -> Result<RequestId, SubmitError> {
        assert!(
            !request.prompt.is_empty(),
            "a prompt has at least one token"
        );
        assert!(
            request.stop.max_tokens > 0,
            "a request asks for at least one token"
        );
        assert!(
            !request.background || request.min_output_tokens == 0,
            "a background request has no guaranteed output"
        );
        let scored = &request.scored;
        assert!(
            scored.is_sorted_by(|a, b| a < b)
                && scored.first().is_none_or(|&first| first > 0)
                && scored
                    .last()
                    .is_none_or(|&last| last < request.prompt.len()),
            "scored positions ascend within the prompt, behind its first token"
        );
        if !self.shared.accepting.load(Ordering::Acquire) {
            return Err(SubmitError::ShuttingDown);
        }
        let prompt_tokens = request.prompt.len();
        let max_tokens = request.stop.max_tokens.max(request.min_output_tokens);
        let max_model_len = self.shared.limits.max_model_len;
        if prompt_tokens.saturating_add(max_tokens) > max_model_len {
            return Err(SubmitError::TooLong {
                prompt_tokens,
                max_tokens,
                max_model_len,
            });
        }
        let id = RequestId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        match self.inbox.try_send(Message::Submit(id, Box::new(request))) {
            Ok(()) => Ok(id),
            Err(TrySendError::Full(_)) => Err(SubmitError::QueueFull {
                retry_after: self.shared.retry_after(),
            }),
            Err(TrySendError::Disconnected(_)) => Err(SubmitError::ShuttingDown),
        }
    }

    /// Asks what the prefix cache holds of prompts, and what computing the rest would cost; the
    /// answer arrives in the request's sink, between two steps. Does not block and changes nothing.
    ///
    /// # Errors
    /// [`ProbeError`]: more than [`MAX_PROBE_PROMPTS`] prompts, more than [`MAX_WAITING_PROBES`]
    /// probes without an answer or a full inbox, or an engine that takes nothing more.
    pub fn probe(&self, request: ProbeRequest) -> Result<(), ProbeError> {
        let prompts = request.prompts.len();
        if prompts > MAX_PROBE_PROMPTS {
            return Err(ProbeError::TooManyPrompts {
                prompts,
                max: MAX_PROBE_PROMPTS,
            });
        }
        if !self.shared.accepting.load(Ordering::Acquire) {
            return Err(ProbeError::ShuttingDown);
        }
        let waiting = &self.shared.waiting_probes;
        let taken = if waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING_PROBES {
            Err(ProbeError::QueueFull)
        } else {
            self.inbox
                .try_send(Message::Probe(request))
                .map_err(|error| match error {
                    TrySendError::Full(_) => ProbeError::QueueFull,
                    TrySendError::Disconnected(_) => ProbeError::ShuttingDown,
                })
        };
        if taken.is_err() {
            waiting.fetch_sub(1, Ordering::AcqRel);
        }
        taken
    }

    /// Forgets all cached prefixes, between two steps. `answer` is called with `false`, and nothing is
    /// forgotten, while any request holds blocks; it is dropped without a call when the engine ends
    /// first.
    ///
    /// # Errors
    /// As [`submit`](Self::submit): a full inbox, or an engine that takes nothing more.
    pub fn reset_cache(
        &self,
        answer: impl FnOnce(bool) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.send(Message::ResetCache(Box::new(answer)))
    }

    /// Loads an adapter of the served model, between two steps; `answer` is called on the engine's
    /// thread with what keeps it loaded, and must not block. It is dropped without a call when the
    /// engine ends first.
    ///
    /// # Errors
    /// As [`submit`](Self::submit): a full inbox, or an engine that takes nothing more.
    pub fn load_adapter(
        &self,
        adapter: LoraAdapter,
        answer: impl FnOnce(Result<AdapterHandle, LoadAdapterError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        self.send(Message::LoadAdapter(
            Box::new(adapter),
            self.inbox.clone(),
            Box::new(answer),
        ))
    }

    /// Counts and gauges as of the last step.
    pub fn stats(&self) -> EngineStats {
        self.shared
            .stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the engine can hold.
    pub fn limits(&self) -> &EngineLimits {
        &self.shared.limits
    }

    /// Takes nothing more; the engine's thread ends when everything it has taken is finished.
    pub fn shutdown(&self) {
        self.shared.accepting.store(false, Ordering::Release);
        self.wake();
    }

    /// Takes nothing more and gives up what is running, within one step; every request still there
    /// is told [`RequestError::ShutDown`](crate::RequestError::ShutDown).
    pub fn abort(&self) {
        self.shared.aborted.store(true, Ordering::Release);
        self.shutdown();
    }

    fn send(&self, message: Message) -> Result<(), SubmitError> {
        if !self.shared.accepting.load(Ordering::Acquire) {
            return Err(SubmitError::ShuttingDown);
        }
        self.inbox.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::QueueFull {
                retry_after: self.shared.retry_after(),
            },
            TrySendError::Disconnected(_) => SubmitError::ShuttingDown,
        })
    }

    fn wake(&self) {
        // A full inbox wakes the engine as well, and a disconnected one has no engine to wake.
        let _ = self.inbox.try_send(Message::Wake);
    }
}

impl Shared {
    pub(crate) fn publish(&self, stats: &EngineStats) {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(stats);
    }

    /// How long the prompts that wait keep the engine busy.
    fn retry_after(&self) -> Duration {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = stats.prefill_tokens_per_second.unwrap_or(0.0);
        let seconds = stats.waiting_uncached_tokens as f64 / rate.max(1.0);
        Duration::from_secs_f64(seconds.clamp(1.0, 3_600.0))
    }
}

//! Summaries of old turns, written by the served model on the warm prefix.
//!
//! The prompt of a summary is the conversation up to the end of the span and one more user message
//! that asks for it. So it is a token-exact extension of what the prefix cache holds: instruction
//! and summary are all that is computed. A summary must keep the span's critical items (paths,
//! numbers, names); what it lacks is appended, then the next more detailed level is tried, then
//! sentences of the span are taken without a model. [`Compacted`] says which.
//!
//! - [`Compactor`]: summaries in the foreground, whose client waits, and in the background,
//!   computed with what others leave while the client runs its tool.
//! - [`CompactionTask`]: what is to be summarised, and how good that must be.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use context::{
    ChainKey, Gated, SectionedSummary, Speaker, Summary, SummaryLevel, SummaryOrder, SummaryOrigin,
    SummaryRequest,
};
use engine::{AdapterHandle, SubmitError};
use serde_json::json;

use crate::app::App;
use crate::clock;
use crate::prompt;
use crate::validate::chat::Conversation;
use crate::wire::error::ApiError;

mod counters;
mod draft;
mod model_call;
mod queue;

pub use counters::CompactionCounters;
pub use draft::SummaryLengths;
pub use model_call::ComputedTokens;
pub use queue::NotTaken;

use model_call::ModelCall;
use queue::{BackgroundQueue, QueueLimits};

/// Compactions of all conversations.
pub struct Compactor {
    counters: CompactionCounters,
    queue: BackgroundQueue,
}

/// A span to summarise.
pub struct CompactionTask {
    /// The conversation from its beginning to the end of the span, exactly as it was rendered for
    /// the request: with the tools and the edits that the cached prefix has.
    pub conversation: Conversation,
    /// What the summary stands for, in order.
    pub span: Vec<SpanText>,
    /// The text behind the span: what it names again matters more.
    pub later: Box<str>,
    /// The summary of earlier turns with which the span begins, if there is one: it is extended.
    pub anchor: Option<SectionedSummary>,
    /// What the client wants of summaries.
    pub request: SummaryRequest,
    /// The level to begin with.
    pub level: SummaryLevel,
    /// How long the summary may be.
    pub lengths: SummaryLengths,
    /// What it is written for; how much of the critical items it must keep.
    pub order: SummaryOrder,
    /// Longest time that the model may take; then sentences of the span are taken.
    pub max_wait: Option<Duration>,
    /// Salt under which the prefix is cached.
    pub cache_salt: Vec<u8>,
    /// The adapter with which it is.
    pub adapter: Option<AdapterHandle>,
    /// Class of the request to the engine, lower is served earlier.
    pub priority: i32,
}

/// A summary in the background, and who gets it.
pub struct Order {
    /// What is to be summarised.
    pub task: CompactionTask,
    /// Gets the summary.
    pub deliver: Box<dyn FnOnce(Compacted) + Send>,
}

/// A part of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanText {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said.
    pub text: Box<str>,
}

/// What became of a span's critical items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CriticalItems {
    /// Items of the span.
    pub found: usize,
    /// Items in the summary, those that were appended included.
    pub kept: usize,
    /// Items that were appended word for word.
    pub appended: usize,
}

/// A summary, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// The summary; its origin says whether the model wrote it.
    pub summary: Summary,
    /// Its level: the one asked for, or a more detailed one.
    pub level: SummaryLevel,
    /// What became of the critical items.
    pub critical: CriticalItems,
    /// What the model computed, all attempts together.
    pub tokens: ComputedTokens,
    /// What the model was asked in vain, in order.
    pub rejected: Vec<Rejected>,
    /// Time from the first attempt to the end.
    pub elapsed: Duration,
}

/// An attempt that gave no summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The level that was tried.
    pub level: SummaryLevel,
    /// Why it is not used.
    pub reason: CompactionFailure,
}

/// Why the model gave no summary.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompactionFailure {
    /// The conversation with the instruction cannot be rendered.
    #[error("the prompt of the summary: {}", .0.message())]
    Prompt(ApiError),
    /// The engine did not take it.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// Others needed its memory.
    #[error("abandoned for other requests")]
    Abandoned,
    /// The device failed.
    #[error("the model failed: {0}")]
    Model(String),
    /// The server is stopping.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The model said nothing that could stand for the span.
    #[error("the summary is empty")]
    Empty,
    /// The client cannot wait so long.
    #[error("the model took more than {} ms", max_wait.as_millis())]
    TooSlow {
        /// Time that it had.
        max_wait: Duration,
    },
    /// Too many critical items are missing.
    #[error("the summary keeps {recall:.3} of the critical items, less than {least:.3}")]
    BelowRecall {
        /// What it keeps, what was appended included.
        recall: f64,
        /// What was asked for.
        least: f64,
    },
    /// Not even one sentence of the span fits.
    #[error("no summary fits into {max_tokens} tokens")]
    NoRoom {
        /// Tokens that it may have.
        max_tokens: usize,
    },
}

/// Who waits for a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// A client: there must be a summary in the end, if need be one without a model.
    Foreground,
    /// Nobody: if the engine is busy, there is none, and a later request asks again.
    Background,
}

impl Compactor {
    /// No compactions so far; figures go to `counters`.
    pub fn new(counters: CompactionCounters) -> Self {
        Self {
            counters,
            queue: BackgroundQueue::new(QueueLimits::default()),
        }
    }

    /// Figures of all compactions.
    pub fn counters(&self) -> &CompactionCounters {
        &self.counters
    }

    /// A summary for a client that waits. Dropping the future cancels what the engine computes.
    ///
    /// # Errors
    /// When not even the sentences of the span give one ([`CompactionFailure::NoRoom`]), or the
    /// server cannot count tokens any more.
    pub async fn summarise(
        &self,
        app: &App,
        task: CompactionTask,
    ) -> Result<Compacted, CompactionFailure> {
        let run = Run::new(self.counters.clone(), app, task, Urgency::Foreground);
        run.summarise().await
    }

    /// A summary in the background. `prepare` finds out what is to be summarised, if anything, and
    /// who gets it; nobody does if others need the engine or the server stops. One runs at a time
    /// for each `key`; what is offered takes the place of what waits under the same key.
    ///
    /// # Errors
    /// When too many wait already, or the server is stopping.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn summarise_later(
        &self,
        app: &App,
        key: ChainKey,
        prepare: impl Future<Output = Option<Order>> + Send + 'static,
    ) -> Result<(), NotTaken> {
        let (app, counters) = (app.clone(), self.counters.clone());
        let work = async move {
            let Some(Order { task, deliver }) = prepare.await else {
                return;
            };
            let run = Run::new(counters, &app, task, Urgency::Background);
            match run.summarise().await {
                Ok(compacted) => deliver(compacted),
                Err(failure) => tracing::debug!(%failure, "no summary in the background"),
            }
        };
        let taken = self.queue.offer(key, Box::pin(work));
        if let Err(refusal) = &taken {
            self.counters.not_taken(*refusal);
        }
        taken
    }

    /// Gives up what waits and runs in the background under `key`.
    pub fn withdraw(&self, key: ChainKey) {
        self.queue.withdraw(key);
    }

    /// Gives up everything in the background, for good.
    pub fn stop(&self) {
        self.queue.stop();
    }

    /// Whether something waits or runs in the background under `key`.
    pub fn is_in_background(&self, key: ChainKey) -> bool {
        self.queue.has(key)
    }

    /// Compactions in the background that wait or run.
    pub fn num_in_background(&self) -> usize {
        self.queue.len()
    }
}

/// One compaction under way.
struct Run {
    app: App,
    counters: CompactionCounters,
    task: Arc<CompactionTask>,
    urgency: Urgency,
    tokens: ComputedTokens,
    rejected: Vec<Rejected>,
}

impl Run {
    fn new(
        counters: CompactionCounters,
        app: &App,
        task: CompactionTask,
        urgency: Urgency,
    ) -> Self {
        Self {
            app: app.clone(),
            counters,
            task: Arc::new(task),
            urgency,
            tokens: ComputedTokens::default(),
            rejected: Vec::new(),
        }
    }

    async fn summarise(mut self) -> Result<Compacted, CompactionFailure> {
        let started = clock::now();
        let chosen = self.choose(started).await;
        let elapsed = clock::now() - started;
        let (level, origin, gated) = match chosen {
            Ok(chosen) => chosen,
            Err(failure) => {
                self.counters.rejected(&failure);
                return Err(failure);
            }
        };
        let compacted = Compacted {
            summary: Summary {
                text: gated.text.into_boxed_str(),
                tokens: gated.tokens,
                origin,
                critical_recall: gated.recall,
                order: self.task.order,
            },
            level,
            critical: CriticalItems {
                found: gated.found,
                kept: gated.kept,
                appended: gated.appended.len(),
            },
            tokens: self.tokens,
            rejected: self.rejected,
            elapsed,
        };
        self.counters.finished(&compacted);
        Ok(compacted)
    }

    /// The first summary that passes, from the asked level to the most detailed one, else one
    /// without a model.
    async fn choose(
        &mut self,
        started: Instant,
    ) -> Result<(SummaryLevel, SummaryOrigin, Gated), CompactionFailure> {
        for level in self.task.lengths.levels(self.task.level) {
            let reason = match self.attempt_in_time(level, started).await {
                Ok(gated) if gated.passed => return Ok((level, SummaryOrigin::Model, gated)),
                Ok(Gated { recall, .. }) => CompactionFailure::BelowRecall {
                    recall,
                    least: self.task.order.critical_recall,
                },
                Err(failure) => failure,
            };
            if self.urgency == Urgency::Background && reason.is_passing() {
                return Err(reason);
            }
            let is_last = !reason.is_of_the_text();
            self.counters.rejected(&reason);
            self.rejected.push(Rejected { level, reason });
            if is_last {
                break;
            }
        }
        let (level, gated) = self.extract().await?;
        Ok((level, SummaryOrigin::Extractive, gated))
    }

    /// [`Run::attempt`], given up when the client has waited long enough.
    async fn attempt_in_time(
        &mut self,
        level: SummaryLevel,
        started: Instant,
    ) -> Result<Gated, CompactionFailure> {
        let Some(max_wait) = self.task.max_wait else {
            return self.attempt(level).await;
        };
        let deadline = (started + max_wait).into();
        let attempt = tokio::time::timeout_at(deadline, self.attempt(level)).await;
        attempt.unwrap_or(Err(CompactionFailure::TooSlow { max_wait }))
    }

    /// What the model writes at that level, with the critical items that it left out.
    async fn attempt(&mut self, level: SummaryLevel) -> Result<Gated, CompactionFailure> {
        let max_tokens = self.task.lengths.max_tokens(level);
        let own_tokens = draft::model_tokens(max_tokens);
        let instruction = self.task.instruction(own_tokens);
        let conversation = instructed(&self.task.conversation, &instruction);
        let prompt = prompt::of_chat(&self.app, conversation)
            .await
            .map_err(CompactionFailure::Prompt)?;
        let call = ModelCall {
            prompt,
            max_tokens: own_tokens,
            stop_token_ids: self.app.model().eos_token_ids.clone(),
            cache_salt: self.task.cache_salt.clone(),
            adapter: self.task.adapter.clone(),
            priority: self.task.priority,
            background: self.urgency == Urgency::Background,
        };
        let answer = call.answer(self.app.engine()).await?;
        self.tokens += answer.computed;
        self.counters.computed(&answer.computed);
        let task = Arc::clone(&self.task);
        self.on_text(move |tokenizer| task.judge(&answer, max_tokens, tokenizer))
            .await
    }

    /// Sentences of the span: of the levels that may be, the first that passes, else the one that
    /// keeps most.
    async fn extract(&self) -> Result<(SummaryLevel, Gated), CompactionFailure> {
        let task = Arc::clone(&self.task);
        self.on_text(move |tokenizer| {
            let mut best: Option<(SummaryLevel, Gated)> = None;
            for level in task.lengths.levels(task.level) {
                let Some(gated) = task.extract(level, tokenizer) else {
                    continue;
                };
                let passed = gated.passed;
                if best
                    .as_ref()
                    .is_none_or(|(_, best)| gated.recall > best.recall)
                {
                    best = Some((level, gated));
                }
                if passed {
                    break;
                }
            }
            let max_tokens = task.lengths.max_tokens(SummaryLevel::Detailed);
            best.ok_or(CompactionFailure::NoRoom { max_tokens })
        })
        .await
    }

    /// Runs `work`, which may take milliseconds, beside the async threads.
    async fn on_text<T: Send + 'static>(
        &self,
        work: impl FnOnce(&text::Tokenizer) -> Result<T, CompactionFailure> + Send + 'static,
    ) -> Result<T, CompactionFailure> {
        let tokenizer = self.app.model().tokenizer.clone();
        let done = self.app.text_pool().run(move || Ok(work(&tokenizer)));
        done.await.map_err(CompactionFailure::Prompt)?
    }
}

impl CompactionFailure {
    /// Its name in metrics and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prompt(_) => "prompt",
            Self::Refused(SubmitError::TooLong { .. }) => "too_long",
            Self::Refused(SubmitError::QueueFull { .. }) => "queue_full",
            Self::Refused(SubmitError::ShuttingDown) | Self::ShuttingDown => "shutting_down",
            Self::Abandoned => "abandoned",
            Self::Model(_) => "model",
            Self::TooSlow { .. } => "too_slow",
            Self::Empty => "empty",
            Self::BelowRecall { .. } => "below_recall",
            Self::NoRoom { .. } => "no_room",
        }
    }

    /// Whether the same task may succeed later.
    fn is_passing(&self) -> bool {
        match self {
            Self::Refused(SubmitError::QueueFull { .. } | SubmitError::ShuttingDown)
            | Self::Abandoned
            | Self::Model(_)
            | Self::ShuttingDown => true,
            Self::Refused(SubmitError::TooLong { .. })
            | Self::Prompt(_)
            | Self::TooSlow { .. }
            | Self::Empty
            | Self::BelowRecall { .. }
            | Self::NoRoom { .. } => false,
        }
    }

    /// Whether a longer text might do.
    fn is_of_the_text(&self) -> bool {
        matches!(self, Self::Empty | Self::BelowRecall { .. })
    }
}

impl fmt::Debug for CompactionTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactionTask")
            .field("messages", &self.conversation.messages.len())
            .field("level", &self.level)
            .field("lengths", &self.lengths)
            .finish_non_exhaustive()
    }
}

/// The conversation with one more user message, and the beginning of an answer to it.
fn instructed(conversation: &Conversation, instruction: &str) -> Conversation {
    let mut instructed = conversation.clone();
    instructed
        .messages
        .push(json!({"role": "user", "content": instruction}));
    instructed.add_generation_prompt = true;
    instructed.continue_final_message = false;
    instructed
}

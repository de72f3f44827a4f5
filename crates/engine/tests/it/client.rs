//! An engine and clients of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use engine::{
    Completion, DiskConfig, EngineHandle, EngineThread, Event, EventSink, GenerateRequest,
    PromptLogprob, RequestError, SamplingParams, SchedulerConfig, SubmitError, TokenId,
};
use models::testing::{FakeCounters, FakeLimits, FakeRunner};

pub(crate) const VOCAB_SIZE: usize = 1_000;

/// Longest that a test waits for an event of a model that computes in microseconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Engine {
    pub(crate) handle: EngineHandle,
    pub(crate) thread: EngineThread,
    pub(crate) counters: Arc<FakeCounters>,
}

/// A configuration with blocks of 16 tokens.
pub(crate) fn config(num_blocks: u32, max_model_len: usize) -> SchedulerConfig {
    SchedulerConfig::new(16, num_blocks, max_model_len)
}

impl Engine {
    pub(crate) fn start(config: SchedulerConfig) -> Self {
        Self::start_with(config, |runner| runner)
    }

    pub(crate) fn start_with(
        config: SchedulerConfig,
        change: impl FnOnce(FakeRunner) -> FakeRunner,
    ) -> Self {
        Self::start_on(config, change, None)
    }

    /// An engine whose evicted blocks go to disk.
    pub(crate) fn start_on(
        config: SchedulerConfig,
        change: impl FnOnce(FakeRunner) -> FakeRunner,
        disk: Option<DiskConfig>,
    ) -> Self {
        let runner = change(FakeRunner::new(FakeLimits {
            vocab_size: VOCAB_SIZE,
            num_blocks: config.num_blocks as usize,
            block_size: config.block_size,
            max_num_batched_tokens: config.max_num_batched_tokens,
            max_num_seqs: config.max_num_seqs,
        }));
        let counters = runner.counters();
        let (handle, thread) = engine::start_with_disk(config, Box::new(runner), disk).unwrap();
        Self {
            handle,
            thread,
            counters,
        }
    }

    pub(crate) fn submit(&self, prompt: &[u32], max_tokens: usize) -> Client {
        self.try_submit(prompt, max_tokens).unwrap()
    }

    pub(crate) fn try_submit(
        &self,
        prompt: &[u32],
        max_tokens: usize,
    ) -> Result<Client, SubmitError> {
        self.try_submit_scored(prompt, max_tokens, &[])
    }

    pub(crate) fn try_submit_scored(
        &self,
        prompt: &[u32],
        max_tokens: usize,
        scored: &[usize],
    ) -> Result<Client, SubmitError> {
        self.try_submit_sampled(prompt, max_tokens, SamplingParams::greedy(), scored)
    }

    pub(crate) fn try_submit_sampled(
        &self,
        prompt: &[u32],
        max_tokens: usize,
        sampling: SamplingParams,
        scored: &[usize],
    ) -> Result<Client, SubmitError> {
        let (sender, events) = channel();
        let gone = Arc::new(AtomicBool::new(false));
        let prompt = prompt.iter().map(|&token| TokenId(token)).collect();
        let sink = Box::new(Sink {
            sender,
            gone: Arc::clone(&gone),
        });
        self.handle.submit(GenerateRequest {
            sampling,
            scored: scored.to_vec(),
            ..GenerateRequest::greedy(prompt, max_tokens, sink)
        })?;
        Ok(Client { events, gone })
    }

    /// Waits until the engine has published that it holds nothing.
    pub(crate) fn wait_until_idle(&self) {
        for _ in 0..6_000 {
            let stats = self.handle.stats();
            if stats.num_running + stats.num_waiting + stats.num_used_blocks == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the engine is not idle: {:?}", self.handle.stats());
    }

    pub(crate) fn shut_down(self) {
        self.handle.shutdown();
        self.thread.join();
    }
}

struct Sink {
    sender: Sender<Event>,
    gone: Arc<AtomicBool>,
}

impl EventSink for Sink {
    fn send(&mut self, event: Event) {
        // The client may be gone already; the engine hears of it from `is_closed`.
        let _ = self.sender.send(event);
    }

    fn is_closed(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// A client; dropping it closes its connection.
pub(crate) struct Client {
    events: Receiver<Event>,
    gone: Arc<AtomicBool>,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) tokens: Vec<u32>,
    pub(crate) cached_tokens: usize,
    pub(crate) scored: Option<Vec<PromptLogprob>>,
    pub(crate) end: Result<Completion, RequestError>,
}

impl Client {
    pub(crate) fn next(&self) -> Event {
        self.events
            .recv_timeout(PATIENCE)
            .expect("the engine answers")
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut tokens = Vec::new();
        let (mut cached_tokens, mut scored) = (0, None);
        loop {
            match self.next() {
                Event::Admitted(admission) => cached_tokens = admission.cached_tokens,
                Event::Scored(found) => scored = Some(found),
                Event::Embedded(_) => panic!("nobody asked for a state"),
                Event::Token(output) => tokens.push(output.token.0),
                Event::Finished(end) => {
                    return Answer {
                        tokens,
                        cached_tokens,
                        scored,
                        end: Ok(end),
                    };
                }
                Event::Failed(end) => {
                    return Answer {
                        tokens,
                        cached_tokens,
                        scored,
                        end: Err(end),
                    };
                }
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// A prompt of `len` tokens that differs from other seeds' in its first token.
pub(crate) fn prompt(seed: u32, len: usize) -> Vec<u32> {
    let vocab = VOCAB_SIZE as u32;
    (0..len as u32)
        .map(|i| (seed.wrapping_mul(7_919) + i * (i + seed)) % vocab)
        .collect()
}

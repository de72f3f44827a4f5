//! The engine that `purser serve` starts, asked without a server.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use engine::{Completion, EngineHandle, EngineThread, Event, EventSink, GenerateRequest, TokenId};
use models::Device;
use server::config::{process_environment, resolve, settings::ServeSettings};

use super::requests::Request;
use crate::stopwatch::Stopwatch;

/// What differs from the server's defaults: all requests of a workload wait at once.
const FLAGS: [&str; 4] = ["--load-format", "dummy", "--max-num-queued-tokens", "8M"];

/// The device that no server computes on: its kernels run on the CPU, to try the program.
const EMULATOR: &str = "cuda-emulator";

/// A running engine on a model with random weights.
pub struct ServedEngine {
    handle: EngineHandle,
    thread: EngineThread,
    limit: Duration,
}

/// What a request got. Times begin when the first request of its workload was submitted.
#[derive(Clone)]
pub(crate) struct Answer {
    /// When it was submitted.
    pub(crate) submitted: Duration,
    /// When its tokens were there, one by one.
    pub(crate) tokens: Vec<Duration>,
    /// Prompt tokens that were cached.
    pub(crate) cached_tokens: usize,
}

/// The flags of `purser serve`.
#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    settings: ServeSettings,
}

impl ServedEngine {
    /// Loads the model of `folder`'s shape on `device` with `flags`, which are those of
    /// `purser serve`; requests that are submitted together may take `limit`.
    ///
    /// # Errors
    /// What is wrong with the flags, the folder or the device.
    pub fn load(
        folder: &Path,
        device: &str,
        flags: &[String],
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let folder = folder.to_str().context("the folder's name is no text")?;
        let is_emulator = device == EMULATOR;
        let device = if is_emulator { "cpu" } else { device };
        let words = ["serve", folder, "--device", device]
            .into_iter()
            .chain(FLAGS);
        let words = words.map(str::to_owned).chain(flags.iter().cloned());
        let config = resolve(
            Settings::try_parse_from(words)?.settings,
            &process_environment,
        )?;
        let mut settings = config.engine;
        if is_emulator {
            settings.device = Device::CudaEmulator;
        }
        let (handle, thread) = server::serve::load_engine(&config.model, settings)?;
        Ok(Self {
            handle,
            thread,
            limit,
        })
    }

    /// Submits all `requests`, and waits for the last one's end; answers are in their order.
    ///
    /// # Errors
    /// A request that is refused, fails, or is too short; more time than there may be.
    pub(crate) fn run(&self, requests: &[Request]) -> anyhow::Result<Vec<Answer>> {
        let stopwatch = Stopwatch::start();
        let (sender, ends) = channel();
        let mut submitted = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let sink = Sink {
                index,
                stopwatch,
                tokens: Vec::with_capacity(request.max_tokens),
                ends: sender.clone(),
            };
            submitted.push(stopwatch.elapsed());
            self.handle.submit(greedy(request, Box::new(sink)))?;
        }
        drop(sender);
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        for _ in requests {
            let left = self.limit.saturating_sub(stopwatch.elapsed());
            let end = ends.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    anyhow::anyhow!("no end after {} s", self.limit.as_secs())
                }
                RecvTimeoutError::Disconnected => anyhow::anyhow!("the engine has ended"),
            })?;
            let (index, request) = (end.index, &requests[end.index]);
            let completion = match end.result {
                Ok(completion) => completion,
                Err(reason) => bail!("request {index}: {reason}"),
            };
            ensure!(
                end.tokens.len() == request.max_tokens,
                "request {index} has {} tokens and not {}",
                end.tokens.len(),
                request.max_tokens
            );
            answers[index] = Some(Answer {
                submitted: submitted[index],
                tokens: end.tokens,
                cached_tokens: completion.cached_tokens,
            });
        }
        let all: Option<Vec<Answer>> = answers.into_iter().collect();
        all.context("a request has ended twice")
    }

    /// As `run`, for nothing but the engine's readiness.
    ///
    /// # Errors
    /// As `run`: a request that is refused or fails, too much time.
    pub fn warm_up(&self, requests: &[Request]) -> anyhow::Result<()> {
        self.run(requests).map(drop)
    }

    /// Ends the engine's thread.
    pub fn shut_down(self) {
        self.handle.shutdown();
        self.thread.join();
    }
}

fn greedy(request: &Request, sink: Box<dyn EventSink>) -> GenerateRequest {
    let prompt = request.prompt.iter().map(|&id| TokenId(id)).collect();
    GenerateRequest::greedy(prompt, request.max_tokens, sink)
}

/// Notes when tokens come, on the engine's thread, and tells the end only: nobody is woken meanwhile.
struct Sink {
    index: usize,
    stopwatch: Stopwatch,
    tokens: Vec<Duration>,
    ends: Sender<End>,
}

/// How a request ended.
struct End {
    index: usize,
    tokens: Vec<Duration>,
    result: Result<Completion, String>,
}

impl Sink {
    fn end(&mut self, result: Result<Completion, String>) {
        // Nobody listens any more once another request has failed.
        let _ = self.ends.send(End {
            index: self.index,
            tokens: std::mem::take(&mut self.tokens),
            result,
        });
    }
}

impl EventSink for Sink {
    fn send(&mut self, event: Event) {
        match event {
            Event::Token(_) => self.tokens.push(self.stopwatch.elapsed()),
            Event::Finished(completion) => self.end(Ok(completion)),
            Event::Failed(error) => self.end(Err(error.to_string())),
            Event::Admitted(_) | Event::Scored(_) | Event::Embedded(_) => {}
        }
    }

    fn is_closed(&self) -> bool {
        false
    }
}

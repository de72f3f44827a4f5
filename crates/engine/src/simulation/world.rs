//! The engine's loop, driven by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use models::KvBlocks;
use models::testing::{FakeCounters, FakeLimits, FakeRunner};
use scheduler::{Scheduler, Timestamp};

use super::adapters::Adapters;
use super::client::Client;
use super::constraint::Thirds;
use super::occurrences::Occurrences;
use super::probing::Probing;
use super::scenario::{Operation, Scenario, Submission, VOCAB_SIZE};
use super::shelf::Shelf;
use crate::clock::Clock;
use crate::disk::DiskTier;
use crate::step_loop::StepLoop;
use crate::{EngineHandle, GenerateRequest, engine};

/// Time that each reading of the clock takes, so that steps have a duration.
const READING: u64 = 40_000;

/// Nanoseconds that only operations and readings advance.
struct ManualClock(Arc<AtomicU64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let nanos = self.0.fetch_add(READING, Ordering::Relaxed);
        Timestamp::from_duration(Duration::from_nanos(nanos))
    }
}

/// What a run has left behind.
pub(super) struct Run {
    /// Everything that was heard and counted, in order.
    pub(super) trace: Vec<String>,
    pub(super) occurrences: Occurrences,
}

pub(super) struct World<'a> {
    scenario: &'a Scenario,
    step_loop: StepLoop,
    handle: EngineHandle,
    counters: Arc<FakeCounters>,
    time: Arc<AtomicU64>,
    clients: Vec<(Client, bool)>,
    trace: Vec<String>,
    /// The request that an idle engine was asked about before it came, and the cached tokens that
    /// were predicted.
    predicted: Option<(usize, usize)>,
    probed_tokens: u64,
    adapters: Adapters,
    /// Adapters that lost their name while requests used them.
    lost_names: u64,
    /// Adapters that found no free slot.
    without_slot: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let mut config = scenario.config.clone();
        config.list_evicted = scenario.keeps_blocks;
        let config = &config;
        let limits = FakeLimits {
            vocab_size: VOCAB_SIZE,
            num_blocks: config.num_blocks as usize,
            block_size: config.block_size,
            max_num_batched_tokens: config.max_num_batched_tokens,
            max_num_seqs: config.max_num_seqs,
        };
        let mut runner = FakeRunner::new(limits).with_adapter_slots(scenario.adapter_slots);
        if let Some(window) = config.window {
            runner = runner.with_window(window.tokens, window.num_blocks as usize);
        }
        if let Some(step) = scenario.failing_step {
            runner = runner.failing_at_step(step);
        }
        if scenario.runs_ahead {
            runner = runner.running_ahead();
        }
        let counters = runner.counters();
        let (sender, inbox) = sync_channel(256);
        let handle = EngineHandle::new(sender, engine::limits(config));
        let time = Arc::new(AtomicU64::new(0));
        let clock = Box::new(ManualClock(Arc::clone(&time)));
        let scheduler = Scheduler::new(config.clone()).unwrap();
        let block_bytes = KvBlocks::block_bytes(&runner);
        let mut step_loop =
            StepLoop::new(scheduler, Box::new(runner), inbox, handle.shared(), clock);
        if scenario.keeps_blocks {
            step_loop = step_loop.with_disk(DiskTier::new(
                Box::new(Shelf::new(block_bytes)),
                block_bytes,
            ));
        }
        Self {
            scenario,
            step_loop,
            handle,
            counters,
            time,
            clients: Vec::new(),
            trace: Vec::new(),
            predicted: None,
            probed_tokens: 0,
            adapters: Adapters::default(),
            lost_names: 0,
            without_slot: 0,
        }
    }

    /// Runs the scenario to its end and returns what happened, for comparison.
    pub(super) fn run(mut self) -> Run {
        for operation in &self.scenario.operations {
            match operation {
                Operation::Submit(submission) => self.submit(submission),
                Operation::Leave(client) => {
                    self.clients[*client].0.heard.lock().unwrap().left = true;
                }
                Operation::Load { name, identity } => self.load(*name, *identity),
                Operation::Unload(name) => self.unload(*name),
                Operation::Advance(by) => {
                    self.time.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
                }
                Operation::Turn => self.turn(),
            }
        }
        // Every turn with work computes at least one token that some request needs, and a request
        // is preempted only in favour of an older or higher one; a constant times the work bounds
        // the turns far above what any policy takes.
        let work: usize = self
            .clients
            .iter()
            .map(|(client, _)| client.submission.prompt.len() + client.submission.stop.max_tokens)
            .sum();
        let mut turns = 0;
        while !self.step_loop.is_idle() {
            self.turn();
            turns += 1;
            assert!(
                turns <= 20 * work + 100,
                "{turns} turns for {work} tokens of work"
            );
        }
        self.turn();
        self.finish()
    }

    fn load(&mut self, name: usize, identity: u64) {
        self.unload(name);
        let answer = self.adapters.ask(&self.handle, name, identity);
        self.step_loop.drain();
        let loaded = self.adapters.take(&answer, name, identity);
        self.without_slot += u64::from(!loaded);
        self.trace.push(format!("load {name} {identity} {loaded}"));
    }

    fn unload(&mut self, name: usize) {
        self.lost_names += u64::from(self.adapters.is_used(name));
        self.adapters.unload(name);
        self.step_loop.drain();
    }

    fn submit(&mut self, submission: &Submission) {
        let adapter = self.adapters.named(submission.adapter);
        let client = Client::new(submission.clone(), adapter);
        let adapter = adapter.map(|(_, handle)| handle.clone());
        let cached_tokens = self.probe(&client);
        // Of several requests at once, the first can change what the others find.
        let alone = self.step_loop.is_idle();
        self.predicted = alone.then_some((self.clients.len(), cached_tokens));
        let result = self.handle.submit(GenerateRequest {
            prompt: submission.prompt.clone(),
            sampling: submission.sampling.clone(),
            stop: submission.stop.clone(),
            priority: submission.priority,
            cache_salt: submission.cache_salt.clone(),
            adapter,
            min_output_tokens: submission.min_output_tokens,
            background: submission.background,
            constraint: submission
                .constraint()
                .map(|breaks| Box::new(Thirds::new(breaks)) as Box<_>),
            retention: None,
            scored: submission.scored(),
            embed: submission.embeds(),
            sink: client.sink(),
        });
        let fits = submission.prompt.len() + submission.stop.max_tokens
            <= self.scenario.config.max_model_len;
        assert_eq!(result.is_ok(), fits, "{result:?}");
        self.trace
            .push(format!("submit {} {}", self.clients.len(), result.is_ok()));
        self.clients.push((client, result.is_err()));
        self.step_loop.drain();
    }

    /// What the cache holds of a prompt, asked together with those of earlier requests.
    fn probe(&mut self, client: &Client) -> usize {
        let earlier = self.clients.iter().rev().take(3);
        let mut prompts: Vec<_> = earlier.map(|(client, _)| client).collect();
        prompts.push(client);
        let probing = Probing::default();
        let request = probing.request(&prompts, client.submission.priority);
        self.handle.probe(request).unwrap();
        self.step_loop.drain();
        self.step_loop.answer_probes();
        let answer = probing.answer();
        self.trace.push(format!("{answer:?}"));
        answer.prompts[prompts.len() - 1].cached_tokens
    }

    fn turn(&mut self) {
        self.step_loop.turn();
        self.step_loop.check_invariants();
        if let Some((client, cached_tokens)) = self.predicted.take() {
            let (client, refused) = &self.clients[client];
            let heard = client.heard.lock().unwrap();
            if !refused && !heard.left {
                // What is kept outside of the pool is not looked for by a probe.
                let more = self.scenario.keeps_blocks && heard.admitted > Some(cached_tokens);
                assert!(
                    more || heard.admitted == Some(cached_tokens),
                    "{cached_tokens} were predicted and {:?} found",
                    heard.admitted
                );
                self.probed_tokens += cached_tokens as u64;
            }
        }
        self.trace.push(format!("{:?}", self.handle.stats()));
    }

    fn finish(mut self) -> Run {
        let stats = self.handle.stats();
        assert_eq!(stats.num_used_blocks, 0, "blocks are held by nobody");
        assert_eq!((stats.num_running, stats.num_waiting), (0, 0));
        let mut occurrences = Occurrences {
            preemptions: stats.preemptions,
            guarantee_waits: stats.guarantee_waits,
            probed_tokens: self.probed_tokens,
            lost_names: self.lost_names,
            without_slot: self.without_slot,
            recomputed_tokens: stats.tokens_recomputed,
            cached_tokens: stats.prompt_tokens_cached,
            copied_tokens: self.counters.copied_tokens(),
            steps_ahead: self.counters.steps_ahead(),
            evictions: stats.evictions,
            window_evictions: stats.window_evictions,
            restored_tokens: stats.disk.map_or(0, |disk| disk.restored_tokens),
            unread_blocks: stats.disk.map_or(0, |disk| disk.store.damaged),
            ..Occurrences::default()
        };
        for (client, refused) in &self.clients {
            client.check(*refused, self.scenario.failing_step.is_some());
            client.count(*refused, &mut occurrences);
            self.trace.append(&mut client.heard.lock().unwrap().log);
        }
        self.trace
            .push(format!("{} tokens", self.counters.tokens()));
        Run {
            trace: self.trace,
            occurrences,
        }
    }
}

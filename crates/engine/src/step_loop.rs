//! One OS thread that owns the scheduler and the model.
//!
//! A step is plan, launch, wait, commit; between steps the inbox is drained and closed sinks are
//! cancelled. Where the model runs ahead, the next step is planned and launched before the thread waits
//! for this one. Nothing here is shared: callers send messages and hear events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use kernels::StepBatch;
use kv_cache::MissCause;
use models::ModelRunner;
use scheduler::{FinishReason, NewSequence, RequestId, Scheduler, StepPlan, Timestamp, Update};

use crate::active::ActiveRequest;
use crate::adapters::LoadedAdapters;
use crate::clock::Clock;
use crate::constraint::ConstraintThreads;
use crate::disk::DiskTier;
use crate::handle::{Message, Shared};
use crate::probe::WaitingProbes;
use crate::sampler::{Row, Sample, Sampler};
use crate::scoring::Scoring;
use crate::step_phases::{PhaseWatch, StepPhase};
use crate::{
    Admission, EngineStats, Event, GenerateRequest, Prefill, RequestError, SubmitError, TokenOutput,
};

mod adapted;
mod constrained;
mod in_flight;
mod kept_blocks;
mod sampled;
mod wanted;

use in_flight::Step;
use sampled::Sampled;

/// The engine's state; [`StepLoop::run`] is its thread.
pub(crate) struct StepLoop {
    scheduler: Scheduler,
    runner: Box<dyn ModelRunner>,
    inbox: Receiver<Message>,
    shared: Arc<Shared>,
    clock: Box<dyn Clock>,
    requests: BTreeMap<RequestId, ActiveRequest>,
    probes: WaitingProbes,
    batch: StepBatch,
    /// The step behind the one that is waited for.
    ahead: Option<Step>,
    /// When the last step has ended.
    last_end: Timestamp,
    sampler: Sampler,
    sampled: Sampled,
    constraints: ConstraintThreads,
    disk: Option<DiskTier>,
    adapters: LoadedAdapters,
    stats: EngineStats,
}

impl StepLoop {
    pub(crate) fn new(
        scheduler: Scheduler,
        runner: Box<dyn ModelRunner>,
        inbox: Receiver<Message>,
        shared: Arc<Shared>,
        clock: Box<dyn Clock>,
    ) -> Self {
        Self {
            scheduler,
            runner,
            inbox,
            shared,
            clock,
            requests: BTreeMap::new(),
            probes: WaitingProbes::default(),
            batch: StepBatch::default(),
            ahead: None,
            last_end: Timestamp::default(),
            sampler: Sampler::default(),
            sampled: Sampled::default(),
            constraints: ConstraintThreads::default(),
            disk: None,
            adapters: LoadedAdapters::default(),
            stats: EngineStats::new(),
        }
    }

    /// Steps until the engine is shut down and has nothing left to do.
    pub(crate) fn run(mut self) {
        self.publish();
        while self.receive() {
            self.turn();
        }
        self.fail_all(&RequestError::ShutDown);
        self.end_ahead();
        self.save_all();
        self.publish();
    }

    /// Cancels what nobody waits for, and computes a step if there is anything to compute.
    pub(crate) fn turn(&mut self) {
        let mut watch = PhaseWatch::start(self.clock.now());
        self.cancel_closed();
        if !self.is_idle() {
            self.step(&mut watch);
            self.stats.record_phases(&watch);
        }
        self.publish();
    }

    /// Takes what has arrived, and waits for something when there is nothing else to do. False ends
    /// the loop.
    fn receive(&mut self) -> bool {
        loop {
            self.drain();
            if self.shared.aborted.load(Ordering::Acquire) {
                return false;
            }
            self.answer_probes();
            if !self.is_idle() {
                return true;
            }
            if !self.probes.is_empty() {
                continue;
            }
            if !self.shared.accepting.load(Ordering::Acquire) {
                return false;
            }
            match self.inbox.recv() {
                Ok(message) => self.take(message),
                Err(_) => return false,
            }
        }
    }

    /// Takes what has arrived.
    pub(crate) fn drain(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
        self.adapters.release_unused(self.runner.as_mut());
    }

    /// Answers some of the probes that wait: all, after a few calls.
    pub(crate) fn answer_probes(&mut self) {
        let answered = self.probes.answer(&self.scheduler);
        self.shared
            .waiting_probes
            .fetch_sub(answered, Ordering::AcqRel);
    }

    /// Whether there is nothing to compute.
    pub(crate) fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// The scheduler's invariants, for tests that drive the loop by hand.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        self.scheduler.check_invariants();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Submit(id, request) => self.accept(id, *request),
            Message::Probe(probe) => self.probes.push(probe),
            Message::ResetCache(answer) => answer(self.reset_cache()),
            Message::LoadAdapter(adapter, inbox, answer) => {
                answer(self.load_adapter(&adapter, inbox));
            }
            Message::Wake => {}
        }
    }

    fn accept(&mut self, id: RequestId, request: GenerateRequest) {
        let GenerateRequest {
            prompt,
            sampling,
            stop,
            priority,
            mut cache_salt,
            adapter,
            min_output_tokens,
            background,
            constraint,
            retention,
            scored,
            embed,
            mut sink,
        } = request;
        if sink.is_closed() {
            return;
        }
        let now = self.clock.now();
        if let Some(adapter) = &adapter {
            cache_salt = adapter.cache_salt(&cache_salt);
        }
        let restored_tokens = self.restore(&cache_salt, &prompt);
        let active_stop = stop.clone();
        let prompt_len = prompt.len();
        let sequence = NewSequence {
            id,
            prompt,
            stop,
            priority,
            cache_salt,
            min_output_tokens,
            background,
            retention,
        };
        if let Err(refused) = self.scheduler.submit(sequence, now) {
            sink.send(Event::Failed(RequestError::Refused(self.refusal(&refused))));
            return;
        }
        let active = ActiveRequest {
            sampling,
            sink,
            adapter,
            prompt_len,
            min_tokens: active_stop.min_tokens,
            stop_token_ids: active_stop.stop_token_ids,
            following: constraint.map(|constraint| self.constraints.follow(id, constraint)),
            submitted: now,
            admitted: None,
            first_token: None,
            prefill_step_time: Duration::ZERO,
            cached_tokens: 0,
            restored_tokens,
            preemptions: 0,
            scoring: Scoring::new(scored),
            embed,
        };
        self.requests.insert(id, active);
    }

    /// The scheduler's refusal in the caller's terms.
    fn refusal(&self, refused: &scheduler::SubmitError) -> SubmitError {
        match *refused {
            scheduler::SubmitError::TooLong {
                prompt_tokens,
                max_tokens,
                max_model_len,
            } => SubmitError::TooLong {
                prompt_tokens,
                max_tokens,
                max_model_len,
            },
            scheduler::SubmitError::QueueFull { retry_after } => {
                SubmitError::QueueFull { retry_after }
            }
        }
    }

    /// Gives back what requests hold whose callers have gone, queued ones included.
    fn cancel_closed(&mut self) {
        let scheduler = &mut self.scheduler;
        self.requests.retain(|&id, request| {
            let closed = request.sink.is_closed();
            if closed {
                scheduler.cancel(id);
            }
            !closed
        });
    }

    fn step(&mut self, watch: &mut PhaseWatch) {
        let step = match self.ahead.take() {
            Some(step) => step,
            None => {
                let plan = self.scheduler.plan_step(self.clock.now());
                assert!(
                    !plan.is_empty(),
                    "work is pending, so a step has something to compute"
                );
                self.launch(plan, None, watch)
            }
        };
        self.ahead = self.launch_ahead(&step, watch);
        match self.compute(&step, watch) {
            Ok(()) => self.commit(&step, watch),
            Err(error) => self.fail_step(&step.plan, &error),
        }
        watch.end_of(StepPhase::Send, self.clock.now());
    }

    /// Tells callers that their requests run, or that they have made room for others.
    fn announce(&mut self, plan: &StepPlan, now: Timestamp) {
        for id in &plan.abandoned {
            if let Some(mut request) = self.requests.remove(id) {
                request.sink.send(Event::Failed(RequestError::Abandoned));
            }
        }
        for id in &plan.preempted {
            if let Some(request) = self.requests.get_mut(id) {
                request.preemptions += 1;
            }
        }
        for admitted in &plan.admitted {
            let Some(request) = self.requests.get_mut(&admitted.request) else {
                continue;
            };
            request.admitted = Some(now);
            request.cached_tokens = admitted.cached_tokens;
            let evicted_ago = admitted.miss.and_then(|miss| match miss.cause {
                MissCause::Evicted(eviction) => Some(now.since(eviction.at)),
                _ => None,
            });
            request.sink.send(Event::Admitted(Admission {
                cached_tokens: admitted.cached_tokens,
                miss: admitted.miss,
                evicted_ago,
                restored_tokens: request.restored_tokens,
                predicted_prefill: admitted.predicted_prefill,
                queue_time: now.since(request.submitted),
            }));
        }
    }

    /// Waits for a step and chooses the tokens, into `self.sampled`.
    fn compute(&mut self, step: &Step, watch: &mut PhaseWatch) -> Result<(), String> {
        let computed = step.wait(self.runner.as_mut(), &self.batch);
        watch.end_of(StepPhase::Device, self.clock.now());
        let logits = computed?;
        let sampled = &mut self.sampled;
        sampled.clear();
        sampled.scores.extend_from_slice(logits.scores());
        let wanted = step.wanted_scores.iter().map(|(_, count)| count);
        assert_eq!(
            sampled.scores.len(),
            wanted.sum::<usize>(),
            "the model scores what it is asked to"
        );
        let rows = step.plan.chunks.iter().filter(|chunk| chunk.needs_logits);
        sampled.rows.extend(rows.map(|chunk| chunk.request));
        assert_eq!(logits.num_rows(), sampled.rows.len(), "a row for each");
        for (row, id) in sampled.rows.iter().enumerate() {
            // A request may have ended since its step was launched.
            if self.requests.get(id).is_some_and(|request| request.embed) {
                sampled.states.push((*id, logits.state(row).to_vec()));
            }
        }
        constrained::wait(&self.constraints, &mut self.requests, &sampled.rows);
        let (scheduler, requests, ids) = (&self.scheduler, &self.requests, &sampled.rows);
        let row = |index: usize| {
            let request = requests.get(&ids[index])?;
            let history = scheduler.tokens(ids[index]);
            Some(Row {
                params: &request.sampling,
                history,
                prompt_len: request.prompt_len,
                forbidden: request.forbidden(history.len()),
                allowed: request.allowed(),
            })
        };
        for (&id, sample) in ids.iter().zip(self.sampler.sample(&logits, row)) {
            let (Some(sample), Some(request)) = (sample, requests.get(&id)) else {
                continue;
            };
            match sample {
                Ok(sample) => {
                    sampled.tokens.push((id, sample.token));
                    sampled.samples.push(sample);
                }
                Err(error) => {
                    let error = request.why_no_token(error);
                    sampled.unusable.push((id, error));
                }
            }
        }
        watch.end_of(StepPhase::Sample, self.clock.now());
        Ok(())
    }

    fn commit(&mut self, step: &Step, watch: &mut PhaseWatch) {
        let (plan, now) = (&step.plan, self.clock.now());
        let mut sampled = std::mem::take(&mut self.sampled);
        self.take_scores(step, &sampled.scores);
        for (id, error) in sampled.unusable.drain(..) {
            // Before the commit, so that the KV it computed is not published to others.
            self.fail(id, error);
        }
        // Until the step before it had ended, it waited for that.
        let elapsed = now.since(step.launched.max(self.last_end));
        self.last_end = now;
        let outcome = self.scheduler.commit_step(plan, &sampled.tokens, elapsed);
        watch.end_of(StepPhase::Schedule, self.clock.now());
        self.stats.record_step(plan.num_tokens(), elapsed);
        self.count_prefill_time(plan, elapsed);
        self.stats.generation_tokens += outcome.updates.len() as u64;
        debug_assert_eq!(
            outcome.updates.len(),
            sampled.samples.len(),
            "one update per sample"
        );
        for (id, state) in sampled.states.drain(..) {
            if let Some(request) = self.requests.get_mut(&id) {
                request.embed = false;
                request.sink.send(Event::Embedded(state));
            }
        }
        for (update, sample) in outcome.updates.into_iter().zip(sampled.samples.drain(..)) {
            self.deliver(&update, sample, now);
        }
        self.sampled = sampled;
    }

    /// Adds a step to the time of the requests that have no token yet and were computed in it.
    fn count_prefill_time(&mut self, plan: &StepPlan, elapsed: Duration) {
        for chunk in &plan.chunks {
            if let Some(request) = self.requests.get_mut(&chunk.request)
                && request.first_token.is_none()
            {
                request.prefill_step_time += elapsed;
            }
        }
    }

    /// Passes a token on, and the end if it was the last.
    fn deliver(&mut self, update: &Update, sample: Sample, now: Timestamp) {
        let Some(request) = self.requests.get_mut(&update.request) else {
            return;
        };
        let is_first = request.first_token.is_none();
        request.first_token.get_or_insert(now);
        if is_first && request.scoring.is_wanted() {
            let scoring = std::mem::take(&mut request.scoring);
            request.sink.send(Event::Scored(scoring.into_found()));
        }
        if let (None, Some(following)) = (&update.finished, &mut request.following) {
            following.accept(sample.token);
        }
        if !matches!(update.finished, Some(FinishReason::Stop(_))) {
            let Sample { token, logprobs } = sample;
            request.sink.send(Event::Token(TokenOutput {
                token,
                logprobs,
                prefill: is_first.then_some(Prefill {
                    step_time: request.prefill_step_time,
                    retained_tokens: update.retained_tokens,
                }),
            }));
        }
        let Some(reason) = update.finished else {
            return;
        };
        if let Some(request) = self.requests.remove(&update.request) {
            request.finish(reason, update, now);
        }
    }

    /// The device failed: nothing of the step is published, and its requests have no answer. Nor has
    /// what the step behind it computes of them.
    fn fail_step(&mut self, plan: &StepPlan, error: &str) {
        for chunk in &plan.chunks {
            self.fail(chunk.request, RequestError::Model(error.to_owned()));
        }
        self.scheduler.abort_step(plan);
    }

    fn fail(&mut self, id: RequestId, error: RequestError) {
        self.scheduler.cancel(id);
        if let Some(mut request) = self.requests.remove(&id) {
            request.sink.send(Event::Failed(error));
        }
    }

    fn fail_all(&mut self, error: &RequestError) {
        let ids: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in ids {
            self.fail(id, error.clone());
        }
        while let Ok(message) = self.inbox.try_recv() {
            if let Message::Submit(_, mut request) = message {
                request.sink.send(Event::Failed(error.clone()));
            }
        }
    }

    fn publish(&mut self) {
        self.stats.take_over(&self.scheduler.stats());
        self.stats.disk = self.disk.as_ref().map(DiskTier::stats);
        self.shared.publish(&self.stats);
    }
}

#[cfg(test)]
mod tests;

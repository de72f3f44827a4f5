//! A scheduler, a model and a clock.
//!
//! The model stores in every slot a digest of the token written there and of all tokens before it,
//! and checks before every chunk that the block table leads to exactly the sequence's own history.
//! Its next token is a function of that history, so what a request answers must not depend on how
//! it was scheduled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kv_cache::TokenId;
use scheduler::{
    Admitted, FinishReason, NewSequence, RequestId, Scheduler, SchedulerConfig, SequenceState,
    StepPlan, StopConditions, SubmitError, Timestamp,
};

/// Tokens that the model generates are below this; small, so that generated texts coincide.
pub(crate) const VOCABULARY: u64 = 50;

pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Timestamp,
    /// Time of a step: a constant, and per token computed.
    pub(crate) step_time: (Duration, Duration),
    /// Digests by slot; 0 is never written.
    slots: Vec<u64>,
    /// A step that was planned and computed before the one before it was committed.
    ahead: Option<(StepPlan, Vec<(RequestId, TokenId)>)>,
    /// Tokens that the last step has sampled, and that the scheduler may not know yet.
    drawn: BTreeMap<RequestId, TokenId>,
    pub(crate) steps_ahead: usize,
    /// Recomputing every hash is slow; long runs do it once in so many steps.
    pub(crate) full_check_every: usize,
    steps: usize,
    salts: BTreeMap<RequestId, Vec<u8>>,
    /// Requests in the background, of all that were taken.
    background: BTreeSet<RequestId>,
    pub(crate) abandoned: BTreeSet<RequestId>,
    /// Output that each request is sure to have room for.
    guaranteed: BTreeMap<RequestId, usize>,
    /// Steps in a row that left the best-ranked sequence out.
    waits_in_a_row: usize,
    pub(crate) outputs: BTreeMap<RequestId, Vec<TokenId>>,
    pub(crate) finished: BTreeMap<RequestId, FinishReason>,
    pub(crate) admitted: BTreeMap<RequestId, Admitted>,
    /// Order of first admissions.
    pub(crate) admissions: Vec<RequestId>,
    /// Tokens computed per request, over all its chunks.
    pub(crate) computed: BTreeMap<RequestId, usize>,
}

/// A pool that never runs out, and no bound that a test has not asked for.
pub(crate) fn config(block_size: usize, num_blocks: u32) -> SchedulerConfig {
    let mut config = SchedulerConfig::new(block_size, num_blocks, 1 << 20);
    config.watermark = 0.0;
    config.output_reserve.initial_ratio = 0.0;
    config.output_reserve.min_ratio = 0.0;
    config
}

/// `len` tokens that no other `start` has.
pub(crate) fn tokens(start: u32, len: usize) -> Vec<TokenId> {
    (0..len as u32)
        .map(|at| TokenId(1_000_000 * (start + 1) + at))
        .collect()
}

pub(crate) fn request(id: u64, prompt: Vec<TokenId>, max_tokens: usize) -> NewSequence {
    NewSequence {
        id: RequestId(id),
        prompt,
        stop: StopConditions {
            max_tokens,
            min_tokens: 0,
            stop_token_ids: Vec::new(),
        },
        priority: 0,
        cache_salt: Vec::new(),
        min_output_tokens: 0,
        background: false,
        retention: None,
    }
}

/// What the model says after `history`.
pub(crate) fn next_token(history: &[TokenId]) -> TokenId {
    let digest = digests(b"", history)
        .last()
        .expect("a history is not empty");
    TokenId((digest % VOCABULARY) as u32)
}

/// The answer to a request, run alone.
pub(crate) fn answer(prompt: &[TokenId], stop: &StopConditions) -> Vec<TokenId> {
    let mut history = prompt.to_vec();
    while history.len() < prompt.len() + stop.max_tokens {
        let token = next_token(&history);
        history.push(token);
        if stop.stop_token_ids.contains(&token) {
            break;
        }
    }
    history.split_off(prompt.len())
}

/// FNV-1a of the salt and the tokens up to each position.
fn digests(salt: &[u8], tokens: &[TokenId]) -> impl Iterator<Item = u64> {
    let mix = |state: u64, word: u64| {
        (state ^ word)
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(17)
    };
    let start = salt.iter().fold(0xcbf2_9ce4_8422_2325, |state, &byte| {
        mix(state, byte.into())
    });
    tokens.iter().scan(start, move |state, token| {
        *state = mix(*state, u64::from(token.0) + 1);
        Some(*state)
    })
}

impl World {
    pub(crate) fn new(config: SchedulerConfig) -> Self {
        let slots = vec![0; config.num_blocks as usize * config.block_size];
        Self {
            scheduler: Scheduler::new(config).expect("the settings are valid"),
            now: Timestamp::default(),
            step_time: (Duration::from_millis(1), Duration::from_micros(100)),
            slots,
            ahead: None,
            drawn: BTreeMap::new(),
            steps_ahead: 0,
            full_check_every: 1,
            steps: 0,
            salts: BTreeMap::new(),
            background: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            guaranteed: BTreeMap::new(),
            waits_in_a_row: 0,
            outputs: BTreeMap::new(),
            finished: BTreeMap::new(),
            admitted: BTreeMap::new(),
            admissions: Vec::new(),
            computed: BTreeMap::new(),
        }
    }

    pub(crate) fn submit(&mut self, new: NewSequence) -> Result<(), SubmitError> {
        let (id, salt) = (new.id, new.cache_salt.clone());
        let (guaranteed, background) = (new.min_output_tokens, new.background);
        self.scheduler.submit(new, self.now)?;
        if background {
            self.background.insert(id);
        }
        self.guaranteed.insert(id, guaranteed);
        self.salts.insert(id, salt);
        Ok(())
    }

    /// Submits a request that must be taken.
    pub(crate) fn add(&mut self, id: u64, prompt: Vec<TokenId>, max_tokens: usize) {
        self.submit(request(id, prompt, max_tokens))
            .expect("the request is taken");
    }

    pub(crate) fn plan(&mut self) -> StepPlan {
        let waits = self.scheduler.stats().guarantee_waits;
        let plan = self.scheduler.plan_step(self.now);
        self.check_guarantees(&plan, waits);
        assert_eq!(
            plan.is_empty(),
            self.scheduler.is_idle(),
            "work is planned as long as any is"
        );
        self.check_plan(&plan);
        plan
    }

    fn check_plan(&mut self, plan: &StepPlan) {
        self.check_background(plan);
        let config = self.scheduler.config();
        assert!(plan.num_tokens() <= config.max_num_batched_tokens);
        assert!(plan.chunks.len() <= config.max_num_seqs);
        let tokens: usize = plan.chunks.iter().map(|chunk| chunk.tokens.len()).sum();
        assert_eq!(tokens, plan.num_tokens());
        let mut requests: Vec<_> = plan.chunks.iter().map(|chunk| chunk.request).collect();
        requests.sort();
        assert!(requests.is_sorted_by(|a, b| a < b), "one chunk per request");
        assert!(plan.chunks.iter().all(|chunk| !chunk.tokens.is_empty()));
        for admitted in &plan.admitted {
            let before = self.admitted.insert(admitted.request, admitted.clone());
            assert_eq!(before, None, "a request is admitted once");
            self.admissions.push(admitted.request);
        }
    }

    /// Plans a step behind the outstanding one and computes it, if that can be.
    pub(crate) fn run_ahead(&mut self) -> bool {
        assert!(self.ahead.is_none(), "one step is outstanding");
        let Some(plan) = self.scheduler.plan_ahead(self.now) else {
            return false;
        };
        assert!(plan.preempted.is_empty() && plan.abandoned.is_empty());
        self.check_plan(&plan);
        let sampled = self.compute(&plan);
        self.ahead = Some((plan, sampled));
        self.steps_ahead += 1;
        true
    }

    /// A step that is computed and not committed: the one that was planned ahead, or a new one.
    pub(crate) fn begin(&mut self) -> (StepPlan, Vec<(RequestId, TokenId)>) {
        self.ahead.take().unwrap_or_else(|| {
            let plan = self.plan();
            let sampled = self.compute(&plan);
            (plan, sampled)
        })
    }

    /// Nobody is preempted before its guaranteed output, and nobody waits for others' too long: of
    /// those, one advances in every step.
    fn check_guarantees(&mut self, plan: &StepPlan, waits_before: u64) {
        for id in &plan.preempted {
            let generated = self.outputs.get(id).map_or(0, Vec::len);
            assert!(
                generated >= self.guaranteed[id],
                "{id:?} is preempted after {generated} tokens"
            );
        }
        if self.scheduler.stats().guarantee_waits == waits_before {
            self.waits_in_a_row = 0;
        } else {
            assert!(plan.admitted.is_empty() && !plan.is_empty());
            self.waits_in_a_row += 1;
        }
        let most = self.scheduler.config().max_num_seqs * self.scheduler.max_sequence_len();
        assert!(self.waits_in_a_row <= most, "{} waits", self.waits_in_a_row);
    }

    /// The background computes no more than its share beside others, is admitted when nobody else
    /// waits, and is abandoned rather than preempted.
    fn check_background(&mut self, plan: &StepPlan) {
        for id in &plan.abandoned {
            assert!(self.background.contains(id), "{id:?} is abandoned");
            assert_eq!(self.scheduler.state(*id), None);
            assert!(self.abandoned.insert(*id), "{id:?} is abandoned twice");
        }
        let is_background = |id: &RequestId| self.background.contains(id);
        assert!(!plan.preempted.iter().any(is_background));
        let others = self.guaranteed.keys().filter(|id| !is_background(id));
        let states: Vec<_> = others.filter_map(|&id| self.scheduler.state(id)).collect();
        if plan.admitted.iter().any(|new| is_background(&new.request)) {
            let running = |state: &SequenceState| *state == SequenceState::Running;
            assert!(states.iter().all(running), "others wait");
        }
        if states.contains(&SequenceState::Running) {
            let chunks = plan
                .chunks
                .iter()
                .filter(|chunk| is_background(&chunk.request));
            let tokens: usize = chunks.map(|chunk| chunk.tokens.len()).sum();
            let config = self.scheduler.config();
            let share = config.max_background_share * config.max_num_batched_tokens as f64;
            assert!(tokens as f64 <= share, "{tokens} tokens in the background");
        }
    }

    /// Runs the model and returns the tokens it samples.
    pub(crate) fn compute(&mut self, plan: &StepPlan) -> Vec<(RequestId, TokenId)> {
        let block_size = self.scheduler.config().block_size;
        for copy in &plan.copies {
            let from = copy.src.0 as usize * block_size;
            let to = copy.dst.0 as usize * block_size;
            self.slots.copy_within(from..from + copy.num_tokens, to);
        }
        let mut sampled = Vec::new();
        for chunk in &plan.chunks {
            let mut tokens = self.scheduler.tokens(chunk.request).to_vec();
            if chunk.tokens.end > tokens.len() {
                tokens.push(self.drawn[&chunk.request]);
            }
            let tokens = &tokens[..];
            let blocks = self.scheduler.block_table(chunk.request);
            let salt = &self.salts[&chunk.request];
            for (at, digest) in digests(salt, tokens).take(chunk.tokens.end).enumerate() {
                let slot = blocks[at / block_size].0 as usize * block_size + at % block_size;
                if at >= chunk.tokens.start {
                    self.slots[slot] = digest;
                }
                assert_eq!(
                    self.slots[slot], digest,
                    "{chunk:?} reads another's KV at {at}"
                );
            }
            assert_eq!(chunk.needs_logits, chunk.tokens.end == tokens.len());
            if chunk.needs_logits {
                sampled.push((chunk.request, next_token(tokens)));
            }
            *self.computed.entry(chunk.request).or_insert(0) += chunk.tokens.len();
        }
        self.drawn = sampled.iter().copied().collect();
        sampled
    }

    pub(crate) fn commit(&mut self, plan: &StepPlan, sampled: &[(RequestId, TokenId)]) {
        let (base, per_token) = self.step_time;
        let elapsed = base + per_token * plan.num_tokens() as u32;
        self.now = Timestamp(self.now.0 + elapsed.as_nanos() as u64);
        let outcome = self.scheduler.commit_step(plan, sampled, elapsed);
        for update in outcome.updates {
            let output = self.outputs.entry(update.request).or_default();
            output.push(update.token);
            assert_eq!(output.len(), update.num_generated);
            if let Some(reason) = update.finished {
                self.finished.insert(update.request, reason);
            }
        }
    }

    /// One whole step with all checks.
    pub(crate) fn step(&mut self) -> StepPlan {
        let (plan, sampled) = self.begin();
        self.end(plan, &sampled)
    }

    /// The same, with the next step planned and computed before this one is committed, if that can be.
    pub(crate) fn step_ahead(&mut self) -> StepPlan {
        let (plan, sampled) = self.begin();
        if !plan.is_empty() {
            self.run_ahead();
        }
        self.scheduler.check_counts();
        self.end(plan, &sampled)
    }

    fn end(&mut self, plan: StepPlan, sampled: &[(RequestId, TokenId)]) -> StepPlan {
        self.commit(&plan, sampled);
        self.steps += 1;
        if self.steps.is_multiple_of(self.full_check_every) {
            self.scheduler.check_invariants();
        } else {
            self.scheduler.check_counts();
        }
        plan
    }

    /// Steps until nothing is left; returns how many it took.
    pub(crate) fn run(&mut self) -> usize {
        self.run_to_end(Self::step)
    }

    pub(crate) fn run_to_end(&mut self, step: impl Fn(&mut Self) -> StepPlan) -> usize {
        let mut steps = 0;
        while !self.scheduler.is_idle() {
            step(self);
            steps += 1;
            assert!(steps < 100_000, "the requests do not finish");
        }
        assert_eq!(self.scheduler.cache().pool().num_in_use(), 0);
        steps
    }

    pub(crate) fn computed(&self, id: u64) -> usize {
        self.computed.get(&RequestId(id)).copied().unwrap_or(0)
    }

    pub(crate) fn is_running(&self, id: u64) -> bool {
        self.scheduler.state(RequestId(id)) == Some(SequenceState::Running)
    }
}

//! Requests through scheduler, prefix cache and model, with the host's share of the time apart.

use std::time::Duration;

use anyhow::{Context, ensure};
use kernels::StepBatch;
use kv_cache::TokenId;
use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, ModelRunner, Quantization, SumOrder,
};
use scheduler::{
    NewSequence, RequestId, Scheduler, SchedulerConfig, StepPlan, StopConditions, Timestamp,
};
use serde::Serialize;

use crate::model_under_test::source;
use crate::sequences::ChunkInputs;
use crate::stopwatch::Stopwatch;
use crate::workload::token;

/// Equal requests, their prompts distinct from the first token after the shared ones.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Requests {
    /// How many.
    pub count: usize,
    /// Tokens with which all prompts begin.
    pub shared_tokens: usize,
    /// Tokens of each prompt after the shared ones; at least 1.
    pub own_tokens: usize,
    /// Tokens that each generates.
    pub output_tokens: usize,
}

/// Sizes of the scheduler and of the KV cache.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    /// Tokens per block.
    pub block_size: usize,
    /// Blocks, the null block included.
    pub num_blocks: usize,
    /// Sequences that run at the same time.
    pub max_num_seqs: usize,
    /// Tokens computed in one step.
    pub max_num_batched_tokens: usize,
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RunTiming {
    /// Prompt tokens that were computed.
    pub prompt_tokens_computed: u64,
    /// Prompt tokens that were found in the cache.
    pub prompt_tokens_cached: u64,
    /// Tokens computed, prompts and outputs.
    pub tokens_computed: usize,
    /// Steps.
    pub steps: usize,
    /// Time in `submit`, `plan_step` and `commit_step`.
    pub host_seconds: f64,
    /// Time in the model.
    pub model_seconds: f64,
}

/// A model that computes what a scheduler decides.
pub struct ScheduledModel {
    runner: Box<dyn ModelRunner>,
    sizes: Sizes,
    max_model_len: usize,
    vocab_size: usize,
    fingerprint: Vec<u8>,
}

impl ScheduledModel {
    /// Loads `model` (a folder, or `embedded`) on the CPU with a KV cache of these sizes.
    ///
    /// # Errors
    /// What is wrong with the model or the sizes.
    pub fn load(model: &str, sizes: Sizes) -> anyhow::Result<Self> {
        let model = models::open(&source(model)).with_context(|| format!("opening {model}"))?;
        let max_model_len = model.config().max_position_embeddings;
        let vocab_size = model.config().vocab_size;
        let fingerprint = model.fingerprint().to_vec();
        let limits = Limits {
            num_blocks: sizes.num_blocks,
            window_blocks: None,
            block_size: sizes.block_size,
            max_num_batched_tokens: sizes.max_num_batched_tokens,
            max_num_seqs: sizes.max_num_seqs,
            max_model_len,
        };
        let options = LoadOptions {
            device: Device::Cpu,
            dtype: Dtype::Auto,
            quantization: Quantization::None,
            limits,
            threads: None,
            pin_threads: false,
            sum_order: SumOrder::Free,
            kv_cache_dtype: KvCacheDtype::Auto,
            lora: None,
        };
        Ok(Self {
            runner: model.load(&options, &mut |_| {})?.runner,
            sizes,
            max_model_len,
            vocab_size,
            fingerprint,
        })
    }

    /// Serves `requests`, all submitted at once, from an empty cache.
    ///
    /// # Errors
    /// Requests that can never run; what the device reports.
    pub fn serve(
        &mut self,
        requests: &Requests,
        enable_prefix_caching: bool,
    ) -> anyhow::Result<RunTiming> {
        let mut scheduler = self.scheduler(requests.count, enable_prefix_caching)?;
        let mut timing = RunTiming::default();
        let mut host = Duration::ZERO;
        for id in 0..requests.count {
            let new = new_sequence(requests, id, self.vocab_size);
            let stopwatch = Stopwatch::start();
            let submitted = scheduler.submit(new, Timestamp(0));
            host += stopwatch.elapsed();
            submitted.context("submitting a request")?;
        }
        let mut batch = StepBatch::default();
        while !scheduler.is_idle() {
            let stopwatch = Stopwatch::start();
            let plan = scheduler.plan_step(Timestamp(1));
            host += stopwatch.elapsed();
            ensure!(
                plan.num_tokens() > 0,
                "a step with work pending computes something"
            );
            fill_batch(&scheduler, &plan, &mut batch);
            let stopwatch = Stopwatch::start();
            self.runner.forward(&batch)?;
            let elapsed = stopwatch.elapsed();
            let sampled = sampled(&plan, self.vocab_size);
            let stopwatch = Stopwatch::start();
            scheduler.commit_step(&plan, &sampled, elapsed);
            host += stopwatch.elapsed();
            timing.model_seconds += elapsed.as_secs_f64();
            timing.tokens_computed += batch.num_tokens();
            timing.steps += 1;
        }
        let stats = scheduler.stats();
        timing.host_seconds = host.as_secs_f64();
        timing.prompt_tokens_computed = stats.prompt_tokens_computed;
        timing.prompt_tokens_cached = stats.prompt_tokens_cached;
        Ok(timing)
    }

    fn scheduler(&self, requests: usize, caching: bool) -> anyhow::Result<Scheduler> {
        let Sizes {
            block_size,
            num_blocks,
            ..
        } = self.sizes;
        let mut config = SchedulerConfig::new(block_size, num_blocks as u32, self.max_model_len);
        config.enable_prefix_caching = caching;
        config.fingerprint = self.fingerprint.clone();
        config.max_num_seqs = self.sizes.max_num_seqs;
        config.max_num_batched_tokens = self.sizes.max_num_batched_tokens;
        config.max_queued_requests = requests;
        config.max_queued_tokens = usize::MAX;
        Ok(Scheduler::new(config)?)
    }
}

fn new_sequence(requests: &Requests, id: usize, vocab_size: usize) -> NewSequence {
    let shared = (0..requests.shared_tokens).map(|at| token(0, at, vocab_size));
    // The first own token is the id itself, so no two prompts agree in it.
    let own = (0..requests.own_tokens).map(|at| match at {
        0 => (id % vocab_size) as u32,
        at => token(1 + id, at, vocab_size),
    });
    NewSequence {
        id: RequestId(id as u64),
        prompt: shared.chain(own).map(TokenId).collect(),
        stop: StopConditions {
            max_tokens: requests.output_tokens,
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

fn fill_batch(scheduler: &Scheduler, plan: &StepPlan, batch: &mut StepBatch) {
    batch.clear();
    let copies = plan.copies.iter().map(|copy| kernels::BlockCopy {
        src: copy.src.0,
        dst: copy.dst.0,
        num_tokens: copy.num_tokens as u32,
    });
    batch.block_copies.extend(copies);
    for chunk in &plan.chunks {
        let tokens = &scheduler.tokens(chunk.request)[chunk.tokens.clone()];
        let tokens: Vec<u32> = tokens.iter().map(|token| token.0).collect();
        let blocks = scheduler.block_table(chunk.request);
        let blocks: Vec<u32> = blocks.iter().map(|block| block.0).collect();
        let inputs = ChunkInputs {
            blocks: &blocks,
            block_size: scheduler.config().block_size,
            start: chunk.tokens.start,
            tokens: &tokens,
            wants_logits: chunk.needs_logits,
        };
        inputs.push_to(batch);
    }
}

/// Arbitrary tokens, so that no time goes into choosing them.
fn sampled(plan: &StepPlan, vocab_size: usize) -> Vec<(RequestId, TokenId)> {
    let chunks = plan.chunks.iter().filter(|chunk| chunk.needs_logits);
    chunks
        .map(|chunk| {
            let next = token(chunk.request.0 as usize, chunk.tokens.end, vocab_size);
            (chunk.request, TokenId(next))
        })
        .collect()
}

//! What a step costs on the host beside the model: plan and commit; the bound is 100 us for 256
//! running sequences.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kv_cache::TokenId;
use scheduler::{
    NewSequence, RequestId, Scheduler, SchedulerConfig, StepPlan, StopConditions, Timestamp,
};

const NUM_SEQS: usize = 256;
/// Steps after which the sequences are made anew, so that their contexts stay near what was asked.
const STEPS_PER_RUN: usize = 256;

/// `NUM_SEQS` sequences with prompts of `context` tokens, all computed.
fn decoding(context: usize, enable_prefix_caching: bool) -> Scheduler {
    let block_size = 16;
    let longest = context + 2 * STEPS_PER_RUN + NUM_SEQS * context / 1024;
    let num_blocks = (NUM_SEQS * (longest / block_size + 2)) as u32;
    let mut config = SchedulerConfig::new(block_size, num_blocks, 1 << 20);
    config.max_num_seqs = NUM_SEQS;
    config.max_queued_tokens = usize::MAX;
    config.enable_prefix_caching = enable_prefix_caching;
    config.output_reserve.initial_ratio = 0.0;
    config.output_reserve.min_ratio = 0.0;
    config.target_itl = Some(Duration::from_millis(50));
    let mut scheduler = Scheduler::new(config).expect("the settings are valid");
    for id in 0..NUM_SEQS as u64 {
        let new = NewSequence {
            id: RequestId(id),
            prompt: (0..context as u32)
                .map(|at| TokenId(at ^ (id as u32) << 16))
                .collect(),
            stop: StopConditions {
                max_tokens: longest - context,
                min_tokens: 0,
                stop_token_ids: vec![TokenId(2)],
            },
            priority: 0,
            cache_salt: Vec::new(),
            min_output_tokens: 0,
            background: false,
            retention: None,
        };
        scheduler
            .submit(new, Timestamp(0))
            .expect("the queue is long enough");
    }
    while scheduler.stats().waiting > 0 || step(&mut scheduler).num_tokens() != NUM_SEQS {
        step(&mut scheduler);
    }
    scheduler
}

fn step(scheduler: &mut Scheduler) -> StepPlan {
    let plan = scheduler.plan_step(Timestamp(1));
    let sampled: Vec<_> = plan
        .chunks
        .iter()
        .filter(|chunk| chunk.needs_logits)
        .map(|chunk| (chunk.request, TokenId(chunk.tokens.end as u32 + 3)))
        .collect();
    scheduler.commit_step(&plan, &sampled, Duration::from_millis(20));
    plan
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn time_steps(scheduler: &mut Scheduler, steps: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..steps {
        assert_eq!(step(scheduler).num_tokens(), NUM_SEQS);
    }
    start.elapsed()
}

fn plan_and_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan_and_commit_256");
    group.sample_size(10);
    for context in [128, 1024, 4096] {
        for (name, caching) in [("cached", true), ("uncached", false)] {
            group.bench_function(BenchmarkId::new(name, context), |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut left = iterations as usize;
                    let mut time = Duration::ZERO;
                    while left > 0 {
                        let steps = left.min(STEPS_PER_RUN);
                        time += time_steps(&mut decoding(context, caching), steps);
                        left -= steps;
                    }
                    time
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, plan_and_commit);
criterion_main!(benches);

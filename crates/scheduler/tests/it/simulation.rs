//! Long random runs with little memory: everybody finishes, with the right answer.

use std::sync::Arc;
use std::time::Duration;

use kv_cache::TokenId;
use scheduler::{
    NewSequence, RequestId, RetainedPrefix, RetentionRequest, SchedulerConfig, SchedulerStats,
    SubmitError,
};

use crate::random::Random;
use crate::world::{World, answer, config, request};

const SEEDS: u64 = 300;
const REQUESTS: u64 = 40;

fn settings(random: &mut Random) -> SchedulerConfig {
    let block_size = [1, 2, 4, 8, 16][random.below(5)];
    let num_blocks = 2 + (8 + random.below(120)).div_ceil(block_size) as u32;
    let mut settings = config(block_size, num_blocks);
    settings.max_num_seqs = 1 + random.below(8);
    settings.max_num_batched_tokens = settings.max_num_seqs + random.below(40);
    settings.enable_prefix_caching = !random.chance(15);
    settings.watermark = random.below(4) as f64 * 0.05;
    settings.output_reserve.initial_ratio = random.below(3) as f64 * 0.3;
    settings.output_reserve.decay_steps = 1 + random.below(50) as u32;
    settings.max_background_share = [0.0, 0.15, 0.5, 1.0][random.below(4)];
    settings.max_queued_background = 1 + random.below(8);
    settings.retention.max_share = random.below(5) as f64 * 0.25;
    settings.retention.max_share_per_key = random.below(5) as f64 * 0.25;
    settings.max_overtakes = random.below(6) as u32;
    settings.max_queued_requests = 1 + random.below(30);
    settings.max_queued_tokens = 20 + random.below(1000);
    settings.target_itl = random.chance(50).then(|| Duration::from_micros(500));
    settings
}

/// A prompt that shares its start with an earlier one, most of the time.
fn new_request(
    id: u64,
    random: &mut Random,
    prompts: &mut Vec<Vec<TokenId>>,
    longest: usize,
) -> NewSequence {
    let mut prompt = match prompts.len() {
        0 => Vec::new(),
        len => prompts[random.below(len)].clone(),
    };
    prompt.truncate(random.below(longest));
    for _ in 0..=random.below(1 + longest / 2) {
        prompt.push(TokenId(random.below(50) as u32));
    }
    prompt.truncate(longest.saturating_sub(1).max(1));
    prompts.push(prompt.clone());
    let room = longest.saturating_sub(prompt.len()).max(1);
    let mut new = request(id, prompt, 1 + random.below(room));
    new.priority = random.below(3) as i32 - 1;
    new.cache_salt = vec![u8::from(random.chance(20))];
    new.background = random.chance(20);
    if random.chance(40) && !new.background {
        new.min_output_tokens = 1 + random.below(new.stop.max_tokens);
    }
    if random.chance(30) {
        let prefix = |random: &mut Random| RetainedPrefix {
            num_tokens: random.below(longest + 1),
            ttl: Duration::from_micros(random.below(20_000) as u64),
        };
        new.retention = Some(RetentionRequest {
            key: Arc::from([random.below(3) as u8]),
            prefixes: (0..random.below(3)).map(|_| prefix(random)).collect(),
        });
    }
    if random.chance(30) {
        new.stop.stop_token_ids = vec![TokenId(random.below(50) as u32)];
    }
    new
}

/// Steps that suffice for the requests that are there, if no others come, and beside those in
/// which the best-ranked running request waits for others' guaranteed output.
///
/// The best-ranked request is passed over at most `max_overtakes` times, and beside these at most
/// `max_num_seqs` run. One of the running ones, the best-ranked, computes at least one token in
/// every step and keeps it. So the best-ranked request runs, and then ends, within so many steps as
/// these have tokens; and so on for the next one.
fn step_bound(settings: &SchedulerConfig, requests: usize, longest: usize) -> usize {
    let before = settings.max_num_seqs + settings.max_overtakes as usize + 1;
    requests * before * longest
}

/// Runs a seed and returns all plans, and what has happened.
fn run(seed: u64) -> (String, SchedulerStats, usize) {
    let mut random = Random::new(seed);
    let settings = settings(&mut random);
    let runs_ahead = random.chance(70);
    let mut world = World::new(settings.clone());
    world.full_check_every = 10;
    let longest = world.scheduler.max_sequence_len();
    let mut prompts = Vec::new();
    let mut expected = Vec::new();
    let mut trace = String::new();
    let mut next_id = 0;
    while next_id < REQUESTS {
        if random.chance(50) {
            let new = new_request(next_id, &mut random, &mut prompts, longest);
            next_id += 1;
            match world.submit(new.clone()) {
                Ok(()) => expected.push(new),
                Err(SubmitError::QueueFull { .. }) => {}
                Err(refused) => panic!("{refused}"),
            }
        }
        if random.chance(5) {
            let id = RequestId(random.below(next_id.max(1) as usize) as u64);
            if world.scheduler.cancel(id) {
                expected.retain(|new| new.id != id);
            }
        }
        if random.chance(3) && !world.scheduler.is_idle() {
            let (plan, _) = world.begin();
            if runs_ahead && world.run_ahead() {
                // What the next step computes of these is worth nothing.
                for chunk in &plan.chunks {
                    world.scheduler.cancel(chunk.request);
                    expected.retain(|new| new.id != chunk.request);
                }
            }
            world.scheduler.abort_step(&plan);
            world.scheduler.check_invariants();
        }
        for _ in 0..random.below(4) {
            let plan = match runs_ahead && random.chance(80) {
                true => world.step_ahead(),
                false => world.step(),
            };
            trace += &format!("{:?} {:?} {:?};", plan.chunks, plan.copies, plan.preempted);
        }
    }
    let waits = world.scheduler.stats().guarantee_waits;
    let stats = world.scheduler.stats();
    let left = stats.running + stats.waiting + stats.background_waiting;
    let steps = match runs_ahead {
        true => world.run_to_end(World::step_ahead),
        false => world.run(),
    } as u64;
    let stats = world.scheduler.stats();
    let advancing = steps - (stats.guarantee_waits - waits);
    assert!(
        advancing <= step_bound(&settings, left, longest) as u64,
        "{left} requests took {steps} steps"
    );
    for new in expected {
        let answer = answer(&new.prompt, &new.stop);
        if world.abandoned.contains(&new.id) {
            let output = world.outputs.get(&new.id).map_or(&[][..], Vec::as_slice);
            assert!(answer.starts_with(output), "{:?}", new.id);
        } else {
            assert_eq!(world.outputs[&new.id], answer, "{:?}", new.id);
            assert!(world.finished.contains_key(&new.id));
        }
    }
    (trace, stats, world.steps_ahead)
}

#[test]
fn every_request_finishes_with_the_answer_it_gets_alone() {
    let (mut preemptions, mut waits, mut abandoned, mut ahead) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let (trace, stats, steps_ahead) = run(seed);
            assert!(trace == run(seed).0, "traces differ");
            (stats, steps_ahead)
        });
        let (stats, steps_ahead) = outcome.unwrap_or_else(|cause| {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(cause);
        });
        preemptions += stats.preemptions;
        waits += stats.guarantee_waits;
        abandoned += stats.abandoned;
        ahead += steps_ahead;
    }
    assert!(ahead > 2_000, "{ahead} steps planned ahead");
    assert!(preemptions > 300, "{preemptions} preemptions");
    assert!(waits > 100, "{waits} waits for guaranteed output");
    assert!(abandoned > 100, "{abandoned} abandoned");
}

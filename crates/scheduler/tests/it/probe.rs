//! A probe says what admission will find, and changes nothing.

use kv_cache::TokenId;
use scheduler::{ProbePrompt, ProbedPrompt, RequestId, SchedulerConfig};

use crate::random::Random;
use crate::world::{World, config, request, tokens};

fn probe(world: &World, tokens: &[TokenId], salt: &[u8]) -> ProbedPrompt {
    let prompt = ProbePrompt {
        tokens: tokens.to_vec(),
        cache_salt: salt.to_vec(),
    };
    world.scheduler.probe(&[prompt], 0).prompts[0]
}

fn settings(random: &mut Random) -> SchedulerConfig {
    let block_size = [1, 2, 3, 4, 8, 16, 32][random.below(7)];
    let mut settings = config(block_size, 4 + random.below(30) as u32);
    settings.max_num_seqs = 4;
    settings.max_num_batched_tokens = 4 + random.below(60);
    settings.enable_prefix_caching = !random.chance(10);
    settings
}

/// A prompt that shares a random part of an earlier one.
fn prompt(random: &mut Random, earlier: &mut Vec<Vec<TokenId>>, longest: usize) -> Vec<TokenId> {
    let mut prompt = match earlier.len() {
        0 => Vec::new(),
        len => earlier[random.below(len)].clone(),
    };
    prompt.truncate(random.below(longest));
    for _ in 0..=random.below(longest / 2) {
        prompt.push(TokenId(random.below(50) as u32));
    }
    prompt.truncate(longest - 1);
    earlier.push(prompt.clone());
    prompt
}

#[test]
fn what_is_not_cached_is_computed_to_the_token() {
    let (mut partial, mut evictions, mut cached) = (0, 0, 0);
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let settings = settings(&mut random);
        let block_size = settings.block_size;
        let mut world = World::new(settings);
        let longest = world.scheduler.max_sequence_len();
        let mut prompts = Vec::new();
        for id in 0..25 {
            let prompt = prompt(&mut random, &mut prompts, longest);
            let salt = vec![u8::from(random.chance(20))];
            let probed = probe(&world, &prompt, &salt);
            let mut new = request(id, prompt.clone(), 1);
            new.cache_salt = salt;
            world.submit(new).expect("the request is taken");
            world.run();
            let admitted = &world.admitted[&RequestId(id)];
            assert_eq!(
                (admitted.cached_tokens, admitted.miss),
                (probed.cached_tokens, probed.miss),
                "seed {seed}, request {id}"
            );
            assert_eq!(world.computed(id), prompt.len() - probed.cached_tokens);
            assert_eq!(probed.pending_tokens, 0);
            partial += usize::from(!probed.cached_tokens.is_multiple_of(block_size));
            cached += probed.cached_tokens;
        }
        evictions += world.scheduler.stats().cache.evictions;
    }
    assert!(partial > 500, "{partial} partial hits");
    assert!(evictions > 5_000, "{evictions} evictions");
    assert!(cached > 50_000, "{cached} cached tokens");
}

#[test]
fn what_another_is_computing_is_pending() {
    for (len, shared) in [(500, 500), (500, 333), (500, 480), (500, 260), (1_000, 499)] {
        for block_size in [1, 4, 16] {
            let mut settings = config(block_size, 2_000);
            settings.max_num_batched_tokens = 128;
            settings.max_num_seqs = 8;
            let mut world = World::new(settings);
            world.add(1, tokens(0, 500), 1);
            world.step();
            let mut prompt = tokens(0, shared);
            prompt.extend(tokens(1, len - shared));
            let probed = probe(&world, &prompt, b"");
            assert_eq!(probed.cached_tokens, 128);
            let known = shared.min(len - 1);
            assert_eq!(probed.pending_tokens, known - 128, "{len}, {shared}");
            world.add(2, prompt, 1);
            world.run();
            assert_eq!(world.admitted[&RequestId(2)].cached_tokens, known);
            assert_eq!(world.computed(2), len - known);
        }
    }
}

#[test]
fn nobody_waits_for_a_lower_class() {
    let mut settings = config(16, 2_000);
    settings.max_num_batched_tokens = 128;
    settings.max_num_seqs = 8;
    let mut world = World::new(settings);
    let mut low = request(1, tokens(0, 500), 1);
    low.priority = 1;
    world.submit(low).expect("the request is taken");
    world.step();
    let prompts = [ProbePrompt {
        tokens: tokens(0, 500),
        cache_salt: Vec::new(),
    }];
    for (priority, pending) in [(0, 0), (1, 371)] {
        let probed = world.scheduler.probe(&prompts, priority).prompts[0];
        assert_eq!(
            (probed.cached_tokens, probed.pending_tokens),
            (128, pending)
        );
    }
}

#[test]
fn probing_changes_nothing() {
    for seed in 0..30 {
        let run = |probing: bool| {
            let mut random = Random::new(seed);
            let mut world = World::new(settings(&mut random));
            let longest = world.scheduler.max_sequence_len();
            let mut prompts = Vec::new();
            let mut trace = String::new();
            for id in 0..30 {
                let prompt = prompt(&mut random, &mut prompts, longest);
                let room = longest - prompt.len();
                world.add(id, prompt, 1 + random.below(room));
                for _ in 0..random.below(3) {
                    if probing {
                        for prompt in &prompts {
                            probe(&world, prompt, b"");
                        }
                    }
                    let plan = world.step();
                    trace += &format!("{:?}{:?}{:?}", plan.chunks, plan.copies, plan.preempted);
                }
            }
            world.run();
            trace += &format!("{:?}", world.scheduler.stats());
            trace
        };
        assert!(run(true) == run(false), "seed {seed}");
    }
}

#[test]
fn the_answer_has_the_memory_and_the_costs() {
    let mut world = World::new(config(4, 101));
    let cold = world.scheduler.probe(&[], 0);
    assert_eq!((cold.num_blocks, cold.num_free_blocks), (100, 100));
    assert!(!cold.step_costs.is_measured && cold.prefill_rate.is_none());
    for id in 0..8 {
        world.add(id, tokens(id as u32, 10 + 3 * id as usize), 5);
        world.run();
    }
    world.add(9, tokens(9, 40), 50);
    world.step();
    let warm = world.scheduler.probe(&[], 0);
    assert_eq!((warm.num_free_blocks, warm.running), (90, 1));
    assert!((warm.pressure() - 0.1).abs() < 1e-9);
    // The model takes 1 ms per step and 0.1 ms per token.
    let costs = warm.step_costs;
    assert!(costs.is_measured);
    assert!((costs.per_step - 1e-3).abs() < 1e-5, "{costs:?}");
    assert!((costs.per_token - 1e-4).abs() < 1e-6, "{costs:?}");
    assert!(warm.prefill_rate.is_some_and(|rate| rate > 1_000.0));
    let probed = probe(&world, &tokens(20, 3_000), b"");
    assert!(
        (probed.prefill_seconds - (2.0 * 1e-3 + 0.3)).abs() < 3e-3,
        "{probed:?}"
    );
}

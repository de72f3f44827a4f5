//! Prefixes that are kept beyond their turn.

use std::sync::Arc;
use std::time::Duration;

use scheduler::{RequestId, RetainedPrefix, RetentionRequest};

use crate::world::{World, config, request, tokens};

const HOUR: Duration = Duration::from_secs(3_600);

/// A pool of 4,000 tokens.
fn world() -> World {
    World::new(config(16, 251))
}

/// Runs a prompt of `len` tokens that nobody else has, of which `kept` are to be kept.
fn run(world: &mut World, id: u64, len: usize, kept: usize, key: &str) -> usize {
    let mut new = request(id, tokens(id as u32, len), 1);
    new.retention = Some(RetentionRequest {
        key: Arc::from(key.as_bytes()),
        prefixes: vec![RetainedPrefix {
            num_tokens: kept,
            ttl: HOUR,
        }],
    });
    let before = world.scheduler.stats().num_retained_blocks;
    world.submit(new).expect("the queue is empty");
    world.run();
    (world.scheduler.stats().num_retained_blocks - before) * 16
}

/// Runs a prompt again and returns how much of it was cached.
fn cached(world: &mut World, id: u64, prompt: u32, len: usize) -> usize {
    world.add(id, tokens(prompt, len), 1);
    world.run();
    world.admitted[&RequestId(id)].cached_tokens
}

#[test]
fn two_thousand_tokens_survive_a_flood_of_ten_thousand() {
    for (kept, expected) in [(2_000, 2_000), (0, 0)] {
        let mut world = world();
        assert_eq!(run(&mut world, 1, 2_001, kept, "agent"), kept);
        for id in 100..120 {
            world.add(id, tokens(id as u32, 500), 1);
            world.run();
        }
        assert_eq!(cached(&mut world, 2, 1, 2_001), expected);
        assert_eq!(world.scheduler.stats().cache.retained_evictions, 0);
    }
}

#[test]
fn a_key_over_its_quota_evicts_nothing_that_others_retain() {
    let mut world = world();
    assert_eq!(run(&mut world, 1, 801, 800, "careful"), 800);
    let greedy: usize = (100..120)
        .map(|id| run(&mut world, id, 500, 496, "greedy"))
        .sum();
    assert_eq!(greedy, 2_000, "half of the pool is the default quota");
    assert_eq!(cached(&mut world, 2, 1, 801), 800);
    assert_eq!(world.scheduler.stats().cache.retained_evictions, 0);
}

#[test]
fn what_is_in_the_prompt_is_kept_and_no_more() {
    let mut world = world();
    assert_eq!(run(&mut world, 1, 100, 100_000, "agent"), 96);
    assert_eq!(run(&mut world, 2, 15, 15, "agent"), 0, "no whole block");
}

//! What fits into a step.

use std::time::Duration;

use crate::world::{World, config, tokens};

#[test]
fn a_prompt_is_computed_in_chunks_that_end_with_blocks() {
    let mut settings = config(16, 1000);
    settings.max_num_seqs = 4;
    settings.max_num_batched_tokens = 100;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 250), 1);
    let chunk = |world: &mut World| world.step().chunks[0].tokens.clone();
    assert_eq!(chunk(&mut world), 0..96);
    assert_eq!(chunk(&mut world), 96..192);
    assert_eq!(chunk(&mut world), 192..250);
    assert!(world.scheduler.is_idle());
}

#[test]
fn a_budget_below_a_block_still_makes_progress() {
    let mut settings = config(16, 1000);
    settings.max_num_seqs = 1;
    settings.max_num_batched_tokens = 3;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 50), 2);
    // Chunks stop at blocks: six of 3, 3, 3, 3, 3, 1 tokens for each of two blocks, six of 3 for the
    // rest, and a decode.
    assert_eq!(world.run(), 6 + 6 + 6 + 1);
}

#[test]
fn decodes_come_before_prompts() {
    let mut settings = config(16, 1000);
    settings.max_num_seqs = 4;
    settings.max_num_batched_tokens = 64;
    let mut world = World::new(settings);
    for id in 0..3 {
        world.add(id.into(), tokens(id, 5), 50);
    }
    world.step();
    // The long prompt has the better class, and does not starve the others.
    let mut long = crate::world::request(9, tokens(9, 640), 1);
    long.priority = -1;
    world.submit(long).expect("the request is taken");
    for _ in 0..10 {
        let plan = world.step();
        assert_eq!(plan.chunks.len(), 4);
        assert!(plan.chunks[..3].iter().all(|chunk| chunk.tokens.len() == 1));
    }
}

#[test]
fn prompts_shrink_while_others_decode_and_not_otherwise() {
    let mut settings = config(16, 10_000);
    settings.target_itl = Some(Duration::from_millis(20));
    let mut world = World::new(settings);
    world.step_time = (Duration::from_millis(2), Duration::from_micros(100));
    // Learn from prompts and decodes of several sizes.
    for (id, len) in [(1, 100), (2, 700), (3, 1500), (4, 300)] {
        world.add(id, tokens(id as u32, len), 3);
        world.run();
    }
    world.add(10, tokens(10, 5), 200);
    world.step();
    world.add(11, tokens(11, 1000), 1);
    while world.computed(11) < 1000 {
        let plan = world.step();
        let predicted = plan.predicted.expect("steps were measured");
        assert!(predicted <= Duration::from_millis(20), "{predicted:?}");
        let tokens = plan.num_tokens();
        assert!(tokens <= 180, "2 ms + 180 * 0.1 ms = 20 ms; {tokens}");
        let is_last = world.computed(11) == 1000;
        assert!(is_last || tokens > 150, "the time is used: {tokens}");
    }
    while !world.scheduler.is_idle() {
        world.step();
    }
    world.add(12, tokens(12, 2048), 1);
    assert_eq!(world.step().num_tokens(), 2048, "nobody waits for a token");
}

#[test]
fn a_target_that_cannot_be_met_still_lets_prompts_advance() {
    let mut settings = config(16, 10_000);
    settings.target_itl = Some(Duration::from_millis(1));
    let mut world = World::new(settings);
    world.step_time = (Duration::from_millis(5), Duration::from_millis(1));
    for (id, len) in [(1, 100), (2, 700), (3, 50), (4, 300)] {
        world.add(id, tokens(id as u32, len), 3);
        world.run();
    }
    world.add(10, tokens(10, 5), 500);
    world.step();
    world.add(11, tokens(11, 160), 1);
    world.add(12, tokens(12, 160), 1);
    for _ in 0..10 {
        let plan = world.step();
        assert_eq!(plan.num_tokens(), 1 + 16, "one block of one prompt");
    }
    world.run();
}

//! Steps that are planned before the one before them has ended.

use kv_cache::TokenId;
use scheduler::{FinishReason, RequestId, WindowConfig};

use crate::world::{World, answer, config, request, tokens};

#[test]
fn a_sequence_decodes_in_steps_that_are_all_planned_ahead() {
    let mut world = World::new(config(4, 100));
    world.add(1, tokens(0, 10), 7);
    let steps = world.run_to_end(World::step_ahead);
    let new = request(1, tokens(0, 10), 7);
    assert_eq!(world.outputs[&RequestId(1)], answer(&new.prompt, &new.stop));
    // Nothing is computed behind the last token, which is known to be the last.
    assert_eq!((steps, world.steps_ahead), (7, 6));
    assert_eq!(world.computed(1), 10 + 6);
}

#[test]
fn what_is_computed_behind_a_stop_token_is_not_used() {
    let prompt = tokens(0, 7);
    let mut new = request(1, prompt.clone(), 9);
    let answer = answer(&prompt, &new.stop);
    let stop = answer[3];
    assert!(!answer[..3].contains(&stop));
    new.stop.stop_token_ids = vec![stop];
    let mut world = World::new(config(4, 100));
    world.submit(new).unwrap();
    let steps = world.run_to_end(World::step_ahead);
    assert_eq!(world.outputs[&RequestId(1)], answer[..4]);
    assert_eq!(
        world.finished[&RequestId(1)],
        FinishReason::Stop(stop),
        "the token behind it is nobody's"
    );
    // The stop token's own KV, and the step for it.
    assert_eq!((steps, world.computed(1)), (5, 7 + 4));
    // Positions 0..10 are cached, the last of them in a part of a block; position 10 is not.
    let history = [&prompt[..], &answer[..4], &[TokenId(999)]].concat();
    world.add(2, history, 1);
    world.run();
    assert_eq!(world.admitted[&RequestId(2)].cached_tokens, 10);
}

#[test]
fn a_sequence_that_has_ended_keeps_its_blocks_for_the_step_behind() {
    let prompt = tokens(0, 8);
    let mut new = request(1, prompt.clone(), 9);
    new.stop.stop_token_ids = vec![answer(&prompt, &new.stop)[0]];
    let mut world = World::new(config(4, 100));
    world.submit(new).unwrap();
    let (plan, sampled) = world.begin();
    assert!(world.run_ahead());
    let held = world.scheduler.cache().pool().num_in_use();
    assert_eq!(held, 3, "of the prompt, and of the token behind it");
    world.commit(&plan, &sampled);
    assert!(world.finished.contains_key(&RequestId(1)));
    assert!(!world.scheduler.is_idle());
    assert_eq!(world.scheduler.cache().pool().num_in_use(), held);
    assert!(!world.scheduler.cancel(RequestId(1)), "it has ended");
    world.step();
    assert!(world.scheduler.is_idle());
    assert_eq!(world.scheduler.cache().pool().num_in_use(), 0);
}

#[test]
fn the_pieces_of_a_prompt_follow_each_other() {
    let mut settings = config(4, 100);
    (settings.max_num_batched_tokens, settings.max_num_seqs) = (8, 2);
    let mut world = World::new(settings);
    world.add(1, tokens(0, 30), 2);
    let mut ranges = Vec::new();
    while !world.scheduler.is_idle() {
        let plan = world.step_ahead();
        ranges.extend(plan.chunks.into_iter().map(|chunk| chunk.tokens));
    }
    assert_eq!(ranges, [0..8, 8..16, 16..24, 24..30, 30..31]);
}

#[test]
fn requests_join_a_step_that_is_planned_ahead() {
    let mut world = World::new(config(4, 100));
    world.add(1, tokens(0, 6), 5);
    let (plan, sampled) = world.begin();
    world.add(2, tokens(1, 6), 5);
    assert!(world.run_ahead());
    assert!(world.is_running(2));
    world.commit(&plan, &sampled);
    world.run_to_end(World::step_ahead);
    for (id, start) in [(1, 0), (2, 1)] {
        let new = request(id, tokens(start, 6), 5);
        assert_eq!(
            world.outputs[&RequestId(id)],
            answer(&new.prompt, &new.stop)
        );
    }
}

#[test]
fn nobody_shares_blocks_before_the_step_that_computes_them_has_ended() {
    let mut world = World::new(config(4, 100));
    world.add(1, tokens(0, 12), 3);
    let (plan, sampled) = world.begin();
    world.add(2, tokens(0, 12), 3);
    assert!(world.run_ahead());
    assert!(!world.is_running(2), "it waits for the blocks");
    world.commit(&plan, &sampled);
    world.run_to_end(World::step_ahead);
    assert_eq!(world.admitted[&RequestId(2)].cached_tokens, 11);
}

#[test]
fn where_somebody_could_lose_memory_the_step_ends_first() {
    // Two sequences that need a third block each for their third token, and one block that is free.
    let mut world = World::new(config(2, 6));
    world.add(1, tokens(0, 3), 3);
    world.add(2, tokens(1, 3), 3);
    let (plan, sampled) = world.begin();
    assert_eq!(plan.chunks.len(), 2);
    assert!(world.run_ahead(), "both have room for their fourth token");
    world.commit(&plan, &sampled);
    let (plan, sampled) = world.begin();
    assert!(!world.run_ahead(), "one of them has none for the fifth");
    world.commit(&plan, &sampled);
    world.run_to_end(World::step_ahead);
    assert_eq!(world.scheduler.stats().preemptions, 1);
}

#[test]
fn work_in_the_background_is_not_planned_ahead_of() {
    let mut world = World::new(config(4, 100));
    world.add(1, tokens(0, 6), 5);
    let mut behind = request(2, tokens(1, 6), 5);
    behind.background = true;
    world.submit(behind).unwrap();
    world.begin();
    assert!(!world.run_ahead());
}

#[test]
fn of_a_failed_step_those_end_that_the_next_one_has_too() {
    let mut world = World::new(config(4, 100));
    world.add(1, tokens(0, 6), 5);
    let (plan, _) = world.begin();
    world.add(2, tokens(1, 6), 5);
    assert!(world.run_ahead());
    world.scheduler.cancel(RequestId(1));
    world.scheduler.abort_step(&plan);
    world.scheduler.check_invariants();
    world.run_to_end(World::step_ahead);
    assert_eq!(world.outputs.get(&RequestId(1)), None);
    let new = request(2, tokens(1, 6), 5);
    assert_eq!(world.outputs[&RequestId(2)], answer(&new.prompt, &new.stop));
}

#[test]
fn window_blocks_suffice_for_two_steps_or_the_step_ends_first() {
    for (steps, is_ahead) in [(1, false), (2, true)] {
        let mut settings = config(1, 100);
        (settings.max_num_batched_tokens, settings.max_num_seqs) = (8, 1);
        settings.window = Some(WindowConfig {
            tokens: 1,
            num_blocks: WindowConfig::blocks_for(1, 1, 1, steps * 8) as u32,
        });
        let mut world = World::new(settings);
        world.add(1, tokens(0, 40), 3);
        let (plan, sampled) = world.begin();
        assert_eq!(world.run_ahead(), is_ahead);
        world.commit(&plan, &sampled);
        world.run_to_end(World::step_ahead);
        assert_eq!(world.outputs[&RequestId(1)].len(), 3);
    }
}

//! The guards on admission beside running requests.

use crate::world::{World, config, tokens};

#[test]
fn the_whole_prompt_must_fit_at_once() {
    let mut settings = config(4, 11);
    settings.max_num_batched_tokens = 256;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 15), 9);
    world.step();
    // Six of ten blocks are free: one block too few for the second, though its first chunk fits.
    world.add(2, tokens(2, 25), 1);
    world.step();
    assert!(!world.is_running(2));
    world.add(3, tokens(3, 20), 1);
    let plan = world.step();
    assert!(
        plan.chunks.iter().any(|chunk| chunk.request.0 == 3),
        "a smaller one fits"
    );
    world.run();
    assert_eq!(world.scheduler.stats().preemptions, 0);
}

#[test]
fn blocks_promised_to_a_prompt_in_progress_are_not_given_away() {
    let mut settings = config(4, 11);
    settings.max_num_seqs = 4;
    settings.max_num_batched_tokens = 8;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 32), 4);
    world.step();
    // Two blocks are taken, six more are promised.
    world.add(2, tokens(2, 12), 1);
    for _ in 0..3 {
        world.step();
        assert!(!world.is_running(2));
    }
    world.run();
    assert_eq!(world.scheduler.stats().preemptions, 0);
}

#[test]
fn a_watermark_is_kept_free_when_others_run() {
    for (watermark, fits) in [(0.0, true), (0.2, true), (0.3, false)] {
        let mut settings = config(4, 11);
        settings.watermark = watermark;
        let mut world = World::new(settings);
        world.add(1, tokens(1, 14), 2);
        world.step();
        // Four blocks are taken, four are needed, two remain.
        world.add(2, tokens(2, 14), 2);
        let plan = world.plan();
        assert_eq!(plan.chunks.len() == 2, fits, "watermark {watermark}");
        let sampled = world.compute(&plan);
        world.commit(&plan, &sampled);
        world.run();
    }
}

#[test]
fn a_lone_request_needs_no_watermark() {
    let mut settings = config(4, 11);
    settings.watermark = 0.9;
    settings.output_reserve.initial_ratio = 1.0;
    settings.output_reserve.min_ratio = 1.0;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 30), 10);
    world.add(2, tokens(2, 30), 10);
    world.run();
    assert_eq!(world.outputs.len(), 2);
    assert_eq!(
        world.scheduler.stats().preemptions,
        0,
        "they run one after the other"
    );
}

#[test]
fn room_is_reserved_for_output() {
    for (ratio, clip, fits) in [
        (0.0, 99, true),
        (0.5, 99, true),
        (1.0, 99, false),
        (1.0, 3, true),
    ] {
        let mut settings = config(4, 11);
        settings.output_reserve.initial_ratio = ratio;
        settings.output_reserve.min_ratio = ratio;
        settings.output_reserve.clip = clip;
        let mut world = World::new(settings);
        world.add(1, tokens(1, 12), 13);
        world.step();
        // Three blocks are taken, three needed; four remain for 12 + 8 tokens of output.
        world.add(2, tokens(2, 12), 8);
        let plan = world.step();
        assert_eq!(plan.chunks.len() == 2, fits, "ratio {ratio}, clip {clip}");
        world.run();
    }
}

#[test]
fn the_reserve_falls_with_calm_and_rises_with_preemption() {
    let mut settings = config(4, 9);
    settings.output_reserve.initial_ratio = 0.4;
    settings.output_reserve.min_ratio = 0.0;
    settings.output_reserve.decay_steps = 4;
    let mut world = World::new(settings);
    let ratio = |world: &World| world.scheduler.stats().output_reserve_ratio;
    world.add(1, tokens(1, 8), 20);
    for expected in [0.3, 0.2, 0.1, 0.0, 0.0] {
        world.step();
        assert!((ratio(&world) - expected).abs() < 1e-9);
    }
    world.add(2, tokens(2, 8), 20);
    while world.scheduler.stats().preemptions == 0 {
        world.step();
    }
    assert!((ratio(&world) - 0.5).abs() < 1e-9, "halfway to 1");
    world.run();
}

#[test]
fn no_more_sequences_run_than_may() {
    let mut settings = config(4, 1000);
    settings.max_num_seqs = 3;
    let mut world = World::new(settings);
    for id in 0..10 {
        world.add(id.into(), tokens(id, 5), 4);
    }
    let plan = world.step();
    assert_eq!(plan.chunks.len(), 3);
    world.run();
    assert_eq!(world.finished.len(), 10);
}

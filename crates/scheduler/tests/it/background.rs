//! Work that others do not notice.

use std::time::Duration;

use scheduler::{NewSequence, RequestId, SequenceState, SubmitError};

use crate::random::Random;
use crate::world::{World, answer, config, request, tokens};

fn background(id: u64, prompt_len: usize, max_tokens: usize) -> NewSequence {
    NewSequence {
        background: true,
        ..request(id, tokens(id as u32, prompt_len), max_tokens)
    }
}

#[test]
fn it_takes_its_share_beside_others_and_all_of_an_idle_step() {
    let mut settings = config(4, 1_000);
    settings.max_num_seqs = 8;
    settings.max_num_batched_tokens = 200;
    settings.max_background_share = 0.15;
    let mut world = World::new(settings);
    world.submit(background(1, 900, 1)).expect("it is taken");
    assert_eq!(world.step().num_tokens(), 200, "nothing else runs");
    world.add(2, tokens(2, 10), 5);
    for expected in [10 + 28, 1 + 28, 1 + 28, 1 + 28, 1 + 28] {
        // 30 tokens, cut to whole blocks.
        assert_eq!(world.step().num_tokens(), expected);
    }
    assert!(world.finished.contains_key(&RequestId(2)));
    assert_eq!(world.step().num_tokens(), 200);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)].len(), 1);
}

#[test]
fn it_is_admitted_when_nobody_else_waits_and_leaves_the_watermark() {
    let mut settings = config(4, 41);
    settings.max_num_seqs = 2;
    settings.watermark = 0.25;
    settings.max_num_batched_tokens = 64;
    settings.max_background_share = 1.0;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 30), 3);
    world.add(2, tokens(2, 30), 9);
    world.add(3, tokens(3, 30), 9);
    world.submit(background(4, 4, 1)).expect("it is taken");
    world.submit(background(5, 80, 1)).expect("it is taken");
    while !world.is_running(3) {
        assert_eq!(
            world.scheduler.state(RequestId(4)),
            Some(SequenceState::Waiting)
        );
        world.step();
    }
    world.run();
    let position = |id| {
        world
            .admissions
            .iter()
            .position(|other| *other == RequestId(id))
    };
    assert_eq!(position(4), Some(3));
    // 20 blocks, a watermark of 10 and the 10 of another do not fit into 40 together with its copy
    // of the output, so it comes when it is alone.
    assert_eq!(position(5), Some(4));
}

#[test]
fn it_is_abandoned_when_others_need_its_blocks() {
    let mut world = World::new(config(4, 11));
    world.submit(background(1, 18, 20)).expect("it is taken");
    world.submit(background(2, 8, 10)).expect("it is taken");
    world.step();
    assert!(world.is_running(1) && world.is_running(2));
    // Three blocks are free: the younger one's two make five.
    world.add(3, tokens(3, 20), 1);
    let plan = world.step();
    assert_eq!(plan.abandoned, [RequestId(2)]);
    assert!(world.finished.contains_key(&RequestId(3)) && world.is_running(1));
    // A sequence that grows takes the blocks of the other one, too.
    world.add(4, tokens(4, 4), 30);
    world.run();
    assert!(world.abandoned.contains(&RequestId(1)));
    assert_eq!(world.outputs[&RequestId(4)].len(), 30);
    assert_eq!(world.scheduler.stats().preemptions, 0);
}

#[test]
fn it_gives_up_its_slot() {
    let mut settings = config(4, 100);
    settings.max_num_seqs = 2;
    let mut world = World::new(settings);
    world.submit(background(1, 8, 90)).expect("it is taken");
    world.submit(background(2, 8, 90)).expect("it is taken");
    world.step();
    world.add(3, tokens(3, 8), 9);
    assert_eq!(world.step().abandoned, [RequestId(2)]);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)].len(), 90);
}

#[test]
fn it_is_not_abandoned_in_vain() {
    let mut world = World::new(config(4, 11));
    world.add(1, tokens(1, 20), 12);
    world.submit(background(2, 8, 4)).expect("it is taken");
    world.step();
    // Seven blocks are needed; with the background's, five are free.
    world.add(3, tokens(3, 27), 1);
    assert!(world.step().abandoned.is_empty());
    world.run();
    assert_eq!(world.outputs[&RequestId(2)].len(), 4);
}

#[test]
fn others_do_not_wait_for_what_it_computes() {
    let mut settings = config(16, 2_000);
    settings.max_num_seqs = 8;
    settings.max_num_batched_tokens = 128;
    let mut world = World::new(settings);
    let mut slow = background(1, 0, 1);
    slow.prompt = tokens(0, 1_000);
    world.submit(slow).expect("it is taken");
    world.step();
    world.add(2, tokens(0, 1_000), 1);
    world.step();
    assert!(world.is_running(2));
    world.run();
    assert_eq!(world.outputs[&RequestId(1)], world.outputs[&RequestId(2)]);
}

#[test]
fn its_queue_is_its_own() {
    let mut settings = config(4, 100);
    settings.max_queued_requests = 2;
    settings.max_queued_background = 1;
    settings.max_queued_tokens = 10;
    let mut world = World::new(settings);
    world.submit(background(1, 80, 1)).expect("it is taken");
    let refused = world.submit(background(2, 8, 1));
    assert!(matches!(refused, Err(SubmitError::QueueFull { .. })));
    world.add(3, tokens(3, 4), 1);
    world.add(4, tokens(4, 4), 1);
    assert_eq!(world.scheduler.stats().queued_uncached_tokens, 8);
    world.run();
}

/// Runs random requests with little memory; what is planned for all but the background.
fn foreground_plans(seed: u64, with_background: bool) -> (String, usize, usize) {
    let mut random = Random::new(seed);
    let block_size = [1, 2, 4, 8, 16][random.below(5)];
    let mut settings = config(
        block_size,
        2 + (20 + random.below(100)).div_ceil(block_size) as u32,
    );
    settings.max_num_seqs = 2 + random.below(6);
    settings.max_num_batched_tokens = settings.max_num_seqs + random.below(40);
    settings.enable_prefix_caching = false;
    settings.watermark = random.below(3) as f64 * 0.1;
    settings.output_reserve.initial_ratio = random.below(3) as f64 * 0.3;
    settings.max_background_share = random.below(5) as f64 * 0.25;
    settings.max_overtakes = random.below(4) as u32;
    let mut world = World::new(settings);
    world.full_check_every = 10;
    // Without a measurement, nothing depends on how long a step takes.
    world.step_time = (Duration::ZERO, Duration::ZERO);
    let longest = world.scheduler.max_sequence_len();
    let (mut trace, mut steps) = (String::new(), 0);
    let mut taken = Vec::new();
    for id in 0..60 {
        let prompt_len = 1 + random.below(longest / 2);
        let max_tokens = 1 + random.below(longest - prompt_len);
        let mut new = request(id, tokens(id as u32, prompt_len), max_tokens);
        new.background = random.chance(40);
        new.priority = random.below(2) as i32;
        if random.chance(30) && !new.background {
            new.min_output_tokens = random.below(max_tokens);
        }
        if !new.background || with_background {
            world.submit(new.clone()).expect("the queue is long");
            taken.push(new);
        }
        for _ in 0..random.below(12) {
            let plan = world.step();
            let in_front =
                |id: &RequestId| taken.iter().any(|new| new.id == *id && !new.background);
            let chunks = plan.chunks.iter().filter(|chunk| in_front(&chunk.request));
            trace += &format!("{:?} {:?};", chunks.collect::<Vec<_>>(), plan.preempted);
            steps += 1;
        }
    }
    world.run();
    for new in taken
        .iter()
        .filter(|new| !world.abandoned.contains(&new.id))
    {
        assert_eq!(world.outputs[&new.id], answer(&new.prompt, &new.stop));
    }
    (trace, steps, world.abandoned.len())
}

#[test]
fn others_are_planned_as_if_it_were_not_there() {
    let mut abandoned = 0;
    for seed in 0..200 {
        let (alone, ..) = foreground_plans(seed, false);
        let (beside, steps, ended) = foreground_plans(seed, true);
        assert!(alone == beside, "seed {seed} differs within {steps} steps");
        abandoned += ended;
    }
    assert!(abandoned > 500, "{abandoned} abandoned");
}

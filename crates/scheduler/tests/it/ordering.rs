//! In which order waiting requests are admitted.

use scheduler::{RequestId, Timestamp};

use crate::world::{World, config, request, tokens};

/// One runs at a time, so the order of admission is the queue's.
fn one_at_a_time(max_overtakes: u32) -> World {
    let mut settings = config(4, 1000);
    settings.max_num_seqs = 1;
    settings.max_num_batched_tokens = 2048;
    settings.max_overtakes = max_overtakes;
    World::new(settings)
}

fn order(world: &World) -> Vec<u64> {
    world.admissions.iter().map(|id| id.0).collect()
}

#[test]
fn lower_classes_wait() {
    let mut world = one_at_a_time(100);
    for (id, priority) in [(1, 5), (2, 0), (3, -1), (4, 0), (5, 5)] {
        let mut new = request(id, tokens(id as u32, 8), 2);
        new.priority = priority;
        world.submit(new).expect("the request is taken");
    }
    world.run();
    assert_eq!(order(&world), [3, 2, 4, 1, 5]);
}

#[test]
fn short_work_goes_first() {
    let mut world = one_at_a_time(100);
    world.now = Timestamp(1_000_000_000);
    for (id, len) in [(1, 300), (2, 20), (3, 100)] {
        world.add(id, tokens(id as u32, len), 2);
    }
    world.now = Timestamp(1_100_000_000);
    world.run();
    assert_eq!(order(&world), [2, 3, 1]);
}

#[test]
fn cached_tokens_are_not_work() {
    let mut world = one_at_a_time(100);
    world.add(1, tokens(1, 400), 2);
    world.run();
    world.add(2, tokens(2, 100), 2);
    world.add(3, tokens(1, 400), 2);
    world.now = Timestamp(world.now.0 + 1_000_000);
    world.run();
    assert_eq!(order(&world), [1, 3, 2]);
}

#[test]
fn waiting_makes_up_for_length() {
    let mut world = one_at_a_time(100);
    world.add(1, tokens(1, 8), 2);
    world.run();
    world.add(2, tokens(2, 400), 2);
    // By the time the short one arrives, the long one has waited many times its own length.
    world.now = Timestamp(world.now.0 + 3_600_000_000_000);
    world.add(3, tokens(3, 8), 2);
    world.run();
    assert_eq!(order(&world), [1, 2, 3]);
}

#[test]
fn nobody_is_passed_over_more_often_than_allowed() {
    for max_overtakes in [0, 1, 3] {
        let mut world = one_at_a_time(max_overtakes);
        world.add(1, tokens(1, 1000), 2);
        for id in 2..10 {
            world.add(id, tokens(id as u32, 8), 2);
        }
        world.now = Timestamp(1_000_000);
        world.run();
        let at = order(&world).iter().position(|&id| id == 1);
        assert_eq!(at, Some(max_overtakes as usize));
    }
}

#[test]
fn a_request_that_does_not_fit_stops_the_others_in_the_end() {
    let mut settings = config(4, 21);
    settings.max_num_seqs = 8;
    settings.max_overtakes = 3;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 20), 30);
    world.step();
    // Needs 15 blocks; 20 are there, of which 5 and more are taken.
    world.add(2, tokens(2, 60), 2);
    for id in 3..20 {
        world.add(id, tokens(id as u32, 4), 3);
    }
    world.run();
    assert_eq!(order(&world)[0], 1);
    assert_eq!(order(&world).iter().position(|&id| id == 2), Some(1 + 3));
    assert_eq!(world.finished.len(), 19);
}

#[test]
fn a_better_class_is_not_held_up_by_a_passed_over_request() {
    let mut settings = config(4, 21);
    settings.max_num_seqs = 8;
    settings.max_overtakes = 0;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 20), 30);
    world.step();
    world.add(2, tokens(2, 60), 2);
    world.add(3, tokens(3, 4), 3);
    let mut urgent = request(4, tokens(4, 4), 3);
    urgent.priority = -1;
    world.submit(urgent).expect("the request is taken");
    world.step();
    assert!(world.admitted.contains_key(&RequestId(4)));
    assert!(
        !world.admitted.contains_key(&RequestId(2)),
        "it does not fit"
    );
    assert!(
        !world.admitted.contains_key(&RequestId(3)),
        "nobody of its class goes before"
    );
    world.run();
}

#[test]
fn a_long_prompt_in_progress_does_not_hold_up_short_ones() {
    let mut settings = config(16, 10_000);
    settings.max_num_seqs = 8;
    settings.max_num_batched_tokens = 256;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 64), 1);
    world.run();
    world.add(2, tokens(2, 100_000), 1);
    for _ in 0..5 {
        assert_eq!(world.step().num_tokens(), 256);
    }
    // One is cached, the other is not; both would take one step.
    world.add(3, tokens(1, 64), 1);
    world.add(4, tokens(4, 100), 1);
    world.step();
    let plan = world.step();
    let chunk = |id| {
        plan.chunks
            .iter()
            .find(|chunk| chunk.request == RequestId(id))
    };
    assert!(chunk(3).is_some_and(|chunk| chunk.needs_logits));
    assert!(chunk(4).is_some_and(|chunk| chunk.needs_logits));
    // By whole blocks they need 116 tokens; the long prompt has the rest, up to a whole block.
    assert_eq!(chunk(2).map(|chunk| chunk.tokens.len()), Some(128));
    world.step();
    assert_eq!(
        world.step().num_tokens(),
        256,
        "the long prompt is alone again"
    );
    assert!(world.scheduler.cancel(RequestId(2)));
}

#[test]
fn a_long_prompt_gets_half_of_every_step() {
    let mut settings = config(16, 10_000);
    settings.max_num_seqs = 8;
    settings.max_num_batched_tokens = 256;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 4096), 1);
    world.step();
    let mut newcomers = 100..;
    while world.is_running(1) {
        // More than the other half of a step can compute.
        for id in newcomers.by_ref().take(2) {
            world.add(id, tokens(id as u32, 200), 1);
        }
        let plan = world.step();
        let long = plan
            .chunks
            .iter()
            .find(|chunk| chunk.request == RequestId(1));
        assert!(long.is_some_and(|chunk| chunk.tokens.len() >= 128 - 16 || chunk.needs_logits));
    }
    assert!(world.finished.len() > 10, "the others had the other half");
    world.run();
}

#[test]
fn nobody_waits_for_a_prefix_that_a_lower_class_computes() {
    let mut settings = config(16, 10_000);
    settings.max_num_batched_tokens = 256;
    let mut world = World::new(settings);
    let mut slow = request(1, tokens(0, 1000), 1);
    slow.priority = 1;
    world.submit(slow).expect("the request is taken");
    world.step();
    world.add(2, tokens(0, 1000), 1);
    world.add(3, tokens(0, 1000), 1);
    world.step();
    world.step();
    assert!(world.is_running(2), "it computes the prefix itself");
    assert!(
        !world.is_running(3),
        "its twin of the same class waits for it"
    );
    // The one that has computed most of it may go: there is another.
    assert!(world.scheduler.cancel(RequestId(1)));
    world.add(4, tokens(0, 1000), 1);
    world.step();
    assert!(!world.is_running(3) && !world.is_running(4));
    world.run();
    assert_eq!((world.computed(3), world.computed(4)), (1, 1));
}

#[test]
fn waiting_for_a_prefix_is_not_being_passed_over() {
    let mut settings = config(16, 10_000);
    settings.max_num_batched_tokens = 512;
    settings.max_overtakes = 1;
    let mut world = World::new(settings);
    world.add(1, tokens(0, 2000), 1);
    world.step();
    world.add(2, tokens(0, 2000), 1);
    world.step();
    // Request 2 is tried first, and has to wait for request 1.
    world.now = Timestamp(world.now.0 + 3_600_000_000_000);
    for id in 3..8 {
        world.add(id, tokens(id as u32, 5), 1);
    }
    world.step();
    assert!(!world.is_running(2));
    let plan = world.step();
    assert!(!world.is_running(2));
    assert_eq!(plan.admitted.len(), 5, "nobody of them is stopped by it");
    world.run();
}

#[test]
fn of_the_other_prompts_in_progress_short_work_goes_first() {
    let mut settings = config(16, 10_000);
    settings.max_num_seqs = 8;
    settings.max_num_batched_tokens = 96;
    let mut world = World::new(settings);
    world.add(1, tokens(1, 4000), 1);
    world.step();
    world.add(2, tokens(2, 2000), 1);
    world.step();
    world.step();
    assert!(world.is_running(1) && world.is_running(2));
    world.add(3, tokens(3, 60), 1);
    while !world.is_running(3) {
        world.step();
    }
    // The oldest has its half; of the rest the short prompt gets what it needs.
    let plan = world.step();
    let order: Vec<_> = plan.chunks.iter().map(|chunk| chunk.request.0).collect();
    assert_eq!(order, [1, 3, 2]);
    world.run();
}

#[test]
fn what_others_have_computed_meanwhile_shortens_the_work() {
    let mut world = one_at_a_time(100);
    let mut first = request(1, tokens(1, 800), 20);
    first.priority = -1;
    world.submit(first).expect("the request is taken");
    // As it arrives, all of its prompt is work; once the first has run, four tokens are.
    let mut twin = tokens(1, 800);
    twin.extend(tokens(7, 4));
    world.add(2, tokens(2, 100), 2);
    world.add(3, twin, 2);
    world.run();
    assert_eq!(order(&world), [1, 3, 2]);
}

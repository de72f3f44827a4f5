//! Who loses its blocks, and what it keeps.

use scheduler::{RequestId, SequenceState};

use crate::world::{World, answer, config, request, tokens};

#[test]
fn preempted_requests_keep_their_tokens() {
    let mut world = World::new(config(4, 11));
    let requests: Vec<_> = (0..3)
        .map(|id| request(id, tokens(id as u32, 8), 20))
        .collect();
    for new in &requests {
        world.submit(new.clone()).expect("the request is taken");
    }
    world.run();
    let stats = world.scheduler.stats();
    assert!(
        stats.preemptions > 0,
        "three times seven blocks do not fit into ten"
    );
    assert!(stats.recomputed_tokens > 0);
    for new in requests {
        assert_eq!(world.outputs[&new.id], answer(&new.prompt, &new.stop));
    }
    let prompts = stats.prompt_tokens_computed + stats.prompt_tokens_cached;
    assert_eq!(
        prompts, 24,
        "a prompt is counted once, whatever happens later"
    );
    let computed: usize = world.computed.values().sum();
    let decoded = 3 * 19;
    assert_eq!(computed as u64, 24 + decoded + stats.recomputed_tokens);
}

#[test]
fn nobody_is_admitted_in_a_step_that_preempts() {
    let mut world = World::new(config(4, 11));
    for id in 0..3 {
        world.add(id, tokens(id as u32, 8), 20);
    }
    world.step();
    let mut next = 3;
    let mut seen = 0;
    while !world.scheduler.is_idle() {
        if seen == 0 {
            world.add(next, tokens(next as u32, 1), 2);
            next += 1;
        }
        let plan = world.step();
        if !plan.preempted.is_empty() {
            seen += 1;
            assert!(plan.admitted.is_empty() && plan.copies.is_empty());
            for id in &plan.preempted {
                assert_eq!(world.scheduler.state(*id), Some(SequenceState::Preempted));
                assert!(world.scheduler.block_table(*id).is_empty());
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn the_oldest_of_the_best_class_is_never_the_victim() {
    let mut world = World::new(config(4, 13));
    for id in 0..4 {
        let mut new = request(id, tokens(id as u32, 8), 25);
        new.priority = if id < 2 { 1 } else { 0 };
        world.submit(new).expect("the request is taken");
    }
    while !world.scheduler.is_idle() {
        let plan = world.step();
        if world.scheduler.state(RequestId(2)).is_some() {
            assert!(!plan.preempted.contains(&RequestId(2)));
        }
    }
    assert!(world.scheduler.stats().preemptions > 0);
}

#[test]
fn the_lowest_class_goes_first() {
    let mut world = World::new(config(4, 11));
    // The youngest has the better class.
    for (id, priority) in [(1, 0), (2, 7), (3, 0)] {
        let mut new = request(id, tokens(id as u32, 8), 20);
        new.priority = priority;
        world.submit(new).expect("the request is taken");
    }
    let first = loop {
        let plan = world.step();
        if let Some(&first) = plan.preempted.first() {
            break first;
        }
    };
    assert_eq!(first, RequestId(2));
    world.run();
}

#[test]
fn the_victim_is_the_cheapest_to_compute_again() {
    let mut world = World::new(config(4, 31));
    // Attention makes tokens far into a sequence dearer; the model has to learn that.
    let shared = tokens(50, 40);
    world.add(9, shared.clone(), 1);
    world.run();
    world.add(1, tokens(1, 8), 60);
    // Almost all of the second one's blocks are shared with the third: they free nothing.
    world.add(2, shared.clone(), 40);
    let mut twin = shared;
    twin.extend(tokens(3, 1));
    world.add(3, twin, 40);
    world.add(4, tokens(4, 24), 60);
    let first = loop {
        let plan = world.step();
        if let Some(&first) = plan.preempted.first() {
            break first;
        }
    };
    // Request 4 holds all its blocks alone, and so do 2 and 3 their tails; per block freed the
    // work is about the same, so the youngest goes.
    assert_eq!(first, RequestId(4));
    world.run();
}

#[test]
fn a_preempted_request_comes_back_before_others_are_admitted() {
    let mut world = World::new(config(4, 11));
    for id in 0..2 {
        world.add(id, tokens(id as u32, 8), 30);
    }
    let victim = loop {
        if let Some(&victim) = world.step().preempted.first() {
            break victim;
        }
    };
    world.add(2, tokens(2, 1), 2);
    while world.scheduler.state(victim) == Some(SequenceState::Preempted) {
        assert!(
            !world.admitted.contains_key(&RequestId(2)),
            "it would fit, but is not next"
        );
        world.step();
    }
    world.run();
    assert_eq!(world.scheduler.stats().preemptions, 1);
}

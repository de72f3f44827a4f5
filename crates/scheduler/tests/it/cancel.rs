//! A request can be cancelled anywhere, and a step can fail.

use scheduler::{RequestId, SequenceState};

use crate::world::{World, answer, config, request, tokens};

fn crowded() -> World {
    let mut settings = config(4, 16);
    settings.max_num_seqs = 4;
    settings.max_num_batched_tokens = 12;
    let mut world = World::new(settings);
    for id in 0..6 {
        let mut prompt = tokens(100, 9);
        prompt.extend(tokens(id, 4));
        world.add(id.into(), prompt, 12);
    }
    world
}

#[test]
fn cancelling_between_steps_gives_everything_back() {
    for steps in 0..60 {
        for victim in 0..6 {
            let mut world = crowded();
            for _ in 0..steps {
                world.step();
            }
            let known = world.scheduler.state(RequestId(victim)).is_some();
            assert_eq!(world.scheduler.cancel(RequestId(victim)), known);
            world.scheduler.check_invariants();
            assert!(!world.scheduler.cancel(RequestId(victim)), "it is gone");
            world.run();
        }
    }
}

#[test]
fn cancelling_within_a_step_gives_everything_back_when_it_ends() {
    for steps in 0..60 {
        for victim in 0..6 {
            let mut world = crowded();
            for _ in 0..steps {
                world.step();
            }
            let plan = world.plan();
            let mut sampled = world.compute(&plan);
            let cancelled = world.scheduler.cancel(RequestId(victim));
            assert!(!world.scheduler.cancel(RequestId(victim)), "once is enough");
            if cancelled && victim % 2 == 0 {
                // The engine may have dropped its token already.
                sampled.retain(|&(request, _)| request != RequestId(victim));
            }
            if !plan.is_empty() {
                let before = world.outputs.get(&RequestId(victim)).map(Vec::len);
                world.commit(&plan, &sampled);
                assert_eq!(world.outputs.get(&RequestId(victim)).map(Vec::len), before);
            }
            assert_eq!(world.scheduler.state(RequestId(victim)), None);
            world.scheduler.check_invariants();
            world.run();
        }
    }
}

#[test]
fn cancelling_all_leaves_nothing() {
    for steps in 0..60 {
        let mut world = crowded();
        for _ in 0..steps {
            world.step();
        }
        for id in 0..6 {
            world.scheduler.cancel(RequestId(id));
        }
        assert!(world.scheduler.is_idle());
        assert_eq!(world.scheduler.stats().queued_uncached_tokens, 0);
        assert_eq!(world.scheduler.cache().pool().num_in_use(), 0);
        world.scheduler.check_invariants();
        assert!(world.scheduler.reset_prefix_cache());
    }
}

#[test]
fn a_failed_step_publishes_nothing_and_loses_no_token() {
    let mut world = World::new(config(4, 100));
    let first = request(1, tokens(0, 10), 6);
    let second = request(2, tokens(1, 10), 6);
    let expected = answer(&first.prompt, &first.stop);
    world.submit(first).expect("the request is taken");
    world.submit(second).expect("the request is taken");
    world.step();
    world.step();
    let sealed = world.scheduler.cache().stats().sealed;
    let plan = world.plan();
    world.compute(&plan);
    assert!(world.scheduler.cancel(RequestId(2)));
    world.scheduler.abort_step(&plan);
    world.scheduler.check_invariants();
    assert_eq!(world.scheduler.cache().stats().sealed, sealed);
    assert_eq!(
        world.scheduler.state(RequestId(1)),
        Some(SequenceState::Preempted)
    );
    assert_eq!(world.scheduler.state(RequestId(2)), None);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)], expected);
    assert_eq!(
        world.scheduler.stats().preemptions,
        0,
        "a failure is no preemption"
    );
}

#[test]
fn a_failed_first_step_does_not_publish_its_copy() {
    let mut world = World::new(config(4, 100));
    world.add(1, tokens(0, 7), 1);
    world.run();
    world.add(2, tokens(0, 7), 1);
    let plan = world.scheduler.plan_step(world.now);
    assert_eq!(plan.copies.len(), 1);
    // The copy never runs.
    world.scheduler.abort_step(&plan);
    world.scheduler.check_invariants();
    world.run();
    assert_eq!(world.outputs[&RequestId(1)], world.outputs[&RequestId(2)]);
}

#[test]
fn a_scheduler_can_be_dropped_with_requests_in_it() {
    let mut world = crowded();
    world.step();
    drop(world);
}

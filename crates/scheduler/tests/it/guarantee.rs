//! Output that a request has room for from its admission on.

use scheduler::{NewSequence, RequestId, SubmitError};

use crate::world::{World, config, request, tokens};

fn guaranteed(id: u64, prompt_len: usize, max_tokens: usize, min_output: usize) -> NewSequence {
    NewSequence {
        min_output_tokens: min_output,
        ..request(id, tokens(id as u32, prompt_len), max_tokens)
    }
}

#[test]
fn it_counts_in_full_at_admission() {
    // Ten blocks of 4; the first takes three and grows by none. 16 + 12 tokens, of which the last
    // needs no room, are seven blocks.
    for (min_output, fits) in [(0, true), (12, true), (13, true), (14, false), (20, false)] {
        let mut settings = config(4, 11);
        settings.output_reserve.clip = 1;
        let mut world = World::new(settings);
        world.add(1, tokens(1, 11), 2);
        world.step();
        world
            .submit(guaranteed(2, 16, 20, min_output))
            .expect("the request is taken");
        world.step();
        assert_eq!(world.is_running(2), fits, "{min_output} tokens");
        world.run();
    }
}

#[test]
fn later_admissions_leave_it_alone() {
    let mut world = World::new(config(4, 11));
    world.submit(guaranteed(1, 8, 30, 17)).expect("it is taken");
    world.step();
    // Two blocks are held and four are kept; five need too many.
    assert_eq!(world.scheduler.stats().num_guaranteed_blocks, 4);
    world.add(2, tokens(2, 17), 1);
    world.add(3, tokens(3, 16), 1);
    world.step();
    assert!(!world.is_running(2) && world.finished.contains_key(&RequestId(3)));
    world.run();
    assert_eq!(world.scheduler.stats().preemptions, 0);
}

#[test]
fn a_growing_sequence_is_preempted_rather_than_it() {
    let mut world = World::new(config(4, 11));
    world.submit(guaranteed(1, 8, 30, 25)).expect("it is taken");
    world.add(2, tokens(2, 4), 20);
    let victim = loop {
        if let Some(&victim) = world.step().preempted.first() {
            break victim;
        }
    };
    assert_eq!(victim, RequestId(2));
    // Eight blocks are the first one's, so the second had two.
    assert_eq!(world.outputs[&victim].len(), 5);
    world.run();
}

#[test]
fn an_older_sequence_waits_for_it() {
    let mut world = World::new(config(4, 11));
    world.add(1, tokens(1, 8), 30);
    world.step();
    world.submit(guaranteed(2, 8, 20, 17)).expect("it is taken");
    // The first has the four blocks that are not the second one's, which are enough for 8 + 9
    // tokens; then it waits until the second has its 17.
    while world.scheduler.stats().guarantee_waits == 0 {
        world.step();
    }
    assert_eq!(world.outputs[&RequestId(1)].len(), 9);
    let plan = loop {
        let plan = world.step();
        if !plan.preempted.is_empty() {
            break plan;
        }
        assert_eq!(world.outputs[&RequestId(1)].len(), 9, "it waits");
    };
    assert_eq!(plan.preempted, [RequestId(2)]);
    assert_eq!(world.outputs[&RequestId(2)].len(), 17);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)].len(), 30);
    assert_eq!(world.outputs[&RequestId(2)].len(), 20);
}

#[test]
fn what_can_never_fit_is_refused() {
    let mut world = World::new(config(4, 11));
    let refused = world.submit(guaranteed(1, 8, 20, 33));
    let expected = SubmitError::TooLong {
        prompt_tokens: 8,
        max_tokens: 33,
        max_model_len: 40,
    };
    assert_eq!(refused, Err(expected));
    world
        .submit(guaranteed(1, 8, 20, 32))
        .expect("it fits alone");
    world.run();
    assert_eq!(world.outputs[&RequestId(1)].len(), 20);
}

//! What ends a sequence.

use scheduler::{FinishReason, RequestId};

use crate::world::{World, answer, config, next_token, request, tokens};

#[test]
fn the_last_token_allowed_ends_it() {
    let mut world = World::new(config(16, 100));
    world.add(1, tokens(0, 10), 7);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)].len(), 7);
    assert_eq!(world.finished[&RequestId(1)], FinishReason::Length);
}

#[test]
fn a_stop_token_ends_it_and_counts() {
    let mut world = World::new(config(16, 100));
    let mut new = request(1, tokens(0, 10), 50);
    let free_running = answer(&new.prompt, &new.stop);
    new.stop.stop_token_ids = vec![free_running[4]];
    let expected = answer(&new.prompt, &new.stop);
    world.submit(new).expect("the request is taken");
    world.run();
    assert_eq!(world.outputs[&RequestId(1)], expected);
    assert_eq!(
        world.finished[&RequestId(1)],
        FinishReason::Stop(*expected.last().expect("some"))
    );
}

#[test]
fn a_stop_token_in_the_last_place_is_a_stop() {
    let mut world = World::new(config(16, 100));
    let mut new = request(1, tokens(0, 10), 1);
    let token = next_token(&new.prompt);
    new.stop.stop_token_ids = vec![token];
    world.submit(new).expect("the request is taken");
    world.run();
    assert_eq!(world.finished[&RequestId(1)], FinishReason::Stop(token));
}

#[test]
fn a_sequence_can_fill_the_model_and_the_pool() {
    let mut settings = config(4, 6);
    settings.max_model_len = 20;
    let mut world = World::new(settings);
    world.add(1, tokens(0, 3), 17);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)].len(), 17);
    // Again, with the pool full of cached blocks.
    world.add(2, tokens(0, 3), 17);
    world.run();
    assert_eq!(world.outputs[&RequestId(1)], world.outputs[&RequestId(2)]);
}

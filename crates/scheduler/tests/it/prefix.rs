//! Shared prefixes are computed once.

use kv_cache::MissCause;
use scheduler::RequestId;

use crate::world::{World, config, tokens};

#[test]
fn an_identical_prompt_computes_one_token() {
    for block_size in [1, 2, 16, 32] {
        for len in [1, 2, 15, 16, 17, 31, 32, 33, 100, 2000] {
            let mut world = World::new(config(block_size, 3000));
            world.add(1, tokens(0, len), 1);
            world.run();
            world.add(2, tokens(0, len), 1);
            world.run();
            assert_eq!(
                (world.computed(1), world.computed(2)),
                (len, 1),
                "in {block_size}s"
            );
            let admitted = &world.admitted[&RequestId(2)];
            assert_eq!((admitted.cached_tokens, admitted.miss), (len - 1, None));
            assert_eq!(world.outputs[&RequestId(1)], world.outputs[&RequestId(2)]);
            let stats = world.scheduler.stats();
            assert_eq!(stats.prompt_tokens_cached, len as u64 - 1);
            assert_eq!(stats.prompt_tokens_computed, len as u64 + 1);
        }
    }
}

#[test]
fn a_prompt_is_shared_while_its_answer_is_generated() {
    for len in [5, 16, 17, 31, 100] {
        let mut world = World::new(config(16, 3000));
        world.add(1, tokens(0, len), 4);
        world.step();
        world.add(2, tokens(0, len), 1);
        world.step();
        assert!(world.is_running(1));
        assert_eq!(world.computed(2), 1, "{len} tokens");
        world.run();
    }
}

#[test]
fn eight_requests_compute_their_common_prefix_once() {
    for block_size in [1, 2, 16, 32] {
        // Chunks end anywhere, just after the last block that all share, and with the prompt.
        for budget in [256, 496, 700, 736, 1472, 1488, 2048] {
            let mut settings = config(block_size, 16_000);
            settings.max_num_batched_tokens = budget;
            let mut world = World::new(settings);
            for id in 0..8 {
                let mut prompt = tokens(100, 1500);
                prompt.extend(tokens(id, 20 + id as usize));
                world.add(id.into(), prompt, 5);
            }
            world.run();
            let tails: usize = (0..8).map(|id| 20 + id).sum();
            let generated = 8 * 4;
            let computed: usize = world.computed.values().sum();
            assert_eq!(computed, 1500 + tails + generated, "{block_size}, {budget}");
        }
    }
}

#[test]
fn the_same_prompt_at_once_is_computed_once() {
    for len in [1, 2, 16, 17, 32, 40, 1000] {
        let mut world = World::new(config(16, 3000));
        for id in 0..8 {
            world.add(id, tokens(0, len), 1);
        }
        world.run();
        let computed: usize = world.computed.values().sum();
        // Nobody waits for less than a full block.
        let expected = if len < 16 { 8 * len } else { len + 7 };
        assert_eq!(computed, expected, "{len} tokens");
    }
}

#[test]
fn waiting_for_a_prefix_does_not_hold_up_others() {
    let mut settings = config(16, 3000);
    settings.max_num_batched_tokens = 256;
    let mut world = World::new(settings);
    world.add(1, tokens(0, 200), 1);
    world.add(2, tokens(0, 200), 1);
    world.add(3, tokens(1, 20), 1);
    let plan = world.step();
    let requests: Vec<_> = plan.chunks.iter().map(|chunk| chunk.request.0).collect();
    assert_eq!(requests.len(), 2, "the twin waits");
    assert!(requests.contains(&3));
    world.run();
}

#[test]
fn a_waiter_goes_on_when_the_owner_is_cancelled() {
    let mut settings = config(16, 3000);
    settings.max_num_batched_tokens = 256;
    let mut world = World::new(settings);
    world.add(1, tokens(0, 1000), 1);
    world.add(2, tokens(0, 1000), 1);
    world.step();
    assert!(world.is_running(1) && !world.is_running(2));
    assert!(world.scheduler.cancel(RequestId(1)));
    world.scheduler.check_invariants();
    world.run();
    assert_eq!(world.computed(1), 256);
    assert_eq!(
        world.computed(2),
        1000 - 256,
        "what the owner computed is used"
    );
}

#[test]
fn a_follow_up_finds_the_answer_in_the_cache() {
    let mut world = World::new(config(16, 3000));
    world.add(1, tokens(0, 100), 50);
    world.run();
    let mut history = tokens(0, 100);
    history.extend(&world.outputs[&RequestId(1)]);
    history.extend(tokens(1, 10));
    world.add(2, history, 1);
    world.run();
    // The answer's last token was never computed.
    assert_eq!(world.computed(2), 11);
    let miss = world.admitted[&RequestId(2)]
        .miss
        .expect("the question is not cached");
    assert_eq!((miss.token, miss.cause), (149, MissCause::NeverSeen));
}

#[test]
fn salts_keep_requests_apart() {
    let mut world = World::new(config(16, 3000));
    for (id, salt) in [(1, b"a"), (2, b"b"), (3, b"a")] {
        let mut new = crate::world::request(id, tokens(0, 100), 1);
        new.cache_salt = salt.to_vec();
        world.submit(new).expect("the request is taken");
        world.run();
    }
    assert_eq!([1, 2, 3].map(|id| world.computed(id)), [100, 100, 1]);
    let miss = world.admitted[&RequestId(2)]
        .miss
        .expect("nothing is shared");
    assert_eq!(miss.cause, MissCause::OtherSalt);
}

#[test]
fn without_prefix_caching_everything_is_computed() {
    let mut settings = config(16, 3000);
    settings.enable_prefix_caching = false;
    let mut world = World::new(settings);
    for id in 0..3 {
        world.add(id, tokens(0, 100), 3);
    }
    world.run();
    assert_eq!([0, 1, 2].map(|id| world.computed(id)), [102; 3]);
}

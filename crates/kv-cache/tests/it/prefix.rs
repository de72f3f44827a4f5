//! Sharing, copying and evicting, case by case.

use kv_cache::{BlockCopy, CacheConfig, OutOfBlocks, PrefixCache, RetentionLimits, TokenId};

use crate::sequence::{Sequence, cache, serve, tokens};

#[test]
fn an_identical_prompt_computes_one_token_whatever_its_length() {
    for block_size in [1, 2, 3, 16, 32] {
        for len in (1..=70).chain([127, 128, 129, 500, 2000]) {
            let mut cache = cache(2100, block_size);
            let prompt = tokens(0, len);
            assert_eq!(serve(&mut cache, b"", &prompt), len);
            assert_eq!(
                serve(&mut cache, b"", &prompt),
                1,
                "{len} tokens in blocks of {block_size}"
            );
            assert_eq!(
                serve(&mut cache, b"", &prompt),
                1,
                "{len} tokens, third time"
            );
        }
    }
}

#[test]
fn a_common_prefix_is_shared_to_the_token() {
    for block_size in [1, 2, 16, 32] {
        for shared in [1, 2, 15, 16, 17, 31, 32, 33, 50] {
            let mut cache = cache(500, block_size);
            let mut prompt = tokens(0, shared);
            prompt.extend(tokens(1, 40));
            serve(&mut cache, b"", &prompt);
            prompt.truncate(shared);
            prompt.extend(tokens(2, 40));
            assert_eq!(
                serve(&mut cache, b"", &prompt),
                40,
                "{shared} shared of {block_size}"
            );
        }
    }
}

#[test]
fn a_prompt_in_progress_is_shared_as_far_as_it_is_computed() {
    let mut cache = cache(20, 4);
    let prompt = tokens(0, 14);
    let mut first = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    first.compute_to(&mut cache, 10);
    let second = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    assert_eq!(
        second.num_computed, 8,
        "the third block is not registered yet"
    );
    first.compute(&mut cache);
    let third = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    assert_eq!(third.num_computed, 13);
    let copy = third
        .table
        .pending_copy()
        .expect("the last block is partly filled");
    let (src, dst) = (first.table.blocks()[3], third.table.blocks()[3]);
    assert_eq!(
        copy,
        BlockCopy {
            src,
            dst,
            num_tokens: 1,
            window: None,
        }
    );
    assert_eq!(third.table.blocks()[..3], first.table.blocks()[..3]);
    cache.check_invariants([&first.table, &second.table, &third.table]);
    for sequence in [first, second, third] {
        sequence.release(&mut cache);
        assert_eq!(cache.pool().num_free() + cache.pool().num_in_use(), 19);
    }
    cache.check_invariants([]);
    assert_eq!(cache.pool().num_in_use(), 0);
}

#[test]
fn two_who_computed_the_same_end_up_with_one_block() {
    let mut cache = cache(20, 4);
    let prompt = tokens(0, 10);
    let mut first = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    let mut second = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    assert_eq!(cache.pool().num_in_use(), 6);
    first.compute(&mut cache);
    second.compute(&mut cache);
    assert_eq!(
        cache.pool().num_in_use(),
        4,
        "the two full blocks are shared"
    );
    assert_eq!(first.table.blocks()[..2], second.table.blocks()[..2]);
    assert_ne!(
        first.table.blocks()[2],
        second.table.blocks()[2],
        "each writes its own tail"
    );
    assert_eq!(cache.stats().duplicates_merged, 2);
    cache.check_invariants([&first.table, &second.table]);
    first.release(&mut cache);
    second.release(&mut cache);
    cache.check_invariants([]);
}

#[test]
fn generated_tokens_are_cached_too() {
    let mut cache = cache(20, 4);
    let mut sequence = Sequence::admit(&mut cache, b"", &tokens(0, 3)).expect("it fits");
    sequence.compute(&mut cache);
    for at in 3..11 {
        sequence.tokens.push(TokenId(at));
        cache
            .extend(&mut sequence.table, sequence.tokens.len())
            .expect("it fits");
        sequence.compute_to(&mut cache, sequence.tokens.len());
    }
    let mut next_turn = sequence.tokens.clone();
    sequence.release(&mut cache);
    next_turn.extend(tokens(1, 2));
    assert_eq!(serve(&mut cache, b"", &next_turn), 2);
}

#[test]
fn tails_are_evicted_before_heads() {
    let mut cache = cache(7, 2);
    serve(&mut cache, b"", &tokens(0, 8));
    serve(&mut cache, b"", &tokens(1, 4));
    // Six blocks hold content; two of them have to go: the last of the older prompt.
    let fresh = Sequence::admit(&mut cache, b"", &tokens(2, 4)).expect("it fits");
    assert_eq!(cache.stats().evictions, 2);
    let old = Sequence::admit(&mut cache, b"", &tokens(0, 4)).expect("it fits");
    assert_eq!(old.num_computed, 3);
    cache.check_invariants([&fresh.table, &old.table]);
    old.release(&mut cache);
    fresh.release(&mut cache);
    cache.check_invariants([]);
}

#[test]
fn cached_blocks_that_leave_the_free_list_are_counted() {
    let mut cache = cache(5, 2);
    serve(&mut cache, b"", &tokens(0, 4));
    let held = Sequence::admit(&mut cache, b"", &tokens(1, 2)).expect("it fits");
    // Three blocks are free, two of which the prompt itself would take back: two more is too many.
    let mut longer = tokens(0, 4);
    longer.extend(tokens(2, 4));
    let before = (cache.generation(), cache.stats(), cache.pool().num_free());
    let refused = Sequence::admit(&mut cache, b"", &longer).err();
    assert_eq!(refused, Some(OutOfBlocks { needed: 4, free: 3 }));
    assert_eq!(
        before,
        (cache.generation(), cache.stats(), cache.pool().num_free())
    );
    cache.check_invariants([&held.table]);
    held.release(&mut cache);
}

#[test]
fn a_partial_match_is_given_up_when_its_pin_would_not_fit() {
    let mut cache = cache(4, 4);
    serve(&mut cache, b"", &tokens(0, 4));
    let mut prompt = tokens(0, 3);
    prompt.extend(tokens(1, 9));
    // All three blocks are needed, so the cached one cannot be kept as a source.
    let mut tight = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    assert_eq!((tight.num_computed, tight.table.pending_copy()), (0, None));
    tight.compute(&mut cache);
    tight.release(&mut cache);
    cache.check_invariants([]);
}

#[test]
fn a_copy_that_never_ran_is_not_published() {
    let mut cache = cache(20, 4);
    serve(&mut cache, b"", &tokens(0, 7));
    let sequence = Sequence::admit(&mut cache, b"", &tokens(0, 7)).expect("it fits");
    assert!(sequence.table.pending_copy().is_some());
    let registered = cache.stats().partials_registered;
    sequence.release(&mut cache);
    cache.check_invariants([]);
    assert_eq!(cache.stats().partials_registered, registered);
    assert_eq!(
        serve(&mut cache, b"", &tokens(0, 7)),
        1,
        "the source is still there"
    );
}

#[test]
fn salts_do_not_share() {
    let mut cache = cache(50, 4);
    let prompt = tokens(0, 30);
    assert_eq!(serve(&mut cache, b"alice", &prompt), 30);
    assert_eq!(serve(&mut cache, b"bob", &prompt), 30);
    assert_eq!(serve(&mut cache, b"alice", &prompt), 1);
    assert_eq!(serve(&mut cache, b"bob", &prompt), 1);
}

#[test]
fn without_caching_nothing_is_kept() {
    let mut cache = PrefixCache::new(&CacheConfig {
        num_blocks: 20,
        block_size: 4,
        window: None,
        enable_prefix_caching: false,
        fingerprint: Vec::new(),
        evicted_memory: 64,
        list_evicted: false,
        retention: RetentionLimits {
            max_blocks: 0,
            max_blocks_per_key: 0,
        },
    });
    assert_eq!(serve(&mut cache, b"", &tokens(0, 30)), 30);
    assert_eq!(serve(&mut cache, b"", &tokens(0, 30)), 30);
    assert_eq!(cache.pool().num_evictable(), 0);
}

#[test]
fn reset_waits_for_the_last_holder() {
    let mut cache = cache(20, 4);
    serve(&mut cache, b"", &tokens(0, 10));
    let held = Sequence::admit(&mut cache, b"", &tokens(1, 3)).expect("it fits");
    assert!(!cache.reset());
    assert!(cache.pool().num_evictable() > 0);
    held.release(&mut cache);
    assert!(cache.reset());
    cache.check_invariants([]);
    assert_eq!(serve(&mut cache, b"", &tokens(0, 10)), 10);
}

#[cfg(debug_assertions)]
#[test]
fn dropping_a_table_that_holds_blocks_is_noticed() {
    let mut cache = cache(20, 4);
    let sequence = Sequence::admit(&mut cache, b"", &tokens(0, 3)).expect("it fits");
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(sequence)));
    assert!(dropped.is_err());
}

#[test]
fn usage_counts_what_is_held() {
    let mut cache = cache(11, 4);
    assert_eq!(cache.pool().usage(), 0.0);
    let held = Sequence::admit(&mut cache, b"", &tokens(0, 20)).expect("it fits");
    assert_eq!(cache.pool().usage(), 0.5);
    held.release(&mut cache);
    assert_eq!(cache.pool().usage(), 0.0);
}

//! Retained prefixes outlast others, within limits, and for a time.

use std::sync::Arc;

use kv_cache::{MissCause, PrefixCache, RetentionKey, Timestamp, TokenId};

use crate::sequence::{Sequence, cache, serve, tokens};

fn key(name: &str) -> RetentionKey {
    Arc::from(name.as_bytes())
}

/// Serves a prompt and retains its first `num_tokens` tokens; returns how many are retained.
fn serve_retained(
    cache: &mut PrefixCache,
    prompt: &[TokenId],
    num_tokens: usize,
    until: u64,
    owner: &str,
) -> usize {
    let mut sequence = Sequence::admit(cache, b"", prompt).expect("it fits");
    sequence.compute(cache);
    let until = Timestamp(until);
    let retained = cache.retain(&sequence.table, num_tokens, until, &key(owner));
    sequence.release(cache);
    cache.check_invariants([]);
    retained
}

/// Tokens that a lookup finds.
fn cached(cache: &mut PrefixCache, prompt: &[TokenId]) -> usize {
    let mut chain = cache.new_chain(b"");
    cache.extend_chain(&mut chain, prompt);
    cache.lookup_prefix(&chain, prompt).num_tokens()
}

/// Computes more tokens than the pool of 40 blocks holds.
fn flood(cache: &mut PrefixCache) {
    for start in 100..120 {
        serve(cache, b"", &tokens(start, 32));
    }
}

#[test]
fn a_retained_prefix_survives_a_flood_and_another_does_not() {
    for retained in [false, true] {
        let mut cache = cache(41, 4);
        let prompt = tokens(1, 40);
        let num_tokens = if retained { 32 } else { 0 };
        let kept = serve_retained(&mut cache, &prompt, num_tokens, 1_000, "a");
        assert_eq!(kept, num_tokens);
        flood(&mut cache);
        assert_eq!(cached(&mut cache, &prompt), num_tokens);
        assert_eq!(cache.stats().retained_evictions, 0);
    }
}

#[test]
fn it_falls_back_when_its_time_is_over() {
    let mut cache = cache(41, 4);
    let prompt = tokens(1, 40);
    serve_retained(&mut cache, &prompt, 40, 1_000, "a");
    cache.advance_clock(Timestamp(999));
    assert_eq!(cache.num_retained(), 10);
    cache.advance_clock(Timestamp(1_000));
    assert_eq!(cache.num_retained(), 0);
    assert_eq!(cached(&mut cache, &prompt), 39, "nothing is dropped yet");
    flood(&mut cache);
    assert_eq!(cached(&mut cache, &prompt), 0);
    cache.check_invariants([]);
}

#[test]
fn a_key_over_its_quota_takes_nothing_from_others() {
    // 40 blocks; 20 can be retained, 10 of them for one key.
    let mut cache = cache(41, 4);
    let prompt = tokens(1, 33);
    assert_eq!(serve_retained(&mut cache, &prompt, 32, 1_000, "a"), 32);
    let mut kept = 0;
    for start in 200..220 {
        kept += serve_retained(&mut cache, &tokens(start, 24), 24, 9_000, "greedy");
    }
    assert_eq!(kept, 40, "ten blocks, whatever it asks for");
    assert_eq!(cached(&mut cache, &prompt), 32);
    assert_eq!(cached(&mut cache, &tokens(200, 24)), 23, "the first ones");
    assert_eq!(
        cached(&mut cache, &tokens(201, 24)),
        16,
        "as far as it went"
    );
}

#[test]
fn a_sequence_that_needs_the_memory_gets_it() {
    let mut cache = cache(41, 4);
    let prompt = tokens(1, 41);
    serve_retained(&mut cache, &prompt, 40, 1_000, "a");
    serve(&mut cache, b"", &tokens(2, 132));
    assert_eq!(
        cache.stats().retained_evictions,
        3,
        "33 of 30 normal blocks"
    );
    assert_eq!(cached(&mut cache, &prompt), 28, "the end goes first");
    let mut chain = cache.new_chain(b"");
    cache.extend_chain(&mut chain, &prompt);
    let miss = cache.lookup_prefix(&chain, &prompt).miss();
    let Some(MissCause::Evicted(eviction)) = miss.map(|miss| miss.cause) else {
        panic!("{miss:?}");
    };
    assert!(eviction.was_retained);
    assert_eq!(eviction.holder, 2);
}

#[test]
fn times_of_blocks_are_counted() {
    let second = 1_000_000_000;
    let mut cache = cache(11, 4);
    serve(&mut cache, b"", &tokens(1, 8));
    cache.advance_clock(Timestamp(3 * second));
    serve(&mut cache, b"", &tokens(1, 9));
    let times = cache.stats().block_times;
    assert_eq!((times.reuse_gap.count(), times.reuse_gap.sum), (2, 6.0));
    cache.advance_clock(Timestamp(5 * second));
    serve(&mut cache, b"", &tokens(2, 40));
    let times = cache.stats().block_times;
    assert_eq!((times.lifetime.count(), times.lifetime.sum), (2, 10.0));
    let idle = times.idle_before_evict;
    assert_eq!((idle.count(), idle.sum), (2, 4.0), "used again after 3 s");
}

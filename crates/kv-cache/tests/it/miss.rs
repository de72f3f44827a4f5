//! A lookup says why it stopped.

use kv_cache::{Eviction, MissCause, MissReason, PrefixCache, Timestamp, TokenId};

use crate::sequence::{cache, serve, tokens};

fn miss(cache: &mut PrefixCache, salt: &[u8], tokens: &[TokenId]) -> Option<MissReason> {
    let mut chain = cache.new_chain(salt);
    cache.extend_chain(&mut chain, tokens);
    cache.lookup_prefix(&chain, tokens).miss()
}

fn reason(block: usize, token: usize, cause: MissCause) -> Option<MissReason> {
    Some(MissReason {
        block,
        token,
        cause,
    })
}

/// The memory went to the sequence that starts with token `holder` million.
fn evicted_for(holder: u64) -> MissCause {
    MissCause::Evicted(Eviction {
        at: Timestamp(0),
        holder,
        was_retained: false,
    })
}

#[test]
fn nothing_is_missing_when_all_but_the_last_token_is_cached() {
    let mut cache = cache(50, 4);
    for len in 1..20 {
        let prompt = tokens(len, len as usize);
        serve(&mut cache, b"", &prompt);
        assert_eq!(miss(&mut cache, b"", &prompt), None, "{len} tokens");
    }
    assert_eq!(
        miss(&mut cache, b"", &tokens(99, 1)),
        None,
        "one token is always computed"
    );
}

#[test]
fn the_first_token_that_differs_is_named() {
    let mut cache = cache(50, 4);
    serve(&mut cache, b"", &tokens(0, 20));
    for differs in 0..20 {
        let mut prompt = tokens(0, differs);
        prompt.extend(tokens(1, 20));
        let expected = reason(differs / 4, differs, MissCause::NeverSeen);
        assert_eq!(miss(&mut cache, b"", &prompt), expected);
    }
}

#[test]
fn a_prompt_that_ends_in_the_block_could_not_hit_it() {
    let mut cache = cache(50, 4);
    serve(&mut cache, b"", &tokens(0, 8));
    assert_eq!(
        miss(&mut cache, b"", &tokens(1, 3)),
        reason(0, 0, MissCause::NotCacheable)
    );
    let longer = tokens(0, 11);
    assert_eq!(
        miss(&mut cache, b"", &longer),
        reason(2, 8, MissCause::NotCacheable)
    );
}

#[test]
fn evicted_blocks_are_remembered_for_a_while() {
    let mut cache = cache(6, 4);
    serve(&mut cache, b"", &tokens(0, 20));
    serve(&mut cache, b"", &tokens(1, 8));
    // Two blocks were needed: the last two of the older prompt are gone.
    assert_eq!(
        miss(&mut cache, b"", &tokens(0, 20)),
        reason(3, 12, evicted_for(1))
    );
    // The cache remembers 64 hashes; 70 more evictions push these out.
    for start in 2..37 {
        serve(&mut cache, b"", &tokens(start, 8));
    }
    assert_eq!(
        miss(&mut cache, b"", &tokens(0, 20)),
        reason(0, 0, MissCause::NeverSeen)
    );
}

#[test]
fn another_salt_is_told_apart_until_its_last_block_goes() {
    let mut cache = cache(6, 4);
    let prompt = tokens(0, 6);
    serve(&mut cache, b"alice", &prompt);
    serve(&mut cache, b"bob", &prompt);
    assert_eq!(
        miss(&mut cache, b"carol", &prompt),
        reason(0, 0, MissCause::OtherSalt)
    );
    serve(&mut cache, b"alice", &tokens(1, 12));
    assert_eq!(
        miss(&mut cache, b"alice", &prompt).map(|miss| miss.cause),
        Some(evicted_for(1))
    );
    assert_eq!(
        miss(&mut cache, b"carol", &prompt),
        reason(0, 0, MissCause::OtherSalt)
    );
    serve(&mut cache, b"alice", &tokens(2, 20));
    assert_eq!(
        miss(&mut cache, b"carol", &prompt),
        reason(0, 0, MissCause::NeverSeen)
    );
}

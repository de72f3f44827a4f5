//! A probe finds what a lookup finds, for less.

use kv_cache::{CacheConfig, PrefixCache, PrefixHit, PrefixProbe, RetentionLimits, TokenId};

use crate::random::Random;
use crate::sequence::{Sequence, cache, serve, tokens};

const SALTS: [&[u8]; 2] = [b"", b"other"];

fn lookup(cache: &mut PrefixCache, salt: &[u8], tokens: &[TokenId]) -> PrefixHit {
    let mut chain = cache.new_chain(salt);
    cache.extend_chain(&mut chain, tokens);
    cache.lookup_prefix(&chain, tokens)
}

/// A prompt over three tokens, so that prompts share and part everywhere.
fn prompt(random: &mut Random, longest: usize) -> Vec<TokenId> {
    let len = 1 + random.below(longest);
    let mut prompt = vec![TokenId(7); len];
    for _ in 0..random.below(4) {
        prompt[random.below(len)] = TokenId(random.below(3) as u32);
    }
    prompt
}

#[test]
fn a_probe_finds_what_a_lookup_finds() {
    let mut hits = 0;
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let block_size = 1 + random.below(9);
        let mut cache = PrefixCache::new(&CacheConfig {
            num_blocks: 12 + random.below(40) as u32,
            block_size,
            window: None,
            enable_prefix_caching: !random.chance(10),
            fingerprint: b"model".to_vec(),
            evicted_memory: random.below(30),
            list_evicted: false,
            retention: RetentionLimits {
                max_blocks: 0,
                max_blocks_per_key: 0,
            },
        });
        let longest = cache.pool().capacity() * block_size / 2;
        for _ in 0..30 {
            serve(
                &mut cache,
                SALTS[random.below(2)],
                &prompt(&mut random, longest),
            );
            let prompts: Vec<_> = (0..6)
                .map(|_| (SALTS[random.below(2)], prompt(&mut random, longest)))
                .collect();
            let found: Vec<_> = {
                let mut probe = PrefixProbe::new(&cache);
                prompts
                    .iter()
                    .map(|(salt, tokens)| probe.lookup(salt, tokens))
                    .collect()
            };
            for ((salt, tokens), found) in prompts.iter().zip(found) {
                let expected = lookup(&mut cache, salt, tokens);
                let told = |hit: &PrefixHit| (hit.num_tokens(), hit.num_full_blocks(), hit.miss());
                assert_eq!(told(&found), told(&expected), "seed {seed}: {tokens:?}");
                hits += found.num_tokens();
            }
        }
    }
    assert!(hits > 100_000, "{hits} tokens found: prompts hardly share");
}

#[test]
fn variants_of_a_prompt_cost_what_they_do_not_share() {
    let mut cache = cache(3_000, 16);
    let long = tokens(0, 32_000);
    serve(&mut cache, b"", &long);
    let variants: Vec<Vec<TokenId>> = (0..64)
        .map(|at| {
            let mut variant = long.clone();
            variant[31_000 - 400 * at] = TokenId(5);
            variant
        })
        .collect();
    let mut probe = PrefixProbe::new(&cache);
    for (at, variant) in variants.iter().enumerate() {
        assert_eq!(probe.lookup(b"", variant).num_tokens(), 31_000 - 400 * at);
    }
    // The blocks before the last variant's difference, and per variant the one that differs.
    assert!(probe.walked_blocks() <= 31_000 / 16 + 1 + 64);
}

#[test]
fn nothing_is_hashed_behind_the_first_miss() {
    let mut cache = cache(100, 4);
    serve(&mut cache, b"", &tokens(0, 40));
    let mut prompt = tokens(0, 20);
    prompt.extend(tokens(1, 100_000));
    let mut probe = PrefixProbe::new(&cache);
    assert_eq!(probe.lookup(b"", &prompt).num_tokens(), 20);
    assert_eq!(probe.walked_blocks(), 6);
}

#[test]
fn the_hashes_are_the_chains() {
    let mut cache = cache(100, 4);
    let prompt = tokens(0, 30);
    let mut chain = cache.new_chain(b"salt");
    cache.extend_chain(&mut chain, &prompt);
    let mut probe = PrefixProbe::new(&cache);
    probe.lookup(b"salt", &prompt);
    assert_eq!(probe.hash(6), Some(chain.hashes()[6]));
    assert_eq!(probe.hash(0), Some(chain.hashes()[0]));
    assert_eq!(probe.hash(7), None, "the prompt ends inside the block");
}

#[test]
fn a_partial_match_that_cannot_be_pinned_is_not_counted() {
    let mut cache = cache(4, 4);
    serve(&mut cache, b"", &tokens(0, 4));
    let mut prompt = tokens(0, 3);
    prompt.extend(tokens(1, 9));
    let mut hit = lookup(&mut cache, b"", &prompt);
    assert_eq!(hit.num_tokens(), 3);
    cache.settle_partial(&mut hit, 8);
    assert_eq!(hit.num_tokens(), 3, "two blocks and the source fit");
    cache.settle_partial(&mut hit, 12);
    assert_eq!(hit.num_tokens(), 0, "three blocks and the source do not");
    assert_eq!(
        hit.miss().map(|miss| (miss.block, miss.token)),
        Some((0, 0))
    );
    let tight = Sequence::admit(&mut cache, b"", &prompt).expect("it fits");
    assert_eq!(tight.num_computed, 0);
    tight.release(&mut cache);
}

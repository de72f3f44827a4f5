//! What naming blocks costs per token; the bound is 20 ns.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kv_cache::{BlockHasher, CacheConfig, HashChain, PrefixCache, RetentionLimits, TokenId};

const NUM_TOKENS: usize = 4096;

fn prompt() -> Vec<TokenId> {
    (0..NUM_TOKENS as u32)
        .map(|at| TokenId(at.wrapping_mul(2_654_435_761) % 128_000))
        .collect()
}

fn hash_chain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash_chain");
    group.throughput(Throughput::Elements(NUM_TOKENS as u64));
    let tokens = prompt();
    let mut hasher = BlockHasher::new(b"model");
    for block_size in [16, 32, 64] {
        group.bench_function(BenchmarkId::from_parameter(block_size), |bencher| {
            bencher.iter(|| {
                let mut chain = HashChain::new(&mut hasher, b"salt");
                chain.extend(&mut hasher, block_size, black_box(&tokens));
                chain
            });
        });
    }
    group.finish();
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup_prefix");
    group.throughput(Throughput::Elements(NUM_TOKENS as u64));
    let tokens = prompt();
    let mut cache = PrefixCache::new(&CacheConfig {
        num_blocks: 1024,
        window: None,
        block_size: 16,
        enable_prefix_caching: true,
        fingerprint: Vec::new(),
        evicted_memory: 0,
        list_evicted: false,
        retention: RetentionLimits {
            max_blocks: 0,
            max_blocks_per_key: 0,
        },
    });
    let mut chain = cache.new_chain(b"");
    cache.extend_chain(&mut chain, &tokens);
    group.bench_function("miss", |bencher| {
        bencher.iter(|| cache.lookup_prefix(&chain, black_box(&tokens)));
    });
    let hit = cache.lookup_prefix(&chain, &tokens);
    let table = cache
        .allocate(&hit, NUM_TOKENS, 0)
        .expect("the pool is larger than the prompt");
    let computed = kv_cache::Computed {
        chain: &chain,
        tokens: &tokens,
        num_computed: NUM_TOKENS,
    };
    cache.release(table, computed);
    group.bench_function("hit", |bencher| {
        bencher.iter(|| cache.lookup_prefix(&chain, black_box(&tokens)));
    });
    group.finish();
}

criterion_group!(benches, hash_chain, lookup);
criterion_main!(benches);

//! Layers with a sliding window compute the same from a pool of their own, which gives back what is
//! behind the window.

use models::{Device, Dtype, KvCacheDtype, ModelSource, SumOrder, open};

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want};
use crate::golden::{self, Golden, VARIANTS};

/// Most tokens of a chunk.
const MAX_CHUNK: usize = 7;

/// Sequences side by side.
const SEQS: usize = 2;

/// Logits after every token of two sequences that are computed side by side, in chunks.
fn logits(variant: &str, device: Device, block_size: usize, has_pool: bool) -> Vec<Vec<f32>> {
    let golden = Golden::read(variant);
    let tokens = [&golden.prompt[..], &golden.tokens[..]].concat();
    let other: Vec<u32> = tokens.iter().rev().copied().collect();
    let setup = Setup {
        device,
        sum_order: SumOrder::Free,
        dtype: Dtype::Auto,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size,
        pool_tokens: SEQS * (tokens.len() + block_size),
        max_tokens: SEQS * MAX_CHUNK,
        max_rows: SEQS * MAX_CHUNK,
        max_len: tokens.len(),
        window_pool: has_pool.then_some(SEQS),
    };
    let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
    let mut rng = Rng(block_size as u64);
    let mut driver = Driver::new(model, setup, &mut rng);
    let mut seqs = [Seq::new(&tokens), Seq::new(&other)];
    let mut rows = Vec::new();
    while seqs[0].computed < tokens.len() {
        let count = (1 + rng.below(MAX_CHUNK)).min(tokens.len() - seqs[0].computed);
        let mut parts = seqs.each_mut().map(|seq| Part {
            seq,
            count,
            want: Want::All,
        });
        rows.extend(driver.step(&mut parts));
    }
    let given_back = |seq: &Seq| seq.window_blocks.contains(&0);
    assert_eq!(has_pool, seqs.iter().all(given_back), "{variant}");
    rows
}

fn check(device: Device, block_sizes: &[usize]) {
    let mut checked = 0;
    for variant in VARIANTS {
        let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
        if model.config().sliding_window().is_none() {
            continue;
        }
        checked += 1;
        for &block_size in block_sizes {
            let shared = logits(variant, device, block_size, false);
            let apart = logits(variant, device, block_size, true);
            assert!(shared == apart, "{variant}, block size {block_size}");
        }
    }
    assert!(checked >= 6, "{checked} variants have windows");
}

#[test]
fn the_cpu_backend_gives_the_same_bits() {
    check(Device::Cpu, &[1, 4, 16]);
}

#[test]
fn the_reference_backend_gives_the_same_bits() {
    check(Device::Reference, &[4]);
}

//! A row's bits depend on its own sequence and adapter alone.

use models::testing::{ALL_PROJECTIONS as ALL, AdapterFiles};
use models::{
    Device, Dtype, KvCacheDtype, LoraAdapter, LoraLimits, ModelConfig, ModelSource, SumOrder, open,
};

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want};
use crate::golden::answers;

const LIMITS: LoraLimits = LoraLimits {
    max_loras: 4,
    max_lora_rank: 24,
};
const LENGTH: usize = 150;
const PROMPT: usize = 140;

/// Adapters of the embedded model: of all projections, of a few, of ranks that are whole vectors and
/// that are not.
fn adapters(config: &ModelConfig) -> Vec<LoraAdapter> {
    let shapes: [(&[&str], usize); 4] = [
        (&ALL, 16),
        (&ALL, 3),
        (&["self_attn.q_proj", "self_attn.v_proj"], 24),
        (&["mlp.up_proj", "mlp.down_proj"], 8),
    ];
    let open = |(seed, (targets, rank)): (u64, (&[&str], usize))| {
        let folder = tempfile::tempdir().unwrap();
        AdapterFiles::random(config, targets, rank, seed)
            .write(folder.path())
            .unwrap();
        LoraAdapter::open(folder.path(), config, LIMITS.max_lora_rank).unwrap()
    };
    (1..).zip(shapes).map(open).collect()
}

fn setup(kv_cache_dtype: KvCacheDtype) -> Setup {
    Setup {
        device: Device::Cpu,
        sum_order: SumOrder::Free,
        dtype: Dtype::Auto,
        kv_cache_dtype,
        block_size: 16,
        pool_tokens: 40 * (LENGTH + 16),
        max_tokens: 4 * LENGTH,
        max_rows: 2 * LENGTH,
        max_len: LENGTH,
        window_pool: None,
    }
}

/// Logits of the prompt's last token and of all that follow, alone, the prompt in one chunk.
fn alone(driver: &mut Driver, tokens: &[u32], adapter: Option<u32>) -> (Seq, Vec<Vec<f32>>) {
    let mut seq = Seq::new(tokens).with_adapter(adapter);
    let mut rows = step(driver, &mut seq, PROMPT);
    while seq.computed < LENGTH {
        rows.extend(step(driver, &mut seq, 1));
    }
    (seq, rows)
}

fn step(driver: &mut Driver, seq: &mut Seq, count: usize) -> Vec<Vec<f32>> {
    driver.step(&mut [Part {
        seq,
        count,
        want: Want::Last,
    }])
}

/// All sequences together, in steps of random chunks and in random order.
fn together(driver: &mut Driver, seqs: &mut [Seq], rng: &mut Rng) -> Vec<Vec<Vec<f32>>> {
    let mut found = vec![Vec::new(); seqs.len()];
    while seqs.iter().any(|seq| seq.computed < LENGTH) {
        let mut parts = Vec::new();
        let mut wanted = Vec::new();
        let mut left: Vec<(usize, &mut Seq)> = seqs.iter_mut().enumerate().collect();
        while !left.is_empty() {
            let (index, seq) = left.swap_remove(rng.below(left.len()));
            let count = match PROMPT.checked_sub(seq.computed) {
                None | Some(0) => 1,
                Some(missing) => 1 + rng.below(missing),
            };
            if seq.computed == LENGTH || rng.below(4) == 0 {
                continue;
            }
            let want = match seq.computed + count >= PROMPT {
                true => Want::Last,
                false => Want::Nothing,
            };
            if want == Want::Last {
                wanted.push(index);
            }
            parts.push(Part { seq, count, want });
        }
        if !parts.is_empty() {
            let rows = driver.step(&mut parts);
            for (index, row) in wanted.into_iter().zip(rows) {
                found[index].push(row);
            }
        }
    }
    found
}

fn assert_bits(got: &[Vec<f32>], want: &[Vec<f32>], place: &str) {
    assert_eq!(got.len(), want.len(), "{place}");
    for (row, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got
            .iter()
            .zip(want)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{place}: row {row} differs in bits");
    }
}

#[test]
fn neighbours_chunks_and_cached_prefixes_change_no_bits() {
    let model = || open(&ModelSource::Embedded).unwrap();
    let adapters = adapters(model().config());
    let text: Vec<u32> = answers().iter().flat_map(|a| a.prompt.clone()).collect();
    for (kv_cache_dtype, seed) in [(KvCacheDtype::Float32, 31), (KvCacheDtype::Bfloat16, 32)] {
        let mut rng = Rng(seed);
        let setup = setup(kv_cache_dtype);
        let mut driver = Driver::with_adapters(model(), setup, LIMITS, &adapters, &mut rng);
        let slots = [None, Some(0), Some(1), Some(2), Some(3)];
        let tokens: Vec<&[u32]> = (0..10).map(|i| &text[40 * i..][..LENGTH]).collect();
        let adapter = |index: usize| slots[index % slots.len()];
        let mut want = Vec::new();
        for (index, tokens) in tokens.iter().enumerate() {
            let (owner, rows) = alone(&mut driver, tokens, adapter(index));
            let shared = 1 + rng.below(PROMPT - 1);
            let mut warm = driver.share_prefix(&owner, tokens, shared);
            let mut again = step(&mut driver, &mut warm, PROMPT - shared);
            again.extend(step(&mut driver, &mut warm, 1));
            assert_bits(&again, &rows[..2], &format!("{shared} cached, seed {seed}"));
            want.push(rows);
        }
        let mut seqs: Vec<Seq> = tokens
            .iter()
            .enumerate()
            .map(|(index, tokens)| Seq::new(tokens).with_adapter(adapter(index)))
            .collect();
        let got = together(&mut driver, &mut seqs, &mut rng);
        for (index, (got, want)) in got.iter().zip(&want).enumerate() {
            let place = format!("sequence {index}, {kv_cache_dtype:?}, seed {seed}");
            assert_bits(got, want, &place);
        }
        // The base model is what it is where there is no room for adapters.
        let mut plain = Driver::new(model(), setup, &mut rng);
        for index in [0, 5] {
            let (_, rows) = alone(&mut plain, tokens[index], None);
            assert_bits(&rows, &want[index], &format!("plain {index}"));
        }
        // Adapters that change nothing would pass all of this.
        for (index, tokens) in tokens
            .iter()
            .enumerate()
            .filter(|(i, _)| adapter(*i).is_some())
        {
            let (_, base) = alone(&mut plain, tokens, None);
            assert!(base[0] != want[index][0], "adapter of {index}");
        }
    }
}

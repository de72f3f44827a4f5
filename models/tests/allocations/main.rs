//! After the first one, steps allocate nothing. A test binary of its own: the allocator is the whole
//! process's.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernels::StepBatch;
use models::testing::{ALL_PROJECTIONS, AdapterFiles};
use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, LoraAdapter, LoraLimits, ModelRunner,
    ModelSource, Quantization, SumOrder, open,
};

/// Calls that allocated, on any thread.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above; the system gets zeroed pages without touching them.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BLOCK_SIZE: usize = 16;
/// Blocks of a sequence, the longest being as long as the model's limit.
const BLOCKS: usize = 48;
/// Attention splits decoding sequences as long as this.
const LONG: usize = 700;

/// These positions of sequences 0, 1, ..; the logits of the last one of each.
fn step(parts: &[(usize, usize)]) -> StepBatch {
    let mut batch = StepBatch::default();
    batch.clear();
    for (seq, &(start, end)) in parts.iter().enumerate() {
        let first_block = 1 + seq * BLOCKS;
        for position in start..end {
            batch.token_ids.push((position * 31 + seq) as u32 % 97);
            batch.positions.push(position as u32);
            let slot = first_block * BLOCK_SIZE + position;
            batch.slot_mapping.push(slot as u32);
        }
        let blocks = first_block..first_block + end.div_ceil(BLOCK_SIZE);
        batch.block_tables.extend(blocks.map(|block| block as u32));
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
        batch.query_start.push(batch.token_ids.len() as u32);
        batch.context_lens.push(end as u32);
        batch.logits_rows.push(batch.token_ids.len() as u32 - 1);
    }
    batch
}

/// Scores the first rows of the batch as well, more of them than can be sampled.
fn scored(mut batch: StepBatch) -> StepBatch {
    batch.scored_rows.extend(0..9);
    batch.scored_tokens.extend(0..9);
    batch
}

/// With adapters for the first sequences.
fn adapted(mut batch: StepBatch, slots: [Option<u32>; 3]) -> StepBatch {
    batch.adapters.extend(&slots[..batch.num_seqs()]);
    batch
}

fn runner(
    source: &ModelSource,
    weights: (Dtype, Quantization),
    kv_cache_dtype: KvCacheDtype,
    lora: Option<LoraLimits>,
) -> Box<dyn ModelRunner> {
    let options = LoadOptions {
        device: Device::Cpu,
        dtype: weights.0,
        quantization: weights.1,
        limits: Limits {
            num_blocks: 1 + 3 * BLOCKS,
            window_blocks: None,
            block_size: BLOCK_SIZE,
            max_num_batched_tokens: 160,
            max_num_seqs: 3,
            max_model_len: BLOCKS * BLOCK_SIZE,
        },
        threads: NonZero::new(2),
        pin_threads: false,
        sum_order: SumOrder::Free,
        kv_cache_dtype,
        lora,
    };
    let model = open(source).unwrap();
    model.load(&options, &mut |_| ()).unwrap().runner
}

/// Allocations of one forward pass.
fn allocations(runner: &mut dyn ModelRunner, batch: &StepBatch) -> usize {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let logits = runner.forward(batch).unwrap();
    assert_eq!(logits.num_rows(), batch.logits_rows.len());
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// Steps of all kinds.
fn steps() -> [(&'static str, StepBatch); 6] {
    // Nothing is computed before these positions: what is read there are zeros.
    let long = (LONG, LONG + 1);
    [
        ("the first prompt", step(&[(0, 100)])),
        ("one sequence", step(&[(100, 101)])),
        ("a larger chunk", step(&[(101, 261)])),
        (
            "two prompts and a token",
            scored(step(&[(0, 60), (0, 70), (30, 31)])),
        ),
        ("long sequences", step(&[long, long, long])),
        ("a mixture", step(&[(LONG, LONG + 1), (5, 105), (0, 1)])),
    ]
}

/// The allocator counts for the whole process: one test after the other.
#[test]
fn steps_allocate_nothing() {
    steps_of_a_dense_model_allocate_nothing();
    steps_like_earlier_ones_allocate_nothing();
}

fn steps_of_a_dense_model_allocate_nothing() {
    let weights = [
        (Dtype::Auto, Quantization::None),
        (Dtype::Float32, Quantization::None),
        (Dtype::Auto, Quantization::Q8_0),
    ];
    let caches = [
        KvCacheDtype::Auto,
        KvCacheDtype::Float32,
        KvCacheDtype::Int8,
    ];
    for (weights, cache) in weights.into_iter().zip(caches) {
        let mut runner = runner(&ModelSource::Embedded, weights, cache, None);
        for (index, (name, batch)) in steps().iter().enumerate() {
            let count = allocations(&mut *runner, batch);
            // Inputs get their memory, for the largest step, with the first product.
            assert!(index == 0 || count == 0, "{weights:?}: {name}: {count}");
        }
        // A few rows behind several spans may need more once.
        let short = step(&[(LONG, LONG + 4), (LONG, LONG + 3)]);
        allocations(&mut *runner, &short);
        assert_eq!(allocations(&mut *runner, &short), 0, "{weights:?}: again");
    }
    // In the same test: what runs beside it would be counted.
    adapted_steps_allocate_nothing();
}

fn adapted_steps_allocate_nothing() {
    let limits = LoraLimits {
        max_loras: 2,
        max_lora_rank: 16,
    };
    let mut runner = runner(
        &ModelSource::Embedded,
        (Dtype::Auto, Quantization::None),
        KvCacheDtype::Auto,
        Some(limits),
    );
    let model = open(&ModelSource::Embedded).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for slot in 0..2 {
        let files = AdapterFiles::random(model.config(), &ALL_PROJECTIONS, 16, slot as u64 + 1);
        files.write(folder.path()).unwrap();
        let adapter = LoraAdapter::open(folder.path(), model.config(), 16).unwrap();
        runner.adapters().unwrap().load(slot, &adapter).unwrap();
    }
    let long = (LONG, LONG + 1);
    let steps = [
        step(&[(0, 100)]),
        adapted(step(&[(0, 160)]), [Some(1), None, None]),
        adapted(step(&[(100, 101), long, long]), [Some(0), None, Some(1)]),
        adapted(
            scored(step(&[(0, 60), (0, 70), (30, 31)])),
            [None, Some(1), Some(1)],
        ),
        adapted(step(&[long, long, long]), [Some(0), Some(1), Some(0)]),
    ];
    for (index, batch) in steps.iter().enumerate() {
        let count = allocations(&mut *runner, batch);
        assert!(
            index == 0 || count == 0,
            "step {index} with adapters: {count}"
        );
    }
}

/// How many rows an expert gets, and so in which form it takes them, is the tokens' choice: only of a
/// step that has been there already can it be said that it finds what it needs.
fn steps_like_earlier_ones_allocate_nothing() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    for variant in ["qwen3-moe", "gemma3", "olmo2", "starcoder2"] {
        let source = ModelSource::Folder(goldens.join(variant));
        for quantization in [Quantization::None, Quantization::Q8_0] {
            let weights = (Dtype::Auto, quantization);
            let mut runner = runner(&source, weights, KvCacheDtype::Auto, None);
            let steps = steps();
            for (_, batch) in &steps {
                allocations(&mut *runner, batch);
            }
            for (name, batch) in &steps {
                let count = allocations(&mut *runner, batch);
                assert_eq!(count, 0, "{variant}, {weights:?}: {name}");
            }
        }
    }
}

//! Steps that are launched before those before them have ended.

use std::collections::VecDeque;

use kernels::{DRAWN_BEFORE, Draw};
use models::{Device, Dtype, KvCacheDtype, ModelSource, SumOrder, open};

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want, rows_of};
use crate::golden::{self, Golden};
use crate::gpu;

/// What each step computes: sequences, and how many of their tokens. One leaves, and comes back; one
/// joins with a prompt in two pieces.
const STEPS: [&[(usize, usize)]; 9] = [
    &[(0, 7), (1, 5), (2, 4)],
    &[(0, 1), (1, 1), (2, 1)],
    &[(0, 1), (1, 1), (2, 1)],
    &[(0, 1), (2, 1), (3, 6)],
    &[(2, 1), (0, 1), (3, 3)],
    &[(0, 1), (1, 1), (2, 1), (3, 1)],
    &[(0, 1), (1, 1), (2, 1), (3, 1)],
    &[(0, 1), (1, 1), (2, 1), (3, 1)],
    &[(3, 1), (1, 1)],
];
/// Tokens of the sequences' prompts.
const PROMPTS: [usize; 4] = [7, 5, 4, 9];

struct Generation {
    driver: Driver,
    seqs: Vec<Seq>,
    /// Of each step in flight the sequences of its rows.
    in_flight: VecDeque<Vec<usize>>,
}

impl Generation {
    fn new(variant: &str, setup: Setup) -> Self {
        let folder = golden::folder().join(variant);
        let model = open(&ModelSource::Folder(folder)).unwrap();
        let prompt = Golden::read(variant).prompt;
        let seqs = PROMPTS.map(|len| Seq::new(&prompt[prompt.len() - len..]));
        Self {
            driver: Driver::new(model, setup, &mut Rng(5)),
            seqs: seqs.to_vec(),
            in_flight: VecDeque::new(),
        }
    }

    /// Begins a step that draws the likeliest tokens, or leaves its rows to the host.
    fn launch(&mut self, step: &[(usize, usize)], draws: bool) {
        let mut sampled = Vec::new();
        let mut seqs: Vec<Option<&mut Seq>> = self.seqs.iter_mut().map(Some).collect();
        let mut parts: Vec<Part<'_>> = Vec::new();
        for &(index, count) in step {
            let seq = seqs[index].take().unwrap();
            let want = match seq.computed + count == seq.tokens.len() {
                true => {
                    sampled.push(index);
                    Want::Last
                }
                false => Want::Nothing,
            };
            parts.push(Part { seq, count, want });
        }
        let draws = vec![Some(Draw::LIKELIEST); if draws { sampled.len() } else { 0 }];
        self.driver.lay_out(&mut parts, &draws);
        let steps = self.driver.runner.steps_in_flight().unwrap();
        steps.launch(&self.driver.batch).unwrap();
        for part in parts {
            self.driver.pass_window(part.seq);
        }
        for (row, &index) in sampled.iter().enumerate() {
            self.seqs[index].tokens.push(DRAWN_BEFORE + row as u32);
        }
        self.in_flight.push_back(sampled);
    }

    /// Ends the earliest step: its tokens are known from then on. The logits of rows that it has not
    /// drawn.
    fn finish(&mut self) -> Vec<Vec<f32>> {
        let sampled = self.in_flight.pop_front().unwrap();
        let steps = self.driver.runner.steps_in_flight().unwrap();
        let rows = rows_of(&steps.finish().unwrap());
        assert_eq!(rows.len(), sampled.len());
        let mut logits = Vec::new();
        for (index, row) in sampled.into_iter().zip(rows) {
            let mut tokens = self.seqs[index].tokens.iter_mut();
            let unknown = tokens.find(|token| **token >= DRAWN_BEFORE).unwrap();
            match row {
                Err(drawn) => *unknown = drawn.token,
                Ok(row) => logits.push(row),
            }
        }
        logits
    }

    /// The tokens of all sequences, and the logits of the last step.
    fn run(mut self, is_ahead: bool) -> (Vec<Vec<u32>>, Vec<Vec<f32>>) {
        let mut logits = Vec::new();
        for (index, step) in STEPS.into_iter().enumerate() {
            self.launch(step, index + 1 < STEPS.len());
            if !is_ahead || self.in_flight.len() == 2 {
                logits = self.finish();
            }
        }
        while !self.in_flight.is_empty() {
            logits = self.finish();
        }
        (
            self.seqs.into_iter().map(|seq| seq.tokens).collect(),
            logits,
        )
    }
}

/// Of families with a window, a pool apart and one for all layers; with experts, whose rows are routed.
#[test]
fn steps_ahead_compute_what_they_do_one_after_the_other() {
    let Some(device) = gpu::device() else { return };
    for (variant, dtype, window_pool) in [
        ("qwen3", Dtype::Bfloat16, None),
        ("llama3-gqa", Dtype::Float32, None),
        ("gemma3", Dtype::Bfloat16, Some(PROMPTS.len())),
        ("gemma2", Dtype::Float32, None),
        ("gpt-oss", Dtype::Bfloat16, None),
    ] {
        let setup = setup(device, dtype, window_pool);
        let [ahead, after] = [true, false].map(|is_ahead| {
            let generation = Generation::new(variant, setup);
            generation.run(is_ahead)
        });
        assert_eq!(ahead.0, after.0, "{variant}: tokens");
        assert_eq!(ahead.1.len(), 2, "{variant}: rows of the last step");
        assert_eq!(ahead.1, after.1, "{variant}: logits");
        let known = ahead.0.iter().flatten();
        // The last step's tokens are the host's to choose.
        let unknown = known.filter(|&&token| token >= DRAWN_BEFORE);
        assert_eq!(unknown.count(), 2, "{variant}");
    }
}

fn setup(device: Device, dtype: Dtype, window_pool: Option<usize>) -> Setup {
    Setup {
        device,
        dtype,
        sum_order: SumOrder::Free,
        kv_cache_dtype: KvCacheDtype::Auto,
        block_size: 4,
        pool_tokens: 256,
        max_tokens: 16,
        max_rows: PROMPTS.len(),
        max_len: 32,
        window_pool,
    }
}

//! What a device's backend does beside the operations: steps that are recorded compute what the same
//! operations compute one by one, and the likeliest tokens are found where logits are.

use kernels::{
    ActivationDtype, Add, AddRmsNorm, Attention, Backend, Embed, GatedLinear, GatherRows,
    KvCacheShape, KvDtype, KvPool, Linear, QkvShape, RmsNorm, Rope, RopeTableView, StepBatch,
    StepSizes, WeightDtype, WeightFormat, WeightView, WriteKv,
};

use crate::fixture::{Rng, assert_same_bits, download, encode};

const HIDDEN: usize = 64;
const VOCAB: usize = 50;
const BLOCK_SIZE: usize = 16;
const NUM_BLOCKS: usize = 64;
const MAX_ROWS: usize = 24;
const SHAPE: QkvShape = QkvShape {
    num_q_heads: 4,
    num_kv_heads: 2,
    head_dim: 64,
};

/// One layer on a backend.
struct Layer<B: Backend> {
    backend: B,
    embedding: B::Linear,
    qkv: B::Linear,
    o: B::Linear,
    gate_up: B::Linear,
    down: B::Linear,
    norm: B::Vector,
    rope: B::RopeTable,
    kv: B::KvCache,
    residual: B::Buffer,
    normed: B::Buffer,
    rows: B::Buffer,
    attended: B::Buffer,
    delta: B::Buffer,
    wide: B::Buffer,
    activated: B::Buffer,
    sampled: B::Buffer,
    logits: B::Buffer,
}

/// A sequence's context so far and its blocks.
struct Sequence {
    context_len: usize,
    blocks: Vec<u32>,
}

impl<B: Backend> Layer<B> {
    fn new(mut backend: B) -> Self {
        let mut rng = Rng::new(71);
        let sizes = StepSizes {
            qkv: SHAPE,
            max_tokens: 128,
            max_seqs: MAX_ROWS,
            max_context: 1024,
        };
        backend.reserve(&sizes).unwrap();
        let mut matrix = |rows: usize, cols: usize| {
            let (data, _) = encode(&rng.floats(rows * cols), WeightDtype::Bf16);
            let view = WeightView {
                name: "matrix",
                data: &data,
                dtype: WeightDtype::Bf16,
                rows,
                cols,
            };
            let packed = backend.pack_linear(&[view], None, &[WeightFormat::Checkpoint]);
            packed.unwrap()
        };
        let (embedding, qkv) = (matrix(VOCAB, HIDDEN), matrix(SHAPE.row_size(), HIDDEN));
        let (o, gate_up) = (matrix(HIDDEN, SHAPE.q_size()), matrix(2 * 96, HIDDEN));
        let down = matrix(HIDDEN, 96);
        let angles: Vec<f32> = (0..1024 * 32)
            .map(|i| (i / 32 * (i % 32)) as f32 * 0.01)
            .collect();
        let [cos, sin] = [f32::cos, f32::sin].map(|f| angles.iter().copied().map(f).collect());
        let (cos, sin): (Vec<f32>, Vec<f32>) = (cos, sin);
        let table = RopeTableView {
            cos: &cos,
            sin: &sin,
            rotary_dim: 64,
        };
        let cache = KvCacheShape {
            num_layers: 1,
            num_blocks: NUM_BLOCKS,
            block_size: BLOCK_SIZE,
            num_kv_heads: SHAPE.num_kv_heads,
            head_dim: SHAPE.head_dim,
            dtype: KvDtype::Bf16,
        };
        let buffer = |rows, cols| backend.buffer(rows, cols).unwrap();
        Self {
            norm: backend.vector(&vec![0.1; HIDDEN]).unwrap(),
            rope: backend.rope_table(table).unwrap(),
            kv: backend.kv_cache(cache).unwrap(),
            residual: backend.exact_buffer(128, HIDDEN).unwrap(),
            normed: buffer(128, HIDDEN),
            rows: buffer(128, SHAPE.row_size()),
            attended: buffer(128, SHAPE.q_size()),
            delta: buffer(128, HIDDEN),
            wide: buffer(128, 2 * 96),
            activated: buffer(128, 96),
            sampled: backend.exact_buffer(MAX_ROWS, HIDDEN).unwrap(),
            logits: backend.exact_buffer(MAX_ROWS, VOCAB).unwrap(),
            embedding,
            qkv,
            o,
            gate_up,
            down,
            backend,
        }
    }

    /// The step's logits, and whether the backend did the step at once.
    fn step(&mut self, batch: &StepBatch, repeats: Option<bool>) -> (Vec<f32>, bool) {
        let is_replayed = match repeats {
            Some(repeats) => self.backend.begin_step(batch, repeats).unwrap(),
            None => false,
        };
        if !is_replayed {
            self.operations(batch);
            if repeats.is_some() {
                self.backend.end_step(false).unwrap();
            }
        }
        let rows = batch.logits_rows.len();
        (download(&mut self.backend, &self.logits, rows), is_replayed)
    }

    fn operations(&mut self, batch: &StepBatch) {
        let (backend, rows) = (&mut self.backend, batch.num_tokens());
        let embed = Embed {
            table: &self.embedding,
            token_ids: &batch.token_ids,
            scale: 1.0,
            out: &mut self.residual,
        };
        backend.embed(embed).unwrap();
        let norm = RmsNorm {
            input: &self.residual,
            weight: &self.norm,
            eps: 1e-5,
            rows,
            out: &mut self.normed,
        };
        backend.rms_norm(norm).unwrap();
        product(backend, (&self.normed, rows), &self.qkv, &mut self.rows);
        let write = WriteKv {
            qkv: &mut self.rows,
            shape: SHAPE,
            norm: None,
            rope: Some(Rope {
                positions: &batch.positions,
                table: &self.rope,
            }),
            kv: &mut self.kv,
            layer: 0,
            pool: KvPool::Main,
            slot_mapping: &batch.slot_mapping,
        };
        backend.write_kv(write).unwrap();
        let attention = Attention {
            qkv: &self.rows,
            shape: SHAPE,
            kv: &self.kv,
            layer: 0,
            batch,
            pool: KvPool::Main,
            scale: 0.125,
            soft_cap: None,
            sinks: None,
            window: None,
            out: &mut self.attended,
        };
        backend.attention(attention).unwrap();
        product(backend, (&self.attended, rows), &self.o, &mut self.delta);
        let add = AddRmsNorm {
            residual: &mut self.residual,
            delta: &self.delta,
            scale: 1.0,
            weight: &self.norm,
            eps: 1e-5,
            rows,
            out: &mut self.normed,
        };
        backend.add_rms_norm(add).unwrap();
        let gated = GatedLinear {
            input: &self.normed,
            weight: &self.gate_up,
            rows,
            gate_up: &mut self.wide,
            activation: kernels::Activation::Silu,
            out: &mut self.activated,
        };
        backend.gated_linear(gated).unwrap();
        product(
            backend,
            (&self.activated, rows),
            &self.down,
            &mut self.delta,
        );
        let add = Add {
            residual: &mut self.residual,
            delta: &self.delta,
            scale: 1.0,
            rows,
        };
        backend.add(add).unwrap();
        let gather = GatherRows {
            input: &self.residual,
            rows: &batch.logits_rows,
            out: &mut self.sampled,
        };
        backend.gather_rows(gather).unwrap();
        let rows = batch.logits_rows.len();
        product(
            backend,
            (&self.sampled, rows),
            &self.embedding,
            &mut self.logits,
        );
    }
}

fn product<B: Backend>(
    backend: &mut B,
    (input, rows): (&B::Buffer, usize),
    weight: &B::Linear,
    out: &mut B::Buffer,
) {
    let linear = Linear {
        input,
        weight,
        rows,
        out,
    };
    backend.linear(linear).unwrap();
}

/// The next `tokens` tokens of each sequence.
fn batch(rng: &mut Rng, sequences: &mut [Sequence], tokens: usize) -> StepBatch {
    let mut batch = StepBatch::default();
    batch.clear();
    for sequence in sequences {
        for position in sequence.context_len..sequence.context_len + tokens {
            batch.token_ids.push(rng.below(VOCAB) as u32);
            batch.positions.push(position as u32);
            let block = sequence.blocks[position / BLOCK_SIZE] as usize;
            let slot = block * BLOCK_SIZE + position % BLOCK_SIZE;
            batch.slot_mapping.push(slot as u32);
        }
        sequence.context_len += tokens;
        let rows = batch.token_ids.len() as u32;
        batch.query_start.push(rows);
        batch.logits_rows.push(rows - 1);
        batch.context_lens.push(sequence.context_len as u32);
        let blocks = sequence.context_len.div_ceil(BLOCK_SIZE);
        batch.block_tables.extend(&sequence.blocks[..blocks]);
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
    }
    batch
}

/// Contexts that grow, other sequences in the same rows, another number of rows in between.
pub(crate) fn recorded_steps_are_those_of_their_operations<B: Backend>(
    backend: &mut dyn FnMut(ActivationDtype) -> B,
) {
    for dtype in [ActivationDtype::F32, ActivationDtype::Bf16] {
        check_recorded(Layer::new(backend(dtype)), Layer::new(backend(dtype)));
    }
}

fn check_recorded<B: Backend>(mut recorded: Layer<B>, mut plain: Layer<B>) {
    let mut rng = Rng::new(72);
    let mut blocks = rng.permutation(NUM_BLOCKS);
    blocks.retain(|&block| block != 0);
    let mut sequences: Vec<Sequence> = (0..5)
        .map(|_| Sequence {
            context_len: 0,
            blocks: blocks.split_off(blocks.len() - 12),
        })
        .collect();
    let mut replays = 0;
    let prompts = [(0..1, 100), (1..3, 30), (3..5, 13)];
    for (range, tokens) in prompts {
        let batch = batch(&mut rng, &mut sequences[range], tokens);
        let (got, is_replayed) = recorded.step(&batch, Some(false));
        assert!(!is_replayed, "steps that do not repeat are not recorded");
        assert_same_bits("prompt", &got, &plain.step(&batch, None).0);
    }
    for turn in 0..40 {
        let range = [0..5, 0..5, 0..2, 1..3, 2..5][turn % 5].clone();
        let mut batch = batch(&mut rng, &mut sequences[range], 1);
        // Another pool, whose slots are the same at first, is not this layer's.
        batch.window.slot_mapping = match turn < 15 {
            true => batch.slot_mapping.clone(),
            false => vec![0; batch.num_tokens()],
        };
        batch.window.block_tables = vec![0; batch.block_tables.len()];
        let (got, is_replayed) = recorded.step(&batch, Some(true));
        replays += usize::from(is_replayed);
        assert_same_bits(&format!("{turn}"), &got, &plain.step(&batch, None).0);
    }
    assert!(replays >= 20, "{replays} of 40 steps were replayed");
    // One fails while it is recorded, before its first operation.
    for turn in 0..4 {
        let batch = batch(&mut rng, &mut sequences[0..4], 1);
        if turn == 1 {
            assert!(!recorded.backend.begin_step(&batch, true).unwrap());
            recorded.backend.end_step(true).unwrap();
        }
        let (got, _) = recorded.step(&batch, Some(true));
        assert_same_bits("after a failure", &got, &plain.step(&batch, None).0);
    }
}

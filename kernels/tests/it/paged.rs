//! Sequences in a paged KV cache: building batches, running them, and attention in f64.

use half::bf16;
use kernels::{Attention, Backend, KvCacheShape, KvDtype, KvPool, QkvShape, StepBatch, WriteKv};

use crate::fixture::{Rng, download, e4m3, poisoned, upload};

/// Layers of the cache; attention uses the last one, so that a wrong layer stride is noticed.
const NUM_LAYERS: usize = 2;
const LAYER: usize = 1;
/// Keys whose softmax weights are relative to the same score.
const SPAN_KEYS: usize = 256;

/// What attention rounds to bfloat16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    None,
    /// Queries that are scaled, keys, values, and softmax weights relative to the largest of each 256
    /// keys.
    OfSpans,
    /// Queries, keys, values, and weights relative to the largest so far.
    AsItGoes,
}

/// Whether GPUs have a kernel for heads of this size by tensor cores.
fn is_usual(head_dim: usize) -> bool {
    matches!(head_dim, 64 | 96 | 128 | 256)
}

/// What the tests vary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) shape: QkvShape,
    pub(crate) block_size: usize,
    pub(crate) window: Option<usize>,
    pub(crate) soft_cap: Option<f32>,
    /// Whether heads have the sinks of [`sink`].
    pub(crate) sinks: bool,
    pub(crate) dtype: KvDtype,
    /// Which of a batch's tables are the cache's. Those of the window pool have the null block, whose
    /// slots are zero, where no row looks.
    pub(crate) pool: KvPool,
}

impl Setup {
    /// An f32 cache, every key visible, no cap.
    pub(crate) fn new(shape: QkvShape, block_size: usize) -> Self {
        Self {
            shape,
            block_size,
            window: None,
            soft_cap: None,
            sinks: false,
            dtype: KvDtype::F32,
            pool: KvPool::Main,
        }
    }
}

/// One sequence: all its rows, already rotated as far as attention is concerned.
pub(crate) struct Sequence {
    /// `[context_len, row_size]`
    pub(crate) qkv: Vec<f32>,
    pub(crate) context_len: usize,
}

/// `query_len` rows of sequence `seq` that end at `context_len`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) seq: usize,
    pub(crate) context_len: usize,
    pub(crate) query_len: usize,
}

/// A cache with a block table per sequence. Slots that hold no token are NaN.
pub(crate) struct Cache<'a, B: Backend> {
    pub(crate) backend: B,
    setup: Setup,
    sequences: &'a [Sequence],
    kv: B::KvCache,
    tables: Vec<Vec<u32>>,
}

impl Sequence {
    pub(crate) fn random(rng: &mut Rng, shape: QkvShape, context_len: usize) -> Self {
        let qkv = rng.floats(context_len * shape.row_size());
        Self { qkv, context_len }
    }

    fn rows(&self, shape: QkvShape, chunk: Chunk) -> &[f32] {
        let first = chunk.context_len - chunk.query_len;
        &self.qkv[first * shape.row_size()..chunk.context_len * shape.row_size()]
    }
}

impl<'a, B: Backend> Cache<'a, B> {
    /// Blocks for `sequences` in random order, with spare ones between them, and NaN in every slot.
    pub(crate) fn new(
        mut backend: B,
        rng: &mut Rng,
        setup: Setup,
        sequences: &'a [Sequence],
    ) -> Self {
        let blocks = |s: &Sequence| s.context_len.div_ceil(setup.block_size);
        let num_blocks = sequences.iter().map(blocks).sum::<usize>() + 3;
        let mut free = rng.permutation(num_blocks);
        if setup.pool == KvPool::Window {
            free.retain(|&block| block != 0);
        }
        let tables = sequences
            .iter()
            .map(|s| free.split_off(free.len() - blocks(s)))
            .collect();
        let cache_shape = KvCacheShape {
            num_layers: NUM_LAYERS,
            num_blocks,
            block_size: setup.block_size,
            num_kv_heads: setup.shape.num_kv_heads,
            head_dim: setup.shape.head_dim,
            dtype: setup.dtype,
        };
        let mut kv = backend.kv_cache(cache_shape).unwrap();
        let slots: Vec<u32> = (0..(num_blocks * setup.block_size) as u32).collect();
        let mut nan = poisoned(&mut backend, slots.len(), setup.shape.row_size());
        for layer in 0..NUM_LAYERS {
            let op = WriteKv {
                qkv: &mut nan,
                shape: setup.shape,
                norm: None,
                rope: None,
                kv: &mut kv,
                layer,
                pool: setup.pool,
                slot_mapping: &slots,
            };
            backend.write_kv(op).unwrap();
        }
        let mut cache = Self {
            backend,
            setup,
            sequences,
            kv,
            tables,
        };
        if setup.pool == KvPool::Window {
            cache.clear_null_block();
        }
        cache
    }

    /// Makes the slots of the null block zero, as a new cache has them.
    fn clear_null_block(&mut self) {
        let Setup {
            shape, block_size, ..
        } = self.setup;
        let zeros = vec![0.0; block_size * shape.row_size()];
        let mut zeros = upload(&mut self.backend, &zeros, shape.row_size());
        let slots: Vec<u32> = (0..block_size as u32).collect();
        self.backend
            .write_kv(WriteKv {
                qkv: &mut zeros,
                shape,
                norm: None,
                rope: None,
                kv: &mut self.kv,
                layer: LAYER,
                pool: self.setup.pool,
                slot_mapping: &slots,
            })
            .unwrap();
    }

    /// Writes the chunks' keys and values, attends, and returns `[rows, q_size]`.
    pub(crate) fn step(&mut self, chunks: &[Chunk]) -> Vec<f32> {
        let shape = self.setup.shape;
        let batch = self.batch(chunks);
        let mut rows = Vec::new();
        for &chunk in chunks {
            rows.extend_from_slice(self.sequences[chunk.seq].rows(shape, chunk));
        }
        let mut qkv = upload(&mut self.backend, &rows, shape.row_size());
        self.backend
            .write_kv(WriteKv {
                qkv: &mut qkv,
                shape,
                norm: None,
                rope: None,
                kv: &mut self.kv,
                layer: LAYER,
                pool: self.setup.pool,
                slot_mapping: batch.slots_in(self.setup.pool),
            })
            .unwrap();
        let mut out = poisoned(&mut self.backend, batch.num_tokens(), shape.q_size());
        let sinks: Vec<f32> = (0..shape.num_q_heads).map(sink).collect();
        let sinks = self.backend.vector(&sinks).unwrap();
        self.backend
            .attention(Attention {
                qkv: &qkv,
                shape,
                kv: &self.kv,
                layer: LAYER,
                batch: &batch,
                pool: self.setup.pool,
                scale: scale(shape),
                soft_cap: self.setup.soft_cap,
                sinks: self.setup.sinks.then_some(&sinks),
                window: self.setup.window,
                out: &mut out,
            })
            .unwrap();
        download(&mut self.backend, &out, batch.num_tokens())
    }

    /// Gives sequence `seq` the first `num_blocks` blocks of sequence `of`.
    pub(crate) fn share_blocks(&mut self, seq: usize, of: usize, num_blocks: usize) {
        let shared = self.tables[of][..num_blocks].to_vec();
        self.tables[seq][..num_blocks].copy_from_slice(&shared);
    }

    /// Moves every block of the sequences elsewhere with `copy_blocks`, tables too.
    pub(crate) fn move_blocks(&mut self, spare: &[u32]) {
        let mut copies = Vec::new();
        let mut spare = spare.iter();
        for (table, sequence) in self.tables.iter_mut().zip(self.sequences) {
            for (index, block) in table.iter_mut().enumerate() {
                let Some(&dst) = spare.next() else { break };
                let left = sequence.context_len - index * self.setup.block_size;
                let num_tokens = left.min(self.setup.block_size) as u32;
                copies.push(kernels::BlockCopy {
                    src: *block,
                    dst,
                    num_tokens,
                });
                *block = dst;
            }
        }
        self.backend.copy_blocks(&mut self.kv, &copies).unwrap();
    }

    /// Moves every block of the sequences elsewhere as bytes, tables too, and overwrites it.
    pub(crate) fn carry_blocks(&mut self, spare: &[u32]) {
        let mut bytes = vec![0; self.backend.kv_block_bytes(&self.kv)];
        let poison = vec![0x5a; bytes.len()];
        let mut spare = spare.iter();
        for block in self.tables.iter_mut().flatten() {
            let Some(&dst) = spare.next() else { break };
            let (backend, kv) = (&mut self.backend, &mut self.kv);
            backend.read_block(kv, *block as usize, &mut bytes).unwrap();
            backend.write_block(kv, *block as usize, &poison).unwrap();
            backend.write_block(kv, dst as usize, &bytes).unwrap();
            *block = dst;
        }
    }

    /// Blocks that no sequence has.
    pub(crate) fn spare_blocks(&self) -> Vec<u32> {
        let used = |block: &u32| self.tables.iter().any(|table| table.contains(block));
        let num_blocks = self.tables.iter().map(Vec::len).sum::<usize>() + 3;
        (0..num_blocks as u32)
            .filter(|block| !used(block))
            .collect()
    }

    /// How attention over this cache is computed: in bfloat16 where that is an instruction, and the
    /// cache keeps no more.
    pub(crate) fn rounding(&self) -> Rounding {
        let description = self.backend.description();
        let heads = self.setup.shape.head_dim;
        match self.setup.dtype {
            KvDtype::F32 => Rounding::None,
            _ if description.contains("bf16") => Rounding::OfSpans,
            KvDtype::Bf16 | KvDtype::Fp8 if description.starts_with("cuda") && is_usual(heads) => {
                Rounding::AsItGoes
            }
            _ => Rounding::None,
        }
    }

    fn batch(&self, chunks: &[Chunk]) -> StepBatch {
        let mut batch = StepBatch::default();
        batch.clear();
        for chunk in chunks {
            let table = &self.tables[chunk.seq];
            for position in chunk.context_len - chunk.query_len..chunk.context_len {
                let block = table[position / self.setup.block_size] as usize;
                let offset = position % self.setup.block_size;
                batch.token_ids.push(0);
                batch.positions.push(position as u32);
                let slots = match self.setup.pool {
                    KvPool::Main => &mut batch.slot_mapping,
                    KvPool::Window => &mut batch.window.slot_mapping,
                };
                slots.push((block * self.setup.block_size + offset) as u32);
            }
            let blocks = chunk.context_len.div_ceil(self.setup.block_size);
            batch.query_start.push(batch.token_ids.len() as u32);
            batch.context_lens.push(chunk.context_len as u32);
            self.add_table(&mut batch, chunk, &table[..blocks]);
            batch
                .block_table_start
                .push(batch.block_tables.len() as u32);
        }
        batch
    }
}

impl<B: Backend> Cache<'_, B> {
    /// In the window's pool, what no row of the chunk sees was given back.
    fn add_table(&self, batch: &mut StepBatch, chunk: &Chunk, table: &[u32]) {
        if self.setup.pool == KvPool::Main {
            return batch.block_tables.extend(table);
        }
        let window = self.setup.window.unwrap_or(usize::MAX);
        let first = (chunk.context_len - chunk.query_len + 1).saturating_sub(window);
        let seen = first / self.setup.block_size;
        let tables = &mut batch.window.block_tables;
        tables.extend(std::iter::repeat_n(0, seen));
        tables.extend(&table[seen..]);
        batch.block_tables.resize(tables.len(), 0);
    }
}

/// The factor of the scores that the tests use.
pub(crate) fn scale(shape: QkvShape) -> f32 {
    1.0 / (shape.head_dim as f32).sqrt()
}

/// Attention of the chunk's rows in f64, `[query_len, q_size]`, of what `rounding` leaves; weights are
/// not rounded as it goes.
pub(crate) fn oracle(
    setup: Setup,
    sequence: &Sequence,
    chunk: Chunk,
    rounding: Rounding,
) -> Vec<f64> {
    let rounds = rounding != Rounding::None;
    let Setup { shape, window, .. } = setup;
    let group = shape.num_q_heads / shape.num_kv_heads;
    let head = |position: usize, index: usize| {
        let start = position * shape.row_size() + index * shape.head_dim;
        &sequence.qkv[start..start + shape.head_dim]
    };
    let stored = |index: usize| -> Vec<Vec<f64>> {
        let heads = (0..chunk.context_len).map(|position| head(position, index));
        heads
            .map(|head| as_stored(setup.dtype, head, rounds))
            .collect()
    };
    let kv_heads = shape.num_q_heads..shape.num_q_heads + 2 * shape.num_kv_heads;
    let stored: Vec<Vec<Vec<f64>>> = kv_heads.map(stored).collect();
    // Scores are logarithms to base 2, once they are capped.
    let factor = match setup.soft_cap {
        Some(_) => scale(shape),
        None => scale(shape) * std::f32::consts::LOG2_E,
    };
    let mut out = Vec::new();
    for position in chunk.context_len - chunk.query_len..chunk.context_len {
        for q_head in 0..shape.num_q_heads {
            let keys = &stored[q_head / group];
            let values = &stored[q_head / group + shape.num_kv_heads];
            let oldest = window.map_or(0, |w| (position + 1).saturating_sub(w));
            let scaled = |q: &f32| match rounding {
                Rounding::OfSpans => bf16::from_f32(q * factor).to_f64(),
                Rounding::AsItGoes => bf16::from_f32(*q).to_f64() * f64::from(factor),
                Rounding::None => f64::from(*q) * f64::from(factor),
            };
            let query: Vec<f64> = head(position, q_head).iter().map(scaled).collect();
            let score = |key: usize| {
                let score: f64 = query.iter().zip(&keys[key]).map(|(q, k)| q * k).sum();
                match setup.soft_cap.map(f64::from) {
                    Some(cap) => cap * (score / cap).tanh() * std::f64::consts::LOG2_E,
                    None => score,
                }
            };
            let scores: Vec<(usize, f64)> = (oldest..=position).map(|k| (k, score(k))).collect();
            let largest = |scores: &[(usize, f64)]| {
                let scores = scores.iter().map(|(_, score)| *score);
                scores.fold(f64::NEG_INFINITY, f64::max)
            };
            let sink = match setup.sinks {
                true => f64::from(sink(q_head)) * std::f64::consts::LOG2_E,
                false => f64::NEG_INFINITY,
            };
            let max = largest(&scores).max(sink);
            let mut sum = (sink - max).exp2();
            let mut output = vec![0.0; shape.head_dim];
            for span in scores.chunk_by(|a, b| a.0 / SPAN_KEYS == b.0 / SPAN_KEYS) {
                let span_max = largest(span);
                for &(key, score) in span {
                    let weight = (score - span_max).exp2();
                    let taken = match rounding {
                        Rounding::OfSpans => bf16::from_f64(weight).to_f64(),
                        Rounding::None | Rounding::AsItGoes => weight,
                    };
                    let span_factor = (span_max - max).exp2();
                    sum += weight * span_factor;
                    for (o, v) in output.iter_mut().zip(&values[key]) {
                        *o += taken * span_factor * v;
                    }
                }
            }
            out.extend(output.into_iter().map(|o| o / sum));
        }
    }
    out
}

/// The sink of a query head: next to nothing, as much as keys, more than all of them.
fn sink(q_head: usize) -> f32 {
    [-4.0, 0.5, 3.0, 7.0][q_head % 4]
}

/// What a cache of `dtype` keeps of a head; if `rounds`, as bfloat16.
fn as_stored(dtype: KvDtype, head: &[f32], rounds: bool) -> Vec<f64> {
    let largest = head.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let stored = |&x: &f32| match dtype {
        KvDtype::F32 => f64::from(x),
        KvDtype::Bf16 => bf16::from_f32(x).to_f64(),
        KvDtype::Fp8 => f64::from(e4m3(x)),
        // In f32 as the cache does it, so that ties go the same way.
        KvDtype::Int8 => {
            let element = (x * (1.0 / scale)).round_ties_even();
            match rounds {
                true => bf16::from_f32(element * scale).to_f64(),
                false => f64::from(element) * f64::from(scale),
            }
        }
    };
    head.iter().map(stored).collect()
}

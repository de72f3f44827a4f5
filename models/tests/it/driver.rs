//! Runs sequences on a model: the smallest thing that allocates blocks.

use kernels::{BlockCopy, Draw, DrawnToken, StepBatch};
use models::{
    CacheNotice, Device, Dtype, KvCacheDtype, Limits, LoadOptions, Logits, LoraAdapter, LoraLimits,
    Model, ModelRunner, Quantization, SumOrder,
};

/// Reproducible random numbers (SplitMix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// How a driver loads its model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) device: Device,
    pub(crate) sum_order: SumOrder,
    pub(crate) dtype: Dtype,
    pub(crate) kv_cache_dtype: KvCacheDtype,
    pub(crate) block_size: usize,
    /// Tokens that the pool holds.
    pub(crate) pool_tokens: usize,
    /// Most tokens in a step.
    pub(crate) max_tokens: usize,
    /// Most rows of logits in a step.
    pub(crate) max_rows: usize,
    /// Longest sequence.
    pub(crate) max_len: usize,
    /// For how many sequences the pool suffices that layers with a sliding window have of their own.
    pub(crate) window_pool: Option<usize>,
}

/// A sequence: its tokens, how many of them have KV, and its blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seq {
    pub(crate) tokens: Vec<u32>,
    pub(crate) computed: usize,
    pub(crate) blocks: Vec<u32>,
    /// Blocks of the layers with a sliding window; 0 where they were given back.
    pub(crate) window_blocks: Vec<u32>,
    /// Slot of its adapter.
    pub(crate) adapter: Option<u32>,
}

impl Seq {
    /// A sequence without KV.
    pub(crate) fn new(tokens: &[u32]) -> Self {
        Self {
            tokens: tokens.to_vec(),
            ..Self::default()
        }
    }

    /// The same, with the adapter in `slot`.
    pub(crate) fn with_adapter(self, slot: Option<u32>) -> Self {
        Self {
            adapter: slot,
            ..self
        }
    }
}

/// Which rows of a part give logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Nothing,
    Last,
    All,
}

/// The next `count` tokens of a sequence, to compute in a step.
pub(crate) struct Part<'a> {
    pub(crate) seq: &'a mut Seq,
    pub(crate) count: usize,
    pub(crate) want: Want,
}

/// A loaded model and its free blocks, in an order that mixes everything.
pub(crate) struct Driver {
    pub(crate) runner: Box<dyn ModelRunner>,
    block_size: usize,
    free: Vec<u32>,
    window: Option<Window>,
    pub(crate) batch: StepBatch,
    /// Copies that the next step runs.
    copies: Vec<BlockCopy>,
    /// What loading said of the cache of quantised weights.
    pub(crate) cache_notices: Vec<CacheNotice>,
}

/// The pool of the layers with a sliding window.
struct Window {
    tokens: usize,
    free: Vec<u32>,
}

impl Driver {
    /// Loads `model`.
    pub(crate) fn new(model: Model, setup: Setup, rng: &mut Rng) -> Self {
        Self::quantized(model, setup, Quantization::None, rng)
    }

    /// Loads `model`, quantised.
    pub(crate) fn quantized(
        model: Model,
        setup: Setup,
        quantization: Quantization,
        rng: &mut Rng,
    ) -> Self {
        Self::load(model, setup, (quantization, None), rng)
    }

    /// Loads `model` with room for adapters, and these.
    pub(crate) fn with_adapters(
        model: Model,
        setup: Setup,
        lora: LoraLimits,
        adapters: &[LoraAdapter],
        rng: &mut Rng,
    ) -> Self {
        let mut driver = Self::load(model, setup, (Quantization::None, Some(lora)), rng);
        for (slot, adapter) in adapters.iter().enumerate() {
            driver.load_adapter(slot, adapter);
        }
        driver
    }

    /// Empties a slot.
    pub(crate) fn unload_adapter(&mut self, slot: usize) {
        self.runner.adapters().unwrap().unload(slot);
    }

    /// Puts an adapter into a slot.
    pub(crate) fn load_adapter(&mut self, slot: usize, adapter: &LoraAdapter) {
        let slots = self.runner.adapters().unwrap();
        slots.load(slot, adapter).unwrap();
    }

    fn load(
        model: Model,
        setup: Setup,
        (quantization, lora): (Quantization, Option<LoraLimits>),
        rng: &mut Rng,
    ) -> Self {
        let num_blocks = setup.pool_tokens.div_ceil(setup.block_size) + 1;
        let window = model.config().sliding_window().zip(setup.window_pool);
        let window_blocks = window.map(|(tokens, seqs)| {
            seqs * ((tokens + setup.max_tokens).div_ceil(setup.block_size) + 1) + 1
        });
        let limits = Limits {
            num_blocks,
            window_blocks,
            block_size: setup.block_size,
            max_num_batched_tokens: setup.max_tokens,
            max_num_seqs: setup.max_rows,
            max_model_len: setup.max_len,
        };
        let (device, dtype) = (setup.device, setup.dtype);
        let options = LoadOptions {
            device,
            dtype,
            quantization,
            limits,
            threads: None,
            pin_threads: false,
            sum_order: setup.sum_order,
            kv_cache_dtype: setup.kv_cache_dtype,
            lora,
        };
        let loaded = model.load(&options, &mut |_| ()).unwrap();
        let mut free: Vec<u32> = (1..num_blocks as u32).collect();
        for i in (1..free.len()).rev() {
            free.swap(i, rng.below(i + 1));
        }
        let (runner, block_size) = (loaded.runner, setup.block_size);
        Self {
            runner,
            block_size,
            free,
            window: window.map(|(tokens, _)| Window {
                tokens,
                free: (1..window_blocks.unwrap_or(1) as u32).collect(),
            }),
            batch: StepBatch::default(),
            copies: Vec::new(),
            cache_notices: loaded.cache_notices,
        }
    }

    /// Computes the parts in one step and returns the logits, row by row.
    pub(crate) fn step(&mut self, parts: &mut [Part<'_>]) -> Vec<Vec<f32>> {
        let rows = self.step_with_draws(parts, &[]).into_iter();
        rows.map(|row| row.expect("nothing was to be drawn"))
            .collect()
    }

    /// The same, where the model may draw tokens: of such a row what it has drawn.
    pub(crate) fn step_with_draws(
        &mut self,
        parts: &mut [Part<'_>],
        draws: &[Option<Draw>],
    ) -> Vec<Result<Vec<f32>, DrawnToken>> {
        self.lay_out(parts, draws);
        let rows = rows_of(&self.runner.forward(&self.batch).unwrap());
        for part in parts {
            self.pass_window(part.seq);
        }
        rows
    }

    /// Writes the parts into the batch; they have their blocks.
    pub(crate) fn lay_out(&mut self, parts: &mut [Part<'_>], draws: &[Option<Draw>]) {
        self.batch.clear();
        self.batch.draws.extend_from_slice(draws);
        self.batch.block_copies.append(&mut self.copies);
        for part in &mut *parts {
            let needed = (part.seq.computed + part.count).div_ceil(self.block_size);
            while part.seq.blocks.len() < needed {
                part.seq
                    .blocks
                    .push(self.free.pop().expect("the pool is large enough"));
            }
            self.add(part);
        }
    }

    /// Computes all of a sequence and returns the state behind its last token.
    pub(crate) fn state(&mut self, seq: &mut Seq) -> Vec<f32> {
        self.batch.clear();
        let needed = seq.tokens.len().div_ceil(self.block_size);
        seq.blocks
            .extend((seq.blocks.len()..needed).filter_map(|_| self.free.pop()));
        let count = seq.tokens.len();
        self.add(&mut Part {
            seq,
            count,
            want: Want::Last,
        });
        self.batch.wants_states = true;
        let logits = self.runner.forward(&self.batch).unwrap();
        logits.state(0).to_vec()
    }

    /// Computes the sequence's next `count` tokens, and the log probabilities of those that follow
    /// each of them.
    pub(crate) fn score(&mut self, seq: &mut Seq, count: usize) -> Vec<f32> {
        let first = seq.computed;
        let tokens = seq.tokens[first + 1..=first + count].to_vec();
        self.batch.clear();
        let needed = (first + count).div_ceil(self.block_size);
        seq.blocks
            .extend((seq.blocks.len()..needed).filter_map(|_| self.free.pop()));
        self.add(&mut Part {
            seq,
            count,
            want: Want::Nothing,
        });
        self.batch.scored_rows.extend(0..count as u32);
        self.batch.scored_tokens = tokens;
        let logits = self.runner.forward(&self.batch).unwrap();
        assert_eq!(logits.num_rows(), 0);
        logits.scores().to_vec()
    }

    fn add(&mut self, part: &mut Part<'_>) {
        self.add_window(part);
        let batch = &mut self.batch;
        let seq = &mut *part.seq;
        for position in seq.computed..seq.computed + part.count {
            batch.token_ids.push(seq.tokens[position]);
            batch.positions.push(position as u32);
            let block = seq.blocks[position / self.block_size] as usize;
            batch
                .slot_mapping
                .push((block * self.block_size + position % self.block_size) as u32);
        }
        let end = batch.token_ids.len() as u32;
        match part.want {
            Want::Nothing => {}
            Want::Last => batch.logits_rows.push(end - 1),
            Want::All => batch.logits_rows.extend(end - part.count as u32..end),
        }
        seq.computed += part.count;
        batch.query_start.push(end);
        batch.context_lens.push(seq.computed as u32);
        batch.adapters.push(seq.adapter);
        batch.block_tables.extend_from_slice(&seq.blocks);
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
    }

    /// Gives a part its blocks of the window's pool.
    fn add_window(&mut self, part: &mut Part<'_>) {
        let Some(window) = &mut self.window else {
            return;
        };
        let (seq, block_size) = (&mut *part.seq, self.block_size);
        while seq.window_blocks.len() < seq.blocks.len() {
            let block = window.free.pop().expect("the window's pool suffices");
            seq.window_blocks.push(block);
        }
        let slot = |position: usize| {
            seq.window_blocks[position / block_size] * block_size as u32
                + (position % block_size) as u32
        };
        let positions = seq.computed..seq.computed + part.count;
        let batch = &mut self.batch.window;
        batch.slot_mapping.extend(positions.map(slot));
        batch.block_tables.extend_from_slice(&seq.window_blocks);
    }

    /// Takes back what no later token of a sequence sees.
    pub(crate) fn pass_window(&mut self, seq: &mut Seq) {
        let Some(window) = &mut self.window else {
            return;
        };
        let end = (seq.computed + 1).saturating_sub(window.tokens) / self.block_size;
        for block in &mut seq.window_blocks[..end] {
            if *block != 0 {
                window.free.push(*block);
                *block = 0;
            }
        }
    }

    /// Logits of all the sequence's tokens that have no KV yet, in chunks of random size.
    pub(crate) fn prefill_in_chunks(&mut self, seq: &mut Seq, rng: &mut Rng) -> Vec<Vec<f32>> {
        let mut rows = Vec::new();
        while seq.computed < seq.tokens.len() {
            let count = 1 + rng.below(seq.tokens.len() - seq.computed);
            rows.extend(self.step(&mut [Part {
                seq: &mut *seq,
                count,
                want: Want::All,
            }]));
        }
        rows
    }

    /// Adds `token` and computes it: the logits after it.
    pub(crate) fn decode(&mut self, seq: &mut Seq, token: u32) -> Vec<f32> {
        seq.tokens.push(token);
        self.step(&mut [Part {
            seq,
            count: 1,
            want: Want::Last,
        }])
        .remove(0)
    }

    /// A sequence that shares the KV of the first `len` tokens of `other`: whole blocks as they
    /// are, the rest of the last one copied.
    pub(crate) fn share_prefix(&mut self, other: &Seq, tokens: &[u32], len: usize) -> Seq {
        assert!(len <= other.computed && other.tokens[..len] == tokens[..len]);
        assert!(self.window.is_none(), "the driver shares no windows");
        let full = len / self.block_size;
        let mut blocks = other.blocks[..full].to_vec();
        let num_tokens = (len % self.block_size) as u32;
        if num_tokens > 0 {
            let dst = self.free.pop().expect("the pool is large enough");
            self.copies.push(BlockCopy {
                src: other.blocks[full],
                dst,
                num_tokens,
            });
            blocks.push(dst);
        }
        Seq {
            tokens: tokens.to_vec(),
            computed: len,
            blocks,
            window_blocks: Vec::new(),
            adapter: other.adapter,
        }
    }
}

/// Of each row its logits, or what was drawn of it.
pub(crate) fn rows_of(logits: &Logits<'_>) -> Vec<Result<Vec<f32>, DrawnToken>> {
    let row = |row| match logits.drawn(row) {
        Some(drawn) => Err(drawn.clone()),
        None => Ok(logits.row(row).to_vec()),
    };
    (0..logits.num_rows()).map(row).collect()
}

/// The token with the largest logit; the first one of equals.
pub(crate) fn argmax(row: &[f32]) -> u32 {
    let mut best = 0;
    for (token, &logit) in row.iter().enumerate() {
        if logit > row[best] {
            best = token;
        }
    }
    best as u32
}

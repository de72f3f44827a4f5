//! Layers with a sliding window keep their KV in a pool of their own, and give back what is behind it.

use std::sync::Arc;

use kv_cache::{
    BlockTable, CacheConfig, Computed, HashChain, MissCause, PrefixCache, RetentionKey, Timestamp,
    TokenId, WindowConfig,
};

use crate::random::Random;
use crate::sequence::{config, tokens};

const BLOCK: usize = 4;

fn cache(num_blocks: u32, window: WindowConfig) -> PrefixCache {
    PrefixCache::new(&CacheConfig {
        window: Some(window),
        list_evicted: false,
        ..config(num_blocks, BLOCK)
    })
}

/// A sequence that is computed in chunks, as the scheduler has it computed.
struct Chunked {
    tokens: Vec<TokenId>,
    chain: HashChain,
    table: BlockTable,
    num_computed: usize,
}

impl Chunked {
    fn admit(cache: &mut PrefixCache, tokens: &[TokenId]) -> Self {
        let mut chain = cache.new_chain(b"");
        cache.extend_chain(&mut chain, tokens);
        let hit = cache.lookup_prefix(&chain, tokens);
        let table = cache.allocate(&hit, hit.num_tokens(), 7).expect("it fits");
        let num_computed = table.num_cached_tokens();
        Self {
            tokens: tokens.to_vec(),
            chain,
            table,
            num_computed,
        }
    }

    fn computed(&self) -> Computed<'_> {
        Computed {
            chain: &self.chain,
            tokens: &self.tokens,
            num_computed: self.num_computed,
        }
    }

    /// Takes room for the next tokens.
    fn extend(&mut self, cache: &mut PrefixCache, end: usize) -> bool {
        cache.extend(&mut self.table, end).is_ok()
    }

    /// The next tokens, up to `end`, are computed.
    fn advance(&mut self, cache: &mut PrefixCache, end: usize) {
        cache.finish_copy(&mut self.table);
        self.num_computed = end;
        cache.extend_chain(&mut self.chain, &self.tokens);
        let computed = Computed {
            chain: &self.chain,
            tokens: &self.tokens,
            num_computed: end,
        };
        cache.seal(&mut self.table, computed);
        cache.pass_window(&mut self.table, end);
    }

    /// Computes everything, `step` tokens at a time.
    fn compute(&mut self, cache: &mut PrefixCache, step: usize) {
        while self.num_computed < self.tokens.len() {
            let end = (self.num_computed + step).min(self.tokens.len());
            assert!(self.extend(cache, end), "it fits");
            self.advance(cache, end);
            cache.check_invariants([&self.table]);
        }
        cache.register_partial(&self.table, self.computed());
    }

    fn release(mut self, cache: &mut PrefixCache) {
        let table = std::mem::take(&mut self.table);
        cache.release(table, self.computed());
    }
}

fn serve(cache: &mut PrefixCache, tokens: &[TokenId], step: usize) -> usize {
    let mut sequence = Chunked::admit(cache, tokens);
    let cached = sequence.num_computed;
    sequence.compute(cache, step);
    sequence.release(cache);
    cache.check_invariants([]);
    cached
}

fn cached(cache: &mut PrefixCache, tokens: &[TokenId]) -> usize {
    let mut chain = cache.new_chain(b"");
    cache.extend_chain(&mut chain, tokens);
    let hit = cache.lookup_prefix(&chain, tokens);
    let estimate = cache.count_cached_blocks(&chain, (tokens.len() - 1) / BLOCK);
    assert_eq!(estimate, hit.num_full_blocks());
    hit.num_tokens()
}

fn in_use(cache: &PrefixCache) -> usize {
    cache.window_blocks().expect("there are some").num_in_use()
}

#[test]
fn a_long_sequence_holds_a_window() {
    let window = WindowConfig {
        tokens: 10,
        num_blocks: 100,
    };
    let mut cache = cache(100, window);
    let mut sequence = Chunked::admit(&mut cache, &tokens(0, 203));
    sequence.compute(&mut cache, 8);
    assert_eq!(cache.pool().num_in_use(), 51);
    // The token at 203 reads 194 to 203: from block 48 on.
    assert_eq!(in_use(&cache), 3);
    let blocks: Vec<bool> = cache
        .table_window_blocks(&sequence.table)
        .map(|block| block.0 != 0)
        .collect();
    assert_eq!(blocks.iter().position(|&is_there| is_there), Some(48));
    assert!(blocks[48..].iter().all(|&is_there| is_there));
    sequence.release(&mut cache);
    assert_eq!(in_use(&cache), 0);
    assert_eq!(cached(&mut cache, &tokens(0, 203)), 202);
}

#[test]
fn a_prefix_ends_where_its_window_is_gone_and_is_healed() {
    // 20 blocks for the window: those of the first 80 tokens make room for later ones.
    let window = WindowConfig {
        tokens: 9,
        num_blocks: 21,
    };
    let mut cache = cache(100, window);
    let prompt = tokens(0, 161);
    serve(&mut cache, &prompt, 8);
    assert_eq!(cached(&mut cache, &prompt), 160, "its end is there");
    let parted = |at: usize| [&prompt[..at], &tokens(9, 30)].concat();
    assert_eq!(cached(&mut cache, &parted(120)), 120);
    let early = parted(60);
    let mut chain = cache.new_chain(b"");
    cache.extend_chain(&mut chain, &early);
    let hit = cache.lookup_prefix(&chain, &early);
    assert_eq!(
        hit.num_tokens(),
        0,
        "nothing of it reaches back to the start"
    );
    let miss = hit.miss().expect("it was evicted");
    assert!(
        matches!(miss.cause, MissCause::Evicted(eviction) if eviction.holder == 7),
        "{miss:?}"
    );
    // Computed again, the blocks that the other layers have kept get their companions back.
    let before = cache.stats().sealed;
    assert_eq!(serve(&mut cache, &early, 8), 0);
    assert_eq!(cache.stats().sealed - before, 7, "those of its own alone");
    assert_eq!(cached(&mut cache, &parted(60)[..61]), 60);
    assert_eq!(cached(&mut cache, &early), 89);
}

#[test]
fn a_retained_end_keeps_its_window() {
    let window = WindowConfig {
        tokens: 9,
        num_blocks: 21,
    };
    for retained in [false, true] {
        let mut cache = cache(200, window);
        let prompt = tokens(0, 81);
        let mut sequence = Chunked::admit(&mut cache, &prompt);
        sequence.compute(&mut cache, 8);
        let key: RetentionKey = Arc::from(&b"a"[..]);
        let num_tokens = if retained { 40 } else { 0 };
        let kept = cache.retain(&sequence.table, num_tokens, Timestamp(10), &key);
        assert_eq!(kept, num_tokens);
        sequence.release(&mut cache);
        for other in 1..4 {
            serve(&mut cache, &tokens(other, 61), 8);
        }
        assert_eq!(cached(&mut cache, &prompt), num_tokens);
        // When its time is over, it goes like others.
        cache.advance_clock(Timestamp(11));
        for other in 5..9 {
            serve(&mut cache, &tokens(other, 61), 8);
        }
        assert_eq!(cached(&mut cache, &prompt), 0);
    }
}

#[test]
fn reset_forgets_window_blocks() {
    let window = WindowConfig {
        tokens: 9,
        num_blocks: 21,
    };
    let mut cache = cache(100, window);
    serve(&mut cache, &tokens(0, 41), 8);
    assert!(cache.reset());
    cache.check_invariants([]);
    assert_eq!(cached(&mut cache, &tokens(0, 41)), 0);
    assert_eq!(serve(&mut cache, &tokens(0, 41), 8), 0);
}

/// Sequences that run in one random world.
const MAX_SEQS: usize = 4;
/// Most tokens of a chunk there.
const MAX_STEP: usize = 9;

/// The cache and what each slot of its window blocks holds: the digest of a token and all before it.
struct World {
    random: Random,
    window: usize,
    block_size: usize,
    cache: PrefixCache,
    sequences: Vec<Chunked>,
    prompts: Vec<Vec<TokenId>>,
    slots: Vec<u64>,
    now: u64,
    cached_tokens: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let block_size = [1, 2, 3, 4, 8][random.below(5)];
        let window = 1 + random.below(30);
        let least = WindowConfig::blocks_for(window, block_size, MAX_SEQS, MAX_STEP);
        let num_window_blocks = least + random.below(10);
        let cache = PrefixCache::new(&CacheConfig {
            window: Some(WindowConfig {
                tokens: window,
                num_blocks: num_window_blocks as u32,
            }),
            list_evicted: false,
            block_size,
            ..config(2 + random.below(60) as u32, block_size)
        });
        Self {
            random,
            window,
            block_size,
            cache,
            sequences: Vec::new(),
            prompts: vec![vec![TokenId(0)]],
            slots: vec![0; num_window_blocks * block_size],
            now: 0,
            cached_tokens: 0,
        }
    }

    fn step(&mut self) {
        if self.random.chance(10) {
            self.now += self.random.below(20) as u64;
            self.cache.advance_clock(Timestamp(self.now));
        }
        let some = self.random.below(self.sequences.len().max(1));
        match self.random.below(100) {
            0..20 if self.sequences.len() < MAX_SEQS => self.admit(),
            _ if self.sequences.is_empty() => self.admit(),
            0..80 => self.compute(some),
            80..88 => self.retain(some),
            _ => {
                let sequence = self.sequences.swap_remove(some);
                sequence.release(&mut self.cache);
            }
        }
        let tables = self.sequences.iter().map(|sequence| &sequence.table);
        self.cache.check_invariants(tables);
    }

    fn admit(&mut self) {
        let mut prompt = self.prompts[self.random.below(self.prompts.len())].clone();
        prompt.truncate(1 + self.random.below(prompt.len()));
        for _ in 0..self.random.below(30) {
            prompt.push(TokenId(self.random.below(3) as u32));
        }
        self.prompts.push(prompt.clone());
        let mut chain = self.cache.new_chain(b"");
        self.cache.extend_chain(&mut chain, &prompt);
        let hit = self.cache.lookup_prefix(&chain, &prompt);
        let limit = (prompt.len() - 1) / self.block_size;
        let estimate = self.cache.count_cached_blocks(&chain, limit);
        assert_eq!(estimate, hit.num_full_blocks());
        let room = hit.num_tokens() + self.random.below(2);
        if let Ok(table) = self.cache.allocate(&hit, room, 0) {
            self.cached_tokens += table.num_cached_tokens();
            self.sequences.push(Chunked {
                num_computed: table.num_cached_tokens(),
                tokens: prompt,
                chain,
                table,
            });
        }
    }

    /// Computes some of a sequence's tokens: what their window holds is their own history.
    fn compute(&mut self, at: usize) {
        let block_size = self.block_size;
        let sequence = &mut self.sequences[at];
        let start = sequence.num_computed;
        if start == sequence.tokens.len() {
            sequence.tokens.push(TokenId(self.random.below(3) as u32));
        }
        let missing = (sequence.tokens.len() - start).min(MAX_STEP);
        let end = start + 1 + self.random.below(missing);
        if !sequence.extend(&mut self.cache, end) {
            return;
        }
        if let Some(copy) = sequence.table.pending_copy() {
            let window = copy.window.expect("both are copied");
            let (src, dst) = (window.src.0 as usize, window.dst.0 as usize);
            let from = src * block_size..src * block_size + copy.num_tokens;
            self.slots.copy_within(from, dst * block_size);
        }
        let blocks: Vec<u32> = self
            .cache
            .table_window_blocks(&sequence.table)
            .map(|block| block.0)
            .collect();
        let mut digest = 0xcbf2_9ce4_8422_2325u64;
        for (position, token) in sequence.tokens[..end].iter().enumerate() {
            digest = (digest ^ (u64::from(token.0) + 1)).wrapping_mul(0x0100_0000_01b3);
            let block = blocks[position / block_size] as usize;
            let slot = block * block_size + position % block_size;
            if position >= start {
                assert_ne!(block, 0, "a token to compute has a slot");
                self.slots[slot] = digest;
            } else if position + self.window > start {
                assert_eq!(self.slots[slot], digest, "token {position} is another's");
            }
        }
        sequence.advance(&mut self.cache, end);
        if end == sequence.tokens.len() {
            let computed = sequence.computed();
            self.cache.register_partial(&sequence.table, computed);
        }
    }

    fn retain(&mut self, at: usize) {
        let sequence = &self.sequences[at];
        let num_tokens = self.random.below(sequence.tokens.len() + 1);
        let until = Timestamp(self.now + 1 + self.random.below(100) as u64);
        let key: RetentionKey = Arc::from([self.random.below(3) as u8]);
        self.cache.retain(&sequence.table, num_tokens, until, &key);
    }
}

#[test]
fn random_sequences_read_their_own_windows() {
    let (mut cached, mut evicted, mut merged, mut copies) = (0, 0, 0, 0);
    for seed in 0..300 {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..400 {
                world.step();
            }
            for sequence in std::mem::take(&mut world.sequences) {
                sequence.release(&mut world.cache);
            }
            world.cache.check_invariants([]);
            assert_eq!(in_use(&world.cache), 0);
            (world.cached_tokens, world.cache.stats())
        });
        let (tokens, stats) = outcome.unwrap_or_else(|cause| {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(cause)
        });
        cached += tokens;
        evicted += stats.window_evictions;
        merged += stats.duplicates_merged;
        copies += stats.copies;
    }
    let least = evicted.min(merged).min(copies).min(cached as u64);
    assert!(
        least > 1_000,
        "hardly exercised: {cached} cached, {evicted} evicted, {merged} merged, {copies} copied"
    );
}

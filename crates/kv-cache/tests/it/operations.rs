//! A million random operations on the cache and on the naive model side by side.

use std::sync::Arc;

use kv_cache::{
    BlockTable, CacheConfig, CacheStats, Computed, HashChain, PrefixCache, RetentionKey,
    RetentionLimits, Timestamp, TokenId,
};

use crate::model::{Model, ModelTable};
use crate::random::Random;

const SEEDS: u64 = 500;
const OPERATIONS_PER_SEED: usize = 2_000;
/// Recomputing every hash is the slow part.
const FULL_CHECK_EVERY: usize = 50;

/// One that runs in both.
struct Sequence {
    salt: u8,
    tokens: Vec<TokenId>,
    prompt_len: usize,
    num_computed: usize,
    chain: HashChain,
    table: BlockTable,
    model: ModelTable,
}

/// Both caches, and what each slot really contains: the history of the token written there.
struct World {
    random: Random,
    block_size: usize,
    cache: PrefixCache,
    model: Model,
    sequences: Vec<Sequence>,
    /// Prompts to derive others from.
    prompts: Vec<Vec<TokenId>>,
    /// Digest of (salt, tokens up to and with this one). `[num_blocks * block_size]`
    slots: Vec<u64>,
    now: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let block_size = [1, 2, 3, 4, 8][random.below(5)];
        let num_blocks = 2 + random.below(24) as u32;
        let limits = (random.below(20), random.below(10));
        let cache = PrefixCache::new(&CacheConfig {
            num_blocks,
            block_size,
            window: None,
            enable_prefix_caching: true,
            fingerprint: b"model".to_vec(),
            evicted_memory: random.below(8),
            list_evicted: true,
            retention: RetentionLimits {
                max_blocks: limits.0,
                max_blocks_per_key: limits.1,
            },
        });
        Self {
            random,
            block_size,
            cache,
            model: Model::new(num_blocks, block_size, limits),
            now: 0,
            sequences: Vec::new(),
            prompts: vec![vec![TokenId(0)]],
            slots: vec![0; num_blocks as usize * block_size],
        }
    }

    fn step(&mut self) {
        let choice = self.random.below(100);
        let some = self.random.below(self.sequences.len().max(1));
        if self.random.chance(10) {
            self.now += self.random.below(20) as u64;
            self.cache.advance_clock(Timestamp(self.now));
            self.model.expire(self.now);
        }
        match choice {
            _ if self.sequences.is_empty() => self.admit(),
            0..25 => self.admit(),
            25..78 => self.compute(some),
            78..85 => self.retain(some),
            85..98 => self.release(some),
            _ => self.reset(),
        }
        self.compare();
    }

    /// A prompt that shares its start with an earlier one.
    fn prompt(&mut self) -> Vec<TokenId> {
        let from = self.random.below(self.prompts.len());
        let mut prompt = self.prompts[from].clone();
        if self.random.chance(60) {
            prompt.truncate(1 + self.random.below(prompt.len()));
        }
        for _ in 0..self.random.below(2 * self.block_size + 2) {
            prompt.push(TokenId(self.random.below(3) as u32));
        }
        let kept = self.random.below(8);
        if kept < self.prompts.len() {
            self.prompts[kept] = prompt.clone();
        } else {
            self.prompts.push(prompt.clone());
        }
        prompt.truncate(self.block_size * 10 + 1);
        prompt
    }

    fn admit(&mut self) {
        let tokens = self.prompt();
        let salt = u8::from(self.random.chance(20));
        let mut chain = self.cache.new_chain(&[salt]);
        self.cache.extend_chain(&mut chain, &tokens);
        let hit = self.cache.lookup_prefix(&chain, &tokens);

        let full = self.model.full_blocks(salt, &tokens);
        let (children, shared) =
            self.model
                .best_children(salt, &tokens, full.len() * self.block_size);
        let found = full.len() * self.block_size + shared;
        assert_eq!(
            hit.num_tokens(),
            found,
            "the longest cached prefix is found"
        );
        assert_eq!(hit.miss().is_none(), found == tokens.len() - 1);
        let estimate = self
            .cache
            .count_cached_blocks(&chain, (tokens.len() - 1) / self.block_size);
        assert_eq!(estimate, full.len());

        let wanted = found + self.random.below(tokens.len() - found + 1);
        let num_blocks = wanted.div_ceil(self.block_size).max(full.len());
        let revived = full.iter().filter(|&&id| self.model.refs(id) == 0).count();
        let needed = num_blocks - full.len() + revived;
        let generation = self.cache.generation();
        let table = match self.cache.allocate(&hit, wanted, 0) {
            Ok(table) => table,
            Err(refused) => {
                assert_eq!(
                    (refused.needed, refused.free),
                    (needed, self.model.num_free())
                );
                assert_eq!(self.cache.generation(), generation);
                return;
            }
        };
        assert!(
            needed <= self.model.num_free(),
            "more blocks were given than there are"
        );

        let pinned = table.pending_copy().map(|copy| copy.src.0);
        let fits =
            |&id: &u32| needed + usize::from(self.model.refs(id) == 0) <= self.model.num_free();
        match pinned {
            Some(src) => assert!(children.contains(&src), "the source has the tokens"),
            None => assert!(
                shared == 0 || !children.iter().all(fits),
                "a copy was given up"
            ),
        }
        let model = self.model.allocate(&full, num_blocks, pinned);
        let num_computed = table.num_cached_tokens();
        let prompt_len = tokens.len();
        self.sequences.push(Sequence {
            salt,
            tokens,
            prompt_len,
            num_computed,
            chain,
            table,
            model,
        });
    }

    /// Computes some of a sequence's tokens, generating more when there are none left.
    fn compute(&mut self, at: usize) {
        let block_size = self.block_size;
        let sequence = &mut self.sequences[at];
        if sequence.num_computed == sequence.tokens.len() {
            sequence.tokens.push(TokenId(self.random.below(3) as u32));
        }
        let missing = sequence.tokens.len() - sequence.num_computed;
        let end = sequence.num_computed + 1 + self.random.below(missing);
        let needed = end
            .div_ceil(block_size)
            .saturating_sub(sequence.model.blocks.len());
        if self.cache.extend(&mut sequence.table, end).is_err() {
            assert!(
                needed > self.model.num_free(),
                "an extension that fits was refused"
            );
            return;
        }
        for _ in 0..needed {
            sequence.model.blocks.push(self.model.take());
        }
        if let Some(copy) = sequence.table.pending_copy() {
            let (src, dst) = (copy.src.0 as usize, copy.dst.0 as usize);
            let from = src * block_size..src * block_size + copy.num_tokens;
            self.slots.copy_within(from, dst * block_size);
        }
        self.cache.finish_copy(&mut sequence.table);
        if let Some(src) = sequence.model.copy_src.take() {
            self.model.let_go(src);
        }
        let blocks = sequence.table.blocks();
        for (position, digest) in sequence.history().take(end).enumerate() {
            let slot =
                blocks[position / block_size].0 as usize * block_size + position % block_size;
            if position < sequence.num_computed {
                assert_eq!(self.slots[slot], digest, "token {position} is another's");
            } else {
                self.slots[slot] = digest;
            }
        }
        let ends_prompt = sequence.num_computed < sequence.prompt_len && end >= sequence.prompt_len;
        sequence.num_computed = end;
        self.cache
            .extend_chain(&mut sequence.chain, &sequence.tokens);
        let computed = Computed {
            chain: &sequence.chain,
            tokens: &sequence.tokens,
            num_computed: sequence.num_computed,
        };
        self.cache.seal(&mut sequence.table, computed);
        let tokens = &sequence.tokens[..end];
        self.model.seal(&mut sequence.model, sequence.salt, tokens);
        if ends_prompt {
            self.cache.register_partial(&sequence.table, computed);
            self.model
                .register_partial(&sequence.model, sequence.salt, tokens);
        }
    }

    /// Retains a part of a sequence for one of three keys.
    fn retain(&mut self, at: usize) {
        let sequence = &self.sequences[at];
        let num_tokens = self.random.below(sequence.tokens.len() + 1);
        let until = self.now + 1 + self.random.below(100) as u64;
        let key = self.random.below(3) as u8;
        let owner: RetentionKey = Arc::from([key]);
        let retained = self
            .cache
            .retain(&sequence.table, num_tokens, Timestamp(until), &owner);
        let model = self.model.retain(&sequence.model, num_tokens, until, key);
        assert_eq!(retained, model * self.block_size);
    }

    fn release(&mut self, at: usize) {
        let mut sequence = self.sequences.swap_remove(at);
        let table = std::mem::take(&mut sequence.table);
        let Sequence {
            salt,
            tokens,
            num_computed,
            chain,
            model,
            ..
        } = &sequence;
        let computed = Computed {
            chain,
            tokens,
            num_computed: *num_computed,
        };
        self.cache.release(table, computed);
        self.model
            .release(model.clone(), *salt, &tokens[..*num_computed]);
    }

    fn reset(&mut self) {
        let in_use = self.cache.pool().num_in_use() > 0;
        assert_eq!(self.cache.reset(), !in_use);
        if !in_use {
            self.model.reset();
        }
    }

    fn compare(&self) {
        self.cache.check_counts();
        assert_eq!(self.cache.pool().num_free(), self.model.num_free());
        assert_eq!(
            self.cache.pool().num_evictable(),
            self.model.num_evictable()
        );
        assert_eq!(self.cache.stats().evictions, self.model.evictions);
        let taken = self.cache.stats().retained_evictions;
        assert_eq!(taken, self.model.retained_evictions);
        assert_eq!(self.cache.num_retained(), self.model.num_retained());
        for sequence in &self.sequences {
            let blocks = sequence.table.blocks().iter().map(|id| id.0);
            assert!(
                blocks.eq(sequence.model.blocks.iter().copied()),
                "tables are the same"
            );
        }
    }

    fn check_everything(&self) {
        self.cache
            .check_invariants(self.sequences.iter().map(|sequence| &sequence.table));
    }
}

impl Sequence {
    /// Digest of the salt and all tokens up to each position (FNV-1a).
    fn history(&self) -> impl Iterator<Item = u64> {
        let mix = |state: u64, word: u64| (state ^ word).wrapping_mul(0x0100_0000_01b3);
        let start = mix(0xcbf2_9ce4_8422_2325, u64::from(self.salt) + 17);
        self.tokens.iter().scan(start, move |state, token| {
            *state = mix(*state, u64::from(token.0) + 1);
            Some(*state)
        })
    }
}

#[test]
fn a_million_operations_agree_with_the_model() {
    let mut seen = CacheStats::default();
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for operation in 0..OPERATIONS_PER_SEED {
                world.step();
                if operation % FULL_CHECK_EVERY == 0 {
                    world.check_everything();
                }
            }
            while !world.sequences.is_empty() {
                world.release(0);
                world.check_everything();
            }
            assert_eq!(world.cache.pool().num_in_use(), 0);
            world.cache.stats()
        });
        let stats = outcome.unwrap_or_else(|cause| {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(cause)
        });
        seen.evictions += stats.evictions;
        seen.retained_evictions += stats.retained_evictions;
        seen.sealed += stats.sealed;
        seen.duplicates_merged += stats.duplicates_merged;
        seen.partials_registered += stats.partials_registered;
        seen.copies += stats.copies;
    }
    let least = seen.evictions.min(seen.sealed).min(seen.duplicates_merged);
    let least = least.min(seen.partials_registered).min(seen.copies);
    let least = least.min(seen.retained_evictions);
    assert!(
        least > 10_000,
        "some operation is hardly exercised: {seen:?}"
    );
}

//! Looking up many prompts that share prefixes with each other.

use crate::pool::Parent;
use crate::{BlockHash, BlockHasher, BlockId, HashChain, PrefixCache, PrefixHit, TokenId};

/// Tokens that are compared at once, without a branch in between.
const STRIDE: usize = 64;

/// Looks prompts up one after another. Nothing changes: no block is held, none moves in the order
/// of eviction, none is registered.
///
/// A block is hashed only once all before it are found, so a prompt costs what is cached of it;
/// and what a prompt shares with the one before it is neither hashed nor looked up again. So of
/// many variants of a prompt, in the order of their first difference, each costs a comparison and
/// the blocks behind the difference.
pub struct PrefixProbe<'a> {
    cache: &'a PrefixCache,
    hasher: BlockHasher,
    salt: &'a [u8],
    tokens: &'a [TokenId],
    /// Hashes of `tokens` under `salt`, as far as they were needed.
    chain: HashChain,
    /// The blocks that hold the first of `tokens`.
    blocks: Vec<BlockId>,
    walked_blocks: usize,
}

impl<'a> PrefixProbe<'a> {
    /// A probe that has seen no prompt.
    pub fn new(cache: &'a PrefixCache) -> Self {
        let mut hasher = cache.hasher.clone();
        Self {
            chain: HashChain::new(&mut hasher, &[]),
            cache,
            hasher,
            salt: &[],
            tokens: &[],
            blocks: Vec::new(),
            walked_blocks: 0,
        }
    }

    /// Finds what [`PrefixCache::lookup_prefix`] finds of `tokens` under `salt`.
    pub fn lookup(&mut self, salt: &'a [u8], tokens: &'a [TokenId]) -> PrefixHit {
        self.rewind(salt, tokens);
        let block_size = self.cache.pool.block_size();
        let limit = tokens.len().saturating_sub(1) / block_size;
        self.blocks.truncate(limit);
        let mut parent = match self.blocks.last() {
            Some(&id) => Parent::Block(id),
            None => Parent::Root(self.chain.root()),
        };
        while let Some(hash) = self.hash(self.blocks.len()) {
            let at = self.blocks.len();
            self.walked_blocks += 1;
            let expected = &tokens[at * block_size..(at + 1) * block_size];
            let found = self.cache.find_block(&hash, parent, expected);
            let Some(id) = found.filter(|_| at < limit) else {
                break;
            };
            self.blocks.push(id);
            parent = Parent::Block(id);
        }
        self.cache
            .complete_hit(self.blocks.clone(), &self.chain, tokens)
    }

    /// The hash of a full block of the last prompt, hashing all before it if that was not necessary
    /// so far; `None` if the prompt has no such block or caching is off.
    pub fn hash(&mut self, block: usize) -> Option<BlockHash> {
        let block_size = self.cache.pool.block_size();
        let tokens = self.tokens.get(..(block + 1) * block_size)?;
        if !self.cache.enabled {
            return None;
        }
        self.chain.extend(&mut self.hasher, block_size, tokens);
        self.chain.hashes().get(block).copied()
    }

    /// Blocks that were looked up so far: what the probe has cost.
    pub fn walked_blocks(&self) -> usize {
        self.walked_blocks
    }

    /// Keeps what is known of the tokens that the last prompt and the next one share.
    fn rewind(&mut self, salt: &'a [u8], tokens: &'a [TokenId]) {
        let shared = if salt == self.salt {
            common_prefix(self.tokens, tokens)
        } else {
            self.chain = HashChain::new(&mut self.hasher, salt);
            0
        };
        let kept = shared / self.cache.pool.block_size();
        self.chain.truncate(kept);
        self.blocks.truncate(kept);
        self.salt = salt;
        self.tokens = tokens;
    }
}

/// Tokens that `a` and `b` begin with alike.
fn common_prefix(a: &[TokenId], b: &[TokenId]) -> usize {
    let differ = |(a, b): &(&[TokenId], &[TokenId])| {
        let differences = a.iter().zip(*b).fold(0, |bits, (a, b)| bits | (a.0 ^ b.0));
        differences != 0
    };
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE));
    let equal = strides.take_while(|pair| !differ(pair)).count() * STRIDE;
    let rest = a[equal..].iter().zip(&b[equal..]);
    equal + rest.take_while(|(a, b)| a == b).count()
}

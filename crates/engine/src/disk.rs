//! The tier below the pool: blocks on disk.
//!
//! A full block is written when it is evicted, and when the engine ends. When a request arrives whose
//! prompt goes on where the cache ends and the disk does not, its blocks are read back before it is
//! submitted, if reading takes less time than computing. From then on they are cached blocks like
//! any others.

use std::path::PathBuf;
use std::time::Duration;

use kv_cache::{CachedBlock, TokenId};
use kv_store::{BlockStore, Hash, Put, StoreConfig, StoreError, StoreStats};
use models::{KvBlocks, ModelRunner};
use scheduler::Scheduler;

use crate::clock::Clock;

/// Share of a new measurement in the measured rate.
const NEWEST: f64 = 0.3;

/// Where blocks are kept on disk.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Folder; made if it is not there.
    pub folder: PathBuf,
    /// Bytes at most; the oldest blocks make room.
    pub max_bytes: u64,
    /// Names the weights as they are computed with, and whatever else blocks depend on beside the
    /// device and the shape of the cache.
    pub fingerprint: Vec<u8>,
}

/// What the disk holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskStats {
    /// Of the files.
    pub store: StoreStats,
    /// Prompt tokens whose KV was read back.
    pub restored_tokens: u64,
    /// Seconds that took.
    pub restore_seconds: f64,
}

/// Blocks outside of the pool, by hash.
pub(crate) trait BlockKeeper: Send {
    fn contains(&self, hash: &Hash) -> bool;

    /// Keeps a block whose bytes `fill` writes; one that is not kept is only lost.
    fn put(
        &mut self,
        hash: &Hash,
        tokens: &[u32],
        waits: bool,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    );

    /// Reads a block; false if there is none, or none that can be used.
    fn read(&mut self, hash: &Hash, tokens: &[u32], out: &mut [u8]) -> bool;

    fn clear(&mut self);

    fn stats(&self) -> StoreStats;
}

impl BlockKeeper for BlockStore {
    fn contains(&self, hash: &Hash) -> bool {
        Self::contains(self, hash)
    }

    fn put(
        &mut self,
        hash: &Hash,
        tokens: &[u32],
        waits: bool,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) {
        // The store counts what it drops.
        let _: Put = match waits {
            true => self.put_waiting(hash, tokens, fill),
            false => Self::put(self, hash, tokens, fill),
        };
    }

    fn read(&mut self, hash: &Hash, tokens: &[u32], out: &mut [u8]) -> bool {
        Self::read(self, hash, tokens, out).is_ok()
    }

    fn clear(&mut self) {
        Self::clear(self);
    }

    fn stats(&self) -> StoreStats {
        Self::stats(self)
    }
}

/// Why the disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The store.
    #[error("the KV cache on disk: {0}")]
    Store(#[from] StoreError),
    /// The device.
    #[error("the blocks of this device cannot be kept on disk")]
    NoBlocks,
}

/// The disk as the step loop uses it.
pub(crate) struct DiskTier {
    keeper: Box<dyn BlockKeeper>,
    bytes: Vec<u8>,
    /// Measured bytes per second of reading; `None` before the first block.
    read_rate: Option<f64>,
    restored_tokens: u64,
    restore_time: Duration,
}

impl DiskTier {
    /// Opens the disk for the blocks of `runner`, of `block_size` tokens each.
    pub(crate) fn open(
        config: DiskConfig,
        block_size: usize,
        runner: &mut dyn ModelRunner,
    ) -> Result<Self, DiskError> {
        let blocks = runner.blocks().ok_or(DiskError::NoBlocks)?;
        let layout = blocks.layout();
        let block_bytes = blocks.block_bytes();
        let store = BlockStore::open(&StoreConfig {
            folder: config.folder,
            max_bytes: config.max_bytes,
            digest: kv_store::digest(&[&config.fingerprint, layout.as_bytes()]),
            block_size,
            block_bytes,
        })?;
        Ok(Self::new(Box::new(store), block_bytes))
    }

    pub(crate) fn new(keeper: Box<dyn BlockKeeper>, block_bytes: usize) -> Self {
        Self {
            keeper,
            bytes: vec![0; block_bytes],
            read_rate: None,
            restored_tokens: 0,
            restore_time: Duration::ZERO,
        }
    }

    /// Writes what was evicted since the last call. Before anything else is written to the pool.
    pub(crate) fn save_evicted(&mut self, scheduler: &mut Scheduler, runner: &mut dyn ModelRunner) {
        self.save(&scheduler.take_evicted(), runner, false);
    }

    /// Writes everything that is cached.
    pub(crate) fn save_all(&mut self, scheduler: &Scheduler, runner: &mut dyn ModelRunner) {
        self.save(&scheduler.cache().cached_blocks(), runner, true);
    }

    /// Reads back what follows the cached part of a prompt, if that takes less time than to compute
    /// it; returns how many tokens that are.
    pub(crate) fn restore(
        &mut self,
        (salt, prompt): (&[u8], &[TokenId]),
        scheduler: &mut Scheduler,
        runner: &mut dyn ModelRunner,
        clock: &dyn Clock,
    ) -> usize {
        let (keeper, read_rate) = (&self.keeper, self.read_rate);
        let block_bytes = self.bytes.len() as f64;
        let is_kept = |hash: &kv_cache::BlockHash| keeper.contains(&hash.0);
        let worth = |blocks: usize, computing: Option<f64>| match (computing, read_rate) {
            (Some(computing), Some(rate)) => blocks as f64 * block_bytes / rate < computing,
            // The first time tells.
            _ => true,
        };
        let Some(restore) = scheduler.begin_restore(salt, prompt, is_kept, worth) else {
            return 0;
        };
        self.save_evicted(scheduler, runner);
        let start = clock.now();
        let mut filled = 0;
        if let Some(blocks) = runner.blocks() {
            let fill = |block: &&CachedBlock| self.fill(block, blocks);
            filled = restore.blocks.iter().take_while(fill).count();
        }
        self.measure(filled, clock.now().since(start));
        let tokens = filled * scheduler.config().block_size;
        scheduler.finish_restore(restore, filled);
        self.restored_tokens += tokens as u64;
        tokens
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.keeper.clear();
    }

    pub(crate) fn stats(&self) -> DiskStats {
        DiskStats {
            store: self.keeper.stats(),
            restored_tokens: self.restored_tokens,
            restore_seconds: self.restore_time.as_secs_f64(),
        }
    }

    fn save(&mut self, evicted: &[CachedBlock], runner: &mut dyn ModelRunner, waits: bool) {
        if evicted.is_empty() {
            return;
        }
        let Some(blocks) = runner.blocks() else {
            return;
        };
        for block in evicted {
            let id = block.block.0;
            let mut fill = |out: &mut [u8]| blocks.read(id, out).is_ok();
            let tokens = ids(&block.tokens);
            self.keeper.put(&block.hash.0, &tokens, waits, &mut fill);
        }
    }

    fn fill(&mut self, block: &CachedBlock, blocks: &mut dyn KvBlocks) -> bool {
        let tokens = ids(&block.tokens);
        self.keeper.read(&block.hash.0, &tokens, &mut self.bytes)
            && blocks.write(block.block.0, &self.bytes).is_ok()
    }

    fn measure(&mut self, blocks: usize, time: Duration) {
        self.restore_time += time;
        if blocks == 0 {
            return;
        }
        let seconds = time.as_secs_f64().max(1e-9);
        let rate = (blocks * self.bytes.len()) as f64 / seconds;
        self.read_rate = Some(match self.read_rate {
            None => rate,
            Some(before) => before + NEWEST * (rate - before),
        });
    }
}

fn ids(tokens: &[TokenId]) -> Vec<u32> {
    tokens.iter().map(|token| token.0).collect()
}

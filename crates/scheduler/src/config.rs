//! Limits of the scheduler.

use std::time::Duration;

use kv_cache::{CacheConfig, RetentionLimits, WindowConfig};

/// Settings, checked by [`Scheduler::new`](crate::Scheduler::new).
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Tokens per block; at least 1.
    pub block_size: usize,
    /// Blocks of the pool, the null block included; at least 2.
    pub num_blocks: u32,
    /// A pool apart for layers with a sliding window; `None` if all layers share one.
    pub window: Option<WindowConfig>,
    /// Whether computed prefixes are kept for other requests.
    pub enable_prefix_caching: bool,
    /// Whether steps may be planned [ahead](crate::Scheduler::plan_ahead).
    pub async_scheduling: bool,
    /// Names the model and whatever else its KV depends on.
    pub fingerprint: Vec<u8>,
    /// Evicted blocks to remember, so that a miss can be told from an eviction.
    pub evicted_memory: usize,
    /// Whether evicted blocks are listed ([`Scheduler::take_evicted`](crate::Scheduler::take_evicted)).
    pub list_evicted: bool,
    /// How much of the pool can be retained.
    pub retention: RetentionConfig,
    /// Longest sequence of the model, in tokens.
    pub max_model_len: usize,
    /// Sequences that run at the same time.
    pub max_num_seqs: usize,
    /// Tokens computed in one step; at least `max_num_seqs`, so that no sequence is left out.
    pub max_num_batched_tokens: usize,
    /// While somebody is decoding, prompts are computed in chunks so small that a step is predicted
    /// to take no longer than this.
    pub target_itl: Option<Duration>,
    /// Fraction of the blocks to keep free when a request is admitted beside others, in `[0, 1)`.
    pub watermark: f64,
    /// Room kept for tokens that running requests have still to generate.
    pub output_reserve: OutputReserveConfig,
    /// Requests that may wait; at least 1.
    pub max_queued_requests: usize,
    /// Uncached tokens that may wait. A single request may exceed it when nothing else waits.
    pub max_queued_tokens: usize,
    /// A request that was passed over so often is next: nobody of its class or lower goes before.
    pub max_overtakes: u32,
    /// Fraction of a step's tokens that background requests may take while others run, in
    /// `[0, 1]`, rounded down to whole tokens.
    pub max_background_share: f64,
    /// Background requests that may wait; at least 1.
    pub max_queued_background: usize,
}

/// How much of the pool can be retained ([`RetentionRequest`](crate::RetentionRequest)); what is
/// asked for beyond it is cached like everything else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetentionConfig {
    /// Fraction of the blocks for all keys together, in `[0, 1]`.
    pub max_share: f64,
    /// Fraction of the blocks for each key, in `[0, 1]`.
    pub max_share_per_key: f64,
}

/// How much room is kept for output: `ratio * sum(min(remaining, clip))` tokens over the running
/// requests. The ratio starts at `initial_ratio`, falls to `min_ratio` over `decay_steps` steps
/// without preemption, and rises halfway to 1 with each preemption (after SGLang's schedule
/// policy).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputReserveConfig {
    /// Most tokens that one request is expected to generate.
    pub clip: usize,
    /// Ratio at the start, in `[0, 1]`.
    pub initial_ratio: f64,
    /// Ratio after a long time without preemption, in `[0, initial_ratio]`.
    pub min_ratio: f64,
    /// Steps from the initial ratio to the least; at least 1.
    pub decay_steps: u32,
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A count that must be positive is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The null block leaves nothing.
    #[error("num_blocks is {0} and must be at least 2: block 0 is never handed out")]
    TooFewBlocks(u32),
    /// A decoding sequence could be left out of a step.
    #[error(
        "max_num_batched_tokens ({max_num_batched_tokens}) must be at least max_num_seqs \
         ({max_num_seqs})"
    )]
    BudgetBelowSeqs {
        /// Tokens per step.
        max_num_batched_tokens: usize,
        /// Sequences per step.
        max_num_seqs: usize,
    },
    /// Sequences could run out of window blocks, which nobody ever waits for.
    #[error(
        "window.num_blocks is {num_blocks} and must be at least {needed}: what max_num_seqs \
         sequences need in one step"
    )]
    TooFewWindowBlocks {
        /// Blocks, the null block included.
        num_blocks: u32,
        /// What there must be.
        needed: usize,
    },
    /// Evicted blocks cannot be listed when a part of each lies in a pool apart.
    #[error("list_evicted cannot be with window: a block is kept elsewhere as a whole")]
    ListedInParts,
    /// A fraction is out of its range.
    #[error("{name} is {value} and must be in {range}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        range: &'static str,
    },
}

impl SchedulerConfig {
    /// Defaults for a pool of `num_blocks` blocks of `block_size` tokens.
    pub fn new(block_size: usize, num_blocks: u32, max_model_len: usize) -> Self {
        Self {
            block_size,
            num_blocks,
            window: None,
            enable_prefix_caching: true,
            async_scheduling: true,
            fingerprint: Vec::new(),
            evicted_memory: 65_536,
            list_evicted: false,
            retention: RetentionConfig {
                max_share: 0.75,
                max_share_per_key: 0.5,
            },
            max_model_len,
            max_num_seqs: 256,
            max_num_batched_tokens: 2048,
            target_itl: None,
            watermark: 0.01,
            output_reserve: OutputReserveConfig {
                clip: 4096,
                initial_ratio: 0.7,
                min_ratio: 0.1,
                decay_steps: 600,
            },
            max_queued_requests: 1024,
            max_queued_tokens: 1 << 20,
            max_overtakes: 16,
            max_background_share: 0.15,
            max_queued_background: 64,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("block_size", self.block_size),
            ("max_model_len", self.max_model_len),
            ("max_num_seqs", self.max_num_seqs),
            ("max_queued_requests", self.max_queued_requests),
            ("max_queued_background", self.max_queued_background),
            (
                "output_reserve.decay_steps",
                self.output_reserve.decay_steps as usize,
            ),
        ];
        if let Some((name, _)) = positive.into_iter().find(|&(_, value)| value == 0) {
            return Err(ConfigError::Zero(name));
        }
        if self.num_blocks < 2 {
            return Err(ConfigError::TooFewBlocks(self.num_blocks));
        }
        if self.max_num_batched_tokens < self.max_num_seqs {
            return Err(ConfigError::BudgetBelowSeqs {
                max_num_batched_tokens: self.max_num_batched_tokens,
                max_num_seqs: self.max_num_seqs,
            });
        }
        self.validate_window()?;
        let reserve = &self.output_reserve;
        let fractions = [
            (
                "watermark",
                self.watermark,
                "[0, 1)",
                (0.0..1.0).contains(&self.watermark),
            ),
            (
                "max_background_share",
                self.max_background_share,
                "[0, 1]",
                (0.0..=1.0).contains(&self.max_background_share),
            ),
            (
                "retention.max_share",
                self.retention.max_share,
                "[0, 1]",
                (0.0..=1.0).contains(&self.retention.max_share),
            ),
            (
                "retention.max_share_per_key",
                self.retention.max_share_per_key,
                "[0, 1]",
                (0.0..=1.0).contains(&self.retention.max_share_per_key),
            ),
            (
                "output_reserve.initial_ratio",
                reserve.initial_ratio,
                "[0, 1]",
                (0.0..=1.0).contains(&reserve.initial_ratio),
            ),
            (
                "output_reserve.min_ratio",
                reserve.min_ratio,
                "[0, initial_ratio]",
                (0.0..=reserve.initial_ratio).contains(&reserve.min_ratio),
            ),
        ];
        match fractions.into_iter().find(|&(.., ok)| !ok) {
            Some((name, value, range, _)) => Err(ConfigError::OutOfRange { name, value, range }),
            None => Ok(()),
        }
    }

    fn validate_window(&self) -> Result<(), ConfigError> {
        let Some(WindowConfig { tokens, num_blocks }) = self.window else {
            return Ok(());
        };
        if tokens == 0 {
            return Err(ConfigError::Zero("window.tokens"));
        }
        let (seqs, step_tokens) = (self.max_num_seqs, self.max_num_batched_tokens);
        let needed = WindowConfig::blocks_for(tokens, self.block_size, seqs, step_tokens);
        if (num_blocks as usize) < needed {
            return Err(ConfigError::TooFewWindowBlocks { num_blocks, needed });
        }
        match self.list_evicted {
            true => Err(ConfigError::ListedInParts),
            false => Ok(()),
        }
    }

    pub(crate) fn cache(&self) -> CacheConfig {
        let num_blocks = f64::from(self.num_blocks.saturating_sub(1));
        let blocks = |share: f64| (num_blocks * share) as usize;
        CacheConfig {
            num_blocks: self.num_blocks,
            block_size: self.block_size,
            window: self.window,
            enable_prefix_caching: self.enable_prefix_caching,
            fingerprint: self.fingerprint.clone(),
            evicted_memory: self.evicted_memory,
            list_evicted: self.list_evicted,
            retention: RetentionLimits {
                max_blocks: blocks(self.retention.max_share),
                max_blocks_per_key: blocks(self.retention.max_share_per_key),
            },
        }
    }

    /// Longest sequence that the model and the pool can hold, in tokens.
    pub(crate) fn max_sequence_len(&self) -> usize {
        let capacity = (self.num_blocks as usize - 1) * self.block_size;
        self.max_model_len.min(capacity)
    }
}

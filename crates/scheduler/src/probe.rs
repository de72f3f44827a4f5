//! What the cache holds of prompts that nobody has submitted yet.

use kv_cache::{MissReason, PrefixProbe, TokenId};

use crate::admission::common_prefix;
use crate::{Scheduler, StepCosts};

/// A prompt to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePrompt {
    /// The prompt.
    pub tokens: Vec<TokenId>,
    /// The salt under which it would be submitted.
    pub cache_salt: Vec<u8>,
}

/// The state of the cache and what computing costs, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheProbe {
    /// One answer per prompt, in the order of the question.
    pub prompts: Vec<ProbedPrompt>,
    /// Blocks that requests can use.
    pub num_blocks: usize,
    /// Of these, blocks that no sequence holds, with or without content.
    pub num_free_blocks: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// Sequences that run.
    pub running: usize,
    /// Tokens that the waiting sequences would have to compute.
    pub queued_uncached_tokens: usize,
    /// What a step costs.
    pub step_costs: StepCosts,
    /// Tokens computed in one step.
    pub max_num_batched_tokens: usize,
    /// Measured prompt tokens per second; `None` before the first measurement.
    pub prefill_rate: Option<f64>,
    /// Blocks that were looked up for this answer.
    pub walked_blocks: usize,
}

/// What is known of a prompt before it is submitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbedPrompt {
    /// Tokens that admission would take from the cache now: full blocks and the part of a block
    /// that is copied, at most all but the last token.
    pub cached_tokens: usize,
    /// Tokens behind these that a running request is computing. Admission waits for them rather
    /// than compute them twice, so that they are cached tokens by then.
    pub pending_tokens: usize,
    /// Why no more is cached; `None` when all but the last token is.
    pub miss: Option<MissReason>,
    /// Predicted seconds to compute what is neither cached nor pending, if nothing else runs.
    pub prefill_seconds: f64,
}

impl CacheProbe {
    /// Share of the blocks that sequences hold, 0 to 1.
    pub fn pressure(&self) -> f64 {
        1.0 - self.num_free_blocks as f64 / self.num_blocks as f64
    }
}

impl Scheduler {
    /// Looks prompts up as admission would, and changes nothing: no block is held or moved in the
    /// order of eviction.
    ///
    /// `cached_tokens` is what is published at this moment, so a prompt that is submitted at once
    /// and admitted before anything else is computed takes exactly so many tokens from the cache.
    /// What other requests do in between can publish more (see `pending_tokens`) or evict some.
    ///
    /// Prompts in an order in which neighbours share long prefixes cost least: see
    /// [`PrefixProbe`]. `priority` is the class that the prompts would be submitted with, not in
    /// the background: nobody waits for the blocks of a lower class or of the background.
    pub fn probe(&self, prompts: &[ProbePrompt], priority: i32) -> CacheProbe {
        let mut probe = PrefixProbe::new(&self.cache);
        let probed = prompts
            .iter()
            .map(|prompt| self.probe_prompt(&mut probe, prompt, priority))
            .collect();
        let pool = self.cache.pool();
        CacheProbe {
            prompts: probed,
            num_blocks: pool.capacity(),
            num_free_blocks: pool.num_free(),
            block_size: pool.block_size(),
            running: self.running.len(),
            queued_uncached_tokens: self.waiting.uncached_tokens(),
            step_costs: self.step_time.costs(),
            max_num_batched_tokens: self.config.max_num_batched_tokens,
            prefill_rate: self.step_time.prefill_rate(),
            walked_blocks: probe.walked_blocks(),
        }
    }

    fn probe_prompt<'a>(
        &self,
        probe: &mut PrefixProbe<'a>,
        prompt: &'a ProbePrompt,
        priority: i32,
    ) -> ProbedPrompt {
        let ProbePrompt { tokens, cache_salt } = prompt;
        let mut hit = probe.lookup(cache_salt, tokens);
        self.cache.settle_partial(&mut hit, tokens.len());
        let cached_tokens = hit.num_tokens();
        let full = hit.num_full_blocks() * self.config.block_size;
        let reach = self.pending_end(probe, tokens, full, priority);
        let pending_tokens = reach.saturating_sub(cached_tokens);
        let known = cached_tokens + pending_tokens;
        let costs = self.step_time.costs();
        let step_tokens = self.config.max_num_batched_tokens;
        ProbedPrompt {
            cached_tokens,
            pending_tokens,
            miss: hit.miss(),
            prefill_seconds: costs.prefill_seconds(tokens.len() - known, known, step_tokens),
        }
    }

    /// Where the part of `tokens` ends that running requests are computing, one after the other,
    /// behind the first `known` tokens, a whole number of blocks.
    fn pending_end(
        &self,
        probe: &mut PrefixProbe<'_>,
        tokens: &[TokenId],
        known: usize,
        priority: i32,
    ) -> usize {
        let Some(last) = tokens.len().checked_sub(1) else {
            return 0;
        };
        if self.in_flight.len() == 0 {
            return 0;
        }
        let mut reach = known;
        // The next block's hash names the tokens before it, too: they need no comparison.
        while let Some(next) = probe.hash(reach / self.config.block_size) {
            let Some(owner) = self.in_flight.owner(&next) else {
                break;
            };
            let owner = &self.sequences[owner];
            let computing = &owner.tokens[..owner.prefill_target];
            let shared = common_prefix(&tokens[..last], computing, reach);
            if owner.rank.level() > (false, priority) || shared <= reach {
                break;
            }
            reach = shared;
        }
        reach
    }
}

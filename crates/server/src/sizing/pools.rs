//! How the KV cache's memory is divided between the layers that see everything and those with a
//! sliding window.

use engine::WindowConfig;

/// Least share of the blocks that have the windowed layers' part, too: what makes cached prefixes of
/// sequences that are several windows long usable at their ends.
const LEAST_SHARE: f64 = 0.25;

/// What the division depends on; sizes in bytes of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layers {
    /// Of the layers that see everything.
    pub(super) full_bytes: usize,
    /// Of those with a window.
    pub(super) window_bytes: usize,
    /// The window, if a pool apart is possible.
    pub(super) window: Option<Window>,
}

/// The window, and what decides how many of its blocks there must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Tokens that a token sees, itself included.
    pub(super) tokens: usize,
    /// Window blocks that all sequences of the steps in flight need, the null block included.
    pub(super) least_blocks: usize,
    /// Window blocks over all blocks.
    pub(super) share: f64,
}

/// Blocks, the null blocks included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pools {
    pub(super) num_blocks: usize,
    /// The pool of the layers with a window, where that holds more than one pool for all.
    pub(super) window: Option<WindowConfig>,
}

impl Window {
    /// A window of a model whose sequences are up to `max_model_len` tokens long: of a sequence that
    /// is cached, its last two windows are kept.
    pub(super) fn new(
        tokens: usize,
        block_size: usize,
        max_model_len: usize,
        (max_num_seqs, tokens_in_flight): (usize, usize),
    ) -> Self {
        let two = 2.0 * (tokens + block_size) as f64;
        Self {
            tokens,
            least_blocks: WindowConfig::blocks_for(
                tokens,
                block_size,
                max_num_seqs,
                tokens_in_flight,
            ),
            share: (two / max_model_len as f64).clamp(LEAST_SHARE, 1.0),
        }
    }

    fn blocks(&self, num_blocks: usize) -> usize {
        let share = (num_blocks as f64 * self.share).ceil() as usize;
        share.max(self.least_blocks)
    }
}

impl Layers {
    /// Bytes of a block of all layers.
    pub(super) fn block_bytes(&self) -> usize {
        self.full_bytes + self.window_bytes
    }

    /// Bytes of the pools.
    pub(super) fn bytes(&self, pools: &Pools) -> usize {
        match pools.window {
            None => pools.num_blocks * self.block_bytes(),
            Some(window) => {
                pools.num_blocks * self.full_bytes + window.num_blocks as usize * self.window_bytes
            }
        }
    }

    /// The pools with so many blocks.
    pub(super) fn with_blocks(&self, num_blocks: usize) -> Pools {
        let window = self.window.and_then(|window| {
            let apart = window.blocks(num_blocks);
            (apart < num_blocks).then_some(WindowConfig {
                tokens: window.tokens,
                num_blocks: u32::try_from(apart).ok()?,
            })
        });
        Pools { num_blocks, window }
    }

    /// The pools with most blocks of which `bytes` are enough.
    pub(super) fn within(&self, bytes: usize) -> Pools {
        let shared = bytes / self.block_bytes();
        let Some(window) = self.window else {
            return self.with_blocks(shared);
        };
        let each = self.full_bytes as f64 + window.share * self.window_bytes as f64;
        let mut most = (bytes as f64 / each) as usize;
        if (most as f64 * window.share) < window.least_blocks as f64 {
            let left = bytes.saturating_sub(window.least_blocks * self.window_bytes);
            most = left.checked_div(self.full_bytes).unwrap_or(0);
        }
        // Rounding up may have taken a block too many.
        while most > shared && self.bytes(&self.with_blocks(most)) > bytes {
            most -= 1;
        }
        match most > shared {
            true => self.with_blocks(most),
            false => Pools {
                num_blocks: shared,
                window: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of six layers five have a window, as in Gemma 3.
    fn layers(window: Option<Window>) -> Layers {
        Layers {
            full_bytes: 1_000,
            window_bytes: 5_000,
            window,
        }
    }

    fn window(tokens: usize, max_model_len: usize, max_num_seqs: usize) -> Option<Window> {
        Some(Window::new(tokens, 16, max_model_len, (max_num_seqs, 256)))
    }

    #[test]
    fn long_sequences_share_few_window_blocks() {
        let layers = layers(window(512, 131_072, 64));
        let pools = layers.within(100_000_000);
        assert_eq!(
            pools.num_blocks, 44_444,
            "100 MB over 1,000 + 5,000 / 4 bytes"
        );
        assert_eq!(pools.window.unwrap().num_blocks, 11_111);
        assert!(layers.bytes(&pools) <= 100_000_000);
        assert_eq!(layers.with_blocks(44_444), pools);
    }

    #[test]
    fn what_runs_has_its_windows_first() {
        // 64 sequences of 32 blocks each and what belongs to a step.
        let layers = layers(window(512, 131_072, 64));
        let pools = layers.within(15_000_000);
        let apart = pools.window.unwrap();
        assert_eq!(apart.num_blocks, 64 * 35 + 16 + 1);
        assert_eq!(pools.num_blocks, (15_000_000 - 2_257 * 5_000) / 1_000);
    }

    #[test]
    fn where_a_pool_apart_holds_no_more_there_is_one_pool() {
        let shared = |bytes: usize| Pools {
            num_blocks: bytes / 6_000,
            window: None,
        };
        for bytes in [0, 6_000, 1_000_000, 11_000_000, 13_000_000] {
            assert_eq!(layers(None).within(bytes), shared(bytes));
            assert_eq!(
                layers(window(512, 131_072, 64)).within(bytes),
                shared(bytes)
            );
            // Sequences are not longer than two windows.
            assert_eq!(layers(window(4_096, 8_192, 1)).within(bytes), shared(bytes));
        }
    }

    #[test]
    fn layers_that_all_have_a_window_need_no_others() {
        let layers = Layers {
            full_bytes: 0,
            window_bytes: 6_000,
            window: window(512, 131_072, 4),
        };
        let pools = layers.within(6_000_000);
        assert_eq!(pools.num_blocks, 4_000);
        assert_eq!(pools.window.unwrap().num_blocks, 1_000);
        assert_eq!(
            layers.within(600_000).num_blocks,
            100,
            "less than what runs"
        );
    }

    #[test]
    fn never_more_than_there_is_and_never_less_than_one_pool() {
        for bytes in (0..60_000_000).step_by(77_777) {
            for tokens in [1, 100, 512, 3_000] {
                for (full_bytes, window_bytes) in [(1_000, 5_000), (3_000, 3_000), (0, 6_000)] {
                    let layers = Layers {
                        full_bytes,
                        window_bytes,
                        window: window(tokens, 32_768, 8),
                    };
                    let pools = layers.within(bytes);
                    assert!(layers.bytes(&pools) <= bytes);
                    assert!(pools.num_blocks >= bytes / 6_000);
                    if let Some(apart) = pools.window {
                        assert!((apart.num_blocks as usize) < pools.num_blocks);
                        let least = WindowConfig::blocks_for(tokens, 16, 8, 256);
                        assert!(apart.num_blocks as usize >= least);
                    }
                }
            }
        }
    }
}

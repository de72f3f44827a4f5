//! How much is allocated at start: the KV cache and what a step needs.

mod pools;
mod room;

use anyhow::bail;
use engine::WindowConfig;
use models::{Limits, Model};

use crate::config::serve::EngineConfig;
use pools::{Layers, Window};

pub use room::Room;

/// What of a GPU's memory is left for what is not known before: the library's kernels, and the gaps
/// between allocations.
const GPU_MARGIN_BYTES: usize = 256 << 20;

/// Longest sequences that the KV cache holds by default.
const DEFAULT_SEQUENCES: usize = 4;

/// Sizes that follow from the model, the settings and the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Longest sequence.
    pub max_model_len: usize,
    /// Tokens per step.
    pub max_num_batched_tokens: usize,
    /// Sequences per step.
    pub max_num_seqs: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// Blocks, the null block included.
    pub num_blocks: usize,
    /// The pool of the layers with a sliding window, where it is worth having one apart.
    pub window: Option<WindowConfig>,
    /// Bytes of all blocks.
    pub kv_cache_bytes: usize,
}

/// What sizes depend on of a model.
#[derive(Clone, Copy, Debug)]
struct ModelSizes {
    kv_bytes_per_token: usize,
    /// The part of the layers with a sliding window.
    window_kv_bytes_per_token: usize,
    sliding_window: Option<usize>,
    max_position_embeddings: usize,
}

impl Sizing {
    /// Sizes for `model` in `room`.
    ///
    /// # Errors
    /// When something asked for does not fit; the message says what to change.
    pub fn new(model: &Model, engine: &EngineConfig, room: Room) -> anyhow::Result<Self> {
        let kv_dtype = engine.kv_cache_dtype.on(engine.device);
        let sizes = ModelSizes {
            kv_bytes_per_token: model.kv_bytes_per_token(kv_dtype),
            window_kv_bytes_per_token: model.config().window_kv_bytes_per_token(kv_dtype),
            sliding_window: model.config().sliding_window(),
            max_position_embeddings: model.config().max_position_embeddings,
        };
        let weights = model.loaded_weight_bytes(engine.dtype, engine.quantization);
        let Some(beside_weights) = room.without(weights) else {
            bail!(
                "the weights need {} MiB and {} MiB {}",
                weights >> 20,
                room.available >> 20,
                room.advice()
            );
        };
        let workspace = |limits: &Limits| limits.workspace_bytes(model.config());
        Self::compute(sizes, engine, beside_weights, workspace)
    }

    fn compute(
        model: ModelSizes,
        engine: &EngineConfig,
        room: Room,
        workspace: impl FnOnce(&Limits) -> usize,
    ) -> anyhow::Result<Self> {
        let model_len = model.max_position_embeddings;
        if let Some(asked) = engine.max_model_len.filter(|&asked| asked > model_len) {
            bail!("--max-model-len {asked} is more than the model's own limit of {model_len}");
        }
        let wanted_len = engine.max_model_len.unwrap_or(model_len);
        let default_seqs = engine
            .max_num_batched_tokens
            .map_or(room.max_num_seqs(), |tokens| {
                tokens.min(room.max_num_seqs())
            });
        let max_num_seqs = engine.max_num_seqs.unwrap_or(default_seqs);
        let max_num_batched_tokens = engine
            .max_num_batched_tokens
            .unwrap_or(room.max_num_batched_tokens().max(max_num_seqs));
        let tokens_in_flight = room.max_steps_in_flight() * max_num_batched_tokens;
        let layers = model.layers(engine, wanted_len, (max_num_seqs, tokens_in_flight));
        let mut sizing = Self {
            max_model_len: wanted_len,
            max_num_batched_tokens,
            max_num_seqs,
            block_size: engine.block_size,
            num_blocks: 0,
            window: None,
            kv_cache_bytes: 0,
        };
        let bytes = match (engine.kv_cache_memory_bytes, room.gpu_total) {
            (Some(bytes), _) => bytes,
            (None, None) => {
                let blocks = DEFAULT_SEQUENCES * wanted_len.div_ceil(engine.block_size);
                layers
                    .bytes(&layers.with_blocks(blocks))
                    .min(room.available / 2)
            }
            // A GPU is nobody else's: what is left caches prefixes.
            (None, Some(_)) => {
                let beside = workspace(&sizing.limits()) + GPU_MARGIN_BYTES;
                room.available.saturating_sub(beside)
            }
        };
        let pools = layers.within(bytes);
        // The null block holds no tokens but takes memory.
        let usable = pools.num_blocks.saturating_sub(1);
        let capacity = usable * engine.block_size;
        let fits = wanted_len.min(capacity);
        if engine.max_model_len.is_some_and(|asked| asked > capacity) || fits == 0 {
            let blocks = wanted_len.div_ceil(engine.block_size) + 1;
            let needed = layers.bytes(&layers.with_blocks(blocks));
            let more = match room.gpu_total {
                None => "",
                Some(_) => ", --gpu-memory-utilization",
            };
            bail!(
                "a sequence of {wanted_len} tokens needs a KV cache of {} MiB, and it has {} MiB; \
                 lower --max-model-len, or raise --kv-cache-memory-bytes{more}",
                needed.div_ceil(1 << 20),
                bytes >> 20
            );
        }
        sizing.max_model_len = fits;
        sizing.num_blocks = pools.num_blocks;
        sizing.window = pools.window;
        sizing.kv_cache_bytes = layers.bytes(&pools);
        Ok(sizing)
    }

    /// Tokens that the pool of the layers with a sliding window holds; `None` if there is none.
    pub fn window_capacity(&self) -> Option<usize> {
        let window = self.window?;
        Some((window.num_blocks as usize - 1) * self.block_size)
    }

    /// What a runner is sized for.
    pub fn limits(&self) -> Limits {
        Limits {
            num_blocks: self.num_blocks,
            window_blocks: self.window.map(|window| window.num_blocks as usize),
            block_size: self.block_size,
            max_num_batched_tokens: self.max_num_batched_tokens,
            max_num_seqs: self.max_num_seqs,
            max_model_len: self.max_model_len,
        }
    }
}

impl ModelSizes {
    /// The layers by what they keep. Blocks that go to a disk go there as a whole: then all layers
    /// share one pool.
    fn layers(
        self,
        engine: &EngineConfig,
        max_model_len: usize,
        in_flight: (usize, usize),
    ) -> Layers {
        let sliding = self.sliding_window.filter(|_| engine.kv_disk.is_none());
        let window = |tokens| Window::new(tokens, engine.block_size, max_model_len, in_flight);
        let in_window = self.window_kv_bytes_per_token;
        Layers {
            full_bytes: engine.block_size * (self.kv_bytes_per_token - in_window),
            window_bytes: engine.block_size * in_window,
            window: sliding.map(window),
        }
    }
}

/// Memory that the system could give now, in bytes.
pub fn available_memory() -> usize {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    usize::try_from(system.available_memory()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use models::{Device, Dtype, KvCacheDtype, Quantization};

    use super::*;

    const MODEL: ModelSizes = ModelSizes {
        kv_bytes_per_token: 1_024,
        window_kv_bytes_per_token: 0,
        sliding_window: None,
        max_position_embeddings: 8_192,
    };

    /// In the system's memory.
    fn compute(
        model: ModelSizes,
        engine: &EngineConfig,
        available: usize,
    ) -> anyhow::Result<Sizing> {
        let room = Room {
            available,
            gpu_total: None,
        };
        Sizing::compute(model, engine, room, |_| {
            unreachable!("that is the system's matter")
        })
    }

    fn engine() -> EngineConfig {
        EngineConfig {
            device: Device::Cpu,
            gpu_memory_utilization: 0.9,
            sum_order: models::SumOrder::Free,
            dtype: Dtype::Auto,
            quantization: Quantization::None,
            threads: None,
            pin_threads: false,
            max_model_len: None,
            max_num_batched_tokens: None,
            max_num_seqs: None,
            block_size: 16,
            kv_cache_dtype: KvCacheDtype::Auto,
            kv_cache_memory_bytes: None,
            enable_prefix_caching: true,
            async_scheduling: true,
            target_itl: None,
            max_num_queued_reqs: 1,
            max_num_queued_tokens: None,
            kv_disk: None,
            retention: engine::RetentionConfig {
                max_share: 0.5,
                max_share_per_key: 0.5,
            },
            watermark: 0.0,
            seed: None,
        }
    }

    #[test]
    fn plenty_of_memory_holds_four_of_the_longest() {
        let sizing = compute(MODEL, &engine(), 1 << 40).unwrap();
        assert_eq!(sizing.max_model_len, 8_192);
        assert_eq!(sizing.num_blocks, 4 * 8_192 / 16);
        assert_eq!(sizing.kv_cache_bytes, 4 * 8_192 * 1_024);
        assert_eq!(sizing.max_num_batched_tokens, 256);
    }

    #[test]
    fn little_memory_shortens_the_sequence_unless_it_was_asked_for() {
        let available = 8 << 20;
        let sizing = compute(MODEL, &engine(), available).unwrap();
        assert_eq!(sizing.max_model_len, 4 * 1_024 - 16);
        let asked = EngineConfig {
            max_model_len: Some(8_192),
            ..engine()
        };
        let error = compute(MODEL, &asked, available).unwrap_err().to_string();
        assert!(
            error.contains("needs a KV cache of 9 MiB, and it has 4 MiB"),
            "{error}"
        );
    }

    #[test]
    fn a_gpu_is_filled_beside_what_a_step_needs() {
        let room = |gib: usize| Room {
            available: gib << 30,
            gpu_total: Some(gib << 30),
        };
        let workspace = |limits: &Limits| limits.max_num_batched_tokens * 100_000;
        let large = Sizing::compute(MODEL, &engine(), room(80), workspace).unwrap();
        assert_eq!(large.max_num_batched_tokens, 8_192);
        assert_eq!(large.max_num_seqs, 256);
        let left = (80 << 30) - 8_192 * 100_000 - GPU_MARGIN_BYTES;
        assert_eq!(large.num_blocks, left / (16 * 1_024));
        let small = Sizing::compute(MODEL, &engine(), room(8), workspace).unwrap();
        assert_eq!(small.max_num_batched_tokens, 2_048);
        let asked = EngineConfig {
            max_num_batched_tokens: Some(100),
            ..engine()
        };
        let few = Sizing::compute(MODEL, &asked, room(8), workspace).unwrap();
        assert_eq!((few.max_num_batched_tokens, few.max_num_seqs), (100, 100));
        let nothing = Sizing::compute(MODEL, &engine(), room(1), |_| 1 << 30);
        let error = nothing.unwrap_err().to_string();
        assert!(error.contains("--gpu-memory-utilization"), "{error}");
    }

    #[test]
    fn windows_take_less_and_hold_more() {
        let model = ModelSizes {
            window_kv_bytes_per_token: 768,
            sliding_window: Some(256),
            ..MODEL
        };
        let engine = EngineConfig {
            max_num_seqs: Some(4),
            ..engine()
        };
        let sizing = compute(model, &engine, 1 << 40).unwrap();
        assert_eq!(sizing.num_blocks, 4 * 8_192 / 16);
        let window = sizing.window.unwrap();
        assert_eq!((window.tokens, window.num_blocks), (256, 512));
        assert_eq!(sizing.kv_cache_bytes, 16 * (2_048 * 256 + 512 * 768));
        assert_eq!(sizing.limits().window_blocks, Some(512));
        let as_much = EngineConfig {
            kv_cache_memory_bytes: Some(4 * 8_192 * 1_024),
            ..engine
        };
        let sizing = compute(model, &as_much, 1 << 40).unwrap();
        assert_eq!(sizing.num_blocks, 4_680, "in place of 2,048");
    }

    #[test]
    fn more_than_the_model_has_is_refused() {
        let asked = EngineConfig {
            max_model_len: Some(8_193),
            ..engine()
        };
        let error = compute(MODEL, &asked, 1 << 40).unwrap_err().to_string();
        assert!(error.contains("the model's own limit of 8192"), "{error}");
    }

    #[test]
    fn a_cache_too_small_for_a_block_is_refused() {
        let tiny = EngineConfig {
            kv_cache_memory_bytes: Some(16 * 1_024),
            ..engine()
        };
        assert!(compute(MODEL, &tiny, 1 << 40).is_err());
    }
}

//! The memory that a model is sized for.

use models::FoundDevice;

/// Sequences per step, and tokens per step, on a GPU; tokens on one with at least so much memory.
/// The numbers are those of vLLM's server.
const GPU_SEQS: usize = 256;
const GPU_BATCHED_TOKENS: usize = 2_048;
const LARGE_GPU_BATCHED_TOKENS: usize = 8_192;
const LARGE_GPU_BYTES: usize = 70 << 30;

/// Sequences per step on a CPU.
const CPU_SEQS: usize = 64;

/// Tokens per step on a CPU: measured, the prefill rate is flat from 128 on, and a step stays short
/// enough for others' tokens (benches/README.md).
const CPU_BATCHED_TOKENS: usize = 256;

/// Memory for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free.
    pub available: usize,
    /// All bytes of the GPU whose they are; `None` if they are the system's.
    pub gpu_total: Option<usize>,
}

impl Room {
    /// What `device` has, or else the system, of which `available` bytes are free. Of a GPU the part
    /// `utilization` may be used.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn of(device: &FoundDevice, available: usize, utilization: f64) -> anyhow::Result<Self> {
        let Some(memory) = device.memory()? else {
            return Ok(Self {
                available,
                gpu_total: None,
            });
        };
        let kept = (memory.total as f64 * (1.0 - utilization)) as usize;
        Ok(Self {
            available: memory.free.saturating_sub(kept),
            gpu_total: Some(memory.total),
        })
    }

    /// The same without `bytes` of it; `None` if there are not so many.
    pub fn without(self, bytes: usize) -> Option<Self> {
        let available = self.available.checked_sub(bytes)?;
        Some(Self { available, ..self })
    }

    /// Steps that are planned before the first of them has ended.
    pub(super) fn max_steps_in_flight(&self) -> usize {
        match self.gpu_total {
            None => 1,
            Some(_) => 2,
        }
    }

    /// Sequences per step, unless they are asked for.
    pub(super) fn max_num_seqs(&self) -> usize {
        match self.gpu_total {
            None => CPU_SEQS,
            Some(_) => GPU_SEQS,
        }
    }

    /// Tokens per step, unless they are asked for.
    pub(super) fn max_num_batched_tokens(&self) -> usize {
        match self.gpu_total {
            None => CPU_BATCHED_TOKENS,
            Some(total) if total < LARGE_GPU_BYTES => GPU_BATCHED_TOKENS,
            Some(_) => LARGE_GPU_BATCHED_TOKENS,
        }
    }

    /// What a message says of `available` behind the number.
    pub(crate) fn advice(&self) -> &'static str {
        match self.gpu_total {
            None => "of memory are free",
            Some(_) => "of the GPU may be used (--gpu-memory-utilization)",
        }
    }
}

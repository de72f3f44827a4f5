//! Integration tests of the crate.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod adapters;
mod bfloat16;
mod bits;
mod checkpoints;
mod driver;
mod dummy;
mod embedded;
mod embedders;
mod fake_runner;
mod gguf;
mod golden;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod gpu;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod gpu_ahead;
mod hub;
mod kv_cache;
mod seeing;
mod variants;
mod weights_cache;
mod windows;

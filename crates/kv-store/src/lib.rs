//! Blocks of a KV cache on disk, by their content's hash.
//!
//! [`BlockStore`] appends blocks to segment files in a folder and finds them again after a restart.
//! It knows hashes, tokens and bytes, and neither requests nor models: what the bytes depend on
//! (model, type, layout) comes in as one digest, and files of another digest are left alone.
//!
//! A block is read back only if every byte of its record is as it was written, and if its tokens are
//! those that are asked for. Whatever else is found (a torn write, a flipped bit, another format)
//! costs a log line and the time to compute the block again.

mod config;
mod index;
mod record;
mod segments;
mod stats;
mod store;
mod writer;

pub use config::{StoreConfig, StoreError};
pub use record::{Hash, digest};
pub use stats::StoreStats;
pub use store::{BlockStore, NotRead, Put};

//! The paged KV cache's bookkeeping: block pool, prefix cache, block tables.
//!
//! Pure: it knows token ids and integers, and neither requests, models, time, threads nor tensors.

mod ids;
mod miss;

pub use ids::{BlockHash, BlockId, TokenId};
pub use miss::{MissCause, MissReason};

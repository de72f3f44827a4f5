//! What measurements of a running server share: how it is asked, who it is, and small statistics.
//!
//! Ours or any other server that speaks OpenAI's API; the module knows nothing of the rest of this
//! crate.

pub mod error;
pub mod server_args;

pub(crate) mod chart;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod identity;
pub(crate) mod machine;
pub(crate) mod progress;
pub(crate) mod quantile;
pub(crate) mod random;
pub(crate) mod words;

mod sse;
mod stream_chunk;
pub(crate) mod tool_calls;

pub use error::ServerError;
pub use server_args::ServerArgs;

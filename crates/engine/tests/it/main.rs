//! The engine through its public interface, on its own thread, over a model with a shadow KV cache.

mod client;
mod counts;
mod endings;

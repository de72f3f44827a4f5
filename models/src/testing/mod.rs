//! A model without weights that checks everything it reads; for tests of the engine.

mod chain;
mod fault;
mod runner;
mod shadow;

pub use fault::ShadowFault;
pub use runner::{FakeCounters, FakeLimits, FakeRunner};

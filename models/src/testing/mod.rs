//! A model without weights that checks everything it reads; for tests of the engine.

mod adapter_files;
mod batch_checks;
mod chain;
mod drawn;
mod fault;
mod in_flight;
mod runner;
mod shadow;

use std::collections::BTreeMap;

use crate::LoraAdapter;

pub use adapter_files::{ALL_PROJECTIONS, AdapterFiles, Tensors, write_tensors};
pub use fault::ShadowFault;
pub use runner::{FakeCounters, FakeLimits, FakeRunner};

/// An adapter without matrices for a [`FakeRunner`], whose tokens differ from those of any other
/// identity and of no adapter.
pub fn fake_adapter(identity: u64) -> LoraAdapter {
    LoraAdapter::new(identity.to_le_bytes().to_vec(), BTreeMap::new())
}

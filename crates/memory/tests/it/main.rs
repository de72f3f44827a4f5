//! The store as the server uses it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commands;
mod files;
mod offload;
mod paths;
mod restart;
mod searching;

use memory::{Limits, Namespace, Store, Tenant};

fn store() -> Store {
    Store::in_memory(Limits::default()).unwrap()
}

fn alice() -> Tenant {
    Tenant::of(b"key of alice")
}

fn bob() -> Tenant {
    Tenant::of(b"key of bob")
}

fn namespace() -> Namespace {
    "team-a".parse().unwrap()
}

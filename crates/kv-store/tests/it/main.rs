//! Blocks come back from disk as they were, or not at all.

mod bounds;
mod damage;
mod folder;
mod restart;

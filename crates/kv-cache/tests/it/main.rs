//! The cache against hand-computed cases and against a naive model.

mod hashing;
mod miss;
mod model;
mod operations;
mod prefix;
mod probe;
mod random;
mod retention;
mod sequence;
mod windows;

//! Tests of the text layer through its public API.

mod random;
mod stops;

//! Tests of the text layer through its public API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod golden;
mod grammar;
mod random;
mod stops;
mod templates;
mod tokenizers;

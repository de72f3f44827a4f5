//! The context budgeter as its callers see it.

mod ladder;
mod prompt;
mod random;

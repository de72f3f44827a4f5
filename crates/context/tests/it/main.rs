//! The context budgeter as its callers see it.

mod examples;
mod fuzz;
mod ladder;
mod prompt;
mod random;
mod shares;
mod shortened;
mod standing;
mod summaries;

//! The context budgeter as its callers see it.

mod fuzz;
mod ladder;
mod prompt;
mod random;
mod shares;
mod shortened;
mod standing;
mod summaries;

//! The project's automation, run as `cargo xtask <task>`.
//!
//! - [`ci`]: everything that must pass before a change lands, in the order in which it fails fastest.
//! - [`tidy`]: the rules that no compiler checks, each a function from the tree to complaints.
//! - [`licences`]: every dependency's licence against `deny.toml`.
//! - [`clients`]: the real server with the clients that people have.
//! - [`cuda_toolkit`]: the compiler of the CUDA kernels.
//! - [`web`]: the real server's web page in a real browser.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool talks on standard output"
)]

pub mod ci;
pub mod clients;
pub mod cuda_toolkit;
pub mod licences;
mod node;
mod python;
pub mod tidy;
pub mod tree;
pub mod web;

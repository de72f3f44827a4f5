//! server

pub mod bench;

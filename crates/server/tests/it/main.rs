//! Integration tests of the server crate, one binary for all.

mod bench_ttft;

//! Integration tests of the server crate, one binary for all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answer;
mod anthropic_blocks;
mod auth;
mod bad_input;
mod bench_agent;
mod bench_load;
mod bench_page;
mod bench_replay;
mod bench_ttft;
mod budget_fuzz;
mod cache;
mod chat;
mod compaction;
mod completions;
mod context;
mod context_metrics;
mod context_report;
mod dashboard;
mod documents;
mod drift;
mod endpoints;
mod eval_context;
mod eval_placement;
mod examples;
mod fake_server;
mod faults;
mod memory;
mod metrics;
mod overload;
mod process;
mod protections;
mod repeats;
mod requests;
mod runners;
mod server_tools;
mod settings;
mod summaries;
mod supply;
mod three_reads;
mod tool_pruning;
mod uses;
mod validation;
mod web;
mod world;

//! Reasoning, tool calls and text of answers, in streams cut everywhere.

mod answer;
mod detection;
mod granite;
mod harmony;
mod hermes;
mod llama3;
mod mistral;
mod phi4_mini;
mod pythonic;
mod qwen3_coder;
mod random_calls;
mod reasoning;
mod tokens;

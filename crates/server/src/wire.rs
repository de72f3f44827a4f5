//! The APIs' JSON: what goes out. What comes in is read by `validate`.

pub mod chat;
pub mod completion;
pub mod context_count;
pub mod context_plan;
pub mod context_policy;
pub mod context_probe;
pub mod context_report;
pub mod error;
pub mod message;
pub mod request_record;
pub mod response;
pub mod usage;

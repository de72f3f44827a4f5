//! The step loop: inbox, plan, batch, forward, sample, commit, events.
//!
//! One OS thread owns the scheduler and the model. Everything else talks to it through an
//! [`EngineHandle`] and hears from it through an [`EventSink`].

mod event;
mod handle;
mod request;

pub use event::{
    Admission, Completion, Event, EventSink, FinishReason, RequestError, TokenLogprobs, TokenOutput,
};
pub use handle::SubmitError;
pub use request::{GenerateRequest, SamplingParams};

//! Traces of requests: how long each has waited, computed and answered, as spans that a collector
//! gets by OTLP over HTTP.
//!
//! The one place that knows OpenTelemetry. A [`RequestTrace`] goes with a request and is told what
//! becomes of it; when the request has ended, spans are made of it from its
//! [records](crate::records). They wait in a bounded queue for a thread of their own to send them.
//! Requests never wait for it: what finds no room is lost and counted.

use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Request;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::clock;
use crate::config::serve::TracesConfig;

mod attributes;
mod export;
mod phases;
mod request;

pub use request::RequestTrace;

/// Name of the service, unless the environment has another, and of what makes the spans.
const NAME: &str = "purser";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes spans and sends them; clones share everything.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    losses: std::sync::Arc<export::Losses>,
}

impl Traces {
    /// Starts the thread that sends spans; a Tokio runtime must be there, on which it sends. Which
    /// traces are sampled is the SDK's to read (`OTEL_TRACES_SAMPLER`): by default all, unless the
    /// client says otherwise.
    ///
    /// # Errors
    /// When the client for the collector cannot be made.
    pub fn start(config: &TracesConfig) -> anyhow::Result<Self> {
        let losses = std::sync::Arc::default();
        let processor = export::processor(config, &losses)
            .context("preparing to send spans (--otlp-traces-endpoint)")?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(config))
            .with_span_processor(processor)
            .build();
        let scope = InstrumentationScope::builder(NAME).with_version(VERSION);
        let tracer = provider.tracer_with_scope(scope.build());
        let collector = config.endpoint.host_str().unwrap_or_default();
        tracing::info!(collector, "spans of requests are sent");
        Ok(Self {
            provider,
            tracer,
            losses,
        })
    }

    /// Begins to follow a request. Its parent is the span that its W3C `traceparent` header names;
    /// a header that is none begins a new trace, as the recommendation has it. Nothing is followed
    /// that is not sampled.
    pub fn begin(&self, request: &Request) -> RequestTrace {
        let headers = HeaderExtractor(request.headers());
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
        let (arrived, arrived_at) = (clock::now(), clock::system_time());
        let root = SpanBuilder::from_name("llm_request")
            .with_kind(SpanKind::Server)
            .with_start_time(arrived_at);
        let mut root = self.tracer.build_with_context(root, &parent);
        if !root.is_recording() {
            return RequestTrace::default();
        }
        root.set_attributes(attributes::of_http(request));
        RequestTrace::new(self.tracer.clone(), root, arrived, arrived_at)
    }

    /// Sends what still waits, for at most so long; afterwards nothing is sent any more. Blocks.
    pub fn shutdown(&self, timeout: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(timeout) {
            tracing::warn!(%error, "the last spans of requests were not sent");
        }
        self.losses.tell();
    }
}

/// The environment is stronger than what the server says of itself.
fn resource(config: &TracesConfig) -> Resource {
    let own = [
        KeyValue::new("service.name", NAME),
        KeyValue::new("service.version", VERSION),
    ];
    let resource = Resource::builder_empty()
        .with_attributes(own)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match &config.service_name {
        Some(name) => resource.with_service_name(name.clone()).build(),
        None => resource.build(),
    }
}

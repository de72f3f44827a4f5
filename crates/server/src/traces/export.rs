//! Spans on their way to the collector: a bounded queue, a thread, and what is lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor,
};
use prost::Message;
use reqwest::redirect;
use tokio::runtime::Handle;

use crate::clock;
use crate::config::serve::TracesConfig;
use crate::measure::client::{chain, is_loopback};

/// Losses are logged at most so often.
const QUIET: Duration = Duration::from_secs(60);

/// What takes ended spans and sends them to the collector.
///
/// # Errors
/// When the client for the collector cannot be made.
pub(super) fn processor(
    config: &TracesConfig,
    losses: &Arc<Losses>,
) -> anyhow::Result<impl SpanProcessor + 'static> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(config, Arc::clone(losses))?)
        .with_endpoint(config.endpoint.as_str())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(config.timeout)
        .build()?;
    let queue = Arc::new(Queue {
        capacity: config.max_queue,
        waiting: AtomicUsize::new(0),
        losses: Arc::clone(losses),
    });
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(config.max_queue)
        .with_max_export_batch_size(config.max_batch)
        .with_scheduled_delay(config.delay)
        .build();
    let counted = CountedExporter {
        exporter,
        queue: Arc::clone(&queue),
    };
    let inner = BatchSpanProcessor::builder(counted).with_batch_config(batches);
    Ok(BoundedProcessor {
        inner: inner.build(),
        queue,
    })
}

/// Spans that were lost, and when it was last told.
#[derive(Debug, Default)]
pub(super) struct Losses {
    tally: Mutex<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    untold: usize,
    reason: String,
    told: Option<Instant>,
    /// What the system said when the collector could not be asked.
    cause: Option<String>,
}

impl Losses {
    fn add(&self, spans: usize, reason: String) {
        let mut tally = self.lock();
        tally.untold += spans;
        tally.reason = reason;
        if tally.told.is_none_or(|told| told.elapsed() >= QUIET) {
            tally.tell();
        }
    }

    /// Logs those of which nothing was said yet.
    pub(super) fn tell(&self) {
        let mut tally = self.lock();
        if tally.untold > 0 {
            tally.tell();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn tell(&mut self) {
        let (spans, reason) = (std::mem::take(&mut self.untold), &self.reason);
        tracing::warn!(spans, %reason, "spans of requests were lost");
        self.told = Some(clock::now());
    }
}

/// Places for spans that wait to be sent.
#[derive(Debug)]
struct Queue {
    capacity: usize,
    waiting: AtomicUsize,
    losses: Arc<Losses>,
}

/// The SDK's processor, which tells of spans without a place only at the end.
#[derive(Debug)]
struct BoundedProcessor {
    inner: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let waiting = &self.queue.waiting;
        let one_more = |waiting| (waiting < self.queue.capacity).then_some(waiting + 1);
        match waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => self.inner.on_end(span),
            Err(_) => {
                let reason = "the collector does not keep up".to_owned();
                self.queue.losses.add(1, reason);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The SDK's exporter, whose errors are otherwise nobody's.
#[derive(Debug)]
struct CountedExporter {
    exporter: SpanExporter,
    queue: Arc<Queue>,
}

impl opentelemetry_sdk::trace::SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        // They have left the queue before they come here.
        self.queue.waiting.fetch_sub(spans, Ordering::AcqRel);
        let sent = self.exporter.export(batch).await;
        let losses = &self.queue.losses;
        let cause = losses.lock().cause.take();
        if let Err(error) = &sent {
            losses.add(spans, cause.unwrap_or_else(|| error.to_string()));
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends on the server's runtime: the thread that exports has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    losses: Arc<Losses>,
}

impl Client {
    fn new(config: &TracesConfig, losses: Arc<Losses>) -> anyhow::Result<Self> {
        // Headers with keys are for the collector alone, wherever it would send them.
        let builder = reqwest::Client::builder()
            .timeout(config.timeout)
            .redirect(redirect::Policy::none());
        // No proxy can reach this machine's own addresses.
        let builder = match is_loopback(&config.endpoint) {
            true => builder.no_proxy(),
            false => builder,
        };
        Ok(Self {
            http: builder.build()?,
            runtime: Handle::try_current()?,
            losses,
        })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sending = async move { http.send_bytes(request).await };
        let answer = self.runtime.spawn(sending).await?;
        match answer {
            Ok(response) => {
                self.losses.lock().cause = None;
                if let Some((spans, reason)) = rejected(response.body()) {
                    self.losses.add(spans, reason);
                }
                Ok(response)
            }
            Err(error) => {
                // The SDK keeps no more of it than that there was an error.
                self.losses.lock().cause = Some(chain(error.as_ref()));
                Err(error)
            }
        }
    }
}

/// Spans that a collector has not taken although it took the others, and why.
fn rejected(body: &[u8]) -> Option<(usize, String)> {
    let response = ExportTraceServiceResponse::decode(body).ok()?;
    let rejected = response.partial_success?;
    let spans = usize::try_from(rejected.rejected_spans).ok()?;
    let reason = format!("the collector rejected them: {}", rejected.error_message);
    (spans > 0).then_some((spans, reason))
}

#[cfg(test)]
mod tests;

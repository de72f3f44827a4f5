//! A collector of spans: OTLP over HTTP on a port of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Map, Value, json};
use server::config::serve::TracesConfig;

use crate::world::PATIENCE;

/// What has been sent to it.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// One export.
pub(crate) struct Heard {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) resource: Value,
    pub(crate) spans: Vec<Span>,
}

impl Collector {
    /// Listens.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Arc::default(),
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        collector
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    /// Sends spans here, without delay.
    pub(crate) fn config(&self) -> TracesConfig {
        config(&self.url())
    }

    /// The trace whose `number` roots have come, with all that belongs to it; roots are sent last.
    pub(crate) async fn traces(&self, number: usize) -> Vec<Trace> {
        let arrived = tokio::time::timeout(PATIENCE, async {
            while self.roots().len() < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(arrived.await.is_ok(), "{} traces", self.roots().len());
        let spans = self.spans();
        self.roots()
            .into_iter()
            .map(|root| Trace {
                spans: spans
                    .iter()
                    .filter(|span| span.trace_id == root.trace_id)
                    .cloned()
                    .collect(),
                root,
            })
            .collect()
    }

    /// The one trace that has come or is about to.
    pub(crate) async fn trace(&self) -> Trace {
        let mut traces = self.traces(1).await;
        assert_eq!(traces.len(), 1);
        traces.remove(0)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let heard = self.heard.lock().unwrap();
        heard.iter().flat_map(|it| it.spans.clone()).collect()
    }

    /// What `read` makes of the exports.
    pub(crate) fn heard<T>(&self, read: impl Fn(&Heard) -> T) -> Vec<T> {
        self.heard.lock().unwrap().iter().map(read).collect()
    }

    fn roots(&self) -> Vec<Span> {
        let spans = self.spans().into_iter();
        spans.filter(|span| span.name == "llm_request").collect()
    }
}

/// Sends spans to `url`, without delay.
pub(crate) fn config(url: &str) -> TracesConfig {
    TracesConfig {
        endpoint: url.parse().unwrap(),
        timeout: PATIENCE,
        service_name: None,
        max_queue: 2_048,
        max_batch: 512,
        delay: Duration::from_millis(10),
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(&body[..]).expect("it is protobuf");
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.expect("a resource");
        let scopes = resource_spans.scope_spans.into_iter();
        collector.heard.lock().unwrap().push(Heard {
            headers: headers.clone(),
            body: body.clone(),
            resource: attributes(&resource.attributes),
            spans: scopes.flat_map(|scope| scope.spans).collect(),
        });
    }
}

/// A request's spans.
pub(crate) struct Trace {
    pub(crate) root: Span,
    /// The root included.
    spans: Vec<Span>,
}

impl Trace {
    /// Names of the spans right below one, by their beginnings; those that begin together in the
    /// order of their ends.
    pub(crate) fn names_in(&self, parent: &Span) -> Vec<String> {
        let spans = self.children(parent).into_iter();
        spans.map(|span| span.name.clone()).collect()
    }

    pub(crate) fn children(&self, parent: &Span) -> Vec<&Span> {
        let mut children: Vec<_> = self
            .spans
            .iter()
            .filter(|span| span.parent_span_id == parent.span_id)
            .collect();
        children.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
        children
    }

    /// The one span of this name below `parent`.
    pub(crate) fn child(&self, parent: &Span, name: &str) -> &Span {
        let mut named = self.children(parent);
        named.retain(|span| span.name == name);
        assert_eq!(named.len(), 1, "{name} in {}", parent.name);
        named[0]
    }

    /// What the root says.
    pub(crate) fn told(&self) -> Value {
        attributes(&self.root.attributes)
    }
}

/// Attributes as JSON; none may be there twice.
pub(crate) fn attributes(attributes: &[KeyValue]) -> Value {
    let mut told = Map::new();
    for attribute in attributes {
        let value = attribute.value.as_ref().map_or(Value::Null, value);
        let before = told.insert(attribute.key.clone(), value);
        assert!(before.is_none(), "{} is there twice", attribute.key);
    }
    Value::Object(told)
}

fn value(any: &AnyValue) -> Value {
    match any.value.as_ref().expect("a value") {
        Any::StringValue(text) => json!(text),
        Any::BoolValue(bit) => json!(bit),
        Any::IntValue(number) => json!(number),
        Any::DoubleValue(number) => json!(number),
        Any::ArrayValue(array) => array.values.iter().map(value).collect(),
        other => panic!("{other:?} is not expected"),
    }
}

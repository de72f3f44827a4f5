//! Spans of requests, as a collector gets them.

mod failures;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Response;
use serde_json::{Value, json};
use server::records::RecordLimits;

use crate::answer::Answer;
use crate::collector::{Collector, Trace, attributes};
use crate::context::{CHAT, body};
use crate::runners::ScriptRunner;
use crate::world::{IM_END, Setup, World, with};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const COMPLETIONS: &str = "/v1/completions";

async fn world(collector: &Collector) -> World {
    World::start(Setup {
        traces: Some(collector.config()),
        ..Setup::default()
    })
    .await
}

async fn send(world: &World, route: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
    let request = headers
        .iter()
        .fold(world.post(route, body), |request, (name, value)| {
            request.header(*name, *value)
        });
    request.send().await.unwrap()
}

fn nanos(span: &Span) -> u64 {
    span.end_time_unix_nano - span.start_time_unix_nano
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no time: {value}"))
}

/// Checks that a span lies in another.
fn nests(inner: &Span, outer: &Span) {
    assert!(
        outer.start_time_unix_nano <= inner.start_time_unix_nano
            && inner.start_time_unix_nano <= inner.end_time_unix_nano
            && inner.end_time_unix_nano <= outer.end_time_unix_nano,
        "{} is not within {}",
        inner.name,
        outer.name
    );
}

/// Checks that the phases below `parent` follow each other without a gap and last `e2e` together.
fn adds_up(trace: &Trace, parent: &Span, e2e: &Value) {
    let phases = ["queue", "prefill", "decode"].map(|name| trace.child(parent, name));
    for phase in phases {
        nests(phase, parent);
        nests(phase, &trace.root);
    }
    assert_eq!(phases[0].end_time_unix_nano, phases[1].start_time_unix_nano);
    assert_eq!(phases[1].end_time_unix_nano, phases[2].start_time_unix_nano);
    let sum: u64 = phases.into_iter().map(nanos).sum();
    let e2e = seconds(e2e) * 1e9;
    assert!((sum as f64 - e2e).abs() < 1e3, "{sum} and {e2e} ns");
}

/// Checks what a span says against the record of the same request.
async fn agrees(world: &World, span: &Span) {
    let told = attributes(&span.attributes);
    let id = told["purser.request.id"].as_str().expect("an id");
    let record = world.get(&format!("/v1/requests/{id}")).await.ok();
    for (name, path) in [
        ("gen_ai.latency.time_in_queue", "queue_ms"),
        ("gen_ai.latency.time_to_first_token", "ttft_ms"),
        ("gen_ai.latency.e2e", "e2e_ms"),
        ("gen_ai.latency.time_in_model_prefill", "prefill_ms"),
        ("gen_ai.latency.time_in_model_decode", "decode_ms"),
        (
            "purser.latency.predicted_time_to_first_token",
            "predicted_ttft_ms",
        ),
    ] {
        let ms = seconds(&told[name]) * 1e3;
        let expected = seconds(&record["timing"][path]);
        assert!((ms - expected).abs() < 1e-3, "{name}: {ms}, not {expected}");
    }
    let usage = &record["usage"];
    let cache = &record["cache"];
    for (name, expected) in [
        ("gen_ai.usage.input_tokens", &usage["prompt_tokens"]),
        ("gen_ai.usage.output_tokens", &usage["completion_tokens"]),
        ("purser.cache.cached_tokens", &cache["matched_tokens"]),
        ("purser.cache.restored_tokens", &cache["restored_tokens"]),
        ("purser.cache.retained_tokens", &cache["retained_tokens"]),
        ("purser.preemptions", &record["preemptions"]),
        ("purser.recomputed_tokens", &record["recomputed_tokens"]),
    ] {
        assert_eq!(&told[name], expected, "{name}");
    }
    let has_missed = told.get("purser.cache.miss_cause").is_some();
    assert_eq!(has_missed, cache["miss"].is_object(), "{record}");
    let reasons = json!([record["finish_reason"]]);
    assert_eq!(told["gen_ai.response.finish_reasons"], reasons);
}

/// Checks that the root says of tokens what the answer says.
fn has_usage(told: &Value, usage: &Value) {
    let cached = &usage["prompt_tokens_details"]["cached_tokens"];
    for (name, expected) in [
        ("gen_ai.usage.input_tokens", &usage["prompt_tokens"]),
        ("gen_ai.usage.prompt_tokens", &usage["prompt_tokens"]),
        ("gen_ai.usage.output_tokens", &usage["completion_tokens"]),
        (
            "gen_ai.usage.completion_tokens",
            &usage["completion_tokens"],
        ),
        ("gen_ai.usage.cache_read.input_tokens", cached),
    ] {
        assert_eq!(&told[name], expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_a_trace_of_its_phases() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let body = json!({
        "messages": [{"role": "user", "content": "The password of the safe is 90210."}],
        "max_tokens": 5,
        "temperature": 0.7,
        "seed": 7,
        "stop": ["a secret end"],
    });
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "vendor=value"),
        ("x-request-id", "mine-1"),
    ];
    let response = send(&world, CHAT, &body, &headers).await;
    let answer = Answer::read(response).await.ok();
    let trace = collector.trace().await;
    let root = &trace.root;
    assert_eq!(root.kind, SpanKind::Server as i32);
    assert_eq!(
        root.trace_id,
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
    );
    assert_eq!(root.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(root.trace_state, "vendor=value");
    assert!(root.status.as_ref().is_none_or(|status| status.code == 0));
    let names = ["prepare", "queue", "prefill", "decode"];
    assert_eq!(trace.names_in(root), names);
    let prepare = trace.child(root, "prepare");
    assert_eq!(prepare.start_time_unix_nano, root.start_time_unix_nano);
    let queue = trace.child(root, "queue");
    assert_eq!(prepare.end_time_unix_nano, queue.start_time_unix_nano);
    assert_eq!(queue.kind, SpanKind::Internal as i32);
    let told = trace.told();
    adds_up(&trace, root, &told["gen_ai.latency.e2e"]);
    agrees(&world, root).await;
    has_usage(&told, &answer["usage"]);
    for (name, expected) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("purser")),
        ("gen_ai.request.model", answer["model"].clone()),
        ("gen_ai.response.model", answer["model"].clone()),
        ("gen_ai.response.id", answer["id"].clone()),
        ("gen_ai.request.id", answer["id"].clone()),
        ("gen_ai.request.max_tokens", json!(5)),
        ("gen_ai.request.temperature", json!(0.7)),
        ("gen_ai.request.seed", json!(7)),
        ("gen_ai.request.n", json!(1)),
        ("gen_ai.request.stream", json!(false)),
        ("purser.cache.miss_cause", json!("never_seen")),
        ("http.request.method", json!("POST")),
        ("http.route", json!("/v1/chat/completions")),
        ("http.response.status_code", json!(200)),
        ("http.request.header.x-request-id", json!(["mine-1"])),
    ] {
        assert_eq!(told[name], expected, "{name}");
    }
    for (headers, body, resource) in
        collector.heard(|it| (it.headers.clone(), it.body.clone(), it.resource.clone()))
    {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(resource["service.name"], "purser");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        let body = String::from_utf8_lossy(&body);
        assert!(!body.contains("90210") && !body.contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_where_they_are_read_to_the_end() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let mut usages = Vec::new();
    for (route, fields) in [
        (
            CHAT,
            json!({"messages": [{"role": "user", "content": "Hi"}]}),
        ),
        (COMPLETIONS, json!({"prompt": [5, 6, 7]})),
    ] {
        let body = with(fields, json!({"max_tokens": 8, "ignore_eos": true}));
        let body = with(body, options.clone());
        let answer = Answer::read(send(&world, route, &body, &[]).await).await;
        usages.push(answer.chunks().last().unwrap()["usage"].clone());
    }
    let traces = collector.traces(2).await;
    assert_eq!(traces.len(), 2);
    for (trace, usage) in traces.iter().zip(&usages) {
        let told = trace.told();
        assert!(trace.root.parent_span_id.is_empty(), "nobody's child");
        assert_eq!(told["gen_ai.request.stream"], true);
        has_usage(&told, usage);
        agrees(&world, &trace.root).await;
        adds_up(trace, &trace.root, &told["gen_ai.latency.e2e"]);
    }
    assert_ne!(traces[0].root.trace_id, traces[1].root.trace_id);
    assert_eq!(traces[1].told()["gen_ai.operation.name"], "text_completion");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_to_each_prompt_has_a_span() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let (one, two): (Vec<u32>, Vec<u32>) = ((100..140).collect(), (200..240).collect());
    let body = json!({"prompt": [one, two], "n": 2, "max_tokens": 4, "ignore_eos": true});
    let answer = world.ask(COMPLETIONS, body).await.ok();
    let trace = collector.trace().await;
    let root = &trace.root;
    let told = trace.told();
    has_usage(&told, &answer["usage"]);
    assert_eq!(told["gen_ai.request.n"], 2);
    assert_eq!(told["gen_ai.request.choice.count"], 2);
    let length = json!(["length", "length", "length", "length"]);
    assert_eq!(told["gen_ai.response.finish_reasons"], length);
    let names = ["prepare", "generate", "generate", "generate", "generate"];
    assert_eq!(trace.names_in(root), names);
    let mut ids = Vec::new();
    for part in &trace.children(root)[1..] {
        nests(part, root);
        assert_eq!(trace.names_in(part), ["queue", "prefill", "decode"]);
        let told = attributes(&part.attributes);
        adds_up(&trace, part, &told["gen_ai.latency.e2e"]);
        agrees(&world, part).await;
        ids.push(told["purser.request.id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    let id = answer["id"].as_str().unwrap();
    let expected = ["", ".1", ".2", ".3"].map(|end| format!("{id}{end}"));
    assert_eq!(ids, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_parent_leaves_out_is_not_sent() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let body = json!({"prompt": [5, 6, 7], "max_tokens": 2});
    let send = async |parent| {
        let response = send(&world, COMPLETIONS, &body, &[("traceparent", parent)]).await;
        Answer::read(response).await.ok()
    };
    send(UNSAMPLED).await;
    let answer = send(PARENT).await;
    let broken = send("00-4bf92f3577b34da6a3ce929d0e0e4736-01").await;
    world
        .app
        .traces()
        .unwrap()
        .shutdown(Duration::from_secs(60));
    let traces = collector.traces(2).await;
    let ids: Vec<Value> = traces
        .iter()
        .map(|trace| trace.told()["gen_ai.response.id"].clone())
        .collect();
    assert_eq!(ids, [answer["id"].clone(), broken["id"].clone()]);
    // What is no parent begins a trace of its own.
    assert!(traces[1].root.parent_span_id.is_empty());
    assert_ne!(traces[0].root.trace_id, traces[1].root.trace_id);
    assert_eq!(collector.spans().len(), 2 * 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_of_the_servers_tools_are_spans_of_one_answer() {
    let collector = Collector::start().await;
    let mut setup = Setup {
        max_model_len: 8_192,
        traces: Some(collector.config()),
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    let call = "<tool_call>\n{\"name\": \"context_status\", \"arguments\": {}}\n</tool_call>";
    let world = World::start_with(setup, |limits, tokenizer| {
        let scripts = [call, "Enough."].map(|said| tokenizer.encode(said, false).unwrap());
        let (scripts, seen) = (scripts.to_vec(), Arc::default());
        let runner = ScriptRunner::in_turn(scripts, IM_END, limits.vocab_size, seen);
        Box::new(runner)
    })
    .await;
    let budget = json!({"max_context_tokens": 4_096, "server_tools": true});
    let fields = json!({"max_tokens": 200, "stream": true,
        "stream_options": {"include_usage": true}});
    let body = with(body(10, &budget), fields);
    let chunks = world.ask(CHAT, body).await.chunks();
    let trace = collector.trace().await;
    let told = trace.told();
    has_usage(&told, &chunks.last().unwrap()["usage"]);
    assert_eq!(told["gen_ai.response.finish_reasons"], json!(["stop"]));
    assert_eq!(
        trace.names_in(&trace.root),
        ["prepare", "generate", "generate"]
    );
    let rounds = &trace.children(&trace.root)[1..];
    assert!(rounds[0].end_time_unix_nano <= rounds[1].start_time_unix_nano);
    let mut reasons = Vec::new();
    for round in rounds {
        agrees(&world, round).await;
        nests(round, &trace.root);
        let told = attributes(&round.attributes);
        adds_up(&trace, round, &told["gen_ai.latency.e2e"]);
        reasons.push(told["gen_ai.response.finish_reasons"][0].clone());
    }
    assert_eq!(reasons, ["tool_calls", "stop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_need_not_be_kept() {
    let collector = Collector::start().await;
    let world = World::start(Setup {
        traces: Some(collector.config()),
        records: RecordLimits {
            max_records: 0,
            ..RecordLimits::default()
        },
        ..Setup::default()
    })
    .await;
    let body = json!({"prompt": [5, 6, 7], "max_tokens": 3, "ignore_eos": true});
    let answer = world.ask(COMPLETIONS, body).await.ok();
    world.get("/v1/requests").await.error(404);
    let trace = collector.trace().await;
    let told = trace.told();
    has_usage(&told, &answer["usage"]);
    assert_eq!(told["purser.request.id"], answer["id"]);
    adds_up(&trace, &trace.root, &told["gen_ai.latency.e2e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_is_made() {
    let world = World::start(Setup::default()).await;
    assert!(world.app.traces().is_none());
    let body = json!({"prompt": [5, 6, 7], "max_tokens": 2});
    let response = send(&world, COMPLETIONS, &body, &[("traceparent", PARENT)]).await;
    Answer::read(response).await.ok();
}

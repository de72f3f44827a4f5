//! The Grafana dashboard of docs/monitoring/ asks for series and labels that the server has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::context::{CHAT, agent, tools, world};
use crate::world::World;

/// Labels by the name of their samples.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// Prometheus itself puts this label on what it scrapes.
const SCRAPED: &str = "instance";

/// Every `expr` of the dashboard, wherever it stands.
fn expressions(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| match field {
                Value::String(text) if name == "expr" => vec![text.as_str()],
                field => expressions(field),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The words of a PromQL expression outside of quotes.
fn words(text: &str) -> Vec<&str> {
    let unquoted = text.split('"').step_by(2);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    unquoted
        .flat_map(|text| text.split(move |c| !is_part(c)))
        .filter(|word| !word.is_empty())
        .collect()
}

fn is_metric(word: &&&str) -> bool {
    word.starts_with("purser_") || word.starts_with("vllm:")
}

/// The labels that an expression selects or groups by.
fn labels(expression: &str) -> Vec<&str> {
    let between = |open: &'static str, close: char| {
        let parts = expression.split(open).skip(1);
        parts.filter_map(move |part| part.split(close).next())
    };
    between("{", '}')
        .flat_map(words)
        .chain(between("by (", ')').flat_map(words))
        .filter(|&label| label != SCRAPED)
        .collect()
}

/// What `/metrics` has.
fn exposed(text: &str) -> Labels {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut all = Labels::new();
    for sample in samples {
        let (name, rest) = sample.split_once('{').unwrap_or((sample, ""));
        let selected = rest.rsplit_once('}').map_or("", |(labels, _)| labels);
        let known = all.entry(name.to_owned()).or_default();
        known.extend(words(selected).into_iter().map(str::to_owned));
    }
    all
}

/// Serves what makes every series of the dashboard appear: an agent's requests with a budget that
/// edits them, a call made again after its result was cleared, and a refusal.
async fn serve(world: &World) {
    let budget = json!({"max_context_tokens": 4_096});
    let ask = async |messages: &Value| {
        let body = json!({"messages": messages, "tools": tools(), "max_tokens": 4,
            "context_budget": budget, "ignore_eos": true});
        world.ask(CHAT, body).await
    };
    let mut messages = agent(30);
    ask(&messages).await.ok();
    let list = messages.as_array_mut().unwrap();
    let mut again = [list[2].clone(), list[3].clone()];
    again[0]["tool_calls"][0]["id"] = json!("call_again");
    again[1]["tool_call_id"] = json!("call_again");
    list.extend(again);
    ask(&messages).await.ok();
    world.until_idle().await;
    world.app.stop_accepting();
    ask(&messages).await.error(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_the_dashboard_is_exposed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring/grafana.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 30, "{expressions:#?}");

    let world = world().await;
    serve(&world).await;
    let text = world.get("/metrics").await.text;
    let exposed = exposed(&text);
    for expression in expressions {
        let all = words(expression);
        let metrics: Vec<_> = all.iter().filter(is_metric).collect();
        assert!(!metrics.is_empty(), "{expression}");
        for &&metric in &metrics {
            let Some(known) = exposed.get(metric) else {
                panic!("no {metric}, which `{expression}` asks for, in\n{text}");
            };
            for label in labels(expression) {
                assert!(
                    known.contains(label),
                    "{metric} has no label {label}: {expression}"
                );
            }
        }
    }
}

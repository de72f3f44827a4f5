//! `on_infeasible`: what is said instead of an answer.

use serde_json::{Value, json};

use crate::context::{CHAT, agent, body, number, tools, world};
use crate::world::with;

const NO_USAGE: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

/// A dialogue of `turns` turns of about 60 tokens behind a rule, none of which may be edited.
fn dialogue(turns: usize, answer: &str) -> Value {
    let mut messages = vec![json!({"role": "system", "content": "You are careful."})];
    for turn in 0..turns {
        let asked = format!(
            "And then? {}",
            "what does the river say? ".repeat(3 + turn % 3)
        );
        let said = format!("It says {}", "that the sea is far away, ".repeat(4));
        messages.push(json!({"role": "user", "content": asked}));
        messages.push(json!({"role": "assistant", "content": said}));
    }
    messages.push(json!({"role": "user", "content": "How far is the sea?"}));
    let budget = json!({"max_context_tokens": 500, "on_infeasible": answer,
        "zones": {"history": {"tier": "protected"}, "output_buffer": {"min": 50}}});
    json!({"messages": messages, "max_tokens": 50, "context_budget": budget})
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_less_says_what_needs_how_much_and_computes_nothing() {
    let world = world().await;
    let refused = world
        .ask(CHAT, body(2, &json!({"max_context_tokens": 150})))
        .await;
    let table = refused.json()["error"]["context_budget"].clone();
    let ask = json!({"max_context_tokens": 150, "on_infeasible": "ask", "report": "none"});
    let answer = world.ask(CHAT, with(body(2, &ask), json!({"n": 2}))).await;
    assert_eq!(answer.header("x-context-budget"), "150");
    let answer = answer.ok();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 2);
    let choice = &answer["choices"][1];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["role"], "assistant");
    let said = choice["message"]["content"].as_str().unwrap();
    for (zone, tokens) in table["protected"].as_object().unwrap() {
        let line = format!("- {zone}: {tokens} tokens");
        assert!(
            number(tokens) == 0 || said.contains(&line),
            "no {line:?} in {said}"
        );
    }
    assert!(
        said.contains(&format!("needs {}", table["required"])),
        "{said}"
    );
    assert!(
        said.contains("Raise `max_context_tokens` to 1024"),
        "{said}"
    );
    let report = &answer["context_budget"];
    assert_eq!(report["status"], "scope_reduction_requested");
    assert_eq!(report["cache"]["prefilled"], 0);
    assert!(NO_USAGE.iter().all(|field| answer["usage"][field] == 0));
    assert_eq!(world.engine().stats().steps, 0);
    let said = json!({"plan_id": report["plan_id"], "route_correct": true});
    world.ask("/v1/context/feedback", said).await.ok();

    let plan = world.ask("/v1/context/plan", body(2, &ask)).await.ok();
    assert_eq!(
        plan["context_budget"]["status"],
        "scope_reduction_requested"
    );
    assert_eq!(plan["predicted_prefill_tokens"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_the_same() {
    let world = world().await;
    let ask = json!({"max_context_tokens": 150, "on_infeasible": "ask"});
    let whole = world.ask(CHAT, body(2, &ask)).await.ok();
    let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
    let answer = world.ask(CHAT, with(body(2, &ask), stream)).await;
    assert_eq!(answer.header("x-context-budget"), "150");
    assert_eq!(answer.events().last(), Some(&"[DONE]"));
    let chunks = answer.chunks();
    let deltas: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"])
        .collect();
    assert_eq!(deltas[0]["role"], "assistant");
    assert_eq!(
        chunks[0]["context_budget"]["status"],
        "scope_reduction_requested"
    );
    assert_eq!(
        deltas[1]["content"],
        whole["choices"][0]["message"]["content"]
    );
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[3]["choices"], json!([]));
    assert_eq!(chunks[3]["usage"], whole["usage"]);
    assert_eq!(chunks.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_fit_one_by_one_and_leave_nothing_out() {
    let world = world().await;
    let body = dialogue(30, "chunk");
    let answer = world.ask(CHAT, body.clone()).await.ok();
    let report = &answer["context_budget"];
    assert_eq!(report["status"], "chunked", "{answer}");
    assert!(NO_USAGE.iter().all(|field| answer["usage"][field] == 0));
    let messages = body["messages"].as_array().unwrap();
    let chunks = report["chunks"].as_array().unwrap();
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let mut next = 1;
    for chunk in chunks {
        let (first, last) = (number(&chunk["messages"][0]), number(&chunk["messages"][1]));
        assert_eq!(first, next, "{chunks:?}");
        next = last + 1;
        // Whole turns.
        assert_eq!(messages[first]["role"], "user");
        let words = format!("messages {first} to {last}: {} tokens", chunk["tokens"]);
        assert!(said.contains(&words), "no {words:?} in {said}");
        let own: Vec<&Value> = messages[..1]
            .iter()
            .chain(&messages[first..=last])
            .collect();
        let sent = world
            .ask(CHAT, with(body.clone(), json!({"messages": own})))
            .await
            .ok();
        assert_eq!(sent["usage"]["prompt_tokens"], chunk["tokens"]);
        assert_eq!(sent["context_budget"]["status"], "fit");
    }
    assert_eq!(next, messages.len());
    // The prompt has about 2,000 tokens and a chunk at most 450: no more requests than needed.
    assert!((4..=6).contains(&chunks.len()), "{chunks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_stay_with_their_results_and_what_is_too_long_is_named() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 1_100, "on_infeasible": "chunk",
        "zones": {"live_turn": {"tier": "protected"}, "tool_outputs": {"tier": "protected"}}});
    let body = json!({"messages": agent(12), "tools": tools(), "max_tokens": 8,
        "context_budget": budget});
    let answer = world.ask(CHAT, body.clone()).await.ok();
    let chunks = answer["context_budget"]["chunks"].as_array().unwrap();
    assert!(chunks.len() > 1, "{chunks:?}");
    for chunk in chunks {
        let first = number(&chunk["messages"][0]);
        assert_ne!(agent(12)[first]["role"], "tool");
        assert!(number(&chunk["tokens"]) + 8 <= 1_100);
    }

    let mut long = body;
    long["messages"][7]["content"] = json!("the sea is far ".repeat(400));
    let answer = world.ask(CHAT, long).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let table = &answer.json()["error"]["context_budget"];
    assert_eq!(table["code"], "infeasible");
    // A call and its result.
    assert_eq!(table["unsplittable"]["messages"], json!([6, 7]));
    assert!(number(&table["unsplittable"]["tokens"]) > 1_100);
}

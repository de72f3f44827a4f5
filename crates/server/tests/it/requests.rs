//! `/v1/requests`: what became of requests, and why their cached prefix ended.

use serde_json::{Value, json};

use crate::world::{Setup, World, with};

async fn record(world: &World, id: &Value) -> Value {
    let id = id.as_str().expect("an id");
    world.get(&format!("/v1/requests/{id}")).await.ok()
}

fn system(clock: &str) -> Value {
    json!([
        {"role": "system", "content": format!("You are an agent. The time is {clock}. Be brief, \
            use the tools that you are given, and say what you do not know.")},
        {"role": "user", "content": "What is the weather in Bergen?"},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_in_the_system_prompt_is_named() {
    let world = World::start(Setup::default()).await;
    let first = world
        .chat(json!({"messages": system("11:30"), "max_tokens": 3}))
        .await
        .ok();
    let second = world
        .chat(json!({"messages": system("12:30"), "max_tokens": 3}))
        .await
        .ok();
    let told = record(&world, &second["id"]).await;
    assert_eq!(told["state"], "finished", "{told}");
    assert_eq!(told["usage"], second["usage"]);
    let miss = &told["cache"]["miss"];
    assert_eq!(miss["reason"], "never_seen", "{told}");
    let from = &miss["diverged_from"];
    assert_eq!(from["id"], first["id"]);
    let (here, there) = (&from["here"], &from["there"]);
    let around = |passage: &Value| {
        let field = |name: &str| passage[name].as_str().expect("a text").to_owned();
        (field("before"), field("text"), field("after"))
    };
    let (before, text, after) = around(here);
    let (old_before, old_text, old_after) = around(there);
    assert!(before.contains("The time is"), "{told}");
    assert_eq!(before, old_before);
    assert_ne!(text, old_text);
    assert!(format!("{before}{text}{after}").contains("The time is 12:30"));
    assert!(format!("{old_before}{old_text}{old_after}").contains("The time is 11:30"));
    let matched = told["cache"]["matched_tokens"].as_u64();
    assert_eq!(
        matched,
        second["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64()
    );
    assert_eq!(from["shared_tokens"].as_u64(), matched);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_tell_the_last_requests_first() {
    let world = World::start(Setup::default()).await;
    for prompt in [[5, 6, 7], [8, 9, 10]] {
        world
            .complete(json!({"prompt": prompt, "max_tokens": 2}))
            .await
            .ok();
    }
    let list = world.get("/v1/requests?limit=10").await.ok();
    let data = list["data"].as_array().expect("a list");
    assert_eq!(data.len(), 2, "{list}");
    assert!(data[0]["created"].as_f64() >= data[1]["created"].as_f64());
    for told in data {
        assert_eq!(told["endpoint"], "/v1/completions");
        assert_eq!(told["finish_reason"], "length");
        assert_eq!(told["usage"]["prompt_tokens"], 3);
        let timing = &told["timing"];
        let ms = |name: &str| {
            timing[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name} in {told}"))
        };
        assert!(ms("queue_ms") <= ms("ttft_ms") && ms("ttft_ms") <= ms("e2e_ms"));
        assert!(ms("prefill_ms") + ms("decode_ms") <= ms("e2e_ms") + 1.0);
    }
    assert_eq!(
        world.get("/v1/requests?limit=1").await.ok()["data"][0],
        data[0]
    );
    for query in ["limit=0", "limit=x", "limit=101", "limit=-1", "last=3"] {
        world.get(&format!("/v1/requests?{query}")).await.error(400);
    }
    world.get("/v1/requests/chatcmpl-none").await.error(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_a_request_has_a_record() {
    let world = World::start(Setup::default()).await;
    let (one, two): (Vec<u32>, Vec<u32>) = ((100..140).collect(), (200..240).collect());
    let answer = world
        .complete(json!({"prompt": [one, two], "n": 2, "max_tokens": 2}))
        .await
        .ok();
    let id = answer["id"].as_str().expect("an id");
    let data = world.get("/v1/requests").await.ok();
    let ids: Vec<_> = data["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|told| told["id"].clone())
        .collect();
    let expected: Vec<Value> = ["", ".1", ".2", ".3"]
        .iter()
        .rev()
        .map(|end| json!(format!("{id}{end}")))
        .collect();
    assert_eq!(ids, expected);
    let second = record(&world, &json!(format!("{id}.1"))).await;
    assert_eq!(
        second["cache"]["matched_tokens"], 39,
        "the first answer computed the prompt"
    );
    assert_eq!(second["cache"]["miss"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_explain_the_cache_when_asked() {
    let world = World::start(Setup::default()).await;
    let fields = json!({"messages": system("11:30"), "max_tokens": 3, "explain_cache": true});
    let cold = world.chat(fields.clone()).await.ok();
    assert_eq!(cold["cache"]["matched_tokens"], 0);
    assert_eq!(cold["cache"]["miss"]["reason"], "never_seen");
    assert_eq!(cold["cache"]["miss"]["diverged_from"], Value::Null);
    let warm = world.chat(fields.clone()).await.ok();
    assert_eq!(warm["cache"]["uncached_tokens"], 1);
    assert_eq!(warm["cache"]["miss"], Value::Null);
    for include_usage in [false, true] {
        let options = json!({"stream": true, "stream_options": {"include_usage": include_usage}});
        let stream = world.chat(with(fields.clone(), options)).await;
        let chunks = stream.chunks();
        let last = chunks.last().expect("chunks");
        assert_eq!(last["cache"]["uncached_tokens"], 1, "{last}");
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"].is_object(), include_usage);
    }
    let silent = world
        .chat(json!({"messages": system("11:30"), "max_tokens": 3}))
        .await
        .ok();
    assert_eq!(silent.get("cache"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_explain_the_cache_when_asked() {
    let world = World::start(Setup::default()).await;
    let fields = json!({"prompt": "Once upon a time there was a cat", "max_tokens": 3});
    let asking = with(fields.clone(), json!({"explain_cache": true}));
    let path = "/v1/completions";
    let cold = world.ask(path, asking.clone()).await.ok();
    assert_eq!(cold["cache"]["miss"]["reason"], "never_seen");
    let warm = world.ask(path, asking.clone()).await.ok();
    assert_eq!(warm["cache"]["uncached_tokens"], 1);
    for include_usage in [false, true] {
        let options = json!({"stream": true, "stream_options": {"include_usage": include_usage}});
        let stream = world.ask(path, with(asking.clone(), options)).await;
        let chunks = stream.chunks();
        let last = chunks.last().expect("chunks");
        assert_eq!(last["cache"]["uncached_tokens"], 1, "{last}");
        assert_eq!(last["usage"].is_object(), include_usage);
    }
    assert_eq!(world.ask(path, fields).await.ok().get("cache"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_see_their_own_records() {
    let setup = Setup {
        api_keys: vec!["one", "two"],
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let body = json!({"prompt": [5, 6, 7], "max_tokens": 2});
    let answer = world
        .post("/v1/completions", &body)
        .bearer_auth("one")
        .send()
        .await;
    let answer: Value = answer.expect("an answer").json().await.expect("JSON");
    let id = answer["id"].as_str().expect("an id");
    let get = async |route: &str, key: &str| {
        let request = world
            .client
            .get(format!("{}{route}", world.url))
            .bearer_auth(key);
        let answer = request.send().await.expect("an answer");
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.expect("JSON"),
        )
    };
    let route = format!("/v1/requests/{id}");
    assert_eq!(get(&route, "one").await.0, 200);
    assert_eq!(get(&route, "two").await.0, 404);
    assert_eq!(get("/v1/requests", "two").await.1["data"], json!([]));
    assert_eq!(get(&route, "three").await.0, 401);
}

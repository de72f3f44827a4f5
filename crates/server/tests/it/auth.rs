//! API keys, and whose prefixes a request may find.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::world::{Setup, World};

async fn ask(world: &World, key: &str, fields: Value) -> Answer {
    let request = world.post("/v1/completions", &fields).bearer_auth(key);
    Answer::read(request.send().await.unwrap()).await
}

fn setup(shared_prefix_cache: bool) -> Setup {
    Setup {
        api_keys: vec!["one", "two"],
        shared_prefix_cache,
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_needed_where_something_is_computed() {
    let world = World::start(setup(false)).await;
    for answer in [
        world.chat(json!({})).await,
        world.complete(json!({})).await,
        world.get("/v1/models").await,
        world.ask("/tokenize", json!({"prompt": "x"})).await,
        world.ask("/detokenize", json!({"tokens": [5]})).await,
        ask(&world, "three", json!({"prompt": [5]})).await,
        ask(&world, "", json!({"prompt": [5]})).await,
        // The key comes first: who has none learns nothing about the body.
        ask(&world, "three", json!({"nonsense": 1})).await,
    ] {
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let error = answer.error(401);
        assert_eq!(error["code"], "invalid_api_key");
    }
    for key in ["one", "two"] {
        ask(&world, key, json!({"prompt": [5]})).await.ok();
    }
    for route in ["/health", "/ready", "/version", "/metrics"] {
        assert_eq!(world.get(route).await.status, 200, "{route}");
    }
    world.get("/v1/nothing").await.error(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_prefixes_of_its_own() {
    for (shared, expected) in [(false, 0), (true, 63)] {
        let world = World::start(setup(shared)).await;
        let fields = json!({"prompt": (100..164).collect::<Vec<_>>(), "max_tokens": 1});
        let cached = |answer: Answer| {
            answer.ok()["usage"]["prompt_tokens_details"]["cached_tokens"]
                .as_u64()
                .unwrap()
        };
        assert_eq!(cached(ask(&world, "one", fields.clone()).await), 0);
        assert_eq!(cached(ask(&world, "one", fields.clone()).await), 63);
        assert_eq!(cached(ask(&world, "two", fields.clone()).await), expected);
    }
}

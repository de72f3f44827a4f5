//! `/v1/embeddings` with an encoder beside the model, against what transformers computes.

use models::testing::FakeRunner;
use serde_json::{Value, json};

use crate::world::{Setup, World, embedder_folder};

const ROUTE: &str = "/v1/embeddings";

/// Most that an element of a vector of length 1 may be off, as in the tests of the models.
pub(crate) const TOLERANCE: f32 = 2e-5;

async fn world(name: &'static str, places: usize) -> World {
    World::start(Setup {
        encoder: Some((name, places)),
        ..Setup::default()
    })
    .await
}

/// Texts, their tokens, and their vectors as rows of little-endian f32.
pub(crate) fn golden(name: &str) -> (Vec<String>, Vec<Vec<u32>>, Vec<Vec<f32>>) {
    let read = |file: &str| std::fs::read(embedder_folder(name).join(file)).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&read("texts.json")).unwrap();
    let texts = cases.iter().map(|case| case["text"].as_str().unwrap());
    let tokens = cases
        .iter()
        .map(|case| serde_json::from_value(case["tokens"].clone()));
    // One tensor, which ends the file.
    let bytes = read("golden.safetensors");
    let elements = 32 * cases.len();
    let floats = bytes[bytes.len() - 4 * elements..].chunks_exact(4);
    let floats: Vec<f32> = floats
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    (
        texts.map(str::to_owned).collect(),
        tokens.map(Result::unwrap).collect(),
        floats.chunks(32).map(<[f32]>::to_vec).collect(),
    )
}

pub(crate) fn vectors(answer: &Value) -> Vec<Vec<f32>> {
    let data = answer["data"].as_array().unwrap().iter();
    data.map(|one| serde_json::from_value(one["embedding"].clone()).unwrap())
        .collect()
}

pub(crate) fn check(got: &[Vec<f32>], want: &[Vec<f32>], tolerance: f32) {
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.len(), want.len());
        let off = got.iter().zip(want).map(|(a, b)| (a - b).abs());
        let worst = off.fold(0.0f32, f32::max);
        assert!(worst <= tolerance, "{index}: {worst}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_embedded_as_transformers_does() {
    for name in ["bert", "bert-for-masks", "roberta", "xlm-roberta"] {
        let world = world(name, 4).await;
        let (texts, tokens, want) = golden(name);
        // Without a name it is the encoder.
        let answer = world.ask(ROUTE, json!({"input": texts})).await.ok();
        check(&vectors(&answer), &want, TOLERANCE);
        assert_eq!(answer["model"], name);
        let count: usize = tokens.iter().map(Vec::len).sum();
        let usage = json!({"prompt_tokens": count, "total_tokens": count,
            "prompt_tokens_details": {"cached_tokens": 0}});
        assert_eq!(answer["usage"], usage);
        assert_eq!(
            world.metric("purser_encoder_texts_total").await,
            texts.len() as f64
        );
        assert_eq!(
            world.metric("purser_encoder_tokens_total").await,
            count as f64
        );
        // Token ids are taken as they are; a text alone is what it is among others.
        let fields = json!({"input": tokens, "model": name});
        let same = world.ask(ROUTE, fields).await.ok();
        check(&vectors(&same), &want, TOLERANCE);
        for (text, among) in texts.iter().zip(vectors(&answer)) {
            let alone = world.ask(ROUTE, json!({"input": text})).await.ok();
            check(&vectors(&alone), &[among], 1e-5);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn special_tokens_may_be_left_out() {
    let world = world("bert", 4).await;
    let (texts, tokens, _) = golden("bert");
    let bare = &tokens[0][1..tokens[0].len() - 1];
    let fields = json!({"input": texts[0], "add_special_tokens": false});
    let text = world.ask(ROUTE, fields).await.ok();
    let ids = world.ask(ROUTE, json!({"input": bare})).await.ok();
    check(&vectors(&text), &vectors(&ids), 1e-5);
    assert_eq!(text["usage"]["prompt_tokens"], bare.len());
    let fields = json!({"input": ["", "x"], "add_special_tokens": false});
    let empty = world.ask(ROUTE, fields).await.error(400);
    assert_eq!(empty["param"], "input[0]");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_beside_it_embeds_when_it_is_named() {
    let world = world("bert", 4).await;
    let fields = json!({"input": [5, 6, 7], "model": "pebble"});
    let answer = world.ask(ROUTE, fields).await.ok();
    assert_eq!(answer["model"], "pebble");
    let state = FakeRunner::oracle_state(None, &[5, 6, 7]);
    assert_eq!(vectors(&answer)[0].len(), state.len());
    let other = json!({"input": "a", "model": "other"});
    let message = world.ask(ROUTE, other).await.error(404)["message"].to_string();
    assert!(message.contains("pebble, alias, bert"), "{message}");
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_listed_and_does_not_generate() {
    let world = world("xlm-roberta", 4).await;
    let listed = world.get("/v1/models").await.ok();
    let own = &listed["data"][2];
    assert_eq!(
        (
            &own["id"],
            &own["root"],
            &own["parent"],
            &own["max_model_len"]
        ),
        (
            &json!("xlm-roberta"),
            &json!("xlm-roberta"),
            &Value::Null,
            &json!(80)
        )
    );
    assert_eq!(world.get("/v1/models/xlm-roberta").await.ok(), *own);
    let chat = world.chat(json!({"model": "xlm-roberta"})).await.error(404);
    assert_eq!(chat["param"], "model");
    let message = chat["message"].as_str().unwrap();
    assert!(message.contains("it does not generate"), "{message}");
    let tags = world.get("/api/tags").await.ok();
    assert!(!tags.to_string().contains("xlm-roberta"), "{tags}");
    let document = world.get("/openapi.json").await.ok();
    let request = &document["components"]["schemas"]["EmbeddingRequest"];
    let names = json!(["pebble", "alias", "xlm-roberta"]);
    assert_eq!(request["properties"]["model"]["enum"], names);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_texts_are_named() {
    let world = world("bert", 4).await;
    let long = "port ".repeat(47);
    for (fields, param) in [
        (json!({"input": []}), "input"),
        (json!({"input": [[]]}), "input[0]"),
        (json!({"input": ["a", long]}), "input[1]"),
        (json!({"input": ["a", "x".repeat(1 << 18)]}), "input[1]"),
        (json!({"input": [[2, 3], vec![5; 49]]}), "input[1]"),
        (json!({"input": [2, 150, 3]}), "input[1]"),
        (json!({"input": [[2, 3], [2, 4_000]]}), "input[1][1]"),
        (json!({"input": "a", "dimensions": 2}), "dimensions"),
        (json!({"input": "a", "priority": 1}), "priority"),
    ] {
        let error = world.ask(ROUTE, fields.clone()).await.error(400);
        assert_eq!(error["param"], param, "{error}");
    }
    let too_long = world.ask(ROUTE, json!({"input": [long]})).await.error(400);
    assert_eq!(too_long["code"], "context_length_exceeded");
    // Nothing of a request was computed that has a text too many.
    assert_eq!(world.metric("purser_encoder_texts_total").await, 0.0);
    // The longest that fits, and ids that the other model does not have.
    let fits = json!({"input": [vec![5; 48]]});
    world.ask(ROUTE, fits).await.ok();
    // The decoder has more ids than the encoder.
    let fields = json!({"input": [4_000], "model": "pebble"});
    world.ask(ROUTE, fields).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_and_a_server_that_stops_refuse() {
    let world = world("bert", 0).await;
    let full = world.ask(ROUTE, json!({"input": "a"})).await;
    assert_eq!(full.error(429)["code"], "queue_full");
    assert_eq!(full.headers["retry-after"], "1");
    // Of the engine's queue it is not.
    let fields = json!({"input": "a", "model": "pebble"});
    world.ask(ROUTE, fields).await.ok();
    world.app.stop_accepting();
    let stopped = world.ask(ROUTE, json!({"input": "a"})).await;
    assert_eq!(stopped.error(503)["code"], "shutting_down");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_given_back_when_requests_end() {
    let world = world("bert", 1).await;
    for _ in 0..3 {
        world.ask(ROUTE, json!({"input": "a"})).await.ok();
        world.ask(ROUTE, json!({"input": [9_999]})).await.error(400);
        let long = json!({"input": vec![5; 49]});
        world.ask(ROUTE, long).await.error(400);
    }
    // A client that goes away gives its place back, too.
    let many = json!({"input": vec!["port ".repeat(40); 2_000]});
    let asked = world
        .post(ROUTE, &many)
        .timeout(std::time::Duration::from_millis(100));
    let gone = asked.send().await;
    let encoder = world.app.model().encoder.clone().unwrap();
    let idle = async {
        while !encoder.is_idle() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, idle)
        .await
        .unwrap();
    assert!(
        gone.is_err(),
        "2,000 texts were embedded in a tenth of a second"
    );
    world.ask(ROUTE, json!({"input": "a"})).await.ok();
}

//! `/v1/embeddings`: the model's state behind each text.

use base64::Engine as _;
use models::testing::FakeRunner;
use serde_json::{Value, json};

use crate::world::{Setup, World, with};

const ROUTE: &str = "/v1/embeddings";

/// What the model of [`World::start`] makes of a text, of length 1.
fn expected(tokens: &[u32]) -> Vec<f32> {
    let state = FakeRunner::oracle_state(None, tokens).map(f64::from);
    let length = state.iter().map(|value| value * value).sum::<f64>().sqrt();
    state.map(|value| (value / length) as f32).to_vec()
}

fn vector(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).expect("an array of numbers")
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_tokens_are_embedded_in_order() {
    let world = World::start(Setup::default()).await;
    let texts = ["one", "two words", "three words here"];
    let answer = world
        .ask(ROUTE, json!({"model": "pebble", "input": texts}))
        .await
        .ok();
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("list"), &json!("pebble"))
    );
    let mut total = 0;
    for (index, text) in texts.iter().enumerate() {
        let tokens = world.tokenizer.encode(text, true).expect("tokens");
        total += tokens.len();
        let data = &answer["data"][index];
        assert_eq!(
            (&data["object"], &data["index"]),
            (&json!("embedding"), &json!(index))
        );
        assert_eq!(vector(&data["embedding"]), expected(&tokens), "{text}");
        // The same as token ids, alone and in base64, as OpenAI's clients ask for it.
        let fields = json!({"input": tokens, "encoding_format": "base64"});
        let alone = world.ask(ROUTE, fields).await.ok();
        let bytes = alone["data"][0]["embedding"].as_str().expect("a text");
        let bytes = base64::engine::general_purpose::STANDARD.decode(bytes);
        let bytes = bytes.expect("base64");
        let numbers = bytes
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        assert_eq!(numbers.collect::<Vec<_>>(), expected(&tokens));
    }
    assert_eq!(answer["usage"]["prompt_tokens"], total);
    assert_eq!(answer["usage"]["total_tokens"], total);
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_and_many_share_what_is_cached() {
    let world = World::start(Setup::default()).await;
    // Longer than a step, so that it is computed in chunks.
    let long: Vec<u32> = (0..1_500).map(|number| 5 + number % 4_000).collect();
    let inputs: Vec<Vec<u32>> = (0..40)
        .map(|end| [&long[..], &[end + 7]].concat())
        .collect();
    let answer = world.ask(ROUTE, json!({"input": inputs})).await.ok();
    for (index, tokens) in inputs.iter().enumerate() {
        assert_eq!(
            vector(&answer["data"][index]["embedding"]),
            expected(tokens),
            "{index}"
        );
    }
    let cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
    assert!(cached > Some(39 * 1_400), "{cached:?}");
    // A wholly cached text has its state, too.
    let again = world.ask(ROUTE, json!({"input": inputs[3]})).await.ok();
    assert_eq!(vector(&again["data"][0]["embedding"]), expected(&inputs[3]));
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_named() {
    let world = World::start(Setup {
        max_model_len: 64,
        ..Setup::default()
    })
    .await;
    for (fields, param) in [
        (json!({}), "input"),
        (json!({"input": ""}), "input[0]"),
        (json!({"input": []}), "input"),
        (json!({"input": {"a": 1}}), "input"),
        (json!({"input": ["a", 1]}), "input[1]"),
        (json!({"input": ["a", "b ".repeat(100)]}), "input[1]"),
        (json!({"input": [5, 99_999]}), "input[1]"),
        (json!({"input": vec!["a"; 2_049]}), "input"),
        (
            json!({"input": "a", "encoding_format": "int8"}),
            "encoding_format",
        ),
        (json!({"input": "a", "dimensions": 2}), "dimensions"),
        (json!({"input": "a", "inptu": 2}), "inptu"),
    ] {
        let error = world.ask(ROUTE, fields.clone()).await.error(400);
        assert_eq!(error["param"], param, "{error}");
    }
    let other = with(json!({"input": "a"}), json!({"model": "other"}));
    world.ask(ROUTE, other).await.error(404);
}

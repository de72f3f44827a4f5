//! `thinking_token_budget`, and `thinking` of Anthropic's API: how long a model may think.

use serde_json::{Value, json};
use text::ReasoningFormat;

use crate::world::{Setup, World, hello};

const WORDS: &str = "one two three four five six seven eight nine ten eleven twelve";

fn setup() -> Setup {
    Setup {
        reasoning: Some(ReasoningFormat::Qwen3),
        ..Setup::default()
    }
}

fn num_tokens(world: &World, text: &Value) -> usize {
    let text = text.as_str().unwrap_or_default();
    world.tokenizer.encode(text, false).expect("tokens").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_ends_with_its_budget() {
    let world = World::saying_with(setup(), &format!("<think>\n{WORDS}</think>\n\nDone.")).await;
    let free = world.chat(json!({})).await.ok();
    let free = &free["choices"][0]["message"];
    assert_eq!(
        (&free["reasoning_content"], &free["content"]),
        (&json!(WORDS), &json!("Done."))
    );
    for budget in [0, 1, 5] {
        let answer = world
            .chat(json!({"thinking_token_budget": budget}))
            .await
            .ok();
        let message = &answer["choices"][0]["message"];
        let reasoning = num_tokens(&world, &message["reasoning_content"]);
        assert!(reasoning <= budget, "{budget}: {message}");
        let content = message["content"].as_str().expect("an answer");
        // The model of this test goes on with what it had to say.
        assert!(content.contains("twelve"), "{budget}: {message}");
        let completion = answer["usage"]["completion_tokens"].as_u64();
        assert!(completion > Some(10), "{answer}");
    }
    // Enough for all of it changes nothing.
    let answer = world.chat(json!({"thinking_token_budget": 100})).await.ok();
    assert_eq!(&answer["choices"][0]["message"], free);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_form_follows_reasoning_that_was_cut_short() {
    let world = World::start(setup()).await;
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"], "additionalProperties": false});
    let answer = json!({"messages": [
            {"role": "user", "content": "Think."},
            {"role": "assistant", "content": "<think>"}],
        "max_tokens": 200, "thinking": {"type": "enabled", "budget_tokens": 12},
        "output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let answer = world.ask("/v1/messages", answer).await.ok();
    assert_eq!(answer["stop_reason"], "end_turn", "{answer}");
    let blocks = answer["content"].as_array().expect("blocks");
    let text = blocks.last().expect("a block")["text"]
        .as_str()
        .expect("text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(value["ok"].is_boolean(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_think_has_no_use_for_a_budget() {
    let world = World::saying("Done.").await;
    let fields = json!({"messages": hello(), "max_tokens": 8,
        "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let answer = world.ask("/v1/messages", fields).await.ok();
    assert_eq!(
        answer["content"],
        json!([{"type": "text", "text": "Done."}])
    );
    let completion = json!({"prompt": "a", "thinking_token_budget": 3});
    let refused = world.ask("/v1/completions", completion).await.error(400);
    assert_eq!(refused["param"], "thinking_token_budget");
}

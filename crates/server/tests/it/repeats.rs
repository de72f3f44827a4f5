//! A tool's result that comes again.

use serde_json::json;

use crate::context::{CHAT, body, number, world};

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_again_refers_to_the_first_one() {
    let world = world().await;
    let mut again = body(6, &json!({"mode": "observe"}));
    let messages = &mut again["messages"];
    // The fifth call is the second one again.
    let arguments = messages[4]["tool_calls"][0]["function"].clone();
    messages[10]["tool_calls"][0]["function"] = arguments;
    messages[11]["content"] = messages[5]["content"].clone();
    let plain = world.ask(CHAT, again.clone()).await.ok();
    let tokens = number(&plain["usage"]["prompt_tokens"]);

    // Nothing else may be done: without it the request would be refused.
    again["context_budget"] = json!({"max_context_tokens": tokens - 60, "report": "full",
        "ladder": ["dedupe"]});
    let answer = world.ask(CHAT, again.clone()).await.ok();
    let edits = answer["context_budget"]["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 1, "{answer}");
    assert_eq!(edits[0]["op"], "dedupe");
    assert_eq!(edits[0]["ref"]["tool_call_id"], "call_4");
    assert!(number(&answer["usage"]["prompt_tokens"]) <= tokens - 60);

    // A result with one other letter is another result.
    let content = again["messages"][11]["content"].as_str().unwrap();
    again["messages"][11]["content"] = json!(format!("{content}!"));
    again["context_budget"] = json!({"mode": "observe"});
    let plain = world.ask(CHAT, again.clone()).await.ok();
    let tokens = number(&plain["usage"]["prompt_tokens"]);
    again["context_budget"] = json!({"max_context_tokens": tokens - 60, "ladder": ["dedupe"]});
    assert_eq!(world.ask(CHAT, again).await.status, 400);
}

use serde_json::{Value, json};

use super::{Conversation, Role};
use crate::measure::client::StreamAnswer;
use crate::measure::clock;
use crate::measure::tool_calls::ToolCalls;

fn answer(text: &str, reasoning: &str, calls: &[Value]) -> StreamAnswer {
    let mut tool_calls = ToolCalls::default();
    for call in calls {
        tool_calls.add(&serde_json::from_value(call.clone()).unwrap());
    }
    StreamAnswer {
        sent: clock::monotonic(),
        ttft: Default::default(),
        token_times: Vec::new(),
        total: Default::default(),
        usage: Default::default(),
        id: None,
        text: text.to_owned(),
        reasoning: reasoning.to_owned(),
        tool_calls,
        context_budget: None,
    }
}

#[test]
fn results_answer_the_calls_that_were_made() {
    let mut conversation = Conversation::new(&json!("Be good."));
    assert_eq!(conversation.read(&json!("Do it.")), Role::User);
    let call = |index: usize, id: &str| json!({"index": index, "id": id, "function": {"name": "f", "arguments": "{}"}});
    conversation.hear(&answer("", "Hm.", &[call(0, "a"), call(1, "b")]));
    assert_eq!(conversation.read(&json!("It is 7.")), Role::Tool);
    conversation.hear(&answer("Done.", "", &[]));
    assert_eq!(conversation.read(&json!("Thanks.")), Role::User);
    let calls = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "system", "content": "Be good."},
        {"role": "user", "content": "Do it."},
        {"role": "assistant", "content": null, "reasoning_content": "Hm.",
         "tool_calls": [calls("a"), calls("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "It is 7."},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Thanks."},
    ]);
    assert_eq!(json!(conversation.messages()), messages);
}

#[test]
fn an_answer_without_anything_is_an_empty_text() {
    let mut conversation = Conversation::new(&json!(""));
    conversation.hear(&answer("", "", &[]));
    assert_eq!(
        conversation.messages()[1],
        json!({"role": "assistant", "content": ""})
    );
}

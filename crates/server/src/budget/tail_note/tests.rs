use super::*;
use crate::validate::messages::{ToolChoice, Tools};
use crate::validate::notes::Notes;

fn conversation(messages: Vec<Value>) -> Conversation {
    Conversation {
        messages,
        notes: Notes::default(),
        tools: Tools {
            definitions: Vec::new(),
            deferred: Vec::new(),
            choice: ToolChoice::None,
            parallel: true,
        },
        documents: None,
        add_generation_prompt: true,
        continue_final_message: false,
        add_special_tokens: false,
        template_kwargs: None,
    }
}

/// A token for every byte of the messages' texts.
fn bytes(conversation: &Conversation) -> Result<Vec<u32>, ApiError> {
    let texts = conversation
        .messages
        .iter()
        .map(|message| match &message["content"] {
            Value::Array(parts) => parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect(),
            content => content.as_str().unwrap_or_default().to_owned(),
        });
    let text: String = texts.collect();
    Ok(text.bytes().map(u32::from).collect())
}

fn text(tokens: &[u32]) -> String {
    tokens
        .iter()
        .map(|&token| char::from(token as u8))
        .collect()
}

#[test]
fn the_number_is_what_is_left_with_the_note() {
    let user = |text: &str| conversation(vec![json!({"role": "user", "content": text})]);
    for (own, left) in [("Hello", "1906"), ("", "1911")] {
        let tokens = encode_noted(&user(own), (2_048, 1_962), 0, bytes)
            .unwrap()
            .1;
        let note = format!("[context: {left} of 2048 tokens left for this task]");
        assert_eq!(text(&tokens), format!("{own}\n\n{note}"));
        assert_eq!(1_962 - tokens.len(), left.parse::<usize>().unwrap());
    }
}

#[test]
fn a_number_that_cannot_be_its_own_promises_less() {
    let user = conversation(vec![json!({"role": "user", "content": ""})]);
    // With "100" there are 99 left, with "99" there are 100.
    let short = text(&encode_noted(&user, (512, 0), 0, bytes).unwrap().1).len();
    let room = short + 2 + 99;
    let tokens = encode_noted(&user, (512, room), 0, bytes).unwrap().1;
    assert!(
        text(&tokens).contains("[context: 99 of"),
        "{}",
        text(&tokens)
    );
}

#[test]
fn it_stands_at_the_end_of_the_last_message_of_a_user_or_a_tool() {
    let user = json!({"role": "user", "content": "u"});
    let parts = json!({"role": "user", "content": [{"type": "text", "text": "p"}]});
    let tool = json!({"role": "tool", "content": "t", "tool_call_id": "1"});
    let answer = json!({"role": "assistant", "content": "a"});
    for (messages, begin, end) in [
        (
            vec![user.clone(), answer.clone(), tool, answer.clone()],
            "uat\n\n[",
            "]a",
        ),
        (vec![answer.clone(), parts], "ap\n\n[", "]"),
        (vec![user, answer], "u\n\n[", "]a"),
    ] {
        let tokens = encode_noted(&conversation(messages), (99, 50), 0, bytes)
            .unwrap()
            .1;
        let text = text(&tokens);
        assert!(text.starts_with(begin) && text.ends_with(end), "{text}");
    }
    let rules = conversation(vec![json!({"role": "system", "content": "s"})]);
    let error = encode_noted(&rules, (99, 50), 0, bytes).unwrap_err();
    assert_eq!(error.body()["error"]["param"], "context_budget.tell_model");
}

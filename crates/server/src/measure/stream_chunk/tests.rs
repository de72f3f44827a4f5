use super::{StreamChunk, Usage};

fn chunk(json: &str) -> StreamChunk {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_token_is_text_or_an_end() {
    let check = |json: &str, expected| assert_eq!(chunk(json).has_token(), expected, "{json}");
    check(
        r#"{"choices": [{"text": "a", "finish_reason": null}]}"#,
        true,
    );
    check(
        r#"{"choices": [{"text": "", "finish_reason": null}]}"#,
        false,
    );
    check(
        r#"{"choices": [{"text": "", "finish_reason": "length"}]}"#,
        true,
    );
    check(
        r#"{"choices": [{"delta": {"role": "assistant", "content": ""}}]}"#,
        false,
    );
    check(
        r#"{"choices": [{"delta": {"role": "assistant", "content": null}}]}"#,
        false,
    );
    check(r#"{"choices": [{"delta": {"content": "a"}}]}"#, true);
    check(
        r#"{"choices": [{"delta": {"reasoning_content": "a"}}]}"#,
        true,
    );
    check(r#"{"choices": [{"delta": {"tool_calls": []}}]}"#, false);
    check(
        r#"{"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}"#,
        true,
    );
    check(r#"{"choices": [], "usage": {"prompt_tokens": 1}}"#, false);
}

#[test]
fn usage_is_gathered_from_all_chunks() {
    let check = |chunks: &[&str], prompt, cached| {
        let mut usage = Usage::default();
        chunks
            .iter()
            .for_each(|json| chunk(json).add_to(&mut usage));
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens),
            (prompt, cached),
            "{chunks:?}"
        );
    };
    let plain = r#"{"usage": {"prompt_tokens": 9, "completion_tokens": 1}}"#;
    let none = r#"{"usage": {"prompt_tokens": 9, "prompt_tokens_details": null}}"#;
    let some = r#"{"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0}}}"#;
    let llama = r#"{"timings": {"cache_n": 5, "prompt_n": 4}}"#;
    check(&[r#"{"usage": null}"#], None, None);
    check(&[plain], Some(9), None);
    check(&[none], Some(9), None);
    check(&[some, r#"{"usage": null}"#], Some(9), Some(0));
    check(&[llama, plain], Some(9), Some(5));
    check(&[llama, some], Some(9), Some(0));
    check(&[some, llama], Some(9), Some(0));
}

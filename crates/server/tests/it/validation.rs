//! Every wrong field is a 400 that names it.

use serde_json::{Value, json};

use crate::world::{Setup, World, hello, with};

/// Fields of a chat, the `param` of the error, and a part of its message.
fn wrong_chats() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (
            json!({"temperature": -0.1}),
            "temperature",
            "between 0 and 2",
        ),
        (
            json!({"temperature": 2.1}),
            "temperature",
            "between 0 and 2",
        ),
        (
            json!({"temperature": 1e300}),
            "temperature",
            "between 0 and 2",
        ),
        (
            json!({"temperature": "hot"}),
            "temperature",
            "expected a number",
        ),
        (
            json!({"temperature": [1]}),
            "temperature",
            "expected a number",
        ),
        (json!({"top_p": 0}), "top_p", "above 0"),
        (json!({"top_p": 1.01}), "top_p", "between 0 and 1"),
        (json!({"top_k": -2}), "top_k", "between -1"),
        (json!({"top_k": 1.5}), "top_k", "expected an integer"),
        (json!({"min_p": -1}), "min_p", "between 0 and 1"),
        (
            json!({"repetition_penalty": 0}),
            "repetition_penalty",
            "above 0",
        ),
        (
            json!({"presence_penalty": 3}),
            "presence_penalty",
            "between -2 and 2",
        ),
        (
            json!({"frequency_penalty": -3}),
            "frequency_penalty",
            "between -2 and 2",
        ),
        (json!({"max_tokens": 0}), "max_tokens", "at least 1"),
        (json!({"max_tokens": -5}), "max_tokens", "at least 1"),
        (json!({"max_tokens": 1e30}), "max_tokens", "at least 1"),
        (
            json!({"max_tokens": true}),
            "max_tokens",
            "expected an integer",
        ),
        (
            json!({"max_completion_tokens": "9"}),
            "max_completion_tokens",
            "expected an integer",
        ),
        (
            json!({"max_tokens": 5, "max_completion_tokens": 6}),
            "max_tokens",
            "contradict",
        ),
        (
            json!({"max_tokens": 5, "min_tokens": 6}),
            "min_tokens",
            "more than",
        ),
        (json!({"n": 0}), "n", "between 1 and 8"),
        (json!({"n": 9}), "n", "between 1 and 8"),
        (json!({"seed": 1.5}), "seed", "expected an integer"),
        (json!({"seed": "x"}), "seed", "expected an integer"),
        (json!({"priority": 1u64 << 40}), "priority", "must be"),
        (json!({"stop": 5}), "stop", "expected a string"),
        (json!({"stop": ["a", 5]}), "stop[1]", "expected a string"),
        (json!({"stop": ""}), "stop", "0 bytes"),
        (json!({"stop": vec!["x"; 17]}), "stop", "at most 16"),
        (
            json!({"stop_token_ids": [4096]}),
            "stop_token_ids[0]",
            "not a token id",
        ),
        (
            json!({"stop_token_ids": [1, -1]}),
            "stop_token_ids[1]",
            "must be",
        ),
        (
            json!({"logit_bias": {"x": 1}}),
            "logit_bias",
            "not a token id",
        ),
        (
            json!({"logit_bias": {"4096": 1}}),
            "logit_bias",
            "not a token id",
        ),
        (
            json!({"logit_bias": {"5": 101}}),
            "logit_bias.5",
            "between -100 and 100",
        ),
        (
            json!({"logit_bias": [1]}),
            "logit_bias",
            "expected an object",
        ),
        (json!({"logprobs": 3}), "logprobs", "expected a boolean"),
        (
            json!({"top_logprobs": 3}),
            "top_logprobs",
            "`logprobs` is true",
        ),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
            "between 0 and 20",
        ),
        (json!({"stream": "yes"}), "stream", "expected a boolean"),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
            "`stream` is true",
        ),
        (
            json!({"stream": true, "stream_options": {"include_usage": 1}}),
            "stream_options.include_usage",
            "expected a boolean",
        ),
        (json!({"model": 5}), "model", "expected a string"),
        (
            json!({"cache_salt": "x".repeat(1_025)}),
            "cache_salt",
            "at most 1024",
        ),
        (json!({"ignore_eos": 1}), "ignore_eos", "expected a boolean"),
        (
            json!({"messages": null}),
            "messages",
            "Missing required parameter",
        ),
        (json!({"messages": []}), "messages", "at least one"),
        (
            json!({"messages": "hello"}),
            "messages",
            "expected an array",
        ),
        (
            json!({"messages": ["hello"]}),
            "messages[0]",
            "expected an object",
        ),
        (
            json!({"messages": [{"content": "x"}]}),
            "messages[0].role",
            "Missing",
        ),
        (
            json!({"messages": [{"role": "king", "content": "x"}]}),
            "messages[0].role",
            "one of",
        ),
        (
            json!({"messages": [{"role": "user"}]}),
            "messages[0].content",
            "Missing",
        ),
        (
            json!({"messages": [{"role": "user", "content": 5}]}),
            "messages[0].content",
            "a string",
        ),
        (
            json!({"messages": vec![hello()[0].clone(); 33]}),
            "messages",
            "at most 32",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0]",
            "not supported",
        ),
        (json!({"tools": {}}), "tools", "expected an array"),
        (
            json!({"tools": [{"type": "web_search"}]}),
            "tools[0]",
            "type `function`",
        ),
        (
            json!({"tools": [{"type": "function"}]}),
            "tools[0].function",
            "an object",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}),
            "tools[0].function.name",
            "letters, digits",
        ),
        (json!({"tool_choice": "auto"}), "tool_choice", "`tools`"),
        (json!({"tool_choice": "required"}), "tool_choice", "`tools`"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name",
            "`g`",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function"}}),
            "tool_choice.function",
            "",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "tool"}}),
            "tool_choice.type",
            "`function`",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "any"}),
            "tool_choice",
            "required",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": "no"}),
            "parallel_tool_calls",
            "expected a boolean",
        ),
        (
            json!({"add_generation_prompt": "no"}),
            "add_generation_prompt",
            "expected a boolean",
        ),
        (
            json!({"continue_final_message": true}),
            "continue_final_message",
            "needs",
        ),
        (
            json!({"chat_template_kwargs": 5}),
            "chat_template_kwargs",
            "expected an object",
        ),
        // A typing error, and what was meant.
        (
            json!({"temprature": 1}),
            "temprature",
            "Did you mean `temperature`?",
        ),
        (
            json!({"max_token": 1}),
            "max_token",
            "Did you mean `max_tokens`?",
        ),
        (json!({"frobnicate": 1}), "frobnicate", "Unrecognized"),
    ]
}

/// Fields that the server does not have, so that it says so.
fn unsupported_chats() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({"response_format": {"type": "structural_tag"}}),
            "response_format.type",
        ),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"audio": {"voice": "alloy"}}), "audio"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"function_call": "auto"}), "function_call"),
        (
            json!({"web_search_options": {"search_context_size": "low"}}),
            "web_search_options",
        ),
        (
            json!({"prediction": {"type": "content", "content": "x"}}),
            "prediction",
        ),
        (json!({"guided_json": {"type": "object"}}), "guided_json"),
        (json!({"guided_regex": "a*"}), "guided_regex"),
        (
            json!({"structured_outputs": {"structural_tag": "{}"}}),
            "structured_outputs.structural_tag",
        ),
        (json!({"use_beam_search": true}), "use_beam_search"),
        (json!({"bad_words": ["x"]}), "bad_words"),
        (json!({"allowed_token_ids": [5]}), "allowed_token_ids"),
        (
            json!({"truncate_prompt_tokens": 5}),
            "truncate_prompt_tokens",
        ),
        (json!({"chat_template": "{{ messages }}"}), "chat_template"),
        (json!({"prompt_logprobs": 1}), "prompt_logprobs"),
        (json!({"reasoning_effort": "high"}), "reasoning_effort"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_of_a_chat_is_named() {
    let world = World::start(Setup::default()).await;
    for (fields, param, message) in wrong_chats() {
        let error = world.chat(fields.clone()).await.error(400);
        assert_eq!(error["param"], param, "{fields}: {error}");
        assert_eq!(error["type"], "invalid_request_error", "{fields}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(message), "{fields}: {text}");
    }
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_is_refused_by_name() {
    let world = World::start(Setup::default()).await;
    for (fields, param) in unsupported_chats() {
        let error = world.chat(fields.clone()).await.error(400);
        assert_eq!(error["param"], param, "{fields}: {error}");
        assert_eq!(error["code"], "unsupported_parameter", "{fields}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_without_meaning_anything_is_let_through() {
    let world = World::start(Setup::default()).await;
    for fields in [
        json!({"user": "someone", "metadata": {"a": "b"}, "store": false}),
        json!({"parallel_tool_calls": true, "service_tier": "auto", "safety_identifier": "x"}),
        json!({"response_format": {"type": "text"}, "modalities": ["text"], "tool_choice": "none"}),
        json!({"logit_bias": null, "stop": null, "seed": null, "tools": null, "stream": null}),
        json!({"temperature": 0, "top_p": 1, "top_k": -1, "min_p": 0.0, "n": 1.0}),
        json!({"seed": -9_223_372_036_854_775_808_i64, "presence_penalty": -2}),
        json!({"guided_json": null, "use_beam_search": false, "bad_words": []}),
    ] {
        world
            .chat(with(fields, json!({"max_tokens": 2})))
            .await
            .ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_of_a_completion_is_named() {
    let world = World::start(Setup::default()).await;
    for (fields, param, message) in [
        (json!({"prompt": null}), "prompt", "Missing"),
        (json!({"prompt": []}), "prompt", "empty"),
        (json!({"prompt": [[]]}), "prompt", "no tokens"),
        (json!({"prompt": ""}), "prompt", "no tokens"),
        (json!({"prompt": 5}), "prompt", "expected a string"),
        (
            json!({"prompt": [5, "x"]}),
            "prompt[1]",
            "expected an integer",
        ),
        (json!({"prompt": [5, 4096]}), "prompt[1]", "not a token id"),
        (json!({"prompt": [5, -1]}), "prompt[1]", "must be"),
        (json!({"prompt": [[5], [1e300]]}), "prompt[1][0]", "must be"),
        (
            json!({"prompt": ["x", {}]}),
            "prompt[1]",
            "expected a string",
        ),
        (json!({"prompt": vec![[5]; 257]}), "prompt", "at most 256"),
        (json!({"logprobs": true}), "logprobs", "expected an integer"),
        (json!({"logprobs": 21}), "logprobs", "between 0 and 20"),
        (
            json!({"echo": true, "logprobs": 1}),
            "echo",
            "leave out `logprobs`",
        ),
        (json!({"suffix": "x"}), "suffix", "not supported"),
        (json!({"best_of": 3}), "best_of", "not ranked"),
        (
            json!({"max_tokens": 4096}),
            "prompt",
            "maximum context length is 4096",
        ),
        (
            json!({"prompt": vec![5; 4096]}),
            "prompt",
            "maximum context length is 4096",
        ),
        (json!({"messages": []}), "messages", "Unrecognized"),
    ] {
        let error = world.complete(fields.clone()).await.error(400);
        assert_eq!(error["param"], param, "{fields}: {error}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(message), "{fields}: {text}");
    }
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_of_tokenize_is_named() {
    let world = World::start(Setup::default()).await;
    for (route, body, param) in [
        ("/tokenize", json!({}), "messages"),
        ("/tokenize", json!({"prompt": 5}), "prompt"),
        (
            "/tokenize",
            json!({"prompt": "x", "add_special_tokens": 1}),
            "add_special_tokens",
        ),
        ("/detokenize", json!({}), "tokens"),
        ("/detokenize", json!({"tokens": "x"}), "tokens"),
        ("/detokenize", json!({"tokens": [1, 9_999]}), "tokens[1]"),
    ] {
        let error = world.ask(route, body.clone()).await.error(400);
        assert_eq!(error["param"], param, "{route} {body}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_does_not_fit_has_its_own_code() {
    let world = World::start(Setup::default()).await;
    let messages = json!([{"role": "user", "content": "far too long ".repeat(3_000)}]);
    let error = world.chat(json!({"messages": messages})).await.error(400);
    assert_eq!(error["code"], "context_length_exceeded");
    assert_eq!(error["param"], "messages");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("maximum context length is 4096 tokens"),
        "{message}"
    );
    let error = world.chat(json!({"max_tokens": 5_000})).await.error(400);
    assert_eq!(error["code"], "context_length_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_is_not_found() {
    let world = World::start(Setup::default()).await;
    for answer in [
        world.chat(json!({"model": "gpt-7"})).await,
        world.complete(json!({"model": "gpt-7"})).await,
        world
            .ask("/tokenize", json!({"prompt": "x", "model": "gpt-7"}))
            .await,
    ] {
        let error = answer.error(404);
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("model_not_found"), &json!("model"))
        );
        assert!(
            error["message"].as_str().unwrap().contains("pebble"),
            "{error}"
        );
    }
}

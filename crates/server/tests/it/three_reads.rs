//! The run for which clearing of tool results is quoted: three files of about 40,000 tokens, read
//! one after the other until the prompt has 128,740 tokens, of which the latest stays.

use serde_json::{Value, json};

use crate::context::{CHAT, number};
use crate::world::{BLOCK_SIZE, Setup, World};

const PEAK: usize = 128_740;
/// Tokens of each file: with everything else, a little less than the peak.
const FILE: usize = 42_700;
/// From here on the vendor's edit names no trigger of its own: 100,000 tokens.
const WINDOW: usize = 200_000;

async fn world() -> World {
    let mut setup = Setup {
        max_model_len: WINDOW,
        num_blocks: u32::try_from(WINDOW / BLOCK_SIZE + 1).unwrap(),
        max_num_batched_tokens: 8_192,
        ..Setup::default()
    };
    setup.limits.max_body_bytes = 4 << 20;
    World::start(setup).await
}

/// What a file says: lines until it has about so many tokens.
fn file(world: &World, number: usize) -> String {
    let line = |at: usize| format!("{number}:{at} worker {} took {} ms\n", at * 7, at % 91);
    let tokens = |text: &str| world.tokenizer.encode(text, false).unwrap().len();
    let mut lines: Vec<String> = (0..FILE / 10).map(line).collect();
    while tokens(&lines.concat()) > FILE {
        let excess = tokens(&lines.concat()) - FILE;
        lines.truncate(lines.len() - 1 - excess / 40);
    }
    lines.concat()
}

/// The conversation after so many reads, with `padding` words more in the task.
fn body(files: &[String], padding: usize) -> Value {
    let task = format!("Which worker is slow?{}", " the".repeat(padding));
    let mut messages = vec![
        json!({"role": "system", "content": "You are an agent that reads logs."}),
        json!({"role": "user", "content": task}),
    ];
    for (number, text) in files.iter().enumerate() {
        let id = format!("call_{number}");
        let arguments = json!({"path": format!("/var/log/{number}.log")}).to_string();
        messages.push(
            json!({"role": "assistant", "content": "I read it.", "tool_calls": [
            {"id": id, "type": "function",
             "function": {"name": "read_file", "arguments": arguments}}]}),
        );
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
    }
    json!({"messages": messages, "max_tokens": 8,
        "tools": [{"type": "function", "function": {"name": "read_file",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}],
        "context_budget": {"report": "full"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919",
            "keep": {"type": "tool_uses", "value": 1}}]}})
}

async fn tokens(world: &World, body: &Value) -> usize {
    let counted = world.ask("/v1/context/count", body.clone()).await.ok();
    number(&counted["tokens"])
}

#[tokio::test(flavor = "multi_thread")]
async fn three_long_reads_with_one_kept_free_two_thirds() {
    let world = world().await;
    let files: Vec<String> = (0..3).map(|number| file(&world, number)).collect();
    let padding = PEAK - tokens(&world, &body(&files, 0)).await;
    let peak = body(&files, padding);
    assert_eq!(tokens(&world, &peak).await, PEAK);

    // The first two reads are below the trigger of 100,000 tokens, and stay as they are.
    let mut before = 0;
    for reads in 1..=2 {
        let answer = world.ask(CHAT, body(&files[..reads], padding)).await.ok();
        let used = number(&answer["usage"]["prompt_tokens"]);
        assert_eq!(answer["context_management"]["applied_edits"], json!([]));
        assert_eq!(answer["context_budget"]["cache"]["matched"], before);
        before = used;
    }

    let answer = world.ask(CHAT, peak.clone()).await.ok();
    let report = &answer["context_budget"];
    let used = number(&answer["usage"]["prompt_tokens"]);
    let freed = PEAK - used;
    assert_eq!(report["stages"]["received"], PEAK);
    assert!(freed * 100 >= 60 * PEAK, "{freed} of {PEAK}");
    assert_eq!(
        answer["context_management"]["applied_edits"],
        json!([{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 2,
            "cleared_input_tokens": freed}])
    );
    let edits = report["edits"].as_array().unwrap();
    let calls: Vec<&Value> = edits
        .iter()
        .map(|edit| &edit["ref"]["tool_call_id"])
        .collect();
    assert_eq!(calls, ["call_0", "call_1"]);
    for (edit, file) in edits.iter().zip(&files) {
        assert_eq!(edit["op"], "clear_tool_result");
        let handle = json!({"handle": edit["restore"]});
        let restored = world.ask("/v1/context/restore", handle).await.ok();
        assert_eq!(restored["text"], **file);
    }

    // What was cached in front of the first file is all that still fits; the rest is computed, and
    // the next request finds it.
    let cache = &report["cache"];
    let hit = number(&answer["usage"]["prompt_tokens_details"]["cached_tokens"]);
    assert_eq!(cache["matched_before_plan"], before);
    assert_eq!(cache["prefilled"], used - hit);
    assert!(hit < 1_000, "{cache}");
    let again = world.ask(CHAT, peak).await.ok();
    assert_eq!(again["usage"]["prompt_tokens"], used);
    assert_eq!(again["context_budget"]["cache"]["matched"], used - 1);
}

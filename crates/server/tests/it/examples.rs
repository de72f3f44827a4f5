//! Few-shot examples that are left out.

use serde_json::{Value, json};

use crate::context::{CHAT, number, world};
use crate::world::World;

/// A rule, three examples, and a question that has words of the second one.
fn messages() -> Vec<Value> {
    let example = |role: &str, text: &str| {
        let name = format!("example_{role}");
        json!({"role": role, "name": name, "content": text})
    };
    vec![
        json!({"role": "system", "content": "Answer in one sentence."}),
        example("user", "Which colour has the sky at noon in summer?"),
        example("assistant", "The sky is blue at noon."),
        example("user", "Which port has the proxy in the cellar?"),
        example("assistant", "The proxy listens on port 8123."),
        example("user", "How many legs has a spider in the garden?"),
        example("assistant", "A spider has eight legs."),
        json!({"role": "user", "content": "Which port has the proxy?"}),
    ]
}

async fn ask(world: &World, messages: &[Value], budget: Value) -> Value {
    let body = json!({"messages": messages, "max_tokens": 2, "context_budget": budget});
    world.ask(CHAT, body).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_left_out_in_pairs_and_had_back() {
    let world = world().await;
    let all = messages();
    let whole = ask(&world, &all, json!({"report": "full"})).await;
    let whole = &whole["context_budget"];
    let each = number(&whole["zones"]["examples"]["before"]) / 3;
    let max = each + each / 2;
    let budget = json!({"report": "full", "zones": {"examples": {"max": max}}});
    let kept = [&all[..1], &all[3..5], &all[7..]].concat();
    let plain = ask(&world, &kept, json!({"mode": "observe"})).await;
    for source in ["new", "ledger"] {
        let answer = ask(&world, &all, budget.clone()).await;
        // Nothing is left of them, in the template neither.
        assert_eq!(
            answer["usage"]["prompt_tokens"],
            plain["usage"]["prompt_tokens"]
        );
        let report = &answer["context_budget"];
        assert_eq!(report["warnings"], json!([]));
        assert!(
            number(&report["zones"]["examples"]["after"]) <= max,
            "{report}"
        );
        let edits = report["edits"].as_array().unwrap();
        let spans: Vec<&Value> = edits.iter().map(|edit| &edit["ref"]["messages"]).collect();
        assert_eq!(spans, [&json!([1, 2]), &json!([5, 6])]);
        for edit in edits {
            assert_eq!(
                (&edit["op"], &edit["source"]),
                (&json!("drop_example"), &json!(source))
            );
            assert_eq!(
                (&edit["zone"], number(&edit["after"])),
                (&json!("examples"), 0)
            );
            let handle = json!({"handle": edit["restore"]});
            let restored = world.ask("/v1/context/restore", handle).await.ok();
            let restored: Value = serde_json::from_str(restored["text"].as_str().unwrap()).unwrap();
            let first = number(&edit["ref"]["messages"][0]);
            assert_eq!(restored, json!(all[first..first + 2]));
        }
    }

    // Who pins one has it back, whatever was done before.
    let mut pinned = all.clone();
    pinned[6]["context"] = json!({"pin": true});
    let answer = ask(&world, &pinned, budget).await;
    let edits = answer["context_budget"]["edits"].as_array().unwrap();
    assert!(
        edits
            .iter()
            .all(|edit| edit["ref"]["messages"] != json!([5, 6])),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_make_room_where_nothing_else_does() {
    let world = world().await;
    let all = messages();
    let whole = ask(&world, &all, json!({"mode": "observe"})).await;
    let tokens = number(&whole["usage"]["prompt_tokens"]);
    let tight = |floor: usize| {
        json!({"max_context_tokens": tokens - 4, "report": "full", "utilization": {"high": 1.0},
            "zones": {"output_buffer": {"min": 2, "target": 2}, "examples": {"min": floor}}})
    };
    let answer = ask(&world, &all, tight(0)).await;
    let edits = answer["context_budget"]["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 1, "{answer}");
    assert_eq!(edits[0]["op"], "drop_example");
    assert_ne!(
        edits[0]["ref"]["messages"],
        json!([3, 4]),
        "the relevant one stays"
    );
    // A floor holds, or the request is refused; of another conversation, since what was left out
    // stays out.
    let mut others = all;
    others[0]["content"] = json!("Answer in one word.");
    let body = json!({"messages": others, "max_tokens": 2, "context_budget": tight(tokens / 2)});
    let refused = world.ask(CHAT, body).await;
    assert_eq!(refused.status, 400, "{refused:?}");
}

//! Memories that the server puts into a prompt, the note at its end, and its stable beginning.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::documents::{
    CHAT, agent, body, document, edits, number, prompt_tokens, question, world,
};
use crate::world::{Setup, World};

async fn write(world: &World, key: &str, path: &str, text: &str) {
    let url = format!("{}/v1/context/memory/team/files/{path}", world.url);
    let request = world.client.put(url).bearer_auth(key);
    let answer = request.json(&json!({"text": text})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn memories_that_match_stand_before_the_documents() {
    let world = World::start(Setup {
        max_model_len: 8_192,
        api_keys: vec!["one", "two"],
        ..Setup::default()
    })
    .await;
    write(
        &world,
        "one",
        "net/proxy.md",
        "The proxy moved to port 9017.",
    )
    .await;
    write(&world, "one", "bread.md", "Flour and water.").await;
    let budget = json!({"store": {"memory_namespace": "team"},
        "documents": [document("a", "Port 8123.", 0.5)]});
    let ask = async |key: &str, messages: Value, budget: &Value| {
        let request = world.post(CHAT, &body(messages, budget.clone()));
        Answer::read(request.bearer_auth(key).send().await.unwrap())
            .await
            .ok()
    };
    let answer = ask("one", question(), &budget).await;
    let report = &answer["context_budget"];
    assert_eq!(
        report["placement"],
        json!([
            {"zone": "memory", "order": ["/memories/net/proxy.md"], "rule": "as_is",
             "scores": [1.0]},
            {"zone": "retrieval", "order": ["a"], "rule": "edges", "scores": [0.5]},
        ])
    );
    let memory = "<memory>\n<memory_file path=\"/memories/net/proxy.md\">\n\
        The proxy moved to port 9017.\n</memory_file>\n</memory>";
    let documents = "<documents>\n<document id=\"a\">\nPort 8123.\n</document>\n</documents>";
    let question_text = "Which port has the proxy?";
    let mut messages = question();
    messages[1]["content"] = json!(format!("{memory}\n\n{documents}\n\n{question_text}"));
    let same = ask("one", messages, &json!({})).await;
    let used = &answer["usage"]["prompt_tokens"];
    assert_eq!(same["usage"]["prompt_tokens"], *used);
    assert_eq!(
        number(&same["usage"]["prompt_tokens_details"]["cached_tokens"]),
        number(used) - 1
    );
    let tokens = world.tokenizer.encode(memory, false).unwrap().len();
    assert_eq!(number(&report["zones"]["memory"]["after"]), tokens);

    // Another key has no such memory, and nothing is put in where nothing matches.
    let theirs = ask(
        "two",
        question(),
        &json!({"store": {"memory_namespace": "team"}}),
    )
    .await;
    assert!(
        theirs["context_budget"].get("placement").is_none(),
        "{theirs}"
    );
    let other = json!([{"role": "user", "content": "Hello!"}]);
    let nothing = ask(
        "one",
        other,
        &json!({"store": {"memory_namespace": "team"}}),
    )
    .await;
    assert!(
        nothing["context_budget"].get("placement").is_none(),
        "{nothing}"
    );
    // No more than its zone may have.
    let zones = json!({"memory": {"max": 10}});
    let tight = json!({"store": {"memory_namespace": "team"}, "zones": zones});
    let tight = ask("one", question(), &tight).await;
    let report = &tight["context_budget"];
    assert!(report.get("placement").is_none(), "{report}");
    assert_eq!(
        report["dropped"],
        json!([{"zone": "memory", "id": "/memories/net/proxy.md", "reason": "no room"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_what_is_left() {
    let world = world().await;
    let tells = json!({"tell_model": "tail_note"});
    for calls in [0, 1, 20] {
        let messages = agent(calls);
        let plain = world
            .ask(
                CHAT,
                body(Value::Array(messages.clone()), json!({"mode": "observe"})),
            )
            .await
            .ok();
        let asked = body(Value::Array(messages.clone()), tells.clone());
        let answer = world.ask(CHAT, asked.clone()).await.ok();
        let report = &answer["context_budget"];
        let used = number(&answer["usage"]["prompt_tokens"]);
        let left = number(&report["budget"]["remaining"]);
        assert_eq!(number(&report["budget"]["used"]), used);
        assert!(used + number(&report["budget"]["reserved_output"]) <= 2_048);
        if calls < 2 {
            // The same prompt as with that line at its end.
            let note = format!("[context: {left} of 2048 tokens left for this task]");
            let mut noted = messages.clone();
            let last = noted.last_mut().unwrap();
            last["content"] = json!(format!("{}\n\n{note}", last["content"].as_str().unwrap()));
            let same = world
                .ask(CHAT, body(Value::Array(noted), json!({})))
                .await
                .ok();
            assert_eq!(number(&same["usage"]["prompt_tokens"]), used, "{report}");
            let cached = &same["usage"]["prompt_tokens_details"]["cached_tokens"];
            assert_eq!(number(cached), used - 1, "{report}");
            assert!(number(&plain["usage"]["prompt_tokens"]) < used);
        }
        // It is no part of the history: what is edited is found again.
        let mut grown = asked;
        let list = grown["messages"].as_array_mut().unwrap();
        list.push(json!({"role": "assistant", "content": "It is 8123."}));
        list.push(json!({"role": "user", "content": "Thanks."}));
        let next = world.ask(CHAT, grown).await.ok();
        let repeated = edits(&next["context_budget"]);
        // Found again, or taken further where more room is needed.
        for made in report["edits"].as_array().unwrap() {
            let next = next["context_budget"]["edits"].as_array().unwrap();
            let again = next.iter().find(|edit| edit["ref"] == made["ref"]);
            let again = again.unwrap_or_else(|| panic!("{made} is gone"));
            if again["source"] == "ledger" {
                let what = |edit: &Value| (edit["op"].clone(), edit["after"].clone());
                assert_eq!(what(again), what(made));
            } else {
                assert!(number(&again["after"]) < number(&made["after"]), "{again}");
            }
        }
        let known = repeated.iter().filter(|(.., source)| *source == "ledger");
        assert_eq!(known.count() > 0, calls == 20);
    }
    // Nothing is written where nothing may change.
    let observed = json!({"mode": "observe", "tell_model": "tail_note"});
    let observed = world.ask(CHAT, body(question(), observed)).await.ok();
    let plain = world.ask(CHAT, json!({"messages": question()})).await.ok();
    assert_eq!(
        observed["usage"]["prompt_tokens"],
        plain["usage"]["prompt_tokens"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_three_conversations_share_is_stable() {
    let world = world().await;
    let zones = json!({"stable_prefix": {"until": "auto"}});
    let mut ends = Vec::new();
    for task in ["one", "two", "three", "one"] {
        let mut messages = agent(12);
        messages.insert(
            2,
            json!({"role": "assistant", "content": format!("Task {task}.")}),
        );
        let asked = body(Value::Array(messages), json!({"zones": zones}));
        let report = world.ask(CHAT, asked).await.ok()["context_budget"].clone();
        let end = number(&report["cache"]["stable_prefix_end"]);
        for edit in report["edits"].as_array().unwrap() {
            assert!(number(&edit["at_token"]) >= end, "{report}");
        }
        ends.push(end);
    }
    // The rule and the question, in the template.
    let shared = prompt_tokens(&world, &agent(0)).await;
    assert_eq!(&ends[..2], [0, 0]);
    assert!(
        ends[2] > 0 && ends[2] < shared && shared - ends[2] < 4,
        "{ends:?} {shared}"
    );
    assert_eq!(ends[3], ends[2]);
}

//! Documents that the server chooses.

use serde_json::{Value, json};

use crate::world::{Setup, World, with};

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) async fn world() -> World {
    let mut setup = Setup {
        max_model_len: 8_192,
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    World::start(setup).await
}

pub(crate) fn number(value: &Value) -> usize {
    let number = value.as_u64();
    usize::try_from(number.unwrap_or_else(|| panic!("no number: {value}"))).unwrap()
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound).unwrap()
    }

    /// A text of so many words, a few of which are those of the question.
    fn text(&mut self, words: usize) -> String {
        const WORDS: [&str; 12] = [
            "port", "proxy", "bread", "water", "meter", "cloud", "seven", "river", "is", "the",
            "of", "green",
        ];
        let words = (0..words).map(|_| WORDS[self.below(12)]);
        words.collect::<Vec<_>>().join(" ") + "."
    }
}

pub(crate) fn document(id: &str, text: &str, score: f64) -> Value {
    json!({"id": id, "text": text, "score": score})
}

/// What is asked of a chat with documents.
pub(crate) fn body(messages: Value, budget: Value) -> Value {
    let budget = with(
        json!({"max_context_tokens": 2_048, "report": "full"}),
        budget,
    );
    let mut body = json!({"max_tokens": 8, "context_budget": budget});
    body["messages"] = messages;
    body
}

pub(crate) fn question() -> Value {
    json!([
        {"role": "system", "content": "Answer from the documents."},
        {"role": "user", "content": "Which port has the proxy?"},
    ])
}

/// The prompt of the same conversation with `text` before the question.
async fn prompt_with(world: &World, text: &str, question: &str) -> usize {
    let messages = json!([
        {"role": "system", "content": "Answer from the documents."},
        {"role": "user", "content": format!("{text}{question}")},
    ]);
    let plain = json!({"messages": messages, "max_tokens": 8});
    number(&world.ask(CHAT, plain).await.ok()["usage"]["prompt_tokens"])
}

fn placed(report: &Value) -> Vec<&str> {
    let order = report["placement"][0]["order"].as_array();
    let order = order.unwrap_or_else(|| panic!("nothing is placed: {report}"));
    order.iter().map(|id| id.as_str().unwrap()).collect()
}

fn dropped(report: &Value) -> Vec<(&str, &str)> {
    let dropped = report["dropped"].as_array().unwrap().iter();
    dropped
        .map(|one| {
            assert_eq!(one["zone"], "retrieval");
            (one["id"].as_str().unwrap(), one["reason"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_stands_before_the_question() {
    let world = world().await;
    let documents = json!([
        {"id": "d1", "text": "The proxy listens on port 8123.", "score": 0.9, "source": "notes.md"},
        {"id": "d2", "text": "Bread needs flour.", "score": 0.1},
        {"id": "d3", "text": "The proxy listens on port 8123.", "score": 0.4},
        {"id": "d4", "text": "Ports below 1024 are privileged </documents> ones.", "score": 0.5},
        {"id": "d5", "text": " \n"},
    ]);
    let zones = json!({"retrieval": {"min_score": 0.2, "placement": "edges"}});
    let budget = json!({"documents": documents, "zones": zones});
    let answer = world.ask(CHAT, body(question(), budget.clone())).await.ok();
    let report = &answer["context_budget"];
    assert_eq!(
        report["placement"],
        json!([{"zone": "retrieval", "order": ["d1", "d4"], "rule": "edges", "scores": [0.9, 0.5]}])
    );
    assert_eq!(
        dropped(report),
        [
            ("d2", "below min_score"),
            ("d3", "repeats d1"),
            ("d5", "empty")
        ]
    );
    let text = "<documents>\n<document id=\"d1\" source=\"notes.md\">\n\
        The proxy listens on port 8123.\n</document>\n<document id=\"d4\">\n\
        Ports below 1024 are privileged &lt;/documents> ones.\n</document>\n</documents>\n\n";
    let expected = prompt_with(&world, text, "Which port has the proxy?").await;
    let used = number(&answer["usage"]["prompt_tokens"]);
    assert_eq!(used, expected, "{report}");
    // It is the same text: all of it is cached now.
    let again = world.ask(CHAT, body(question(), budget)).await.ok();
    assert_eq!(
        number(&again["context_budget"]["cache"]["matched"]),
        used - 1
    );

    // Whose tokens are whose.
    let tokens = |text: &str| world.tokenizer.encode(text, false).unwrap().len();
    let zone = |name: &str| number(&report["zones"][name]["after"]);
    assert_eq!(zone("live_turn"), tokens("Which port has the proxy?"));
    assert_eq!(zone("retrieval"), tokens(text.trim_end()));
    assert_eq!(report["status"], "fit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_same_prompt() {
    let world = world().await;
    let documents = json!([
        document("a", "Port 8123.", 0.5),
        document("b", "Port 9.", 0.9)
    ]);
    let mut asked = body(question(), json!({"documents": documents}));
    let whole = world.ask(CHAT, asked.clone()).await.ok();
    asked["stream"] = json!(true);
    let stream = world.ask(CHAT, asked).await;
    let told = &stream.chunks()[0]["context_budget"];
    let report = &whole["context_budget"];
    assert_eq!(told["placement"], report["placement"]);
    assert_eq!(told["budget"]["used"], report["budget"]["used"]);
    assert_eq!(number(&told["cache"]["prefilled"]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_never_break_the_budget() {
    let world = world().await;
    let mut draws = Draws(11);
    let mut num_filled = 0;
    for round in 0..30 {
        let documents: Vec<Value> = (0..200)
            .map(|id| {
                let words = [3, 20, 100, 900][draws.below(4)];
                let mut document = json!({"id": format!("d{id}"), "text": draws.text(words)});
                if draws.below(2) == 0 {
                    document["score"] = json!(draws.below(100) as f64 / 100.0);
                }
                document
            })
            .collect();
        let placement = ["as_is", "edges", "canonical", "auto"][draws.below(4)];
        let mut retrieval = json!({"placement": placement});
        if draws.below(2) == 0 {
            retrieval["max"] = json!(200 + draws.below(900));
        }
        let max = retrieval["max"].as_u64();
        let budget = 600 + draws.below(2_000);
        let past = draws.below(500);
        let messages = json!([
            {"role": "user", "content": draws.text(past)},
            {"role": "assistant", "content": draws.text(30)},
            {"role": "user", "content": "Which port has the proxy?"},
        ]);
        let settings = json!({"documents": documents, "max_context_tokens": budget,
            "zones": {"retrieval": retrieval, "output_buffer": {"min": 8}}});
        let answer = world.ask(CHAT, body(messages, settings)).await.ok();
        let report = &answer["context_budget"];
        let used = number(&answer["usage"]["prompt_tokens"]);
        assert!(used + 8 <= budget, "round {round}: {report}");
        assert_eq!(number(&report["budget"]["used"]), used);
        let retrieval = number(&report["zones"]["retrieval"]["after"]);
        assert!(max.is_none_or(|max| retrieval as u64 <= max), "{report}");
        let num_dropped = dropped(report).len();
        // They take only what the history leaves, and no edit of it is due to them.
        if past < budget / 3 {
            assert_eq!(placed(report).len() + num_dropped, 200, "round {round}");
            assert_eq!(report["status"], "fit", "round {round}: {report}");
            num_filled += 1;
        }
    }
    assert!(num_filled > 10, "{num_filled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_stays_cached_when_the_documents_change() {
    let world = world().await;
    let mut messages = vec![json!({"role": "system", "content": "Answer from the documents."})];
    let mut draws = Draws(5);
    for turn in 0..6 {
        let history = messages.len();
        let before = prompt_tokens(&world, &messages).await;
        messages.push(json!({"role": "user", "content": draws.text(60)}));
        let documents: Vec<Value> = (0..5)
            .map(|id| document(&format!("d{turn}_{id}"), &draws.text(40), 0.5))
            .collect();
        let asked = body(
            Value::Array(messages.clone()),
            json!({"documents": documents}),
        );
        let answer = world.ask(CHAT, asked).await.ok();
        let report = &answer["context_budget"];
        assert_eq!(placed(report).len(), 5);
        let matched = number(&report["cache"]["matched"]);
        let hit = number(&answer["usage"]["prompt_tokens_details"]["cached_tokens"]);
        assert_eq!(matched, hit);
        // Everything up to the message before the last question: a later one is new in that place.
        if turn > 1 {
            let kept = prompt_tokens(&world, &messages[..history - 2]).await;
            assert!(
                matched >= kept && matched <= before,
                "turn {turn}: {kept} {report}"
            );
        }
        messages.push(json!({"role": "assistant", "content": draws.text(20)}));
    }
}

/// Tokens of a conversation without the beginning of an answer.
pub(crate) async fn prompt_tokens(world: &World, messages: &[Value]) -> usize {
    let asked = json!({"messages": messages, "add_generation_prompt": false});
    number(&world.ask("/tokenize", asked).await.ok()["count"])
}

/// An agent's turn of `calls` calls with results of about 150 tokens, after its question.
pub(crate) fn agent(calls: usize) -> Vec<Value> {
    let mut messages = vec![
        json!({"role": "system", "content": "You are an agent."}),
        json!({"role": "user", "content": "Which port has the proxy?"}),
    ];
    for call in 0..calls {
        let id = format!("call_{call}");
        let function =
            json!({"name": "read_file", "arguments": format!("{{\"path\": \"{call}\"}}")});
        messages.push(json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": id, "type": "function", "function": function}]}));
        let lines = (0..10).map(|line| format!("{call}:{line} worker {} took {line} ms", line * 7));
        let lines: Vec<String> = lines.collect();
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": lines.join("\n")}));
    }
    messages
}

pub(crate) fn edits(report: &Value) -> Vec<(Value, Value, &str)> {
    let edits = report["edits"].as_array().unwrap().iter();
    edits
        .map(|edit| {
            (
                edit["ref"].clone(),
                edit["op"].clone(),
                edit["source"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_behind_documents_are_repeated_without_them() {
    let world = world().await;
    let documents = |id: &str| {
        let text = "The proxy listens on port 8123, says the handbook of the proxy.";
        json!([{"id": id, "text": text}])
    };
    let ask = async |documents: Value| {
        let messages = Value::Array(agent(16));
        let answer = world
            .ask(CHAT, body(messages, json!({"documents": documents})))
            .await;
        answer.ok()["context_budget"].clone()
    };
    let first = ask(documents("a")).await;
    let made = edits(&first);
    assert!(made.len() > 3, "{first}");
    assert!(made.iter().all(|(.., source)| *source == "new"), "{first}");
    // The same edits, whatever documents there are, and without any.
    for again in [documents("a"), documents("b"), json!([])] {
        let report = ask(again).await;
        let repeated = edits(&report);
        let known = repeated.iter().filter(|(.., source)| *source == "ledger");
        let known: Vec<_> = known
            .map(|(message, op, _)| (message.clone(), op.clone()))
            .collect();
        let made: Vec<_> = made
            .iter()
            .map(|(message, op, _)| (message.clone(), op.clone()))
            .collect();
        assert_eq!(known, made, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_places_all_documents_and_tells_of_those_it_would_not() {
    let world = world().await;
    let documents = json!([
        document("b", "Port 8123.", 0.1),
        document("a", "The proxy.", 0.9),
        document("c", "Nothing.", 0.0),
    ]);
    let zones = json!({"retrieval": {"min_score": 0.5, "placement": "canonical"}});
    let budget = json!({"mode": "observe", "documents": documents, "zones": zones});
    let answer = world.ask(CHAT, body(question(), budget)).await.ok();
    let report = &answer["context_budget"];
    assert_eq!(report["status"], "observed");
    assert_eq!(placed(report), ["b", "a", "c"]);
    assert_eq!(report["placement"][0]["rule"], "as_is");
    assert_eq!(
        dropped(report),
        [("b", "below min_score"), ("c", "not relevant")]
    );
    let text = "<documents>\n<document id=\"b\">\nPort 8123.\n</document>\n\
        <document id=\"a\">\nThe proxy.\n</document>\n\
        <document id=\"c\">\nNothing.\n</document>\n</documents>\n\n";
    let expected = prompt_with(&world, text, "Which port has the proxy?").await;
    assert_eq!(number(&answer["usage"]["prompt_tokens"]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_in_parts_keeps_its_parts() {
    let world = world().await;
    let parts =
        json!([{"type": "text", "text": "Which port "}, {"type": "text", "text": "has it?"}]);
    let messages = json!([
        {"role": "system", "content": "Answer from the documents."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "Let me think."},
    ]);
    let budget = json!({"documents": [document("a", "Port 8123.", 0.5)]});
    let answer = world.ask(CHAT, body(messages.clone(), budget)).await.ok();
    let mut with_document = messages;
    let text = "<documents>\n<document id=\"a\">\nPort 8123.\n</document>\n</documents>\n\n";
    with_document[1]["content"] = json!(format!("{text}Which port has it?"));
    let plain = json!({"messages": with_document, "max_tokens": 8});
    let plain = world.ask(CHAT, plain).await.ok();
    assert_eq!(
        answer["usage"]["prompt_tokens"],
        plain["usage"]["prompt_tokens"]
    );
    assert_eq!(answer["choices"], plain["choices"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_gives_way_when_nothing_else_can() {
    let world = world().await;
    let sentences: Vec<String> = (0..60)
        .map(|n| format!("Sentence {n} tells of the water in river {}.", n * 31))
        .collect();
    let long = format!("{} The proxy has port 8123.", sentences.join(" "));
    let budget = |max: usize| {
        json!({"documents": [{"id": "long", "text": long}], "max_context_tokens": max,
            "zones": {"output_buffer": {"min": 8}}})
    };
    // Only its best sentences fit below the high mark.
    let answer = world.ask(CHAT, body(question(), budget(400))).await.ok();
    let report = &answer["context_budget"];
    assert_eq!(placed(report), ["long"]);
    assert_eq!(report["placement"][0]["shortened"], json!(["long"]));
    assert!(
        number(&answer["usage"]["prompt_tokens"]) + 8 <= 340,
        "{report}"
    );
    // Nothing of it fits beside the question.
    let answer = world.ask(CHAT, body(question(), budget(66))).await.ok();
    let report = &answer["context_budget"];
    assert_eq!(dropped(report), [("long", "no room")]);
    assert!(report.get("placement").is_none(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_does_not_starve_the_documents() {
    let world = world().await;
    let text = "The proxy has port 8123, as the handbook says on its first page.";
    let budget = json!({"documents": [{"id": "a", "text": text}], "max_context_tokens": 4_096});
    let answer = world
        .ask(CHAT, body(Value::Array(agent(40)), budget))
        .await
        .ok();
    let report = &answer["context_budget"];
    assert_eq!(placed(report), ["a"]);
    assert_eq!(report["status"], "edited");
    assert!(number(&report["budget"]["used"]) <= 4_096);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_documents_are_named() {
    let world = world().await;
    let a = || document("a", "Port 8123.", 0.5);
    let huge = json!({"id": "huge", "text": "port ".repeat(40_000)});
    let wrong = [
        (json!({"documents": [a(), a()]}), "documents[1].id"),
        (json!({"documents": [{"text": "x"}]}), "documents[0].id"),
        (json!({"documents": [{"id": "x"}]}), "documents[0].text"),
        (
            json!({"documents": [document("a", "x", 1.5)]}),
            "documents[0].score",
        ),
        (
            json!({"documents": [{"id": "a", "text": "x", "rank": 1}]}),
            "documents[0].rank",
        ),
        (json!({"documents": {"a": "x"}}), "documents"),
        (json!({"mode": "off", "documents": [a()]}), "documents"),
        (
            json!({"mode": "off", "store": {"memory_namespace": "m"}}),
            "store.memory_namespace",
        ),
        (
            json!({"store": {"memory_namespace": "../m"}}),
            "store.memory_namespace",
        ),
    ];
    for (budget, param) in wrong {
        let answer = world.ask(CHAT, body(question(), budget.clone())).await;
        let param = format!("context_budget.{param}");
        assert_eq!(answer.error(400)["param"], param, "{budget}");
    }
    let rules = json!([{"role": "system", "content": "Obey."}]);
    let answer = world
        .ask(CHAT, body(rules, json!({"documents": [a()]})))
        .await;
    assert_eq!(answer.error(400)["param"], "context_budget.documents");
    for (documents, expected) in [(json!([]), 0), (json!([huge, a()]), 1)] {
        let budget = json!({"documents": documents});
        let answer = world.ask(CHAT, body(question(), budget)).await.ok();
        let report = &answer["context_budget"];
        assert_eq!(dropped(report).len(), expected, "{report}");
    }
    world.until_idle().await;
}

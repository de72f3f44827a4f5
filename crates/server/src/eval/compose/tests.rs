use serde_json::{Map, Value, json};

use super::{Composed, Limits, ReportLevel, compose, oracle};
use crate::eval::asker::Prompt;
use crate::eval::generator::{Size, generate};
use crate::eval::message::{Message, Role};
use crate::eval::policy::Policy;
use crate::eval::rendered::Moment;
use crate::eval::trace::TraceKind;

/// A system message of 10 tokens, a document of 20, a question of 5, and 2 that begin an answer.
fn messages() -> [Message; 3] {
    let mut document = Message::new(Role::User, "document");
    document.retrieved = true;
    let (system, question) = (
        Message::new(Role::System, "rules"),
        Message::new(Role::User, "?"),
    );
    [system, document, question]
}

fn composed(policy: Policy, budget: usize, kept: Option<&[usize]>, settings: Value) -> Composed {
    let messages = messages();
    let moment = Moment {
        messages: messages.iter().collect(),
        counts: vec![10, 20, 5],
        ids: (0..37).collect(),
        generation: 2,
    };
    let settings: Map<String, Value> = serde_json::from_value(settings).unwrap();
    let limits = Limits {
        budget,
        settings: &settings,
        report: ReportLevel::Summary,
    };
    compose(policy, &moment, limits, kept)
}

fn contents(prompt: &Prompt) -> Vec<&str> {
    let Prompt::Chat(messages) = prompt else {
        panic!("{prompt:?} is no conversation")
    };
    let messages = messages.as_array().unwrap().iter();
    messages
        .map(|message| message["content"].as_str().unwrap())
        .collect()
}

#[test]
fn the_server_is_sent_everything_and_told_the_budget() {
    let composed = composed(Policy::Ours, 60, None, json!({}));
    assert_eq!(contents(&composed.prompt), ["rules", "document", "?"]);
    let field = json!({
        "version": 1,
        "mode": "enforce",
        "max_context_tokens": 60,
        "report": "summary",
        "zones": {"output_buffer": {"min": 48, "target": 48, "max": 48}},
        "annotations": [{"message_index": 1, "zone": "retrieval"}],
    });
    assert_eq!(composed.context_budget, Some(field));
}

#[test]
fn ablations_and_settings_are_added() {
    let settings = json!({"ladder_mode": "cost"});
    for (policy, part) in [
        (Policy::OursNocache, "cache"),
        (Policy::OursNoledger, "ledger"),
    ] {
        let field = composed(policy, 60, None, settings.clone())
            .context_budget
            .unwrap();
        assert_eq!(field["ablation"], json!([part]));
        assert_eq!(field["ladder_mode"], "cost");
    }
}

#[test]
fn the_answer_has_room_in_every_budget() {
    // 48 tokens of each budget are the answer's.
    let tokens = |policy, budget| match composed(policy, budget, None, json!({})).prompt {
        Prompt::Tokens(tokens) => tokens,
        chat => panic!("{chat:?} is not cut by tokens"),
    };
    assert_eq!(tokens(Policy::TailCut, 48 + 37).len(), 37);
    assert_eq!(
        tokens(Policy::TailCut, 48 + 9),
        [28, 29, 30, 31, 32, 33, 34, 35, 36]
    );
    assert_eq!(
        tokens(Policy::HeadCut, 48 + 9),
        [0, 1, 30, 31, 32, 33, 34, 35, 36]
    );
    let kept = |budget| composed(Policy::LastN, budget, None, json!({})).prompt;
    assert_eq!(contents(&kept(48 + 37)), ["rules", "document", "?"]);
    assert_eq!(contents(&kept(48 + 36)), ["rules", "?"]);
    assert_eq!(contents(&kept(48 + 16)), ["rules"]);
}

#[test]
fn what_langchain_keeps_is_sent() {
    let composed = composed(Policy::LangchainTrim, 60, Some(&[0, 2]), json!({}));
    assert_eq!(contents(&composed.prompt), ["rules", "?"]);
    assert_eq!(composed.context_budget, None);
}

#[test]
fn the_oracle_reads_nothing_but_rules_and_statements() {
    let size = Size {
        tokens: 500,
        turns: None,
        sentences: 50,
    };
    let trace = generate(TraceKind::Tools, 1, size);
    let question = Message::new(Role::User, "What?");
    let rules = trace.messages[0].content.as_str();
    let with = oracle(&["A is 1.", "B is 2."], &trace, &question);
    assert_eq!(
        contents(&with),
        [rules, "A is 1. B is 2.", "Got it.", "What?"]
    );
    assert_eq!(contents(&oracle(&[], &trace, &question)), [rules, "What?"]);
}

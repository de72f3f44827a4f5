use serde_json::json;

use super::{Cause, in_prompt, in_report};
use crate::eval::facts::{Fact, FactKind, FactSource};
use crate::eval::message::{Message, Role};
use crate::eval::rendered::Moment;
use crate::eval::trace::Planted;

fn fact(kind: FactKind) -> Fact {
    FactSource::new(1).draw(kind)
}

#[test]
fn a_prompt_has_the_statement_or_not() {
    let fact = fact(FactKind::Artifact);
    let with = Some(format!("a {} b", fact.statement));
    assert_eq!(in_prompt(&with, &fact), Cause::Kept);
    assert_eq!(in_prompt(&Some("a b".to_owned()), &fact), Cause::Cut);
    assert_eq!(in_prompt(&None, &fact), Cause::Unknown);
    assert_eq!(
        in_prompt(&None, &self::fact(FactKind::Absent)),
        Cause::MadeUp
    );
}

#[test]
fn the_edit_of_the_message_is_named() {
    let mut result = Message::new(Role::Tool, "");
    result.call_id = Some("call_2".to_owned());
    let others: Vec<Message> = (0..3).map(|_| Message::new(Role::User, "")).collect();
    let moment = Moment {
        messages: vec![&others[0], &others[1], &result, &others[2]],
        counts: vec![1; 4],
        ids: Vec::new(),
        generation: 0,
    };
    let planted = Planted {
        fact: fact(FactKind::Artifact),
        messages: vec![2],
    };
    let cause = |edits: serde_json::Value| in_report(&json!({"edits": edits}), &planted, &moment);
    let edited = |op: &str, reason: &str| Cause::Edited {
        op: op.to_owned(),
        reason: reason.to_owned(),
    };
    let other = json!({"op": "compact", "ref": {"messages": [0, 1]}});
    let cleared = json!({"op": "clear_tool_result", "ref": {"tool_call_id": "call_2"},
                         "reason": "oldest"});
    assert_eq!(
        cause(json!([other, cleared])),
        edited("clear_tool_result", "oldest")
    );
    let span = json!({"op": "compact", "ref": {"messages": [1, 2]}});
    assert_eq!(cause(json!([span])), edited("compact", ""));
    let message = json!({"op": "drop_document", "ref": {"message_index": 2}});
    assert_eq!(cause(json!([message])), edited("drop_document", ""));
    assert_eq!(cause(json!([other])), Cause::NotEdited);
    assert_eq!(in_report(&json!({}), &planted, &moment), Cause::NotEdited);
}

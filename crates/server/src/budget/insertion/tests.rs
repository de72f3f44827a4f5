use super::*;
use crate::validate::chat::conversation;
use crate::validate::fields::Fields;
use crate::validate::notes::Mark;

fn read(messages: &Value) -> Conversation {
    let body = json!({"messages": messages}).to_string();
    let limits = crate::config::serve::RequestLimits {
        max_body_bytes: 1 << 20,
        max_messages: 32,
        max_n: 1,
        max_logprobs: 0,
        keep_alive: std::time::Duration::from_secs(1),
    };
    conversation(&mut Fields::from_body(body.as_bytes()).unwrap(), &limits).unwrap()
}

fn insets(texts: &[&str]) -> Vec<Inset> {
    let texts = texts.iter();
    texts
        .map(|text| Inset {
            kind: SegmentKind::Document,
            zone: Zone::Retrieval,
            text: (*text).to_owned(),
        })
        .collect()
}

#[test]
fn texts_stand_before_the_last_users_own() {
    let mut chat = read(&json!([
        {"role": "user", "content": "first"},
        {"role": "user", "content": "last"},
        {"role": "assistant", "content": "answer"},
    ]));
    let inserted = insert(&mut chat, &mut [], &insets(&["a", "b"]));
    let places: Vec<Place> = inserted.iter().map(|insertion| insertion.place).collect();
    assert_eq!(places, [Place::Part(1, 0), Place::Part(1, 1)]);
    let part = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(chat.messages[0]["content"], "first");
    assert_eq!(
        chat.messages[1]["content"],
        json!([part("a"), part("b"), part("last")])
    );
    let before = chat.clone();
    assert_eq!(insert(&mut chat, &mut [], &[]), []);
    assert_eq!(chat, before);
}

#[test]
fn notes_follow_what_they_are_about() {
    let mark = json!({"type": "ephemeral"});
    let part = |text: &str| json!({"type": "text", "text": text, "cache_control": mark, "context": {"score": 0.5}});
    let mut chat = read(&json!([
        {"role": "user", "content": [part("before")]},
        {"role": "user", "content": [part("one"), part("two")]},
    ]));
    let mut annotations = chat.notes.annotations.clone();
    let target = |annotation: &Annotation| annotation.target.clone();
    let marked: Vec<Mark> = chat.notes.marks.clone();
    assert!(
        marked
            .iter()
            .any(|mark| mark.place == MarkPlace::Place(Place::Part(1, 1))),
        "{marked:?}"
    );
    insert(&mut chat, &mut annotations, &insets(&["a", "b"]));
    let moved = |place: Place| match place {
        Place::Part(1, part) => Place::Part(1, part + 2),
        place => place,
    };
    let expected: Vec<Mark> = marked
        .into_iter()
        .map(|mark| match mark.place {
            MarkPlace::Place(place) => Mark {
                place: MarkPlace::Place(moved(place)),
                ..mark
            },
            MarkPlace::Message(_) => mark,
        })
        .collect();
    assert_eq!(chat.notes.marks, expected);
    let targets: Vec<Target> = annotations.iter().map(target).collect();
    assert_eq!(
        targets,
        chat.notes
            .annotations
            .iter()
            .map(target)
            .collect::<Vec<_>>()
    );
    for at in [2, 3] {
        assert!(
            targets.contains(&Target::Place(Place::Part(1, at))),
            "{targets:?}"
        );
    }
}

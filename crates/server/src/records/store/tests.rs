use super::*;
use crate::records::State;

fn origin(id: &str) -> Origin {
    Origin {
        id: id.to_owned(),
        endpoint: "/v1/completions",
        tenant: Tenant::of(b"me"),
        salt: Vec::new(),
        created: 0.0,
        stream: false,
    }
}

fn store(max_records: usize, max_tokens: usize) -> RecordStore {
    let limits = RecordLimits {
        max_records,
        max_tokens,
    };
    RecordStore::new(limits, 0, 16)
}

fn ids(store: &RecordStore) -> Vec<String> {
    let records = store.latest(Tenant::of(b"me"), 100);
    records
        .iter()
        .map(|record| record.origin.id.clone())
        .collect()
}

#[test]
fn the_oldest_make_room() {
    let store = store(2, 100);
    for id in ["a", "b", "c"] {
        store.begin(origin(id), &[1, 2, 3]).finished("stop");
    }
    assert_eq!(ids(&store), ["c", "b"]);
    assert!(store.get("a", Tenant::of(b"me")).is_none());
    assert!(store.get("b", Tenant::of(b"you")).is_none(), "another's");
    assert!(store.latest(Tenant::of(b"you"), 100).is_empty());
}

#[test]
fn the_oldest_tokens_make_room_and_the_figures_stay() {
    let store = store(10, 8);
    let mut first = store.begin(origin("a"), &[1, 2, 3]);
    store.begin(origin("b"), &[4, 5, 6]).finished("stop");
    first.token(9, None, None);
    first.finished("length");
    let get = |id| store.get(id, Tenant::of(b"me")).expect("kept");
    assert_eq!(get("a").tokens().as_deref(), Some(&[1, 2, 3, 9][..]));
    store.begin(origin("c"), &[7, 8]).finished("stop");
    assert_eq!(get("a").tokens(), None, "nine tokens are one too many");
    assert_eq!(get("a").prompt_tokens, 3);
    assert_eq!(get("a").progress().completion_tokens, 1);
    assert!(get("b").tokens().is_some() && get("c").tokens().is_some());
}

#[test]
fn a_writer_that_is_dropped_is_a_client_that_has_gone() {
    let store = store(10, 100);
    let get = |id| store.get(id, Tenant::of(b"me"));
    drop(store.begin(origin("gone"), &[1]));
    assert_eq!(
        get("gone").map(|record| record.progress().state),
        Some(State::Cancelled)
    );
    let mut failed = store.begin(origin("failed"), &[1]);
    failed.failed("broken".to_owned());
    drop(failed);
    assert_eq!(
        get("failed").map(|record| record.progress().state),
        Some(State::Failed)
    );
    store
        .begin(origin("refused"), &[1])
        .refused("no room".to_owned());
    assert!(get("refused").is_none(), "there was no request");
    assert_eq!(ids(&store), ["failed", "gone"]);
}

#[test]
fn nothing_is_kept_when_it_is_off() {
    let store = store(0, 100);
    store.begin(origin("a"), &[1]).finished("stop");
    assert!(!store.is_on() && ids(&store).is_empty());
}

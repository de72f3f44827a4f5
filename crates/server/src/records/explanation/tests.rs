use std::time::Duration;

use engine::{Admission, Eviction, MissCause, MissReason, RequestId};
use memory::Tenant;

use super::*;
use crate::budget::example::tokenizer;
use crate::records::{Origin, RecordLimits, RecordWriter};

const BLOCK_SIZE: usize = 4;

fn store() -> RecordStore {
    RecordStore::new(RecordLimits::default(), 2, BLOCK_SIZE)
}

fn origin(id: &str, tenant: &str, salt: &str) -> Origin {
    Origin {
        id: id.to_owned(),
        endpoint: "/v1/chat/completions",
        tenant: Tenant::of(tenant.as_bytes()),
        salt: salt.as_bytes().to_vec(),
        created: 0.0,
        stream: false,
    }
}

/// A request that found the first `cached` tokens and missed the rest for this cause.
fn ask(
    store: &RecordStore,
    origin: Origin,
    prompt: &[u32],
    cached: usize,
    cause: MissCause,
) -> RecordWriter {
    let mut writer = store.begin(origin, prompt);
    let evicted = matches!(cause, MissCause::Evicted(_));
    let miss = MissReason {
        block: cached / BLOCK_SIZE,
        token: cached,
        cause,
    };
    writer.admitted(&Admission {
        cached_tokens: cached,
        miss: (cached + 1 < prompt.len()).then_some(miss),
        evicted_ago: evicted.then_some(Duration::from_secs(3)),
        restored_tokens: 0,
        predicted_prefill: Duration::ZERO,
        queue_time: Duration::ZERO,
    });
    writer
}

/// The same, with an answer of these tokens.
fn answer(store: &RecordStore, origin: Origin, prompt: &[u32], output: &[u32]) {
    let mut writer = ask(store, origin, prompt, 0, MissCause::NeverSeen);
    for &token in output {
        writer.token(token, None, None);
    }
    writer.finished("stop");
}

fn explain(store: &RecordStore, id: &str, tenant: &str) -> Option<Explanation> {
    let record = store.get(id, Tenant::of(tenant.as_bytes())).expect("kept");
    Explanation::of(&record, store, &tokenizer())
}

#[test]
fn the_token_that_changed_is_named_on_both_sides() {
    let store = store();
    let tokenizer = tokenizer();
    let tokens = |text: &str| tokenizer.encode(text, false).expect("a text");
    let first = tokens("The time is 11 and the task is to write a poem.");
    let second = tokens("The time is 12 and the task is to write a poem.");
    let shared = first
        .iter()
        .zip(&second)
        .take_while(|(a, b)| a == b)
        .count();
    answer(&store, origin("a", "me", ""), &first, &[7]);
    ask(
        &store,
        origin("b", "me", ""),
        &second,
        shared,
        MissCause::NeverSeen,
    );
    let told = explain(&store, "b", "me").expect("a miss");
    assert_eq!((told.reason, told.token), (Reason::NeverSeen, shared));
    let divergence = told.divergence.as_ref().expect("the first request");
    assert_eq!(
        (divergence.id.as_str(), divergence.shared_tokens),
        ("a", shared)
    );
    let (here, there) = (divergence.here.clone(), divergence.there.clone());
    let (here, there) = (here.expect("more"), there.expect("more"));
    assert!(here.before.ends_with(&there.before) && here.before.starts_with("The time is"));
    assert_eq!(there.token_id, first[shared]);
    assert!(
        there.text.contains('1') && here.text.contains(['1', '2']),
        "{there:?} {here:?}"
    );
    assert!(here.after.contains(" and the"), "{here:?}");
    assert!(told.sentence().contains("request a"), "{}", told.sentence());
}

#[test]
fn an_answer_that_came_back_changed_is_drift() {
    let store = store();
    let prompt: Vec<u32> = (10..30).collect();
    answer(&store, origin("a", "me", ""), &prompt, &[50, 51, 52]);
    let next = |answer: &[u32]| [&prompt[..], answer, &[90, 91, 92, 93]].concat();
    let reason = |id: &str, prompt: &[u32], cached| {
        ask(
            &store,
            origin(id, "me", ""),
            prompt,
            cached,
            MissCause::NeverSeen,
        );
        explain(&store, id, "me").expect("a miss").reason
    };
    assert_eq!(
        reason("changed", &next(&[50, 60, 52]), 21),
        Reason::TemplateDrift
    );
    // The two tokens that begin the answer belong to it.
    let other_start = [&prompt[..19], &[77, 78], &[90, 91]].concat();
    assert_eq!(reason("start", &other_start, 19), Reason::TemplateDrift);
    let other_prompt = [&prompt[..17], &[77, 78], &[90, 91]].concat();
    assert_eq!(reason("prompt", &other_prompt, 17), Reason::NeverSeen);
    assert_eq!(reason("same", &next(&[50, 51, 52]), 22), Reason::NeverSeen);
}

#[test]
fn an_eviction_tells_when_and_for_whom() {
    let store = store();
    let mut taker = store.begin(origin("taker", "me", ""), &[1, 2, 3]);
    taker.submitted(RequestId(17));
    let eviction = Eviction {
        at: Default::default(),
        holder: 17,
        was_retained: true,
    };
    let prompt: Vec<u32> = (0..20).collect();
    let cause = MissCause::Evicted(eviction);
    ask(&store, origin("mine", "me", ""), &prompt, 8, cause);
    ask(&store, origin("theirs", "you", ""), &prompt, 8, cause);
    let mine = explain(&store, "mine", "me").expect("a miss");
    assert_eq!(mine.reason, Reason::Evicted);
    assert_eq!(mine.evicted_for.as_deref(), Some("taker"));
    let sentence = mine.sentence();
    assert!(
        sentence.contains("retained block") && sentence.contains("3.0 s"),
        "{sentence}"
    );
    let theirs = explain(&store, "theirs", "you").expect("a miss");
    assert_eq!(theirs.evicted_for, None, "others' requests are not named");
}

#[test]
fn what_others_asked_is_not_told() {
    let store = store();
    let prompt: Vec<u32> = (0..20).collect();
    answer(&store, origin("theirs", "you", "x"), &prompt, &[]);
    ask(
        &store,
        origin("first", "me", ""),
        &prompt,
        0,
        MissCause::OtherSalt,
    );
    let told = explain(&store, "first", "me").expect("a miss");
    assert_eq!((told.reason, told.divergence), (Reason::NeverSeen, None));
    ask(
        &store,
        origin("second", "me", "x"),
        &prompt,
        0,
        MissCause::OtherSalt,
    );
    let told = explain(&store, "second", "me").expect("a miss");
    assert_eq!((told.reason, told.divergence), (Reason::OtherSalt, None));
}

#[test]
fn the_end_of_a_prompt_is_not_cacheable_only_if_somebody_had_it() {
    let store = store();
    let prompt: Vec<u32> = (0..11).collect();
    ask(
        &store,
        origin("a", "me", ""),
        &prompt,
        0,
        MissCause::NotCacheable,
    );
    let told = explain(&store, "a", "me").expect("a miss");
    assert_eq!(told.reason, Reason::NeverSeen);
    ask(
        &store,
        origin("b", "me", ""),
        &prompt,
        8,
        MissCause::NotCacheable,
    );
    let told = explain(&store, "b", "me").expect("a miss");
    assert_eq!(told.reason, Reason::NotCacheable);
}

#[test]
fn a_full_hit_needs_no_explanation() {
    let store = store();
    let prompt: Vec<u32> = (0..11).collect();
    ask(
        &store,
        origin("a", "me", ""),
        &prompt,
        10,
        MissCause::NeverSeen,
    );
    assert_eq!(explain(&store, "a", "me"), None);
}

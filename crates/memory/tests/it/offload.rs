//! Texts and their handles.

use memory::{Handle, Limits, PutError, Store, Usage};

use crate::{alice, bob, store};

fn bounded(offloaded_bytes: u64, total_bytes: u64) -> Store {
    let limits = Limits {
        offloaded_bytes,
        total_bytes,
        ..Limits::default()
    };
    Store::in_memory(limits).unwrap()
}

#[test]
fn texts_come_back_byte_for_byte() {
    let store = store();
    let texts = [
        "",
        "x",
        "line\r\nline\n\n",
        "\u{feff}\0 nul, e\u{301} and é, 日本 🦀\u{202e}",
        &"ab\t".repeat(200_000),
    ];
    for text in texts {
        let stored = store.put(&alice(), text).unwrap();
        assert!(!stored.known);
        let restored = store.restore(&alice(), &stored.handle).unwrap().unwrap();
        assert_eq!(restored.as_bytes(), text.as_bytes());
    }
}

#[test]
fn handle_is_a_function_of_tenant_and_text() {
    let store = store();
    let first = store.put(&alice(), "some text").unwrap();
    let again = store.put(&alice(), "some text").unwrap();
    assert_eq!(first.handle, Handle::of(&alice(), "some text"));
    assert_eq!(
        (again.handle, again.known, again.evicted),
        (first.handle, true, 0)
    );
    assert_eq!(
        store.usage(&alice()).unwrap(),
        Usage {
            bytes: 9,
            texts: 1,
            evicted: 0
        }
    );
    assert_ne!(Handle::of(&bob(), "some text"), first.handle);
    let written = first.handle.to_string();
    assert_eq!(written, "ctx://kpxbdyjgykpxj");
    assert_eq!(written.parse::<Handle>().unwrap(), first.handle);
}

/// Both forms are of one hash: that of the text, keyed by the tenant.
#[test]
fn handles_of_the_longer_form_give_their_texts_back() {
    let store = store();
    let long: Handle = "ctx://706bc2e1cf8a285d46ab".parse().unwrap();
    assert_eq!(long.to_string(), "ctx://706bc2e1cf8a285d46ab");
    assert_eq!(store.restore(&alice(), &long).unwrap(), None);
    store.put(&alice(), "some text").unwrap();
    let restored = store.restore(&alice(), &long).unwrap();
    assert_eq!(restored.as_deref(), Some("some text"));
    assert_eq!(store.uses_of(&alice(), &long).unwrap(), Some(2));
    assert_eq!(long.shortened(), Handle::of(&alice(), "some text"));
    assert!(long.is_of(&alice(), "some text") && !long.is_of(&bob(), "some text"));
    // The last of its bits, which the shorter form has not.
    let other: Handle = "ctx://706bc2e1cf8a285d46aa".parse().unwrap();
    assert_eq!(store.restore(&alice(), &other).unwrap(), None);
    assert!(store.forget(&alice(), &long).unwrap());
}

#[test]
fn malformed_handles_are_errors() {
    let right = Handle::of(&alice(), "x").to_string();
    for wrong in [
        "",
        "ctx://",
        "ctx://12",
        "CTX://0123456789abcdef0123",
        "ctx://0123456789ABCDEF0123",
        "ctx://0123456789abcdef012g",
        "ctx://0123456789abcdef01é",
        "ctx://s_91/0123456789abcde",
        "../0123456789abcdef0123",
        // More than 61 bits.
        "ctx://zzzzzzzzzzzzz",
        "ctx://aaaaaaaaaaaa1",
        "ctx://AAAAAAAAAAAAA",
        &format!("{right}a"),
        &format!(" {right}"),
        &right[6..],
    ] {
        let error = wrong.parse::<Handle>().unwrap_err();
        assert!(error.to_string().contains("ctx://"), "{wrong}: {error}");
    }
}

#[test]
fn handle_of_another_tenant_is_like_one_that_never_was() {
    let store = store();
    let handle = store.put(&alice(), "secret").unwrap().handle;
    let never = Handle::of(&bob(), "never stored");
    for handle in [handle, never] {
        assert_eq!(store.restore(&bob(), &handle).unwrap(), None);
        assert_eq!(store.uses_of(&bob(), &handle).unwrap(), None);
        assert!(!store.forget(&bob(), &handle).unwrap());
    }
    assert_eq!(
        store.restore(&alice(), &handle).unwrap().as_deref(),
        Some("secret")
    );
    assert_eq!(store.usage(&bob()).unwrap(), Usage::default());
}

#[test]
fn text_that_was_not_used_for_longest_makes_room() {
    let store = bounded(30, 1000);
    let put = |text: &str| store.put(&alice(), text).unwrap();
    let [a, b, c] = ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"].map(|text| put(text).handle);
    // Restoring is a use, and putting away again is one.
    store.restore(&alice(), &a).unwrap().unwrap();
    assert!(put("bbbbbbbbbb").known);
    let stored = put("dddddddddd");
    assert_eq!(stored.evicted, 1);
    let there = |handle| store.restore(&alice(), &handle).unwrap().is_some();
    assert_eq!(
        [a, b, c, stored.handle].map(there),
        [true, true, false, true]
    );
    // Everything in one: all others go.
    assert_eq!(put(&"e".repeat(30)).evicted, 3);
    assert_eq!(
        store.usage(&alice()).unwrap(),
        Usage {
            bytes: 30,
            texts: 1,
            evicted: 4
        }
    );
    assert_eq!(store.total_bytes().unwrap(), 30);
}

#[test]
fn order_of_restores_counts() {
    for first in 0..3 {
        let store = bounded(30, 1000);
        let handles = ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"]
            .map(|text| store.put(&alice(), text).unwrap().handle);
        for i in 0..3 {
            store
                .restore(&alice(), &handles[(first + i) % 3])
                .unwrap()
                .unwrap();
        }
        store.put(&alice(), "dddddddddd").unwrap();
        assert_eq!(
            store.restore(&alice(), &handles[first]).unwrap(),
            None,
            "{first}"
        );
    }
}

#[test]
fn nobody_pushes_out_what_is_anothers() {
    let store = bounded(60, 100);
    let kept = store.put(&alice(), &"a".repeat(60)).unwrap().handle;
    store.put(&bob(), &"b".repeat(40)).unwrap();
    // Bob's own text makes room, Alice's does not.
    assert_eq!(store.put(&bob(), &"c".repeat(40)).unwrap().evicted, 1);
    let error = store.put(&bob(), &"d".repeat(41)).unwrap_err();
    assert!(matches!(error, PutError::Full { limit: 100 }), "{error}");
    assert!(store.restore(&alice(), &kept).unwrap().is_some());
    // A refusal changes nothing.
    assert_eq!(
        store.usage(&bob()).unwrap(),
        Usage {
            bytes: 40,
            texts: 1,
            evicted: 1
        }
    );
    assert_eq!(store.total_bytes().unwrap(), 100);
    let error = store.put(&bob(), &"e".repeat(61)).unwrap_err();
    assert!(
        matches!(
            error,
            PutError::TooLarge {
                bytes: 61,
                limit: 60
            }
        ),
        "{error}"
    );
}

#[test]
fn uses_are_counted_and_forgotten_texts_are_gone() {
    let store = store();
    let handle = store.put(&alice(), "text").unwrap().handle;
    for _ in 0..3 {
        store.restore(&alice(), &handle).unwrap().unwrap();
    }
    assert_eq!(store.uses_of(&alice(), &handle).unwrap(), Some(4));
    store.put(&alice(), "other").unwrap();
    assert_eq!(store.uses_of(&alice(), &handle).unwrap(), Some(4));
    assert!(store.forget(&alice(), &handle).unwrap());
    assert!(!store.forget(&alice(), &handle).unwrap());
    assert_eq!(store.restore(&alice(), &handle).unwrap(), None);
    assert_eq!(store.total_bytes().unwrap(), 5);
    // A use of a text that was forgotten since is no error later on.
    store.put(&alice(), "third").unwrap();
}

#[test]
fn random_operations_agree_with_a_plain_list() {
    for seed in 0..20_u64 {
        let store = bounded(100, 10_000);
        // Texts of Alice, the one not used for longest first.
        let mut model: Vec<String> = Vec::new();
        let mut state = seed;
        for step in 0..150 {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let draw = (state >> 33) as usize;
            let text = char::from(b'a' + (draw % 12) as u8)
                .to_string()
                .repeat(1 + draw % 12 * 3);
            let place = model.iter().position(|known| *known == text);
            let handle = Handle::of(&alice(), &text);
            match draw / 12 % 4 {
                0 | 1 => {
                    let stored = store.put(&alice(), &text).unwrap();
                    assert_eq!(stored.known, place.is_some(), "seed {seed}, step {step}");
                    place.map(|place| model.remove(place));
                    model.push(text);
                    while model.iter().map(String::len).sum::<usize>() > 100 {
                        model.remove(0);
                    }
                }
                2 => {
                    let restored = store.restore(&alice(), &handle).unwrap();
                    assert_eq!(
                        restored.is_some(),
                        place.is_some(),
                        "seed {seed}, step {step}"
                    );
                    if let Some(place) = place {
                        let text = model.remove(place);
                        model.push(text);
                    }
                }
                _ => {
                    assert_eq!(store.forget(&alice(), &handle).unwrap(), place.is_some());
                    place.map(|place| model.remove(place));
                }
            }
            let usage = store.usage(&alice()).unwrap();
            let bytes: usize = model.iter().map(String::len).sum();
            assert_eq!(
                (usage.bytes, usage.texts),
                (bytes as u64, model.len() as u64)
            );
        }
    }
}

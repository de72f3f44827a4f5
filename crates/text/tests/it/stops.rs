//! Stop strings against a naive search, over streams cut at random.

use text::{EmptyStopString, StopMatcher};

use crate::random::Random;

/// What a client should see of `text`, and which stop string ends it: looking at every prefix
/// of the text in turn, the first that ends with a stop string, the longest of those.
fn oracle(text: &str, stops: &[String], include_stop: bool) -> (String, Option<usize>) {
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let ending = (0..stops.len()).filter(|&i| text[..end].ends_with(&stops[i]));
        if let Some(i) = ending.max_by_key(|&i| (stops[i].len(), std::cmp::Reverse(i))) {
            let cut = if include_stop {
                end
            } else {
                end - stops[i].len()
            };
            return (text[..cut].to_owned(), Some(i));
        }
    }
    (text.to_owned(), None)
}

fn stream(deltas: &[String], stops: &[String], include_stop: bool) -> (String, Option<usize>) {
    let mut matcher = StopMatcher::new(stops.to_vec(), include_stop).unwrap();
    let mut text = String::new();
    let mut matched = None;
    for delta in deltas {
        let out = matcher.push(delta);
        assert!(
            matched.is_none() || out.text.is_empty(),
            "text after a match"
        );
        text.push_str(&out.text);
        matched = matched.or(out.matched);
    }
    (text + &matcher.finish(), matched)
}

#[test]
fn any_cut_of_the_stream_gives_what_a_naive_search_finds() {
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let stops: Vec<String> = (0..random.below(4))
            .map(|_| random.text("abé😀", 1, 4))
            .collect();
        let text = random.text("abé😀", 0, 24);
        let include_stop = random.below(2) == 0;
        let deltas = random.cut(&text);
        let expected = oracle(&text, &stops, include_stop);
        let seen = stream(&deltas, &stops, include_stop);
        assert_eq!(
            seen, expected,
            "seed {seed}: {text:?} cut {deltas:?}, stops {stops:?}"
        );
    }
}

#[test]
fn only_text_that_may_become_a_stop_string_is_held_back() {
    let mut matcher = StopMatcher::new(vec!["<end>".into(), "\n\n".into()], false).unwrap();
    assert_eq!(matcher.push("one\n").text, "one");
    assert_eq!(matcher.push("two<en").text, "\ntwo");
    assert_eq!(matcher.push("dless").text, "<endless");
    assert_eq!(matcher.push("<e").text, "");
    assert_eq!(matcher.finish(), "<e");
}

#[test]
fn the_match_that_is_complete_first_wins() {
    let stops = vec!["abcd".to_owned(), "bc".to_owned(), "c".to_owned()];
    let mut matcher = StopMatcher::new(stops, false).unwrap();
    let out = matcher.push("xabcd");
    assert_eq!((out.text.as_str(), out.matched), ("xa", Some(1)));
    assert_eq!(matcher.push("more").text, "");
    assert_eq!(matcher.finish(), "");
}

#[test]
fn an_empty_stop_string_is_refused() {
    assert_eq!(
        StopMatcher::new(vec![String::new()], false).unwrap_err(),
        EmptyStopString
    );
}

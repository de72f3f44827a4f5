use super::Lengths;
use crate::measure::random::Random;

fn lengths(text: &str) -> Lengths {
    text.parse().unwrap()
}

fn drawn(text: &str) -> Vec<u32> {
    let mut random = Random::new(3);
    (0..20_000)
        .map(|_| lengths(text).draw(&mut random))
        .collect()
}

fn mean(drawn: &[u32]) -> f64 {
    drawn.iter().copied().map(f64::from).sum::<f64>() / drawn.len() as f64
}

#[test]
fn they_are_read_as_they_are_written() {
    for text in ["7", "3..9", "normal:512,128", "lognormal:200,0.5"] {
        assert_eq!(lengths(text).to_string(), text);
    }
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    for text in [
        "",
        "0",
        "-1",
        "1.5",
        "9..3",
        "0..3",
        "3..",
        "normal:5",
        "normal:0,1",
        "normal:5,-1",
        "normal:nan,1",
        "lognormal:5,inf",
        "lognormal:5,9",
        "20000000",
        "zipf:2",
    ] {
        let error = text.parse::<Lengths>().unwrap_err();
        assert!(error.contains(text), "{text:?}: {error}");
    }
}

#[test]
fn draws_are_as_asked() {
    assert!(drawn("7").iter().all(|&length| length == 7));
    let uniform = drawn("3..9");
    assert_eq!(uniform.iter().min(), Some(&3));
    assert_eq!(uniform.iter().max(), Some(&9));
    assert!((mean(&uniform) - 6.0).abs() < 0.1);
    // A standard error of 0.9.
    assert!((mean(&drawn("normal:512,128")) - 512.0).abs() < 4.0);
    let mut lognormal = drawn("lognormal:200,0.5");
    lognormal.sort_unstable();
    let median = lognormal[lognormal.len() / 2];
    assert!((196..=204).contains(&median), "{median}");
}

#[test]
fn none_is_longer_than_the_longest_or_shorter_than_one_token() {
    for text in [
        "normal:512,128",
        "normal:2,5",
        "lognormal:200,0.5",
        "lognormal:1,1",
    ] {
        let longest = lengths(text).longest();
        let drawn = drawn(text);
        assert!(
            drawn.iter().all(|&length| (1..=longest).contains(&length)),
            "{text}"
        );
        assert!(drawn.iter().any(|&length| length != drawn[0]), "{text}");
    }
}

//! Whether an answer says what was expected.

/// Ways to say that the context does not have it.
const UNKNOWN: &[&str] = &[
    "don't know",
    "do not know",
    "does not say",
    "doesn't say",
    "not mentioned",
    "no information",
    "unknown",
];

/// Whether the answer contains the value as whole words; with an empty value, whether it says that
/// the context does not have it. Case, white space and separators of thousands do not matter.
pub(crate) fn says(answer: &str, value: &str) -> bool {
    let answer = normalised(answer);
    if value.is_empty() {
        says_unknown(&answer)
    } else {
        contains(&answer, value)
    }
}

/// Lower case, single spaces, no separators between the digits of a number, plain apostrophes.
fn normalised(text: &str) -> String {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters: Vec<char> = words.chars().collect();
    let digit = |at: Option<usize>| {
        at.and_then(|at| letters.get(at))
            .is_some_and(char::is_ascii_digit)
    };
    let separates = |at: usize| {
        letters[at] == ','
            && digit(at.checked_sub(1))
            && (1..=3).all(|ahead| digit(Some(at + ahead)))
            && !digit(Some(at + 4))
    };
    (0..letters.len())
        .filter(|&at| !separates(at))
        .map(|at| letters[at])
        .collect()
}

/// Whether `value` is in `answer`, which is normalised, and neither begins nor ends within a word.
fn contains(answer: &str, value: &str) -> bool {
    let value = normalised(value);
    let outside = |letter: Option<char>| !letter.is_some_and(char::is_alphanumeric);
    answer.match_indices(&value).any(|(at, found)| {
        outside(answer[..at].chars().next_back())
            && outside(answer[at + found.len()..].chars().next())
    })
}

fn says_unknown(answer: &str) -> bool {
    UNKNOWN.iter().any(|words| answer.contains(words))
}

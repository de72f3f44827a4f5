use super::{head, last_messages, tail};

/// Ten tokens of history, three of a last message, two that begin an answer.
const PROMPT: [u32; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 30, 31];

#[test]
fn a_head_keeps_the_first_tokens_and_the_last_message() {
    let check = |limit, kept: &[u32]| assert_eq!(head(&PROMPT, 3, 2, limit), kept, "{limit}");
    check(20, &PROMPT);
    check(15, &PROMPT);
    check(14, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 22, 30, 31]);
    check(7, &[0, 1, 20, 21, 22, 30, 31]);
    check(5, &[20, 21, 22, 30, 31]);
    check(4, &[20, 21, 30, 31]);
    check(2, &[30, 31]);
}

#[test]
fn a_tail_keeps_the_last_tokens() {
    assert_eq!(tail(&PROMPT, 20), PROMPT);
    assert_eq!(tail(&PROMPT, 15), PROMPT);
    assert_eq!(tail(&PROMPT, 4), [21, 22, 30, 31]);
    assert_eq!(tail(&PROMPT, 0), [0_u32; 0]);
}

#[test]
fn the_system_message_and_the_last_ones_that_fit_stay() {
    let counts = [10, 5, 7, 20, 4, 6];
    let check = |limit, kept: &[usize]| {
        let found = last_messages(&counts, 2, limit);
        assert_eq!(found, kept, "{limit}");
    };
    check(54, &[0, 1, 2, 3, 4, 5]);
    check(53, &[0, 2, 3, 4, 5]);
    check(48, &[0, 3, 4, 5]);
    // The message of 20 does not fit: those before it are not taken in its place.
    check(41, &[0, 4, 5]);
    check(18, &[0, 5]);
    check(17, &[0]);
    check(3, &[0]);
    assert_eq!(last_messages(&[], 2, 10), [0_usize; 0]);
}

//! Time grows with the length of the text, not with its square.

use super::*;

/// Bytes that a level's work is measured by: how often the caller's counter is called, and on how
/// much. The counter is the only part of the work that a test without a clock can see.
#[test]
fn a_long_text_is_counted_once_for_each_level() {
    use std::cell::Cell;
    let text = corpus::log(&mut Rng(2), 2000);
    let (calls, bytes) = (Cell::new(0), Cell::new(0));
    let counter = |text: &str| {
        calls.set(calls.get() + 1);
        bytes.set(bytes.get() + text.len());
        count(text)
    };
    shrink_all(&text, &none(), &counter);
    assert!(calls.get() <= 6, "{}", calls.get());
    assert!(
        bytes.get() <= 4 * text.len(),
        "{} of {}",
        bytes.get(),
        text.len()
    );
    calls.set(0);
    fit(&text, count(&text) / 5, &none(), &counter).unwrap();
    assert!(calls.get() <= 20, "{}", calls.get());
}

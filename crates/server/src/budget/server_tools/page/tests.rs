use super::*;
use crate::budget::example::tokenizer;

fn count(text: &str) -> usize {
    tokenizer().encode(text, false).unwrap().len()
}

fn lines(number: usize) -> String {
    let lines = (0..number).map(|at| format!("{at}: größe {} ms\n", at * 7));
    lines.collect()
}

#[test]
fn pages_put_together_are_the_text() {
    let text = lines(60);
    let whole = page(&text, 0, count(&text), &tokenizer());
    let is_whole = true;
    let expected = Page {
        text: text.clone(),
        is_whole,
    };
    assert_eq!(whole, Ok(expected));
    let (mut read, mut pages) = (String::new(), 0);
    while read != text {
        let offset = read.chars().count();
        let page = page(&text, offset, 200, &tokenizer()).unwrap();
        assert!(count(&page.text) <= 200 && !page.is_whole);
        let (head, piece) = page.text.split_once('\n').unwrap();
        read.push_str(piece);
        assert!(text.starts_with(&read));
        // Whole lines, and where to go on.
        assert!(read.ends_with('\n'), "{piece}");
        let next = format!("go on with offset {}]", read.chars().count());
        assert_eq!(head.ends_with(&next), read != text, "{head}");
        pages += 1;
    }
    assert!(pages > 2, "{pages}");
}

#[test]
fn what_has_no_room_says_how_long_it_is() {
    let text = lines(60);
    for room in [0, MIN_TOKENS - 1, MIN_TOKENS] {
        assert_eq!(page(&text, 0, room, &tokenizer()), Err(count(&text)));
    }
}

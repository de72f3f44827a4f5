use super::{SseEvent, SseParser};

fn event(name: &str, data: &str) -> SseEvent {
    SseEvent {
        name: name.to_owned(),
        data: data.to_owned(),
    }
}

/// Parses `stream` in pieces of every size from one byte to all of it.
fn check(stream: &[u8], expected: &[SseEvent]) {
    for size in 1..=stream.len() {
        let mut parser = SseParser::default();
        let events: Vec<SseEvent> = stream.chunks(size).flat_map(|c| parser.push(c)).collect();
        assert_eq!(events, expected, "in pieces of {size} bytes");
    }
}

#[test]
fn an_event_ends_at_the_empty_line() {
    check(
        b"data: {\"a\":1}\n\ndata: [DONE]\n\n",
        &[event("", "{\"a\":1}"), event("", "[DONE]")],
    );
    check(b"data: cut off\n", &[]);
}

#[test]
fn lines_end_in_cr_lf_lf_or_cr() {
    check(
        b"data: a\r\n\r\ndata: b\n\ndata: c\r\r",
        &[event("", "a"), event("", "b"), event("", "c")],
    );
    check(b"data: a\r\ndata: b\r\n\r\n", &[event("", "a\nb")]);
}

#[test]
fn comments_and_unknown_fields_mean_nothing() {
    check(
        b": keep-alive\n\nid: 7\nretry: 10\nother\ndata: x\n\n",
        &[event("", "x")],
    );
    check(b"event: ping\n\ndata: x\n\n", &[event("", "x")]);
}

#[test]
fn names_last_for_one_event_and_one_space_is_dropped() {
    check(
        b"event: error\ndata:  two\n\ndata:x\n\n",
        &[event("error", " two"), event("", "x")],
    );
    check(b"data\n\n", &[event("", "")]);
}

#[test]
fn characters_and_a_byte_order_mark_may_be_cut() {
    check(
        "\u{feff}data: é€😀\n\ndata: ñ\n\n".as_bytes(),
        &[event("", "é€😀"), event("", "ñ")],
    );
    check(b"data: \xff!\n\n", &[event("", "\u{fffd}!")]);
}

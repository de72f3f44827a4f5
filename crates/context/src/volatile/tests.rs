//! Texts of system messages, and what is found in them.

use super::*;

fn found(text: &str) -> Vec<(&'static str, &str)> {
    let places = volatile_text(text);
    places
        .iter()
        .map(|place| (place.kind.name(), &text[place.range.clone()]))
        .collect()
}

#[test]
fn what_changes_is_found_with_its_place() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        (
            "Current time: 2026-11-21T09:55:00Z.",
            &[("iso_datetime", "2026-11-21T09:55:00Z")],
        ),
        (
            "It is 2026-11-21 09:55:00.123+01:00, be brief.",
            &[("iso_datetime", "2026-11-21 09:55:00.123+01:00")],
        ),
        (
            "made 2026-11-21T09:00:00+00:00",
            &[("iso_datetime", "2026-11-21T09:00:00+00:00")],
        ),
        (
            "Now: 2026-11-21 09:55 UTC\n",
            &[("iso_datetime", "2026-11-21 09:55 UTC")],
        ),
        ("Today is 2026-11-21.", &[("iso_date", "2026-11-21")]),
        ("Date: 2026-11-21\nBe kind.", &[("iso_date", "2026-11-21")]),
        (
            "You are kind.\n(2026-11-21)\n",
            &[("iso_date", "2026-11-21")],
        ),
        (
            "Today's date is Saturday, November 21, 2026.",
            &[("written_date", "Saturday, November 21, 2026")],
        ),
        (
            "Today Date: 21 Nov 2026",
            &[("written_date", "21 Nov 2026")],
        ),
        (
            "Knowledge cutoff: June. Today is Nov 21st, 2026",
            &[("written_date", "Nov 21st, 2026")],
        ),
        ("The clock says 09:55:07.", &[("clock_time", "09:55:07")]),
        ("ts=1795255200 ok", &[("unix_timestamp", "1795255200")]),
        (
            "at 1795255200.25, ok",
            &[("unix_timestamp", "1795255200.25")],
        ),
        ("at 1795255200123", &[("unix_timestamp", "1795255200123")]),
        (
            "Session 3f2b8c1e-9a4d-4e6f-8b7a-0c1d2e3f4a5b.",
            &[("uuid", "3f2b8c1e-9a4d-4e6f-8b7a-0c1d2e3f4a5b")],
        ),
        (
            "user:3F2B8C1E-9A4D-4E6F-8B7A-0C1D2E3F4A5B",
            &[("uuid", "3F2B8C1E-9A4D-4E6F-8B7A-0C1D2E3F4A5B")],
        ),
        (
            "trace_id: 4bf92f3577b34da6a3ce929d0e0e4736",
            &[("hex_id", "4bf92f3577b34da6a3ce929d0e0e4736")],
        ),
        (
            "req_4bf92f3577b34da6 is yours",
            &[("hex_id", "4bf92f3577b34da6")],
        ),
        ("This is request #123.", &[("counter", "request #123")]),
        ("Session ID: 991", &[("counter", "Session ID: 991")]),
        ("request_id=7", &[("counter", "request_id=7")]),
        (
            "Request no. 42, turn number is 7",
            &[
                ("counter", "Request no. 42"),
                ("counter", "turn number is 7"),
            ],
        ),
        ("message count: 12", &[("counter", "message count: 12")]),
        (
            "Zeit: 2026-11-21 09:55:00 – für 1795255200",
            &[
                ("iso_datetime", "2026-11-21 09:55:00"),
                ("unix_timestamp", "1795255200"),
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(found(text), *expected, "{text}");
    }
}

#[test]
fn what_stays_is_left_alone() {
    let cases = [
        "Use the API version 2023-06-01.",
        "anthropic-version: 2023-06-01",
        "Model gpt-4o-2024-08-06 answers.",
        "See docs/2024-08-06/notes.md and notes-2024-08-06.txt",
        "Knowledge cutoff date: 2024-06-01",
        "Cutting Knowledge Date: December 2023",
        "The treaty of 12 May 2010 holds.",
        "Signed on May 12, 2020 in Rome",
        "Dates look like 2024-01-31.",
        "An ISO 8601 time, e.g. 2024-05-17T08:30:00Z",
        "from (for example 2024-05-17 08:30:00) on",
        "start: 2024-01-01T00:00:00Z",
        "Times have the format 14:30:00",
        "Open 09:00-17:00 and 09:00:00-17:00:00; ratio 16:9; 10:30",
        "Call 555-123-4567 or +15551234567 or 1-800-1234567890",
        "Prices: $1600000000, 1700000000%, 12345678901, 3.1700000000",
        "version 1.1700000000.3 and build-1700000000",
        "An id such as 123e4567-e89b-12d3-a456-426614174000",
        "00000000-0000-0000-0000-000000000000",
        "ffffffffffffffffffff 0000000000000000 1234567890123456",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 is pinned",
        "image@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "colour #ff8800, rev 9fceb02, facade decade defaced",
        "Step 1. Rule #2, issue #3, example request #1, section 4.2",
        "Request #1: a\nAnswer: b\nRequest #2: c\nAnswer: d",
        "Handle at most 5 requests; try 3 times; port 8080.",
        "\u{0661}\u{0667}\u{0660}\u{0660}\u{0660}\u{0660}\u{0660}\u{0660}\u{0660}\u{0660}",
        "",
    ];
    for text in cases {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn places_are_in_order_and_apart() {
    let text = "turn #3, 09:55:07 on 1795255200; today 2026-11-21T09:55:00Z, request #9";
    let places = volatile_text(text);
    let kinds: Vec<&str> = places.iter().map(|place| place.kind.name()).collect();
    assert_eq!(
        kinds,
        [
            "counter",
            "clock_time",
            "unix_timestamp",
            "iso_datetime",
            "counter"
        ]
    );
    assert!(
        places
            .windows(2)
            .all(|pair| pair[0].range.end <= pair[1].range.start)
    );
}

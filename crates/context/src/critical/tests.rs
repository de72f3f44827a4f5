//! Hand-made spans.

use super::*;
use crate::summary::SectionedSummary;

fn kinds(text: &str) -> Vec<(CriticalKind, String)> {
    let found = scan(text).into_iter();
    found
        .map(|found| (found.kind, text[found.range].to_owned()))
        .collect()
}

fn user(text: &str) -> SpanPart<'_> {
    SpanPart {
        speaker: Speaker::User,
        text,
    }
}

fn tool(text: &str) -> SpanPart<'_> {
    SpanPart {
        speaker: Speaker::Tool,
        text,
    }
}

fn texts(tokens: &[CriticalToken]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn each_kind_is_found_whole() {
    use CriticalKind::*;
    for (text, expected) in [
        (
            "look at src/pay/ledger_k3.rs:214.",
            (Path, "src/pay/ledger_k3.rs:214"),
        ),
        ("open config.toml now", (Path, "config.toml")),
        ("in /etc/hosts, too", (Path, "/etc/hosts")),
        (
            "see https://example.org/a?b=1.",
            (Url, "https://example.org/a?b=1"),
        ),
        ("the port is 8123.", (Identifier, "8123")),
        ("call parse_config first", (Identifier, "parse_config")),
        ("call parseConfig first", (Identifier, "parseConfig")),
        ("use std::mem for it", (Identifier, "std::mem")),
        ("version v2.3.1 it is", (Identifier, "v2.3.1")),
        ("a budget of 4,312 EUR in all", (Quantity, "4,312 EUR")),
        ("it took 35 ms then", (Quantity, "35 ms")),
        ("up by 12.5% again", (Quantity, "12.5%")),
        ("due on 2026-03-04.", (Date, "2026-03-04")),
        ("due on March 14, 2026 or so", (Date, "March 14, 2026")),
        ("due by 4 March, at noon", (Date, "4 March")),
        ("since 14. October 2025 or so", (Date, "14. October 2025")),
        ("named \"blue harbour\" by us", (Quoted, "blue harbour")),
        ("run `make all` there", (Quoted, "make all")),
        ("it failed with E4471 when", (ErrorCode, "E4471")),
        ("we met Zelmira there", (Entity, "Zelmira")),
    ] {
        assert_eq!(kinds(text), [(expected.0, expected.1.to_owned())], "{text}");
    }
}

#[test]
fn a_negation_has_its_object() {
    let text = "Please never touch schema v7, it is shared.";
    let found = kinds(text);
    assert!(
        found.contains(&(CriticalKind::Negation, "never touch schema v7".to_owned())),
        "{found:?}"
    );
    assert!(kinds("It is well-known and/or fine.").is_empty());
}

#[test]
fn a_summary_in_other_words_keeps_a_negation_and_not_its_reverse() {
    let tokens = critical_tokens(&[user("You must not delete the staging table.")], "");
    assert_eq!(tokens[0].kind, CriticalKind::Negation);
    assert!(is_kept(&tokens[0], "- never delete the staging table"));
    assert!(!is_kept(&tokens[0], "- delete the staging table"));
}

#[test]
fn tokens_are_kept_between_word_borders_only() {
    let tokens = critical_tokens(&[user("the port is 8123")], "");
    assert_eq!(texts(&tokens), ["8123"]);
    assert_eq!(recall(&tokens, "port 18123"), 0.0);
    assert_eq!(recall(&tokens, "port 8123x"), 0.0);
    assert_eq!(recall(&tokens, "(port 8123)"), 1.0);
    assert_eq!(recall(&[], "anything"), 1.0);
}

#[test]
fn a_tool_s_token_is_required_if_someone_names_it_or_it_is_an_error() {
    let listing = "src/a_1.rs\nsrc/a_2.rs\nE4471 error when TLS is on\nX5000 is fine";
    let listing = format!("{listing}\nnothing here\nnor there\nall quiet\nno news");
    let listing = tool(&listing);
    let tokens = critical_tokens(&[user("what is there?"), listing], "and src/a_2.rs?");
    assert_eq!(
        texts(&tokens),
        ["src/a_2.rs", "E4471", "X5000", "src/a_1.rs"]
    );
    let required: Vec<bool> = tokens.iter().map(|token| token.is_required).collect();
    assert_eq!(required, [true, true, false, false]);
    // What is not required changes no share.
    assert_eq!(recall(&tokens, "E4471 in src/a_2.rs"), 1.0);
}

#[test]
fn what_every_line_of_a_log_names_is_not_listed() {
    let log: String = (0..50)
        .map(|i| format!("[08:{i:02}] job {} done\n", 200 + i))
        .chain(["[08:50] the badge code is K-7713".to_owned()])
        .collect();
    let tokens = critical_tokens(&[tool(&log)], "");
    assert_eq!(
        texts(&tokens),
        ["K-7713", "[08:50"].map(|text| text.trim_start_matches('['))
    );
    assert!(tokens.iter().all(|token| !token.is_required));
}

#[test]
fn what_is_not_required_is_added_where_there_is_room() {
    let parts = [
        user("The port is 8123."),
        tool("all is well\nthe badge code is K-7713\nnothing else"),
    ];
    let tokens = critical_tokens(&parts, "");
    let mut summary = SectionedSummary::default();
    summary.push(crate::Section::Goal, "open port 8123");
    let gated = |max_tokens| {
        let rule = GateRule {
            recall: 0.95,
            max_tokens,
        };
        gate(&tokens, summary.clone(), rule, &count)
    };
    assert_eq!(gated(40).appended, ["the badge code is K-7713"]);
    assert_eq!(gated(12).appended, ["K-7713"]);
    let tight = gated(6);
    assert_eq!((tight.appended.len(), tight.found, tight.kept), (0, 1, 1));
    assert!(tight.passed);
}

#[test]
fn a_superseded_value_is_not_asked_for() {
    let parts = [
        user("The port is 8123."),
        user("The port has changed to 9017."),
    ];
    assert_eq!(texts(&critical_tokens(&parts, "")), ["9017"]);
}

#[test]
fn recall_is_kept_weight_over_weight() {
    // Both of the user: 4 for the negation, 1.5 for the identifier.
    let tokens = critical_tokens(&[user("never touch it"), user("the key is k_9")], "");
    assert_eq!(texts(&tokens), ["never touch it", "k_9"]);
    assert!((recall(&tokens, "k_9") - 1.5 / 5.5).abs() < 1e-12);
    let tokens = critical_tokens(
        &[user("never touch it"), user("the key is k_9")],
        "so k_9 it is",
    );
    assert!(
        (recall(&tokens, "k_9") - 3.0 / 7.0).abs() < 1e-12,
        "named later, it weighs twice"
    );
}

#[test]
fn the_gate_adds_the_heaviest_within_its_share() {
    let parts = [
        user("never touch schema v7"),
        user("the host is db_17"),
        user("the key is k_9"),
    ];
    let tokens = critical_tokens(&parts, "");
    let mut summary = SectionedSummary::default();
    summary.push(crate::Section::Goal, "get it done");
    let rule = GateRule {
        recall: 0.95,
        max_tokens: 200,
    };
    let gated = gate(&tokens, summary.clone(), rule, &count);
    assert!(gated.passed);
    assert_eq!((gated.found, gated.kept), (tokens.len(), tokens.len()));
    assert_eq!((gated.recall_before, gated.recall), (0.0, 1.0));
    let expected = "goal:\n- get it done\nfacts:\n- never touch schema v7\n\
                    - the host is db_17\n- the key is k_9";
    assert_eq!(gated.text, expected);
    // 15 % of 60 is 9 tokens: the heading and the first line.
    let rule = GateRule {
        recall: 0.95,
        max_tokens: 60,
    };
    let gated = gate(&tokens, summary.clone(), rule, &count);
    assert!(!gated.passed);
    assert_eq!(gated.appended, ["never touch schema v7"]);
    let rule = GateRule {
        recall: 0.95,
        max_tokens: 5,
    };
    let gated = gate(&tokens, summary, rule, &count);
    assert!(gated.appended.is_empty() && !gated.passed && gated.recall == 0.0);
}

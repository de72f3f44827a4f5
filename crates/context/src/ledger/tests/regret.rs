//! Calls made again.

use super::*;

fn call(tool: &str, arguments: &str, call: usize) -> CallRecord {
    CallRecord {
        call,
        result: Some(call + 1),
        digest: call_digest(tool, arguments),
    }
}

fn of(first: usize, again: usize) -> Regret {
    Regret { first, again }
}

#[test]
fn arguments_are_compared_by_what_they_mean() {
    let digest = call_digest("read", r#"{"path":"a","line":3}"#);
    assert_eq!(digest, call_digest("read", r#"{ "line": 3, "path": "a" }"#));
    assert_ne!(digest, call_digest("read", r#"{"path":"a","line":4}"#));
    assert_ne!(digest, call_digest("reads", r#"{"path":"a","line":3}"#));
    assert_ne!(
        call_digest("read", "{broken"),
        call_digest("read", "{broken ")
    );
    assert_ne!(call_digest("ab", "c"), call_digest("a", "bc"));
}

#[test]
fn only_a_call_after_its_result_was_taken_is_regretted() {
    // Calls in segments 0, 2, 4, .., each with its result behind it.
    let again = |at: usize| call("read", r#"{"path":"a"}"#, at);
    let calls = [
        again(0),
        call("read", r#"{"path":"b"}"#, 2),
        again(4),
        again(6),
    ];
    let mut ledger = EditLedger::new(1 << 20);
    let whole = "abcdefgh";
    assert_eq!(
        regrets(
            &calls,
            &ledger.replay(&chain(&SCOPE, whole), |known| vec![true; known.len()])
        ),
        []
    );

    // Taken when the conversation had 4 segments: the call in segment 4 repeats it, the one in
    // segment 6 repeats one whose result stands.
    ledger
        .record(&chain(&SCOPE, "abcd"), 1..=1, clearing("-", 1))
        .unwrap();
    let replay = ledger.replay(&chain(&SCOPE, whole), |known| vec![true; known.len()]);
    assert_eq!(regrets(&calls, &replay), [of(0, 4)]);

    // A compaction later, of both, does not hide when it was first taken.
    let late = chain(&SCOPE, "abcdefgh");
    ledger.record(&late, 0..=5, compaction("-", 2)).unwrap();
    let replay = ledger.replay(&late, |known| vec![true; known.len()]);
    assert_eq!(regrets(&calls, &replay), [of(0, 4)]);
}

#[test]
fn taken_by_an_edit_without_loss_or_too_late_is_no_regret() {
    let calls = [call("read", "{}", 0), call("read", "{}", 4)];
    let without_loss = [
        EditOp::Dedupe { original: 0 },
        EditOp::Compress(CompressionLevel::Redundancy),
    ];
    for op in without_loss {
        let mut ledger = EditLedger::new(1 << 20);
        let edit = LedgerEdit {
            op,
            ..clearing("-", 1)
        };
        ledger.record(&chain(&SCOPE, "abcd"), 1..=1, edit).unwrap();
        let replay = ledger.replay(&chain(&SCOPE, "abcdef"), |known| vec![true; known.len()]);
        assert_eq!(regrets(&calls, &replay), []);
    }
    let mut ledger = EditLedger::new(1 << 20);
    let late = chain(&SCOPE, "abcdef");
    ledger.record(&late, 1..=1, clearing("-", 1)).unwrap();
    assert_eq!(
        regrets(
            &calls,
            &ledger.replay(&late, |known| vec![true; known.len()])
        ),
        []
    );
}

#[test]
fn a_regret_is_counted_once_though_every_request_repeats_it() {
    let mut ledger = EditLedger::new(1 << 20);
    let found = [of(0, 4)];
    assert_eq!(
        ledger.count_regrets(&chain(&SCOPE, "abcdef"), &found),
        found
    );
    assert_eq!(ledger.count_regrets(&chain(&SCOPE, "abcdef"), &found), []);
    assert_eq!(ledger.count_regrets(&chain(&SCOPE, "abcdefgh"), &found), []);
    assert_eq!(
        ledger.count_regrets(&chain(&SCOPE, "abcdXf"), &found),
        found
    );
    assert_eq!(ledger.counters().regretted, 2);
    assert_eq!(ledger.counters().bytes, 2 * ENTRY_OVERHEAD);
    let mut tiny = EditLedger::new(ENTRY_OVERHEAD - 1);
    assert_eq!(tiny.count_regrets(&chain(&SCOPE, "abcdef"), &found), []);
}

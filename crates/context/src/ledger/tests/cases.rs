//! Promises, one by one.

use super::*;
use crate::{CompactionRule, CompactionSchedule, InstructionsMode, Preserve, SummaryRequest};

#[test]
fn unedited_history_gets_its_edits_again_byte_for_byte() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "abcdef");
    let odd = "[cleared: 3 \u{1f600} \r\n\t\"x\"]\0";
    ledger.record(&made, 2..=2, clearing(odd, 3)).unwrap();
    ledger.record(&made, 4..=4, clearing("<e>", 3)).unwrap();
    // The same conversation, a turn later and many turns later.
    for _ in 0..3 {
        let after = rendered(&mut ledger, &SCOPE, "abcdefgh");
        assert_eq!(after, format!("ab{odd}d<e>fgh"));
    }
    assert_eq!(
        rendered(&mut ledger, &SCOPE, "abcdefghijkl"),
        format!("ab{odd}d<e>fghijkl")
    );
    assert_eq!(ledger.counters().hits, 4);
    assert_eq!(ledger.counters().replayed, 8);
}

#[test]
fn a_changed_byte_before_an_edit_or_in_it_undoes_it() {
    let mut ledger = EditLedger::new(1 << 20);
    let edit = clearing("<d>", 1);
    ledger.record(&chain(&SCOPE, "abcd"), 3..=3, edit).unwrap();
    for at in 0..4 {
        let mut letters: Vec<char> = "abcdef".chars().collect();
        letters[at] = 'X';
        let letters: String = letters.into_iter().collect();
        assert_eq!(rendered(&mut ledger, &SCOPE, &letters), letters, "{at}");
    }
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcdXf"), "abc<d>Xf");
    assert_eq!(ledger.counters().misses, 4);
}

#[test]
fn borders_of_fields_and_segments_are_part_of_the_content() {
    assert_ne!(
        segment_digest(&[b"ab", b"c"]),
        segment_digest(&[b"a", b"bc"])
    );
    assert_ne!(segment_digest(&[b"abc"]), segment_digest(&[b"abc", b""]));
    assert_ne!(segment_digest(&[]), segment_digest(&[b""]));
    let one = SegmentChain::from_digests(&SCOPE, &[digest("ab")]);
    let two = SegmentChain::from_digests(&SCOPE, &[digest("a"), digest("b")]);
    assert_ne!(one.keys().last(), two.keys().last());
}

#[test]
fn what_stands_aside_keeps_no_edit_from_being_found() {
    let chain = |letters: &str| {
        let mut chain = SegmentChain::new(&SCOPE);
        for letter in letters.chars() {
            let digest = digest(&letter.to_lowercase().to_string());
            if letter.is_uppercase() {
                chain.push_aside(&digest);
            } else {
                chain.push(&digest);
            }
        }
        chain
    };
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain("abXcd");
    ledger.record(&made, 1..=1, clearing("<b>", 1)).unwrap();
    ledger.record(&made, 4..=4, clearing("<d>", 1)).unwrap();
    for (letters, expected) in [
        ("abcde", [1, 3]),
        ("abXYcd", [1, 5]),
        ("Zabcd", [2, 4]),
        ("abYcd", [1, 4]),
    ] {
        let replay = ledger.replay(&chain(letters), |known| vec![true; known.len()]);
        let starts = replay.edits.iter().map(|known| *known.segments.start());
        assert_eq!(starts.collect::<Vec<_>>(), expected, "{letters}");
    }
    // What stands aside is another thing than the same text in its place.
    let twins = [chain("abX"), chain("abx")];
    assert_ne!(twins[0].keys()[2], twins[1].keys()[2]);
    assert_ne!(chain("aX").keys()[1], chain("aX").keys()[0]);
}

#[test]
fn every_part_of_the_scope_keeps_conversations_apart() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "abc");
    ledger.record(&made, 1..=1, clearing("<b>", 1)).unwrap();
    let span = 0..=1;
    ledger
        .store_summary(&made, span.clone(), SummaryLevel::Brief, summary("s"))
        .unwrap();
    let others = [
        LedgerScope {
            tenant_salt: b"tenan",
            fingerprint: b"tmodel",
            ..SCOPE
        },
        LedgerScope {
            tenant_salt: b"other",
            ..SCOPE
        },
        LedgerScope {
            tenant_salt: b"",
            ..SCOPE
        },
        LedgerScope {
            policy_major: 2,
            ..SCOPE
        },
        LedgerScope {
            fingerprint: b"model2",
            ..SCOPE
        },
    ];
    for scope in others {
        assert_eq!(rendered(&mut ledger, &scope, "abc"), "abc", "{scope:?}");
        let other = chain(&scope, "abc");
        let found = ledger.summary(&other, &span, SummaryLevel::Brief, &ORDER);
        assert_eq!(found, None);
        assert_eq!(ledger.summaries(&other), []);
    }
    assert_eq!(rendered(&mut ledger, &SCOPE, "abc"), "a<b>c");
}

#[test]
fn forks_share_what_they_have_in_common() {
    let mut ledger = EditLedger::new(1 << 20);
    let parent = chain(&SCOPE, "abcde");
    ledger.record(&parent, 1..=1, clearing("<b>", 4)).unwrap();
    ledger.record(&parent, 4..=4, clearing("<e>", 4)).unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcXYZ"), "a<b>cXYZ");
    let fork = ledger.replay(&chain(&SCOPE, "abc"), |known| vec![true; known.len()]);
    assert_eq!(fork.turns_since_edits(2), Some(0));
    assert_eq!(fork.turns_since_edits(9), Some(5));
}

#[test]
fn the_longest_span_wins_and_what_is_inside_is_superseded() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "abcdefgh");
    ledger.record(&made, 2..=2, clearing("<c>", 2)).unwrap();
    ledger.record(&made, 7..=7, clearing("<h>", 2)).unwrap();
    ledger.record(&made, 1..=3, compaction("<bcd>", 3)).unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcdefghi"), "a<bcd>efg<h>i");
    ledger
        .record(&made, 1..=5, compaction("<bcdef>", 4))
        .unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcdefghi"), "a<bcdef>g<h>i");
    let replay = ledger.replay(&made, |known| vec![true; known.len()]);
    let superseded: Vec<_> = replay
        .superseded
        .iter()
        .map(|k| k.segments.clone())
        .collect();
    assert_eq!(superseded, [2..=2, 1..=3]);
    assert_eq!(replay.turns_since_edits(6), Some(2));
    assert_eq!(replay.freed(), 180);
    // A fork from inside the long span has the edits made before it.
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcdX"), "a<bcd>X");
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcX"), "ab<c>X");
}

#[test]
fn a_compaction_and_an_edit_of_its_last_segment_do_not_displace_each_other() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "abcd");
    ledger.record(&made, 1..=2, compaction("<bc>", 1)).unwrap();
    ledger.record(&made, 2..=2, clearing("<c>", 2)).unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcd"), "a<bc>d");
    // One segment each: the compaction wins, whichever is later.
    ledger.record(&made, 3..=3, compaction("<D>", 3)).unwrap();
    ledger.record(&made, 3..=3, clearing("<d>", 4)).unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcd"), "a<bc><D>");
}

#[test]
fn what_a_request_does_not_allow_leaves_room_for_less() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "abcdef");
    ledger
        .record(&made, 1..=4, compaction("<bcde>", 1))
        .unwrap();
    ledger.record(&made, 1..=2, compaction("<bc>", 1)).unwrap();
    ledger.record(&made, 3..=3, clearing("<d>", 1)).unwrap();
    let replay = ledger.replay(&made, |known| without(known, 4));
    let applied: Vec<_> = replay.edits.iter().map(|k| k.segments.clone()).collect();
    assert_eq!(applied, [1..=2, 3..=3]);
    assert_eq!(replay.refused[0].segments, 1..=4);
    assert!(replay.superseded.is_empty());
}

#[test]
fn a_later_edit_of_a_segment_takes_the_place_of_the_earlier_one() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "ab");
    let shortened = LedgerEdit {
        op: EditOp::Compress(CompressionLevel::Redundancy),
        ..clearing("<long replacement>", 1)
    };
    ledger.record(&made, 1..=1, shortened).unwrap();
    ledger.record(&made, 1..=1, clearing("<b>", 5)).unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "ab"), "a<b>");
    assert_eq!(ledger.counters().entries, 1);
    assert_eq!(ledger.counters().bytes, ENTRY_OVERHEAD + 3);
}

#[test]
fn summaries_wait_under_their_span_and_level() {
    let mut ledger = EditLedger::new(1 << 20);
    let made = chain(&SCOPE, "abcdef");
    let level = SummaryLevel::Brief;
    ledger
        .store_summary(&made, 1..=3, level, summary("four"))
        .unwrap();
    let later = chain(&SCOPE, "abcdefgh");
    let waiting = ledger.summaries(&later);
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0].segments, waiting[0].level), (&(1..=3), level));
    let found = ledger.summary(&later, &(1..=3), level, &ORDER).unwrap();
    assert_eq!(*found, summary("four"));
    let medium = SummaryLevel::Medium;
    for (segments, level) in [
        (1..=3, medium),
        (2..=3, level),
        (1..=4, level),
        (1..=99, level),
    ] {
        assert_eq!(ledger.summary(&later, &segments, level, &ORDER), None);
    }
    // It is applied by nobody but a plan.
    assert_eq!(rendered(&mut ledger, &SCOPE, "abcdef"), "abcdef");
    let LedgerCounters { hits, misses, .. } = ledger.counters();
    assert_eq!((hits, misses), (1, 5));
}

#[test]
fn summaries_of_one_span_wait_beside_each_other_by_what_was_asked() {
    let mut ledger = EditLedger::new(1 << 20);
    let (made, level) = (chain(&SCOPE, "abcdef"), SummaryLevel::Brief);
    let asked = |wording: u64| SummaryOrder { wording, ..ORDER };
    let written = |text: &str, wording: u64| Summary {
        order: asked(wording),
        ..summary(text)
    };
    let mut store = |segments, text, wording| {
        ledger
            .store_summary(&made, segments, level, written(text, wording))
            .unwrap();
        let waiting = ledger.summaries(&made);
        let texts = waiting.iter().map(|one| one.summary.text.to_string());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(store(1..=3, "one", 1), ["one"]);
    assert_eq!(store(1..=3, "two", 2), ["one", "two"]);
    // A span that begins elsewhere ends with the same segment.
    assert_eq!(store(2..=3, "late", 2), ["one", "two", "late"]);
    assert_eq!(store(1..=3, "again", 1), ["two", "late", "again"]);
    assert_eq!(store(1..=3, "three", 3), ["two", "late", "again", "three"]);
    assert_eq!(store(1..=3, "four", 4), ["late", "again", "three", "four"]);
    let mut text = |segments, wording| {
        let found = ledger.summary(&made, &segments, level, &asked(wording));
        found.map(|summary| summary.text.to_string())
    };
    assert_eq!(text(1..=3, 1).as_deref(), Some("again"));
    assert_eq!(text(2..=3, 2).as_deref(), Some("late"));
    assert_eq!(text(1..=3, 2), None);
    let texts: usize = ["late", "again", "three", "four"]
        .map(str::len)
        .iter()
        .sum();
    assert_eq!(ledger.counters().bytes, 4 * ENTRY_OVERHEAD + texts);

    // Where not all of them fit, the latest is kept.
    let mut small = EditLedger::new(2 * ENTRY_OVERHEAD + 8);
    for (text, wording) in [("four", 1), ("five", 2), ("longer", 3)] {
        small
            .store_summary(&made, 1..=3, level, written(text, wording))
            .unwrap();
    }
    assert_eq!(small.summaries(&made).len(), 1);
    assert_eq!(&*small.summaries(&made)[0].summary.text, "longer");
}

#[test]
fn bytes_are_bounded_and_the_last_part_of_the_least_used_conversation_goes_first() {
    let mut ledger = EditLedger::new(3 * ENTRY_OVERHEAD + 9);
    let made = chain(&SCOPE, "abc");
    for at in 0..3 {
        ledger.record(&made, at..=at, clearing("<x>", 1)).unwrap();
    }
    assert_eq!(ledger.counters().bytes, 3 * ENTRY_OVERHEAD + 9);
    assert_eq!(rendered(&mut ledger, &SCOPE, "abc"), "<x><x><x>");
    ledger
        .record(&chain(&SCOPE, "z"), 0..=0, clearing("", 1))
        .unwrap();
    assert_eq!(rendered(&mut ledger, &SCOPE, "abc"), "<x><x>c");
    let LedgerCounters {
        bytes,
        evictions,
        entries,
        ..
    } = ledger.counters();
    assert_eq!((bytes, evictions, entries), (3 * ENTRY_OVERHEAD + 6, 1, 3));

    let huge = clearing(&"x".repeat(2 * ENTRY_OVERHEAD + 10), 1);
    let refused = EntryTooLarge {
        bytes: 3 * ENTRY_OVERHEAD + 10,
        max_bytes: 3 * ENTRY_OVERHEAD + 9,
    };
    assert_eq!(ledger.record(&made, 0..=0, huge), Err(refused));
    assert_eq!(rendered(&mut ledger, &SCOPE, "abc"), "<x><x>c");
}

#[test]
fn a_deleted_tenant_leaves_nothing_and_takes_nothing_of_others() {
    let mut ledger = EditLedger::new(1 << 20);
    let other = LedgerScope {
        tenant_salt: b"other",
        ..SCOPE
    };
    let again = LedgerScope {
        policy_major: 7,
        ..SCOPE
    };
    for scope in [SCOPE, other, again] {
        let made = chain(&scope, "abc");
        ledger.record(&made, 1..=1, clearing("<b>", 1)).unwrap();
        ledger
            .store_summary(&made, 0..=2, SummaryLevel::Brief, summary("s"))
            .unwrap();
    }
    assert_eq!(ledger.delete_tenant(&TenantKey::new(b"tenant")), 4);
    assert_eq!(ledger.delete_tenant(&TenantKey::new(b"tenant")), 0);
    assert_eq!(rendered(&mut ledger, &SCOPE, "abc"), "abc");
    assert_eq!(rendered(&mut ledger, &again, "abc"), "abc");
    assert_eq!(rendered(&mut ledger, &other, "abc"), "a<b>c");
    assert_eq!(ledger.counters().bytes, 2 * ENTRY_OVERHEAD + 4);
}

#[test]
fn the_overhead_covers_the_memory_of_an_entry() {
    let row = store::row_memory::<Entry>();
    // The reference counts, and the allocator's header and rounding of up to three allocations.
    let value = size_of::<LedgerEdit>().max(size_of::<Summary>()) + 16;
    let needed = row + value + 3 * 32;
    assert!(needed <= ENTRY_OVERHEAD, "{needed} bytes");
    assert!(
        needed > ENTRY_OVERHEAD / 2,
        "{needed} bytes: it is far too high"
    );
}

#[test]
fn a_summary_is_used_by_requests_that_ask_for_no_more() {
    let order = |preserve: &[Preserve], max_tokens, critical_recall| {
        let request = SummaryRequest {
            preserve: preserve.to_vec(),
            instructions: Some("Keep it dry.".into()),
            instructions_mode: InstructionsMode::Append,
            schedule: CompactionSchedule::Background,
        };
        let rule = CompactionRule {
            trigger: None,
            compact_at_least: 0,
            keep_raw_turns: 5,
            max_tokens,
            level: SummaryLevel::Brief,
            critical_recall,
            max_nll_delta: 0.5,
        };
        SummaryOrder::new(&request, &rule)
    };
    let written = Summary {
        tokens: 200,
        critical_recall: 0.8,
        order: order(Preserve::ALL, 800, 0.95),
        ..summary("s")
    };
    let accepts = |order: SummaryOrder| order.accepts(&written);
    // That its own gate could not be passed is no reason to write it again.
    assert!(accepts(order(Preserve::ALL, 800, 0.95)));
    assert!(accepts(order(Preserve::ALL, 300, 0.5)));
    assert!(!accepts(order(Preserve::ALL, 100, 0.5)));
    assert!(!accepts(order(Preserve::ALL, 800, 0.99)));
    assert!(!accepts(order(&Preserve::ALL[1..], 800, 0.95)));
}

#[test]
fn a_compaction_that_drifts_is_flagged_until_another_takes_its_place_or_nothing_can() {
    let (mut ledger, made) = (EditLedger::new(1 << 20), chain(&SCOPE, "abcdef"));
    let levels = [
        SummaryLevel::Medium,
        SummaryLevel::Brief,
        SummaryLevel::Minimal,
    ];
    for level in levels {
        ledger
            .store_summary(&made, 1..=3, level, summary("s"))
            .unwrap();
    }
    ledger.record(&made, 1..=3, compaction("brief", 4)).unwrap();
    let verdict = |ledger: &mut EditLedger| {
        let replay = ledger.replay(&made, |known| vec![true; known.len()]);
        replay.edits.first().map(|known| known.drift)
    };
    assert_eq!(verdict(&mut ledger), Some(DriftVerdict::Tolerable));
    // Another span, another level, a conversation without it.
    assert!(!ledger.flag_drift(&made, &(2..=3), SummaryLevel::Brief));
    assert!(!ledger.flag_drift(&made, &(1..=3), SummaryLevel::Medium));
    assert!(!ledger.flag_drift(&chain(&SCOPE, "abx"), &(1..=3), SummaryLevel::Brief));
    assert!(ledger.flag_drift(&made, &(1..=3), SummaryLevel::Brief));
    assert_eq!(verdict(&mut ledger), Some(DriftVerdict::Excessive));
    // Only what is more detailed still waits.
    let waiting = ledger.summaries(&made);
    let waiting: Vec<SummaryLevel> = waiting.iter().map(|one| one.level).collect();
    assert_eq!(waiting, [SummaryLevel::Medium]);

    let mut accepted = ledger;
    accepted.accept_drift(&made, &(1..=3));
    assert_eq!(verdict(&mut accepted), Some(DriftVerdict::Unavoidable));
    assert!(!accepted.flag_drift(&made, &(1..=3), SummaryLevel::Brief));
    // It is never superseded, a new edit in its place is like any other.
    accepted.supersede_drifted(&made, &(1..=3));
    assert_eq!(verdict(&mut accepted), Some(DriftVerdict::Unavoidable));
    accepted
        .record(&made, 1..=3, compaction("anew", 5))
        .unwrap();
    assert!(accepted.flag_drift(&made, &(1..=3), SummaryLevel::Brief));
    accepted.supersede_drifted(&made, &(1..=3));
    assert_eq!(verdict(&mut accepted), None);

    let detailed = LedgerEdit {
        op: EditOp::Compact(SummaryLevel::Detailed),
        ..compaction("whole", 5)
    };
    accepted.record(&made, 1..=3, detailed).unwrap();
    assert!(!accepted.flag_drift(&made, &(1..=3), SummaryLevel::Detailed));
}

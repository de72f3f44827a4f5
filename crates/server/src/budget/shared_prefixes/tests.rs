use context::{LedgerScope, SegmentChain};

use super::*;

/// The keys of a conversation whose segments are these letters.
fn keys(letters: &str) -> Vec<ChainKey> {
    let mut chain = SegmentChain::new(&LedgerScope {
        tenant_salt: b"",
        policy_major: 1,
        fingerprint: b"",
    });
    let letters = letters.chars();
    letters
        .map(|letter| chain.push(&[letter as u8; 32]))
        .collect()
}

fn see(prefixes: &mut SharedPrefixes, conversations: &[&str]) -> Vec<usize> {
    let conversations = conversations.iter();
    conversations
        .map(|letters| prefixes.see(&keys(letters)))
        .collect()
}

#[test]
fn three_conversations_make_their_common_beginning_stable() {
    let mut prefixes = SharedPrefixes::default();
    let shared = see(&mut prefixes, &["sabc", "sade", "saf", "sb", "saf", "sab"]);
    assert_eq!(shared, [0, 0, 2, 1, 2, 2]);
    // A fourth and a fifth that leave the first one further on.
    assert_eq!(see(&mut prefixes, &["sabx", "saby", "sabcd"]), [2, 3, 3]);
}

#[test]
fn a_conversation_that_is_sent_again_is_still_one() {
    let mut prefixes = SharedPrefixes::default();
    let shared = see(&mut prefixes, &["s", "sa", "sa", "sabc", "sabcdef", "sa"]);
    assert_eq!(shared, [0; 6]);
    assert_eq!(see(&mut prefixes, &["sx", "sy", "sabcdefg"]), [0, 1, 1]);
}

#[test]
fn what_is_stable_stays_so_while_it_is_used() {
    let mut prefixes = SharedPrefixes::default();
    assert_eq!(see(&mut prefixes, &["sab", "sac", "sad"])[2], 2);
    for round in 0..12 {
        // Others fill the table several times over.
        let mut chain = SegmentChain::new(&LedgerScope {
            tenant_salt: &[round],
            policy_major: 1,
            fingerprint: b"",
        });
        for _ in 0..MAX_BEGINNINGS / 4 {
            chain.push(&[round; 32]);
        }
        prefixes.see(chain.keys());
        assert_eq!(prefixes.see(&keys("sab")), 2, "round {round}");
        assert!(prefixes.beginnings.len() <= MAX_BEGINNINGS);
    }
    // Nobody has asked for these since.
    assert!(!prefixes.beginnings.contains_key(&keys("sac")[2]));
}

#[test]
fn asking_tells_the_same_and_changes_nothing() {
    let mut prefixes = SharedPrefixes::default();
    see(&mut prefixes, &["sab", "sac"]);
    for _ in 0..4 {
        assert_eq!(prefixes.shared(&keys("sad")), 2);
        assert_eq!(prefixes.shared(&keys("sacd")), 0);
    }
    assert_eq!(prefixes.shared(&keys("sab")), 0);
    assert_eq!(prefixes.see(&keys("sad")), 2);
    assert_eq!(prefixes.shared(&keys("sad")), 2);
}

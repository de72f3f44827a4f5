use std::sync::Arc;

use super::{Retention, RetentionKey, RetentionLimits};
use crate::{BlockId, Timestamp};

fn retention(max_blocks: usize, max_blocks_per_key: usize) -> Retention {
    Retention::new(RetentionLimits {
        max_blocks,
        max_blocks_per_key,
    })
}

fn key(name: &str) -> RetentionKey {
    Arc::from(name.as_bytes())
}

#[test]
fn each_key_and_all_together_have_their_bounds() {
    let mut retention = retention(3, 2);
    let (a, b) = (key("a"), key("b"));
    let until = Timestamp(9);
    assert!(retention.retain(BlockId(1), 0, until, &a));
    assert!(retention.retain(BlockId(2), 1, until, &a));
    assert!(!retention.retain(BlockId(3), 2, until, &a), "two per key");
    assert!(retention.retain(BlockId(4), 0, until, &b));
    assert!(!retention.retain(BlockId(5), 1, until, &b), "three in all");
    assert!(retention.is_consistent());
    assert!(retention.remove(BlockId(1)));
    assert!(!retention.remove(BlockId(1)));
    assert!(retention.retain(BlockId(5), 1, until, &b));
    assert_eq!(retention.len(), 3);
    assert!(retention.is_consistent());
}

#[test]
fn the_longer_wish_holds_and_pays() {
    let mut retention = retention(9, 1);
    let (a, b) = (key("a"), key("b"));
    assert!(retention.retain(BlockId(1), 0, Timestamp(5), &a));
    assert!(retention.retain(BlockId(1), 0, Timestamp(3), &b));
    assert_eq!(retention.until(BlockId(1)), Some(Timestamp(5)));
    assert!(retention.retain(BlockId(2), 0, Timestamp(5), &b), "free");
    assert!(!retention.retain(BlockId(1), 0, Timestamp(7), &b), "full");
    assert!(retention.retain(BlockId(1), 0, Timestamp(7), &a), "own");
    assert!(retention.remove(BlockId(2)));
    assert!(retention.retain(BlockId(1), 0, Timestamp(8), &b));
    assert!(retention.retain(BlockId(3), 0, Timestamp(1), &a), "freed");
    assert!(retention.is_consistent());
}

#[test]
fn they_end_in_order_and_the_deepest_first() {
    let mut retention = retention(9, 9);
    for (id, depth, until) in [(1, 0, 7), (2, 1, 7), (3, 2, 5), (4, 0, 9)] {
        assert!(retention.retain(BlockId(id), depth, Timestamp(until), &key("k")));
    }
    assert_eq!(retention.pop_ended(Timestamp(4)), None);
    let ended: Vec<BlockId> = std::iter::from_fn(|| retention.pop_ended(Timestamp(7))).collect();
    assert_eq!(ended, [BlockId(3), BlockId(2), BlockId(1)]);
    assert!(retention.until(BlockId(4)).is_some() && retention.is_consistent());
}

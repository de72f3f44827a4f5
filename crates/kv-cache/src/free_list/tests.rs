use std::collections::VecDeque;

use super::{EvictionClass, FreeList};
use crate::BlockId;

#[test]
fn it_behaves_like_a_deque() {
    let num_blocks = 13;
    let mut list = FreeList::new(num_blocks);
    let mut model: VecDeque<BlockId> = (1..num_blocks).map(BlockId).collect();
    let mut state = 1u32;
    for _ in 0..10_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let id = BlockId(1 + (state >> 8) % (num_blocks - 1));
        let at = model.iter().position(|&other| other == id);
        assert_eq!(list.contains(id), at.is_some());
        match ((state >> 20) % 3, at) {
            (0, _) => assert_eq!(list.pop_front(), model.pop_front()),
            (_, Some(at)) => {
                list.remove(id);
                model.remove(at);
            }
            (1, None) => {
                list.push_back(id, EvictionClass::Normal);
                model.push_back(id);
            }
            (_, None) => {
                list.push_front(id);
                model.push_front(id);
            }
        }
        assert!(list.is_consistent());
        assert_eq!(list.len(), model.len());
        assert!(list.iter().eq(model.iter().copied()));
    }
}

#[test]
fn the_null_block_is_never_handed_out() {
    let mut list = FreeList::new(3);
    let handed_out: Vec<_> = std::iter::from_fn(|| list.pop_front()).collect();
    assert_eq!(handed_out, [BlockId(1), BlockId(2)]);
    assert!(list.is_consistent());
}

#[test]
fn retained_blocks_come_after_all_others() {
    let mut list = FreeList::new(6);
    for id in [BlockId(2), BlockId(3)] {
        list.remove(id);
        list.push_back(id, EvictionClass::Retained);
    }
    list.remove(BlockId(1));
    list.push_back(BlockId(1), EvictionClass::Normal);
    assert!(list.is_consistent());
    assert_eq!(list.len(), 5);
    let retained: Vec<_> = list.iter_class(EvictionClass::Retained).collect();
    assert_eq!(retained, [BlockId(2), BlockId(3)]);
    let handed_out: Vec<_> = std::iter::from_fn(|| list.pop_front()).collect();
    assert_eq!(handed_out, [4, 5, 1, 2, 3].map(BlockId));
    assert!(list.is_consistent());
}

//! Which cached block continues a prefix best.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::pool::Parent;
use crate::{BlockHash, BlockId, TokenId};

/// Registered blocks, full or partly filled, ordered by (parent, tokens).
///
/// Among the children of one parent, the longest common prefix with any list of tokens is found at
/// that list's neighbours in lexicographic order, so a search takes O(log n).
#[derive(Debug, Default)]
pub(crate) struct ChildIndex {
    /// Key: a parent in words, then the tokens.
    blocks: BTreeMap<Box<[u32]>, BlockId>,
    /// Where keys to search for are put together.
    key: Vec<u32>,
}

impl ChildIndex {
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn get(&self, parent: Parent, tokens: &[TokenId]) -> Option<BlockId> {
        self.blocks
            .get(make_key(parent, tokens).as_slice())
            .copied()
    }

    /// Registers a block. Its key must be free.
    pub(crate) fn insert(&mut self, parent: Parent, tokens: &[TokenId], id: BlockId) {
        write_key(&mut self.key, parent, tokens);
        let before = self.blocks.insert(self.key.as_slice().into(), id);
        debug_assert!(before.is_none(), "{id:?} hides {before:?}");
    }

    pub(crate) fn remove(&mut self, parent: Parent, tokens: &[TokenId]) {
        write_key(&mut self.key, parent, tokens);
        let removed = self.blocks.remove(self.key.as_slice());
        debug_assert!(removed.is_some(), "a registered block has a key");
    }

    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
    }

    /// The child that shares the longest prefix with `tokens`, and that prefix's length.
    pub(crate) fn longest_match(
        &self,
        parent: Parent,
        tokens: &[TokenId],
    ) -> Option<(BlockId, usize)> {
        let key = make_key(parent, tokens);
        let skip = key.len() - tokens.len();
        let shared = |other: &[u32], id: BlockId| {
            let equal = key
                .iter()
                .zip(other.iter())
                .take_while(|(a, b)| a == b)
                .count();
            (equal > skip).then(|| (id, equal - skip))
        };
        let at = key.as_slice();
        let after = (Bound::Included(at), Bound::Unbounded);
        let after = self.blocks.range::<[u32], _>(after).next();
        let after = after.and_then(|(other, &id)| shared(other, id));
        let before = (Bound::Unbounded, Bound::Excluded(at));
        let before = self.blocks.range::<[u32], _>(before).next_back();
        let before = before.and_then(|(other, &id)| shared(other, id));
        match (after, before) {
            (Some(after), Some(before)) if before.1 > after.1 => Some(before),
            (Some(after), _) => Some(after),
            (None, before) => before,
        }
    }

    /// Whether some child starts with all of `tokens`.
    pub(crate) fn covers(&self, parent: Parent, tokens: &[TokenId]) -> bool {
        let key = make_key(parent, tokens);
        let range = (Bound::Included(key.as_slice()), Bound::Unbounded);
        let next = self.blocks.range::<[u32], _>(range).next();
        next.is_some_and(|(other, _)| other.starts_with(&key))
    }

    /// The child just before `tokens`, if its tokens are the start of them.
    pub(crate) fn covered_by(&self, parent: Parent, tokens: &[TokenId]) -> Option<BlockId> {
        let key = make_key(parent, tokens);
        let skip = key.len() - tokens.len();
        let range = (Bound::Unbounded, Bound::Excluded(key.as_slice()));
        let (other, &id) = self.blocks.range::<[u32], _>(range).next_back()?;
        (other.len() > skip && key.starts_with(other)).then_some(id)
    }
}

fn make_key(parent: Parent, tokens: &[TokenId]) -> Vec<u32> {
    let mut key = Vec::with_capacity(9 + tokens.len());
    write_key(&mut key, parent, tokens);
    key
}

/// The null block is nobody's parent, so a 0 announces a root.
fn write_key(key: &mut Vec<u32>, parent: Parent, tokens: &[TokenId]) {
    key.clear();
    match parent {
        Parent::Block(id) => key.push(id.0),
        Parent::Root(BlockHash(bytes)) => {
            key.push(0);
            key.extend(
                bytes
                    .chunks_exact(4)
                    .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])),
            );
        }
    }
    key.extend(tokens.iter().map(|token| token.0));
}

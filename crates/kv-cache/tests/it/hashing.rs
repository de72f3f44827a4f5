//! Names differ whenever anything differs that the KV depends on.

use std::collections::BTreeSet;

use kv_cache::{BlockHasher, HashChain, TokenId};

use crate::sequence::tokens;

#[test]
fn every_field_changes_the_name() {
    let mut hasher = BlockHasher::new(b"model");
    let root = hasher.root(b"salt");
    let block = tokens(0, 4);
    let first = hasher.block(&root, &block, b"");
    let names = [
        root,
        hasher.root(b""),
        hasher.root(b"sal"),
        BlockHasher::new(b"other").root(b"salt"),
        // The same bytes cut differently between fingerprint and salt.
        BlockHasher::new(b"models").root(b"alt"),
        first,
        hasher.block(&first, &block, b""),
        hasher.block(&root, &block[..3], b""),
        hasher.block(&root, &tokens(1, 4), b""),
        hasher.block(&root, &block, b"image"),
        // A token moved into the extra keys.
        hasher.block(&root, &block[..3], &block[3].0.to_le_bytes()),
    ];
    assert_eq!(BTreeSet::from(names).len(), names.len());
    assert_eq!(
        BlockHasher::new(b"model").root(b"salt"),
        root,
        "names do not depend on the process"
    );
}

/// Hashes outlive a process once KV is kept on disk: a change must come with a new version.
#[test]
fn the_format_is_fixed() {
    let mut hasher = BlockHasher::new(b"model");
    let root = hasher.root(b"salt");
    let block = hasher.block(&root, &[TokenId(1), TokenId(2)], b"");
    let mut message = vec![2, 0, 0, 0, 32, 0, 0, 0];
    message.extend(root.0);
    message.extend([2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let key = blake3::derive_key("purser kv-cache block hash", &[]);
    assert_eq!(block.0, *blake3::keyed_hash(&key, &message).as_bytes());

    let mut message = vec![0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0];
    message.extend(b"model");
    message.extend([4, 0, 0, 0]);
    message.extend(b"salt");
    assert_eq!(root.0, *blake3::keyed_hash(&key, &message).as_bytes());
}

#[test]
fn a_chain_is_the_same_however_it_grows() {
    let mut hasher = BlockHasher::new(b"model");
    let tokens = tokens(3, 103);
    for block_size in [1, 2, 16, 32, 104] {
        let mut whole = HashChain::new(&mut hasher, b"");
        whole.extend(&mut hasher, block_size, &tokens);
        assert_eq!(whole.hashes().len(), tokens.len() / block_size);
        let mut grown = HashChain::new(&mut hasher, b"");
        for len in 0..=tokens.len() {
            grown.extend(&mut hasher, block_size, &tokens[..len]);
        }
        assert_eq!(grown.hashes(), whole.hashes());
    }
}

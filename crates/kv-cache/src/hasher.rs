//! Names content: a hash per full block that also stands for everything before it.

use crate::{BlockHash, TokenId};

/// Part of every hash: raise it when the layout of a message below changes.
const FORMAT_VERSION: u32 = 1;

/// Separates these hashes from any other use of BLAKE3 (its `derive_key` mode asks for one).
const KEY_CONTEXT: &str = "purser kv-cache block hash";

const ROOT_TAG: u32 = 0;
const UNSALTED_ROOT_TAG: u32 = 1;
const BLOCK_TAG: u32 = 2;

/// Hashes blocks with keyed BLAKE3 (256 bits, so that nobody can aim for another's prefix).
///
/// Every variable field of a message is preceded by its length, so that no two different lists of
/// fields are the same bytes:
///
/// - root of a namespace: tag, format version, model fingerprint, salt;
/// - block: tag, parent hash, tokens (little endian), extra keys. The version, the fingerprint and
///   the salt reach it through the parent.
#[derive(Clone)]
pub struct BlockHasher {
    key: [u8; 32],
    fingerprint: Vec<u8>,
    message: Vec<u8>,
}

impl BlockHasher {
    /// A hasher for the KV of one model: another fingerprint gives other hashes throughout.
    pub fn new(fingerprint: &[u8]) -> Self {
        Self {
            key: blake3::derive_key(KEY_CONTEXT, &[]),
            fingerprint: fingerprint.to_vec(),
            message: Vec::new(),
        }
    }

    /// The parent of the first blocks of a namespace: requests share blocks only with requests of
    /// the same salt.
    pub fn root(&mut self, salt: &[u8]) -> BlockHash {
        self.begin(ROOT_TAG);
        self.message
            .extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let fingerprint = std::mem::take(&mut self.fingerprint);
        self.push_bytes(&fingerprint);
        self.fingerprint = fingerprint;
        self.push_bytes(salt);
        self.finish()
    }

    /// The root of no namespace: names a first block's tokens whatever their salt.
    pub(crate) fn unsalted_root(&mut self) -> BlockHash {
        self.begin(UNSALTED_ROOT_TAG);
        self.finish()
    }

    /// The block of `tokens` after `parent`; `extra` holds what else its KV depends on.
    pub fn block(&mut self, parent: &BlockHash, tokens: &[TokenId], extra: &[u8]) -> BlockHash {
        self.begin(BLOCK_TAG);
        self.push_bytes(&parent.0);
        self.push_len(tokens.len());
        let start = self.message.len();
        self.message.resize(start + 4 * tokens.len(), 0);
        for (bytes, token) in self.message[start..].chunks_exact_mut(4).zip(tokens) {
            bytes.copy_from_slice(&token.0.to_le_bytes());
        }
        self.push_bytes(extra);
        self.finish()
    }

    fn begin(&mut self, tag: u32) {
        self.message.clear();
        self.message.extend_from_slice(&tag.to_le_bytes());
    }

    fn push_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("a field is shorter than 4 GiB");
        self.message.extend_from_slice(&len.to_le_bytes());
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        self.push_len(bytes.len());
        self.message.extend_from_slice(bytes);
    }

    fn finish(&self) -> BlockHash {
        BlockHash(*blake3::keyed_hash(&self.key, &self.message).as_bytes())
    }
}

//! The format of segment files.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `PURSERKV` |
//! | 4 | version of the format |
//! | 4 | tokens of a block |
//! | 8 | bytes of a block |
//! | 32 | digest of what the bytes depend on |
//! | 32 | checksum of all before it |
//!
//! Records of one length follow:
//!
//! | bytes | record |
//! |---|---|
//! | 32 | hash of the block and all before it |
//! | 4 each | tokens |
//! | `block_bytes` | keys and values |
//! | 32 | checksum of all before it and of the digest |
//!
//! Numbers are little endian; a checksum is keyed BLAKE3.

/// A 256-bit hash.
pub type Hash = [u8; 32];

/// The digest of what the bytes of a block depend on: all of `parts`, in this order.
pub fn digest(parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("purser kv-store digest");
    for part in parts {
        // The length in front keeps ("a", "bc") and ("ab", "c") apart.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Raise it when the format changes.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"PURSERKV";
const HASH: usize = size_of::<Hash>();
/// Bytes of a header.
pub(crate) const HEADER: usize = 8 + 4 + 4 + 8 + 2 * HASH;

/// What all records of a store have in common.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) digest: Hash,
    pub(crate) block_size: usize,
    pub(crate) block_bytes: usize,
}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it holds other tokens")]
    OtherTokens,
}

impl Format {
    /// Bytes of a record.
    pub(crate) fn record_len(&self) -> usize {
        HASH + 4 * self.block_size + self.block_bytes + HASH
    }

    /// The header of a segment.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&(self.block_size as u32).to_le_bytes());
        header.extend_from_slice(&(self.block_bytes as u64).to_le_bytes());
        header.extend_from_slice(&self.digest);
        let checksum = self.checksum(&header);
        header.extend_from_slice(&checksum);
        header
    }

    /// Makes `record` the record of a block, whose bytes `fill` writes; what `fill` says.
    pub(crate) fn encode(
        &self,
        record: &mut Vec<u8>,
        hash: &Hash,
        tokens: &[u32],
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> bool {
        assert_eq!(tokens.len(), self.block_size, "tokens of a block");
        record.clear();
        record.extend_from_slice(hash);
        for token in tokens {
            record.extend_from_slice(&token.to_le_bytes());
        }
        let start = record.len();
        record.resize(start + self.block_bytes, 0);
        if !fill(&mut record[start..]) {
            return false;
        }
        let checksum = self.checksum(record);
        record.extend_from_slice(&checksum);
        true
    }

    /// The bytes of the block in `record`, if it is whole and that block.
    pub(crate) fn decode<'a>(
        &self,
        record: &'a [u8],
        hash: &Hash,
        tokens: &[u32],
    ) -> Result<&'a [u8], Damage> {
        let (body, checksum) = record.split_at(record.len() - HASH);
        if self.checksum(body) != checksum || &body[..HASH] != hash {
            return Err(Damage::Checksum);
        }
        let (held, bytes) = body[HASH..].split_at(4 * self.block_size);
        let wanted = tokens.iter().flat_map(|token| token.to_le_bytes());
        if !held.iter().copied().eq(wanted) {
            return Err(Damage::OtherTokens);
        }
        Ok(bytes)
    }

    fn checksum(&self, bytes: &[u8]) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.digest);
        hasher.update(bytes);
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format() -> Format {
        Format {
            digest: [7; 32],
            block_size: 3,
            block_bytes: 10,
        }
    }

    fn record(format: &Format) -> Vec<u8> {
        let mut record = Vec::new();
        let done = format.encode(&mut record, &[1; 32], &[5, 6, 7], |out| {
            out.copy_from_slice(b"0123456789");
            true
        });
        assert!(done);
        record
    }

    #[test]
    fn a_record_comes_back_whole() {
        let format = format();
        let record = record(&format);
        assert_eq!(record.len(), format.record_len());
        let bytes = format.decode(&record, &[1; 32], &[5, 6, 7]);
        assert_eq!(bytes, Ok(&b"0123456789"[..]));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let format = format();
        let record = record(&format);
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = format.decode(&flipped, &[1; 32], &[5, 6, 7]);
            assert_eq!(read, Err(Damage::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn other_tokens_hashes_and_digests_do_not_fit() {
        let format = format();
        let record = record(&format);
        let read = |format: &Format, hash: u8, tokens: &[u32]| {
            format.decode(&record, &[hash; 32], tokens).map(<[u8]>::len)
        };
        assert_eq!(read(&format, 1, &[5, 6, 8]), Err(Damage::OtherTokens));
        assert_eq!(read(&format, 2, &[5, 6, 7]), Err(Damage::Checksum));
        let other = Format {
            digest: [8; 32],
            ..format
        };
        assert_eq!(read(&other, 1, &[5, 6, 7]), Err(Damage::Checksum));
    }

    #[test]
    fn headers_differ_in_every_field() {
        let one = format();
        let others = [
            Format {
                digest: [8; 32],
                ..one.clone()
            },
            Format {
                block_size: 4,
                ..one.clone()
            },
            Format {
                block_bytes: 11,
                ..one.clone()
            },
        ];
        assert_eq!(one.header().len(), HEADER);
        for other in others {
            assert_ne!(one.header(), other.header());
        }
    }
}

//! Names of a conversation's beginnings: one key per segment, each standing for all text before it.

/// Part of every key: raise it when the layout of a message below changes.
const FORMAT_VERSION: u64 = 1;

/// Contexts of BLAKE3's `derive_key` mode: no key of one use is a key of another.
const CHAIN_CONTEXT: &str = "purser context edit ledger chain";
const TENANT_CONTEXT: &str = "purser context edit ledger tenant";
const TEXT_CONTEXT: &str = "purser context segment text";

/// What conversations must have in common to share edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerScope<'a> {
    /// What tells tenants apart: no edit of one is ever found by another.
    pub tenant_salt: &'a [u8],
    /// Raised when a change of the policy makes earlier edits useless.
    pub policy_major: u64,
    /// Of the model, its tokenizer and its chat template.
    pub fingerprint: &'a [u8],
}

/// A tenant, by the hash of its salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantKey([u8; 32]);

/// Name of a conversation's first segments: equal if the scope and every byte of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainKey([u8; 32]);

/// The keys of one conversation, fed with its **original** segments from the first on.
///
/// A key is `keyed_hash(scope, key before, digest of the segment)`, with BLAKE3's keyed mode and a
/// key derived from the scope, each of whose variable fields is preceded by its length. So the cost
/// of a segment does not depend on its length once its digest is known.
#[derive(Clone, Debug)]
pub struct SegmentChain {
    tenant: TenantKey,
    scope_key: [u8; 32],
    /// The key of the last segment that is not aside; of none if there is none.
    tip: ChainKey,
    keys: Vec<ChainKey>,
}

/// The digest of a segment: of everything that makes its tokens what they are, field by field (its
/// role, its text, a tool's name ..), each preceded by its length.
///
/// It knows no tenant and no model, so that it may be kept beside the text.
pub fn segment_digest(fields: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(TEXT_CONTEXT);
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    *hasher.finalize().as_bytes()
}

impl TenantKey {
    /// The tenant of that salt.
    pub fn new(tenant_salt: &[u8]) -> Self {
        Self(blake3::derive_key(TENANT_CONTEXT, tenant_salt))
    }
}

impl SegmentChain {
    /// The chain of a conversation without segments.
    pub fn new(scope: &LedgerScope<'_>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CHAIN_CONTEXT);
        hasher.update(&FORMAT_VERSION.to_le_bytes());
        hasher.update(&scope.policy_major.to_le_bytes());
        for field in [scope.tenant_salt, scope.fingerprint] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        let scope_key = *hasher.finalize().as_bytes();
        Self {
            tenant: TenantKey::new(scope.tenant_salt),
            tip: ChainKey(*blake3::keyed_hash(&scope_key, &[]).as_bytes()),
            scope_key,
            keys: Vec::new(),
        }
    }

    /// The chain of a conversation, from the digests of its segments.
    pub fn from_digests<'d>(
        scope: &LedgerScope<'_>,
        digests: impl IntoIterator<Item = &'d [u8; 32]>,
    ) -> Self {
        let mut chain = Self::new(scope);
        for digest in digests {
            chain.push(digest);
        }
        chain
    }

    /// Appends a segment by the digest of its original content, see [`segment_digest`].
    pub fn push(&mut self, digest: &[u8; 32]) -> ChainKey {
        self.tip = self.key(&[&self.tip.0, digest]);
        self.keys.push(self.tip);
        self.tip
    }

    /// Appends a segment that only this request has: no key behind it depends on it, so that what
    /// belongs to later segments is found again when it is gone.
    pub fn push_aside(&mut self, digest: &[u8; 32]) -> ChainKey {
        let key = self.key(&[&self.tip.0, digest, b"aside"]);
        self.keys.push(key);
        key
    }

    fn key(&self, fields: &[&[u8]]) -> ChainKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.scope_key);
        for field in fields {
            hasher.update(field);
        }
        ChainKey(*hasher.finalize().as_bytes())
    }

    /// One key per segment, in order: that of the conversation up to and including it.
    pub fn keys(&self) -> &[ChainKey] {
        &self.keys
    }

    /// Number of segments.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose conversation it is.
    pub fn tenant(&self) -> TenantKey {
        self.tenant
    }
}

//! Whose text it is.

use std::fmt;

/// Somebody who sees only what is their own.
///
/// The store keeps a hash of the identity, so that a stolen file does not give away API keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant([u8; Self::LENGTH]);

impl Tenant {
    pub(crate) const LENGTH: usize = 32;

    /// The tenant of this identity, such as an API key; equal bytes are the same tenant.
    pub fn of(identity: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("purser memory tenant");
        hasher.update(identity);
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Tenant({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

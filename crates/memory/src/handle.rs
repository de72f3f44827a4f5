//! Names of offloaded texts.

use std::fmt::{self, Write};
use std::str::FromStr;

use crate::Tenant;

/// What stands in a prompt for text that was moved out of it: `ctx://` and 20 hexadecimal digits.
///
/// The digits are 80 bits of a hash of the text, keyed by the tenant. So the same text has the same
/// handle every time, a prompt with handles is the same every time, and nobody can find out by a
/// handle what somebody else has stored. More digits would cost more tokens in every prompt; should
/// two texts of a tenant ever meet in one handle, the second is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; Self::LENGTH]);

/// Text that is no handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handle is \"ctx://\" and 20 hexadecimal digits in lower case")]
pub struct MalformedHandle;

impl Handle {
    pub(crate) const LENGTH: usize = 10;
    const SCHEME: &str = "ctx://";

    /// The handle that this text has, stored or not.
    pub fn of(tenant: &Tenant, text: &str) -> Self {
        let hash = blake3::keyed_hash(tenant.bytes(), text.as_bytes());
        let mut digits = [0; Self::LENGTH];
        digits.copy_from_slice(&hash.as_bytes()[..Self::LENGTH]);
        Self(digits)
    }

    pub(crate) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SCHEME)?;
        for byte in self.0 {
            f.write_char(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]))?;
            f.write_char(char::from(b"0123456789abcdef"[usize::from(byte & 15)]))?;
        }
        Ok(())
    }
}

impl FromStr for Handle {
    type Err = MalformedHandle;

    /// # Errors
    /// Anything that [`Handle`]'s `Display` does not write.
    fn from_str(text: &str) -> Result<Self, MalformedHandle> {
        let digits = text.strip_prefix(Self::SCHEME).ok_or(MalformedHandle)?;
        if digits.len() != 2 * Self::LENGTH {
            return Err(MalformedHandle);
        }
        let mut bytes = [0; Self::LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn digit(character: u8) -> Result<u8, MalformedHandle> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(MalformedHandle),
    }
}

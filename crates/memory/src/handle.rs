//! Names of offloaded texts.

use std::fmt::{self, Write};
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::Tenant;

/// What stands in a prompt for text that was moved out of it: `ctx://` and 13 letters.
///
/// The letters are 61 bits of a hash of the text, keyed by the tenant. So the same text has the same
/// handle every time, a prompt with handles is the same every time, and nobody can find out by a
/// handle what somebody else has stored: a handle need only tell one tenant's texts apart, and should
/// two of them ever meet in one, the second is refused. Letters, because what a handle costs stands
/// in every prompt: 13 of them are 10 tokens of a vocabulary of 4,000 and fewer of a larger one,
/// where each digit is a token.
///
/// A handle of the longer form, `ctx://` and 20 hexadecimal digits (80 bits of the same hash), still
/// gives its text back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(Form);

/// Text that is no handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handle is \"ctx://\" and 13 letters in lower case")]
pub struct MalformedHandle;

/// The first 80 bits of a text's hash, under which it is stored.
pub(crate) type Name = [u8; NAME_LENGTH];

pub(crate) const NAME_LENGTH: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    /// The first [`BITS`] bits of a name.
    Letters(u64),
    /// All of it.
    Digits(Name),
}

const SCHEME: &str = "ctx://";

/// Bits of a handle: the most that [`LETTERS`] letters hold.
const BITS: u32 = 61;

const LETTERS: usize = 13;

const ALPHABET: u64 = 26;

impl Handle {
    /// The handle that this text has, stored or not.
    pub fn of(tenant: &Tenant, text: &str) -> Self {
        Self(Form::Letters(first_bits(&name(tenant, text))))
    }

    /// The handle of the usual form for the same text.
    #[must_use]
    pub fn shortened(&self) -> Self {
        match &self.0 {
            Form::Letters(_) => *self,
            Form::Digits(name) => Self(Form::Letters(first_bits(name))),
        }
    }

    /// Whether it is a handle of this text.
    pub fn is_of(&self, tenant: &Tenant, text: &str) -> bool {
        self.names().contains(&name(tenant, text))
    }

    /// The names that it may stand for, as they are ordered.
    pub(crate) fn names(&self) -> RangeInclusive<Name> {
        match self.0 {
            Form::Letters(bits) => {
                let unknown = 64 - BITS;
                let first = bits << unknown;
                let last = first | ((1 << unknown) - 1);
                filled(first, 0)..=filled(last, u8::MAX)
            }
            Form::Digits(name) => name..=name,
        }
    }
}

/// The name under which a text is stored.
pub(crate) fn name(tenant: &Tenant, text: &str) -> Name {
    let hash = blake3::keyed_hash(tenant.bytes(), text.as_bytes());
    let (name, _) = (hash.as_bytes().split_first_chunk()).expect("a hash has 32 bytes");
    *name
}

fn first_bits(name: &Name) -> u64 {
    let (first, _) = name.split_first_chunk().expect("a name has 10 bytes");
    u64::from_be_bytes(*first) >> (64 - BITS)
}

/// A name that begins with these 8 bytes.
fn filled(first: u64, rest: u8) -> Name {
    let mut name = [rest; NAME_LENGTH];
    name[..8].copy_from_slice(&first.to_be_bytes());
    name
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        match self.0 {
            Form::Letters(bits) => {
                let places = (0..LETTERS as u32).rev();
                for value in places.map(|place| bits / ALPHABET.pow(place) % ALPHABET) {
                    f.write_char(char::from(b'a' + value as u8))?;
                }
                Ok(())
            }
            Form::Digits(name) => name.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl FromStr for Handle {
    type Err = MalformedHandle;

    /// # Errors
    /// Anything that [`Handle`]'s `Display` does not write.
    fn from_str(text: &str) -> Result<Self, MalformedHandle> {
        let written = text.strip_prefix(SCHEME).ok_or(MalformedHandle)?.as_bytes();
        if written.len() == LETTERS {
            let bits = written.iter().try_fold(0, |bits: u64, letter| {
                let value = letter.checked_sub(b'a').map(u64::from);
                let value = value.filter(|value| *value < ALPHABET)?;
                Some(bits * ALPHABET + value)
            });
            let bits = bits.filter(|bits| *bits < 1 << BITS);
            return bits
                .map(|bits| Self(Form::Letters(bits)))
                .ok_or(MalformedHandle);
        }
        if written.len() != 2 * NAME_LENGTH {
            return Err(MalformedHandle);
        }
        let mut name = [0; NAME_LENGTH];
        for (byte, pair) in name.iter_mut().zip(written.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Ok(Self(Form::Digits(name)))
    }
}

fn digit(character: u8) -> Result<u8, MalformedHandle> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(MalformedHandle),
    }
}

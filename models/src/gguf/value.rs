//! A value of the metadata.

use std::fmt;

use super::header::read_value;

/// A value; texts and arrays are parts of the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Any float.
    Float(f64),
    /// Truth.
    Bool(bool),
    /// UTF-8.
    Text(&'a str),
    /// Values of one type.
    Array(Array<'a>),
}

/// Values of one type, as they lie in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array<'a> {
    type_id: u32,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// An array of `len` elements whose `bytes` have been walked through.
    pub(super) fn new(type_id: u32, len: usize, bytes: &'a [u8]) -> Self {
        Self {
            type_id,
            len,
            bytes,
        }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The elements.
    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        let (type_id, mut rest) = (self.type_id, self.bytes);
        (0..self.len).map_while(move |_| {
            let (value, len) = read_value(type_id, rest).ok()?;
            rest = &rest[len..];
            Some(value)
        })
    }
}

impl<'a> Value<'a> {
    /// A whole number that is not negative.
    pub(super) fn count(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// Any number.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(number as f64),
            Self::Signed(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            _ => None,
        }
    }

    /// A text.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A truth value.
    pub(super) fn flag(self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// An array.
    pub(super) fn array(self) -> Option<Array<'a>> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }
}

/// For errors: arrays by their length only.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(flag) => flag.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array(array) => write!(f, "an array of {}", array.len()),
        }
    }
}

//! [`PresetName`]: the name of an overlay that a request can ask for.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// Longest name of a preset.
const MAX: usize = 32;

/// A name of 1 to 32 small letters, digits, `-` and `_`. Stored in place, so that a transform can be copied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PresetName {
    bytes: [u8; MAX],
    length: u8,
}

impl PresetName {
    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl FromStr for PresetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if !(1..=MAX).contains(&text.len()) || !text.bytes().all(is_valid) {
            let rule = format!("must be the name of a preset: 1 to {MAX} small letters, digits, - and _");
            return Err(Error::parameter("overlay", rule));
        }
        let mut bytes = [0; MAX];
        bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Ok(PresetName { bytes, length: text.len() as u8 })
    }
}

impl fmt::Display for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

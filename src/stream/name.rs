//! [`StreamName`]: a name that was checked once, so that no later use needs a check.

use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Code, Error};

/// The longest name in bytes, if `limits.name_length` is not shorter. A name becomes a file name in the data folder
/// (with `,` for `/`), and a file name with its extension has at most 255 bytes.
pub const MAX_NAME_BYTES: usize = 240;

/// The name of a stream, in MediaMTX's grammar for path names (`IsValidPathName` in its internal/conf/path.go):
/// letters, digits and `_ - . /`, no slash at either end, no segment `.` or `..`. Case matters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Checks the text. The error names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |rule: &str| Err(Error::new(Code::InvalidName, format!("name: {rule}")).in_field("name"));
        if text.is_empty() {
            return refuse("must not be empty");
        }
        if text.len() > MAX_NAME_BYTES {
            return refuse(&format!("must have at most {MAX_NAME_BYTES} characters, this one has {}", text.len()));
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_-./".contains(*c))) {
            return refuse(&format!("can contain letters, digits and _ - . / only, not {bad:?}"));
        }
        if text.starts_with('/') || text.ends_with('/') {
            return refuse("must not begin or end with a slash");
        }
        if text.split('/').any(|segment| segment == "." || segment == "..") {
            return refuse("must not have a segment that is . or ..");
        }
        Ok(StreamName(text.into()))
    }
}

impl Deref for StreamName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for StreamName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        StreamName::parse(text)
    }
}

impl std::borrow::Borrow<str> for StreamName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for StreamName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StreamName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        StreamName::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mediamtx_accepts_are_accepted_and_keep_their_case() {
        for name in ["cam1", "Front/Door", "a//b", "-x", "192.168.1.20", "a.b/c_d-e", "...", &"n".repeat(240)] {
            assert_eq!(&*StreamName::parse(name).expect(name), name);
        }
    }

    #[test]
    fn names_that_mediamtx_refuses_are_refused_with_the_rule() {
        for (name, rule) in [
            ("", "must not be empty"),
            ("/a", "begin or end with a slash"),
            ("a/", "begin or end with a slash"),
            ("..", ". or .."),
            ("a/../b", ". or .."),
            ("./a", ". or .."),
            ("a b", "not ' '"),
            ("ä", "not 'ä'"),
            ("a\0", "not '\\0'"),
            ("~^cam", "not '~'"),
            ("a,b", "not ','"),
            (&"n".repeat(241), "at most 240"),
        ] {
            let error = StreamName::parse(name).expect_err(name);
            assert!(error.to_string().contains(rule), "{name:?}: {error}");
            assert_eq!(error.code(), Code::InvalidName);
        }
    }
}

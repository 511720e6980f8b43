//! The envelope of every record: which version of its form it has, and who wrote it.
//!
//! During a rolling update old and new nodes work side by side. A record of a newer form is kept as it is: an old node does
//! not read it, does not overwrite it and does not delete it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// The form that this program writes, and the newest one that it reads. It grows when an older program would misunderstand a
/// record; a further optional member needs no new form.
pub const SCHEMA: u32 = 1;

/// A record as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The form of the record.
    pub schema: u32,
    /// The node that wrote it.
    pub by: String,
    /// The content.
    pub record: T,
}

/// What a record is to this program.
#[derive(Clone, Debug, PartialEq)]
pub enum Read<T> {
    /// It was read.
    Known(Envelope<T>),
    /// A newer program wrote it, in this form. It must be kept.
    Newer(u32),
    /// It is damaged, for this reason. It must be kept, too: a person has to look at it.
    Damaged(String),
}

impl<T: Serialize> Envelope<T> {
    /// A record of this program's form.
    pub fn new(by: impl Into<String>, record: T) -> Self {
        Envelope { schema: SCHEMA, by: by.into(), record }
    }

    /// The record as JSON.
    pub fn to_bytes(&self) -> Result<bytes::Bytes> {
        let text = serde_json::to_vec(self).map_err(|e| Error::internal("a record cannot be written as JSON", e))?;
        Ok(text.into())
    }
}

/// Reads a record.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Read<T> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { schema }) if schema > SCHEMA => Read::Newer(schema),
        Ok(_) => match serde_json::from_slice(bytes) {
            Ok(envelope) => Read::Known(envelope),
            Err(e) => Read::Damaged(e.to_string()),
        },
        Err(e) => Read::Damaged(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_newer_form_is_recognised_whatever_it_contains() {
        let own = Envelope::new("a", 7_u8);
        assert_eq!(read::<u8>(&own.to_bytes().expect("writes")), Read::Known(own));
        assert_eq!(read::<u8>(br#"{"schema":1,"by":"a","record":7,"also":[]}"#), Read::Known(Envelope::new("a", 7)));
        assert_eq!(read::<u8>(br#"{"schema":2,"all":"different"}"#), Read::Newer(2));
        for damaged in [&b""[..], b"7", b"{}", br#"{"schema":1,"by":"a","record":"x"}"#, b"\xff"] {
            assert!(matches!(read::<u8>(damaged), Read::Damaged(_)), "{damaged:?}");
        }
    }
}

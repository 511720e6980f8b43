//! Names of subjects, buckets and keys. All of them begin with the prefix, so that several clusters, and other programs, can
//! use one NATS.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The version of the subjects. A message whose form old nodes cannot read gets a subject of another version.
const VERSION: &str = "v1";

/// Makes names beneath one prefix. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names beneath this prefix.
    pub fn new(prefix: &str) -> Self {
        Names { prefix: prefix.to_owned() }
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A subject: `PREFIX.v1.A.B`. Parts that are not words of this program must be a [`token`].
    pub fn subject(&self, parts: &[&str]) -> String {
        let mut subject = format!("{}.{VERSION}", self.prefix);
        for part in parts {
            subject.push('.');
            subject.push_str(part);
        }
        subject
    }

    /// The name of a bucket or of a stream: `PREFIX_NAME`. Names of buckets have no dots.
    pub fn bucket(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// The beginning of the subjects at which answers arrive.
    pub fn inbox(&self) -> String {
        format!("{}.inbox", self.prefix)
    }
}

/// Any text as one token of a subject or of a key. A dot separates tokens, and a key has no other special characters than
/// `-`, `/`, `_` and `=`, so the text is base64url without padding. An empty text is `=`, because a token cannot be empty.
pub fn token(text: &str) -> String {
    if text.is_empty() { "=".into() } else { URL_SAFE_NO_PAD.encode(text) }
}

/// The text of a [`token`]; none if it is no token.
pub fn text_of(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_one_legal_token() {
        for text in ["", "cam", "cam..1", "cam.", "a/b-1", "Büro *", ">", "~^x$"] {
            let token = token(text);
            assert!(
                !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c)),
                "{token}"
            );
            assert_eq!(text_of(&token).as_deref(), Some(text));
        }
        assert_eq!(text_of("*"), None);
    }

    #[test]
    fn names_begin_with_the_prefix() {
        let names = Names::new("mtx");
        assert_eq!(names.subject(&["hb", &token("n")]), "mtx.v1.hb.bg");
        assert_eq!(names.bucket("state"), "mtx_state");
        assert_eq!(names.inbox(), "mtx.inbox");
    }
}

//! [`Subject`]: which streams a publication is of.

use std::{cmp::Ordering, fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::stream::StreamName;

/// Longest regular expression, in bytes.
const MAX_PATTERN: usize = 256;

/// Most bytes of a compiled regular expression: names of a few thousand alternatives.
const MAX_COMPILED: usize = 1 << 20;

/// The key of a publication: a name, or `~` and a regular expression that selects names, as in `mediamtx.yml`.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One stream, or one path of MediaMTX.
    Name(StreamName),
    /// All streams and paths whose name the expression matches.
    Pattern {
        /// The expression with its `~`.
        text: String,
        /// The compiled expression.
        regex: Regex,
    },
}

impl Subject {
    /// The text in the settings.
    pub fn as_str(&self) -> &str {
        match self {
            Subject::Name(name) => name,
            Subject::Pattern { text, .. } => text,
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&StreamName> {
        match self {
            Subject::Name(name) => Some(name),
            Subject::Pattern { .. } => None,
        }
    }

    /// Whether this is a regular expression that matches the name.
    pub fn selects(&self, name: &str) -> bool {
        matches!(self, Subject::Pattern { regex, .. } if regex.is_match(name))
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(expression) = text.strip_prefix('~') else {
            return StreamName::parse(text).map(Subject::Name).map_err(|e| e.to_string());
        };
        if expression.len() > MAX_PATTERN {
            return Err(format!("a regular expression must have at most {MAX_PATTERN} bytes"));
        }
        let compiled = RegexBuilder::new(expression).size_limit(MAX_COMPILED).build();
        let regex = compiled.map_err(|e| {
            // The last line has the reason; the others draw the expression.
            let why = e.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{text:?} is not a valid regular expression: {why}")
        })?;
        Ok(Subject::Pattern { text: text.to_owned(), regex })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Subject {}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subject {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_name_or_an_expression() {
        let read = |text: &str| text.parse::<Subject>();
        assert_eq!(read("Garden/Gate").expect("a name").name().map(|name| &**name), Some("Garden/Gate"));
        let cameras = read("~^cam/(a|b)$").expect("an expression");
        assert_eq!((cameras.selects("cam/a"), cameras.selects("cam/c"), cameras.name()), (true, false, None));
        assert!(read("~gate").expect("an expression").selects("Garden/gate/1"), "not anchored, as in mediamtx.yml");
        for (text, says) in
            [("a b", "not ' '"), ("~(", "not a valid regular expression: unclosed group"), ("~[", "unclosed")]
        {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(read(&format!("~{}", "x".repeat(300))).is_err());
        assert!(read(r"~(\pL{1000}){1000}").is_err_and(|error| error.contains("size limit")));
    }
}

//! [`Subject`]: which streams a publication is of.

use std::{fmt, str::FromStr, sync::Arc};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::stream::StreamName;

/// Longest regular expression, in bytes.
const MAX_PATTERN: usize = 256;

/// Most bytes of a compiled regular expression: names of a few thousand alternatives.
const MAX_COMPILED: usize = 1 << 20;

/// The key of a publication: a name, or `~` and a regular expression that selects names, as in `mediamtx.yml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One stream, or one path of MediaMTX.
    Name(StreamName),
    /// `~` and a valid regular expression: all streams and paths whose name it matches.
    Pattern(Arc<str>),
}

impl Subject {
    /// The text in the settings.
    pub fn as_str(&self) -> &str {
        match self {
            Subject::Name(name) => name,
            Subject::Pattern(text) => text,
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&StreamName> {
        match self {
            Subject::Name(name) => Some(name),
            Subject::Pattern(_) => None,
        }
    }

    /// The regular expression, if it is one.
    pub fn regex(&self) -> Option<Regex> {
        match self {
            Subject::Name(_) => None,
            Subject::Pattern(text) => compile(text.strip_prefix('~')?).ok(),
        }
    }
}

fn compile(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression).size_limit(MAX_COMPILED).build()
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
        compile(expression).map_err(|e| {
            // The last line has the reason; the others draw the expression.
            let why = e.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{text:?} is not a valid regular expression: {why}")
        })?;
        Ok(Subject::Pattern(text.into()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
        let selects = |text: &str, name| read(text).ok().and_then(|one| one.regex()).expect(text).is_match(name);
        assert!(selects("~^cam/(a|b)$", "cam/a") && !selects("~^cam/(a|b)$", "cam/c"));
        assert!(selects("~gate", "Garden/gate/1"), "not anchored, as in mediamtx.yml");
        assert!(selects("~~", "a~b"), "the first ~ alone is none of the expression");
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

//! Names of series, `cpu.usage_idle{cpu=cpu0,host=pi}`, and selectors, which name some of the tags.

use std::{borrow::Cow, fmt, str::FromStr};

/// The name of a series: the part before the tags, and the tags in order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesName {
    /// Such as `cpu.usage_idle`.
    pub base: String,
    /// Key and value.
    pub tags: Vec<(String, String)>,
}

/// Selects the series that have its name and all of its tags; other tags can have any value.
pub type Selector = SeriesName;

impl SeriesName {
    /// Sorts the tags, and removes the space around each part.
    pub fn new(base: &str, tags: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = |text: String| if text.trim().len() == text.len() { text } else { text.trim().to_owned() };
        let mut tags: Vec<_> = tags.into_iter().map(|(key, value)| (trimmed(key), trimmed(value))).collect();
        tags.sort();
        SeriesName { base: base.trim().to_owned(), tags }
    }

    /// Whether this selector selects the series.
    pub fn selects(&self, series: &SeriesName) -> bool {
        self.base == series.base && self.tags.iter().all(|tag| series.tags.contains(tag))
    }
}

/// What separates the parts of a name has a backslash in front where it belongs to a part.
fn escaped(part: &str) -> Cow<'_, str> {
    if !part.contains(['{', '}', ',', '=', '\\', '"']) {
        return part.into();
    }
    let mut text = String::with_capacity(part.len() + 4);
    for c in part.chars() {
        if matches!(c, '{' | '}' | ',' | '=' | '\\' | '"') {
            text.push('\\');
        }
        text.push(c);
    }
    text.into()
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.base))?;
        for (i, (key, value)) in self.tags.iter().enumerate() {
            let before = if i == 0 { '{' } else { ',' };
            write!(f, "{before}{}={}", escaped(key), escaped(value))?;
        }
        if self.tags.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

impl FromStr for SeriesName {
    type Err = String;

    /// Reads the written form. The values of tags can stand in quotes, as in Prometheus.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |rule: &str| format!("{text:?} {rule}; write NAME or NAME{{tag=value,…}}");
        let (mut parts, mut part, mut is_quoted, mut is_closed) = (vec![], String::new(), false, false);
        let mut chars = text.trim().chars();
        while let Some(c) = chars.next() {
            if is_closed {
                return Err(wrong("goes on behind its tags"));
            }
            match c {
                '\\' => part.push(chars.next().ok_or_else(|| wrong("ends with a backslash"))?),
                '"' if !parts.is_empty() => is_quoted = !is_quoted,
                _ if is_quoted => part.push(c),
                '{' if parts.is_empty() => parts.push(std::mem::take(&mut part)),
                '=' | ',' if !parts.is_empty() => {
                    // Keys and values take turns: name, key, value, key, value…
                    if (c == '=') != (parts.len() % 2 == 1) {
                        return Err(wrong("has a tag without a value"));
                    }
                    parts.push(std::mem::take(&mut part));
                }
                '}' if !parts.is_empty() => {
                    if parts.len() % 2 == 0 || (parts.len() == 1 && part.trim().is_empty()) {
                        parts.push(std::mem::take(&mut part));
                    } else {
                        return Err(wrong("has a tag without a value"));
                    }
                    is_closed = true;
                }
                _ => part.push(c),
            }
        }
        if parts.is_empty() {
            parts.push(part);
        } else if !is_closed || is_quoted {
            return Err(wrong("has no end of its tags"));
        }
        let mut parts = parts.into_iter();
        let base = parts.next().unwrap_or_default();
        let mut tags = vec![];
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            tags.push((key, value));
        }
        let name = SeriesName::new(&base, tags);
        if name.base.is_empty() { Err(wrong("has no name")) } else { Ok(name) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_selector_names_some_of_the_tags() {
        let series: SeriesName = "cpu.usage_idle{host=pi, cpu=\"cpu0\"}".parse().expect("a name");
        assert_eq!(series.to_string(), "cpu.usage_idle{cpu=cpu0,host=pi}");
        for (selector, expected) in [
            ("cpu.usage_idle", true),
            ("cpu.usage_idle{}", true),
            ("cpu.usage_idle{cpu=cpu0}", true),
            ("cpu.usage_idle{cpu=cpu1}", false),
            ("cpu.usage_idle{cpu=cpu0,rack=1}", false),
            ("cpu.usage", false),
        ] {
            assert_eq!(selector.parse::<Selector>().expect(selector).selects(&series), expected, "{selector}");
        }
        for wrong in ["", "{a=b}", "x{a}", "x{a=b", "x{a=b}c", "x{a=b,c}", "x{a=b=c}", "x\\", "x{a=\"b}"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_written_name_is_read_as_itself(base in "[^ ]\\PC{0,6}[^ ]", key in "[a-z{}=,\\\\]{1,5}", value in "[a-z{}=,\\\\]{0,5}") {
            let name = SeriesName::new(&base, vec![(key, value)]);
            prop_assume!(!name.base.is_empty());
            prop_assert_eq!(name.to_string().parse::<SeriesName>(), Ok(name));
        }

        #[test]
        fn any_text_is_a_name_or_an_error(text in "\\PC{0,20}") {
            if let Ok(name) = text.parse::<SeriesName>() {
                prop_assert!(!name.base.is_empty());
            }
        }
    }
}

//! Topic names and topic filters (MQTT 3.1.1, section 4.7).

/// Longest topic that is accepted, in bytes. The protocol permits 65,535, which no device uses.
const MAX_TOPIC: usize = 1024;

/// Checks a topic filter, which can have wildcards.
pub fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() || filter.len() > MAX_TOPIC {
        return Err(format!("a topic must have 1 to {MAX_TOPIC} bytes"));
    }
    if filter.chars().any(char::is_control) {
        return Err("a topic must have no control characters".into());
    }
    let count = filter.split('/').count();
    for (i, level) in filter.split('/').enumerate() {
        match level {
            "#" if i + 1 < count => return Err(format!("# in {filter:?} must be the last level")),
            "#" | "+" => {}
            _ if level.contains(['#', '+']) => {
                return Err(format!("a wildcard in {filter:?} must be a whole level: a/+/b or a/#"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks a topic name, which has no wildcards.
pub fn check_name(topic: &str) -> Result<(), String> {
    check_filter(topic)?;
    if has_wildcard(topic) { Err(format!("{topic:?} has a wildcard")) } else { Ok(()) }
}

/// Whether a filter has a wildcard.
pub fn has_wildcard(filter: &str) -> bool {
    filter.contains(['#', '+'])
}

/// Whether each topic that `inner` selects is selected by `outer`, too. False for the few filters of the same meaning in
/// another form, such as `#` and `+/#`.
pub fn covers(outer: &str, inner: &str) -> bool {
    if inner.starts_with('$') && !outer.starts_with('$') {
        return false;
    }
    let mut levels = inner.split('/');
    for part in outer.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            (_, Some("#")) => return false,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// The levels of a topic that stand at the wildcards of a filter. Empty if `#` stands for no level.
pub fn wild_levels<'t>(filter: &str, topic: &'t str) -> Vec<&'t str> {
    let mut levels = topic.split('/');
    let mut wild = vec![];
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", first) => {
                wild.extend(first.into_iter().chain(levels));
                break;
            }
            ("+", level) => wild.extend(level),
            _ => {}
        }
    }
    wild
}

/// Whether a filter selects a topic. Wildcards at the first level select no topic that begins with `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            // Also the level above: a/# selects a.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_select_topics_as_the_protocol_says() {
        for (filter, topic, selects) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/b", "/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
        ] {
            assert_eq!(matches(filter, topic), selects, "{filter} {topic}");
        }
    }

    #[test]
    fn a_wildcard_is_a_whole_level_and_only_filters_have_one() {
        for good in ["a", "/", "a/+/b", "#", "+", "a/#", "+/+/#"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a#", "a/#/b", "a+/b", "a\0b", &"x".repeat(1025)] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
        assert_eq!(check_name("a/b"), Ok(()));
        assert!(check_name("a/+").is_err() && check_name("#").is_err());
    }

    #[test]
    fn the_levels_at_the_wildcards_name_a_topic() {
        for (filter, topic, expected) in [
            ("cam/+/image", "cam/yard/image", &["yard"][..]),
            ("+/cam/+", "a/cam/b", &["a", "b"]),
            ("cam/#", "cam/a/b", &["a", "b"]),
            ("+/x/#", "a/x", &["a"]),
            ("cam/#", "cam", &[]),
            ("#", "/a", &["", "a"]),
        ] {
            assert_eq!(wild_levels(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn a_filter_covers_those_that_select_fewer_topics() {
        for (outer, inner, covered) in [
            ("#", "a/+/b", true),
            ("a/#", "a/+/b", true),
            ("a/#", "a", true),
            ("a/+", "a/b", true),
            ("+/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "a/+/b", false),
            ("a/b", "a/+", false),
            ("b/#", "a/#", false),
            ("#", "$SYS/#", false),
        ] {
            assert_eq!(covers(outer, inner), covered, "{outer} {inner}");
        }
    }

    proptest! {
        #[test]
        fn a_covered_filter_selects_nothing_that_the_other_one_does_not(
            outer in "(a|b|[+])(/(a|b|[+])){0,2}(/#)?", inner in "(a|b|[+])(/(a|b|[+])){0,2}(/#)?", topic in "[ab](/[ab]){0,3}"
        ) {
            prop_assert!(!covers(&outer, &inner) || !matches(&inner, &topic) || matches(&outer, &topic));
            prop_assert!(covers(&outer, &outer));
        }
    }
}

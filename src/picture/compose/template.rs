//! [`Template`]: text with placeholders.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};

/// Longest text of a layer, in bytes.
pub const MAX_TEXT: usize = 500;

/// What placeholders stand for at one moment.
pub struct Moment<'a> {
    /// The stream's name.
    pub name: &'a str,
    /// The present.
    pub now: SystemTime,
    /// When the picture was taken.
    pub captured_at: SystemTime,
    /// Whether the time of the picture is that of `{time}`: a camera's is, and a still shows the present.
    pub has_own_time: bool,
    /// Number of the picture.
    pub seq: u64,
    /// Size in pixels.
    pub size: (u32, u32),
    /// Pictures a second.
    pub fps: f64,
    /// Values that were set at run time, by key.
    pub value: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// A text, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name,
    /// The time of the picture or the present, the time of the picture, or the present; with a format of strftime.
    Time(Clock, String),
    Age,
    Width,
    Height,
    Fps,
    Seq,
    Value(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Usual,
    Captured,
    Now,
}

/// The placeholders, for errors.
const KNOWN: &str =
    "{name} {time:FORMAT} {date} {now:FORMAT} {captured:FORMAT} {age} {width} {height} {fps} {seq} {value:KEY}";

impl Template {
    /// Parses a text. `{{` and `}}` stand for braces. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("must have at most {MAX_TEXT} bytes"));
        }
        let mut parts = vec![];
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '{' if rest.as_str().starts_with('{') => plain.extend(rest.next()),
                '}' if rest.as_str().starts_with('}') => plain.extend(rest.next()),
                '}' => return Err("has a } without a {; write }} for a brace".into()),
                '{' => {
                    let Some((inner, behind)) = up_to_its_brace(rest.as_str()) else {
                        return Err("has a { without a }; write {{ for a brace".into());
                    };
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(placeholder(inner)?);
                    rest = behind.chars();
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template(parts))
    }

    /// Whether the text changes although the picture does not.
    pub(super) fn moves(&self) -> bool {
        self.0.iter().any(|part| match part {
            Part::Time(clock, _) => *clock != Clock::Captured,
            Part::Age | Part::Fps | Part::Value(_) => true,
            _ => false,
        })
    }

    /// The keys of the values that it shows.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(key) => Some(key.as_str()),
            _ => None,
        })
    }

    /// The text at a moment.
    pub(super) fn at(&self, moment: &Moment<'_>, zone: &TimeZone) -> String {
        let mut text = String::new();
        for part in &self.0 {
            // Writing to a string cannot fail.
            let _ = match part {
                Part::Text(plain) => text.write_str(plain),
                Part::Name => text.write_str(moment.name),
                Part::Time(clock, format) => {
                    let at = match clock {
                        Clock::Usual if !moment.has_own_time => moment.now,
                        Clock::Now => moment.now,
                        _ => moment.captured_at,
                    };
                    text.write_str(&formatted(format, at, zone).unwrap_or_default())
                }
                Part::Age => {
                    let age = moment.now.duration_since(moment.captured_at).unwrap_or_default();
                    text.write_str(&in_words(age))
                }
                Part::Width => write!(text, "{}", moment.size.0),
                Part::Height => write!(text, "{}", moment.size.1),
                Part::Fps => write!(text, "{:.1}", moment.fps),
                Part::Seq => write!(text, "{}", moment.seq),
                Part::Value(key) => text.write_str((moment.value)(key).as_deref().unwrap_or("–")),
            };
        }
        text
    }
}

/// Splits a text at the brace that ends its placeholder. The key of a value can have braces of its own: `{value:pi/cpu{cpu=0}}`.
fn up_to_its_brace(text: &str) -> Option<(&str, &str)> {
    let mut open = 0_usize;
    let end = text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        None
    })?;
    let (inner, behind) = text.split_at(end);
    Some((inner, behind.strip_prefix('}')?))
}

fn placeholder(inner: &str) -> Result<Part, String> {
    let (word, argument) = match inner.split_once(':') {
        Some((word, argument)) => (word, Some(argument)),
        None => (inner, None),
    };
    let time = |clock: Clock, usual: &str| {
        let format = argument.unwrap_or(usual);
        let checked = formatted(format, SystemTime::UNIX_EPOCH, &TimeZone::UTC);
        checked.map_err(|e| format!("{{{inner}}}: the format is that of strftime, such as %H:%M:%S: {e}"))?;
        Ok(Part::Time(clock, format.to_owned()))
    };
    match (word, argument) {
        ("name", None) => Ok(Part::Name),
        ("time", _) => time(Clock::Usual, "%T"),
        ("date", None) => time(Clock::Usual, "%F"),
        ("now", _) => time(Clock::Now, "%T"),
        ("captured", _) => time(Clock::Captured, "%T"),
        ("age", None) => Ok(Part::Age),
        ("width", None) => Ok(Part::Width),
        ("height", None) => Ok(Part::Height),
        ("fps", None) => Ok(Part::Fps),
        ("seq", None) => Ok(Part::Seq),
        ("value", Some(key)) if !key.is_empty() => Ok(Part::Value(key.to_owned())),
        _ => Err(format!("{{{inner}}} is none of {KNOWN}")),
    }
}

fn formatted(format: &str, at: SystemTime, zone: &TimeZone) -> Result<String, String> {
    let at = Timestamp::try_from(at).map_err(|e| e.to_string())?;
    strtime::format(format, &at.to_zoned(zone.clone())).map_err(|e| e.to_string())
}

/// An age in whole seconds, minutes, hours or days.
fn in_words(age: Duration) -> String {
    match age.as_secs() {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs @ 7200..172_800 => format!("{} h", secs / 3600),
        secs => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, moment: &Moment<'_>, zone: &str) -> String {
        let zone = TimeZone::get(zone).expect("a zone");
        Template::parse(text).expect("a template").at(moment, &zone)
    }

    fn seconds(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn moment(now: u64) -> Moment<'static> {
        Moment {
            name: "front/door",
            now: seconds(now),
            captured_at: seconds(now - 3),
            has_own_time: true,
            seq: 7,
            size: (640, 480),
            fps: 4.96,
            value: &|key| match key {
                "bed" => Some("61.5 °C".to_owned()),
                "pi/cpu{cpu=0}" => Some("12".to_owned()),
                _ => None,
            },
        }
    }

    #[test]
    fn placeholders_stand_for_the_moment_of_the_picture() {
        let moment = moment(1_700_000_003);
        for (text, expected) in [
            ("{name} {date} {time}", "front/door 2023-11-14 22:13:20"),
            ("{now:%H.%M.%S} {captured:%S}", "22.13.23 20"),
            ("{width}x{height} {fps}/s #{seq} {age}", "640x480 5.0/s #7 3 s"),
            ("Bett {value:bed} {value:gone}", "Bett 61.5 °C –"),
            ("{value:pi/cpu{cpu=0}}%", "12%"),
            ("{{name}} 100 %", "{name} 100 %"),
            ("", ""),
        ] {
            assert_eq!(at(text, &moment, "UTC"), expected);
        }
        let still = Moment { has_own_time: false, ..moment };
        assert_eq!(at("{time} {captured:%T}", &still, "UTC"), "22:13:23 22:13:20");
    }

    #[test]
    fn zones_have_their_daylight_saving_time() {
        // The clocks of Berlin go from 02:00 to 03:00 on 2026-03-29 and from 03:00 to 02:00 on 2026-10-25, at 01:00 UTC.
        for (utc, expected) in [
            (1_774_745_999, "2026-03-29 01:59:59 CET"),
            (1_774_746_000, "2026-03-29 03:00:00 CEST"),
            (1_792_889_999, "2026-10-25 02:59:59 CEST"),
            (1_792_890_000, "2026-10-25 02:00:00 CET"),
        ] {
            assert_eq!(at("{now:%F %T %Z}", &moment(utc), "Europe/Berlin"), expected);
        }
        assert_eq!(at("{now:%T %z}", &moment(1_774_746_000), "Asia/Tokyo"), "10:00:00 +0900");
        assert_eq!(at("{now:%T}", &moment(1_774_746_000), "Asia/Kathmandu"), "06:45:00");
    }

    #[test]
    fn an_invalid_template_says_what_is_wrong() {
        for (text, says) in [
            ("{", "without a }"),
            ("a}", "without a {"),
            ("{value:a{b}", "without a }"),
            ("{nme}", "{nme} is none of {name}"),
            ("{value:}", "{value:} is none of"),
            ("{name:x}", "{name:x} is none of"),
            ("{time:%!}", "strftime"),
            (&"x".repeat(501), "at most 500"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn only_texts_about_the_present_move() {
        for (text, moves) in [
            ("{name} {seq} {width}", false),
            ("{captured:%T}", false),
            ("{time}", true),
            ("{now:%H}", true),
            ("{age}", true),
            ("{value:x}", true),
        ] {
            assert_eq!(Template::parse(text).expect("a template").moves(), moves, "{text}");
        }
    }
}

//! InfluxDB's line protocol, as Telegraf and many devices write it:
//! `cpu,host=pi usage_idle=98.5,ticks=3i 1700000000000000000`.
//!
//! Each numeric field is one series, `cpu.usage_idle{host=pi}`. Booleans are 0 and 1, and texts are left out.

use super::{Sample, SeriesName, read};

/// Most bytes of one line.
pub const MAX_LINE: usize = 64 << 10;

/// The unit of the times in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `ns`, `n`, and what is meant without the parameter.
    #[default]
    Nanoseconds,
    /// `us`, `u`, `µ`.
    Microseconds,
    /// `ms`.
    Milliseconds,
    /// `s`.
    Seconds,
    /// `m`, of InfluxDB 1.
    Minutes,
    /// `h`, of InfluxDB 1.
    Hours,
}

impl Precision {
    /// Reads the parameter `precision`.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "" | "ns" | "n" => Precision::Nanoseconds,
            "us" | "u" | "µ" => Precision::Microseconds,
            "ms" => Precision::Milliseconds,
            "s" => Precision::Seconds,
            "m" => Precision::Minutes,
            "h" => Precision::Hours,
            other => return Err(format!("must be ns, us, ms, s, m or h, not {:?}", read::shortened(other))),
        })
    }

    fn microseconds(self, time: i64) -> i64 {
        let factor = match self {
            Precision::Nanoseconds => return time.div_euclid(1000),
            Precision::Microseconds => 1,
            Precision::Milliseconds => 1_000,
            Precision::Seconds => 1_000_000,
            Precision::Minutes => 60_000_000,
            Precision::Hours => 3_600_000_000,
        };
        time.saturating_mul(factor)
    }
}

/// The numbers of a body, and why its first wrong line was left out.
#[derive(Debug, Default, PartialEq)]
pub struct Lines {
    /// The numbers of the lines that can be read.
    pub samples: Vec<Sample>,
    /// Lines that cannot be read.
    pub wrong: usize,
    /// Why the first of them cannot, with its number.
    pub reason: Option<String>,
}

/// Reads a body. As in InfluxDB, a wrong line does not spoil the others.
pub fn lines(data: &[u8], precision: Precision) -> Lines {
    let mut read = Lines::default();
    for (number, line) in split(data).enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Err(why) = one_line(line, precision, &mut read.samples) {
            read.wrong += 1;
            read.reason.get_or_insert_with(|| format!("line {}: {why}", number + 1));
        }
    }
    read
}

/// Splits at line ends, except those in a quoted text.
fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let at = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = at.iter().position(|byte| {
            let was_escaped = is_escaped;
            is_escaped = *byte == b'\\' && !was_escaped;
            match byte {
                b'"' if !was_escaped => is_quoted = !is_quoted,
                b'\n' => return !is_quoted,
                _ => {}
            }
            false
        });
        // A quote without its end spoils its own line alone.
        let end = end.or_else(|| if is_quoted { memchr::memchr(b'\n', at) } else { None });
        let (line, behind) = match end {
            Some(end) => (at.get(..end), at.get(end + 1..)),
            None => (Some(at), None),
        };
        rest = behind;
        line
    })
}

fn one_line(line: &[u8], precision: Precision, to: &mut Vec<Sample>) -> Result<(), String> {
    if line.len() > MAX_LINE {
        return Err(format!("has more than {MAX_LINE} bytes"));
    }
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    let (key, rest) = cut(line, ' ', false).ok_or("has no fields; write measurement field=value")?;
    let (fields, time) = match cut(rest.trim_start_matches(' '), ' ', true) {
        Some((fields, time)) => (fields, time.trim()),
        None => (rest.trim_start_matches(' '), ""),
    };
    let at = match time {
        "" => None,
        time => {
            let parsed: i64 = time.parse().map_err(|_| format!("{:?} is not a time", read::shortened(time)))?;
            Some(precision.microseconds(parsed))
        }
    };
    let mut parts = parts(key, ',', false);
    let measurement = plain(parts.next().unwrap_or_default());
    if measurement.trim().is_empty() {
        return Err("has no measurement".into());
    }
    let mut tags = vec![];
    for tag in parts {
        let (name, value) =
            cut(tag, '=', false).ok_or_else(|| format!("the tag {:?} has no value", read::shortened(tag)))?;
        tags.push((plain(name), plain(value)));
    }
    let before = to.len();
    let mut read_all = || {
        for field in self::parts(fields, ',', true) {
            let (name, value) =
                cut(field, '=', false).ok_or_else(|| format!("the field {:?} has no value", read::shortened(field)))?;
            let Some(value) = number(value)? else { continue };
            let base = format!("{measurement}.{}", plain(name));
            let series = read::bounded(&SeriesName::new(&base, tags.clone()))?;
            if to.len() >= read::MAX_SAMPLES {
                return Err(format!("more than {} numbers in one body", read::MAX_SAMPLES));
            }
            to.push(Sample { series, at, value });
        }
        Ok(())
    };
    let read = read_all();
    if read.is_err() {
        to.truncate(before);
    }
    read
}

/// A field's value: a number; none for a text.
fn number(text: &str) -> Result<Option<f64>, String> {
    let wrong = || format!("{:?} is not a value", read::shortened(text));
    if text.starts_with('"') {
        return if text.len() > 1 && text.ends_with('"') { Ok(None) } else { Err(wrong()) };
    }
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(Some(1.0)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(Some(0.0)),
        _ => {}
    }
    if let Some(digits) = text.strip_suffix('i') {
        return digits.parse::<i64>().map(|n| Some(n as f64)).map_err(|_| wrong());
    }
    if let Some(digits) = text.strip_suffix('u') {
        return digits.parse::<u64>().map(|n| Some(n as f64)).map_err(|_| wrong());
    }
    // InfluxDB refuses NaN and infinity, and so do its writers; a device that sends them means a gap.
    text.parse().map(|n| Some(read::finite(n))).map_err(|_| wrong())
}

/// Cuts at the first separator that is not escaped and, if `quotes` count, not in a quoted text.
fn cut(text: &str, separator: char, quotes: bool) -> Option<(&str, &str)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let at = text.char_indices().find(|(_, c)| {
        let was_escaped = is_escaped;
        is_escaped = *c == '\\' && !was_escaped;
        if *c == '"' && quotes && !was_escaped {
            is_quoted = !is_quoted;
        }
        *c == separator && !was_escaped && !is_quoted
    });
    let (at, _) = at?;
    let (before, behind) = text.split_at(at);
    Some((before, behind.strip_prefix(separator)?))
}

fn parts(text: &str, separator: char, quotes: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match cut(text, separator, quotes) {
            Some((part, behind)) => {
                rest = Some(behind);
                Some(part)
            }
            None => rest.take(),
        }
    })
}

/// Removes the backslash in front of what needs one. Any other backslash is itself.
fn plain(text: &str) -> String {
    let (mut plain, mut chars) = (String::with_capacity(text.len()), text.chars().peekable());
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next @ (',' | '=' | ' ')) if c == '\\' => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, f64)> {
        let read = lines(text.as_bytes(), Precision::Nanoseconds);
        assert_eq!(read.reason, None, "{text}");
        read.samples.into_iter().map(|sample| (sample.series, sample.value)).collect()
    }

    /// The bytes that Telegraf 1.24.3 writes with its default settings (inputs cpu, disk and system).
    const TELEGRAF: &str = "cpu,cpu=cpu-total,host=pi usage_user=2.25,usage_idle=96.5,usage_iowait=0 1700000000000000000\n\
        disk,device=mmcblk0p2,fstype=ext4,host=pi,mode=rw,path=/ free=11036934144i,used_percent=21.07341 1700000000000000000\n\
        system,host=pi load1=0.12,n_cpus=4i 1700000000000000000\n\
        system,host=pi uptime_format=\"12 days,  3:04\" 1700000000000000000\n";

    #[test]
    fn telegrafs_bytes_are_series() {
        let read = lines(TELEGRAF.as_bytes(), Precision::Nanoseconds);
        assert_eq!((read.wrong, read.reason), (0, None));
        let names: Vec<_> = read.samples.iter().map(|sample| sample.series.as_str()).collect();
        assert_eq!(
            names,
            [
                "cpu.usage_user{cpu=cpu-total,host=pi}",
                "cpu.usage_idle{cpu=cpu-total,host=pi}",
                "cpu.usage_iowait{cpu=cpu-total,host=pi}",
                "disk.free{device=mmcblk0p2,fstype=ext4,host=pi,mode=rw,path=/}",
                "disk.used_percent{device=mmcblk0p2,fstype=ext4,host=pi,mode=rw,path=/}",
                "system.load1{host=pi}",
                "system.n_cpus{host=pi}",
            ]
        );
        assert_eq!(read.samples[3].value, 11_036_934_144.0);
        assert!(read.samples.iter().all(|sample| sample.at == Some(1_700_000_000_000_000)));
    }

    #[test]
    fn escapes_types_and_quotes_are_those_of_influxdb() {
        for (text, expected) in [
            ("m f=1", vec![("m.f", 1.0)]),
            ("m f=1 ", vec![("m.f", 1.0)]),
            ("m  f=-1.5e3", vec![("m.f", -1500.0)]),
            ("m f=3i,g=4u,h=t,i=FALSE", vec![("m.f", 3.0), ("m.g", 4.0), ("m.h", 1.0), ("m.i", 0.0)]),
            (r"my\ room,a\,b=c\=d tem\ p=1", vec![(r"my room.tem p{a\,b=c\=d}", 1.0)]),
            ("m s=\"a,b=c \\\" d\ne\",f=2", vec![("m.f", 2.0)]),
            ("# comment\n\nm f=1\r\nm f=2\r\n", vec![("m.f", 1.0), ("m.f", 2.0)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn each_precision_has_its_unit() {
        for (word, time) in [
            ("", 1_700_000_040_000_000_000),
            ("ns", 1_700_000_040_000_000_000),
            ("us", 1_700_000_040_000_000),
            ("ms", 1_700_000_040_000),
            ("s", 1_700_000_040_i64),
            ("m", 28_333_334),
        ] {
            let precision = Precision::parse(word).expect(word);
            let read = lines(format!("m f=1 {time}").as_bytes(), precision);
            assert_eq!(read.samples[0].at, Some(1_700_000_040_000_000), "{word}");
        }
        assert!(Precision::parse("days").expect_err("no unit").contains("ns, us, ms"));
    }

    #[test]
    fn a_wrong_line_is_named_and_the_others_count() {
        for (wrong, says) in [
            ("m", "has no fields"),
            ("m f", "the field \"f\" has no value"),
            ("m f=", "is not a value"),
            ("m f=1x", "\"1x\" is not a value"),
            ("m f=1 soon", "\"soon\" is not a time"),
            ("m f=1 99999999999999999999", "is not a time"),
            (",a=b f=1", "has no measurement"),
            ("m,a f=1", "the tag \"a\" has no value"),
            ("m f=1,g=\"open", "is not a value"),
            ("m f=9223372036854775808i", "is not a value"),
        ] {
            let read = lines(format!("ok f=1\n{wrong}\nok f=2").as_bytes(), Precision::Nanoseconds);
            let reason = read.reason.expect(wrong);
            assert!(reason.starts_with("line 2: ") && reason.contains(says), "{wrong}: {reason}");
            assert_eq!((read.wrong, read.samples.len()), (1, 2), "{wrong}");
        }
        let long = format!("m{} f=1", ",tag=value".repeat(7000));
        assert!(lines(long.as_bytes(), Precision::Seconds).reason.expect("long").contains("bytes"));
        assert_eq!(lines(b"m f=1\n\xff f=1", Precision::Seconds).wrong, 1);
        let times = lines(b"m f=1 9223372036854775807\nm f=1 -9223372036854775808", Precision::Hours);
        assert_eq!(times.samples.len(), 2, "times saturate");
    }
}

//! Reads numbers as programs send them: JSON, CSV, or one number.

use serde_json::{Map, Value};

use super::{MAX_SERIES_NAME, Sample, SeriesName, time};

/// Most samples of one body. A body of the largest size has fewer in any usual form.
pub const MAX_SAMPLES: usize = 500_000;

/// Levels of objects in a JSON document.
const MAX_DEPTH: usize = 8;

/// Members of a JSON object that hold its time.
const TIME_KEYS: [&str; 3] = ["t", "time", "timestamp"];

/// Words for a gap.
const GAPS: [&str; 5] = ["null", "nan", "na", "none", "-"];

/// Reads a body. `kind` is its media type. A type that tells nothing is of no account: curl calls all that it posts a form.
///
/// `series` is the name of a number without one. The error names the place.
pub fn body(data: &[u8], kind: &str, series: &str) -> Result<Vec<Sample>, String> {
    let text = std::str::from_utf8(data).map_err(|e| format!("the body is not UTF-8 at byte {}", e.valid_up_to()))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if text.is_empty() {
        return Err("the body is empty".into());
    }
    match kind.as_str() {
        "text/csv" => csv(text, series),
        _ if kind.ends_with("json") || text.starts_with(['{', '[']) => json(text, series),
        _ => match number(text) {
            Some(value) => Ok(vec![Sample { series: checked(series)?, at: None, value }]),
            None if text.contains(['\n', ',', ';', '\t']) => csv(text, series),
            None => Err(format!("{:?} is neither a number nor JSON nor CSV", shortened(text))),
        },
    }
}

/// A number, or a word for a gap. A decimal comma is read where no list is meant.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if GAPS.iter().any(|gap| text.eq_ignore_ascii_case(gap)) {
        return Some(f64::NAN);
    }
    // Rust reads more words as numbers: `inf`, `infinity`.
    let begins = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse::<f64>().ok().filter(|_| begins).map(finite)
}

/// Infinity has no place on a picture: it is a gap.
pub(super) fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn checked(series: &str) -> Result<String, String> {
    // A member can have tags in its name. Any other text is a name, too.
    let name = series.parse().unwrap_or_else(|_| SeriesName::new(series, []));
    if name.base.is_empty() {
        return Err("the name of a series is empty".into());
    }
    bounded(&name)
}

/// The written name, if it is short enough.
pub(super) fn bounded(name: &SeriesName) -> Result<String, String> {
    let text = name.to_string();
    if text.len() > MAX_SERIES_NAME {
        let begin = shortened(&text);
        return Err(format!("the name of the series {begin}… has more than {MAX_SERIES_NAME} bytes"));
    }
    Ok(text)
}

/// Reads an object, or a list of objects. Members of objects in it are named `outer.inner`. A number by itself is one of `series`.
pub fn json(text: &str, series: &str) -> Result<Vec<Sample>, String> {
    let document = serde_json::from_str(text).or_else(|e| {
        // Python's json writes NaN and Infinity, which JSON does not have (RFC 8259, section 6).
        let repaired = without_nan(text).ok_or(())?;
        serde_json::from_str(&repaired).map_err(|_| ()).map_err(|()| drop(e))
    });
    let document: Value = match document {
        Ok(document) => document,
        Err(()) => {
            return Err(serde_json::from_str::<Value>(text)
                .err()
                .map_or_else(String::new, |e| format!("not JSON: {e}")));
        }
    };
    let mut samples = vec![];
    match document {
        Value::Object(members) => object(&members, "", None, 0, &mut samples)?,
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let at = |why: String| format!("item {i}: {why}");
                match item {
                    Value::Object(members) => object(members, "", None, 0, &mut samples).map_err(at)?,
                    other => scalar(other, series, None, &mut samples).map_err(at)?,
                }
            }
        }
        other => scalar(&other, series, None, &mut samples)?,
    }
    Ok(samples)
}

fn object(
    members: &Map<String, Value>,
    before: &str,
    at: Option<i64>,
    depth: usize,
    to: &mut Vec<Sample>,
) -> Result<(), String> {
    if depth >= MAX_DEPTH {
        return Err(format!("the document has more than {MAX_DEPTH} levels"));
    }
    let time_key = TIME_KEYS.into_iter().find(|key| members.contains_key(*key));
    let at = match time_key.and_then(|key| members.get(key)) {
        None | Some(Value::Null) => at,
        Some(value) => Some(time_of(value)?),
    };
    for (key, value) in members.iter().filter(|(key, _)| Some(key.as_str()) != time_key) {
        let name = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
        match value {
            Value::Object(inner) => object(inner, &name, at, depth + 1, to)?,
            value => scalar(value, &name, at, to)?,
        }
    }
    Ok(())
}

fn time_of(value: &Value) -> Result<i64, String> {
    let at = match value {
        Value::Number(number) => number.as_f64().and_then(time::of_number),
        Value::String(text) => time::of_text(text),
        _ => None,
    };
    at.ok_or_else(|| "the time must be seconds or milliseconds since 1970, or a date as in RFC 3339".to_owned())
}

fn scalar(value: &Value, name: &str, at: Option<i64>, to: &mut Vec<Sample>) -> Result<(), String> {
    let value = match value {
        Value::Null => f64::NAN,
        Value::Bool(is_on) => f64::from(u8::from(*is_on)),
        Value::Number(number) => finite(number.as_f64().unwrap_or(f64::NAN)),
        // Devices send numbers as texts, and other texts beside them.
        Value::String(text) => match number(text) {
            Some(value) => value,
            None => return Ok(()),
        },
        Value::Array(_) | Value::Object(_) => return Err(format!("{}: must be a number, not a list", shortened(name))),
    };
    if to.len() >= MAX_SAMPLES {
        return Err(format!("more than {MAX_SAMPLES} numbers in one body"));
    }
    to.push(Sample { series: checked(name)?, at, value });
    Ok(())
}

/// The text with `null` for each NaN and Infinity outside of strings; none if there is none.
fn without_nan(text: &str) -> Option<String> {
    let (mut repaired, mut rest, mut found) = (String::with_capacity(text.len()), text, false);
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut is_escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !is_escaped;
                is_escaped = *c == '\\' && !is_escaped;
                ends
            });
            let (string, behind) = rest.split_at(end.map_or(rest.len(), |(i, _)| i + 1));
            repaired.push_str(string);
            rest = behind;
            continue;
        }
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        match word {
            Some(word) => {
                repaired.push_str("null");
                found = true;
                rest = rest.strip_prefix(word).unwrap_or_default();
            }
            None => {
                repaired.push(c);
                rest = rest.strip_prefix(c).unwrap_or_default();
            }
        }
    }
    found.then_some(repaired)
}

/// Reads rows. The first line can name the columns; a column `time` (or `t`, `timestamp`) has the times. Without names, a row of one number
/// is one of `series`, and a longer row begins with its time.
pub fn csv(text: &str, series: &str) -> Result<Vec<Sample>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    let Some((_, first)) = lines.peek().copied() else { return Err("the body is empty".into()) };
    let separator = ['\t', ';', ','].into_iter().find(|c| first.contains(*c)).unwrap_or(',');
    let has_names = fields(first, separator).any(|field| !is_value(&field, separator));
    let mut columns: Vec<String> = fields(first, separator).collect();
    if has_names {
        lines.next();
    } else {
        let single = columns.len() == 1;
        for (i, column) in columns.iter_mut().enumerate() {
            *column = match i {
                0 if single => series.to_owned(),
                0 => "time".to_owned(),
                1 => series.to_owned(),
                n => format!("{series}{n}"),
            };
        }
    }
    let is_time = |name: &str| TIME_KEYS.iter().any(|key| name.eq_ignore_ascii_case(key));
    let mut samples = vec![];
    for (i, line) in lines {
        let row = || format!("line {}", i + 1);
        let values: Vec<String> = fields(line, separator).collect();
        if values.len() > columns.len() {
            return Err(format!("{}: {} columns, and the first line has {}", row(), values.len(), columns.len()));
        }
        let time = columns.iter().zip(&values).find(|(name, _)| is_time(name)).map(|(_, text)| text.as_str());
        let at = match time {
            None | Some("") => None,
            Some(text) => {
                Some(time::of_text(text).ok_or_else(|| format!("{}: {:?} is not a time", row(), shortened(text)))?)
            }
        };
        for (name, text) in columns.iter().zip(&values).filter(|(name, text)| !is_time(name) && !text.is_empty()) {
            let value = decimal(text, separator);
            let value = value.ok_or_else(|| format!("{}: {:?} is not a number", row(), shortened(text)))?;
            if samples.len() >= MAX_SAMPLES {
                return Err(format!("more than {MAX_SAMPLES} numbers in one body"));
            }
            samples.push(Sample { series: checked(name).map_err(|e| format!("{}: {e}", row()))?, at, value });
        }
    }
    Ok(samples)
}

fn fields(line: &str, separator: char) -> impl Iterator<Item = String> {
    line.split(separator).map(|field| field.trim().trim_matches('"').trim().to_owned())
}

/// Programs of countries with a decimal comma separate by semicolons or tabs.
fn decimal(text: &str, separator: char) -> Option<f64> {
    number(text).or_else(|| (separator != ',').then(|| number(&text.replacen(',', ".", 1))).flatten())
}

fn is_value(field: &str, separator: char) -> bool {
    field.is_empty() || decimal(field, separator).is_some() || time::of_text(field).is_some()
}

/// The number in a message: a number, or the member of a JSON document at a pointer (RFC 6901). Without a pointer, each number of the
/// document is one, named by its members.
pub fn message(data: &[u8], pointer: Option<&str>, series: &SeriesName) -> Result<Vec<Sample>, String> {
    let name = series.to_string();
    let Some(pointer) = pointer else {
        let mut samples = body(data, "", &name)?;
        for sample in samples.iter_mut().filter(|sample| sample.series != name) {
            let member = format!("{}.{}", series.base, sample.series);
            sample.series = bounded(&SeriesName { base: member, tags: series.tags.clone() })?;
        }
        return Ok(samples);
    };
    let document: Value = serde_json::from_slice(data).map_err(|e| format!("the message is not JSON: {e}"))?;
    let found = document.pointer(pointer).ok_or_else(|| format!("the message has nothing at {pointer}"))?;
    let mut samples = vec![];
    scalar(found, &name, None, &mut samples)?;
    if samples.is_empty() {
        return Err(format!("the message has no number at {pointer}"));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, kind: &str) -> Vec<(String, Option<i64>, f64)> {
        let samples = body(text.as_bytes(), kind, "value").unwrap_or_else(|e| panic!("{text}: {e}"));
        samples.into_iter().map(|sample| (sample.series, sample.at, sample.value)).collect()
    }

    fn sample(name: &str, seconds: Option<i64>, value: f64) -> (String, Option<i64>, f64) {
        (name.to_owned(), seconds.map(|seconds| seconds * time::SECOND), value)
    }

    #[test]
    fn every_form_is_read_whatever_its_type_is_called() {
        let form = "application/x-www-form-urlencoded";
        for (text, kind, expected) in [
            ("41.5", form, vec![sample("value", None, 41.5)]),
            (" -3e2\n", "text/plain", vec![sample("value", None, -300.0)]),
            (r#"{"cpu":41.5,"mem":63,"name":"pi"}"#, form, vec![sample("cpu", None, 41.5), sample("mem", None, 63.0)]),
            (
                r#"{"t":1700000000,"on":true,"text":"7.5"}"#,
                "",
                vec![sample("on", Some(1_700_000_000), 1.0), sample("text", Some(1_700_000_000), 7.5)],
            ),
            (
                r#"[{"time":1700000000000,"a":1},{"timestamp":"2023-11-14T22:13:21Z","a":2}]"#,
                "application/json",
                vec![sample("a", Some(1_700_000_000), 1.0), sample("a", Some(1_700_000_001), 2.0)],
            ),
            (
                r#"{"bed":{"actual":60.5,"target":60}}"#,
                "",
                vec![sample("bed.actual", None, 60.5), sample("bed.target", None, 60.0)],
            ),
            (
                "time,cpu,mem\n1700000000,1,2\n1700000001,,4\n",
                "text/csv",
                vec![
                    sample("cpu", Some(1_700_000_000), 1.0),
                    sample("mem", Some(1_700_000_000), 2.0),
                    sample("mem", Some(1_700_000_001), 4.0),
                ],
            ),
            (
                "1700000000;1,5\r\n1700000001;2,5\r\n",
                "",
                vec![sample("value", Some(1_700_000_000), 1.5), sample("value", Some(1_700_000_001), 2.5)],
            ),
            ("\u{feff}\"Zeit\";\"Bett\"\n", "", vec![]),
            ("1\n2\n", "", vec![sample("value", None, 1.0), sample("value", None, 2.0)]),
        ] {
            assert_eq!(read(text, kind), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_a_gap() {
        for text in [
            "NaN",
            r#"{"value":null}"#,
            r#"{"value": NaN}"#,
            r#"[{"value": -Infinity}]"#,
            r#"{"value":"nan"}"#,
            "value\nnull\n",
            "1e400",
        ] {
            let samples = read(text, "");
            assert!(samples.len() == 1 && samples[0].0 == "value" && samples[0].2.is_nan(), "{text}: {samples:?}");
        }
        assert_eq!(read(r#"{"a \"NaN\\":1}"#, "").len(), 1, "strings stay as they are");
    }

    #[test]
    fn an_error_names_the_place() {
        let long = format!(r#"{{"{}":1}}"#, "n".repeat(MAX_SERIES_NAME + 1));
        let deep = r#"{"a":"#.repeat(20) + "1" + &"}".repeat(20);
        for (text, says) in [
            ("", "empty"),
            ("inf", "neither a number"),
            ("hello", "neither a number nor JSON nor CSV"),
            ("{\"a\":", "not JSON"),
            ("{\"a\":[1]}", "a: must be a number"),
            ("[1,{\"t\":\"soon\",\"a\":1}]", "item 1: the time must be"),
            ("time,a\nx,1\n", "line 2: \"x\" is not a time"),
            ("a,b\n1,2,3\n", "line 2: 3 columns"),
            ("a,b\n1,x\n", "line 2: \"x\" is not a number"),
            (long.as_str(), "more than 400 bytes"),
            (deep.as_str(), "levels"),
        ] {
            let error = body(text.as_bytes(), "", "value").expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(body(b"\xff", "", "value").expect_err("no text").contains("UTF-8"));
        assert!(body("[".repeat(100_000).as_bytes(), "", "value").is_err(), "no stack is exhausted");
    }

    #[test]
    fn a_message_has_a_number_or_a_document() {
        let series: SeriesName = "bed".parse().expect("a name");
        let names = |data: &str, pointer| {
            let samples = message(data.as_bytes(), pointer, &series)?;
            Ok::<_, String>(samples.into_iter().map(|sample| (sample.series, sample.value)).collect::<Vec<_>>())
        };
        assert_eq!(names("21.5", None), Ok(vec![("bed".into(), 21.5)]));
        assert_eq!(
            names(r#"{"temperature":21.5,"battery":90}"#, None).map(|all| all[0].clone()),
            Ok(("bed.battery".into(), 90.0))
        );
        assert_eq!(names(r#"{"a":{"b/c":"7"}}"#, Some("/a/b~1c")), Ok(vec![("bed".into(), 7.0)]));
        for (data, pointer) in [("ON", None), ("{}", Some("/a")), (r#"{"a":"on"}"#, Some("/a")), ("x", Some("/a"))] {
            assert!(names(data, pointer).is_err(), "{data}");
        }
    }
}

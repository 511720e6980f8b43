//! The changes after which MediaMTX has the defined paths. Pure.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::mediamtx::Fields;

/// One change at MediaMTX.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Adds the path.
    Add(Fields),
    /// Sets these settings, which differ.
    Patch(Fields),
    /// Replaces all settings: some that the sidecar has set must return to their defaults.
    Replace(Fields),
    /// Removes the path.
    Delete,
}

/// The comparison of one path.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// MediaMTX has the path as defined.
    Same,
    /// MediaMTX needs this change.
    Differs(Step),
    /// MediaMTX has another path of this name, from mediamtx.yml or from another API client. Lists the settings that differ.
    Conflict(Vec<String>),
}

/// Compares the definitions with MediaMTX. `wanted` has the settings of enabled definitions, `actual` the paths of MediaMTX, and `applied` the
/// settings that the sidecar has set. Paths that are in neither `wanted` nor `applied` are left out.
pub fn plan(
    wanted: &BTreeMap<String, Fields>,
    actual: &HashMap<String, Fields>,
    applied: &HashMap<String, Fields>,
) -> BTreeMap<String, Finding> {
    let mut findings = BTreeMap::new();
    for (name, fields) in wanted {
        let finding = match (actual.get(name), applied.get(name)) {
            (None, _) => Finding::Differs(Step::Add(fields.clone())),
            (Some(actual), Some(set))
                if set.keys().any(|key| !fields.contains_key(key) && actual.contains_key(key)) =>
            {
                Finding::Differs(Step::Replace(fields.clone()))
            }
            (Some(actual), Some(_)) => match differing(fields, actual) {
                none if none.is_empty() => Finding::Same,
                some => Finding::Differs(Step::Patch(some)),
            },
            (Some(actual), None) => match differing(fields, actual) {
                none if none.is_empty() => Finding::Same,
                some => Finding::Conflict(some.keys().cloned().collect()),
            },
        };
        findings.insert(name.clone(), finding);
    }
    for name in applied.keys().filter(|name| actual.contains_key(*name) && !wanted.contains_key(*name)) {
        findings.insert(name.clone(), Finding::Differs(Step::Delete));
    }
    findings
}

/// The wanted settings that differ at MediaMTX.
fn differing(wanted: &Fields, actual: &Fields) -> Fields {
    let differs = |(key, value): &(&String, &Value)| actual.get(*key).is_none_or(|actual| !is_same(value, actual));
    wanted.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether two values are equal for MediaMTX, which writes durations and sizes in its own form, and hides passwords.
fn is_same(wanted: &Value, actual: &Value) -> bool {
    match (wanted, actual) {
        (Value::String(_), Value::String(hidden)) if hidden == "<redacted>" => true,
        (Value::String(a), Value::String(b)) => {
            a == b
                || matches!((duration(a), duration(b)), (Some(a), Some(b)) if a == b)
                || matches!((size(a), size(b)), (Some(a), Some(b)) if a == b)
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        // MediaMTX adds the members that are left out, such as `sampleRate: 0` to a track.
        (Value::Object(a), Value::Object(b)) => {
            let is_empty = |value: &Value| {
                matches!(value, Value::Null | Value::Bool(false)) || value == "" || value.as_f64() == Some(0.0)
            };
            a.iter().all(|(key, value)| b.get(key).is_some_and(|actual| is_same(value, actual)))
                && b.iter().all(|(key, value)| a.contains_key(key) || is_empty(value))
        }
        (Value::Array(a), Value::Null) | (Value::Null, Value::Array(a)) => a.is_empty(),
        _ => wanted == actual,
    }
}

/// Nanoseconds of a duration in Go's form, with days. An empty text is zero.
fn duration(text: &str) -> Option<u128> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(end)?;
        let number: f64 = number.parse().ok()?;
        let units = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 60e9),
            ("h", 3600e9),
            ("d", 86_400e9),
        ];
        let (nanos, next) = units.into_iter().find_map(|(unit, nanos)| Some((nanos, behind.strip_prefix(unit)?)))?;
        sum += number * nanos;
        rest = next;
    }
    Some(sum as u128)
}

/// Bytes of a size.
fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim_end_matches('B') {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        serde_json::from_value(value).expect("an object")
    }

    /// The columns: wanted, actual, applied (null for none), finding.
    #[test]
    #[rustfmt::skip]
    fn the_table_of_findings() {
        let (pull, other) = (json!({"source": "rtsp://a", "sourceOnDemand": true}), json!({"source": "rtsp://b", "sourceOnDemand": true, "record": false}));
        let with = |mut value: Value, key: &str, new: Value| { value[key] = new; value };
        for (wanted, actual, applied, expected) in [
            (pull.clone(), Value::Null, Value::Null, Finding::Differs(Step::Add(fields(pull.clone())))),
            // Lost at a reload or a restart.
            (pull.clone(), Value::Null, pull.clone(), Finding::Differs(Step::Add(fields(pull.clone())))),
            (pull.clone(), with(pull.clone(), "record", json!(false)), pull.clone(), Finding::Same),
            (pull.clone(), other.clone(), pull.clone(), Finding::Differs(Step::Patch(fields(json!({"source": "rtsp://a"}))))),
            (pull.clone(), with(pull.clone(), "record", json!(true)), with(pull.clone(), "record", json!(true)), Finding::Differs(Step::Replace(fields(pull.clone())))),
            // From mediamtx.yml: reported, and not changed. Equal settings are no conflict.
            (pull.clone(), other.clone(), Value::Null, Finding::Conflict(vec!["source".into()])),
            (pull.clone(), pull.clone(), Value::Null, Finding::Same),
            (Value::Null, pull.clone(), pull.clone(), Finding::Differs(Step::Delete)),
        ] {
            let map = |value: &Value| (!value.is_null()).then(|| ("x".to_owned(), fields(value.clone())));
            let found = plan(&map(&wanted).into_iter().collect(), &map(&actual).into_iter().collect(), &map(&applied).into_iter().collect());
            assert_eq!(found.get("x"), Some(&expected), "{wanted} {actual} {applied}");
        }
        // In neither list.
        let theirs = [("x".to_owned(), fields(pull))].into_iter().collect();
        assert!(plan(&BTreeMap::new(), &theirs, &HashMap::new()).is_empty());
    }

    #[test]
    fn values_are_equal_if_mediamtx_reads_them_as_equal() {
        for (a, b, same) in [
            (json!("10s"), json!("10s"), true),
            (json!("60s"), json!("1m0s"), true),
            (json!("1d"), json!("24h0m0s"), true),
            (json!("0s"), json!(""), true),
            (json!("1.5s"), json!("1500ms"), true),
            (json!("10s"), json!("11s"), false),
            (json!("50M"), json!("51200K"), true),
            (json!("abc"), json!("abd"), false),
            (json!("s"), json!(""), false),
            (json!("secret"), json!("<redacted>"), true),
            (json!(1), json!(1.0), true),
            (json!([]), Value::Null, true),
            (json!(["a"]), json!(["b"]), false),
            (json!([{"codec": "H264"}]), json!([{"codec": "H264", "sampleRate": 0, "muLaw": false}]), true),
            (json!([{"codec": "H264"}]), json!([{"codec": "H264", "sampleRate": 8000}]), false),
            (json!({"codec": "H264"}), json!({"sampleRate": 0}), false),
            (json!(true), json!("yes"), false),
        ] {
            assert_eq!(is_same(&a, &b), same, "{a} {b}");
        }
    }
}

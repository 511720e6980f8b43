//! The path behind a name at MediaMTX: whether a client can read it, and its source.

use regex::Regex;
use serde_json::Value;

use super::Fields;

/// A path that a client can read: it has a publisher or source now, or starts one on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// Its `source`, with the groups of its regular expression filled in.
    pub source: String,
    /// Its `runOnDemand`, with the same groups filled in.
    pub command: String,
}

/// The path of a name, if a client can read it. `live` is its state at MediaMTX, `configured` are the configured paths.
pub fn readable(name: &str, live: Option<&Value>, configured: &[Fields]) -> Option<Readable> {
    let found = matching(name, configured);
    let text = |key: &str| {
        let (fields, captured) = found.as_ref()?;
        let text = fields.get(key)?.as_str()?;
        Some(fill_in(text, name, captured))
    };
    let flag = |of: Option<&Value>, key: &str| of.and_then(|of| of[key].as_bool()).unwrap_or(false);
    let is_ready = flag(live, "available") || flag(live, "ready");
    let command = text("runOnDemand").unwrap_or_default();
    let is_on_demand = found.as_ref().is_some_and(|(fields, _)| is_on_demand(fields));
    let source = text("source").unwrap_or_default();
    (is_ready || is_on_demand).then_some(Readable { source, command })
}

/// The entry of MediaMTX's configuration that a path of this name has its settings from.
pub fn entry_of<'a>(name: &str, configured: &'a [Fields]) -> Option<&'a Fields> {
    matching(name, configured).map(|(fields, _)| fields)
}

/// The entry for a name, with the groups that its key captures. MediaMTX (internal/conf/path.go, FindPathConf) first compares the
/// name itself, then the regular expressions in the order of their names, and `all_others` last.
fn matching<'a>(name: &str, configured: &'a [Fields]) -> Option<(&'a Fields, Vec<String>)> {
    let key = |fields: &Fields| fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut candidates: Vec<_> = configured.iter().collect();
    candidates.sort_by_key(|fields| {
        let key = key(fields);
        (key != name, matches!(key.as_str(), "all_others" | "all" | "~^.*$"), key)
    });
    candidates.into_iter().find_map(|fields| Some((fields, captures(&key(fields), name)?)))
}

/// Whether a reader starts the source of an entry of MediaMTX's configuration.
pub fn is_on_demand(entry: &Fields) -> bool {
    let command = entry.get("runOnDemand").and_then(Value::as_str);
    command.is_some_and(|command| !command.is_empty()) || entry.get("sourceOnDemand") == Some(&Value::Bool(true))
}

/// The groups that the key of a path captures in a name, the whole match first; none if the key does not match.
fn captures(key: &str, name: &str) -> Option<Vec<String>> {
    let pattern = match key.strip_prefix('~') {
        Some(pattern) => pattern,
        None if matches!(key, "all_others" | "all") => "",
        None => return (key == name).then(Vec::new),
    };
    // Only a person who can configure MediaMTX can choose the pattern. The size limit of the regex crate applies.
    let found = Regex::new(pattern).ok()?.captures(name)?;
    Some(found.iter().map(|group| group.map_or("", |group| group.as_str()).to_owned()).collect())
}

/// Replaces the variables that MediaMTX replaces: `$G1` and so on, and the path name. The reader's query is unknown here, and empty.
fn fill_in(text: &str, name: &str, captured: &[String]) -> String {
    let mut text = text.replace("$MTX_PATH", name).replace("$MTX_QUERY", "");
    for (i, group) in captured.iter().enumerate().skip(1).rev() {
        text = text.replace(&format!("$G{i}"), group);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configured() -> Vec<Fields> {
        let all = json!([
            {"name": "all_others", "source": "publisher", "sourceOnDemand": false, "runOnDemand": ""},
            {"name": "camera", "source": "rtsp://192.168.1.9/s", "sourceOnDemand": true, "runOnDemand": ""},
            {"name": "always", "source": "rtsp://192.168.1.9/s", "sourceOnDemand": false, "runOnDemand": ""},
            {"name": "~^pictures/(.+)$", "source": "rtsp://127.0.0.1:9554/$G1", "sourceOnDemand": true, "runOnDemand": ""},
            {"name": "~^(a|b)/(.+)$", "source": "publisher", "runOnDemand": "ffmpeg -i http://h/$G2?$G1 rtsp://h/$MTX_PATH"},
            {"name": "~(", "source": "publisher", "runOnDemand": "never"},
        ]);
        serde_json::from_value(all).expect("objects")
    }

    #[test]
    fn a_path_can_be_read_if_it_is_ready_or_starts_on_demand() {
        let ready = json!({"available": true, "confName": "x"});
        let idle = json!({"available": false, "ready": false, "online": true});
        for (name, live, expected) in [
            ("camera", None, Some(("rtsp://192.168.1.9/s", ""))),
            ("camera", Some(&idle), Some(("rtsp://192.168.1.9/s", ""))),
            ("always", Some(&idle), None),
            ("always", Some(&ready), Some(("rtsp://192.168.1.9/s", ""))),
            ("pictures/a/b", None, Some(("rtsp://127.0.0.1:9554/a/b", ""))),
            ("a/door", None, Some(("publisher", "ffmpeg -i http://h/door?a rtsp://h/a/door"))),
            ("other", None, None),
            ("other", Some(&ready), Some(("publisher", ""))),
        ] {
            let found = readable(name, live, &configured());
            let expected =
                expected.map(|(source, command)| Readable { source: source.into(), command: command.into() });
            assert_eq!(found, expected, "{name}");
        }
    }
}

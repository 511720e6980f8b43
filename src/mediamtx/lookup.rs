//! What MediaMTX has under a name: whether it can be read, and where it comes from.

use regex::Regex;
use serde_json::Value;

use super::Fields;

/// A path that can be read: somebody publishes to it, or would as soon as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// Its `source`, with what a regular expression has captured put in.
    pub source: String,
    /// Its `runOnDemand`, in the same way.
    pub command: String,
}

/// The path of that name, if it can be read: `live` is what MediaMTX has at the moment, `configured` what its
/// configuration has. A path is found as MediaMTX finds it (internal/conf/path.go, FindPathConf): by its own name, else by the regular
/// expressions in the order of their names, `all_others` last.
pub fn readable(name: &str, live: Option<&Value>, configured: &[Fields]) -> Option<Readable> {
    let key = |fields: &Fields| fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut candidates: Vec<_> = configured.iter().collect();
    candidates.sort_by_key(|fields| {
        let key = key(fields);
        (key != name, matches!(key.as_str(), "all_others" | "all" | "~^.*$"), key)
    });
    let found = candidates.into_iter().find_map(|fields| Some((fields, captures(&key(fields), name)?)));
    let text = |key: &str| {
        let (fields, captured) = found.as_ref()?;
        let text = fields.get(key)?.as_str()?;
        Some(fill_in(text, name, captured))
    };
    let flag = |of: Option<&Value>, key: &str| of.and_then(|of| of[key].as_bool()).unwrap_or(false);
    let is_ready = flag(live, "available") || flag(live, "ready");
    let command = text("runOnDemand").unwrap_or_default();
    let is_on_demand = !command.is_empty()
        || found
            .as_ref()
            .is_some_and(|(fields, _)| fields.get("sourceOnDemand").and_then(Value::as_bool) == Some(true));
    let source = text("source").unwrap_or_default();
    (is_ready || is_on_demand).then_some(Readable { source, command })
}

/// What the key of a path captures of a name, if it is that of the name. The whole match first.
fn captures(key: &str, name: &str) -> Option<Vec<String>> {
    let pattern = match key.strip_prefix('~') {
        Some(pattern) => pattern,
        None if matches!(key, "all_others" | "all") => "",
        None => return (key == name).then(Vec::new),
    };
    // Of somebody's choice who may configure MediaMTX; the library's own limit on size bounds it.
    let found = Regex::new(pattern).ok()?.captures(name)?;
    Some(found.iter().map(|group| group.map_or("", |group| group.as_str()).to_owned()).collect())
}

/// Puts in what MediaMTX puts in: `$G1` and so on, and the path's name. The reader's query is none of ours.
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
    fn a_path_can_be_read_when_it_is_ready_or_on_demand() {
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

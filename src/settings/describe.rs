//! A list of all settings with their values and sources, without secrets.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::LazyLock,
};

use regex::Regex;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Loaded, Origin, SIDECAR_YML, Settings};

/// The sources of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// The source of each key that is set, by dotted path.
    pub origins: BTreeMap<String, Origin>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Described {
    /// The key with its path, such as `http.listen`.
    pub key: String,
    /// The value in use. Secrets are `***`.
    #[schema(value_type = Object)]
    pub value: Value,
    /// The default.
    #[schema(value_type = Object)]
    pub default: Value,
    /// `default`, `file` or `environment`.
    #[schema(value_type = String)]
    pub source: Origin,
    /// The environment variable that sets it.
    pub variable: String,
    /// The comment of the key in sidecar.yml.
    pub about: String,
}

impl From<Settings> for Loaded {
    fn from(settings: Settings) -> Self {
        Loaded { settings, ..Loaded::default() }
    }
}

/// All settings but the streams, in the order of sidecar.yml.
pub fn describe(settings: &Settings, sources: &Sources) -> Vec<Described> {
    let flat = |settings: &Settings| {
        let mut found = vec![];
        let tree = serde_json::to_value(settings).unwrap_or_default();
        flatten(&tree, "", &mut found);
        found
    };
    let defaults: HashMap<_, _> = flat(&Settings::default()).into_iter().collect();
    let abouts = abouts(SIDECAR_YML);
    let order = |key: &str| abouts.iter().position(|(known, _)| known == key).unwrap_or(usize::MAX);
    let mut all: Vec<_> = flat(settings)
        .into_iter()
        .filter(|(key, _)| key != "streams" && !key.starts_with("streams."))
        .map(|(key, mut value)| {
            redact(&mut value);
            Described {
                source: sources.origins.get(&key).copied().unwrap_or(Origin::Default),
                default: defaults.get(&key).cloned().unwrap_or_default(),
                variable: format!("SIDECAR__{}", key.replace('.', "__").to_ascii_uppercase()),
                about: abouts.iter().find(|(known, _)| *known == key).map(|(_, text)| text.clone()).unwrap_or_default(),
                value,
                key,
            }
        })
        .collect();
    all.sort_by_key(|setting| order(&setting.key));
    all
}

fn flatten(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(value, &path, found);
            }
        }
        _ => found.push((path.to_owned(), value.clone())),
    }
}

/// Hides passwords in URLs, and the values of URL parameters, which can be tokens. A [`Secret`](crate::secret::Secret) or credential is
/// hidden already when it is serialized.
fn redact(value: &mut Value) {
    #[expect(clippy::expect_used, reason = "a literal expression, which tests compile")]
    static USERINFO: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(://[^/@:\s]*):([^/@\s]+)@").expect("a literal expression"));
    #[expect(clippy::expect_used, reason = "a literal expression, which tests compile")]
    static PARAMETER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"([?&][^=&\s]+)=[^&\s]+").expect("a literal expression"));
    match value {
        Value::String(text) if text.contains("://") => {
            let hidden = USERINFO.replace_all(text, "$1:***@");
            *text = PARAMETER.replace_all(&hidden, "$1=***").into_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(members) => members.values_mut().for_each(redact),
        _ => {}
    }
}

/// The comment above each key, for a file in the form of sidecar.yml: two spaces a level, each comment above its key.
fn abouts(yaml: &str) -> Vec<(String, String)> {
    let (mut path, mut comment, mut found) = (Vec::<&str>::new(), vec![], vec![]);
    for line in yaml.lines() {
        let text = line.trim_start();
        let level = (line.len() - text.len()) / 2;
        if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let key = text.split_once(':').map(|(key, _)| key);
        let key = key.filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        if let Some(key) = key.filter(|_| level <= path.len()) {
            path.truncate(level);
            path.push(key);
            found.push((path.join("."), comment.join(" ")));
        }
        comment.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_description_and_no_secret_is_shown() {
        let file = "
http: {listen: '127.0.0.1:1'}
auth:
  users: [{user: admin, pass: hunter2, permissions: [{action: api}]}]
  webhook_secret: hunter3
mediamtx: {user: me, pass: hunter4, advertise_rtsp: 'rtsp://me:hunter5@192.168.1.5:9554'}
events: {webhooks: [{url: 'http://h/x?token=hunter7&b=hunter8', pass: hunter9}]}
streams: {card: {kind: test-card}}
";
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sidecar.yml");
        std::fs::write(&path, file).expect("writes");
        let environment = [("SIDECAR__LOG__LEVEL".to_owned(), "debug".to_owned())].into();
        let Loaded { settings, file, origins } = super::super::load(Some(&path), &environment).expect("no errors");
        let described = describe(&settings, &Sources { file, origins });
        let text = serde_json::to_string(&described).expect("writes");
        assert!(!text.contains("hunter"), "{text}");
        assert!(
            text.contains("rtsp://me:***@192.168.1.5:9554") && text.contains("http://h/x?token=***&b=***"),
            "{text}"
        );
        for setting in &described {
            assert!(!setting.about.is_empty(), "{} has no description", setting.key);
        }
        let source = |key: &str| described.iter().find(|setting| setting.key == key).map(|setting| setting.source);
        assert_eq!(source("http.listen"), Some(Origin::File));
        assert_eq!(source("log.level"), Some(Origin::Environment));
        assert_eq!(source("log.format"), Some(Origin::Default));
        assert_eq!(source("auth.users"), Some(Origin::File));
        assert_eq!(source("streams.card.kind"), None, "streams have another list");
        assert_eq!(described[0].key, "data_dir");
        let listen = described.iter().find(|setting| setting.key == "http.listen").expect("is described");
        assert_eq!((listen.variable.as_str(), &listen.default), ("SIDECAR__HTTP__LISTEN", &"0.0.0.0:9995".into()));
    }
}

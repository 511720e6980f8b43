//! Reads `sidecar.yml` and the environment, and reports all of their errors at once.
//!
//! serde stops at its first error. So each value is first read alone, with defaults for all others. A value that fails is reported
//! under its key and removed; then the remaining values are read and checked together.

mod named;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Environment, Map, Value, ValueKind};
use serde::Deserialize;
use serde_json::Value as Json;

use self::named::{take_named, take_overlays};
use super::{Settings, file::FileContent};
use crate::{
    picture::compose::Layer,
    policy::{Credential, Permission, User},
    producer::{Definition, StreamDefinition, check_nodes, check_title},
    stream::StreamName,
};

/// Not `MTX_`, because MediaMTX reads those variables, and both programs often share one environment file.
const ENV_PREFIX: &str = "SIDECAR";

/// Keys that can also be given as `KEY_file`, with the path of a file that holds the value.
const SECRETS: &[&str] = &["pass", "secret", "webhook_secret"];

/// Lists whose default is null.
const OPTIONAL_LISTS: &[&str] = &["auth.webhook_networks"];

type Table = Map<String, Value>;

/// One error of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The key with its path, such as `http.listen`; empty for an error of the whole file.
    pub key: String,
    /// The rule that the value breaks, or the reason for which the file cannot be read.
    pub rule: String,
}

/// All errors of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingErrors(pub Vec<SettingError>);

impl SettingErrors {
    pub(super) fn add(&mut self, key: impl Into<String>, rule: impl Into<String>) {
        self.0.push(SettingError { key: key.into(), rule: rule.into() });
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, SettingError { key, rule }) in self.0.iter().enumerate() {
            let line_end = if i == 0 { "" } else { "\n" };
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "{line_end}{key}{colon}{rule}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The value is not set.
    Default,
    /// `sidecar.yml`.
    File,
    /// The environment.
    Environment,
}

/// Settings, and their sources.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// The source of each key that is set, by dotted path. All other keys have their default.
    pub origins: BTreeMap<String, Origin>,
}

/// Reads the file, if one is given, and the environment. The error lists all errors of both.
pub fn load(file: Option<&Path>, environment: &HashMap<String, String>) -> Result<Loaded, SettingErrors> {
    let text = match file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|e| whole(format!("cannot be read: {e}")))?,
    };
    let mut loaded = parse(&text, environment)?;
    loaded.file = file.map(Path::to_owned);
    Ok(loaded)
}

fn whole(rule: impl Into<String>) -> SettingErrors {
    SettingErrors(vec![SettingError { key: String::new(), rule: rule.into() }])
}

#[expect(clippy::expect_used, reason = "the defaults are plain data, which every start serializes")]
fn parse(text: &str, environment: &HashMap<String, String>) -> Result<Loaded, SettingErrors> {
    let content = FileContent::parse(text).map_err(|e| whole(format!("is not valid YAML: {e}")))?;
    let variables = Environment::with_prefix(ENV_PREFIX).prefix_separator("__").separator("__");
    let merged = Config::builder()
        .add_source(content)
        .add_source(variables.source(Some(environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect())))
        .build()
        .map_err(|e| whole(explain(&e)))?;
    let mut tree = merged.cache.into_table().map_err(|e| whole(explain(&e)))?;

    let mut errors = SettingErrors::default();
    read_secret_files(&mut tree, "", &mut errors);
    let mut origins = BTreeMap::new();
    note_origins(&tree, "", &mut origins);
    let streams = take_streams(&mut tree, &mut errors);
    let overlays = take_overlays(&mut tree, &mut errors);
    let users = take_users(&mut tree, &mut errors);
    let publications = take_named(&mut tree, ["mqtt", "publish"], &mut errors);
    let cameras = take_named(&mut tree, ["uv4l", "cameras"], &mut errors);
    let schema = serde_json::to_value(Settings::default()).expect("the defaults are plain data");
    prune(&mut tree, &schema, &mut vec![], &mut errors);

    let mut settings = Settings::deserialize(table(tree)).map_err(|e| whole(explain(&e)))?;
    settings.streams = streams;
    settings.overlays = overlays;
    settings.mqtt.publish = publications;
    settings.uv4l.cameras = cameras;
    if let Some(users) = users {
        settings.auth.users = users;
    }
    add_original_users(&mut settings, environment, &mut errors);
    settings.validate(&mut errors);
    if errors.0.is_empty() { Ok(Loaded { settings, file: None, origins }) } else { Err(errors) }
}

fn table(table: Table) -> Value {
    Value::new(None, ValueKind::Table(table))
}

/// Reports and removes unknown keys and values of a wrong type, so that the rest can be read.
#[expect(clippy::expect_used, reason = "the keys are those of the table")]
fn prune(tree: &mut Table, schema: &Json, path: &mut Vec<String>, errors: &mut SettingErrors) {
    let mut keys: Vec<_> = tree.keys().cloned().collect();
    keys.sort();
    for key in keys {
        path.push(key.clone());
        let dotted = path.join(".");
        match schema.get(&key) {
            None => {
                let known = schema.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
                errors.add(&dotted, format!("is not a known key{}", suggestion(&key, &known)));
                tree.remove(&key);
            }
            Some(below @ Json::Object(_)) => match &mut tree.get_mut(&key).expect("listed above").kind {
                ValueKind::Table(inner) => prune(inner, below, path, errors),
                // `auth:` without a value is null in YAML: all keys of the section have their defaults.
                ValueKind::Nil => drop(tree.remove(&key)),
                _ => {
                    errors.add(&dotted, "is a section; write its keys below it, indented");
                    tree.remove(&key);
                }
            },
            Some(default) => {
                let value = tree.get_mut(&key).expect("listed above");
                let is_list = default.is_array() || OPTIONAL_LISTS.contains(&dotted.as_str());
                if let (true, ValueKind::String(text)) = (is_list, &value.kind) {
                    // The environment has lists as text: with commas, or in YAML's form.
                    let list = text.trim();
                    let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
                    let items =
                        list.split(',').map(|item| item.trim().trim_matches(['\'', '"'])).filter(|t| !t.is_empty());
                    value.kind = ValueKind::Array(items.map(|t| Value::new(None, t.to_owned())).collect());
                }
                if matches!(value.kind, ValueKind::Nil) {
                    tree.remove(&key);
                } else if let Err(e) = Settings::deserialize(alone(path, value.clone())) {
                    let rule = explain(&e);
                    errors.add(&dotted, rule.strip_prefix(&format!("{dotted}: ")).unwrap_or(&rule));
                    tree.remove(&key);
                }
            }
        }
        path.pop();
    }
}

/// A tree that holds this value at its path, and no other value.
fn alone(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, key| table(Map::from_iter([(key.clone(), inner)])))
}

#[expect(clippy::expect_used, reason = "the names are those of the table")]
fn take_streams(tree: &mut Table, errors: &mut SettingErrors) -> BTreeMap<StreamName, StreamDefinition> {
    let mut read = BTreeMap::new();
    let Some(streams) = tree.remove("streams") else { return read };
    let mut streams = match streams.kind {
        ValueKind::Table(streams) => streams,
        ValueKind::Nil => return read,
        _ => {
            errors.add("streams", "is a section; write each stream as a key below it");
            return read;
        }
    };
    join_environment_names(&mut streams);
    let mut names: Vec<_> = streams.keys().cloned().collect();
    names.sort();
    for name in names {
        let key = format!("streams.{name}");
        let value = streams.remove(&name).expect("listed above");
        let name = match StreamName::parse(&name) {
            Ok(name) => name,
            Err(e) => {
                errors.add(&key, e.to_string());
                continue;
            }
        };
        let ValueKind::Table(mut fields) = value.kind else {
            errors.add(&key, format!("needs at least a kind: one of {}", Definition::KINDS.join(", ")));
            continue;
        };
        let kind = fields.remove("kind").map(|kind| kind.to_string()).unwrap_or_default();
        let overlay = match fields.remove("overlay").map(Vec::<Layer>::deserialize).transpose() {
            Ok(overlay) => overlay.unwrap_or_default(),
            Err(e) => {
                errors.add(format!("{key}.overlay"), explain(&e));
                continue;
            }
        };
        let nodes = match fields.remove("nodes").map(Vec::<String>::deserialize).transpose() {
            Ok(nodes) => nodes.unwrap_or_default(),
            Err(e) => {
                errors.add(format!("{key}.nodes"), explain(&e));
                continue;
            }
        };
        if let Err(rule) = check_nodes(&nodes) {
            errors.add(format!("{key}.nodes"), rule.to_owned());
            continue;
        }
        let title = fields.remove("title").map(|title| title.to_string()).unwrap_or_default();
        if let Err(rule) = check_title(&title) {
            errors.add(format!("{key}.title"), rule.to_owned());
            continue;
        }
        match Definition::of_kind(&kind, table(fields)) {
            Some(Ok(source)) => drop(read.insert(name, StreamDefinition { source, overlay, title, nodes })),
            Some(Err(e)) => errors.add(&key, explain(&e)),
            None if kind.is_empty() => {
                errors.add(&key, format!("needs a kind: one of {}", Definition::KINDS.join(", ")))
            }
            None => errors.add(
                format!("{key}.kind"),
                format!("{kind:?} is none of {}{}", Definition::KINDS.join(", "), suggestion(&kind, Definition::KINDS)),
            ),
        }
    }
    read
}

/// The config crate reads names of environment variables in lower case. A variable for the stream `frontdoor` therefore belongs to the
/// stream of the file whose name differs only in case, if there is exactly one.
#[expect(clippy::expect_used, reason = "the names are those of the table")]
fn join_environment_names(streams: &mut Table) {
    let lost: Vec<_> = streams.iter().filter(|(_, v)| is_from_environment(v)).map(|(k, _)| k.clone()).collect();
    for lower in lost {
        let mut others = streams.keys().filter(|k| **k != lower && k.eq_ignore_ascii_case(&lower)).cloned();
        let (Some(of_file), None) = (others.next(), others.next()) else { continue };
        let from_environment = streams.remove(&lower).expect("listed above");
        if let (Some(Value { kind: ValueKind::Table(into), .. }), ValueKind::Table(fields)) =
            (streams.get_mut(&of_file), from_environment.kind)
        {
            into.extend(fields);
        }
    }
}

fn is_from_environment(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Table(fields) => !fields.is_empty() && fields.values().all(is_from_environment),
        _ => value.origin() == Some("the environment"),
    }
}

fn take_users(tree: &mut Table, errors: &mut SettingErrors) -> Option<Vec<User>> {
    let ValueKind::Table(auth) = &mut tree.get_mut("auth")?.kind else { return None };
    let entries = match auth.remove("users")?.kind {
        ValueKind::Array(entries) => entries,
        ValueKind::Nil => vec![],
        _ => {
            errors.add("auth.users", "is a list; begin each entry with a dash");
            return None;
        }
    };
    let mut users = vec![];
    for (i, entry) in entries.into_iter().enumerate() {
        match User::deserialize(entry) {
            Ok(user) => users.push(user),
            Err(e) => errors.add(format!("auth.users[{i}]"), explain(&e)),
        }
    }
    Some(users)
}

/// The variables of the original recipe keep their meaning: the administrator has all permissions, the user all except `api`.
fn add_original_users(settings: &mut Settings, environment: &HashMap<String, String>, errors: &mut SettingErrors) {
    for (role, permissions) in [
        ("ADMIN", Permission::all()),
        ("USER", {
            let mut permissions = Permission::all();
            permissions.retain(|p| p.action != crate::policy::Action::Api);
            permissions
        }),
    ] {
        let name = format!("MEDIAMTX_{role}_USER");
        let Some(user) = environment.get(&name).filter(|v| !v.is_empty()) else { continue };
        let variable = format!("MEDIAMTX_{role}_PASSWORD");
        let password = match environment.get(&format!("{variable}_FILE")) {
            Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{path} cannot be read: {e}")),
            None => environment.get(&variable).cloned().ok_or_else(|| format!("is required when {name} is set")),
        };
        match password.and_then(|text| Credential::parse(text.trim_end_matches(['\r', '\n']))) {
            Ok(pass) if pass.is_empty() => errors.add(variable, "must not be empty"),
            Ok(pass) => {
                settings.auth.users.push(User { user: Credential::plain(user), pass, ips: vec![], permissions })
            }
            Err(rule) => errors.add(variable, rule),
        }
    }
}

/// Replaces `pass_file: PATH` by `pass: CONTENT` in all sections and lists.
fn read_secret_files(tree: &mut Table, path: &str, errors: &mut SettingErrors) {
    for secret in SECRETS {
        let file_key = format!("{secret}_file");
        let Some(file) = tree.remove(&file_key) else { continue };
        let key = format!("{path}{file_key}");
        if tree.contains_key(*secret) {
            errors.add(key, format!("{secret} is set, too; remove one of the two"));
            continue;
        }
        match std::fs::read_to_string(file.to_string()) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                tree.insert((*secret).to_owned(), Value::new(file.origin().map(str::to_owned).as_ref(), text));
            }
            Err(e) => errors.add(key, format!("{file} cannot be read: {e}")),
        }
    }
    for (key, value) in tree.iter_mut() {
        match &mut value.kind {
            ValueKind::Table(inner) => read_secret_files(inner, &format!("{path}{key}."), errors),
            ValueKind::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    if let ValueKind::Table(inner) = &mut item.kind {
                        read_secret_files(inner, &format!("{path}{key}[{i}]."), errors);
                    }
                }
            }
            _ => {}
        }
    }
}

fn note_origins(tree: &Table, path: &str, origins: &mut BTreeMap<String, Origin>) {
    for (key, value) in tree {
        match &value.kind {
            ValueKind::Table(inner) => note_origins(inner, &format!("{path}{key}."), origins),
            ValueKind::Nil => {}
            _ => {
                let origin = if is_from_environment(value) { Origin::Environment } else { Origin::File };
                origins.insert(format!("{path}{key}"), origin);
            }
        }
    }
}

/// The rule that a value breaks. The caller adds the key.
fn explain(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, key, .. } => match key {
            // The crate writes a key in a list as `list[0]key`.
            Some(key) => {
                format!("{}: {}", key.replace(']', "].").trim_end_matches('.').replace("..", "."), explain(error))
            }
            None => explain(error),
        },
        ConfigError::Type { unexpected, expected, .. } => {
            let expected = match *expected {
                words if words.contains("integer") => "a whole number",
                words if words.contains("bool") => "yes or no",
                words if words.contains("float") => "a number",
                words if words.contains("sequence") || words.contains("array") => "a list",
                words if words.contains("map") || words.contains("table") => "a section with keys below it",
                words => words,
            };
            let found = unexpected.to_string();
            format!("must be {expected}, not {}", found.strip_prefix("string ").unwrap_or(&found))
        }
        ConfigError::Message(message) => message.clone(),
        other => other.to_string(),
    }
}

/// `; did you mean X?` if a known word is similar.
fn suggestion(word: &str, known: &[impl AsRef<str>]) -> String {
    let close = known.iter().map(AsRef::as_ref).map(|k| (strsim::levenshtein(word, k), k)).min();
    match close {
        Some((distance, known)) if distance <= 2 || known.starts_with(word) => format!("; did you mean {known}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;

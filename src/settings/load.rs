//! Reading `sidecar.yml` and the environment, and saying everything that is wrong with them at once.
//!
//! serde stops at its first error. So each value is tried alone against the defaults: what fails is
//! reported under its key and left out, and the rest is read and checked as a whole.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Environment, File, FileFormat, Map, Value, ValueKind};
use serde::Deserialize;
use serde_json::Value as Json;

use super::Settings;
use crate::{
    policy::{Credential, Permission, User},
    producer::Definition,
    stream::StreamName,
};

/// Not `MTX_`, which MediaMTX reads: an environment file is often shared by both.
const ENV_PREFIX: &str = "SIDECAR";

/// Keys that may also be given as `KEY_file`, with the path of a file that holds the value.
const SECRETS: &[&str] = &["pass", "webhook_secret"];

type Table = Map<String, Value>;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key with its path, such as `http.listen`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub rule: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Into<String>, rule: impl Into<String>) {
        self.0.push(Problem { key: key.into(), rule: rule.into() });
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { key, rule }) in self.0.iter().enumerate() {
            let line_end = if i == 0 { "" } else { "\n" };
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "{line_end}{key}{colon}{rule}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// `sidecar.yml`.
    File,
    /// The environment.
    Environment,
}

/// Settings, and where they came from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Keys that were set, by dotted path; everything else is at its default.
    pub origins: BTreeMap<String, Origin>,
}

/// Reads the file, if one is given, and the environment. All problems are reported together.
pub fn load(file: Option<&Path>, environment: &HashMap<String, String>) -> Result<Loaded, Problems> {
    let text = match file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|e| whole(format!("cannot be read: {e}")))?,
    };
    let mut loaded = parse(&text, environment)?;
    loaded.file = file.map(Path::to_owned);
    Ok(loaded)
}

fn whole(rule: impl Into<String>) -> Problems {
    Problems(vec![Problem { key: String::new(), rule: rule.into() }])
}

/// Parses YAML text to a tree, as `sidecar.yml` is; also used for a foreign `mediamtx.yml`.
pub fn parse_yaml(text: &str) -> Result<Map<String, Value>, String> {
    config::Source::collect(&File::from_str(text, FileFormat::Yaml)).map_err(|e| e.to_string())
}

fn parse(text: &str, environment: &HashMap<String, String>) -> Result<Loaded, Problems> {
    // Parsed apart from the merge, for the error text: the YAML reader gives line and column.
    parse_yaml(text).map_err(|e| whole(format!("is not valid YAML: {e}")))?;
    let variables = Environment::with_prefix(ENV_PREFIX).prefix_separator("__").separator("__");
    let merged = Config::builder()
        .add_source(File::from_str(text, FileFormat::Yaml))
        .add_source(variables.source(Some(environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect())))
        .build()
        .map_err(|e| whole(explain(&e)))?;
    let mut tree = merged.cache.into_table().map_err(|e| whole(explain(&e)))?;

    let mut problems = Problems::default();
    read_secret_files(&mut tree, "", &mut problems);
    let mut origins = BTreeMap::new();
    note_origins(&tree, "", &mut origins);
    let streams = take_streams(&mut tree, &mut problems);
    let users = take_users(&mut tree, &mut problems);
    let schema = serde_json::to_value(Settings::default()).expect("the defaults can be written down");
    prune(&mut tree, &schema, &mut vec![], &mut problems);

    let mut settings = Settings::deserialize(table(tree)).map_err(|e| whole(explain(&e)))?;
    settings.streams = streams;
    if let Some(users) = users {
        settings.auth.users = users;
    }
    add_original_users(&mut settings, environment, &mut problems);
    settings.validate(&mut problems);
    if problems.0.is_empty() { Ok(Loaded { settings, file: None, origins }) } else { Err(problems) }
}

fn table(table: Table) -> Value {
    Value::new(None, ValueKind::Table(table))
}

/// Reports and removes what is unknown or of the wrong type, so that what remains can be read.
fn prune(tree: &mut Table, schema: &Json, path: &mut Vec<String>, problems: &mut Problems) {
    let mut keys: Vec<_> = tree.keys().cloned().collect();
    keys.sort();
    for key in keys {
        path.push(key.clone());
        let dotted = path.join(".");
        match schema.get(&key) {
            None => {
                let known = schema.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
                problems.add(&dotted, format!("is not a known key{}", suggestion(&key, &known)));
                tree.remove(&key);
            }
            Some(below @ Json::Object(_)) => match &mut tree.get_mut(&key).expect("listed above").kind {
                ValueKind::Table(inner) => prune(inner, below, path, problems),
                // `auth:` with nothing behind it is YAML's null: everything at its default.
                ValueKind::Nil => drop(tree.remove(&key)),
                _ => {
                    problems.add(&dotted, "is a section; its keys go below it, indented");
                    tree.remove(&key);
                }
            },
            Some(default) => {
                let value = tree.get_mut(&key).expect("listed above");
                if let (Json::Array(_), ValueKind::String(text)) = (default, &value.kind) {
                    // From the environment: a list with commas.
                    let items = text.split(',').map(str::trim).filter(|t| !t.is_empty());
                    value.kind = ValueKind::Array(items.map(|t| Value::new(None, t.to_owned())).collect());
                }
                if matches!(value.kind, ValueKind::Nil) {
                    tree.remove(&key);
                } else if let Err(e) = Settings::deserialize(alone(path, value.clone())) {
                    let rule = explain(&e);
                    problems.add(&dotted, rule.strip_prefix(&format!("{dotted}: ")).unwrap_or(&rule));
                    tree.remove(&key);
                }
            }
        }
        path.pop();
    }
}

/// The value at its path, in a tree that holds nothing else.
fn alone(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, key| table(Map::from_iter([(key.clone(), inner)])))
}

fn take_streams(tree: &mut Table, problems: &mut Problems) -> BTreeMap<StreamName, Definition> {
    let mut read = BTreeMap::new();
    let Some(streams) = tree.remove("streams") else { return read };
    let mut streams = match streams.kind {
        ValueKind::Table(streams) => streams,
        ValueKind::Nil => return read,
        _ => {
            problems.add("streams", "is a section; each stream is a key below it");
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
                problems.add(&key, e.to_string());
                continue;
            }
        };
        let ValueKind::Table(mut fields) = value.kind else {
            problems.add(&key, format!("needs at least a kind: one of {}", Definition::KINDS.join(", ")));
            continue;
        };
        let kind = fields.remove("kind").map(|kind| kind.to_string()).unwrap_or_default();
        match Definition::of_kind(&kind, table(fields)) {
            Some(Ok(definition)) => drop(read.insert(name, definition)),
            Some(Err(e)) => problems.add(&key, explain(&e)),
            None if kind.is_empty() => {
                problems.add(&key, format!("needs a kind: one of {}", Definition::KINDS.join(", ")))
            }
            None => problems.add(
                format!("{key}.kind"),
                format!("{kind:?} is none of {}{}", Definition::KINDS.join(", "), suggestion(&kind, Definition::KINDS)),
            ),
        }
    }
    read
}

/// Names of environment variables have lost their case: what they say about `frontdoor` is meant for
/// the one stream whose name differs from it in case only.
fn join_environment_names(streams: &mut Table) {
    let lost: Vec<_> = streams.iter().filter(|(_, v)| is_from_environment(v)).map(|(k, _)| k.clone()).collect();
    for lower in lost {
        let mut others = streams.keys().filter(|k| **k != lower && k.eq_ignore_ascii_case(&lower)).cloned();
        let (Some(meant), None) = (others.next(), others.next()) else { continue };
        let from_environment = streams.remove(&lower).expect("listed above");
        if let (Some(Value { kind: ValueKind::Table(into), .. }), ValueKind::Table(fields)) =
            (streams.get_mut(&meant), from_environment.kind)
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

fn take_users(tree: &mut Table, problems: &mut Problems) -> Option<Vec<User>> {
    let ValueKind::Table(auth) = &mut tree.get_mut("auth")?.kind else { return None };
    let entries = match auth.remove("users")?.kind {
        ValueKind::Array(entries) => entries,
        ValueKind::Nil => vec![],
        _ => {
            problems.add("auth.users", "is a list; each entry begins with a dash");
            return None;
        }
    };
    let mut users = vec![];
    for (i, entry) in entries.into_iter().enumerate() {
        match User::deserialize(entry) {
            Ok(user) => users.push(user),
            Err(e) => problems.add(format!("auth.users[{i}]"), explain(&e)),
        }
    }
    Some(users)
}

/// The variables of the original recipe keep their meaning: `api` is for the administrator, the rest
/// for both.
fn add_original_users(settings: &mut Settings, environment: &HashMap<String, String>, problems: &mut Problems) {
    for (who, permissions) in [
        ("ADMIN", Permission::all()),
        ("USER", {
            let mut most = Permission::all();
            most.retain(|p| p.action != crate::policy::Action::Api);
            most
        }),
    ] {
        let name = format!("MEDIAMTX_{who}_USER");
        let Some(user) = environment.get(&name).filter(|v| !v.is_empty()) else { continue };
        let variable = format!("MEDIAMTX_{who}_PASSWORD");
        let password = match environment.get(&format!("{variable}_FILE")) {
            Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{path} cannot be read: {e}")),
            None => environment.get(&variable).cloned().ok_or_else(|| format!("is needed, because {name} is set")),
        };
        match password.and_then(|text| Credential::parse(text.trim_end_matches(['\r', '\n']))) {
            Ok(pass) if pass.is_empty() => problems.add(variable, "must not be empty"),
            Ok(pass) => {
                settings.auth.users.push(User { user: Credential::plain(user), pass, ips: vec![], permissions })
            }
            Err(rule) => problems.add(variable, rule),
        }
    }
}

/// Replaces `pass_file: PATH` by `pass: CONTENT`, wherever it stands.
fn read_secret_files(tree: &mut Table, path: &str, problems: &mut Problems) {
    for secret in SECRETS {
        let file_key = format!("{secret}_file");
        let Some(file) = tree.remove(&file_key) else { continue };
        let key = format!("{path}{file_key}");
        if tree.contains_key(*secret) {
            problems.add(key, format!("{secret} is set as well; one of the two has to go"));
            continue;
        }
        match std::fs::read_to_string(file.to_string()) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                tree.insert((*secret).to_owned(), Value::new(file.origin().map(str::to_owned).as_ref(), text));
            }
            Err(e) => problems.add(key, format!("{file} cannot be read: {e}")),
        }
    }
    for (key, value) in tree.iter_mut() {
        match &mut value.kind {
            ValueKind::Table(inner) => read_secret_files(inner, &format!("{path}{key}."), problems),
            ValueKind::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    if let ValueKind::Table(inner) = &mut item.kind {
                        read_secret_files(inner, &format!("{path}{key}[{i}]."), problems);
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

/// The error in words, without the position that the caller adds.
fn explain(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, key, .. } => match key {
            // The crate writes list[0]key.
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

/// `; did you mean X?` when a known word is close.
fn suggestion(word: &str, known: &[impl AsRef<str>]) -> String {
    let close = known.iter().map(AsRef::as_ref).map(|k| (strsim::levenshtein(word, k), k)).min();
    match close {
        Some((distance, known)) if distance <= 2 || known.starts_with(word) => format!("; did you mean {known}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;

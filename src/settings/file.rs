//! The content of `sidecar.yml`, as a source of the config crate.

use config::{ConfigError, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use crate::yaml;

/// The keys and values of a file.
#[derive(Clone, Debug)]
pub(super) struct FileContent(Map<String, Value>);

impl FileContent {
    /// Reads YAML. The error has line and column.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(FileContent(yaml::parse(text)?.into_iter().map(|(key, value)| (key, of_json(value))).collect()))
    }
}

impl Source for FileContent {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn of_json(value: Json) -> Value {
    let kind = match value {
        Json::Null => ValueKind::Nil,
        Json::Bool(flag) => ValueKind::Boolean(flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => ValueKind::I64(number),
            (None, Some(number)) => ValueKind::U64(number),
            (None, None) => ValueKind::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => ValueKind::String(text),
        Json::Array(items) => ValueKind::Array(items.into_iter().map(of_json).collect()),
        Json::Object(members) => ValueKind::Table(members.into_iter().map(|(k, v)| (k, of_json(v))).collect()),
    };
    Value::new(None, kind)
}

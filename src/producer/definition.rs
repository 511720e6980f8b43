//! [`StreamDefinition`]: what is stored about a stream, its source and what every kind can have.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Definition, ProducerContext, derived};
use crate::{
    error::Result,
    picture::compose::{Layer, Overlay},
    stream::{Producer, StreamName},
};

/// The definition of a stream: its kind with the settings of the kind, and an overlay.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StreamDefinition {
    /// The source of the pictures.
    #[serde(flatten)]
    pub source: Definition,
    /// Text, images, boxes and masks on the pictures, for every output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlay: Vec<Layer>,
    /// What people read in place of the name, in any script: up to 100 characters. That of a graph is in its settings, because it is
    /// drawn, too: see [`StreamDefinition::title`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// In a cluster: the nodes that can fetch or make the pictures, the preferred one first; empty: each. For cameras that only some nodes
    /// reach, and for files of one node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// Most nodes of one definition.
const MAX_NODES: usize = 100;

/// Checks the names of nodes; the rule is that of `cluster.node`.
pub fn check_nodes(nodes: &[String]) -> std::result::Result<(), &'static str> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |node: &String| (1..=64).contains(&node.len()) && node.chars().all(is_legal);
    let fits = nodes.len() <= MAX_NODES && nodes.iter().all(is_name);
    if fits { Ok(()) } else { Err("must be a list of at most 100 names of nodes: 1 to 64 letters, digits, -, _ and .") }
}

/// Checks a title: one line.
pub fn check_title(title: &str) -> std::result::Result<(), &'static str> {
    let fits = title.chars().count() <= 100 && !title.chars().any(char::is_control) && title == title.trim();
    if fits { Ok(()) } else { Err("must have at most 100 characters, no control characters, and no space at its ends") }
}

impl From<Definition> for StreamDefinition {
    fn from(source: Definition) -> Self {
        StreamDefinition { source, overlay: vec![], title: String::new(), nodes: vec![] }
    }
}

impl StreamDefinition {
    /// The same with another title.
    pub fn with_title(mut self, title: &str) -> Self {
        match &mut self.source {
            Definition::Graph(graph) => graph.title = title.to_owned(),
            _ => self.title = title.to_owned(),
        }
        self
    }

    /// What people read in place of the name; empty if there is none.
    pub fn title(&self) -> &str {
        match &self.source {
            Definition::Graph(graph) => &graph.title,
            _ => &self.title,
        }
    }

    /// The word of its kind.
    pub fn kind(&self) -> &'static str {
        self.source.kind()
    }

    /// Makes the producer for this node of a cluster: it fetches the pictures, or gets them from the node that does. Without a cluster it
    /// is [`StreamDefinition::producer_here`]. An error names the invalid setting.
    pub fn producer(&self, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
        let here = self.producer_here(name, context)?;
        // Uploads come to any node.
        let is_placed = match self.source {
            Definition::Upload(_) => false,
            _ => self.source.has_one_source() || !self.nodes.is_empty(),
        };
        Ok(if is_placed { context.placement.place(name, here, &self.nodes) } else { here })
    }

    /// Makes a producer that fetches the pictures on this node. An error names the invalid setting.
    pub fn producer_here(&self, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
        let overlay = Overlay::new(&self.overlay)?;
        match &self.source {
            Definition::Derived(settings) => derived::with_overlay(settings, overlay, name, context),
            source => {
                let inner = source.producer(name, context)?;
                Ok(if overlay.is_empty() { inner } else { derived::overlaid(inner, overlay, name, context) })
            }
        }
    }

    /// Whether it shows every stream whose name has a pattern.
    pub fn has_patterns(&self) -> bool {
        matches!(&self.source, Definition::Mosaic(settings) if settings.has_patterns())
    }

    /// The keys of the values that its overlay shows; none if the overlay is not valid.
    pub fn values(&self) -> Vec<String> {
        let overlay = Overlay::new(&self.overlay).unwrap_or_default();
        overlay.values().map(str::to_owned).collect()
    }

    /// The streams and paths that it is made of.
    pub fn parents(&self) -> Vec<StreamName> {
        match &self.source {
            Definition::Derived(settings) => vec![settings.of.clone()],
            Definition::Mosaic(settings) => settings.names(),
            _ => vec![],
        }
    }
}

/// By hand, because serde's `flatten` accepts unknown members.
impl<'de> Deserialize<'de> for StreamDefinition {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(from)?;
        let overlay = match members.remove("overlay") {
            None | Some(Value::Null) => vec![],
            Some(layers) => serde_json::from_value(layers).map_err(|e| D::Error::custom(format!("overlay: {e}")))?,
        };
        let title = members.get("title").cloned();
        let nodes: Vec<String> = match members.remove("nodes") {
            None | Some(Value::Null) => vec![],
            Some(nodes) => serde_json::from_value(nodes).map_err(|e| D::Error::custom(format!("nodes: {e}")))?,
        };
        check_nodes(&nodes).map_err(|rule| D::Error::custom(format!("nodes: {rule}")))?;
        if members.get("kind").is_none_or(|kind| kind != "graph") {
            members.remove("title");
        }
        let title = match title {
            None | Some(Value::Null) => String::new(),
            Some(title) => serde_json::from_value(title).map_err(|e| D::Error::custom(format!("title: {e}")))?,
        };
        check_title(&title).map_err(|rule| D::Error::custom(format!("title: {rule}")))?;
        let source: Definition = serde_json::from_value(Value::Object(members)).map_err(D::Error::custom)?;
        let made = StreamDefinition { source, overlay, title: String::new(), nodes };
        Ok(made.with_title(&title))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_can_have_an_overlay_and_unknown_members_are_named() {
        let read = |value: Value| serde_json::from_value::<StreamDefinition>(value);
        let overlay = json!([{"mask": [0.0, 0.0, 10.0, 10.0], "as": "blur"}, {"text": "{name}", "at": "top"}]);
        for kind in [
            json!({"kind": "test-card"}),
            json!({"kind": "derived", "of": "yard"}),
            json!({"kind": "upload"}),
            json!({"kind": "graph", "legend": ["last"]}),
        ] {
            let mut with = kind.clone();
            with["overlay"] = overlay.clone();
            with["title"] = json!("玄関");
            with["nodes"] = json!(["hall-1", "hall.2"]);
            let definition = read(with).expect("read");
            assert_eq!((definition.kind(), definition.overlay.len()), (kind["kind"].as_str().expect("a word"), 2));
            let written = serde_json::to_value(&definition).expect("written");
            assert_eq!((&written["overlay"], &written["title"]), (&overlay, &json!("玄関")));
            assert_eq!(definition.title(), "玄関");
            assert_eq!(read(written).expect("read again"), definition);
            assert!(serde_json::to_value(read(kind).expect("read")).expect("written").get("overlay").is_none());
        }
        for (value, says) in [
            (json!({"kind": "upload", "typo": 1}), "unknown field `typo`"),
            (json!({"kind": "upload", "overlay": [{"txt": "x"}]}), "overlay: unknown field `txt`"),
            (json!({"kind": "upload", "overlay": 5}), "overlay: invalid type"),
            (json!({"kind": "upload", "nodes": "hall"}), "nodes: invalid type"),
            (json!({"kind": "upload", "nodes": ["a b"]}), "nodes: must be a list"),
            (json!({"kind": "upload", "nodes": [""]}), "nodes: must be a list"),
            (json!({"kind": "upload", "title": "a\nb"}), "title: must have"),
            (json!({"kind": "upload", "title": "x".repeat(101)}), "title: must have"),
            (json!({"kind": "derived", "of": "../x"}), "name"),
        ] {
            let error = read(value.clone()).expect_err("refused").to_string();
            assert!(error.contains(says), "{value}: {error}");
        }
    }
}

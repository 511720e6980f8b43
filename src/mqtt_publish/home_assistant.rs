//! Home Assistant's discovery, in the form with one message for each device (since 2024.11). Pure: it makes texts.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>

use serde_json::{Value, json};

/// Most characters of a name in an identifier, before the digest.
const MAX_SLUG: usize = 48;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A name as an identifier: Home Assistant accepts letters, digits, `_` and `-` in topics of discovery. A name with other
/// characters gets a digest, so that `a/b` and `a_b` stay apart; the same name has the same identifier for ever.
pub(super) fn slug(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.len() <= MAX_SLUG && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let plain: String = name.chars().take(MAX_SLUG).map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{plain}_{:08x}", xxhash_rust::xxh3::xxh3_64(name.as_bytes()) >> 32)
}

/// What all devices of this program have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// Home Assistant's discovery prefix.
    pub(super) discovery: String,
    /// `mqtt.prefix`.
    pub(super) prefix: String,
    /// The address of the pages; empty if it is unknown.
    pub(super) url: String,
}

impl Common {
    fn own_id(&self) -> String {
        slug(&self.prefix)
    }

    /// The identifier of a stream's device.
    fn id(&self, name: &str) -> String {
        format!("{}_{}", self.own_id(), slug(name))
    }

    fn config(&self, id: &str) -> String {
        format!("{}/device/{id}/config", self.discovery)
    }

    /// The topic of a stream's device.
    pub(super) fn topic(&self, name: &str) -> String {
        self.config(&self.id(name))
    }

    /// The topics of all devices; a filter.
    pub(super) fn all(&self) -> String {
        self.config("+")
    }

    fn device(&self, id: &str, name: &str) -> Value {
        let mut device =
            json!({ "identifiers": [id], "name": name, "manufacturer": "mtx-sidecar", "sw_version": VERSION });
        if let Some(device) = device.as_object_mut().filter(|_| self.url.starts_with("http")) {
            device.insert("configuration_url".into(), self.url.clone().into());
        }
        device
    }

    fn available(&self) -> String {
        format!("{}/available", self.prefix)
    }

    fn origin() -> Value {
        json!({ "name": "mtx-sidecar", "sw_version": VERSION, "support_url": env!("CARGO_PKG_REPOSITORY") })
    }

    /// The device of this program, through which those of the streams are connected: its topic and its message.
    pub(super) fn own(&self) -> (String, Value) {
        let id = self.own_id();
        let connection = json!({
            "platform": "binary_sensor", "unique_id": format!("{id}_connection"), "name": "Connection",
            "device_class": "connectivity", "entity_category": "diagnostic",
            "state_topic": self.available(), "payload_on": "online", "payload_off": "offline",
        });
        let message = json!({
            "device": self.device(&id, &format!("mtx-sidecar ({})", self.prefix)),
            "origin": Self::origin(),
            "components": { "connection": connection },
        });
        (self.config(&id), message)
    }

    /// The device of a stream.
    pub(super) fn stream(&self, name: &str) -> Value {
        let (id, base) = (self.id(name), format!("{}/{name}", self.prefix));
        let mut device = self.device(&id, name);
        if let Some(device) = device.as_object_mut() {
            device.insert("via_device".into(), self.own_id().into());
        }
        let sensor = |key: &str, title: &str, icon: &str| {
            json!({
                "platform": "sensor", "unique_id": format!("{id}_{key}"), "name": title, "icon": icon,
                "entity_category": "diagnostic", "state_topic": format!("{base}/state"),
                "value_template": format!("{{{{ value_json.{key} }}}}"),
            })
        };
        let components = json!({
            // `name: null`: the entity has the device's name.
            "camera": {
                "platform": "camera", "unique_id": format!("{id}_camera"), "name": null,
                "topic": format!("{base}/image"), "json_attributes_topic": format!("{base}/state"),
            },
            "image": {
                "platform": "image", "unique_id": format!("{id}_image"), "name": "Picture",
                "image_topic": format!("{base}/image"), "content_type": "image/jpeg",
            },
            "state": sensor("state", "State", "mdi:camera-outline"),
            "watchers": sensor("watchers", "Watchers", "mdi:eye-outline"),
            "snapshot": {
                "platform": "button", "unique_id": format!("{id}_snapshot"), "name": "New picture",
                "icon": "mdi:camera-iris", "command_topic": format!("{base}/snapshot/set"),
            },
        });
        json!({
            "device": device,
            "origin": Self::origin(),
            "availability": [{ "topic": self.available() }],
            "components": components,
        })
    }

    /// Whether a message of discovery is one that this program made for a stream, perhaps before a restart.
    pub(super) fn is_own(&self, topic: &str, message: &Value) -> bool {
        let text = |pointer| message.pointer(pointer).and_then(Value::as_str);
        let begin = format!("{}/device/{}_", self.discovery, self.own_id());
        topic.starts_with(&begin)
            && text("/origin/name") == Some("mtx-sidecar")
            && text("/availability/0/topic") == Some(&self.available())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use regex::Regex;

    use super::*;

    fn common() -> Common {
        let (discovery, prefix) = ("homeassistant".into(), "mtx/garden".into());
        Common { discovery, prefix, url: "http://nas:9995".into() }
    }

    /// The rules of Home Assistant's schemas (homeassistant/components/mqtt/{schemas,camera,image,button,sensor,switch}.py).
    fn check(topic: &str, message: &Value) {
        let pattern = Regex::new("^homeassistant/device/[a-zA-Z0-9_-]+/config$").expect("a pattern");
        assert!(pattern.is_match(topic), "{topic}");
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let device = &message["device"];
        assert!(text(&device["identifiers"][0]) && text(&device["name"]), "{device}");
        assert!(device["configuration_url"].as_str().is_none_or(|url| url.starts_with("http")), "{device}");
        assert!(text(&message["origin"]["name"]), "the origin needs a name");
        assert!(message["availability"].is_null() || message["availability_topic"].is_null(), "one of both");
        let mut ids = BTreeSet::new();
        for (key, component) in message["components"].as_object().expect("components") {
            assert!(
                ids.insert(component["unique_id"].as_str().expect("an id").to_owned()),
                "{key} has an id of its own"
            );
            let needed: &[&str] = match component["platform"].as_str().expect("a platform") {
                "camera" => &["topic"],
                "image" => &["image_topic"],
                "button" => &["command_topic"],
                "sensor" | "binary_sensor" => &["state_topic"],
                other => panic!("{other} is not checked here"),
            };
            for member in needed {
                let topic = component[*member].as_str().expect("a topic");
                assert!(!topic.contains(['#', '+']), "{topic}");
            }
            assert!(component["url_topic"].is_null(), "an image has one of both");
            let category = component["entity_category"].as_str().unwrap_or("diagnostic");
            assert_eq!(category, "diagnostic");
        }
    }

    #[test]
    fn messages_keep_to_home_assistant_s_rules_for_all_names() {
        let common = common();
        for name in ["door", "Garden/Gate 1", "カメラ", "a.b~c", &"long/".repeat(40)] {
            let message = common.stream(name);
            check(&common.topic(name), &message);
            assert!(common.is_own(&common.topic(name), &message));
            assert_eq!(message["components"].as_object().map(serde_json::Map::len), Some(5));
        }
        let (topic, message) = common.own();
        check(&topic, &message);
        assert!(!common.is_own(&topic, &message), "it is no stream's");
        assert_eq!(common.stream("door")["device"]["via_device"], message["device"]["identifiers"][0]);
    }

    #[test]
    fn names_stay_apart_and_keep_their_identifier() {
        let names = ["a/b", "a_b", "a.b", "a b", "ä", "ö", "A_b"];
        let slugs: BTreeSet<_> = names.iter().map(|name| slug(name)).collect();
        assert_eq!(slugs.len(), names.len(), "{slugs:?}");
        assert_eq!(slug("door-1_x"), "door-1_x");
        assert_eq!(slug("a/b"), "a_b_48f71e94", "an identifier of an installed version");
    }

    #[test]
    fn a_device_of_another_program_or_another_sidecar_is_not_ours() {
        let (ours, mut others) = (common(), common());
        others.prefix = "mtx/garden_2".into();
        assert!(!ours.is_own(&others.topic("x"), &others.stream("x")));
        let foreign = json!({ "device": {}, "origin": { "name": "zigbee2mqtt" }, "components": {} });
        assert!(!ours.is_own(&ours.topic("x"), &foreign));
    }
}

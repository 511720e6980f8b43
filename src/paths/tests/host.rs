//! The part of MediaMTX's control API that the tests need: it can lose its paths, refuses unknown fields, and adds defaults.

use std::{collections::BTreeMap as Map, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use wiremock::{Request, Respond, ResponseTemplate};

use crate::mediamtx::Fields;

/// MediaMTX. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Host(pub(super) Arc<Mutex<HostInner>>);

#[derive(Default)]
pub(super) struct HostInner {
    pub(super) starts: u32,
    pub(super) paths: Map<String, Fields>,
    pub(super) writes: Vec<String>,
    pub(super) is_down: bool,
}

/// The settings of a path that says nothing.
fn defaults() -> Fields {
    let defaults = json!({
        "source": "publisher", "sourceOnDemand": false, "rtspTransport": "automatic", "record": false,
        "runOnDemand": "", "runOnDemandStartTimeout": "10s", "publishPass": "", "srtReadPassphrase": "", "srtPublishPassphrase": "",
    });
    serde_json::from_value(defaults).expect("an object")
}

impl Respond for Host {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut host = self.0.lock();
        let answer = |status: u16, body: Value| ResponseTemplate::new(status).set_body_json(body);
        let error = |status: u16, words: &str| answer(status, json!({"status": "error", "error": words}));
        if host.is_down {
            return error(500, "down");
        }
        let path = percent_encoding::percent_decode_str(request.url.path()).decode_utf8_lossy().into_owned();
        let list = |items: Vec<Value>| answer(200, json!({"itemCount": items.len(), "pageCount": 1, "items": items}));
        match path.as_str() {
            "/v3/info" => {
                return answer(200, json!({"version": "v1.20.1", "started": format!("start {}", host.starts)}));
            }
            "/v3/config/paths/list" => {
                let named = host.paths.iter().map(|(name, fields)| {
                    let mut all = defaults();
                    all.extend(fields.clone());
                    all.insert("name".into(), json!(name));
                    Value::Object(all)
                });
                return list(named.collect());
            }
            "/v3/config/pathdefaults/get" => return answer(200, Value::Object(defaults())),
            "/v3/paths/list" => return list(vec![json!({"name": "cam", "available": true, "readers": []})]),
            _ => {}
        }
        let Some((verb, name)) = path.strip_prefix("/v3/config/paths/").and_then(|rest| rest.split_once('/')) else {
            return error(404, "path not found");
        };
        host.writes.push(format!("{verb} {name}"));
        let fields: Fields = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Some(unknown) = fields.keys().find(|key| !defaults().contains_key(*key)) {
            return error(400, &format!("json: unknown field \"{unknown}\""));
        }
        let is_there = host.paths.contains_key(name);
        match verb {
            "add" if is_there => return error(400, "path already exists"),
            "patch" | "delete" if !is_there => return error(404, "path not found"),
            "delete" => drop(host.paths.remove(name)),
            "patch" => host.paths.entry(name.into()).or_default().extend(fields),
            _ => drop(host.paths.insert(name.into(), fields)),
        }
        answer(200, json!({"status": "ok"}))
    }
}

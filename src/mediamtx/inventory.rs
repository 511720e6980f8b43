//! What MediaMTX is set to, and who is connected to it.

use serde_json::{Map, Value};

use super::{Client, SessionKind};
use crate::error::Result;

/// Somebody connected to MediaMTX.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The protocol, by which it can be ended.
    pub kind: SessionKind,
    /// As MediaMTX describes it.
    pub fields: Value,
}

impl Client {
    /// Sessions of all protocols. Servers that are switched off have none.
    pub async fn sessions(&self) -> Result<Vec<Connected>> {
        let mut all = vec![];
        for kind in SessionKind::ALL {
            all.extend(self.list(kind.word()).await?.into_iter().map(|fields| Connected { kind, fields }));
        }
        Ok(all)
    }

    /// Its configuration, in the shape of mediamtx.yml and with what is at its default left out of paths. Users are not
    /// in it: they count only where MediaMTX does not ask us, and their passwords are none of our business.
    pub async fn configuration(&self) -> Result<Map<String, Value>> {
        let mut tree = self.object("/v3/config/global/get").await?;
        tree.remove("authInternalUsers");
        let defaults = self.path_defaults().await?;
        let paths = self.configured_paths().await?.into_iter().filter_map(|mut path| {
            let Some(Value::String(name)) = path.remove("name") else { return None };
            path.retain(|key, value| defaults.get(key) != Some(value));
            Some((name, Value::Object(path)))
        });
        tree.insert("paths".into(), Value::Object(paths.collect()));
        tree.insert("pathDefaults".into(), Value::Object(defaults));
        Ok(tree)
    }
}

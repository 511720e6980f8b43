//! MediaMTX's configuration, and its sessions.

use serde_json::{Map, Value};

use super::{Client, Fields, SessionKind};
use crate::error::Result;

/// A session at MediaMTX.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The kind, which is needed to end it.
    pub kind: SessionKind,
    /// The fields of the API.
    pub fields: Value,
}

impl Client {
    /// The sessions of all protocols. A server that is switched off has none.
    pub async fn sessions(&self) -> Result<Vec<Connected>> {
        let mut all = vec![];
        for kind in SessionKind::ALL {
            all.extend(self.list(kind.word()).await?.into_iter().map(|fields| Connected { kind, fields }));
        }
        Ok(all)
    }

    /// MediaMTX's configuration in the shape of mediamtx.yml. Settings of paths that have their default are left out. So are the users:
    /// they have no effect when MediaMTX asks the sidecar, and their passwords are secret.
    pub async fn configuration(&self) -> Result<Map<String, Value>> {
        let mut tree: Fields = self.object("/v3/config/global/get").await?;
        tree.remove("authInternalUsers");
        let defaults = self.path_defaults().await?;
        let mut paths = Fields::new();
        for mut fields in self.configured_paths().await? {
            let Some(Value::String(name)) = fields.remove("name") else { continue };
            fields.retain(|key, value| defaults.get(key) != Some(value));
            paths.insert(name, Value::Object(fields));
        }
        tree.insert("paths".into(), Value::Object(paths));
        tree.insert("pathDefaults".into(), Value::Object(defaults));
        Ok(tree)
    }
}

//! Many paths at once: replacing all, and taking over what MediaMTX has.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Paths, Wanted, definition::Kind};
use crate::{
    error::{Error, Result},
    mediamtx::Fields,
};

/// What a replacement of all paths changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// Names of new ones.
    pub added: Vec<String>,
    /// Names of those that are different.
    pub changed: Vec<String>,
    /// Names of those that are not there any more.
    pub removed: Vec<String>,
    /// How many stay as they are.
    pub unchanged: usize,
}

/// What was taken over from MediaMTX.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Imported {
    /// Names.
    pub imported: Vec<String>,
    /// Those that were not, and why.
    pub skipped: BTreeMap<String, String>,
}

impl Paths {
    /// Wants these paths and no others; with `dry_run` only says what that would change. All of it or nothing.
    pub async fn replace_all(&self, mut all: BTreeMap<String, Wanted>, dry_run: bool) -> Result<Difference> {
        let _turn = self.0.writing.lock().await;
        let before = self.wanted();
        let mut difference = Difference::default();
        for (name, wanted) in &mut all {
            if let Some(before) = before.get(name) {
                wanted.unhide(before);
            }
            wanted.check(name).map_err(|e| Error::new(e.code(), format!("{name}: {e}")))?;
            match before.get(name) {
                None => difference.added.push(name.clone()),
                Some(before) if before != wanted => difference.changed.push(name.clone()),
                Some(_) => difference.unchanged += 1,
            }
        }
        difference.removed = before.keys().filter(|name| !all.contains_key(*name)).cloned().collect();
        if !dry_run {
            let removed = difference.removed.clone();
            all.retain(|name, wanted| before.get(name) != Some(wanted));
            self.change(all, removed).await?;
        }
        Ok(difference)
    }

    /// Takes over the paths that MediaMTX has and that are not kept here, so that they survive. What its API hides, and
    /// paths for everything else, are left where they are.
    pub async fn import(&self) -> Result<Imported> {
        let _turn = self.0.writing.lock().await;
        let defaults = self.0.mediamtx.path_defaults().await?;
        let (mut result, mut keep) = (Imported::default(), BTreeMap::new());
        let known = self.wanted();
        for path in self.0.mediamtx.configured_paths().await? {
            let Some(name) = path.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
            if known.contains_key(&name) {
                continue;
            }
            let fields: Fields = path
                .into_iter()
                .filter(|(key, value)| key != "name" && defaults.get(key) != Some(value) && !value.is_null())
                .collect();
            if let Some((key, _)) = fields.iter().find(|(_, value)| *value == "<redacted>") {
                result.skipped.insert(name, format!("{key} is not shown by MediaMTX"));
                continue;
            }
            let wanted = Wanted {
                kind: Kind::Raw { fields },
                enabled: true,
                record: false,
                note: "taken over from MediaMTX".into(),
                labels: BTreeMap::new(),
            };
            match wanted.check(&name) {
                Ok(()) => {
                    result.imported.push(name.clone());
                    keep.insert(name, wanted);
                }
                Err(e) => drop(result.skipped.insert(name, e.to_string())),
            }
        }
        self.change(keep, vec![]).await?;
        Ok(result)
    }
}

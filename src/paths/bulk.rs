//! Many paths at once: replacing all, and importing those of MediaMTX.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Paths, Wanted, definition::Kind};
use crate::{
    error::{Error, Result},
    mediamtx::Fields,
};

/// The changes of a replacement of all paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// Names of new paths.
    pub added: Vec<String>,
    /// Names of paths whose definitions differ.
    pub changed: Vec<String>,
    /// Names of paths that are removed.
    pub removed: Vec<String>,
    /// The number of unchanged paths.
    pub unchanged: usize,
}

/// The result of an import from MediaMTX.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Imported {
    /// Names of the imported paths.
    pub imported: Vec<String>,
    /// Paths that were not imported, with the reason.
    pub skipped: BTreeMap<String, String>,
}

impl Paths {
    /// Replaces all definitions, or none if one of them is not valid. With `dry_run` nothing is changed.
    pub async fn replace_all(&self, mut all: BTreeMap<String, Wanted>, dry_run: bool) -> Result<Difference> {
        let _changing = self.0.writing.lock().await;
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

    /// Defines the paths that MediaMTX has and that are not defined here, so that they survive a restart of MediaMTX: all of its
    /// configuration, or those of `names`, which can also be paths that clients have made. Paths with settings that the API hides, and
    /// `all_others`, are skipped. With `dry_run` nothing is changed.
    pub async fn import(&self, names: Option<&[String]>, dry_run: bool) -> Result<Imported> {
        let _changing = self.0.writing.lock().await;
        let defaults = self.0.mediamtx.path_defaults().await?;
        let (mut result, mut new) = (Imported::default(), BTreeMap::new());
        let known = self.wanted();
        let mut candidates = self.0.mediamtx.configured_paths().await?;
        if let Some(names) = names {
            let made = self.made_by_clients(names, &candidates).await?;
            candidates.retain(|path| names.iter().any(|name| path.get("name").is_some_and(|is| is == name)));
            candidates.extend(made);
            for name in names {
                if !candidates.iter().any(|path| path.get("name").is_some_and(|is| is == name)) {
                    result.skipped.insert(name.clone(), "MediaMTX has no path of this name".into());
                }
            }
        }
        for path in candidates {
            let Some(name) = path.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
            if known.contains_key(&name) {
                continue;
            }
            let mut fields: Fields = path
                .into_iter()
                .filter(|(key, value)| key != "name" && defaults.get(key) != Some(value) && !value.is_null())
                .collect();
            if let Some((key, _)) = fields.iter().find(|(_, value)| *value == "<redacted>") {
                result.skipped.insert(name, format!("MediaMTX does not show {key}"));
                continue;
            }
            let has_group = |value: &Value| value.as_str().is_some_and(|text| text.contains("$G"));
            if let Some((key, _)) = fields.iter().find(|(_, value)| !name.starts_with('~') && has_group(value)) {
                result
                    .skipped
                    .insert(name, format!("its {key} comes from a regular expression, which is to be kept instead"));
                continue;
            }
            // The switch of the definition has it.
            let record = fields.get("record") == Some(&Value::Bool(true));
            if record {
                fields.remove("record");
            }
            let wanted = Wanted {
                kind: Kind::Raw { fields },
                enabled: true,
                record,
                title: String::new(),
                note: "imported from MediaMTX".into(),
                labels: BTreeMap::new(),
                nodes: vec![],
                failover: false,
            };
            match wanted.check(&name) {
                Ok(()) => {
                    result.imported.push(name.clone());
                    new.insert(name, wanted);
                }
                Err(e) => drop(result.skipped.insert(name, e.to_string())),
            }
        }
        if !dry_run {
            self.change(new, vec![]).await?;
        }
        Ok(result)
    }

    /// The settings of paths that clients have made, which MediaMTX takes from `all_others` or from a regular expression.
    async fn made_by_clients(&self, names: &[String], configured: &[Fields]) -> Result<Vec<Fields>> {
        let entry = |name: &str| configured.iter().find(|path| path.get("name").is_some_and(|is| is == name));
        if names.iter().all(|name| entry(name).is_some()) {
            return Ok(vec![]);
        }
        let live = self.0.mediamtx.paths().await?;
        let made = names.iter().filter(|name| entry(name).is_none()).filter_map(|name| {
            let path = live.iter().find(|path| path["name"] == **name)?;
            let mut fields = entry(path["confName"].as_str()?)?.clone();
            fields.insert("name".into(), Value::String(name.clone()));
            Some(fields)
        });
        Ok(made.collect())
    }
}

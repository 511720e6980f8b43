//! Sections whose keys are names.

use std::{collections::BTreeMap, str::FromStr};

use config::ValueKind;
use serde::{Deserialize, de::DeserializeOwned};

use super::{SettingErrors, Table, explain, table};
use crate::picture::compose::Layer;

/// Reads `overlays`, whose keys are names of presets.
pub(super) fn take_overlays(tree: &mut Table, errors: &mut SettingErrors) -> BTreeMap<String, Vec<Layer>> {
    let presets = match tree.remove("overlays").map(|value| value.kind) {
        Some(ValueKind::Table(presets)) => BTreeMap::from_iter(presets),
        Some(ValueKind::Nil) | None => BTreeMap::new(),
        Some(_) => {
            errors.add("overlays", "is a section; write each overlay as a key below it");
            BTreeMap::new()
        }
    };
    let read = presets.into_iter().filter_map(|(name, layers)| match Vec::deserialize(layers) {
        Ok(layers) => Some((name, layers)),
        Err(e) => {
            errors.add(format!("overlays.{name}"), explain(&e));
            None
        }
    });
    read.collect()
}

/// Reads a map whose keys are names, such as `mqtt.publish`.
pub(super) fn take_named<K: FromStr<Err: ToString> + Ord, T: DeserializeOwned>(
    tree: &mut Table,
    [section, member]: [&str; 2],
    errors: &mut SettingErrors,
) -> BTreeMap<K, T> {
    let mut read = BTreeMap::new();
    let Some(ValueKind::Table(members)) = tree.get_mut(section).map(|value| &mut value.kind) else { return read };
    let named = match members.remove(member).map(|value| value.kind) {
        Some(ValueKind::Table(named)) => BTreeMap::from_iter(named),
        Some(ValueKind::Nil) | None => return read,
        Some(_) => {
            errors.add(format!("{section}.{member}"), "is a section; write each name as a key below it");
            return read;
        }
    };
    for (name, value) in named {
        let key = format!("{section}.{member}.{name}");
        let fields = if matches!(value.kind, ValueKind::Nil) { table(Table::new()) } else { value };
        match (name.parse(), T::deserialize(fields)) {
            (Ok(name), Ok(entry)) => drop(read.insert(name, entry)),
            (Err(e), _) => errors.add(&key, e.to_string()),
            (_, Err(e)) => errors.add(&key, explain(&e)),
        }
    }
    read
}

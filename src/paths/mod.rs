//! Paths that MediaMTX shall have, kept here because it forgets what it is told by API: at each restart, and whenever its
//! file is read again.
//!
//! [`Paths::keep`] compares what is wanted with what MediaMTX has, every few seconds and after each change, and does
//! what is missing. What did not come from us is never touched.

mod bulk;
mod definition;
mod plan;
mod reconcile;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};
use utoipa::ToSchema;

pub use self::{
    bulk::{Difference, Imported},
    definition::{Kind, Wanted, check_name},
};
use crate::{
    error::{Code, Error, Result},
    events::Bus,
    mediamtx::{Client, Info},
    store::Store,
};

/// The limit on paths that are kept.
pub const MAX_PATHS: usize = 10_000;

/// The paths that are wanted. Cheap to clone.
#[derive(Clone)]
pub struct Paths(Arc<Inner>);

struct Inner {
    store: Store,
    mediamtx: Client,
    events: Bus,
    /// What the addresses begin with at which MediaMTX pulls our streams.
    advertise_rtsp: String,
    wanted: Mutex<BTreeMap<String, Wanted>>,
    progress: Mutex<HashMap<String, Progress>>,
    seen: Mutex<Seen>,
    changed: Notify,
    /// One change at a time.
    writing: tokio::sync::Mutex<()>,
}

/// MediaMTX, as it was found last.
#[derive(Default)]
struct Seen {
    info: Option<Info>,
    error: Option<String>,
}

/// How far a path has come.
#[derive(Clone, Debug)]
struct Progress {
    condition: Condition,
    error: Option<String>,
    differs: Vec<String>,
    /// Not before this is it tried again.
    next_try: Instant,
    refusals: u32,
    /// How often in a row it was set right and was not right afterwards.
    corrections: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            condition: Condition::Pending,
            error: None,
            differs: vec![],
            next_try: Instant::now(),
            refusals: 0,
            corrections: 0,
        }
    }
}

/// Where a path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// MediaMTX has it as it is wanted.
    Applied,
    /// It is being seen to.
    Pending,
    /// MediaMTX has a path of that name which is not from us, in its file for instance, and is different.
    Conflict,
    /// MediaMTX does not accept it.
    Refused,
    /// It is not wanted at the moment.
    Disabled,
}

/// A path: what is wanted, and what is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PathStatus {
    /// Its name.
    pub name: String,
    /// What is wanted; passwords are not shown.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// Where it stands.
    pub state: Condition,
    /// Why, if it is not as wanted.
    pub error: Option<String>,
    /// Settings that are not as wanted.
    pub differs: Vec<String>,
    /// What MediaMTX says about it at the moment: whether it is available, its tracks and its readers.
    #[schema(value_type = Option<Object>)]
    pub actual: Option<Value>,
}

/// MediaMTX, as it was found last.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct HostStatus {
    /// Whether its control API answers.
    pub reachable: bool,
    /// Such as `v1.20.1`.
    pub version: Option<String>,
    /// When it was started.
    pub started: Option<String>,
    /// Why not.
    pub error: Option<String>,
}

fn unknown(name: &str) -> Error {
    Error::new(Code::UnknownPath, format!("there is no path {name} among those that are kept here"))
}

impl Paths {
    /// Reads what is kept. `advertise_rtsp` is the beginning of our RTSP addresses, such as `rtsp://127.0.0.1:9554`.
    pub fn open(store: Store, mediamtx: Client, events: Bus, advertise_rtsp: String) -> Result<Self> {
        let mut wanted = BTreeMap::new();
        for (name, text) in store.paths()? {
            match serde_json::from_str(&text) {
                Ok(definition) => drop(wanted.insert(name, definition)),
                // Kept in the database for whoever repairs it.
                Err(e) => tracing::error!(path = name, "the path in the database is not understood: {e}"),
            }
        }
        Ok(Paths(Arc::new(Inner {
            store,
            mediamtx,
            events,
            advertise_rtsp,
            wanted: Mutex::new(wanted),
            progress: Mutex::default(),
            seen: Mutex::default(),
            changed: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        })))
    }

    fn wanted(&self) -> BTreeMap<String, Wanted> {
        self.0.wanted.lock().clone()
    }

    /// MediaMTX, as it was found last.
    pub fn host(&self) -> HostStatus {
        let seen = self.0.seen.lock();
        HostStatus {
            reachable: seen.info.is_some() && seen.error.is_none(),
            version: seen.info.as_ref().map(|info| info.version.clone()),
            started: seen.info.as_ref().map(|info| info.started.clone()),
            error: seen.error.clone(),
        }
    }

    /// All paths, by name, with what MediaMTX says about them.
    pub async fn list(&self) -> Vec<PathStatus> {
        let actual = self.0.mediamtx.paths().await.unwrap_or_default();
        let actual: HashMap<_, _> =
            actual.into_iter().filter_map(|path| Some((path["name"].as_str()?.to_owned(), path))).collect();
        self.wanted().into_iter().map(|(name, wanted)| self.status(name, &wanted, &actual)).collect()
    }

    /// How they stand, without asking MediaMTX.
    pub fn conditions(&self) -> Vec<Condition> {
        let progress = self.0.progress.lock();
        let condition = |(name, wanted): (String, Wanted)| match wanted.enabled {
            true => progress.get(&name).map_or(Condition::Pending, |progress| progress.condition),
            false => Condition::Disabled,
        };
        self.wanted().into_iter().map(condition).collect()
    }

    /// One of them.
    pub async fn get(&self, name: &str) -> Result<PathStatus> {
        let wanted = self.wanted().remove(name).ok_or_else(|| unknown(name))?;
        let actual = self.0.mediamtx.path(name).await.ok().flatten();
        Ok(self.status(name.to_owned(), &wanted, &actual.map(|path| (name.to_owned(), path)).into_iter().collect()))
    }

    fn status(&self, name: String, wanted: &Wanted, actual: &HashMap<String, Value>) -> PathStatus {
        let progress = self.0.progress.lock();
        let progress = progress.get(&name).cloned().unwrap_or_default();
        PathStatus {
            state: if wanted.enabled { progress.condition } else { Condition::Disabled },
            error: progress.error,
            differs: progress.differs,
            actual: actual.get(&name).cloned(),
            wanted: wanted.hidden(),
            name,
        }
    }

    /// Wants a path from now on; says whether it is new.
    pub async fn put(&self, name: &str, mut wanted: Wanted) -> Result<bool> {
        let _turn = self.0.writing.lock().await;
        let before = self.wanted().remove(name);
        if let Some(before) = &before {
            wanted.unhide(before);
        }
        wanted.check(name)?;
        self.change([(name.to_owned(), wanted)].into(), vec![]).await?;
        Ok(before.is_none())
    }

    /// Changes some members of a path's definition (JSON merge patch, RFC 7396).
    pub async fn patch(&self, name: &str, changes: serde_json::Map<String, Value>) -> Result<()> {
        let before = self.wanted().remove(name).ok_or_else(|| unknown(name))?;
        let mut merged = serde_json::to_value(&before).map_err(|e| Error::internal("the path cannot be written", e))?;
        merge(&mut merged, Value::Object(changes));
        let wanted = serde_json::from_value(merged).map_err(|e| Error::new(Code::InvalidPath, e.to_string()))?;
        self.put(name, wanted).await.map(drop)
    }

    /// Wants a path no more.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let _turn = self.0.writing.lock().await;
        if !self.wanted().contains_key(name) {
            return Err(unknown(name));
        }
        self.change(BTreeMap::new(), vec![name.to_owned()]).await
    }

    /// Keeps and forgets, in the database and here, and has it seen to.
    async fn change(&self, keep: BTreeMap<String, Wanted>, forget: Vec<String>) -> Result<()> {
        let new = keep.keys().filter(|name| !self.0.wanted.lock().contains_key(*name)).count();
        if self.wanted().len() + new > MAX_PATHS + forget.len() {
            return Err(Error::new(Code::TooManyPaths, format!("{MAX_PATHS} paths are kept at most")));
        }
        let rows = keep.iter().map(|(name, wanted)| {
            let text = serde_json::to_string(wanted).map_err(|e| Error::internal("the path cannot be written", e))?;
            Ok((name.clone(), text))
        });
        let (rows, gone) = (rows.collect::<Result<Vec<_>>>()?, forget.clone());
        self.0.store.run(move |store| store.change_paths(&rows, &gone)).await?;
        {
            let mut wanted = self.0.wanted.lock();
            let mut progress = self.0.progress.lock();
            for name in keep.keys().chain(&forget) {
                progress.remove(name);
                wanted.remove(name);
            }
            wanted.extend(keep);
        }
        self.0.changed.notify_one();
        Ok(())
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(members) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            members.remove(&key);
        } else {
            merge(members.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests;

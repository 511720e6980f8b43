//! The paths that an administrator defines for MediaMTX. They are stored here, because MediaMTX loses paths of the API at each restart, and
//! at each reload of its file.
//!
//! [`Paths::run`] compares the definitions with MediaMTX's configuration, every few seconds and after each change, and corrects
//! MediaMTX. Paths that the sidecar has not made are never changed.

mod bulk;
mod definition;
mod fleet;
mod plan;
mod reconcile;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Duration, Instant, timeout_at},
};
use utoipa::ToSchema;

pub use self::{
    bulk::{Difference, Imported},
    definition::{Kind, Wanted, check_name},
    fleet::Placement,
};
use crate::{
    error::{Code, Error, Result},
    events::Bus,
    mediamtx::{Client, Fields, Info},
    secret::{hide_in_json, to_stored_json},
    store::{Store, shared::OnConflict},
    uv4l::{BridgeStatus, Cameras},
};

/// Most paths.
pub const MAX_PATHS: usize = 10_000;

/// How long [`Paths::settle`] waits: MediaMTX takes a path in some tenths of a second, but reads the whole configuration for it.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

/// The defined paths. Cheap to clone.
#[derive(Clone)]
pub struct Paths(Arc<Inner>);

struct Inner {
    store: Store,
    mediamtx: Client,
    events: Bus,
    /// The UV4L cameras, which are told of those that are defined as paths.
    uv4l: Cameras,
    /// Base URL at which MediaMTX pulls the sidecar's streams.
    advertise_rtsp: String,
    wanted: Mutex<BTreeMap<String, Wanted>>,
    progress: Mutex<HashMap<String, Progress>>,
    host: Mutex<LastAnswer>,
    changed: Notify,
    /// Counts the comparisons with MediaMTX.
    compared: watch::Sender<u64>,
    /// Held during a change, so that there is only one at a time.
    writing: tokio::sync::Mutex<()>,
    /// In a cluster: which paths this node has.
    placement: OnceLock<Placement>,
    /// In a cluster: a path for those of other nodes.
    pull: OnceLock<(&'static str, Fields)>,
}

/// The last answer of MediaMTX.
#[derive(Default)]
struct LastAnswer {
    info: Option<Info>,
    error: Option<String>,
}

/// The progress of a path.
#[derive(Clone, Debug)]
struct Progress {
    condition: Condition,
    error: Option<String>,
    differs: Vec<String>,
    /// The earliest time of the next attempt.
    next_try: Instant,
    refusals: u32,
    /// Corrections in a row after which the path differed again.
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

/// The state of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// MediaMTX has the path as defined.
    Applied,
    /// MediaMTX does not have the path yet.
    Pending,
    /// MediaMTX has another path of this name, from its file for example, with other settings.
    Conflict,
    /// MediaMTX refuses the definition.
    Refused,
    /// The definition is disabled.
    Disabled,
    /// The MediaMTX of other nodes of the cluster has the path.
    Elsewhere,
}

/// A path: its definition, and its state at MediaMTX.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PathStatus {
    /// Its name.
    pub name: String,
    /// The definition. Passwords are `***`.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// Its state.
    pub state: Condition,
    /// The reason for which MediaMTX does not have it as defined.
    pub error: Option<String>,
    /// The settings that differ at MediaMTX.
    pub differs: Vec<String>,
    /// For a UV4L camera: whether it is called, and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeStatus>,
    /// Its present state at MediaMTX: availability, tracks, readers.
    #[schema(value_type = Option<Object>)]
    pub actual: Option<Value>,
}

/// MediaMTX, as of the last attempt to reach it.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct HostStatus {
    /// Whether its control API answers.
    pub reachable: bool,
    /// Its version, such as `v1.20.1`.
    pub version: Option<String>,
    /// The time of its start.
    pub started: Option<String>,
    /// The reason for which it does not answer.
    pub error: Option<String>,
}

fn unknown(name: &str) -> Error {
    Error::new(Code::UnknownPath, format!("no path {name} is defined here"))
}

impl Paths {
    /// Reads the stored definitions. `advertise_rtsp` is the base URL of the sidecar's streams, such as `rtsp://127.0.0.1:9554`.
    pub fn open(store: Store, mediamtx: Client, events: Bus, uv4l: Cameras, advertise_rtsp: String) -> Result<Self> {
        let mut wanted = BTreeMap::new();
        for (name, text) in store.paths()? {
            match serde_json::from_str(&text) {
                Ok(definition) => drop(wanted.insert(name, definition)),
                // The row stays in the database, so that it can be repaired.
                Err(e) => tracing::error!(path = name, "the stored definition of the path is damaged: {e}"),
            }
        }
        uv4l.define(definition::cameras(&wanted));
        Ok(Paths(Arc::new(Inner {
            store,
            mediamtx,
            events,
            uv4l,
            advertise_rtsp,
            wanted: Mutex::new(wanted),
            progress: Mutex::default(),
            host: Mutex::default(),
            changed: Notify::new(),
            compared: watch::Sender::new(0),
            writing: tokio::sync::Mutex::default(),
            placement: OnceLock::new(),
            pull: OnceLock::new(),
        })))
    }

    fn wanted(&self) -> BTreeMap<String, Wanted> {
        self.0.wanted.lock().clone()
    }

    /// MediaMTX, as of the last attempt to reach it.
    pub fn host(&self) -> HostStatus {
        let last = self.0.host.lock();
        HostStatus {
            reachable: last.info.is_some() && last.error.is_none(),
            version: last.info.as_ref().map(|info| info.version.clone()),
            started: last.info.as_ref().map(|info| info.started.clone()),
            error: last.error.clone(),
        }
    }

    /// All paths, by name. Without an answer of MediaMTX their state there is left out; [`Paths::host`] has the reason.
    pub async fn list(&self) -> Vec<PathStatus> {
        let actual = self.0.mediamtx.paths().await.unwrap_or_else(|e| {
            tracing::debug!("paths are listed without their state: {}", e.chain());
            vec![]
        });
        let actual: HashMap<_, _> =
            actual.into_iter().filter_map(|path| Some((path["name"].as_str()?.to_owned(), path))).collect();
        self.wanted().into_iter().map(|(name, wanted)| self.status(name, &wanted, &actual)).collect()
    }

    /// The title of a path that is kept; none if it has none.
    pub fn title(&self, name: &str) -> Option<String> {
        let wanted = self.0.wanted.lock();
        wanted.get(name).map(|wanted| wanted.title.clone()).filter(|title| !title.is_empty())
    }

    /// Whether a path of this name is kept.
    pub fn is_kept(&self, name: &str) -> bool {
        self.0.wanted.lock().contains_key(name)
    }

    /// The states of all paths, without a request to MediaMTX.
    pub fn conditions(&self) -> Vec<Condition> {
        let progress = self.0.progress.lock();
        let condition = |(name, wanted): (String, Wanted)| {
            let condition = progress.get(&name).map_or(Condition::Pending, |progress| progress.condition);
            self.condition(&name, &wanted, condition)
        };
        self.wanted().into_iter().map(condition).collect()
    }

    /// One path. Without an answer of MediaMTX its state there is left out.
    pub async fn get(&self, name: &str) -> Result<PathStatus> {
        let wanted = self.wanted().remove(name).ok_or_else(|| unknown(name))?;
        let actual = self.0.mediamtx.path(name).await.unwrap_or_else(|e| {
            tracing::debug!(path = name, "the path is shown without its state: {}", e.chain());
            None
        });
        Ok(self.status(name.to_owned(), &wanted, &actual.map(|path| (name.to_owned(), path)).into_iter().collect()))
    }

    /// The state of a path, whose state at this node's MediaMTX is known.
    fn condition(&self, name: &str, wanted: &Wanted, here: Condition) -> Condition {
        match (wanted.enabled, self.is_here(name, wanted)) {
            (false, _) => Condition::Disabled,
            (true, false) => Condition::Elsewhere,
            (true, true) => here,
        }
    }

    fn status(&self, name: String, wanted: &Wanted, actual: &HashMap<String, Value>) -> PathStatus {
        let progress = self.0.progress.lock();
        let progress = progress.get(&name).cloned().unwrap_or_default();
        PathStatus {
            state: self.condition(&name, wanted, progress.condition),
            error: progress.error,
            differs: progress.differs,
            bridge: self.0.uv4l.bridge(&name),
            actual: actual.get(&name).cloned().map(|mut actual| {
                hide_in_json(&mut actual);
                actual
            }),
            wanted: wanted.hidden(),
            name,
        }
    }

    /// Defines a path. Returns whether it is new.
    pub async fn put(&self, name: &str, wanted: Wanted) -> Result<bool> {
        self.put_if(name, wanted, false).await
    }

    /// The same; with `only_new` a path that is kept is refused.
    pub async fn put_if(&self, name: &str, mut wanted: Wanted, only_new: bool) -> Result<bool> {
        let _changing = self.0.writing.lock().await;
        let before = self.wanted().remove(name);
        if only_new && before.is_some() {
            let message = format!("name: a path {name} is kept here already");
            return Err(Error::new(Code::PreconditionFailed, message).in_field("name"));
        }
        if let Some(before) = &before {
            wanted.unhide(before);
        }
        wanted.check(name)?;
        self.change([(name.to_owned(), wanted)].into(), vec![]).await?;
        Ok(before.is_none())
    }

    /// Defines a path under a name that no other path has, here or at MediaMTX. The same definition under the same name is no conflict.
    /// Returns whether it is new.
    pub async fn create(&self, name: &str, wanted: Wanted) -> Result<bool> {
        let taken = |why: String| Err(Error::new(Code::PathExists, format!("name: {why}")).in_field("name"));
        wanted.check(name)?;
        let _changing = self.0.writing.lock().await;
        match self.wanted().remove(name) {
            Some(before) if before == wanted => return Ok(false),
            Some(_) => return taken(format!("another path {name} is kept here; choose another name")),
            None => {}
        }
        match self.at_mediamtx(name).await {
            Ok(None) => {}
            Ok(Some(state)) => return taken(format!("MediaMTX has a path {name}, {state}; choose another name")),
            // MediaMTX gets the path when it answers again. A conflict then shows in the state of the path.
            Err(e) => tracing::debug!(path = name, "the name is not compared with MediaMTX's paths: {}", e.chain()),
        }
        self.change([(name.to_owned(), wanted)].into(), vec![]).await?;
        Ok(true)
    }

    /// The state of MediaMTX's path of a name, if it has one, in words.
    async fn at_mediamtx(&self, name: &str) -> Result<Option<&'static str>> {
        if self.0.mediamtx.configured_paths().await?.iter().any(|path| path.get("name").is_some_and(|is| is == name)) {
            return Ok(Some("which its configuration defines"));
        }
        let live = self.0.mediamtx.path(name).await?;
        let is_live = live.is_some_and(|path| path["available"] == true || path["ready"] == true);
        Ok(is_live.then_some("which is live now"))
    }

    /// Waits until MediaMTX has taken or refused a path, if it answers. Afterwards the path's state is known.
    pub async fn settle(&self, name: &str) {
        let until = Instant::now() + SETTLE_TIMEOUT;
        let mut compared = self.0.compared.subscribe();
        let is_pending = || {
            let progress = self.0.progress.lock();
            progress.get(name).is_none_or(|progress| progress.condition == Condition::Pending)
        };
        while is_pending() && matches!(timeout_at(until, compared.changed()).await, Ok(Ok(()))) {
            if !self.host().reachable {
                return;
            }
        }
    }

    /// Changes members of a definition (JSON merge patch, RFC 7396).
    pub async fn patch(&self, name: &str, changes: serde_json::Map<String, Value>) -> Result<()> {
        let before = self.wanted().remove(name).ok_or_else(|| unknown(name))?;
        let mut merged = to_stored_json(&before).map_err(|e| Error::internal("the path cannot be written", e))?;
        merge(&mut merged, Value::Object(changes));
        let wanted = serde_json::from_value(merged).map_err(|e| Error::new(Code::InvalidPath, e.to_string()))?;
        self.put(name, wanted).await.map(drop)
    }

    /// Removes a path, here and at MediaMTX.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let _changing = self.0.writing.lock().await;
        if !self.wanted().contains_key(name) {
            return Err(unknown(name));
        }
        self.change(BTreeMap::new(), vec![name.to_owned()]).await
    }

    /// Stores and removes definitions, and wakes [`Paths::run`].
    async fn change(&self, new: BTreeMap<String, Wanted>, gone: Vec<String>) -> Result<()> {
        let added = new.keys().filter(|name| !self.0.wanted.lock().contains_key(*name)).count();
        if self.wanted().len() + added > MAX_PATHS + gone.len() {
            return Err(Error::new(Code::TooManyPaths, format!("there can be {MAX_PATHS} paths")));
        }
        let rows = new.iter().map(|(name, wanted)| {
            let text = to_stored_json(wanted)
                .map(|row| row.to_string())
                .map_err(|e| Error::internal("the path cannot be written", e))?;
            Ok((name.clone(), text))
        });
        let (rows, removed) = (rows.collect::<Result<Vec<_>>>()?, gone.clone());
        self.0.store.change(OnConflict::Refuse, move |store| store.change_paths(&rows, &removed)).await?;
        {
            let mut wanted = self.0.wanted.lock();
            let mut progress = self.0.progress.lock();
            for name in new.keys().chain(&gone) {
                progress.remove(name);
                wanted.remove(name);
            }
            wanted.extend(new);
            self.0.uv4l.define(definition::cameras(&wanted));
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

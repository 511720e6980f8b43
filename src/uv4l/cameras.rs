//! [`Cameras`]: the cameras by name, and the calls that each of them has.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::{Duration, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{
    Camera, Uv4lSettings,
    agent::{self, Agents},
    demand::{BridgeStatus, Bridges},
    upstream::Upstream,
};
use crate::{disconnect::DisconnectReason, fetch::Fetch, stream::StreamName, websocket::Ending};

/// How long a viewer that takes a camera over waits for the end of the other's call.
const RELEASED_WITHIN: Duration = Duration::from_secs(3);

/// The pause between a `hangup` and the next call: UV4L ends its pipeline in between, and answers "busy" before.
const AFTER_HANGUP: Duration = Duration::from_secs(1);

/// All UV4L cameras. Cheap to clone.
#[derive(Clone)]
pub struct Cameras(Arc<Inner>);

struct Inner {
    fetch: Fetch,
    file: BTreeMap<StreamName, Camera>,
    defined: RwLock<BTreeMap<StreamName, Defined>>,
    calls: Mutex<HashMap<StreamName, Vec<Taken>>>,
    agents: Agents,
    bridges: Bridges,
    /// Wakes the bridge after a change of the definitions.
    changed: Notify,
}

/// A camera that is defined as a path of MediaMTX.
#[derive(Clone, Debug, PartialEq)]
pub struct Defined {
    /// The camera.
    pub camera: Camera,
    /// Whether MediaMTX has the path.
    pub bridged: bool,
    /// Whether the camera is called only while the path has readers.
    pub on_demand: bool,
}

/// Who has a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Viewer,
    MediaMtx,
}

/// One of a camera's calls.
#[derive(Clone)]
struct Taken {
    by: Party,
    /// Cancelled when another viewer takes the call over.
    evicted: CancellationToken,
    /// Cancelled when the call has ended.
    ended: CancellationToken,
}

/// The right to one call of a camera. The call is free again when this is dropped.
pub(super) struct Place {
    name: StreamName,
    cameras: Cameras,
    taken: Taken,
}

impl Place {
    /// Cancelled when another viewer takes the call over.
    pub(super) fn evicted(&self) -> &CancellationToken {
        &self.taken.evicted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.ended.cancel();
        let mut calls = self.cameras.0.calls.lock();
        if let Some(of_camera) = calls.get_mut(&self.name) {
            of_camera.retain(|taken| !taken.ended.is_cancelled());
            if of_camera.is_empty() {
                calls.remove(&self.name);
            }
        }
    }
}

/// A connected call.
pub(super) struct Call {
    pub(super) upstream: Upstream,
    pub(super) place: Place,
}

/// Why there is no call, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Busy(String),
    Failed(String),
}

/// A camera as the API lists it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Uv4lCameraStatus)]
pub struct CameraStatus {
    /// The name, as in `/uv4l/NAME`.
    #[schema(value_type = String)]
    name: StreamName,
    /// `file` for a camera of sidecar.yml, `path` for a path of kind uv4l.
    origin: &'static str,
    /// The definition. Passwords are `***`.
    camera: Camera,
    /// The calls in progress.
    sessions: usize,
    /// Whether an agent is connected.
    agent: bool,
    /// The state of the path at MediaMTX, if there is one.
    bridge: Option<BridgeStatus>,
}

impl Cameras {
    /// The cameras of the settings. `linger` is how long a path on demand is supplied after its last reader.
    pub fn new(settings: &Uv4lSettings, linger: Duration, fetch: &Fetch) -> Self {
        Cameras(Arc::new(Inner {
            fetch: fetch.clone(),
            file: settings.cameras.clone(),
            defined: RwLock::default(),
            calls: Mutex::default(),
            agents: Agents::default(),
            bridges: Bridges::new(linger),
            changed: Notify::new(),
        }))
    }

    /// Replaces the cameras that are defined as paths.
    pub fn define(&self, defined: BTreeMap<StreamName, Defined>) {
        *self.0.defined.write() = defined;
        self.0.changed.notify_one();
    }

    /// The camera of this name. The one of sidecar.yml comes before a path's.
    pub fn get(&self, name: &str) -> Option<Camera> {
        let of_file = self.0.file.get(name).cloned();
        of_file.or_else(|| self.0.defined.read().get(name).map(|defined| defined.camera.clone()))
    }

    /// All cameras, by name.
    pub fn names(&self) -> Vec<StreamName> {
        let defined = self.0.defined.read();
        let mut names: Vec<_> = self.0.file.keys().chain(defined.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether MediaMTX has a path for the camera.
    pub fn is_bridged(&self, name: &str) -> bool {
        self.0.defined.read().get(name).is_some_and(|defined| defined.bridged)
    }

    /// Whether the camera of this path is called for readers only.
    pub fn is_on_demand(&self, path: &str) -> bool {
        self.0.defined.read().get(path).is_some_and(|defined| defined.bridged && defined.on_demand)
    }

    /// The paths that MediaMTX has for cameras, and those that callers hold.
    pub(super) fn bridged(&self) -> BTreeMap<StreamName, Defined> {
        let held = self.0.bridges.held().into_iter().filter_map(|name| {
            let camera = self.get(&name)?;
            Some((name, Defined { camera, bridged: true, on_demand: true }))
        });
        let mut all: BTreeMap<_, _> = held.collect();
        let defined = self.0.defined.read();
        let bridged = defined.iter().filter(|(_, defined)| defined.bridged);
        let with_camera = bridged.map(|(name, defined)| {
            let camera = self.0.file.get(name).unwrap_or(&defined.camera).clone();
            (name.clone(), Defined { camera, ..defined.clone() })
        });
        all.extend(with_camera);
        all
    }

    /// Returns after the next change of the definitions, or of the paths that callers hold.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Has [`Cameras::changed`] return.
    pub(super) fn tell_change(&self) {
        self.0.changed.notify_one();
    }

    /// The states of the paths at MediaMTX.
    pub(super) fn bridges(&self) -> &Bridges {
        &self.0.bridges
    }

    /// Serves the agent of a camera until it disconnects, another one connects, or `stop` is cancelled; `ending` then gives the
    /// reason.
    pub async fn serve_agent<T>(
        &self,
        io: T,
        name: &StreamName,
        stop: CancellationToken,
        ending: impl Fn() -> Ending,
    ) -> DisconnectReason
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        agent::serve(io, name, &self.0.agents, stop, ending).await
    }

    /// Notes that MediaMTX has a reader for the path, or is about to. Never waits.
    pub fn wake(&self, path: &str) {
        self.0.bridges.wake(path);
    }

    /// The state of the path at MediaMTX.
    pub fn bridge(&self, path: &str) -> Option<BridgeStatus> {
        self.0.bridges.status(path)
    }

    /// The calls of a camera in progress.
    pub fn sessions(&self, name: &str) -> usize {
        self.0.calls.lock().get(name).map_or(0, Vec::len)
    }

    /// All cameras and their state.
    pub fn list(&self) -> Vec<CameraStatus> {
        let status = |name: StreamName| {
            let camera = self.get(&name)?;
            Some(CameraStatus {
                origin: if self.0.file.contains_key(&name) { "file" } else { "path" },
                camera,
                sessions: self.sessions(&name),
                agent: self.0.agents.has(&name),
                bridge: self.bridge(&name),
                name,
            })
        };
        self.names().into_iter().filter_map(status).collect()
    }

    /// Takes a call of the camera. If all are taken, a viewer who may take over ends the oldest call of a viewer, whose end is the
    /// second value.
    pub(super) fn take(
        &self,
        name: &StreamName,
        camera: &Camera,
        by: Party,
        may_take_over: bool,
    ) -> Result<(Place, Option<CancellationToken>), Refused> {
        let mut calls = self.0.calls.lock();
        let of_camera = calls.entry(name.clone()).or_default();
        let mut before = None;
        if of_camera.len() >= usize::from(camera.max_sessions) {
            let oldest = of_camera.iter().position(|taken| taken.by == Party::Viewer);
            match oldest.filter(|_| may_take_over && camera.takeover) {
                Some(oldest) => {
                    let taken = of_camera.remove(oldest);
                    taken.evicted.cancel();
                    before = Some(taken.ended);
                }
                None => {
                    let most = camera.max_sessions;
                    let by = match of_camera.iter().any(|taken| taken.by == Party::MediaMtx) {
                        true => "MediaMTX has one for its path",
                        false if most == 1 => "another viewer has it",
                        false => "other viewers have them",
                    };
                    let calls = if most == 1 { "one call".to_owned() } else { format!("{most} calls") };
                    return Err(Refused::Busy(format!("busy: the camera takes {calls} at a time, and {by}")));
                }
            }
        }
        let taken = Taken { by, evicted: CancellationToken::new(), ended: CancellationToken::new() };
        of_camera.push(taken.clone());
        drop(calls);
        Ok((Place { name: name.clone(), cameras: self.clone(), taken }, before))
    }

    /// Takes a call and connects to the camera.
    pub(super) async fn open(&self, name: &StreamName, by: Party, may_take_over: bool) -> Result<Call, Refused> {
        let camera = self.get(name).ok_or_else(|| Refused::Failed("the camera is not defined any longer".into()))?;
        let (place, before) = self.take(name, &camera, by, may_take_over)?;
        if let Some(ended) = before {
            // A call that does not end in time is cut off by the camera or leaves it busy; the camera then says so.
            let _ = timeout(RELEASED_WITHIN, ended.cancelled()).await;
            sleep(AFTER_HANGUP).await;
        }
        let connected = match camera.url.is_empty() {
            true => self.0.agents.open(name).await.map(Upstream::Agent),
            false => Upstream::connect(&self.0.fetch, &camera).await.map_err(|e| e.chain()),
        };
        match connected {
            Ok(upstream) => Ok(Call { upstream, place }),
            Err(why) => Err(Refused::Failed(format!("the camera cannot be called: {why}"))),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fetch::FetchSettings;

    pub(in crate::uv4l) fn cameras(settings: &Uv4lSettings) -> Cameras {
        Cameras::new(settings, Duration::from_secs(10), &Fetch::new(&FetchSettings::default()).expect("no file"))
    }

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).expect("a name")
    }

    #[test]
    fn a_camera_has_as_many_calls_as_it_says() {
        let cameras = cameras(&Uv4lSettings::default());
        let camera = Camera { max_sessions: 2, ..Camera::default() };
        let take = |by| cameras.take(&name("door"), &camera, by, true).map(|(place, _)| place);
        let (first, _second) = (take(Party::Viewer).expect("free"), take(Party::MediaMtx).expect("free"));
        let Err(Refused::Busy(why)) = take(Party::Viewer) else { panic!("two are taken") };
        assert_eq!(why, "busy: the camera takes 2 calls at a time, and MediaMTX has one for its path");
        assert!(cameras.take(&name("yard"), &camera, Party::Viewer, false).is_ok(), "another camera is free");
        drop(first);
        assert_eq!(cameras.sessions("door"), 1);
        assert!(take(Party::Viewer).is_ok());
        assert_eq!(cameras.sessions("yard"), 0);
    }

    #[test]
    fn the_oldest_viewer_makes_room_for_one_who_may_take_over() {
        let cameras = cameras(&Uv4lSettings::default());
        let camera = Camera { max_sessions: 2, takeover: true, ..Camera::default() };
        let take = |by, may| cameras.take(&name("door"), &camera, by, may);
        let (bridge, _) = take(Party::MediaMtx, false).expect("free");
        let (old, _) = take(Party::Viewer, false).expect("free");
        assert!(matches!(take(Party::Viewer, false), Err(Refused::Busy(_))));
        let (new, ended) = take(Party::Viewer, true).expect("takes over");
        let ended = ended.expect("the call before");
        assert!(old.evicted().is_cancelled() && !bridge.evicted().is_cancelled() && !ended.is_cancelled());
        assert_eq!(cameras.sessions("door"), 2);
        drop(old);
        assert!(ended.is_cancelled());
        assert_eq!(cameras.sessions("door"), 2, "the place belongs to the new viewer");
        drop((new, bridge));
        assert_eq!(cameras.sessions("door"), 0);
    }

    #[test]
    fn a_camera_of_the_file_comes_before_a_path() {
        let mut settings = Uv4lSettings::default();
        let at = |url: &str| Camera { url: url.into(), ..Camera::default() };
        settings.cameras.insert(name("door"), at("ws://file/"));
        let cameras = cameras(&settings);
        let defined = |bridged| Defined { camera: at("ws://path/"), bridged, on_demand: true };
        cameras.define([(name("door"), defined(true)), (name("yard"), defined(false))].into());
        let url = |name: &str| cameras.get(name).map(|camera| camera.url).unwrap_or_default();
        assert_eq!((url("door"), url("yard"), url("none")), ("ws://file/".into(), "ws://path/".into(), String::new()));
        assert_eq!(cameras.names(), [name("door"), name("yard")]);
        let bridged = cameras.bridged();
        assert_eq!(bridged.values().map(|defined| defined.camera.url.as_str()).collect::<Vec<_>>(), ["ws://file/"]);
        assert!(cameras.is_bridged("door") && !cameras.is_bridged("yard"));
    }
}

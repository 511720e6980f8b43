//! The paths of cameras at MediaMTX: whether one is wanted, and its state.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep, timeout},
};
use utoipa::ToSchema;

use crate::{mediamtx::PathCache, stream::StreamName};

/// How long a path is wanted after MediaMTX has asked about a reader, which its list then has.
const AWAKE: Duration = Duration::from_secs(10);

/// How often MediaMTX's list of readers is looked at. It is renewed every two seconds.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The state of a camera's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BridgeState {
    /// The path has no reader.
    Idle,
    /// The camera is called.
    Starting,
    /// The camera sends to MediaMTX.
    Live,
    /// The camera or MediaMTX failed; the next attempt waits.
    Failing,
}

/// The state of a camera's path, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BridgeStatus {
    /// The state.
    pub state: BridgeState,
    /// The reason in words.
    pub reason: String,
}

/// The states and wishes by path.
type ByPath = Arc<Mutex<HashMap<String, Arc<Known>>>>;

/// How many callers hold each path ([`Hold`](super::Hold)).
type Holds = Arc<Mutex<HashMap<StreamName, usize>>>;

/// The paths of cameras by name.
#[derive(Clone)]
pub(super) struct Bridges {
    by_path: ByPath,
    holds: Holds,
    /// How long a path is wanted after its last reader.
    linger: Duration,
}

/// A path.
struct Known {
    status: Mutex<BridgeStatus>,
    wanted_until: Mutex<Instant>,
    woken: Notify,
}

impl Bridges {
    pub(super) fn new(linger: Duration) -> Self {
        Bridges { by_path: ByPath::default(), holds: Holds::default(), linger }
    }

    /// Notes that a caller wants the path, until [`Bridges::release`].
    pub(super) fn hold(&self, name: &StreamName) {
        *self.holds.lock().entry(name.clone()).or_default() += 1;
        let known = self.by_path.lock().get(&**name).cloned();
        if let Some(known) = known {
            known.woken.notify_one();
        }
    }

    pub(super) fn release(&self, name: &StreamName) {
        let mut holds = self.holds.lock();
        if let Some(count) = holds.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                holds.remove(name);
            }
        }
    }

    /// The paths that callers want.
    pub(super) fn held(&self) -> Vec<StreamName> {
        self.holds.lock().keys().cloned().collect()
    }

    /// Notes that a reader comes.
    pub(super) fn wake(&self, path: &str) {
        let known = self.by_path.lock().get(path).cloned();
        if let Some(known) = known {
            let mut until = known.wanted_until.lock();
            *until = (*until).max(Instant::now() + AWAKE);
            drop(until);
            known.woken.notify_one();
        }
    }

    pub(super) fn status(&self, path: &str) -> Option<BridgeStatus> {
        self.by_path.lock().get(path).map(|known| known.status.lock().clone())
    }

    /// Begins a path. It is forgotten when the result is dropped.
    pub(super) fn begin(&self, name: &StreamName, path_cache: PathCache) -> Demand {
        let status = BridgeStatus { state: BridgeState::Idle, reason: String::new() };
        let known =
            Known { status: Mutex::new(status), wanted_until: Mutex::new(Instant::now()), woken: Notify::new() };
        let known = Arc::new(known);
        self.by_path.lock().insert(name.to_string(), known.clone());
        Demand {
            name: name.clone(),
            known,
            all: self.by_path.clone(),
            holds: self.holds.clone(),
            path_cache,
            linger: self.linger,
        }
    }
}

/// The path of one camera.
pub(super) struct Demand {
    name: StreamName,
    known: Arc<Known>,
    all: ByPath,
    holds: Holds,
    path_cache: PathCache,
    linger: Duration,
}

impl Drop for Demand {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // A changed definition has begun the path anew.
        if all.get(&*self.name).is_some_and(|known| Arc::ptr_eq(known, &self.known)) {
            all.remove(&*self.name);
        }
    }
}

/// The path at MediaMTX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) readers: usize,
    /// The id of its publisher.
    pub(super) source: Option<String>,
}

impl Demand {
    pub(super) fn tell(&self, state: BridgeState, reason: &str) {
        *self.known.status.lock() = BridgeStatus { state, reason: reason.to_owned() };
    }

    /// The path as MediaMTX has listed it last; none while MediaMTX does not answer, or does not have it.
    pub(super) fn seen(&self) -> Option<Seen> {
        let paths = self.path_cache.paths()?;
        let path = paths.iter().find(|path| path["name"] == *self.name)?;
        let source = &path["source"];
        Some(Seen {
            readers: path["readers"].as_array().map_or(0, Vec::len),
            source: (!source.is_null()).then(|| source["id"].as_str().unwrap_or_default().to_owned()),
        })
    }

    /// Whether the path has a reader, or had one a moment ago, or a caller holds it.
    pub(super) fn is_wanted(&self) -> bool {
        if self.holds.lock().contains_key(&self.name) {
            return true;
        }
        let now = Instant::now();
        let mut until = self.known.wanted_until.lock();
        if self.seen().is_some_and(|seen| seen.readers > 0) {
            *until = (*until).max(now + self.linger);
        }
        *until > now
    }

    /// Returns when MediaMTX has the path.
    pub(super) async fn listed(&self) {
        while self.seen().is_none() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns when the path is wanted.
    pub(super) async fn wanted(&self) {
        while !self.is_wanted() {
            // A timeout: time to look at the list again.
            let _ = timeout(LOOK_EVERY, self.known.woken.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LINGER: Duration = Duration::from_secs(5);

    fn demand(bridges: &Bridges, cache: &PathCache) -> Demand {
        bridges.begin(&StreamName::parse("cameras/pi").expect("a name"), cache.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_path_is_wanted_after_a_question_and_while_it_has_readers() {
        let (bridges, cache) = (Bridges::new(LINGER), PathCache::default());
        let demand = demand(&bridges, &cache);
        bridges.wake("cameras/other");
        assert!(!demand.is_wanted());
        bridges.wake("cameras/pi");
        demand.wanted().await;
        tokio::time::advance(AWAKE).await;
        assert!(!demand.is_wanted());
        assert_eq!(demand.seen(), None, "MediaMTX does not answer yet");
        let list = |readers| Some(vec![json!({"name": "cameras/pi", "readers": readers, "source": {"id": "7"}})]);
        cache.note(list(json!([{}])));
        demand.listed().await;
        demand.wanted().await;
        assert_eq!(demand.seen(), Some(Seen { readers: 1, source: Some("7".into()) }));
        cache.note(list(json!([])));
        tokio::time::advance(LINGER - Duration::from_secs(1)).await;
        assert!(demand.is_wanted(), "the reader has left a moment ago");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!demand.is_wanted());
    }

    #[tokio::test(start_paused = true)]
    async fn a_path_is_wanted_while_a_caller_holds_it() {
        let (bridges, cache) = (Bridges::new(LINGER), PathCache::default());
        let (demand, name) = (demand(&bridges, &cache), StreamName::parse("cameras/pi").expect("a name"));
        let wanted = tokio::spawn(async move {
            demand.wanted().await;
            demand
        });
        tokio::time::advance(LOOK_EVERY / 2).await;
        bridges.hold(&name);
        bridges.hold(&name);
        let demand = wanted.await.expect("it is wanted at once");
        bridges.release(&name);
        assert!(demand.is_wanted() && bridges.held() == [name.clone()], "the other caller holds it");
        bridges.release(&name);
        assert!(!demand.is_wanted() && bridges.held().is_empty(), "no reader was seen: nothing lingers");
    }

    #[tokio::test]
    async fn the_state_of_a_path_is_known_until_it_is_removed() {
        let (bridges, cache) = (Bridges::new(LINGER), PathCache::default());
        let old = demand(&bridges, &cache);
        old.tell(BridgeState::Live, "video arrives");
        assert_eq!(bridges.status("cameras/pi").map(|status| status.state), Some(BridgeState::Live));
        let new = demand(&bridges, &cache);
        drop(old);
        assert_eq!(bridges.status("cameras/pi").map(|status| status.state), Some(BridgeState::Idle));
        drop(new);
        assert_eq!(bridges.status("cameras/pi"), None);
    }
}
